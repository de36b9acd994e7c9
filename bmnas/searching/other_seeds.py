"""The runs of one experiment with other seeds."""

from dataclasses import replace

from bmnas.errors import BmnasError
from bmnas.searching.run_folder import CONFIG, Run
from bmnas.searching.run_list import list_runs
from bmnas.searching.run_record import RunRecord
from bmnas.space.genotype import Genotype


def other_seeds(run: Run) -> dict[int, Run]:
    """Returns seed -> run, of those runs beside this one that differ from it in their seed alone, by seed.

    Raises:
        RunError: the record of the run is damaged.
    """
    mine = RunRecord.load(run.path(CONFIG))
    same = {}
    for other in list_runs():
        try:
            theirs = RunRecord.load(other.path(CONFIG))
        except BmnasError:  # a damaged run must not hide the others; asked for by name, it says what is wrong
            continue
        seed = theirs.search["seed"]
        alike = replace(theirs, search=theirs.search | {"seed": mine.search["seed"]})
        if seed != mine.search["seed"] and not alike.differences(mine):
            same[seed] = other
    return dict(sorted(same.items()))


def derived_genotypes(runs: dict[int, Run]) -> list[Genotype]:
    """Returns what Algorithm 1 derived at the best epoch of each run; runs without a finished epoch are left out."""
    return [trace.best.genotype for run in runs.values() if (trace := run.trace()).events]
