"""When a view may draw, and what its drawings have cost."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

EARLY, EARLY_DRAWS = 0.25, 5  # seconds between the first drawings, so that a search of a few seconds is seen to move
REDRAW = 1.0  # seconds between later ones, at least
SHORT = 2.0  # seconds; of less than that no share is reported
SHARE = 0.05  # of the wall time may be spent on drawing, once the first drawings are done


class Pace:
    """The clock of a view. Time that a search was paused is left out.

    Attributes:
        draws: how often the view was drawn.
        spent: seconds of all work for the view while the search ran, in the kernel.
        opening: seconds before its first epoch came, among them the wait for the page.
    """

    def __init__(self) -> None:
        self.draws = 0
        self.spent = 0.0
        self.opening = 0.0
        self._start = self._last = self._ended = time.monotonic()
        self._out = self._cost = self._clicks = 0.0

    def start(self, waited: float = 0.0) -> None:
        """Starts the clock. Set-up time and the wait for the browser are reported separately."""
        self.opening += waited
        self._start = time.monotonic()
        self._last = float("-inf")

    def due(self) -> bool:
        """Says whether it is time to draw: not too soon after the last drawing, and within the share of the wall time.

        The next drawing is expected to cost what the last one did. What a watcher asked for by a click is reported in
        the end, but does not make the view wait.
        """
        now = time.monotonic()
        if self.draws < EARLY_DRAWS:
            return now - self._last >= EARLY
        return now - self._last >= REDRAW and self.spent - self._clicks + self._cost <= SHARE * self._wall(now)

    @contextmanager
    def drawing(self) -> Iterator[None]:
        """Counts a drawing and its time."""
        self._last = time.monotonic()
        with self.working():
            yield
        self.draws += 1
        self._cost = time.monotonic() - self._last

    @contextmanager
    def working(self) -> Iterator[None]:
        """Counts the time of other work for the view."""
        start = time.monotonic()
        yield
        self.spent += time.monotonic() - start

    def add(self, seconds: float) -> None:
        """Adds the time of a drawing that a watcher asked for."""
        self.spent += seconds
        self._clicks += seconds

    def leave_out(self, seconds: float) -> None:
        """Leaves a pause out of the time of the search."""
        self._out += seconds

    def end(self) -> None:
        """Stops the clock. Figures made from now on are reported separately."""
        self._ended = time.monotonic()

    def text(self, epochs: int, figures: float) -> str:
        """Reports what the view has cost: `18 of 60 epochs were drawn, which took 0.41 s of the 21.3 s (1.9 %) ...`.

        Args:
            epochs: of the search.
            figures: seconds that the final figures took.
        """
        wall = self._wall(self._ended)
        share = f" ({100 * self.spent / wall:.1f} %)" if wall >= SHORT else ""  # a replay is all drawing
        drawn = min(self.draws, epochs)  # a pause draws the epoch that it stops at once more
        drawing = f"{drawn} of {epochs} epochs were drawn, which took {self.spent:.2f} s of the {wall:.1f} s{share}"
        return f"{drawing}. Opening the view took {self.opening:.1f} s, the final figures {figures:.1f} s."

    def _wall(self, now: float) -> float:
        return now - self._start - self._out
