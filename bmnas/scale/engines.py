"""The engines of one seed that compute the hypernet otherwise than by its formula; registered in `ENGINES`."""

from contextlib import AbstractContextManager, nullcontext

from torch import nn

from bmnas.features.feature_set import FeatureSet
from bmnas.scale.compiled import accelerated
from bmnas.scale.fast import TokenTensors, keep_pages, only
from bmnas.searching.engine import ENGINES, SingleEngine
from bmnas.space.hypernet import Hypernet
from bmnas.training.loop import NetworkLearner
from bmnas.training.steps import Samples


class AcceleratedEngine(SingleEngine):
    """The hypernet as `fast`, `compile` and `bf16` of the configuration ask for."""

    def load(self, features: FeatureSet) -> Samples:
        """Returns the features in memory, as the shortcuts read them where they are taken."""
        if not self.config.fast or self.device.type != "cpu":
            return super().load(features)
        keep_pages()
        return TokenTensors(features)

    def computed(self, hypernet: Hypernet) -> nn.Module:
        """Returns the network that stands for the hypernet."""
        return accelerated(hypernet, self.config, self.device)

    def moving(self, learner: NetworkLearner) -> AbstractContextManager[None]:
        """Returns a context in which the shortcuts compute this learner's gradients and no other."""
        return only(self.hypernet, learner.parameters) if self.config.fast else nullcontext()


ENGINES["accelerated"] = AcceleratedEngine
