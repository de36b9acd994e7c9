"""Numbers that files write where a value is missing, such as -999, found where they stand apart in a column."""

import numpy as np

MARKERS = (
    *(sign * number for sign in (-1, 1) for number in (99, 999, 9999, 99999)),
    -32768, 32767, 65535, -2147483648, 2147483647, -1e20, 1e20, -1e30, 1e30,
)  # fmt: skip


class MarkerScan:
    """Looks through columns, block by block, for markers that lie further from the rest than the rest is wide.

    Args:
        columns: how many there are.
    """

    def __init__(self, columns: int) -> None:
        self.low, self.high = np.full(columns, np.inf), np.full(columns, -np.inf)  # of all but markers
        self.marked = {marker: np.zeros(columns, bool) for marker in MARKERS}

    def add(self, rows: np.ndarray) -> None:
        """Looks at rows (k, columns); NaN is no value."""
        with np.errstate(over="ignore", invalid="ignore"):
            markers = np.array(MARKERS).astype(rows.dtype)  # as such rows hold them
            extreme = np.isin(rows, markers) if rows.dtype.kind == "f" else np.isin(rows, MARKERS)
            rest = np.where(extreme, np.nan, rows)
            self.low = np.fmin(self.low, np.fmin.reduce(rest, axis=0, initial=np.inf))
            self.high = np.fmax(self.high, np.fmax.reduce(rest, axis=0, initial=-np.inf))
            if extreme.any():
                for marker, value in zip(MARKERS, markers, strict=True):
                    self.marked[marker] |= (rows == value).any(0)

    def found(self) -> dict[float, np.ndarray]:
        """Returns marker -> columns in which it stands apart, (k,) sorted; markers of no column are left out."""
        width = np.maximum(self.high - self.low, np.finfo(np.float32).tiny)
        apart = {
            marker: np.flatnonzero(
                there & np.isfinite(self.low) & ((marker < self.low - width) | (marker > self.high + width))
            )
            for marker, there in self.marked.items()
        }
        return {marker: columns for marker, columns in apart.items() if len(columns)}
