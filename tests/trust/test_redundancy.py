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


def criterion(K, L):
    """The unbiased Hilbert-Schmidt criterion as Song et al. (2012), Eq. 5, print it."""
    n, one = len(K), np.ones(len(K))
    K, L = K - np.diag(np.diag(K)), L - np.diag(np.diag(L))
    parts = np.trace(K @ L) + one @ K @ one * (one @ L @ one) / ((n - 1) * (n - 2)) - 2 / (n - 2) * one @ K @ L @ one
    return parts / (n * (n - 3))


@given(st.integers(0, 10**6), st.integers(4, 20))
def test_it_is_the_normalised_unbiased_criterion(seed, n):
    rng = np.random.default_rng(seed)
    x, y = rng.standard_normal((n, 3)), rng.standard_normal((n, 2))
    y += x[:, :2]
    K, L = x @ x.T, y @ y.T
    expected = criterion(K, L) / (criterion(K, K) * criterion(L, L)) ** 0.5
    assert similarity(x, y) == pytest.approx(min(max(expected, 0), 1), abs=1e-9)


def test_unrelated_wide_features_are_unlike():
    x, y = np.random.default_rng(3).standard_normal((2, 30, 500))
    gram, other = (z @ z.T for z in (x - x.mean(0), y - y.mean(0)))
    assert (gram * other).sum() / np.linalg.norm(gram) / np.linalg.norm(other) > 0.9  # the plain estimate
    assert similarity(x, y) < 0.2


def test_of_many_rows_it_is_the_plain_one():
    x = np.random.default_rng(2).standard_normal((900, 1))
    y = x + np.random.default_rng(4).standard_normal((900, 1))
    assert similarity(x, y) == pytest.approx(pearsonr(x[:, 0], y[:, 0]).statistic ** 2, abs=0.01)


def test_a_constant_feature_is_like_no_other():
    assert similarity(X, np.ones((60, 1))) == 0


def test_different_or_few_rows_are_refused():
    for x, y in ((X, X[:9]), (X[:3], X[:3])):
        with pytest.raises(ConfigError):
            similarity(x, y)


def map_of(merits, alike):
    names = ("A_1", "A_2", "B_1")
    likeness = np.eye(3)
    likeness[0, 1] = likeness[1, 0] = alike
    return RedundancyMap(names, likeness, dict(zip(names, merits, strict=True)))


def test_eq_3_takes_two_good_features_also_where_they_say_the_same():
    alike = map_of((2.0, 1.9, 1.5), 0.9)
    assert alike.best_product == ("A_1", "A_2") and alike.of("A_2", "A_1") == 0.9
    assert "much the same" in alike.sentence() and "differ" in map_of((2.0, 1.9, 1.5), 0.1).sentence()
    only = map_of((0.0, 0.5, 0.0), 0.1).sentence()
    assert "ranks no pair" in only and [name for name in alike.names if name in only] == [alike.names[1]]
    assert "ranks no pair" not in alike.sentence() and "ranks no pair" in map_of((0.0, -0.01, 0.0), 0.1).sentence()
