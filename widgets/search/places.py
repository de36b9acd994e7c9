"""Where the six panels of a search stand: axes, room for names, legends and colour bars, in pixels of one figure."""

from collections.abc import Iterable
from typing import NamedTuple

from widgets import style

HEIGHT = 960
TOP, NOTE, BOTTOM = 62, 34, 88  # pixels above the panels, more of them for a note of two lines, and below the panels
CHARACTER = 6.7  # pixels, a generous mean of the font at 12 pixels
KEY = 46  # pixels of a legend's line and its margins
NUMBERS = 50  # pixels of an axis' numbers
AIR = 10
NAME = 16  # characters of a name in a legend at most
UPPER, MIDDLE, LOWER = (0.69, 1.0), (0.345, 0.61), (0.03, 0.265)  # shares of the height
PANELS = {
    "alpha": ("left", UPPER),
    "beta": ("right", UPPER),
    "gamma": ("left", MIDDLE),
    "entropy": ("right", MIDDLE),
    "score": ("left", LOWER),
    "loss": ("right", LOWER),
}


class Places(NamedTuple):
    """Left and right margin of the figure, and the panels' columns as shares of what is between them."""

    left: float
    right: float
    columns: dict[str, tuple[float, float]]

    def share(self, pixels: float) -> float:
        """Pixels as a share of the width between the margins."""
        return pixels / (style.WIDTH - self.left - self.right)


def places(rows: Iterable[str] = (), more_rows: Iterable[str] = (), keys: Iterable[str] = ()) -> Places:
    """Two columns of panels, as wide as names and legends allow.

    Args:
        rows: names at the left column's axes; none where these have numbers.
        more_rows: names at the right column's axes.
        keys: names in the legends, which stand to the right of their panels.
    """
    legend = KEY + CHARACTER * max([len(short(name)) for name in keys] + [len("best: epoch 10")])
    left = max([NUMBERS, *(AIR + CHARACTER * len(name) for name in rows)])
    middle = max([NUMBERS, *(AIR + CHARACTER * len(name) for name in more_rows)])
    panel = (style.WIDTH - left - middle - 2 * legend) / 2
    width = style.WIDTH - left - legend
    starts = {"left": 0.0, "right": panel + legend + middle}
    columns = {column: (start / width, min((start + panel) / width, 1.0)) for column, start in starts.items()}
    return Places(left, legend, columns)


def short(name: str) -> str:
    """A name that fits into a legend."""
    return name if len(name) <= NAME else name[: NAME - 1] + "…"


def axis_number(panel: str) -> str:
    """The number of a panel's axes and legend, as plotly counts: "", "2", "3", ..."""
    place = list(PANELS).index(panel) + 1
    return "" if place == 1 else str(place)


def room(panel: str, noted: bool) -> float:
    """The height of a panel in pixels."""
    low, high = PANELS[panel][1]
    return (HEIGHT - top(noted) - BOTTOM) * (high - low)


def top(noted: bool) -> int:
    """The margin above the panels, with or without a note under the title."""
    return TOP + (NOTE if noted else 0)
