"""Settings of a search and of an evaluation, and the rows of Table 8."""

from bmnas.config.groups import SWITCHES
from bmnas.config.settings import MACHINE, EvalConfig, SearchConfig, identifying
from bmnas.config.table8 import PAPER_CONFIGS

__all__ = ["MACHINE", "PAPER_CONFIGS", "SWITCHES", "EvalConfig", "SearchConfig", "identifying"]
