"""The engines of one seed that change how torch computes the hypernet; registered in `ENGINES`."""

from torch import nn

from bmnas.scale.compiled import accelerated
from bmnas.searching.engine import ENGINES, SingleEngine
from bmnas.space.hypernet import Hypernet


class AcceleratedEngine(SingleEngine):
    """The hypernet as `compile` and `bf16` of the configuration ask for."""

    def computed(self, hypernet: Hypernet) -> nn.Module:
        """Returns the network that stands for the hypernet."""
        return accelerated(super().computed(hypernet), self.config, self.device)


ENGINES["accelerated"] = AcceleratedEngine
