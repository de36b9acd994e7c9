"""The hypernets of S seeds as one: every parameter and buffer has a leading dimension of seeds.

The hypernet's algebra is mapped over that dimension (`torch.func.vmap`): a step of S hypernets has as many operations
as a step of one, each S times as large. Dropout of the mapped copy takes masks that were drawn before the pass. Each
seed's come from that seed's generator, as its separate run would draw them. A convolution of width 1 in a primitive of
one's own is a matrix product there: a batch of weights makes it a batched product, which is quicker than groups.
"""

import copy
from collections.abc import Iterator, Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.func import functional_call, stack_module_state, vmap
from torch.nn.functional import linear

from bmnas.errors import ConfigError
from bmnas.space.algebra import Algebra
from bmnas.space.hypernet import Hypernet
from bmnas.space.layers import BatchNorm, Dropout, Pointwise, draw_mask


class StackedHypernet:
    """S hypernets of one shape.

    Args:
        nets: they are copied.

    Attributes:
        parameters, buffers: name in the hypernet -> (S, ...).
        generators: one a seed; what dropout draws from in train mode, layer by layer as a single hypernet would.
    """

    def __init__(self, nets: Sequence[Hypernet]) -> None:
        parameters, self.buffers = stack_module_state(list(nets))  # type: ignore[arg-type]
        self.parameters = {name: nn.Parameter(tensor.detach()) for name, tensor in parameters.items()}
        self.generators: Sequence[torch.Generator] = ()
        self.masks = Masks()
        self.mask_shapes: dict[tuple[torch.Size, ...], list[tuple[tuple[int, ...], int]]] = {}
        self.template = copy.deepcopy(nets[0]).to("meta")
        for part in list(self.template.modules()):
            for name, layer in part.named_children():
                setattr(part, name, self._mapped(layer))
        self.algebra = Algebra(self.template)

    def _mapped(self, layer: nn.Module) -> nn.Module:
        """Returns what stands for a layer in the copy that is mapped."""
        if isinstance(layer, nn.Dropout):
            return SeedDropout(layer.p, self.masks)
        if isinstance(layer, BatchNorm):
            return SeedNorm(layer.num_features, layer.eps, layer.momentum, device="meta")
        if isinstance(layer, nn.Conv1d) and type(layer) in (nn.Conv1d, Pointwise):
            plain = layer.kernel_size == layer.stride == (1,) and layer.padding == (0,)
            return SeedPointwise(layer) if plain else layer
        return layer

    def of(self, parameters: Sequence[nn.Parameter], net: Hypernet) -> list[nn.Parameter]:
        """Returns the stacked tensors of some parameters of one of the hypernets, in their order."""
        names = {id(parameter): name for name, parameter in net.named_parameters()}
        return [self.parameters[names[id(parameter)]] for parameter in parameters]

    def state(self, s: int) -> dict[str, Tensor]:
        """Returns the `state_dict` of seed number s."""
        return {name: tensor[s].detach() for name, tensor in {**self.parameters, **self.buffers}.items()}

    def train(self, on: bool = True) -> None:
        """Sets train or eval mode."""
        self.template.train(on)

    def __call__(self, batch: Mapping[str, Tensor], shared: bool = False) -> Tensor:
        """Computes logits (S, B, classes).

        Args:
            batch: feature -> (S, B, C_in, L or 1); (B, C_in, L or 1), the same for all seeds, where `shared`.

        Raises:
            ConfigError: a primitive cannot be mapped over seeds.
        """
        try:
            masks = self._draw({} if shared else batch)
            over = (0, 0, None if shared else 0, 0)
            return vmap(self._one, in_dims=over)(self.parameters, self.buffers, dict(batch), masks)
        except RuntimeError as error:
            if not any(word in str(error) for word in ("vmap", "meta")):
                raise
            cells = self.template.named_cells().values()
            steps = [step for cell in cells for step in cell.named_steps().values()]
            names = dict.fromkeys(name for step in steps for name in step.primitives)
            raise ConfigError(
                f"a primitive of {list(names)} cannot be computed for several seeds at once: {error}. "
                "Search the seeds one after another, or write it without branches on values and with dropout as the "
                "only random numbers"
            ) from error

    def _one(
        self,
        parameters: Mapping[str, Tensor],
        buffers: Mapping[str, Tensor],
        batch: dict[str, Tensor],
        masks: list[Tensor],
    ) -> Tensor:
        self.masks.ready = iter(masks)
        state = {f"hypernet.{name}": tensor for name, tensor in {**parameters, **buffers}.items()}
        return functional_call(self.algebra, state, (batch,))  # (B, classes)

    def _draw(self, batch: Mapping[str, Tensor]) -> list[Tensor]:
        """Draws the masks (S, B, L, C) of a pass in train mode, in the order in which its layers ask for them."""
        like = next(iter(batch.values()), None)
        if like is None or not self.template.training:
            return []
        return [
            torch.stack([draw_mask(shape, dropped, like, generator) for generator in self.generators])
            for shape, dropped in self._masks_of(batch)
        ]

    def _masks_of(self, batch: Mapping[str, Tensor]) -> list[tuple[tuple[int, ...], int]]:
        """Finds shape and `Dropout.dropped` of every mask by a pass without values; equal for batches of equal size."""
        shapes = tuple(feature.shape[1:] for feature in batch.values())
        if shapes not in self.mask_shapes:
            self.masks.ready = None
            self.masks.requests = []
            with torch.no_grad():
                self.algebra({name: torch.empty_like(x[0], device="meta") for name, x in batch.items()})
            self.mask_shapes[shapes] = self.masks.requests
        return self.mask_shapes[shapes]


