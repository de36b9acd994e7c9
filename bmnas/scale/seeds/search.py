"""Algorithm 1 with several seeds at once: separate searches in one process, in step.

The seeds share the features in memory, the settings and the learning rate. Each has its own initial weights, order of
batches, dropout masks, derivation, best epoch and run folder: those of a search of that seed alone. In float64 both
agree to 1e-10 after every step; in float32 sums are rounded in another order, and `drift` measures the difference.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from functools import partial

from bmnas.config import SearchConfig
from bmnas.errors import ConfigError
from bmnas.features.feature_set import FeatureSet
from bmnas.machine import runs_root
from bmnas.scale.seeds.engine import StackedEngine
from bmnas.searching.algorithm1 import Search, search, search_in_step
from bmnas.searching.footprint import Footprint, check_memory
from bmnas.searching.networks import sketched
from bmnas.searching.run_folder import Run, check_run_name
from bmnas.searching.run_list import run_name
from bmnas.searching.seed_state import SeedState
from bmnas.searching.trace import EpochEvent

Runs = Mapping[int, Run | None]
ALONE = {"compile": None, "bf16": False, "accumulate": 1}
"""Settings that only a search of one seed may change, as they change how the hypernet is computed."""


def seed_runs(
    dataset: str, config: SearchConfig, features: FeatureSet, seeds: int = 1, name: str | None = None
) -> dict[int, Run]:
    """Returns seed -> the folder that its search alone would get, of the seeds config.seed, config.seed + 1, ...

    Args:
        seeds: how many.
        name: of the first seed's folder; the others' get `-s<seed>` behind it.

    Raises:
        ConfigError: `seeds` is no whole number of at least 1.
        RunError: `name`, or `dataset`, is not the name of a folder.
    """
    if type(seeds) is not int or seeds < 1:
        raise ConfigError(f"seeds is {seeds!r}; expected a whole number of at least 1")
    runs = {}
    for seed in range(config.seed, config.seed + seeds):
        if name is None:
            folder = run_name(dataset, config.change(seed=seed), features)
        else:
            folder = check_run_name(str(name) if seed == config.seed else f"{name}-s{seed}")
        runs[seed] = Run(runs_root() / folder)
    return runs


def search_seeds(features: FeatureSet, config: SearchConfig, runs: Runs) -> Iterator[tuple[int, EpochEvent]]:
    """Runs Algorithm 1 for several seeds at once; yields (seed, event) an epoch and seed.

    A run folder holds what a search of that seed alone would leave, and either resumes where the other was
    interrupted. All seeds are recorded before the first event of an epoch is yielded. A finished seed is left out of
    the work; a seed whose loss becomes NaN ends with a warning, and the others continue.

    Args:
        features: shared by all seeds.
        config: of all seeds; its own seed does not matter.
        runs: seed -> its run folder, or None for no folder.

    Raises:
        ConfigError: no seed; features and configuration do not fit; a setting of `ALONE` is another; the memory is not
            enough.
        RunError: see `bmnas.search`.
        SearchDiverged: of the last seed, where no seed could be searched to the end.
    """
    if len(runs) == 1:  # exactly the search of one seed
        ((seed, run),) = runs.items()
        yield from ((seed, event) for event in search(features, config.change(seed=seed), run))
        return
    check(config, runs)
    needed = memory(features, config, len(runs))
    check_memory(needed, config)
    features.tensors(config.device, needed.on_disk)
    states = {seed: SeedState(features, config.change(seed=seed)) for seed in runs}
    folders = {seed: run for seed, run in runs.items() if run is not None}
    yield from search_in_step(states, features, folders, partial(StackedEngine, features))


def check(config: SearchConfig, runs: Runs) -> None:
    """Checks that several seeds can be searched at once.

    Raises:
        ConfigError: see `search_seeds`.
    """
    if not runs:
        raise ConfigError("runs names no seed; expected seed -> run folder (or None), like {0: None, 1: None}")
    plain = {name: value for name, value in ALONE.items() if getattr(config, name) != value}
    if plain:
        settings = ", ".join(f"{name} = {getattr(config, name)!r}" for name in plain)
        raise ConfigError(
            f"{settings} beside {len(runs)} seeds at once, which are computed as they are, in float32 and in whole "
            f"batches. Set {', '.join(f'{name} = {value!r}' for name, value in plain.items())}, or search one seed at "
            "a time"
        )


def memory(features: FeatureSet, config: SearchConfig, seeds: int) -> Footprint:
    """Computes the memory of all seeds: features once, weights twice a seed (in the stack and its own state)."""
    one = sketched(features, config)
    return replace(one, weights=2 * seeds * one.weights, step=seeds * one.step, scoring=seeds * one.scoring)


def drift(features: FeatureSet, config: SearchConfig, trace: Iterable[EpochEvent]) -> list[dict[str, float]]:
    """Measures how far the search of a seed beside others departs from its search alone, which runs here to compare.

    Args:
        config: of that seed.
        trace: its first epochs, as many as shall be compared.

    Returns:
        An epoch: the largest difference of a softmax weight of alpha, beta and gamma, and those of both losses.
    """
    alone = Search(features, config)
    rows = []
    for event in trace:
        other = alone.run_epoch()
        pairs = zip(event.architecture.rows(), other.architecture.rows(), strict=True)
        rows.append(
            {
                "epoch": event.epoch,
                "weights": max(abs(a["weight"] - b["weight"]) for a, b in pairs),
                "train_loss": abs(event.train_loss - other.train_loss),
                "val_loss": abs(event.val_loss - other.val_loss),
            }
        )
    return rows
