"""`twodigits`: every pair, found again in scikit-learn's drawings; no drawing in two splits; logits tell nothing."""

import numpy as np
import pytest
from sklearn.datasets import load_digits

from bmnas.errors import ConfigError
from bmnas.machine import data_root
from bmnas.registry import TASKS
from bmnas.rivals.late_fusion import log_probabilities
from bmnas.tasks.preparation import prepare
from bmnas.tasks.twodigits.task import draw_pairs

TASK = TASKS["twodigits"]


@pytest.fixture(scope="module")
def raw():
    return TASK.open_raw(TASK.resolve({}), data_root(), None)


@pytest.fixture(scope="module")
def drawings(raw):
    """Side -> which of scikit-learn's drawings each row shows; equal pictures count as one drawing."""
    pictures = np.asarray(load_digits().data)
    number = {picture.tobytes(): i for i, picture in enumerate(pictures)}
    sides = {}
    for side, images in raw.inputs.items():
        flat = images.reshape(len(images), 64)
        back = np.rint(16 * (flat - flat.min()) / np.ptp(flat))  # 0 to 16, as every side shows both
        sides[side] = np.array([number[picture.astype(np.float64).tobytes()] for picture in back])
    return sides


def test_labels_are_the_sums(raw, drawings):
    digits = np.asarray(load_digits().target)
    assert (raw.labels == (digits[drawings["Left"]] + digits[drawings["Right"]]) % 10).all()
    for side, chosen in drawings.items():
        assert (raw.own_labels[side] == digits[chosen]).all()


def test_no_drawing_is_in_two_splits(raw, drawings):
    groups = {**raw.splits, "backbones": raw.backbone_rows}
    seen = {name: {d for side in drawings.values() for d in side[rows]} for name, rows in groups.items()}
    names = list(seen)
    for i, name in enumerate(names):
        for other in names[i + 1 :]:
            assert not seen[name] & seen[other], (name, other)
    for rows in raw.splits.values():
        assert (drawings["Left"][rows] != drawings["Right"][rows]).all()


def test_digits_of_a_pair_are_uniform_and_independent():
    digits = np.repeat(np.arange(10), 5)
    pairs = digits[draw_pairs(np.arange(50), digits, 20000, np.random.default_rng(0))]
    table = np.histogram2d(pairs[:, 0], pairs[:, 1], bins=10)[0]
    chi2 = ((table - 200) ** 2 / 200).sum()
    assert chi2 < 99 + 5 * np.sqrt(2 * 99)


def test_late_fusion_of_logits_is_at_chance_and_the_digits_are_known(prepared):
    features = prepared("twodigits")
    test = features.rows("test")
    votes = log_probabilities(features)
    alone = {side: np.mean(v[test].argmax(1) == features.targets[test]) for side, v in votes.items()}
    together = np.mean(sum(votes.values())[test].argmax(1) == features.targets[test])
    error = np.sqrt(0.1 * 0.9 / len(test))
    assert all(abs(score - 0.1) < 5 * error for score in (*alone.values(), together))
    sums = (votes["Left"].argmax(1) + votes["Right"].argmax(1)) % 10  # what addition would give
    assert np.mean(sums[test] == features.targets[test]) > 0.9


@pytest.mark.parametrize("samples", [10, 30000, 2.5, "full"])
def test_samples_out_of_range(tmp_path, samples):
    with pytest.raises(ConfigError, match="samples"):
        prepare("twodigits", samples=samples, cache=tmp_path)
