"""Missing modalities in feature sets, and what is odd about one's own arrays."""

import warnings

import numpy as np
import pytest
import torch

from bmnas.errors import FeatureError, UnknownNameError
from bmnas.features.feature_set import FeatureSet
from bmnas.features.findings import findings
from bmnas.scale.seeds.search import search_seeds
from bmnas.searching.algorithm1 import search
from bmnas.space.placeholders import Placeholders
from tests.support.tiny import CONFIG

ROWS = 60
SPLITS = {"train": np.arange(30), "val": np.arange(30, 45), "test": np.arange(45, 60)}
Y = np.arange(ROWS) % 3


def arrays() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    return {
        "Image_1": rng.normal(size=(ROWS, 4)),
        "Image_2": rng.normal(size=(ROWS, 4, 4)),
        "Text": rng.normal(size=(ROWS, 3)),
    }


def features(given=None, targets=Y, **more) -> FeatureSet:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return FeatureSet.from_arrays(arrays() if given is None else given, targets, SPLITS, **more)


def test_rows_of_nan_and_masks_say_the_same_and_are_counted():
    given, there = arrays(), np.ones(ROWS, bool)
    there[[1, 50]] = False
    for name in ("Image_1", "Image_2"):
        given[name][~there] = np.nan
    by_rows, by_mask = features(given), features(masks={"Image": there})
    assert by_rows.fingerprint == by_mask.fingerprint != features().fingerprint
    assert {name: rows.nonzero()[0].tolist() for name, rows in by_rows.missing.items()} == {
        "Image_1": [1, 50],
        "Image_2": [1, 50],
    }
    assert any("'Image' is missing for 2 of 60" in line for line in findings(by_rows))
    assert "missing" in repr(by_rows) and "missing" not in repr(features())


def test_missing_rows_survive_the_disk_and_a_damaged_file_is_found(tmp_path):
    given = arrays()
    given["Text"][[3, 4]] = np.nan
    saved = features(given)
    saved.save(tmp_path / "f")
    opened = FeatureSet.open(tmp_path / "f")
    assert opened.fingerprint == saved.fingerprint and opened.missing["Text"].sum() == 2
    manifest = (tmp_path / "f/manifest.json").read_text()
    (tmp_path / "f/manifest.json").write_text(manifest.replace('"missing": 2', '"missing": 1'))
    with pytest.raises(FeatureError, match="2 rows are NaN"):
        FeatureSet.open(tmp_path / "f")


@pytest.mark.parametrize(
    "change, words",
    [
        (lambda given: given["Text"].__setitem__((2, 1), np.nan), "row 2"),
        (lambda given: given["Text"].__setitem__(slice(None), np.nan), "every row"),
        (lambda given: [x.__setitem__(7, np.nan) for x in given.values()], r"any modality \(rows 7\)"),
    ],
    ids=["part of a row", "all rows", "a sample without any"],
)
def test_what_cannot_be_filled_is_an_error_that_names_rows(change, words):
    given = arrays()
    change(given)
    with pytest.raises(FeatureError, match=words):
        features(given)


@pytest.mark.parametrize("masks", [{"Sound": np.ones(ROWS, bool)}, {"Text": np.ones(ROWS)}, {"Text": np.ones(3, bool)}])
def test_a_wrong_mask_is_an_error(masks):
    with pytest.raises(FeatureError, match=next(iter(masks))):
        features(masks=masks)


def test_odd_columns_and_rare_classes_have_a_line_each():
    given = arrays()
    given["Image_1"][:, 1] = 5.0
    given["Text"][:, 2] = given["Text"][:, 0]
    given["Text"][:, 1] *= 1e9
    given["Copy"] = given["Image_2"]
    lines = findings(features(given, np.repeat([0, 1], [57, 3])))
    for part in ("'Image_1': 1 (1) of 4 columns are constant", "'Text': 1 (1) of 3 columns explode"):
        assert any(line.startswith(part) for line in lines)
    assert any("'Text': 1 (2) of 3 columns are copies" in line for line in lines)
    assert any("'Copy' is a copy of 'Image_2'" in line for line in lines)
    assert any("95 %" in line and "class_weight" in line for line in lines)
    assert any("no sample of train has '1'" in line for line in lines)
    assert len(lines) == 6 and findings(features()) == []


@pytest.mark.parametrize("marker", [0.0, -999.0, 255.0])
def test_rows_of_one_number_may_be_missing_samples(marker):
    given = arrays()
    given["Text"][[3, 5, 8]] = marker
    given["Image_1"][4] = 7.0  # one row alone says nothing
    (line,) = [line for line in findings(features(given)) if "everywhere" in line]
    assert line.startswith(f"'Text': 3 of {len(Y)} rows are {marker:g} everywhere") and "NaN" in line


