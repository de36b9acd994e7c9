"""The authors' release (Somedaywilldo/BM-NAS at ad16360): its names for our parameters, and its genotypes.

Weights trained with the release load into a `Hypernet` or `FusionNetwork` built with `mode="reference"`; its index
genotypes turn into ours. Nothing here runs the release's code.
"""

import re
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from bmnas.errors import BmnasError, GenotypeError
from bmnas.genotype import CellGenotype, Genotype, StepGenotype, cell_name, step_name
from bmnas.hypernet import ARCHITECTURE_NAMES, Hypernet
from bmnas.network import FusionNetwork
from bmnas.primitives import REFERENCE_PRIMITIVES

RELEASE_PRIMITIVES = {
    "Sum": "Sum",
    "ScaleDotAttn": "Attention",
    "LinearGLU": "LinearGLU",
    "ConcatFC": "ConcatFC",
}
_CELL = re.compile(r"(?:fusion_net\.)?cell\._step_nodes\.(\d+)\.node_cell\.(.+)")
_STEP = re.compile(r"node_ops\.(\d+)\.(?:_ops\.(\d+)\.)?(conv|bn|ln)\.(\w+)")
_OUTPUT = {"out_conv": "conv", "bn": "batch_norm", "ln": "norm"}
_LAYER = {"conv": "conv", "bn": "norm", "ln": "norm"}


def our_name(key: str, features: Sequence[str]) -> str:
    """Our parameter name for a key of the release's state_dict.

    Args:
        key: such as `fusion_net.cell._step_nodes.0.node_cell.node_ops.1._ops.2.conv.weight`.
        features: all K features in order (the release numbers its reshape layers).

    Raises:
        BmnasError: the key is not one of the fusion part (backbones, say).
    """
    if match := _CELL.fullmatch(key):
        return f"cells.{cell_name(int(match[1]) + 1)}.{_cell_part(key, match[2])}"
    if match := re.fullmatch(r"reshape_layers\.(\d+)\.(conv|bn)\.(\w+)", key):
        return f"reshape.{features[int(match[1])]}.{_LAYER[match[2]]}.{match[3]}"
    if match := re.fullmatch(r"(?:fusion_net\.)?cell\.ln\.(\w+)", key):
        return f"classifier.norm.{match[1]}"
    if match := re.fullmatch(r"central_classifier\.(\w+)", key):
        return f"classifier.linear.{match[1]}"
    raise BmnasError(f"{key!r} is no parameter of the release's reshape layers, fusion network or classifier")


def _cell_part(key: str, part: str) -> str:
    if match := _STEP.fullmatch(part):
        step = step_name(int(match[1]) + 1)
        primitive = f"primitives.{REFERENCE_PRIMITIVES[int(match[2])]}." if match[2] else ""
        return f"steps.{step}.{primitive}{_LAYER[match[3]]}.{match[4]}"
    layer, _, tensor = part.partition(".")
    if layer not in _OUTPUT:
        raise BmnasError(f"{key!r} is no parameter of a Cell of the release")
    return f"output.{_OUTPUT[layer]}.{tensor}"


def load_reference_state(module: nn.Module, state: Mapping[str, Tensor], features: Sequence[str]) -> None:
    """Loads a release state_dict into a `Hypernet` or `FusionNetwork` of `mode="reference"`.

    The release keeps alpha, beta and gamma outside its state_dict; `load_reference_architecture` sets them.
    Keys of the backbones are to be left out by the caller.

    Raises:
        BmnasError: a key is unknown, of another shape, or one of our parameters gets no value.
    """
    assert isinstance(module, Hypernet | FusionNetwork)
    own = module.state_dict()
    renamed = {our_name(key, features): tensor for key, tensor in state.items()}
    wanted = {key for key in own if key.rpartition(".")[2] not in (*ARCHITECTURE_NAMES, "num_batches_tracked")}
    if missing := sorted(wanted - set(renamed)):
        raise BmnasError(f"the release's state has no value for {missing[0]} ({len(missing)} missing)")
    for key, tensor in renamed.items():
        if key not in own or own[key].shape != tensor.shape:
            expected = tuple(own[key].shape) if key in own else "no such parameter"
            raise BmnasError(f"{key} of the release has shape {tuple(tensor.shape)}; expected {expected}")
    module.load_state_dict(renamed, strict=False)


@torch.no_grad()
def load_reference_architecture(
    hypernet: Hypernet, alphas: Tensor, betas: Sequence[Tensor], gammas: Sequence[Tensor]
) -> None:
    """Sets alpha, beta and gamma from the release's tensors.

    Args:
        alphas: (sum over Cells of their predecessors, 2), columns none and skip.
        betas: a Cell (sum over Steps of their earlier nodes, 2).
        gammas: a Cell (M, primitives).
    """
    rows = iter(alphas)
    for cell, cell_betas, cell_gammas in zip(hypernet.named_cells().values(), betas, gammas, strict=True):
        cell.alpha.copy_(torch.stack([next(rows) for _ in cell.alpha]))
        inner = iter(cell_betas)
        for step, gamma in zip(cell.named_steps().values(), cell_gammas, strict=True):
            step.beta.copy_(torch.stack([next(inner) for _ in step.beta]))
            step.gamma.copy_(gamma)


def from_release_indices(
    edges: Sequence[int], cells: Sequence[tuple[Sequence[int], Sequence[str]]], features: Sequence[str], r: int
) -> Genotype:
    """A genotype from the release's index form.

    Args:
        edges: two node indices a Cell; 0 .. K - 1 are features, K + i is Cell i + 1.
        cells: a Cell (inner edges, inner steps): two node indices a Step (0 is x, 1 is y, 2 + i is Step i + 1), and
            the release's names of the primitives.
        features: all K features in order.
        r: the release's node_multiplier.

    Raises:
        GenotypeError: an index out of range, or an unknown primitive of the release.
    """
    upper = (*features, *(cell_name(n) for n in range(1, len(cells) + 1)))
    found = []
    for i, (inner_edges, inner_steps) in enumerate(cells):
        lower = ("x", "y", *(step_name(m) for m in range(1, len(inner_steps) + 1)))
        try:
            x, y = (upper[j] for j in edges[2 * i : 2 * i + 2])
            steps = tuple(
                StepGenotype(RELEASE_PRIMITIVES[name], tuple(lower[j] for j in inner_edges[2 * m : 2 * m + 2]))
                for m, name in enumerate(inner_steps)
            )
        except (IndexError, KeyError, ValueError) as error:
            raise GenotypeError(f"Cell {i + 1} of the release's genotype is not valid: {error!r}") from error
        found.append(CellGenotype((x, y), steps))
    return Genotype(tuple(found), r)
