"""Random search: genotypes are drawn independently; the best on validation is the answer.

Source: Bergstra and Bengio, JMLR 13 (2012); as the baseline of architecture search, Li and Talwalkar, UAI 2019.
"""

import random

from bmnas.searching.searchers.trials import Further
from bmnas.space.enumeration import Space


def propose_at_random(space: Space, generator: random.Random) -> Further:
    """Proposes random genotypes without end, see `Space.random`."""
    while True:
        yield space.random(generator)