def test_markers_of_missing_values_in_a_column_are_said():
    given = arrays()
    given["Text"][7, 1] = -9999
    assert any("'Text': 1 (1) of 3 columns are -9999" in line and "NaN" in line for line in findings(features(given)))


@pytest.mark.parametrize("name", ["nan", "NaN", "<NA>", "None", "NULL", "n/a", "?"])
def test_a_class_that_may_be_no_label_is_said(name):
    given = FeatureSet.from_arrays(arrays(), np.array(["ant", "bee", name])[Y], SPLITS, report=False)
    assert any(repr(name) in line and "missing label" in line for line in findings(given))


def test_own_arrays_warn_of_each_finding():
    given = arrays()
    given["Image_1"][:, 1] = 5.0
    with pytest.warns(UserWarning, match="constant"):
        FeatureSet.from_arrays(given, Y, SPLITS)


def test_names_of_classes_are_targets():
    names = np.array(["cat", "ant", "bee"])[Y]
    built = features(targets=names)
    assert built.classes == ("ant", "bee", "cat") and built.targets[:3].tolist() == [2, 0, 1]
    assert features(targets=names.tolist(), classes=["cat", "ant", "bee"]).targets[:3].tolist() == [0, 1, 2]
    with pytest.raises(FeatureError, match="'bee'"):
        features(targets=names, classes=["cat", "ant"])


def test_different_lengths_name_the_remedy():
    with pytest.raises(FeatureError, match=r"bmnas\.pool"):
        features({"A": np.zeros((ROWS, 2, 3)), "B": np.zeros((ROWS, 2, 5))})


def test_some_modalities_and_features_without_touching_files(tmp_path):
    features().save(tmp_path / "f")
    opened = FeatureSet.open(tmp_path / "f")
    assert opened.choose(modalities=["Image"]).names == ("Image_1", "Image_2")
    both = opened.choose(features=["Image_2", "Text"])
    assert both.modalities == {"Image": ("Image_2",), "Text": ("Text",)}
    given = {name: array for name, array in arrays().items() if name != "Image_1"}
    assert both.fingerprint == features(given).fingerprint
    with pytest.raises(UnknownNameError, match="Image_1"):
        opened.choose(features=["Image_3"])


def test_placeholders_stand_where_a_row_is_nan_and_nowhere_else():
    layer = Placeholders({"A": [1.0, 2.0], "B": [3.0]}, {"A": ["A"], "B": ["B"]})
    a = torch.randn(3, 2, 4)
    a[1] = torch.nan
    filled = layer({"A": a, "B": torch.zeros(3, 1)})
    assert torch.equal(filled["A"][1], torch.tensor([[1.0], [2.0]]).expand(2, 4))
    assert torch.equal(filled["A"][[0, 2]], a[[0, 2]]) and not filled["B"].any()
    filled["A"].sum().backward()
    assert layer.vectors["A"].grad.tolist() == [4, 4]


def test_modality_dropout_hides_whole_modalities_and_never_the_last():
    layer = Placeholders({"A_1": [7.0], "A_2": [7.0], "B": [7.0]}, {"A": ["A_1", "A_2"], "B": ["B"]}, dropout=0.5)
    zeros = {name: torch.zeros(2000, 1) for name in ("A_1", "A_2", "B")}
    zeros["B"][:500] = torch.nan
    torch.manual_seed(0)
    hidden = {name: (x == 7).flatten() for name, x in layer.train()(zeros).items()}
    assert torch.equal(hidden["A_1"], hidden["A_2"])
    assert not hidden["A_1"][:500].any() and hidden["B"][:500].all()
    assert not (hidden["A_1"] & hidden["B"]).any()
    assert 0.2 < hidden["A_1"][500:].float().mean() < 0.3  # both are drawn in a quarter, which stay
    assert not any((x == 7).any() for name, x in layer.eval()(zeros).items() if name != "B")


def test_missing_modalities_are_searched_alike_alone_and_with_other_seeds_and_stop_early():
    given = arrays()
    given["Text"][::4] = np.nan
    config = CONFIG.change(epochs=2, class_weight="balanced", metric="macro F1")
    built = features(given, L=4)
    (first, *_) = search(built, config)
    both = [event for seed, event in search_seeds(built, config, {0: None, 1: None}) if seed == 0]
    assert first.metric == "macro F1" and first.val_score == pytest.approx(both[0].val_score, abs=1e-3)
    stopped = list(search(built, config.change(epochs=9, patience=1, max_lr=1e-9, min_lr=0.0, arch_lr=0.0)))
    assert len(stopped) < 9 and stopped[-1].epoch - stopped[-1].best_epoch == 1
