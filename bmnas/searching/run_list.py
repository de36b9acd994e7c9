"""The runs there are: their names, and how one is opened."""

from bmnas.config import SearchConfig
from bmnas.errors import RunError
from bmnas.features.feature_set import FeatureSet
from bmnas.machine import runs_root
from bmnas.registry import nearest_names
from bmnas.searching.run_folder import CONFIG, GENOTYPE, RUN_NAME, Run, check_run_name


def run_name(dataset: str, config: SearchConfig, features: FeatureSet) -> str:
    """Returns `digits-s0-1a2b3c4d`: data set, seed and a digest of settings and features.

    The same command so resumes its run, and any other starts a new one.

    Raises:
        RunError: the name of the data set is none of a folder.
    """
    digest = int(config.digest(), 16) ^ int(features.fingerprint[:8], 16)
    return check_run_name(f"{dataset}-s{config.seed}-{digest:08x}")


def open_run(name: str | None, dataset: str) -> Run:
    """Returns a run by name, or the newest run of the data set that has an answer, if one has.

    A search that is at work elsewhere, or was given up, so does not take the place of one that can be worked with.

    Raises:
        RunError: there is no such run; lists the runs there are.
    """
    runs = list_runs()
    if name is not None:
        name = str(name)  # papermill -p makes a number of digits
        for run in runs:
            if run.name == name:
                return run
        listed = nearest_names(name, [run.name for run in runs])
        raise RunError(f"no run {name!r} in {runs_root()}; there are (nearest first): {listed}")
    of_dataset = [run for run in runs if is_of(run, dataset)]
    if not of_dataset:
        raise RunError(f"no run of {dataset!r} in {runs_root()} yet; run notebook 02 with dataset = {dataset!r} first")
    answered = [run for run in of_dataset if run.path(GENOTYPE).exists()]
    return max(answered or of_dataset, key=lambda run: run.path(CONFIG).stat().st_mtime)


def list_runs() -> list[Run]:
    """Returns all runs in `runs_root()`, by name."""
    folders = [path.parent for path in sorted(runs_root().glob("*/config.json"))]
    return [Run(folder) for folder in folders if RUN_NAME.fullmatch(folder.name)]


def is_of(run: Run, dataset: str) -> bool:
    """Returns whether a run belongs to a data set; a damaged one to none, so that it does not hide the others."""
    try:
        return run.dataset() == dataset
    except RunError:
        return False
