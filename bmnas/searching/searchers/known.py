"""Fills `SEARCHERS`: a line a searcher."""

from bmnas.registry import SEARCHERS
from bmnas.searching.searchers.dc_nas import propose_by_groups
from bmnas.searching.searchers.local_search import propose_neighbours
from bmnas.searching.searchers.mfas import propose_by_surrogate
from bmnas.searching.searchers.optuna_samplers import gaussian_process, nsga_ii, tpe
from bmnas.searching.searchers.random_search import propose_at_random
from bmnas.searching.searchers.regularised_evolution import propose_by_evolution
from bmnas.searching.searchers.spos import SinglePathOneShot

SEARCHERS["random"] = propose_at_random
SEARCHERS["local_search"] = propose_neighbours
SEARCHERS["regularised_evolution"] = propose_by_evolution
SEARCHERS["mfas"] = propose_by_surrogate
SEARCHERS["dc_nas"] = propose_by_groups
SEARCHERS["tpe"] = tpe
SEARCHERS["nsga_ii"] = nsga_ii
SEARCHERS["gp"] = gaussian_process
SEARCHERS["spos"] = SinglePathOneShot()
