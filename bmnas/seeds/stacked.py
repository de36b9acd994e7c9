"""The hypernets of S seeds as one: every parameter and buffer has a leading dimension of seeds.

`Hypernet.formula` itself is mapped over that dimension (`torch.func.vmap`), so a step of S hypernets is as many
operations as a step of one, each S times as large. Two layers of the copy that is mapped differ from the original:

* dropout takes each seed's mask from that seed's generator, as its separate run would;
* a convolution of width 1 is a matrix product, which a batch of weights turns into a batched product (as a grouped
  convolution it is slower).
"""

import copy
from collections.abc import Mapping, Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.func import functional_call, stack_module_state, vmap

from bmnas.errors import ConfigError
from bmnas.hypernet import Hypernet


class StackedHypernet:
    """S hypernets of one shape.

    Args:
        nets: they are copied.

    Attributes:
        parameters, buffers: name in the hypernet -> (S, ...).
        generators: one a seed, what dropout draws from; see `draw_from`.
    """

    def __init__(self, nets: Sequence[Hypernet]) -> None:
        parameters, self.buffers = stack_module_state(list(nets))  # type: ignore[arg-type]
        self.parameters = {name: nn.Parameter(tensor.detach()) for name, tensor in parameters.items()}
        self.generators: list[torch.Generator] = []
        self.template = copy.deepcopy(nets[0]).to("meta")
        self.template.fast = False
        for part in list(self.template.modules()):
            for name, layer in part.named_children():
                setattr(part, name, self._mapped(layer))

    def _mapped(self, layer: nn.Module) -> nn.Module:
        """What stands for a layer in the copy that is mapped."""
        if isinstance(layer, nn.Dropout):
            return SeedDropout(layer.p, self.generators)
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

    def draw_from(self, generators: Sequence[torch.Generator]) -> None:
        """Dropout draws seed s's masks from generator s, layer by layer as a single hypernet would."""
        self.generators[:] = generators

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
            return vmap(self._one, in_dims=(0, 0, None if shared else 0))(self.parameters, self.buffers, dict(batch))
        except RuntimeError as error:
            if "vmap" not in str(error):
                raise
            raise ConfigError(
                f"a primitive of {list(self._primitives())} cannot be computed for several seeds at once: {error}. "
                "Search the seeds one after another, or write it without branches on values and with dropout as the "
                "only random numbers"
            ) from error

    def _one(
        self, parameters: Mapping[str, Tensor], buffers: Mapping[str, Tensor], batch: Mapping[str, Tensor]
    ) -> Tensor:
        return functional_call(self.template, (dict(parameters), dict(buffers)), (batch,))  # (B, classes)

    def _primitives(self) -> dict[str, None]:
        steps = [step for cell in self.template.named_cells().values() for step in cell.named_steps().values()]
        return dict.fromkeys(name for step in steps for name in step.primitives)


class Pointwise(nn.Module):
    """A Conv1d of width 1 as a matrix product over all positions of the batch, with parameters of the same names."""

    def __init__(self, conv: nn.Conv1d) -> None:
        super().__init__()
        self.weight, self.bias, self.groups = conv.weight, conv.bias, conv.groups

    def forward(self, x: Tensor) -> Tensor:
        columns = x.transpose(0, 1).flatten(1).unflatten(0, (self.groups, -1))  # (groups, C_in / groups, B L)
        weight = self.weight.squeeze(2).unflatten(0, (self.groups, -1))  # (groups, C_out / groups, C_in / groups)
        out = (weight @ columns).flatten(0, 1)  # (C_out, B L)
        if self.bias is not None:
            out = out + self.bias.unsqueeze(1)
        return out.unflatten(1, (x.shape[0], x.shape[2])).transpose(0, 1)  # (B, C_out, L)


class SeedDropout(nn.Module):
    """Dropout with one generator a seed.

    Args:
        p: probability.
        generators: a list that is filled before a pass in train mode.
    """

    def __init__(self, p: float, generators: list[torch.Generator]) -> None:
        super().__init__()
        self.p, self.generators = p, generators

    def forward(self, x: Tensor) -> Tensor:
        return SeedMasks.apply(x, self) if self.training and self.p > 0 else x  # type: ignore[return-value]


class SeedMasks(torch.autograd.Function):
    """x * mask under `vmap`: S masks, then one product."""

    @staticmethod
    def forward(x: Tensor, layer: SeedDropout) -> Tensor:
        raise TypeError("SeedMasks is for tensors that are mapped over seeds")

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        pass

    @staticmethod
    def vmap(info: Any, in_dims: tuple[int | None, None], x: Tensor, layer: SeedDropout) -> tuple[Tensor, int]:
        stacked, keep = x.movedim(cast(int, in_dims[0]), 0), 1 - layer.p
        masks = torch.empty(stacked.shape, dtype=x.dtype, device=x.device)  # (S, B, C, L)
        for empty, generator in zip(masks.unbind(), layer.generators, strict=True):
            empty.bernoulli_(keep, generator=generator)
        return stacked * masks.div_(keep), 0