class SeedPointwise(nn.Module):
    """A Conv1d of width 1 as a matrix product over all positions of the batch, with parameters of the same names."""

    def __init__(self, conv: nn.Conv1d) -> None:
        super().__init__()
        self.weight = conv.weight
        self.bias = conv.bias
        self.groups = conv.groups

    def forward(self, x: Tensor) -> Tensor:
        columns, weight = x.transpose(0, 1).flatten(1), self.weight.squeeze(2)  # (C_in, B L), (C_out, C_in / groups)
        if self.groups > 1:
            parts = (self.groups, -1)
            columns, weight = columns.unflatten(0, parts), weight.unflatten(0, parts)
        out = (weight @ columns).view(len(self.weight), -1)  # (C_out, B L)
        if self.bias is not None:
            out = out + self.bias.unsqueeze(1)
        return out.view(-1, x.shape[0], x.shape[2]).transpose(0, 1)  # (B, C_out, L)

    def of_rows(self, rows: Tensor, weight: Tensor) -> Tensor:
        """Maps (T, C_in) to (T, C_out): seeds have products of matrices, as a batch of convolutions is slow."""
        return linear(rows, weight, self.bias)


class Masks:
    """The masks of a pass: drawn, or asked for by a pass on the meta device, where `ready` is None."""

    def __init__(self) -> None:
        self.ready: Iterator[Tensor] | None = None
        self.requests: list[tuple[tuple[int, ...], int]] = []

    def next(self, shape: Sequence[int], dropped: int, like: Tensor) -> Tensor:
        """Returns the next mask; ones where it is only asked for."""
        if self.ready is None:
            self.requests.append((tuple(shape), dropped))
            return torch.ones(shape, dtype=like.dtype, device=like.device)
        return next(self.ready)


class SeedDropout(Dropout):
    """Dropout with masks that are there.

    Args:
        p: probability.
        masks: where they are.
    """

    def __init__(self, p: float, masks: Masks) -> None:
        super().__init__(p)
        self.masks = masks

    def mask(self, shape: Sequence[int], like: Tensor) -> Tensor | None:
        """Takes the next mask; None where nothing is dropped."""
        return self.masks.next(shape, self.dropped, like) if self.dropped else None


class SeedNorm(BatchNorm):
    """BatchNorm channel by channel: on rows, torch rounds a channel otherwise as there are more seeds beside it."""

    def of_rows(self, rows: Tensor, variance: Tensor, slopes: Tensor, offsets: Tensor) -> Tensor:
        """Normalises (T, C) as (1, C, T)."""
        columns = rows.t().unsqueeze(0).contiguous()  # (1, C, T)
        return super().of_rows(columns, variance, slopes, offsets).squeeze(0).t().contiguous()
