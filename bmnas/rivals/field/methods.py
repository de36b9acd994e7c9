"""The methods that find a network, by the names that tables give them."""

from bmnas.config import SearchConfig
from bmnas.config.settings import ALGORITHM_1

TITLES = {
    ALGORITHM_1: "BM-NAS",
    "gdas": "GDAS",
    "darts_pt": "DARTS-PT",
    "mfas": "MFAS",
    "dc_nas": "DC-NAS",
    "tpe": "TPE",
    "nsga_ii": "NSGA-II",
    "gp": "GP",
    "spos": "SPOS",
}
"""Method -> its name in tables, where that is another."""


def title_of(method: str) -> str:
    """Returns the name of a method in tables."""
    return TITLES.get(method, method)


def method_of(config: SearchConfig) -> str:
    """Names the method of a search: that of its searcher, or what its settings make of Algorithm 1."""
    if config.searcher != ALGORITHM_1:
        return title_of(config.searcher)
    by_settings = {"gdas": config.relaxation == "gumbel", "darts_pt": config.selection == "darts_pt"}
    return ", ".join(title_of(name) for name, used in by_settings.items() if used) or title_of(ALGORITHM_1)
