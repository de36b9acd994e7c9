"""The validation score of a discrete genotype with the weights it inherits from the hypernet.

BatchNorm uses the statistics of the batch (all validation rows at once): the running statistics of the hypernet
describe its mixtures, not one chosen path.
"""

import copy
from collections import OrderedDict
from collections.abc import Callable, Hashable, Mapping
from functools import partial

import torch
from torch import Tensor, nn

from bmnas.errors import PredictionError
from bmnas.searching.shortlisting.paths import path_cell
from bmnas.space.genotype import Genotype, cell_name
from bmnas.space.hypernet import Hypernet
from bmnas.training import metrics
from bmnas.training.finiteness import check_predictions
from bmnas.training.objective import Objective
from bmnas.training.steps import Samples

CACHE = 4096  # node outputs at most
CACHE_BYTES = 500e6


class InheritedScore:
    """Scores genotypes on the validation split; what several genotypes share is computed once.

    Args:
        hypernet: trained; it is copied, not changed.
        tensors: the features.
        kind: "multiclass" or "multilabel", or an objective of one.

    Raises:
        PredictionError: a feature is so large that its variance is infinite, by which all samples become alike.
    """

    def __init__(self, hypernet: Hypernet, tensors: Samples, kind: str | Objective) -> None:
        self.hypernet = copy.deepcopy(hypernet)
        batch_statistics(self.hypernet)
        self.kind = kind
        with torch.no_grad():
            self.rows = tensors.rows("val")
            batch, self.targets = tensors.batch(self.rows)
            self.weights = tensors.weights_of(self.rows)
            batch = self.hypernet.filled(batch)
            _check_variances(batch)
            self.nodes = {name: self.hypernet.reshape[name](batch[name]) for name in hypernet.features}
        bytes_each = next(iter(self.nodes.values())).nbytes
        self.room = max(8, min(CACHE, int(CACHE_BYTES / bytes_each)))
        self.cache: OrderedDict[Hashable, Tensor] = OrderedDict()

    def __call__(self, genotype: Genotype) -> float:
        """Returns accuracy or weighted F1 of the genotype, between 0 and 1.

        Raises:
            PredictionError: outputs are NaN or infinite; names rows and node.
        """
        return metrics.score(self.kind, self.logits(genotype), self.targets)

    def loss(self, genotype: Genotype) -> float:
        """Returns the mean loss of the genotype, which tells networks of equal score apart; errors as of a score."""
        return metrics.loss(self.kind, self.logits(genotype), self.targets, self.weights).item()

    @torch.no_grad()
    def logits(self, genotype: Genotype) -> Tensor:
        """Returns the logits (n, classes) of the validation split; errors as of a score."""
        nodes, outputs, keys = dict(self.nodes), [], {}
        for n, cell in enumerate(genotype.cells, start=1):
            keys[cell_name(n)] = (n, cell, *(keys.get(name) for name in cell.inputs))  # and nothing else decides it
            compute = partial(path_cell, self.hypernet, n, cell, nodes)
            nodes[cell_name(n)] = self._once(keys[cell_name(n)], compute)
            outputs.append(nodes[cell_name(n)])
        logits = self.hypernet.classifier(outputs)  # (n, classes)
        if not torch.isfinite(logits).all():
            broken = [name for name, x in nodes.items() if not torch.isfinite(x).all()]
            check_predictions(logits, "val" + (f", from node {broken[0]!r} on" if broken else ""), self.rows)
        return logits

    def _once(self, key: Hashable, compute: Callable[[], Tensor]) -> Tensor:
        """Returns the cached output of this key, or computes it; the longest unused gives way."""
        if key not in self.cache:
            self.cache[key] = compute()
            if len(self.cache) > self.room:
                self.cache.popitem(last=False)
        self.cache.move_to_end(key)
        return self.cache[key]


def _check_variances(batch: Mapping[str, Tensor]) -> None:
    for name, x in batch.items():
        if not x.square().mean((0, 2)).isfinite().all():
            raise PredictionError(
                f"val: the feature {name!r}, up to {x.abs().max():.3g}, has an infinite variance, so that BatchNorm "
                "makes all samples alike. Scale it"
            )


def batch_statistics(module: nn.Module) -> None:
    """Puts a module into eval mode, but for BatchNorm, which normalises by the batch and forgets what it sees."""
    module.eval()
    for part in module.modules():
        if isinstance(part, nn.BatchNorm1d):
            part.train()
            part.track_running_stats = False
            part.running_mean = part.running_var = None
