"""Genotypes: the discrete answer of a search, by name, readable and editable by hand.

A Genotype lists N Cells; a Cell lists its two inputs (features or earlier Cells, the first is `x`, the second `y`)
and its Steps; a Step lists a primitive and its inputs (`x`, `y` or earlier Steps). `r` is how many of a Cell's last
states are concatenated at its output (`node_multiplier` in the authors' release; the paper does not name it, but the
sizes it prints need it).
"""

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, ConfigDict, TypeAdapter

from bmnas.errors import GenotypeError
from bmnas.registry import PRIMITIVES, nearest_names
from bmnas.storage.digests import json_sha256
from bmnas.storage.paths import given_path
from bmnas.storage.reading import parse_json, read_json, read_text
from bmnas.storage.validation import validate
from bmnas.storage.whole_files import keep_others, write_text

SCHEMA = 1
CELL_NAME = re.compile(r"Cell_([1-9][0-9]{0,8})")


def cell_name(n: int) -> str:
    """Returns `Cell_n`, counted from 1 as in the paper."""
    return f"Cell_{n}"


def step_name(m: int) -> str:
    """Returns `Step_m`, counted from 1 as in the paper."""
    return f"Step_{m}"


def _printable(name: str) -> str:
    if not name or not name.isprintable():
        raise ValueError("a name of printable characters")
    return name


NodeName = Annotated[str, AfterValidator(_printable)]


@dataclass(frozen=True)
class StepGenotype:
    """One Step: a primitive and as many input nodes as it takes, in the primitive's order."""

    __pydantic_config__ = ConfigDict(extra="forbid")

    primitive: str
    inputs: tuple[NodeName, ...]


@dataclass(frozen=True)
class CellGenotype:
    """One Cell: its two inputs x and y, and its Steps in order."""

    __pydantic_config__ = ConfigDict(extra="forbid")

    inputs: tuple[NodeName, NodeName]
    steps: tuple[StepGenotype, ...]


