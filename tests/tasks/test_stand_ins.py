"""Stand-ins of the data sets that are given out on request: names, shapes, honesty, and a findable answer."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bmnas.config import PAPER_CONFIGS
from bmnas.errors import ConfigError, DataError
from bmnas.paper.published import PUBLISHED
from bmnas.registry import TASKS
from bmnas.searching.algorithm1 import search
from bmnas.searching.run_folder import Run
from bmnas.tasks.egogesture import task as egogesture
from bmnas.tasks.mmimdb import task as mmimdb
from bmnas.tasks.ntu import task as ntu
from bmnas.tasks.planted import planted_genotype
from bmnas.tasks.preparation import prepare
from bmnas.tasks.stand_in import label_table
from widgets import browser_info
from widgets.sheets.sheet import words
from widgets.static import static_twin

MADE = {"ntu": ntu.STAND_IN, "egogesture": egogesture.STAND_IN, "mmimdb": mmimdb.STAND_IN}
ROWS = {"ntu": "ntu-1", "egogesture": "ego-1", "mmimdb": "mmimdb-1"}
PAPER = {"ntu": "ntu_1", "egogesture": "ego_1", "mmimdb": "mmimdb_1"}


@pytest.mark.parametrize("name", MADE)
def test_names_and_shapes_are_the_papers(name):
    features, published = MADE[name].features(samples=120, L=TASKS[name].options["L"]), PUBLISHED[PAPER[name]]
    assert features.channels == dict(published.channels) and len(features.classes) == published.classes
    assert features.L == published.L == PAPER_CONFIGS[ROWS[name]].L
    assert features.kind == TASKS[name].kind and features.modalities.keys() == MADE[name].modalities.keys()
    planted = planted_genotype(features)
    planted.check(features.channels)
    assert {feature for cell in published.genotype.cells for feature in cell.inputs} >= set(planted.features)


def test_vectors_are_those_that_the_backbones_give():
    expected = {
        "ntu": {"Video_4", "Skeleton_3", "Skeleton_4"},
        "egogesture": {"RGB_4", "Depth_4"},
        "mmimdb": {"Text_1", "Text_2"},
    }
    assert {name: set(stand_in.vectors) for name, stand_in in MADE.items()} == expected


@pytest.mark.parametrize("name", MADE)
def test_presets_are_the_papers_rows(name):
    task, row = TASKS[name], PAPER_CONFIGS[ROWS[name]]
    kept = ("C", "L", "N", "M", "batch_size", "dropout", "arch_lr", "max_lr", "Ti")
    assert all(getattr(task.search_config, field) == getattr(row, field) for field in kept)


@pytest.mark.parametrize("name", MADE)
def test_a_stand_in_says_that_it_is_one(name):
    features = prepare(name, samples=120, root="nowhere")
    assert features.source == features.manifest["source"] == "stand-in"
    full = f"{MADE[name].full[0]:,}"
    for said in (f"NOT {MADE[name].title}", "120 / 30 / 30", full, f"{MADE[name].epochs} epochs", "http"):
        assert said in features.notes


@pytest.mark.parametrize("name", MADE)
def test_full_size_is_the_papers(name):
    first, second = MADE[name].pair
    small = {m: {f: 1} for m, f in zip(MADE[name].modalities, (first, second), strict=True)}
    for samples in ("full", MADE[name].full[0]):
        features = replace(MADE[name], modalities=small).features(samples=samples)
        assert tuple(len(features.rows(split)) for split in ("train", "val", "test")) == MADE[name].full
        assert "full size" in features.notes


def test_the_papers_numbers():
    assert MADE["ntu"].full == (23760, 2519, 16558)
    assert MADE["egogesture"].full == (14416, 4768, 4977)
    assert MADE["mmimdb"].full == (15552, 2608, 7799)


@pytest.mark.parametrize("name", MADE)
def test_missing_real_data_is_asked_for_clearly(name, tmp_path):
    with pytest.raises(DataError, match=rf"='real' needs.*ask for it at http.*{name} must then hold.*from_arrays"):
        prepare(name, source="real", root=tmp_path, cache=tmp_path / "cache")
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize("samples", [10, 1.5, "all", True])
def test_bad_sizes_are_refused(samples):
    with pytest.raises(ConfigError, match="samples is"):
        MADE["ntu"].features(samples=samples)


def nearest_mean(features, names, labels):
    """The validation accuracy of a classifier by class means: an oracle that knows no network."""
    flat = np.concatenate([features.arrays[name].reshape(len(features), -1) for name in names], 1).astype(np.float32)
    train, val = features.rows("train"), features.rows("val")
    means = np.stack([flat[train][labels[train] == k].mean(0) for k in range(labels.max() + 1)])
    distance = np.square(means).sum(1) - 2 * flat[val] @ means.T  # but for a term that all classes share
    return (distance.argmin(1) == labels[val]).mean()


@pytest.mark.parametrize(("name", "columns"), [("ntu", 6), ("egogesture", 7)])
def test_one_planted_feature_tells_the_row_and_the_other_the_column(name, columns):
    features = MADE[name].features(samples=600, seed=1)
    pair = planted_genotype(features).features
    parts = (features.targets // columns, features.targets % columns)
    assert len({*zip(*(part.tolist() for part in parts), strict=True)}) == len(features.classes)
    for planted, part, modality in zip(pair, parts, features.modalities, strict=True):
        scores = {feature: nearest_mean(features, [feature], part) for feature in features.modalities[modality]}
        assert scores.pop(planted) > 0.95 and max(scores.values()) < 0.7


def test_each_planted_feature_of_mmimdb_tells_its_half_of_the_labels():
    features = MADE["mmimdb"].features(samples=600, seed=1, L=16)
    assert features.targets.shape[1] == 23 and 2 < features.targets.sum(1).mean() < 10
    assert (features.targets.mean(0) > 0).all() and (features.targets.mean(0) < 1).all()
    halves = (features.targets[:, :11], features.targets[:, 11:])
    states = [np.unique(half, axis=0, return_inverse=True)[1].ravel() for half in halves]
    for planted, state, modality in zip(MADE["mmimdb"].pair, states, features.modalities, strict=True):
        scores = {feature: nearest_mean(features, [feature], state) for feature in features.modalities[modality]}
        assert scores.pop(planted) > 0.9 and max(scores.values()) < 0.8


@given(st.integers(0, 50))
def test_other_seeds_give_other_labels_and_none_is_constant(seed):
    table = label_table(12, np.random.default_rng(seed))
    assert table.any(0).all() and not table.all(0).any()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["egogesture", "mmimdb"])
def test_the_preset_learns_the_planted_answer(name):
    """The paper's settings and epochs on the stand-in; one of the two features alone tells 1/7 of the gestures."""
    features = prepare(name, root="nowhere", samples=600)
    config = TASKS[name].search_config.change(selection="algorithm1", device="cpu", threads=1)
    best = [event for event in search(features, config) if event.is_best][-1]
    assert best.val_score > (0.4 if name == "egogesture" else 0.6)


