"""Samples that only the fusion gets right: counted one by one."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from bmnas.features.feature_set import FeatureSet
from bmnas.tasks.base import RawData
from widgets.results.fusion_wins import win_labels, win_pictures, wins, wins_frame

N = 30


def features(kind: str = "multiclass", classes: int = 3) -> FeatureSet:
    rng = np.random.default_rng(0)
    targets = rng.integers(0, classes, N) if kind == "multiclass" else (rng.random((N, classes)) < 0.5).astype("f4")
    logits = {name: rng.normal(size=(N, classes)) for name in ("A", "B")} | {"D": rng.normal(size=(N, classes + 2))}
    arrays = {f"{name}_1": rng.normal(size=(N, 4, 2)) for name in ("A", "B", "D")}
    splits = {"train": np.arange(10), "val": np.arange(10, 18), "test": np.arange(18, N)}
    return FeatureSet.from_arrays(arrays, targets, splits, logits=logits, classes=["<a>", "b", "c"])


def trained(given: FeatureSet, seed: int = 1) -> SimpleNamespace:
    """Stands for a trained network whose answers are known."""
    answers = torch.from_numpy(np.random.default_rng(seed).normal(size=(len(given.rows("test")), 3)))
    answers[::2] += 9 * torch.nn.functional.one_hot(torch.from_numpy(given.targets[given.rows("test")][::2]), 3)
    return SimpleNamespace(shapes={"A_1": (4, 2)}, logits=lambda arrays: answers)


def test_every_sample_is_counted_as_it_should_be() -> None:
    given = features()
    network = trained(given)
    found = wins(network, given)
    rows, right, lost, only = given.rows("test"), 0, 0, []
    for i, row in enumerate(rows):
        fused = int(network.logits(None)[i].argmax()) == given.targets[row]
        alone = any(int(given.logits[name][row].argmax()) == given.targets[row] for name in ("A", "B"))
        right, lost = right + fused, lost + (alone and not fused)
        only += [int(row)] if fused and not alone else []
    assert only and [win.row for win in found.samples] == only
    assert (found.of, found.fusion_right, found.lost, found.modalities) == (len(rows), right, lost, ("A", "B"))
    assert found.fusion_right - len(found.samples) == found.any_right - found.lost
    for win in found.samples:
        assert win.fusion == win.true == given.classes[given.targets[win.row]] and win.true not in win.alone.values()
    frame = wins_frame(found, 2)
    assert list(frame.columns) == ["sample", "true", "A alone", "B alone", "fusion"] and len(frame) <= 2
    assert len(win_labels(found, 3)) == min(3, len(only)) and str(len(only)) in found.summary()


def test_a_label_has_room_for_six_modalities() -> None:
    alone = {"Fou": "6", "Fac": "5", "Kar": "6", "Pix": "0", "Zer": "6", "Mor": "9"}
    info = SimpleNamespace(
        samples=[SimpleNamespace(true="8", alone=alone), SimpleNamespace(true="7", alone={"A": "1"})]
    )
    assert win_labels(info) == ["8, not 6 or 5 ...", "7, not 1"]


def test_a_multilabel_sample_is_right_when_all_its_labels_are() -> None:
    given = features("multilabel")
    targets = torch.from_numpy(given.targets[given.rows("test")])
    found = wins(SimpleNamespace(shapes={"A_1": (4, 2)}, logits=lambda arrays: 20 * targets - 10), given)
    assert found.fusion_right == found.of == len(found.samples) + found.any_right
    assert {win.true for win in found.samples} <= {"none", "<a>", "b", "c", "<a>, b", "<a>, c", "b, c", "<a>, b, c"}


def test_pictures_are_those_of_the_samples() -> None:
    given = features()
    found = wins(trained(given), given)
    pictures = np.random.default_rng(2).normal(size=(N + 5, 1, 3, 3))
    splits = {name: rows + 5 for name, rows in given.splits.items()}  # the first five rows are in no split
    raw = RawData({"A": pictures, "B": np.zeros((N + 5, 7))}, np.zeros(N + 5, "i8"), {}, splits, np.arange(5), "")
    (row,) = win_pictures(found, raw, given)
    assert row.name == "A" and len(row.pictures) == min(8, len(found.samples))
    first = pictures[found.samples[0].row + 5, 0]
    assert row.pictures[0] == pytest.approx(np.round(255 * (first - first.min()) / (first.max() - first.min())), abs=1)