@dataclass(frozen=True)
class Genotype:
    """A discrete fusion network.

    Args:
        cells: the Cells in order; Cell n may use features and the Cells before it.
        r: how many of a Cell's last states [x, y, Step_1 .. Step_M] its output concatenates (1 <= r <= M + 2).

    Raises:
        GenotypeError: unknown primitive, wrong number of inputs, a node used before it exists, twice the same
            input in a pair, r out of range.
    """

    __pydantic_config__ = ConfigDict(extra="forbid")

    cells: tuple[CellGenotype, ...]
    r: int

    def __post_init__(self) -> None:
        if not isinstance(self.r, int) or isinstance(self.r, bool) or self.r < 1:
            raise GenotypeError(f"r is {self.r!r}; expected a whole number of at least 1")
        if not self.cells:
            raise GenotypeError("cells is empty; a genotype has at least one Cell")
        for n, cell in enumerate(self.cells, start=1):
            _check_cell(n, cell, self.r)

    @property
    def N(self) -> int:
        """The number of Cells."""
        return len(self.cells)

    @property
    def M(self) -> int:
        """The number of Steps of the longest Cell."""
        return max(len(cell.steps) for cell in self.cells)

    @property
    def features(self) -> tuple[str, ...]:
        """The features that some Cell uses, in order of first use."""
        inputs = [name for cell in self.cells for name in cell.inputs if not CELL_NAME.fullmatch(name)]
        return tuple(dict.fromkeys(inputs))

    @property
    def primitives(self) -> tuple[str, ...]:
        """The primitives of its Steps, in order of first use."""
        return tuple(dict.fromkeys(step.primitive for cell in self.cells for step in cell.steps))

    def check(self, features: Iterable[str]) -> None:
        """Makes sure that every feature this genotype uses is among `features`.

        Raises:
            GenotypeError: names the Cell, the input that is missing, and the features there are, nearest first.
        """
        names = list(features)
        for n, cell in enumerate(self.cells, start=1):
            for name in cell.inputs:
                if not CELL_NAME.fullmatch(name) and name not in names:
                    listed = nearest_names(name, names)
                    raise GenotypeError(
                        f"{cell_name(n)} takes {name!r}, which these features do not have; they are (nearest first): "
                        f"{listed}. Use the genotype with the features it was found on, or edit its inputs"
                    )

    def describe(self) -> str:
        """Writes one line a Cell: `Cell_1(x = Video_3, y = Skeleton_4): Step_1 = LinearGLU(x, y)`."""
        return "\n".join(_describe_cell(n, cell) for n, cell in enumerate(self.cells, start=1))

    def to_dict(self) -> dict[str, Any]:
        """Returns plain lists and dictionaries, as `to_json` writes them."""
        cells = [
            {
                "inputs": list(cell.inputs),
                "steps": [{"primitive": step.primitive, "inputs": list(step.inputs)} for step in cell.steps],
            }
            for cell in self.cells
        ]
        return {"schema": SCHEMA, "r": self.r, "cells": cells}

    @classmethod
    def from_dict(cls, data: Any) -> "Genotype":
        """Inverts `to_dict`.

        Raises:
            GenotypeError: names the field that is missing, unknown or of the wrong type.
        """
        if not isinstance(data, dict):
            raise GenotypeError(
                f"the genotype is {type(data).__name__}; expected an object with the fields r and cells"
            )
        fields = dict(data)
        schema = fields.pop("schema", SCHEMA)
        if type(schema) is not int or schema != SCHEMA:
            raise GenotypeError(f"schema is {schema!r}; this version of bmnas reads schema {SCHEMA}")
        return validate(_RECORD, fields, GenotypeError, "genotype")

    def digest(self) -> str:
        """Returns sixteen hexadecimal digits that differ between different genotypes."""
        return json_sha256(self.to_dict())[:16]

    def to_json(self) -> str:
        """Writes JSON with names, one Step a line."""
        return json.dumps(self.to_dict(), indent=2, ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> "Genotype":
        """Reads what `to_json` wrote, or what a person edited.

        Raises:
            GenotypeError: not JSON, or not a genotype.
        """
        try:
            data = parse_json(text)
        except ValueError as error:
            raise GenotypeError(f"the genotype is not JSON: {error}") from error
        return cls.from_dict(data)

    def save(self, path: str | Path) -> None:
        """Writes the JSON to `path`, whole or not at all; it replaces an earlier genotype, but no other file.

        Raises:
            GenotypeError: the file cannot be written, or the one that is there is no genotype; it is kept.
        """
        target = given_path("path", path)
        keep_others(target, "genotype", _is_genotype, GenotypeError)
        write_text(target, self.to_json() + "\n", GenotypeError)

    @classmethod
    def load(cls, path: str | Path) -> "Genotype":
        """Reads a genotype file.

        Raises:
            GenotypeError: names the file, and the field that is wrong.
        """
        path = given_path("path", path)
        text = read_text(path, GenotypeError)
        try:
            return cls.from_json(text)
        except GenotypeError as error:
            raise GenotypeError(f"{path}: {error}") from error


def _is_genotype(path: Path) -> bool:
    """Returns whether a file is a genotype, or was one that a person broke: an object with Cells."""
    try:
        return "cells" in read_json(path, GenotypeError)
    except GenotypeError:
        return False


def _check_cell(n: int, cell: CellGenotype, r: int) -> None:
    where = cell_name(n)
    if len(cell.inputs) != 2 or cell.inputs[0] == cell.inputs[1]:
        raise GenotypeError(f"{where}.inputs is {list(cell.inputs)}; expected two different nodes")
    for name in cell.inputs:
        match = CELL_NAME.fullmatch(name)
        if match and int(match[1]) >= n:
            raise GenotypeError(f"{where}.inputs names {name}, which does not come before {where} (a cycle)")
    if not cell.steps:
        raise GenotypeError(f"{where}.steps is empty; a Cell has at least one Step")
    if r > len(cell.steps) + 2:
        raise GenotypeError(f"r is {r}; {where} has only {len(cell.steps) + 2} states [x, y, Steps] to concatenate")
    nodes = ["x", "y"]
    for m, step in enumerate(cell.steps, start=1):
        _check_step(f"{where}.{step_name(m)}", step, nodes)
        nodes.append(step_name(m))


def _check_step(where: str, step: StepGenotype, nodes: list[str]) -> None:
    if step.primitive not in PRIMITIVES:
        listed = nearest_names(step.primitive, PRIMITIVES)
        raise GenotypeError(f"{where}: unknown primitive {step.primitive!r}; known (nearest first): {listed}")
    arity = PRIMITIVES[step.primitive].arity
    if len(step.inputs) != arity or len(set(step.inputs)) != arity:
        raise GenotypeError(f"{where}.inputs is {list(step.inputs)}; {step.primitive} takes {arity} different nodes")
    for name in step.inputs:
        if name not in nodes:
            listed = ", ".join(nodes)
            raise GenotypeError(f"{where}.inputs names {name!r}; expected one of the nodes before it: {listed}")


def _describe_cell(n: int, cell: CellGenotype) -> str:
    steps = "; ".join(
        f"{step_name(m)} = {step.primitive}({', '.join(step.inputs)})" for m, step in enumerate(cell.steps, start=1)
    )
    return f"{cell_name(n)}(x = {cell.inputs[0]}, y = {cell.inputs[1]}): {steps}"


_RECORD = TypeAdapter(Genotype)
