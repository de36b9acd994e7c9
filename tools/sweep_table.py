"""The table of a sweep in the terminal: what each point is at, read from the folders, so that other machines count."""

import shutil
import statistics
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from bmnas.searching.read_outs import READING
from bmnas.searching.run_folder import GENOTYPE, TRACE
from bmnas.storage.jobs import Job, Outcome

TICK = 1.0  # seconds between two looks at the folders
HEAD, LEFT = 4, "waiting"


class SweepTable:
    """A line for each job, written over in a terminal; elsewhere a line whenever a job ends."""

    def __init__(self) -> None:
        self.jobs: Sequence[Job] = ()
        self.failed: dict[str, Outcome] = {}
        self.live = sys.stdout.isatty()
        self.started = time.monotonic()
        self._drawn = 0
        self._turn = threading.Lock()

    def show(self, jobs: Sequence[Job]) -> None:
        """Starts a table of other jobs."""
        with self._turn:
            self.jobs = jobs
            self._drawn = 0

    def report(self, outcome: Outcome, done: int, total: int) -> None:
        """Takes in what became of a job."""
        self.failed.pop(outcome.job.digest, None)
        if outcome.wrong:
            self.failed[outcome.job.digest] = outcome
        if not self.live and outcome.status != "read":
            text = outcome.error or (score_text(outcome.job) if outcome.finished else outcome.status)
            print(f"[{done}/{total}] {outcome.job.name}  {outcome.status}  {text}", flush=True)

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Looks at the folders now and then."""
        stop = threading.Event()

        def watch() -> None:
            while not stop.wait(TICK):
                self.draw()

        watcher = threading.Thread(target=watch, daemon=True)
        if self.live:
            watcher.start()
        try:
            yield
        finally:
            stop.set()
            if self.live:
                watcher.join()
                self.draw()

    def draw(self) -> None:
        """Writes the table over the one before."""
        with self._turn:
            lines = self.lines(shutil.get_terminal_size().lines - HEAD)
            back = f"\x1b[{self._drawn}F\x1b[J" if self._drawn else ""
            width = shutil.get_terminal_size().columns
            print(back + "\n".join(line[:width] for line in lines), flush=True)
            self._drawn = len(lines)

    def lines(self, most: int) -> list[str]:
        """Returns the head and as many jobs as fit: those at work and those that failed before the others."""
        errors = {digest: outcome.error for digest, outcome in self.failed.items()}
        states = {job.digest: state(job, errors.get(job.digest, "")) for job in self.jobs}
        done = sum(job.path.exists() for job in self.jobs)
        place = {job.digest: 2 if job.path.exists() else int(states[job.digest] == LEFT) for job in self.jobs}
        rows = [f"{job.name:42} {states[job.digest]}" for job in sorted(self.jobs, key=lambda job: place[job.digest])]
        hidden = [f"... and {len(rows) - most:,} more"] if len(rows) > most else []
        seconds = time.monotonic() - self.started
        return [f"{done:,} of {len(self.jobs):,} done, {seconds:.0f} s", *rows[: max(1, most)], *hidden]


def state(job: Job, error: str) -> str:
    """Returns what a job is at, in a few words."""
    if job.path.exists():
        return score_text(job)
    if error:
        return f"FAILED: {error}"
    if not job.lock.exists():
        return LEFT
    folder = job.arguments.get("folder")
    return "at work" if folder is None else stage(folder, job.arguments["config"].epochs)


def stage(run: Path, epochs: int) -> str:
    """Returns where a run is."""
    if (run / GENOTYPE).exists():
        return f"evaluation, {len(list((run / 'scores').glob('*.json')))} trained"
    try:
        epoch = (run / TRACE).read_bytes().count(b"\n")
    except OSError:
        epoch = 0
    return "read-out" if epoch >= epochs or (run / READING).exists() else f"search, epoch {epoch} of {epochs}"


def score_text(job: Job) -> str:
    """Returns the score of a finished job, and how long it took."""
    scores = job.result().get("scores")
    if not scores:
        return f"done in {job.seconds():.0f} s"
    spread = f" ± {100 * statistics.stdev(scores):.2f}" if len(scores) > 1 else ""
    return f"{100 * statistics.fmean(scores):.2f}{spread} %  ({job.seconds():.0f} s)"
