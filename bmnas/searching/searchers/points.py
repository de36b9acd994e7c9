"""The genotypes of a space as points of categorical parameters: one for the pair of each Cell, one for each Step."""

from typing import Any

from bmnas.space.enumeration import Space
from bmnas.space.genotype import CellGenotype, Genotype, cell_name, step_name

Point = dict[str, int]  # parameter -> place of its value


class Points:
    """The parameters of a space; a Step's parameter is its primitive with its inputs.

    Attributes:
        values: "Cell_n" -> its unordered pairs, and "Cell_n.Step_m" -> what the Step may be.
    """

    def __init__(self, space: Space) -> None:
        self.space = space
        self.values: dict[str, list[Any]] = {}
        for n in range(space.N):
            self.values[cell_name(n + 1)] = space.pairs(n)
            for m in range(space.M):
                self.values[_step(n + 1, m + 1)] = list(space.step_choices(m))

    def of(self, genotype: Genotype) -> Point:
        """Returns the point of a genotype of the space."""
        point: Point = {}
        for n, cell in enumerate(genotype.cells, start=1):
            point[cell_name(n)] = self.values[cell_name(n)].index(cell.inputs)
            for m, step in enumerate(cell.steps, start=1):
                point[_step(n, m)] = self.values[_step(n, m)].index(step)
        return point

    def genotype(self, point: Point) -> Genotype | None:
        """Returns the genotype of a point; None where its pairs break the rule of the space."""
        chosen = {name: values[point[name]] for name, values in self.values.items()}
        pairs = [chosen[cell_name(n)] for n in range(1, self.space.N + 1)]
        if not self.space.allows(pairs):
            return None
        steps = [tuple(chosen[_step(n, m)] for m in range(1, self.space.M + 1)) for n in range(1, self.space.N + 1)]
        return Genotype(tuple(map(CellGenotype, pairs, steps)), self.space.r)


def _step(n: int, m: int) -> str:
    return f"{cell_name(n)}.{step_name(m)}"
