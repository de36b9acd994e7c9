"""Searches of several seeds at once, each into a folder of its own."""

from bmnas.scale.seeds.search import search_seeds
from bmnas.searching.run_folder import Run

SEEDS = (0, 1, 2)


def in_folders(features, config, folder, seeds=SEEDS):
    """Searches seeds at once into folders; seed -> run."""
    runs = {seed: Run(folder / f"seed{seed}") for seed in seeds}
    for _ in search_seeds(features, config, runs):
        pass
    return runs
