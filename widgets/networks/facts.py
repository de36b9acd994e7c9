"""What a reader wants to know of a node of a genotype: its shapes, its parameters, the formula of its primitive."""

from typing import NamedTuple

from bmnas.config import SearchConfig
from bmnas.features.feature_set import FeatureSet
from bmnas.registry import PRIMITIVES
from bmnas.space.genotype import Genotype, cell_name, step_name
from bmnas.space.layers import count_parameters
from bmnas.space.network import FusionNetwork


class Shapes(NamedTuple):
    """All that decides the shapes and sizes of the networks of a run."""

    channels: dict[str, int]
    classes: int
    C: int
    L: int
    mode: str = "paper"
    vectors: frozenset[str] = frozenset()
    tokeniser: str = "copy"

    @classmethod
    def of(cls, features: FeatureSet, config: SearchConfig) -> "Shapes":
        """Reads the shapes of a run."""
        settings = (config.C, config.L, config.mode, features.vectors, config.tokeniser)
        return cls(features.channels, len(features.classes), *settings)

    def network(self, genotype: Genotype) -> FusionNetwork:
        """Returns the genotype's network.

        Raises:
            GenotypeError: it uses a feature that is not here.
        """
        sizes = (self.channels, self.classes, self.C, self.L)
        return FusionNetwork(genotype, *sizes, 0.0, self.mode, self.vectors, self.tokeniser)


class Facts(NamedTuple):
    """Lines of text by node, named as in `bmnas.space.graph`, and the number of parameters of the whole network."""

    nodes: dict[str, tuple[str, ...]]
    parameters: int


def genotype_facts(genotype: Genotype, shapes: Shapes) -> Facts:
    """Returns the facts of every node, for hovering and for text.

    Raises:
        GenotypeError: the genotype uses a feature that is not here.
    """
    network = shapes.network(genotype)
    inner = f"({shapes.C}, {shapes.L})"
    nodes = {name: _feature(name, shapes, network, inner) for name in shapes.channels}
    for n, cell in enumerate(genotype.cells, start=1):
        name = cell_name(n)
        module = network.cells[name]
        x, y = cell.inputs
        nodes[name] = (f"{name}: x = {x}, y = {y}", f"{inner}, {inner} → {inner}", _count(count_parameters(module)))
        for port, source in zip("xy", cell.inputs, strict=True):
            nodes[f"{name}.{port}"] = (f"{port} of {name} is {source}", inner)
        for m, step in enumerate(cell.steps, start=1):
            nodes[f"{name}.{step_name(m)}"] = (
                f"{step_name(m)} of {name} = {step.primitive}({', '.join(step.inputs)})",
                getattr(PRIMITIVES[step.primitive], "formula", ""),
                f"{', '.join([inner] * len(step.inputs))} → {inner}",
                _count(count_parameters(module.steps[step_name(m)])),  # type: ignore[union-attr, index]
            )
        last = f"the last r = {genotype.r} states, reduced to {inner}; x is added; LayerNorm"
        nodes[f"{name}.output"] = (f"output of {name}", last, _count(count_parameters(module.output)))  # type: ignore[arg-type]
    sizes = network.sizes()
    flat = f"({genotype.N * shapes.C}, {shapes.L}) → {shapes.classes} classes"
    nodes["classifier"] = ("classifier on all Cells", flat, _count(count_parameters(network.classifier)))
    return Facts(nodes, sizes["total"])


def _feature(name: str, shapes: Shapes, network: FusionNetwork, inner: str) -> tuple[str, ...]:
    stored = f"({shapes.channels[name]}, {1 if name in shapes.vectors else shapes.L})"
    if name not in network.reshape:
        return f"{name}: stored {stored}", "not used by this genotype"
    return f"{name}: stored {stored}, reshaped to {inner}", _count(count_parameters(network.reshape[name]))


def _count(parameters: int) -> str:
    return f"{parameters:,} parameters" if parameters != 1 else "1 parameter"
