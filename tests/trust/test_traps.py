"""Searches on traps: the planted answer is taken, or the report says that nothing speaks for fusion."""

import pytest

from bmnas.config import SearchConfig
from bmnas.searching.algorithm1 import Search
from bmnas.searching.read_outs import select
from bmnas.space.equivalence import living_features
from bmnas.trust.traps import COPIES, EXPECTED, XOR, trap

CONFIG = SearchConfig(
    C=8, L=1, N=1, M=1, epochs=8, batch_size=32, arch_lr=1e-2, max_lr=1e-2, primitives=("Sum", "LinearGLU", "ConcatFC"),
    selection="shortlist", device="cpu", threads=1, show_progress=False,
)  # fmt: skip
PLANTED = {COPIES: [{"A_1", "B_1"}, {"A_2", "B_1"}], XOR: [{"A_2", "B_2"}]}


@pytest.mark.parametrize("name", EXPECTED)
def test_a_search_takes_the_planted_answer_or_says_that_one_modality_is_as_good(name):
    features = trap(name, samples=200)
    search = Search(features, CONFIG)
    events = [search.run_epoch() for _ in range(CONFIG.epochs)]
    answer = select(search.hypernet, events[events[-1].best_epoch - 1].genotype, features, CONFIG)
    if name in PLANTED:
        assert set(living_features(answer.chosen)) in PLANTED[name] and "points less" in answer.comparison()
    else:
        assert "A" in answer.modalities
        assert answer.modalities == ("A",) or "do not tell the two apart" in answer.comparison()
        assert "points less" not in answer.comparison()
