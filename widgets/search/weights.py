"""Alpha, beta and gamma over the epochs as a record: trace -> WeightsInfo."""

from collections.abc import Iterable, Iterator
from math import nan
from typing import NamedTuple

from bmnas.searching.trace import EpochEvent
from bmnas.space.architecture import Architecture

SYMBOLS = {"alpha": "α", "beta": "β", "gamma": "γ"}
MEANINGS = {
    "alpha": "softmax weight of Identity on the edge node → Cell",
    "beta": "softmax weight of Identity on the edge node → Step",
    "gamma": "softmax weight of the Step's primitive",
}
REACH = 0.05  # an axis of weights reaches at least as far to both sides of undecided
EQUAL = 0.003  # x and y of a search differ by their initial noise, about 0.0003
SAME_INPUT = "x and y get the same input during the search, so their β curves coincide and are drawn as one"

Place = tuple[str, str, str]  # Cell, Step ("" for alpha), node or primitive


class WeightRow(NamedTuple):
    """One softmax weight over the epochs, for instance of `Cell_1 ← Image_3` or `Cell_1.Step_2: Sum`."""

    label: str
    cell: str
    step: str
    name: str
    values: tuple[float, ...]

    @property
    def place(self) -> str:
        """Where the choice is made: `Cell_1` or `Cell_1.Step_2`."""
        return f"{self.cell}.{self.step}" if self.step else self.cell


class WeightsInfo(NamedTuple):
    """All weights of one kind over the epochs."""

    kind: str
    epochs: tuple[int, ...]
    rows: tuple[WeightRow, ...]
    best_epoch: int | None

    @property
    def cells(self) -> list[str]:
        """The Cells in order."""
        return list(dict.fromkeys(row.cell for row in self.rows))

    @property
    def places(self) -> list[str]:
        """The places of choice, Cell by Cell and Step by Step."""
        return list(dict.fromkeys(row.place for row in self.rows))

    @property
    def steps(self) -> list[str]:
        """The Steps in order; one without a name where Cells choose."""
        return list(dict.fromkeys(row.step for row in self.rows))

    @property
    def names(self) -> list[str]:
        """What is weighed: nodes, or primitives."""
        return list(dict.fromkeys(row.name for row in self.rows))

    @property
    def undecided(self) -> float:
        """The weight of a choice that has learnt nothing: 1/2 of an edge, one part of the pool of a primitive."""
        return 1 / len(self.names) if self.kind == "gamma" else 0.5

    @property
    def reach(self) -> list[float]:
        """What an axis of weights shows at least, so that a difference of 0.001 does not look like a decision."""
        return [self.undecided - REACH, self.undecided + REACH]

    @property
    def joined(self) -> "WeightsInfo":
        """The same with one row for x and y wherever their weights coincide, as they do in a search."""
        if self.kind != "beta":
            return self
        inputs = {(row.place, row.name): row for row in self.rows if row.name in ("x", "y")}
        same = set()
        for place in self.places:
            pairs = zip(inputs[place, "x"].values, inputs[place, "y"].values, strict=True)
            if all(abs(x - y) <= EQUAL for x, y in pairs):
                same.add(place)
        rows = []
        for row in self.rows:
            if row.place not in same or row.name not in ("x", "y"):
                rows.append(row)
            elif row.name == "x":  # stands for both
                label = weight_label("beta", row.cell, row.step, "x, y")
                rows.append(row._replace(label=label, name="x, y"))
        return self._replace(rows=tuple(rows))


def weights_info(trace: Iterable[EpochEvent], kind: str, best_epoch: int | None = None, cell: str = "") -> WeightsInfo:
    """Collects the weights of one kind from a trace.

    Args:
        trace: the events of a search.
        kind: "alpha", "beta" or "gamma".
        best_epoch: the epoch to mark, if any.
        cell: the Cell whose weights are collected; all Cells by default.

    Raises:
        ValueError: the trace has no weights of this kind, or is empty.
    """
    values: dict[Place, dict[int, float]] = {}
    epochs = []
    for event in trace:
        epochs.append(event.epoch)
        for place, weight in _weights(event.architecture, kind):
            if cell in ("", place[0]):
                values.setdefault(place, {})[event.epoch] = weight
    if not values:
        raise ValueError(f"the trace has no weights of kind {kind!r}; expected one of {', '.join(SYMBOLS)}")
    rows = [
        WeightRow(weight_label(kind, *place), *place, tuple(series.get(epoch, nan) for epoch in epochs))
        for place, series in values.items()
    ]
    return WeightsInfo(kind, tuple(epochs), tuple(rows), best_epoch)


def weight_label(kind: str, cell: str, step: str, name: str) -> str:
    """Names a weight for readers: `Cell_1 ← Image_3`, `Cell_1.Step_2 ← x`, `Cell_1.Step_2: Sum`."""
    place = f"{cell}.{step}" if step else cell
    return f"{place}: {name}" if kind == "gamma" else f"{place} ← {name}"


def _weights(architecture: Architecture, kind: str) -> Iterator[tuple[Place, float]]:
    if kind == "alpha":
        for cell, nodes in architecture.alpha.items():
            yield from (((cell, "", name), weight) for name, weight in nodes.items())
    elif kind in SYMBOLS:
        for cell, steps in (architecture.beta if kind == "beta" else architecture.gamma).items():
            for step, weights in steps.items():
                yield from (((cell, step, name), weight) for name, weight in weights.items())
