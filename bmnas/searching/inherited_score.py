"""The validation score and loss of a discrete genotype with the weights it inherits from the hypernet.

BatchNorm uses the statistics of the batch (all validation rows at once): the running statistics of the hypernet
describe its mixtures, not one chosen path.
"""

import copy
from collections import OrderedDict
from collections.abc import Callable, Hashable, Mapping, Sequence
from functools import partial

import torch
from torch import Tensor, nn

from bmnas.errors import PredictionError
from bmnas.searching.shortlisting.paths import path_cell
from bmnas.space.genotype import Genotype, cell_name
from bmnas.space.hypernet import Hypernet
from bmnas.training import metrics
from bmnas.training.calibration import calibrated_loss
from bmnas.training.finiteness import check_predictions
from bmnas.training.objective import Objective
from bmnas.training.steps import Samples

CACHE = 4096  # node outputs at most
CACHE_BYTES = 500e6
TOGETHER, TOGETHER_BYTES = 64, 4e6  # genotypes of one pass through the classifier at most, and their Cells' outputs


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
        cells = len(hypernet.named_cells())
        self.together = max(1, min(TOGETHER, int(TOGETHER_BYTES / (cells * bytes_each))))
        self.cache: OrderedDict[Hashable, Tensor] = OrderedDict()

    def __call__(self, genotype: Genotype) -> float:
        """Returns accuracy or weighted F1 of the genotype, between 0 and 1.

        Raises:
            PredictionError: outputs are NaN or infinite; names rows and node.
        """
        return metrics.score(self.kind, self.logits([genotype])[0], self.targets)

    def losses(self, genotypes: Sequence[Genotype]) -> list[float]:
        """Returns the calibrated losses of genotypes; errors as of a score.

        Their last bits depend on which genotypes are given together.
        """
        losses: list[float] = []
        for start in range(0, len(genotypes), self.together):
            logits = self.logits(genotypes[start : start + self.together])
            losses += calibrated_loss(self.kind, logits, self.targets, self.weights).tolist()
        return losses

    @torch.no_grad()
    def logits(self, genotypes: Sequence[Genotype]) -> Tensor:
        """Returns the logits (genotypes, n, classes) of the validation split; errors as of a score."""
        nodes = [self._nodes(genotype) for genotype in genotypes]
        cells = [torch.cat([one[cell_name(n)] for one in nodes]) for n in range(1, genotypes[0].N + 1)]
        logits = self.hypernet.classifier(cells).unflatten(0, (len(genotypes), -1))
        if not torch.isfinite(logits).all():
            for each, one in zip(logits, nodes, strict=True):
                broken = [name for name, x in one.items() if not torch.isfinite(x).all()]
                check_predictions(each, "val" + (f", from node {broken[0]!r} on" if broken else ""), self.rows)
        return logits

    def _nodes(self, genotype: Genotype) -> dict[str, Tensor]:
        """Returns features and outputs of Cells by name, each (n, C, L)."""
        nodes, keys = dict(self.nodes), {}
        for n, cell in enumerate(genotype.cells, start=1):
            keys[cell_name(n)] = (n, cell, *(keys.get(name) for name in cell.inputs))  # and nothing else decides it
            nodes[cell_name(n)] = self._once(keys[cell_name(n)], partial(path_cell, self.hypernet, n, cell, nodes))
        return nodes

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
