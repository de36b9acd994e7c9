"""`ink`: the label is what the pixels say, and the digit says nothing about it."""

import numpy as np
import pytest
from sklearn.datasets import load_digits

from bmnas.errors import ConfigError
from bmnas.machine import data_root
from bmnas.registry import TASKS
from bmnas.tasks.ink.task import MARGIN, draw_pairs

TASK = TASKS["ink"]


@pytest.fixture(scope="module")
def raw():
    return TASK.open_raw(TASK.resolve({"samples": 400}), data_root(), None)


def test_the_label_is_the_side_with_more_ink(raw):
    rows = np.concatenate(list(raw.splits.values()))
    left, right = (raw.inputs[side][rows].sum((1, 2, 3)) for side in ("Left", "Right"))
    assert TASK.classes == ("Left", "Right")
    assert (raw.labels[rows] == (right > left)).all()


def test_both_drawings_show_one_digit_and_differ(raw):
    rows = np.concatenate(list(raw.splits.values()))
    assert (raw.own_labels["Left"][rows] == raw.own_labels["Right"][rows]).all()
    assert (raw.inputs["Left"][rows] != raw.inputs["Right"][rows]).any((1, 2, 3)).all()
    shares = [raw.labels[rows][raw.own_labels["Left"][rows] == digit].mean() for digit in range(10)]
    assert min(shares) > 0.35 and max(shares) < 0.65  # no digit gives the side away


def test_no_drawing_is_in_two_splits(raw):
    groups = {**raw.splits, "backbones": raw.backbone_rows}
    seen = {
        name: {picture.tobytes() for side in raw.inputs.values() for picture in side[rows]}
        for name, rows in groups.items()
    }
    assert sum(map(len, seen.values())) == len(set().union(*seen.values()))


def test_pairs_differ_by_the_margin():
    drawings, digits = (np.asarray(part) for part in load_digits(return_X_y=True))
    ink = drawings.sum(1)
    pairs = draw_pairs(np.arange(300), digits, ink, 500, np.random.default_rng(0))
    assert pairs.max() < 300 and np.abs(ink[pairs[:, 0]] - ink[pairs[:, 1]]).min() >= MARGIN
    assert (digits[pairs[:, 0]] == digits[pairs[:, 1]]).all()


@pytest.mark.parametrize("samples", [10, 30000, "full"])
def test_samples_out_of_range(samples):
    with pytest.raises(ConfigError, match="samples"):
        TASK.open_raw(TASK.resolve({"samples": samples}), data_root(), None)
