"""A search on planted features in another process, which begins each epoch but the first at a word from its starter."""

import multiprocessing
import os
from multiprocessing.connection import Connection
from pathlib import Path

import bmnas

EPOCHS = 3


class PlantedSearch:
    """The process, which has finished its first epoch.

    Args:
        runs: the folder of its run.
        mark: a file that it leaves in the folder of the run, as the app does.
    """

    def __init__(self, runs: Path, mark: str) -> None:
        fresh = multiprocessing.get_context("forkserver")
        self.steps, its = fresh.Pipe()
        self.process = fresh.Process(target=search_planted, args=(runs, mark, its))
        self.process.start()
        its.close()
        assert self.steps.recv() == 1
        self.pid = self.process.pid

    def go_on(self) -> None:
        """Lets it run its next epoch."""
        self.steps.send("on")

    @property
    def alive(self) -> bool:
        return self.process.is_alive()

    def end(self) -> int | None:
        """Waits for its end -> its exit status."""
        self.process.join(30)
        return self.process.exitcode

    def kill(self) -> None:
        self.process.kill()
        self.end()


def search_planted(runs: Path, mark: str, steps: Connection) -> None:
    """What the process does."""
    os.environ["BMNAS_RUNS"] = str(runs)
    config = bmnas.TASKS["planted"].search_config.change(epochs=EPOCHS, selection="algorithm1", seed=0)
    features = bmnas.prepare("planted", L=config.L)
    run = bmnas.Run(runs / bmnas.run_name("planted", config, features))
    for event in bmnas.search(features, config, run):
        run.path(mark).touch()
        steps.send(event.epoch)
        steps.recv()
    bmnas.read_out(run, features)
