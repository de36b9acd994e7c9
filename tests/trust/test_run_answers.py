"""The rankings behind the answers of a run: those by which each read-out chooses its candidates."""

import pytest

from bmnas.searching.algorithm1 import Search
from bmnas.searching.read_outs import select
from bmnas.space.enumeration import Space
from bmnas.trust.run_answers import ranking_score
from tests.support.tiny import CONFIG, tiny_features


@pytest.mark.parametrize("rule", ["shortlist", "best_ranked"])
def test_the_ranking_is_that_of_the_read_out(rule):
    features, config = tiny_features(), CONFIG.change(primitives=("Sum", "LinearGLU"), selection=rule, path_epochs=3)
    search = Search(features, config)
    derived = search.run_epoch().genotype
    score = ranking_score(search.hypernet, features, config)
    assert score is not None
    order = sorted(Space.of(features.names, config).genotypes(), key=score, reverse=True)
    answer = select(search.hypernet, derived, features, config)
    listed = [one for one in answer.candidates if one.genotype in order]
    assert len(listed) > 4
    if rule == "best_ranked":
        assert all(score(order[one.rank - 1]) == score(one.genotype) for one in listed)
    else:  # networks outside the space are ranked too
        assert sorted(listed, key=lambda one: -score(one.genotype)) == sorted(listed, key=lambda one: one.rank)


def test_algorithm_1_ranks_no_networks():
    features, config = tiny_features(), CONFIG.change(selection="algorithm1")
    assert ranking_score(Search(features, config).hypernet, features, config) is None
