"""Genotypes as short lists: a truth table holds thousands of them."""

from typing import Any

from bmnas.space.genotype import CellGenotype, Genotype, StepGenotype


def to_lists(genotype: Genotype) -> list[Any]:
    """Writes a list a Cell: x, y, and a list a Step of its primitive and inputs; r is not part of it."""
    return [[*cell.inputs, *([step.primitive, *step.inputs] for step in cell.steps)] for cell in genotype.cells]


def from_lists(lists: list[Any], r: int) -> Genotype:
    """Inverts `to_lists`.

    Raises:
        ValueError, TypeError, IndexError: it is something else.
    """
    cells = []
    for x, y, *steps in lists:
        cells.append(CellGenotype((x, y), tuple(StepGenotype(name, tuple(inputs)) for name, *inputs in steps)))
    return Genotype(tuple(cells), r)
