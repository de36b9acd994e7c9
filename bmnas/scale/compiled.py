"""Switches that change how the hypernet is computed, not what: `compile` and `bf16` of `SearchConfig`.

Sources: https://docs.pytorch.org/docs/stable/generated/torch.compile.html, https://docs.pytorch.org/docs/stable/amp.html.
What was tried here: both on a CPU. `compile="reduce-overhead"` (CUDA graphs) needs a GPU and was never run on one.
"""

import os
import shutil
from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

from bmnas.config import SearchConfig
from bmnas.errors import ConfigError

COMPILERS = ("c++", "g++", "clang++", "cl")
GRAPHS = "reduce-overhead"


class Accelerated(nn.Module):
    """A network, compiled and in bfloat16 where asked for; its parameters, modes and state are the network's own.

    Compiled dropout draws its masks from other random numbers, and bfloat16 rounds to 3 significant digits: a search
    with a switch is another experiment than one without.

    Args:
        network: the hypernet.
        compile: `torch.compile`'s mode; None computes eagerly.
        bf16: whether matrix products and convolutions are computed in bfloat16 (autocast).
        device: where it computes.
    """

    def __init__(self, network: nn.Module, compile: str | None, bf16: bool, device: torch.device) -> None:
        super().__init__()
        self.network = network
        self.bf16 = bf16
        self.kind = device.type
        self.compiled = compile is not None
        self.call: Callable[..., Tensor] = torch.compile(network, mode=compile) if compile else network

    def forward(self, batch: Mapping[str, Tensor]) -> Tensor:
        """Returns logits (B, classes), float32."""
        with torch.autocast(self.kind, torch.bfloat16, enabled=self.bf16):
            logits = self._compiled(batch) if self.compiled else self.network(batch)
        return logits.float()

    def _compiled(self, batch: Mapping[str, Tensor]) -> Tensor:
        if self.kind == "cuda":
            torch.compiler.cudagraph_mark_step_begin()
        try:
            return self.call(batch).clone()  # the memory of a CUDA graph is written again by the next batch
        except RuntimeError as error:
            self.network(batch)  # raises what is wrong with the network itself
            reason = str(error).strip().splitlines()[0]
            raise ConfigError(f"compile does not work on this machine ({reason}); set compile = None") from error


def accelerated(network: nn.Module, config: SearchConfig, device: torch.device) -> nn.Module:
    """Returns the network as the switches ask for; itself where they ask for nothing.

    Raises:
        ConfigError: a switch cannot work on this device or machine.
    """
    if config.compile is None and not config.bf16:
        return network
    _check(config, device)
    return Accelerated(network, config.compile, config.bf16, device)


def _check(config: SearchConfig, device: torch.device) -> None:
    if config.compile == GRAPHS and device.type != "cuda":
        raise ConfigError(
            f"compile is {GRAPHS!r}, which means CUDA graphs, but the search computes on {device.type!r}; "
            "use compile = 'default', or a machine with a GPU"
        )
    compilers = (os.environ.get("CXX", ""), *COMPILERS)
    if config.compile and device.type == "cpu" and not any(shutil.which(name) for name in compilers if name):
        raise ConfigError(
            f"compile is {config.compile!r}, but there is no C++ compiler here ({', '.join(COMPILERS)}), which "
            "torch.compile needs on a CPU; install one (apt-get install g++), or set compile = None"
        )
    if config.bf16 and device.type == "cuda" and not torch.cuda.is_bf16_supported():
        raise ConfigError(f"bf16 is True, but {torch.cuda.get_device_name(device)} has no bfloat16; set bf16 = False")
