"""Numbers that stand for a missing value are said, whatever they are and wherever they stand."""

import warnings

import numpy as np
import pytest

import bmnas
from bmnas.scale.own_data.inputs import as_arrays

N = 60
RNG = np.random.default_rng(0)
MARKED = [-99, 99, -999, 999, -9999, 9999, -99999, -32768, 65535, 2147483647, -1e30]


def said(features):
    """The warnings of a feature set of these arrays."""
    splits = {"train": range(40), "val": range(40, 50), "test": range(50, N)}
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        bmnas.FeatureSet.from_arrays(features, targets=np.arange(N) % 2, splits=splits)
    return [str(each.message) for each in caught]


@pytest.mark.parametrize("marker", MARKED)
def test_a_marker_that_stands_apart_is_said(marker):
    x = RNG.normal(size=(N, 3))
    x[[3, 7], 1] = marker
    assert any(
        f"{marker:g} somewhere" in line and "(1)" in line for line in said({"A": x, "B": RNG.normal(size=(N, 2))})
    )


@pytest.mark.parametrize(
    "column",
    [
        np.arange(N) + 40.0,
        np.linspace(-999, 999, N),
        np.full(N, 99.0),
        RNG.integers(0, 100, N),
        -RNG.integers(0, 1000, N),
    ],
)
def test_the_same_number_among_others_of_its_size_is_none(column):
    x = np.stack([RNG.normal(size=N), column], 1)
    assert not [line for line in said({"A": x, "B": RNG.normal(size=(N, 2))}) if "somewhere" in line]


def test_half_precision_holds_markers_as_near_as_it_can():
    x = RNG.normal(size=(N, 3)).astype(np.float16)
    x[3, 1] = 9999
    assert float(x[3, 1]) != 9999
    assert any("9999 somewhere" in line for line in said({"A": x, "B": RNG.normal(size=(N, 2))}))


@pytest.mark.parametrize("shape", [(N, 2, 9), (N, 2, 6, 6)])
def test_pooling_hides_no_marker(shape):
    x = RNG.normal(size=shape)
    x[5, 1, ..., -1] = -999
    with pytest.warns(UserWarning, match="first 1, are -999"):
        as_arrays({"A": x}, 4)
    ragged = [sample[..., : 5 + i % 3] for i, sample in enumerate(RNG.normal(size=(N, 2, 9)))]
    ragged[4][0, 2] = -999
    with pytest.warns(UserWarning, match="first 0, are -999"):
        as_arrays({"A": ragged}, 4)


def test_zeros_at_the_end_of_sequences_look_like_padding():
    x = RNG.normal(size=(N, 2, 9))
    for i in range(0, N, 2):
        x[i, :, 4 + i % 5 :] = 0
    with pytest.warns(UserWarning, match="30 of 60 samples end in zeros"):
        as_arrays({"A": x}, 4)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        as_arrays({"A": RNG.normal(size=(N, 2, 9)), "B": np.maximum(RNG.normal(size=(N, 8, 9)), 0)}, 4)


@pytest.mark.parametrize("name", ["-999", "-99", "-1", "-999.0"])
def test_a_class_that_is_named_like_a_marker_is_said(name):
    splits = {"train": range(40), "val": range(40, 50), "test": range(50, N)}
    x = {"A": RNG.normal(size=(N, 3)), "B": RNG.normal(size=(N, 2))}
    for classes, expected in ((["0", "1", name], 1), (["0", "1", "2"], 0)):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            bmnas.FeatureSet.from_arrays(x, np.arange(N) % 3, splits, classes=classes)
        assert len([each for each in caught if "missing label" in str(each.message)]) == expected
