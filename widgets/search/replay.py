"""A finished search shown again as if it were live: speed, to the end, and another search with the next seed."""

import threading
import time
from collections.abc import Callable

import ipywidgets as ipw

from bmnas.errors import BmnasError
from bmnas.searching.run_folder import Run
from bmnas.searching.searchers.recorded_search import recorded_trials
from widgets.live.controls import ButtonRow

WHOLE = 12.0  # seconds that a replay takes at speed 1, where its epochs are many or few enough
SHORTEST, LONGEST = 0.12, 0.9  # seconds an epoch at speed 1
SPEEDS = {"1×": "1", "4×": "4", "16×": "16"}
TICK = 0.05  # seconds between two looks at the buttons


class Replay:
    """Holds back the steps of a recorded search.

    Args:
        steps: how many epochs or short trainings are recorded.
        seed: of the search.

    Attributes:
        next_seed: the seed of the search that was asked for by a click, otherwise None.
        controls: the widgets.
    """

    def __init__(self, steps: int, seed: int) -> None:
        self.steps = steps
        self.next_seed: int | None = None
        self.pause = min(LONGEST, max(SHORTEST, WHOLE / steps))
        self._skipped = threading.Event()
        self.speed = ButtonRow("Replay at", SPEEDS, lambda: None)
        self.skip = ipw.Button(description="To the end", icon="fast-forward", layout=ipw.Layout(width="auto"))
        self.again = ipw.Button(
            description=f"Search again, seed {seed + 1}",
            tooltip="Show the end of this search, then start another one with the next seed",
            icon="refresh",
            layout=ipw.Layout(width="auto"),
        )
        self.skip.on_click(lambda _: self._skipped.set())
        self.again.on_click(lambda _: self._search_again(seed + 1))
        self.controls = (self.skip, self.speed.box, self.again)

    @property
    def skipped(self) -> bool:
        """Whether the rest is to be shown at once."""
        return self._skipped.is_set()

    def wait(self, interrupted: Callable[[], bool]) -> None:
        """Waits as long as an epoch is to be seen, at most until a click or an interrupt."""
        start = time.monotonic()
        while (
            not self.skipped and not interrupted() and time.monotonic() - start < self.pause / float(self.speed.value)
        ):
            time.sleep(TICK)

    def end(self) -> None:
        """Disables the buttons: nothing waits for them any more."""
        for button in (self.skip, self.again, *self.speed.buttons.values()):
            button.disabled = True

    def _search_again(self, seed: int) -> None:
        self.next_seed = seed
        self._skipped.set()
        self.again.disabled = True


def replay_of(run: object) -> Replay | None:
    """Makes the replay of a run whose search is finished; None for any other run."""
    try:
        if isinstance(run, Run) and (trace := run.trace()).is_complete(config := run.config()):
            return Replay(len(trace), config.seed)
    except BmnasError:  # the search itself says what is wrong with the folder
        return None
    return None


def trials_replay(run: object) -> Replay | None:
    """Makes the replay of the short trainings that a run has recorded; None where there are none.

    Whether others follow is not known: some searchers end when they like.
    """
    try:
        if isinstance(run, Run) and (trials := recorded_trials(run)):
            return Replay(len(trials), run.config().seed)
    except BmnasError:
        return None
    return None
