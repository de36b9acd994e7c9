"""The hypernet: every choice relaxed by a softmax (sections 3.2 and 3.3, Eqs. 1, 2, 9, 10).

The architecture weights are parameters of the modules they steer, so they are in `state_dict` and move with `.to`:

    cells.Cell_n.alpha                   (K + n - 1, 2)   edges from the features and earlier Cells
    cells.Cell_n.steps.Step_m.beta       (m + 1, 2)       edges from x, y and earlier Steps
    cells.Cell_n.steps.Step_m.gamma      (primitives,)

The two columns of alpha and beta are the logits of Zero and of Identity.

`relaxation="two_slots"` is not the paper's. It keeps the two inputs of a Cell and of a Step apart, so that the search
sees f(x, y) with x other than y and learns the order of operands. The columns are then the logits of the slots x and y,
and the softmax runs over the earlier nodes:

    x = sum_j softmax(alpha[:, 0])_j S_j,    y = sum_j softmax(alpha[:, 1])_j S_j
    Step = sum_f softmax(gamma)_f f(sum_j softmax(beta[:, 0])_j S_j, sum_j softmax(beta[:, 1])_j S_j)

`relaxation="gumbel"` (GDAS) has the same columns. Each pass draws one node a slot and one primitive a Step, see
`bmnas.space.slots`; `temperature` is set before each epoch.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import cast

import torch
from torch import Tensor, nn

from bmnas.errors import ConfigError
from bmnas.space.architecture import Architecture
from bmnas.space.genotype import cell_name, step_name
from bmnas.space.layers import CellOutput, Classifier, check_sizes
from bmnas.space.placeholders import Placeholders
from bmnas.space.primitives import PAPER_PRIMITIVES, PRIMITIVES, REFERENCE_PRIMITIVES, check_mode
from bmnas.space.reshape import Reshape
from bmnas.space.slots import HOT, sample, sampled_pair, slot_mixtures

ARCHITECTURE_INIT = 1e-3  # standard deviation of the logits at the start, as in the release
ARCHITECTURE_NAMES = ("alpha", "beta", "gamma")


def mixed_edges(logits: Tensor, nodes: Sequence[Tensor]) -> Tensor:
    """Computes s = sum_j softmax(alpha_j)_Identity * S_j (Eqs. 1 and 2).

    Zero contributes nothing, so only Identity's weight of each edge is needed.

    Args:
        logits: (edges, 2), columns Zero and Identity.
        nodes: one tensor (B, C, L) an edge.
    """
    weights = logits.softmax(-1)[:, 1]  # (edges,)
    return torch.einsum("e,ebcl->bcl", weights, torch.stack(tuple(nodes)))  # (B, C, L)


class MixedStep(nn.Module):
    """A Step of the hypernet: sum_f softmax(gamma)_f f(s, s), s the mixture of all earlier nodes (Eqs. 9, 10).

    Both inputs of a primitive are the same mixture, as in the release. A primitive that takes more inputs than there
    are earlier nodes is not offered.
    """

    def __init__(
        self, m: int, primitives: Sequence[str], C: int, L: int, dropout: float, mode: str, relaxation: str = "shared"
    ) -> None:
        super().__init__()
        self.relaxation = relaxation
        self.temperature = HOT
        nodes = m + 1  # x, y and the m - 1 Steps before
        offered = [name for name in primitives if PRIMITIVES[name].arity <= nodes]
        self.primitives = nn.ModuleDict({name: PRIMITIVES[name](C, L, dropout, mode) for name in offered})
        self.beta = nn.Parameter(ARCHITECTURE_INIT * torch.randn(nodes, 2))
        self.gamma = nn.Parameter(ARCHITECTURE_INIT * torch.randn(len(offered)))

    def forward(self, nodes: Sequence[Tensor]) -> Tensor:
        if self.relaxation == "gumbel":
            tau = self.temperature if self.training else None
            operands = sampled_pair(self.beta, nodes, tau)  # 2 times (B, C, L)
            place, weight = sample(self.gamma, tau)
            name, primitive = list(self.primitives.items())[place]
            return weight * primitive(*operands[: PRIMITIVES[name].arity])
        if self.relaxation == "two_slots":
            operands = slot_mixtures(self.beta, nodes)  # 2 times (B, C, L)
            outputs = [primitive(*operands[: PRIMITIVES[name].arity]) for name, primitive in self.primitives.items()]
        else:
            s = mixed_edges(self.beta, nodes)  # (B, C, L)
            outputs = [primitive(*[s] * PRIMITIVES[name].arity) for name, primitive in self.primitives.items()]
        return torch.einsum("f,fbcl->bcl", self.gamma.softmax(-1), torch.stack(outputs))  # (B, C, L)


class MixedCell(nn.Module):
    """A Cell of the hypernet: x = y = s_n, or a mixture each, M mixed Steps, and the Cell's output."""

    def __init__(
        self,
        predecessors: int,
        M: int,
        r: int,
        primitives: Sequence[str],
        C: int,
        L: int,
        dropout: float,
        mode: str,
        relaxation: str = "shared",
    ) -> None:
        super().__init__()
        self.relaxation = relaxation
        self.temperature = HOT
        self.alpha = nn.Parameter(ARCHITECTURE_INIT * torch.randn(predecessors, 2))
        steps = {step_name(m): MixedStep(m, primitives, C, L, dropout, mode, relaxation) for m in range(1, M + 1)}
        self.steps = nn.ModuleDict(steps)
        self.output = CellOutput(r, C, L, dropout)

    def named_steps(self) -> dict[str, MixedStep]:
        """Returns Step_1 .. Step_M by name."""
        return cast(dict[str, MixedStep], dict(self.steps.items()))

    def forward(self, predecessors: Sequence[Tensor]) -> Tensor:
        if self.relaxation == "gumbel":
            return self.fuse(*sampled_pair(self.alpha, predecessors, self.temperature if self.training else None))
        if self.relaxation == "two_slots":
            return self.fuse(*slot_mixtures(self.alpha, predecessors))
        s = mixed_edges(self.alpha, predecessors)  # (B, C, L)
        return self.fuse(s, s)

    def fuse(self, x: Tensor, y: Tensor) -> Tensor:
        """Computes the Cell's output for the inputs x and y (the search feeds the mixture to both)."""
        states = [x, y]
        for step in self.steps.values():
            states.append(step(states))
        return self.output(states)  # (B, C, L)


