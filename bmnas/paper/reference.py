"""The authors' release (Somedaywilldo/BM-NAS at ad16360): its names for our parameters, and its genotypes.

Weights trained with the release load into a `Hypernet` or `FusionNetwork` built with `mode="reference"`; its
architecture tensors become an `Architecture`, which `derive` reads; its index genotypes turn into ours. Nothing here
runs the release's code.
"""

import re
from collections.abc import Mapping, Sequence

import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn

from bmnas.errors import BmnasError, GenotypeError
from bmnas.space.architecture import Architecture
from bmnas.space.genotype import CellGenotype, Genotype, StepGenotype, cell_name, step_name
from bmnas.space.hypernet import ARCHITECTURE_NAMES, Hypernet
from bmnas.space.network import FusionNetwork
from bmnas.space.primitives import REFERENCE_PRIMITIVES

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
    """Translates a key of the release's state_dict to our parameter name.

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
    raise BmnasError(
        f"{key!r} is no parameter of the release's reshape layers, fusion network or classifier; leave out other keys"
    )


def _cell_part(key: str, part: str) -> str:
    if match := _STEP.fullmatch(part):
        step = step_name(int(match[1]) + 1)
        primitive = f"primitives.{REFERENCE_PRIMITIVES[int(match[2])]}." if match[2] else ""
        return f"steps.{step}.{primitive}{_LAYER[match[3]]}.{match[4]}"
    layer, _, tensor = part.partition(".")
    if layer not in _OUTPUT:
        raise BmnasError(f"{key!r} is no parameter of a Cell of the release")
    return f"output.{_OUTPUT[layer]}.{tensor}"


def load_reference_state(
    module: nn.Module, state: Mapping[str, Tensor], features: Sequence[str], strict: bool = True
) -> None:
    """Loads a release state_dict into a `Hypernet` or `FusionNetwork` of `mode="reference"`.

    The release keeps alpha, beta and gamma outside its state_dict; `load_reference_architecture` sets them.
    Keys of the backbones are to be left out by the caller.

    Args:
        module: a `Hypernet` or `FusionNetwork`.
        state: the release's key -> tensor.
        features: all K features in order, those that a found network leaves out too.
        strict: whether every parameter must get a value; False for a part, such as the release's `fusion_net` alone.

    Raises:
        BmnasError: a key is unknown, of another shape, or one of our parameters gets no value.
    """
    assert isinstance(module, Hypernet | FusionNetwork)
    own = module.state_dict()
    renamed = {our_name(key, features): tensor for key, tensor in state.items()}
    expected_keys = {key for key in own if key.rpartition(".")[2] not in (*ARCHITECTURE_NAMES, "num_batches_tracked")}
    if strict and (missing := sorted(expected_keys - set(renamed))):
        raise BmnasError(
            f"the release's state has no value for {missing[0]} ({len(missing)} missing); "
            "give all of it, or strict=False for a part"
        )
    for key, tensor in renamed.items():
        if key not in own or own[key].shape != tensor.shape:
            expected = tuple(own[key].shape) if key in own else "no such parameter"
            raise BmnasError(f"{key} of the release has shape {tuple(tensor.shape)}; expected {expected}")
    module.load_state_dict(renamed, strict=False)


@torch.no_grad()
def load_reference_architecture(
    hypernet: Hypernet, alphas: ArrayLike, betas: Sequence[ArrayLike], gammas: Sequence[ArrayLike]
) -> None:
    """Sets alpha, beta and gamma from the release's logits: tensors, arrays or lists.

    Args:
        alphas: (sum over Cells of their predecessors, 2), columns none and skip.
        betas: a Cell (sum over Steps of their earlier nodes, 2).
        gammas: a Cell (M, primitives).

    Raises:
        BmnasError: one of them has another shape than this hypernet's.
    """
    cells = list(hypernet.named_cells().values())
    if len(betas) != len(cells) or len(gammas) != len(cells):
        raise BmnasError(f"betas has {len(betas)} Cells and gammas {len(gammas)}; expected N = {len(cells)} of both")
    _fill("alphas", alphas, [cell.alpha for cell in cells])
    for i, cell in enumerate(cells):
        steps = list(cell.named_steps().values())
        _fill(f"betas[{i}]", betas[i], [step.beta for step in steps])
        _fill(f"gammas[{i}]", gammas[i], [step.gamma[None] for step in steps])


def _fill(name: str, logits: ArrayLike, parameters: Sequence[Tensor]) -> None:
    """Copies rows of logits, (rows of all parameters, columns), into the parameters one after the other."""
    values = torch.as_tensor(logits)
    sizes = [len(parameter) for parameter in parameters]
    expected = (sum(sizes), parameters[0].shape[1])
    if tuple(values.shape) != expected:
        raise BmnasError(f"{name} has the shape {tuple(values.shape)}; expected {expected}")
    for parameter, rows in zip(parameters, values.split(sizes), strict=True):
        parameter.copy_(rows)


def reference_architecture(
    alphas: ArrayLike, betas: Sequence[ArrayLike], gammas: Sequence[ArrayLike], features: Sequence[str]
) -> Architecture:
    """Translates the release's logits to softmax weights by name, ready for `derive`; no network is needed.

    Args:
        alphas, betas, gammas: see `load_reference_architecture`; N is `len(gammas)`, M the rows of one of them.
        features: all K features in order.

    Raises:
        BmnasError: their shapes do not belong together.
    """
    if not len(gammas):
        raise BmnasError("gammas is empty; expected (M, primitives) for each Cell")
    shape = dict.fromkeys(features, 1)
    hypernet = Hypernet(shape, classes=1, C=1, L=1, N=len(gammas), M=len(gammas[0]), mode="reference")  # type: ignore[arg-type]
    load_reference_architecture(hypernet, alphas, betas, gammas)
    return hypernet.architecture()


def from_release_indices(
    edges: Sequence[int], cells: Sequence[tuple[Sequence[int], Sequence[str]]], features: Sequence[str], r: int
) -> Genotype:
    """Translates the release's index form to a genotype.

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
    cells_read = []
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
        cells_read.append(CellGenotype((x, y), steps))
    return Genotype(tuple(cells_read), r)
