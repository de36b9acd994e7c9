"""`mfeat`: six views of the same drawings, a stated split, and a damaged file that is named."""

import csv
import io
import zipfile

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from bmnas.errors import ConfigError, DataError
from bmnas.tasks.embedded import read_embedded
from bmnas.tasks.mfeat import samples as source
from bmnas.tasks.preparation import prepare


@pytest.fixture(scope="module")
def raw(prepared):
    return prepared("mfeat")


@pytest.mark.parametrize("threads", [1, 2])
def test_features_do_not_depend_on_the_threads_of_blas(raw, tmp_path, threads):
    with threadpool_limits(limits=threads, user_api="blas"):
        assert prepare("mfeat", cache=tmp_path).fingerprint == raw.fingerprint


def test_the_tables_are_those_of_the_archive():
    views, digits = source.read_views()
    assert {view: table.shape for view, table in views.items()} == {v: (2000, n) for v, n in source.VIEWS.items()}
    assert np.bincount(digits).tolist() == [200] * 10
    with zipfile.ZipFile(source.ARCHIVE) as archive:
        rows = list(csv.reader(io.TextIOWrapper(archive.open("mfeat-mor.csv"))))[1:]
    assert [float(cell) for cell in rows[1234][:-1]] == views["Mor"][1234].tolist() and int(rows[1234][-1]) == 6


def test_splits_are_disjoint_balanced_and_seeded(raw):
    splits = raw.splits
    assert {name: len(rows) for name, rows in splits.items()} == {"train": 200, "val": 300, "test": 1100}
    assert len(np.unique(np.concatenate(list(splits.values())))) == 1600
    for rows in splits.values():
        assert len(set(np.bincount(raw.targets[rows]))) == 1
    again, _ = source.split_drawings(0, 200, 0)
    other, _ = source.split_drawings(1, 200, 0)
    assert all((again[name] == splits[name]).all() for name in splits)
    assert (other["test"] != splits["test"]).any()


def test_fewer_samples_leave_val_and_test_as_they_are():
    few, many = source.split_drawings(0, 200, 0)[0], source.split_drawings(0, 600, 0)[0]
    assert (few["val"] == many["val"]).all() and (few["test"] == many["test"]).all()
    assert (few["train"] == many["train"][:200]).all()


def test_views_are_scaled_by_the_training_rows_alone(raw):
    views, _ = source.read_views()
    train = raw.rows("train")
    for view in source.VIEWS:
        values = raw.arrays[f"{view}_1"][:, :, 0].astype(np.float64)
        assert np.abs(values[train].mean(0)).max() < 1e-4
        expected = (views[view] - views[view][train].mean(0)) / np.maximum(views[view][train].std(0), 1e-12)
        moving = views[view][train].std(0) > 0
        assert np.abs(values - expected)[:, moving].max() <= 1e-4


def test_own_answers_are_out_of_fold(raw):
    """Of rows that a model was fitted to it would know nearly all; of others it knows what it knows of test."""
    for view, logits in raw.logits.items():
        right = (logits.argmax(1) == raw.targets).astype(float)
        known = np.concatenate([raw.rows("train"), raw.rows("val")])
        assert abs(right[known].mean() - right[raw.rows("test")].mean()) < 0.06, view
    assert raw.logits["Fac"][raw.rows("test")].argmax(1).__eq__(raw.targets[raw.rows("test")]).mean() > 0.9


def test_two_layers_a_view(tmp_path):
    features = prepare("mfeat", views="mlp", cache=tmp_path)
    assert features.names == tuple(f"{view}_{layer}" for view in source.VIEWS for layer in (1, 2))
    assert {len(names) for names in features.modalities.values()} == {2} and set(features.channels.values()) == {64}
    _, own = source.split_drawings(0, 200, source.BACKBONES)
    assert not np.isin(own, np.concatenate(list(features.splits.values()))).any()


@pytest.mark.parametrize("options", [{"samples": 601}, {"samples": 50}, {"samples": "full"}, {"views": "both"}])
def test_options_out_of_range(tmp_path, options):
    with pytest.raises(ConfigError, match=next(iter(options))):
        prepare("mfeat", cache=tmp_path, **options)


def _cut(path):
    path.write_bytes(path.read_bytes()[:1000])


def _flip(path):
    content = bytearray(path.read_bytes())
    content[5000] ^= 1
    path.write_bytes(content)


def _foreign(path):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("mfeat-fou.csv", "1,2\n")


@pytest.mark.parametrize("spoil", [_cut, _flip, _foreign, lambda path: path.unlink()])
def test_a_damaged_file_is_named_with_the_command_that_restores_it(tmp_path, monkeypatch, spoil):
    copy = tmp_path / "mfeat.zip"
    copy.write_bytes(source.ARCHIVE.read_bytes())
    spoil(copy)
    monkeypatch.setattr(source, "ARCHIVE", copy)
    with pytest.raises(DataError, match=r"mfeat\.zip.*git restore"):
        prepare("mfeat", cache=tmp_path / "cache")


def test_an_embedded_file_is_read_whole(tmp_path):
    (tmp_path / "a").write_bytes(b"abc")
    digest = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"  # FIPS 180-2, appendix B.1
    assert read_embedded(tmp_path / "a", digest) == b"abc"
