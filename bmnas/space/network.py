"""FusionNetwork: the discrete network of a genotype, trained in the evaluation (section 3.4)."""

from collections.abc import Iterable, Mapping, Sequence

from torch import Tensor, nn

from bmnas.space.genotype import CellGenotype, Genotype, cell_name, step_name
from bmnas.space.layers import CellOutput, Classifier, check_sizes, count_parameters
from bmnas.space.placeholders import Placeholders
from bmnas.space.primitives import PRIMITIVES, check_mode
from bmnas.space.reshape import Reshape, alike_inputs


class FusionCell(nn.Module):
    """A Cell whose Steps are single primitives with chosen inputs."""

    def __init__(self, cell: CellGenotype, r: int, C: int, L: int, dropout: float, mode: str) -> None:
        super().__init__()
        self.genotype = cell
        self.steps = nn.ModuleDict(
            {step_name(m): PRIMITIVES[s.primitive](C, L, dropout, mode) for m, s in enumerate(cell.steps, start=1)}
        )
        self.output = CellOutput(r, C, L, dropout)

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        return self.output(cell_states(self.genotype, self.steps.values(), x, y))  # (B, C, L)


def cell_states(cell: CellGenotype, primitives: Iterable[nn.Module], x: Tensor, y: Tensor) -> list[Tensor]:
    """Computes the states [x, y, Step_1, ...] of a discrete Cell, each (B, C, L).

    Args:
        primitives: one a Step.
    """
    states = {"x": x, "y": y}
    for m, (step, primitive) in enumerate(zip(cell.steps, primitives, strict=True), start=1):
        states[step_name(m)] = primitive(*[states[node] for node in step.inputs])  # (B, C, L)
    return list(states.values())


class FusionNetwork(nn.Module):
    """The network of a genotype on stored features. Only the features that the genotype uses are reshaped.

    Args:
        genotype: what to build.
        channels: feature -> C_in; may hold more features than the genotype uses.
        classes: number of logits.
        C, L: channels and length of all inner representations.
        dropout: probability.
        mode: "paper" or "reference": which LinearGLU.
        vectors: the features stored as (C_in, 1).
        tokeniser: how a vector becomes L tokens, see `Reshape`.
        placeholders: fill missing features, of at least those that the genotype uses; None where no sample lacks any.

    Raises:
        GenotypeError: the genotype uses a feature that `channels` does not have.
        ConfigError: unknown mode or tokeniser, or a size out of range.
    """

    def __init__(
        self,
        genotype: Genotype,
        channels: Mapping[str, int],
        classes: int,
        C: int,
        L: int,
        dropout: float = 0.0,
        mode: str = "paper",
        vectors: Iterable[str] = (),
        tokeniser: str = "copy",
        placeholders: Placeholders | None = None,
    ) -> None:
        super().__init__()
        genotype.check(channels)
        check_mode(mode)
        check_sizes(dropout, classes=classes, C=C, L=L, **channels)
        vectors = set(vectors)
        self.genotype = genotype
        self.alike = alike_inputs(channels, vectors, L, tokeniser, genotype.N)
        self.placeholders = None if placeholders is None else placeholders.only(genotype.features)
        self.reshape = nn.ModuleDict(
            {
                name: Reshape(C_in, C, L, dropout, name in vectors, tokeniser)
                for name, C_in in channels.items()
                if name in genotype.features
            }
        )
        self.cells = nn.ModuleDict(
            {
                cell_name(n): FusionCell(cell, genotype.r, C, L, dropout, mode)
                for n, cell in enumerate(genotype.cells, start=1)
            }
        )
        self.classifier = Classifier(genotype.N, C, L, classes)

    def forward(self, batch: Mapping[str, Tensor]) -> Tensor:
        """Returns logits (B, classes) of a batch, feature -> (B, C_in, L), or (B, C_in, 1) or (B, C_in) of a vector."""
        return self.classifier(self.fuse(batch))  # (B, classes)

    def fuse(self, batch: Mapping[str, Tensor]) -> Sequence[Tensor]:
        """The outputs of all Cells, each (B, C, L)."""
        batch = batch if self.placeholders is None else self.placeholders(batch)
        nodes = {name: layer(batch[name]) for name, layer in self.reshape.items()}  # (B, C, L) each
        for (name, cell), chosen in zip(self.cells.items(), self.genotype.cells, strict=True):
            x, y = chosen.inputs
            nodes[name] = cell(nodes[x], nodes[y])  # (B, C, L)
        return [nodes[name] for name in self.cells]

    def sizes(self) -> dict[str, int]:
        """Counts the parameters: reshape layers, Cells with the norm of the classifier, its Linear, and all.

        The release counts the LayerNorm before the classifier with the fusion; so do the sizes in Table 8.
        """
        linear = count_parameters(self.classifier.linear)
        reshape = count_parameters(self.reshape)
        fusion = count_parameters(self.cells) + count_parameters(self.classifier.norm)
        return {"reshape": reshape, "fusion": fusion, "classifier": linear, "total": reshape + fusion + linear}
