"""The redundancy map: CKA of matrices whose CKA is known, and the pair that Eq. 3 takes."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import ortho_group, pearsonr

from bmnas.errors import ConfigError
from bmnas.trust.redundancy import RedundancyMap, similarity

X = np.random.default_rng(0).standard_normal((60, 5))


def test_turned_moved_and_scaled_features_are_the_same():
    turned = 3 * X @ ortho_group.rvs(5, random_state=1) + 7
    assert similarity(X, turned) == pytest.approx(1)


@given(st.integers(0, 10**6))
def test_of_single_columns_it_is_the_squared_correlation(seed):
    x, y = np.random.default_rng(seed).standard_normal((2, 30))
    assert similarity(x[:, None], y[:, None]) == pytest.approx(pearsonr(x, y).statistic ** 2)


def test_the_definition_by_products_of_features():
    Y = X[:, :2] + np.random.default_rng(2).standard_normal((60, 2))
    x, y = X - X.mean(0), Y - Y.mean(0)
    expected = np.linalg.norm(y.T @ x) ** 2 / (np.linalg.norm(x.T @ x) * np.linalg.norm(y.T @ y))
    assert similarity(X, Y) == pytest.approx(expected)


def test_uncorrelated_and_constant_features_are_like_no_other():
    even = np.array([1.0, -1, 1, -1])[:, None]
    halves = np.array([1.0, 1, -1, -1])[:, None]
    assert similarity(even, halves) == pytest.approx(0)
    assert similarity(even, np.ones((4, 1))) == 0


def test_different_rows_are_refused():
    with pytest.raises(ConfigError):
        similarity(X, X[:9])


def map_of(merits, alike):
    names = ("A_1", "A_2", "B_1")
    likeness = np.eye(3)
    likeness[0, 1] = likeness[1, 0] = alike
    return RedundancyMap(names, likeness, dict(zip(names, merits, strict=True)))


def test_eq_3_takes_two_good_features_also_where_they_say_the_same():
    alike = map_of((2.0, 1.9, 1.5), 0.9)
    assert alike.best_product == ("A_1", "A_2") and alike.of("A_2", "A_1") == 0.9
    assert "much the same" in alike.sentence() and "differ" in map_of((2.0, 1.9, 1.5), 0.1).sentence()
    assert "ranks no pair" not in alike.sentence() and "ranks no pair" in map_of((0.0, -0.01, 0.0), 0.1).sentence()