class Hypernet(nn.Module):
    """The relaxed network of Eqs. 1, 2, 9 and 10, computed as the equations read.

    `bmnas.space.algebra.Algebra` computes the same with less work; a search takes that.

    Args:
        channels: feature -> C_in, in the order of the sequence S.
        classes: number of logits.
        C, L: channels and length of all inner representations.
        N, M: number of Cells, and of Steps in a Cell.
        r: how many of a Cell's last states its output concatenates; M when None.
        dropout: probability.
        mode: "paper" or "reference" (what the authors' release computes).
        primitives: names from `PRIMITIVES`; the mode's own when None.
        vectors: the features stored as (C_in, 1).
        tokeniser: how a vector becomes L tokens, see `Reshape`.
        placeholders: fill missing features; None where no sample lacks any.
        relaxation: "shared" (the paper), "two_slots" or "gumbel", see above.

    Raises:
        ConfigError: unknown mode or tokeniser, a size out of range, or a primitive of more operands than slots.
        UnknownNameError: unknown primitive.
    """

    def __init__(
        self,
        channels: Mapping[str, int],
        classes: int,
        C: int,
        L: int,
        N: int,
        M: int,
        r: int | None = None,
        dropout: float = 0.0,
        mode: str = "paper",
        primitives: Sequence[str] | None = None,
        vectors: Iterable[str] = (),
        tokeniser: str = "copy",
        placeholders: Placeholders | None = None,
        relaxation: str = "shared",
    ) -> None:
        super().__init__()
        check_mode(mode)
        self.placeholders = placeholders
        self.relaxation = relaxation
        self.r = M if r is None else r
        names = default_primitives(mode) if primitives is None else tuple(primitives)
        check_sizes(dropout, classes=classes, C=C, L=L, N=N, M=M, r=self.r, **channels)
        _check_choices(len(channels), M, self.r, names)
        _check_relaxation(relaxation, names)
        vectors = set(vectors)
        self.features = tuple(channels)
        self.reshape = nn.ModuleDict(
            {name: Reshape(C_in, C, L, dropout, name in vectors, tokeniser) for name, C_in in channels.items()}
        )
        self.cells = nn.ModuleDict(
            {
                cell_name(n): MixedCell(len(channels) + n - 1, M, self.r, names, C, L, dropout, mode, relaxation)
                for n in range(1, N + 1)
            }
        )
        self.classifier = Classifier(N, C, L, classes)

    def forward(self, batch: Mapping[str, Tensor]) -> Tensor:
        """Logits (B, classes) of a batch, feature -> (B, C_in, L), or (B, C_in, 1) or (B, C_in) of a vector."""
        batch = self.filled(batch)
        nodes = [self.reshape[name](batch[name]) for name in self.features]  # K times (B, C, L)
        for cell in self.cells.values():
            nodes.append(cell(nodes))
        return self.classifier(nodes[len(self.features) :])  # (B, classes)

    def filled(self, batch: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        """Returns the batch, with placeholders where features are missing."""
        return batch if self.placeholders is None else self.placeholders(batch)

    def named_cells(self) -> dict[str, MixedCell]:
        """Returns Cell_1 .. Cell_N by name."""
        return cast(dict[str, MixedCell], dict(self.cells.items()))

    def set_temperature(self, tau: float) -> None:
        """Sets what samples are drawn with where the relaxation is "gumbel"."""
        for module in self.modules():
            if isinstance(module, MixedCell | MixedStep):
                module.temperature = tau

    def architecture_parameters(self) -> list[nn.Parameter]:
        """Lists alpha, beta and gamma: what Algorithm 1 trains on the validation split."""
        return [p for name, p in self.named_parameters() if name.rpartition(".")[2] in ARCHITECTURE_NAMES]

    def weight_parameters(self, reshape: bool = True) -> list[nn.Parameter]:
        """Lists everything else: what Algorithm 1 trains on the training split.

        Args:
            reshape: whether the reshape layers belong to it (the release's NTU search leaves them out).
        """
        return [
            p
            for name, p in self.named_parameters()
            if name.rpartition(".")[2] not in ARCHITECTURE_NAMES and (reshape or not name.startswith("reshape."))
        ]

    @torch.no_grad()
    def architecture(self) -> Architecture:
        """Returns the softmax weights (float32) by name."""
        alpha, beta, gamma, slots = {}, {}, {}, {}
        weights_of = _identity_weights if self.relaxation == "shared" else _slot_weights
        for cell_key, cell in self.named_cells().items():
            predecessors = (*self.features, *alpha)  # the Cells before are those that alpha has already
            alpha[cell_key] = weights_of(predecessors, cell.alpha, slots, cell_key)
            nodes = ("x", "y", *cell.steps)
            beta[cell_key], gamma[cell_key] = {}, {}
            for key, step in cell.named_steps().items():
                beta[cell_key][key] = weights_of(nodes, step.beta, slots, f"{cell_key}.{key}")
                gamma[cell_key][key] = dict(zip(step.primitives, step.gamma.float().softmax(-1).tolist(), strict=True))
        return Architecture(alpha, beta, gamma, slots)


def default_primitives(mode: str) -> tuple[str, ...]:
    """Returns the pool of a mode.

    Raises:
        ConfigError: unknown mode.
    """
    check_mode(mode)
    return PAPER_PRIMITIVES if mode == "paper" else REFERENCE_PRIMITIVES


Slots = dict[str, tuple[dict[str, float], dict[str, float]]]


def _identity_weights(nodes: Sequence[str], logits: Tensor, slots: Slots, place: str) -> dict[str, float]:
    weights = logits.float().softmax(-1)[:, 1].tolist()
    return dict(zip(nodes[: len(weights)], weights, strict=True))


def _slot_weights(nodes: Sequence[str], logits: Tensor, slots: Slots, place: str) -> dict[str, float]:
    """Puts the softmax of each slot into `slots`; returns 1 - (1 - x_j)(1 - y_j), the weight of j in either."""
    weights = logits.float().softmax(0)  # (nodes, 2)
    either = 1 - (1 - weights).prod(1)
    names = nodes[: len(weights)]
    x, y = (dict(zip(names, slot.tolist(), strict=True)) for slot in weights.unbind(1))
    slots[place] = (x, y)
    return dict(zip(names, either.tolist(), strict=True))


def _check_choices(K: int, M: int, r: int, primitives: Sequence[str]) -> None:
    if K < 2:
        raise ConfigError(f"there are {K} features; a Cell chooses two inputs, so at least 2 are needed")
    if r > M + 2:
        raise ConfigError(f"r is {r}; a Cell with M = {M} has only {M + 2} states [x, y, Steps] to concatenate")
    if not any(PRIMITIVES[name].arity <= 2 for name in primitives):
        raise ConfigError(f"primitives is {list(primitives)}; Step_1 has two earlier nodes and none of them fits")


def _check_relaxation(relaxation: str, primitives: Sequence[str]) -> None:
    if relaxation not in ("shared", "two_slots", "gumbel"):
        raise ConfigError(f"relaxation is {relaxation!r}; expected 'shared', 'two_slots' or 'gumbel'")
    wide = [name for name in primitives if PRIMITIVES[name].arity > 2]
    if relaxation != "shared" and wide:
        raise ConfigError(
            f"relaxation is {relaxation!r}, which gives a Step two operands, but {wide[0]} takes "
            f"{PRIMITIVES[wide[0]].arity}; leave it out of primitives, or set relaxation = 'shared'"
        )