def test_pictures_of_views_and_the_browser_of_runs_tell_a_stand_in(tmp_path):
    """Titles of figures carry the notes; views have no title, and a table of runs has many data sets."""
    stand_in = MADE["mmimdb"].features(samples=40, L=16)
    tiny = TASKS["mmimdb"].search_config.change(C=4, N=1, epochs=1, device="cpu", threads=1)
    for name, features in (("a", stand_in), ("b", replace(stand_in, source="real", notes="MM-IMDB"))):
        run = Run(tmp_path / name)
        list(search(features, tiny, run))
        static_twin.picture(words(["a view"]), "a view", "some", run)
        told = "NOT real data" in (run.folder / "figures/some.svg").read_text()
        assert (run.source() == "stand-in") is told is (name == "a")
    assert browser_info(tmp_path).datasets == ["mmimdb (stand-in)", "mmimdb"]


@pytest.mark.parametrize("row", PAPER_CONFIGS)
def test_every_row_of_table_8_is_searched(row):
    """As 02 does with -p preset: the row's L decides the features; here few channels and one epoch."""
    name = {"ntu": "ntu", "ego": "egogesture", "mmimdb": "mmimdb"}[row.split("-")[0]]
    config = PAPER_CONFIGS[row].change(C=4, epochs=1, device="cpu", threads=1)
    features = MADE[name].features(samples=96, L=config.L)
    (event,) = search(features, config)
    event.genotype.check(features.channels)
    assert (event.genotype.N, {len(cell.steps) for cell in event.genotype.cells}) == (config.N, {config.M})
