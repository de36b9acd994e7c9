"""The hypernets of S seeds as one: every parameter and buffer has a leading dimension of seeds.

`Hypernet.formula` itself is mapped over that dimension (`torch.func.vmap`), so a step of S hypernets is as many
operations as a step of one, each S times as large. Two layers of the copy that is mapped differ from the original:

* dropout takes masks that were drawn before the pass, each seed's from that seed's generator, as its separate run
  would draw them;
* a convolution of width 1 is a matrix product, which a batch of weights turns into a batched product (as a grouped
  convolution it is slower).
"""

import copy
from collections.abc import Iterator, Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.func import functional_call, stack_module_state, vmap

from bmnas.errors import ConfigError
from bmnas.space.hypernet import Hypernet


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
        self.asked: dict[tuple[torch.Size, ...], list[tuple[torch.Size, float]]] = {}
        self.template = copy.deepcopy(nets[0]).to("meta")
        self.template.fast = False
        for part in list(self.template.modules()):
            for name, layer in part.named_children():
                setattr(part, name, self._mapped(layer))

    def _mapped(self, layer: nn.Module) -> nn.Module:
        """What stands for a layer in the copy that is mapped."""
        if isinstance(layer, nn.Dropout):
            return SeedDropout(layer.p, self.masks)
        if type(layer) is nn.Conv1d and layer.kernel_size == layer.stride == (1,) and layer.padding == (0,):
            return Pointwise(layer)
        return layer

    def of(self, parameters: Sequence[nn.Parameter], net: Hypernet) -> list[nn.Parameter]:
        """The stacked tensors of some parameters of one of the hypernets, in their order."""
        names = {id(parameter): name for name, parameter in net.named_parameters()}
        return [self.parameters[names[id(parameter)]] for parameter in parameters]

    def state(self, s: int) -> dict[str, Tensor]:
        """The `state_dict` of seed number s."""
        return {name: tensor[s].detach() for name, tensor in {**self.parameters, **self.buffers}.items()}

    def train(self, on: bool = True) -> None:
        """Train or eval mode."""
        self.template.train(on)

    def __call__(self, batch: Mapping[str, Tensor], shared: bool = False) -> Tensor:
        """Logits (S, B, classes).

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
            raise ConfigError(
                f"a primitive of {list(self._primitives())} cannot be computed for several seeds at once: {error}. "
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
        return functional_call(self.template, (dict(parameters), dict(buffers)), (batch,))  # (B, classes)

    def _draw(self, batch: Mapping[str, Tensor]) -> list[Tensor]:
        """The masks (S, B, C, L) of a pass in train mode, in the order in which its layers ask for them."""
        drawn = []
        for shape, p in self._asked(batch) if self.template.training else ():
            one = next(iter(batch.values()))
            masks = torch.empty(len(self.generators), *shape, dtype=one.dtype, device=one.device)
            for mask, generator in zip(masks.unbind(), self.generators, strict=True):
                mask.bernoulli_(1 - p, generator=generator)
            drawn.append(masks.div_(1 - p))
        return drawn

    def _asked(self, batch: Mapping[str, Tensor]) -> list[tuple[torch.Size, float]]:
        """Shape and probability of every mask, from a pass without values; the same for batches of equal size."""
        shapes = tuple(feature.shape[1:] for feature in batch.values())
        if shapes not in self.asked:
            self.masks.ready, self.masks.asked = None, []
            with torch.no_grad():
                self.template({name: torch.empty_like(x[0], device="meta") for name, x in batch.items()})
            self.asked[shapes] = self.masks.asked
        return self.asked[shapes]

    def _primitives(self) -> dict[str, None]:
        steps = [step for cell in self.template.named_cells().values() for step in cell.named_steps().values()]
        return dict.fromkeys(name for step in steps for name in step.primitives)


class Pointwise(nn.Module):
    """A Conv1d of width 1 as a matrix product over all positions of the batch, with parameters of the same names."""

    def __init__(self, conv: nn.Conv1d) -> None:
        super().__init__()
        self.weight, self.bias, self.groups = conv.weight, conv.bias, conv.groups

    def forward(self, x: Tensor) -> Tensor:
        columns, weight = x.transpose(0, 1).flatten(1), self.weight.squeeze(2)  # (C_in, B L), (C_out, C_in / groups)
        if self.groups > 1:
            parts = (self.groups, -1)
            columns, weight = columns.unflatten(0, parts), weight.unflatten(0, parts)
        out = (weight @ columns).view(len(self.weight), -1)  # (C_out, B L)
        if self.bias is not None:
            out = out + self.bias.unsqueeze(1)
        return out.view(-1, x.shape[0], x.shape[2]).transpose(0, 1)  # (B, C_out, L)


class Masks:
    """The masks of a pass: drawn, or asked for by a pass on the meta device, where `ready` is None."""

    def __init__(self) -> None:
        self.ready: Iterator[Tensor] | None = None
        self.asked: list[tuple[torch.Size, float]] = []

    def apply(self, x: Tensor, p: float) -> Tensor:
        """x times the next mask."""
        if self.ready is None:
            self.asked.append((x.shape, p))
            return x
        return x * next(self.ready)


class SeedDropout(nn.Module):
    """Dropout with a mask that is there.

    Args:
        p: probability.
        masks: where it is.
    """

    def __init__(self, p: float, masks: Masks) -> None:
        super().__init__()
        self.p, self.masks = p, masks

    def forward(self, x: Tensor) -> Tensor:
        return self.masks.apply(x, self.p) if self.training and self.p > 0 else x
