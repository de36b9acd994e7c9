"""The validation score of a discrete genotype with the weights it inherits from the hypernet.

BatchNorm uses the statistics of the batch (all validation rows at once): the running statistics of the hypernet
describe its mixtures, not one chosen path.
"""

import copy
from collections import OrderedDict
from collections.abc import Callable, Hashable

import torch
from torch import Tensor, nn

from bmnas.features.feature_set import FeatureTensors
from bmnas.space.genotype import CellGenotype, Genotype, cell_name, step_name
from bmnas.space.hypernet import Hypernet
from bmnas.training import metrics
from bmnas.training.finiteness import check_finite

CACHE = 4096  # node outputs kept at most
CACHE_BYTES = 500e6


class InheritedScore:
    """Scores genotypes on the validation split; what several genotypes share is computed once.

    Args:
        hypernet: trained; it is copied, not changed.
        tensors: the features.
        kind: "multiclass" or "multilabel".
    """

    def __init__(self, hypernet: Hypernet, tensors: FeatureTensors, kind: str) -> None:
        self.hypernet = copy.deepcopy(hypernet)
        batch_statistics(self.hypernet)
        self.kind = kind
        with torch.no_grad():
            self.rows = tensors.rows("val")
            batch, self.targets = tensors.batch(self.rows)
            self.nodes = {name: self.hypernet.reshape[name](batch[name]) for name in hypernet.features}
        bytes_each = next(iter(self.nodes.values())).nbytes
        self.room = max(8, min(CACHE, int(CACHE_BYTES / bytes_each)))
        self.kept: OrderedDict[Hashable, Tensor] = OrderedDict()

    @torch.no_grad()
    def __call__(self, genotype: Genotype) -> float:
        """Accuracy or weighted F1 of the genotype, between 0 and 1.

        Raises:
            PredictionError: outputs are NaN or infinite; names rows and node.
        """
        nodes, outputs, keys = dict(self.nodes), [], {}
        for n, cell in enumerate(genotype.cells, start=1):
            keys[cell_name(n)] = (n, cell, *(keys.get(name) for name in cell.inputs))  # and nothing else decides it
            nodes[cell_name(n)] = self._once(keys[cell_name(n)], lambda n=n, cell=cell: self._cell(n, cell, nodes))
            outputs.append(nodes[cell_name(n)])
        logits = self.hypernet.classifier(outputs)  # (n, classes)
        broken = [name for name, x in nodes.items() if not torch.isfinite(x).all()]
        check_finite(logits, "val" + (f", from node {broken[0]!r} on" if broken else ""), self.rows)
        return metrics.score(self.kind, logits, self.targets)

    def _cell(self, n: int, cell: CellGenotype, nodes: dict[str, Tensor]) -> Tensor:
        module = self.hypernet.named_cells()[cell_name(n)]
        x, y = (nodes[name] for name in cell.inputs)
        states = {"x": x, "y": y}
        for m, step in enumerate(cell.steps, start=1):
            primitive = module.named_steps()[step_name(m)].primitives[step.primitive]
            states[step_name(m)] = primitive(*(states[node] for node in step.inputs))  # (B, C, L)
        return module.output(list(states.values()))  # (B, C, L)

    def _once(self, key: Hashable, compute: Callable[[], Tensor]) -> Tensor:
        """The kept output of this key, or a new one; the longest unused gives way."""
        if key not in self.kept:
            self.kept[key] = compute()
            if len(self.kept) > self.room:
                self.kept.popitem(last=False)
        self.kept.move_to_end(key)
        return self.kept[key]


def batch_statistics(module: nn.Module) -> None:
    """Puts a module into eval mode, but for BatchNorm, which normalises by the batch and forgets what it sees."""
    module.eval()
    for part in module.modules():
        if isinstance(part, nn.BatchNorm1d):
            part.train()
            part.track_running_stats = False
            part.running_mean = part.running_var = None
