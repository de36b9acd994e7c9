"""When a view may draw, and what its drawings have cost."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

EARLY, EARLY_DRAWS = 0.25, 8  # seconds between the first drawings, so that a search of a few seconds is seen to move
REDRAW = 1.0  # seconds between later ones, at least
SHORT = 2.0  # seconds; of less than that no share is told
SHARE = 0.05  # of the wall time may be spent on drawing, once the first drawings are done


class Pace:
    """The clock of a view. Time that a search was paused is left out."""

    def __init__(self) -> None:
        self.draws, self.spent = 0, 0.0
        self._begun = self._last = self._ended = time.monotonic()
        self._out = 0.0

    def start(self) -> None:
        """Now is the begin; what drawing cost before does not count."""
        self._begun, self._last = time.monotonic(), float("-inf")

    def due(self) -> bool:
        """Whether it is time to draw: not too soon after the last drawing, and within the share of the wall time."""
        waited = time.monotonic() - self._last
        if self.draws < EARLY_DRAWS:
            return waited >= EARLY
        return waited >= REDRAW and self.spent <= SHARE * self._wall(time.monotonic())

    @contextmanager
    def drawing(self) -> Iterator[None]:
        """Around a drawing: counts it and its time."""
        self._last = begun = time.monotonic()
        yield
        self.draws += 1
        self.add(time.monotonic() - begun)

    def add(self, seconds: float) -> None:
        """Time spent on drawing something on request."""
        self.spent += seconds

    def leave_out(self, seconds: float) -> None:
        """A pause."""
        self._out += seconds

    def end(self) -> None:
        """The search is over; figures made from now on are no part of the cost."""
        self._ended = time.monotonic()

    def text(self, epochs: int) -> str:
        """`18 of 60 epochs were drawn, in 0.41 s of 21.3 s (1.9 %)`."""
        wall = self._wall(self._ended)
        share = f" ({100 * self.spent / wall:.1f} %)" if wall >= SHORT else ""  # a replay is all drawing
        drawn = min(self.draws, epochs)  # a pause draws the epoch that it stops at once more
        return f"{drawn} of {epochs} epochs were drawn, in {self.spent:.2f} s of {wall:.1f} s{share}"

    def _wall(self, now: float) -> float:
        return now - self._begun - self._out
