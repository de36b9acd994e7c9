"""Feature sets: what they accept, refuse, keep and give back."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bmnas.errors import FeatureError
from bmnas.features.feature_set import FeatureSet
from bmnas.features.groups import kept_whole

ROWS = 12
SPLITS = {"train": range(6), "val": range(6, 9), "test": range(9, 12)}


def arrays(L=4, n=ROWS):
    rng = np.random.default_rng(0)
    return {
        "Image_1": rng.standard_normal((n, 3, L), dtype=np.float32),
        "Image_2": rng.standard_normal((n, 5, L)).astype(np.float16),
        "Text_1": rng.standard_normal((n, 7), dtype=np.float32),
    }


def make(**changes):
    given = {"arrays": arrays(), "targets": np.arange(ROWS) % 3, "splits": SPLITS}
    return FeatureSet.from_arrays(**(given | changes))


def saved(tmp_path, **changes):
    return make(**changes).save(tmp_path / "set")


def rewrite(folder, change):
    """Edits the manifest on disk."""
    path = folder / "manifest.json"
    manifest = json.loads(path.read_text())
    change(manifest)
    path.write_text(json.dumps(manifest))


# from arrays


def test_from_arrays_reads_everything_off_the_arrays():
    features = make()
    assert features.names == ("Image_1", "Image_2", "Text_1")
    assert features.channels == {"Image_1": 3, "Image_2": 5, "Text_1": 7}
    assert features.modalities == {"Image": ("Image_1", "Image_2"), "Text": ("Text_1",)}
    assert (features.vectors, features.L, features.kind) == ({"Text_1"}, 4, "multiclass")
    assert features.classes == ("0", "1", "2")
    assert features.arrays["Text_1"].shape == (ROWS, 7, 1)
    assert [len(features.rows(split)) for split in ("train", "val", "test")] == [6, 3, 3]
    assert "Image_1" in repr(features) and len(features) == ROWS


def test_types_become_float32_unless_they_are_float16():
    features = make(arrays={"a": np.ones((ROWS, 2), np.float64), "b": np.ones((ROWS, 2), np.float16)})
    assert [array.dtype for array in features.arrays.values()] == [np.float32, np.float16]


def test_tensors_and_lists_are_arrays_too():
    features = make(arrays={"a_1": torch.ones(ROWS, 2), "b_1": [[1.0, 2.0]] * ROWS}, targets=torch.arange(ROWS) % 2)
    assert features.L == 8  # all vectors: the default
    assert features.arrays["b_1"][3].tolist() == [[1.0], [2.0]]


def test_multilabel_targets_make_a_multilabel_set():
    features = make(targets=np.eye(4)[np.arange(ROWS) % 4])
    assert (features.kind, features.classes, features.targets.dtype) == ("multilabel", ("0", "1", "2", "3"), np.float32)


@settings(max_examples=25, deadline=None)
@given(
    counts=st.lists(st.integers(1, 3), min_size=1, max_size=5),
    L=st.integers(2, 9),
    kind=st.sampled_from(["multiclass", "multilabel"]),
)
def test_any_number_of_modalities_survives_the_disk(tmp_path_factory, counts, L, kind):
    rng = np.random.default_rng(len(counts))
    given = {
        f"M{m}_{i}": rng.random((ROWS, m + i, L)) for m, count in enumerate(counts, 1) for i in range(1, count + 1)
    }
    targets = np.arange(ROWS) % 2 if kind == "multiclass" else rng.integers(0, 2, (ROWS, 3))
    built = FeatureSet.from_arrays(given, targets, SPLITS, logits={"M1": rng.random((ROWS, 2))}, notes="ü")
    opened = FeatureSet.open(built.save(tmp_path_factory.mktemp("any") / "set"))
    assert opened.modalities == built.modalities and len(opened.modalities) == len(counts)
    assert (opened.L, opened.kind, opened.classes, opened.notes) == (L, kind, built.classes, "ü")
    assert all((opened.arrays[name] == built.arrays[name]).all() for name in built.names)
    assert (opened.targets == built.targets).all() and (opened.logits["M1"] == built.logits["M1"]).all()
    assert all((opened.splits[name] == built.splits[name]).all() for name in SPLITS)
    assert opened.fingerprint == built.fingerprint


# tensors


def test_a_batch_is_an_index():
    features = make()
    tensors = features.tensors("cpu")
    rows = tensors.rows("val")[[2, 0]]
    batch, targets = tensors.batch(rows)
    assert targets.tolist() == [8 % 3, 6 % 3]
    for name in features.names:
        assert batch[name].dtype == torch.float32
        assert (batch[name].numpy() == features.arrays[name][[8, 6]].astype(np.float32)).all()


def test_opened_features_are_memory_maps_and_train_as_well(tmp_path):
    opened = FeatureSet.open(saved(tmp_path))
    assert all(isinstance(array, np.memmap) for array in opened.arrays.values())
    tensors = opened.tensors("cpu")
    tensors.features["Image_1"].tokens.zero_()  # must not write to the file
    assert FeatureSet.open(tmp_path / "set").fingerprint == opened.fingerprint


def test_unknown_splits_are_named():
    with pytest.raises(FeatureError, match="'dev'.*train, val, test"):
        make().rows("dev")


# refusals

NAN = arrays()["Image_1"].copy()
NAN[7, 1, 2] = np.nan
HALF = arrays()["Image_2"].copy()
HALF[3] = np.inf

REFUSED = {
    "nan": ({"arrays": arrays() | {"Image_1": NAN}}, "Image_1.*NaN.*row 7"),
    "infinite": ({"arrays": arrays() | {"Image_2": HALF}}, "Image_2.*infinite.*row 3"),
    "too few rows": ({"arrays": arrays() | {"Text_1": np.ones((ROWS - 1, 7))}}, "Text_1.*11 rows.*12"),
    "two lengths": ({"arrays": arrays() | {"Image_2": np.ones((ROWS, 5, 3))}}, "different lengths.*Image_2.*3"),
    "wrong L": ({"L": 8}, r"Image_1.*\(12, 3, 4\).*new extraction"),
    "no extent": ({"arrays": arrays() | {"Text_1": np.ones(ROWS)}}, r"Text_1.*\(12,\)"),
    "too many axes": ({"arrays": arrays() | {"Text_1": np.ones((ROWS, 2, 4, 4))}}, "Text_1.*shape.*bmnas.pool"),
    "text": ({"arrays": arrays() | {"Text_1": np.array(["a"] * ROWS)}}, "Text_1.*real numbers"),
    "ragged": ({"arrays": arrays() | {"Text_1": [[1], [1, 2]]}}, "Text_1.*real numbers"),
    "no features": ({"arrays": {}}, "arrays is empty"),
    "L not a number": ({"L": 0}, "L is 0"),
    "no test split": ({"splits": {"train": [0], "val": [1]}}, "splits.*train, val, test"),
    "another split": ({"splits": {**SPLITS, "dev": [1]}}, "splits.*dev"),
    "empty split": ({"splits": {**SPLITS, "val": np.arange(0)}}, r"splits\['val'\]"),
    "overlap": ({"splits": {**SPLITS, "val": [5, 6]}}, "'train' and 'val' overlap.*row 5"),
    "row twice": ({"splits": {**SPLITS, "val": [6, 6]}}, r"splits\['val'\].*twice"),
    "row out of range": ({"splits": {**SPLITS, "test": [9, 12]}}, r"splits\['test'\].*12"),
    "negative row": ({"splits": {**SPLITS, "test": [-1]}}, r"splits\['test'\].*-1"),
    "mask": ({"splits": {**SPLITS, "test": np.ones(ROWS, bool)}}, r"splits\['test'\].*bool"),
    "label too large": ({"classes": ["a", "b"]}, "targets is 2 in row 2; expected 0 to 1"),
    "negative label": ({"targets": np.arange(ROWS) - 1}, "targets is -1 in row 0"),
    "float labels": ({"targets": np.ones(ROWS)}, "targets.*whole numbers.*float64"),
    "ragged labels": ({"targets": [[1], [0, 1]]}, "targets has rows of different lengths"),
    "ragged rows": (
        {"splits": {**SPLITS, "test": [[9], [10, 11]]}},
        r"splits\['test'\] is not an array of row numbers",
    ),
    "no 0 or 1": ({"targets": np.full((ROWS, 2), 2)}, "targets of row 0.*0 or 1"),
    "wrong kind": ({"kind": "multilabel"}, "multilabel expects"),
    "unknown kind": ({"kind": "regression"}, "kind is 'regression'.*multiclass, multilabel"),
    "classes do not fit": ({"targets": np.ones((ROWS, 2)), "classes": ["a"]}, r"float32 \(samples, 1\)"),
    "unknown source": ({"source": "fake"}, "source is 'fake'.*real, synthetic, stand-in"),
    "modality forgets one": ({"modalities": {"Image": ["Image_1"], "Text": ["Text_1"]}}, "modalities lists"),
    "modality name": ({"modalities": {"a/b": ["Image_1", "Image_2", "Text_1"]}}, "modality name 'a/b'"),
    "logits of nobody": ({"logits": {"Sound": np.ones((ROWS, 2))}}, "logits.*'Sound'.*Image, Text"),
    "logits too short": ({"logits": {"Text": np.ones((3, 2))}}, r"logits\['Text'\].*\(3, 2\)"),
    "logits nan": ({"logits": {"Text": np.full((ROWS, 2), np.nan)}}, r"logits\['Text'\].*NaN"),
}


@pytest.mark.parametrize(("changes", "message"), REFUSED.values(), ids=REFUSED)
def test_bad_input_is_one_clear_error(changes, message):
    with pytest.raises(FeatureError, match=message):
        make(**changes)


@pytest.mark.parametrize(
    "name",
    ["x", "y", "Cell_1", "Step_12", "keys", "training", "forward", "", " a", "a ", "a.b", "../a", "a/b", "a\n", "_a"],
)
def test_feature_names_that_a_genotype_could_not_hold_are_refused(name):
    with pytest.raises(FeatureError, match="feature name"):
        make(arrays={name: np.ones((ROWS, 2)), "Text_1": np.ones((ROWS, 2))})


@settings(max_examples=50)
@given(st.from_regex(r"[A-Za-z0-9é女][A-Za-z0-9é女 _-]{0,8}[a-z]", fullmatch=True))
def test_accepted_names_work_as_module_names(name):
    try:
        features = make(arrays={name: np.ones((ROWS, 2))}, modalities={"M": (name,)})
    except FeatureError:
        assert hasattr(torch.nn.ModuleDict(), name) or name in "xy" or name[:4] in ("Cell", "Step")
    else:
        assert list(torch.nn.ModuleDict({name: torch.nn.Identity()})) == list(features.names)


# on disk


def test_nothing_is_overwritten(tmp_path):
    folder = saved(tmp_path)
    before = sorted((path.name, path.read_bytes()) for path in folder.iterdir())
    with pytest.raises(FeatureError, match="exists already"):
        make(notes="another").save(folder)
    assert before == sorted((path.name, path.read_bytes()) for path in folder.iterdir())


def test_a_save_that_fails_leaves_nothing(tmp_path, monkeypatch):
    def full(*_args):
        raise OSError("No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(FeatureError, match="No space left"):
        saved(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_extras_are_kept_but_do_not_change_the_fingerprint(tmp_path):
    folder = saved(tmp_path, backbones={"Image": {"seconds": 1.5}}, options={"seed": 3})
    opened = FeatureSet.open(folder)
    assert opened.manifest["backbones"] == {"Image": {"seconds": 1.5}} and opened.manifest["options"] == {"seed": 3}
    assert opened.fingerprint == make().fingerprint
    assert opened.save(tmp_path / "copy") and FeatureSet.open(tmp_path / "copy").manifest == opened.manifest


@pytest.mark.parametrize(
    "changes",
    [
        {"targets": (np.arange(ROWS) + 1) % 3},
        {"splits": {**SPLITS, "test": [9, 10]}},
        {"arrays": arrays() | {"Text_1": np.ones((ROWS, 7))}},
        {"logits": {"Text": np.ones((ROWS, 2))}},
        {"task": "other"},
    ],
)
def test_other_content_has_another_fingerprint(changes):
    assert make(**changes).fingerprint != make().fingerprint


def test_one_changed_byte_is_noticed(tmp_path):
    folder = saved(tmp_path)
    for path in sorted(folder.glob("*.npy")):
        content = path.read_bytes()
        path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
        with pytest.raises(FeatureError, match=f"{path.name}: sha256"):
            FeatureSet.open(folder)
        path.write_bytes(content)
    FeatureSet.open(folder)


def test_nan_is_noticed_even_if_the_checksum_agrees(tmp_path, monkeypatch):
    monkeypatch.setattr("bmnas.features.feature_set.count_missing", lambda *_args: 0)
    folder = saved(tmp_path, arrays=arrays() | {"Image_1": NAN})
    monkeypatch.undo()
    with pytest.raises(FeatureError, match="01_Image_1.npy.*NaN"):
        FeatureSet.open(folder)


def test_cut_and_missing_and_foreign_files_are_named(tmp_path):
    folder = saved(tmp_path)
    path = folder / "02_Image_2.npy"
    content = path.read_bytes()
    for broken in (content[:-5], content[:20], b"", b"not an array"):
        path.write_bytes(broken)
        with pytest.raises(FeatureError, match="02_Image_2.npy"):
            FeatureSet.open(folder, verify=False)
    path.unlink()
    with pytest.raises(FeatureError, match="02_Image_2.npy"):
        FeatureSet.open(folder)


def test_pickles_are_not_opened(tmp_path):
    folder = saved(tmp_path)
    np.save(folder / "targets.npy", np.array([{}]), allow_pickle=True)
    with pytest.raises(FeatureError, match="targets.npy"):
        FeatureSet.open(folder, verify=False)


MANIFESTS = {
    "schema": (lambda m: m.update(schema=99), "schema is 99"),
    "no schema": (lambda m: m.pop("schema"), "schema is None"),
    "missing field": (lambda m: m.pop("kind"), "the field kind is missing"),
    "wrong type": (lambda m: m.update(L="4"), "L is '4'; expected int"),
    "bool": (lambda m: m.update(L=True), "L is True"),
    "no checksum": (lambda m: m["targets"].pop("sha256"), "targets.sha256 is missing"),
    "shape": (lambda m: m["features"][0].update(shape=[1, 2, 3]), r"01_Image_1.npy: shape is \[12, 3, 4\]"),
    "type": (lambda m: m["features"][1].update(dtype="float32"), "02_Image_2.npy: dtype is float16"),
    "way out": (lambda m: m["features"][0].update(file="../x.npy"), r"features\[0\].file is '../x.npy'"),
    "absolute": (lambda m: m["splits"]["val"].update(file="/x.npy"), "splits.val.file is '/x.npy'"),
    "entry": (lambda m: m["features"].insert(0, 3), r"features\[0\] is 3"),
    "name": (lambda m: m["features"][0].update(name="x"), "manifest.json: feature name 'x'"),
    "length": (lambda m: m.update(L=5), "manifest.json: feature 'Image_1'"),
    "classes": (lambda m: m.update(classes=["a"]), "manifest.json: targets is 1"),
    "class names": (lambda m: m.update(classes=[1, 2, 3]), "manifest.json: classes"),
    "split": (lambda m: m["splits"].pop("val"), "manifest.json: splits"),
    "modality": (lambda m: m.update(modalities={"A": 3}), "modalities is"),
    "modality members": (lambda m: m.update(modalities={"A": [3]}), "manifest.json: modalities"),
    "source": (lambda m: m.update(source="fake"), "manifest.json: source"),
}


@pytest.mark.parametrize(("change", "message"), MANIFESTS.values(), ids=MANIFESTS)
def test_a_manifest_that_does_not_fit_is_refused(tmp_path, change, message):
    folder = saved(tmp_path)
    rewrite(folder, change)
    with pytest.raises(FeatureError, match=message):
        FeatureSet.open(folder)


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "[" * 100_000, '{"schema": NaN}'])
def test_bad_json_is_refused(tmp_path, text):
    folder = saved(tmp_path)
    (folder / "manifest.json").write_text(text)
    with pytest.raises(FeatureError, match=r"manifest.json"):
        FeatureSet.open(folder)


def test_an_absent_set_says_how_to_make_one(tmp_path):
    with pytest.raises(FeatureError, match="01_feature_extraction"):
        FeatureSet.open(tmp_path / "nowhere")


def test_a_moved_folder_opens(tmp_path):
    folder = saved(tmp_path)
    moved = Path(shutil.move(folder, tmp_path / "elsewhere"))
    assert FeatureSet.open(moved).names == make().names


# samples that were recorded together


def test_groups_are_kept_and_change_no_fingerprint(tmp_path):
    arrays, targets = {"A_1": np.ones((6, 3)), "B_1": np.ones((6, 2))}, [0, 1] * 3
    splits = {"train": [0, 1], "val": [2, 3], "test": [4, 5]}
    alone = FeatureSet.from_arrays(arrays, targets, splits)
    grouped = FeatureSet.from_arrays(arrays, targets, splits, groups=["x", "x", "y", "z", "w", "w"])
    again = FeatureSet.open(grouped.save(tmp_path / "grouped"))
    assert again.fingerprint == grouped.fingerprint == alone.fingerprint
    first, second = again.recorded_together(again.rows("test"))
    assert first == second and len(set(again.recorded_together(np.arange(6)))) == 4
    assert FeatureSet.open(alone.save(tmp_path / "alone")).groups is None
    assert alone.recorded_together(alone.rows("test")).tolist() == [4, 5]
    with pytest.raises(FeatureError, match="groups"):
        FeatureSet.from_arrays(arrays, targets, splits, groups=[1, 2])


def test_several_groups_a_sample_are_kept(tmp_path):
    arrays, targets = {"A_1": np.ones((6, 3)), "B_1": np.ones((6, 2))}, [0, 1] * 3
    splits = {"train": [0, 1], "val": [2, 3], "test": [4, 5]}
    groups = np.array([["a", "b"], ["b", "c"], ["d", "e"], ["e", "d"], ["f", "g"], ["f", "h"]])
    crossed = FeatureSet.from_arrays(arrays, targets, splits, groups=groups)
    again = FeatureSet.open(crossed.save(tmp_path / "crossed")).choose(features="A_1,B_1")
    known = again.recorded_together(np.arange(6))
    assert np.array_equal(known[:, :, None, None] == known, groups[:, :, None, None] == groups)
    assert kept_whole(known).tolist() == known[:, 0].tolist()
    assert again.fingerprint == FeatureSet.from_arrays(arrays, targets, splits).fingerprint
