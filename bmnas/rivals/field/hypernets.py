"""The rows of methods that train a hypernet as Algorithm 1 does: GDAS, and DARTS-PT on the hypernet of the paper.

Each searches in a run folder of its own, `searchers/<name>/` of the table's, and resumes there as any search.
"""

from dataclasses import replace

from bmnas.config import SearchConfig
from bmnas.evaluation.results import Evaluation
from bmnas.rivals.field.contest import Contest, Row, genotype_result, search_epochs
from bmnas.rivals.field.methods import title_of
from bmnas.searching.algorithm1 import search
from bmnas.searching.read_outs import read_out
from bmnas.searching.run_folder import Run
from bmnas.training.progress import Progress

METHODS = {
    "gdas": {"relaxation": "gumbel", "selection": "algorithm1"},
    "darts_pt": {"relaxation": "shared", "selection": "darts_pt"},
}
"""Name -> the settings that make it out of Algorithm 1."""


def hypernet_rows(contest: Contest) -> list[Row]:
    """Lists a row for each of `METHODS`."""

    def row(name: str) -> Row:
        title = f"{title_of(name)}, searched"

        def make(contest: Contest, progress: Progress | None) -> Evaluation:
            own = searched_contest(name, contest, progress)
            return genotype_result(contest, title, own.genotype, title_of(name), search_epochs(own), progress)

        return Row(title, "all", make, contest.budget.seeds + 1)

    return [row(name) for name in METHODS]


def method_config(name: str, config: SearchConfig) -> SearchConfig:
    """Returns the settings of a search with those of a method; they are of Algorithm 1 whatever the searcher was."""
    start = SearchConfig()
    of_searchers = {setting: getattr(start, setting) for setting in ("searcher", "budget", "budget_unit", "compile")}
    return replace(config, **of_searchers, **METHODS[name])


def searched_contest(name: str, contest: Contest, progress: Progress | None) -> Contest:
    """Searches by a method with the seed of the contest's search; returns the contest with its run and answer."""
    config = method_config(name, contest.config)
    run = Run(contest.run.path("searchers") / name)
    for event in search(contest.features, config, run):
        if progress is not None:
            progress(f"{title_of(name)}: search", event.epoch, event.epochs)
    selection = read_out(run, contest.features, progress)
    return replace(contest, run=run, config=config, selection=selection, genotype=selection.chosen)
