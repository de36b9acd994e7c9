"""Single paths of a hypernet: its weights trained as discrete genotypes use them, before these inherit them.

The search trains mixtures f(s, s). A genotype's path feeds x and y to single primitives, which the weights have never
seen. So each step here samples a genotype uniformly and moves the weights of its path alone, as in Guo et al., Single
Path One-Shot Neural Architecture Search with Uniform Sampling (ECCV 2020).
"""

import copy
import random
from collections.abc import Mapping

from torch import Tensor, nn

from bmnas.config import EvalConfig, SearchConfig
from bmnas.features.feature_set import FeatureSet
from bmnas.searching.filling import objective_of
from bmnas.space.enumeration import Space
from bmnas.space.genotype import CellGenotype, Genotype, cell_name
from bmnas.space.hypernet import Hypernet
from bmnas.space.network import cell_states
from bmnas.space.primitives import Zero
from bmnas.training.network_training import fit


class SampledPaths(nn.Module):
    """A hypernet of which each pass in train mode computes one genotype, sampled uniformly.

    Args:
        hypernet: its weights are trained in place; alpha, beta and gamma stay as they are.
        space: what is sampled from.
        seed: of the samples.
    """

    def __init__(self, hypernet: Hypernet, space: Space, seed: int) -> None:
        super().__init__()
        self.hypernet = hypernet
        self.space = space
        self.generator = random.Random(seed)
        for choice in hypernet.architecture_parameters():
            choice.requires_grad_(False)

    def forward(self, batch: Mapping[str, Tensor]) -> Tensor:
        """Logits (B, classes) of a batch by a sampled genotype."""
        return path_logits(self.hypernet, self.space.random(self.generator), batch)


def path_logits(hypernet: Hypernet, genotype: Genotype, batch: Mapping[str, Tensor]) -> Tensor:
    """Logits (B, classes) of a batch by a genotype with the hypernet's weights."""
    batch = hypernet.filled(batch)
    nodes = {name: hypernet.reshape[name](batch[name]) for name in genotype.features}  # (B, C, L) each
    for n, cell in enumerate(genotype.cells, start=1):
        nodes[cell_name(n)] = path_cell(hypernet, n, cell, nodes)
    return hypernet.classifier([nodes[cell_name(n)] for n in range(1, genotype.N + 1)])


def path_cell(hypernet: Hypernet, n: int, cell: CellGenotype, nodes: Mapping[str, Tensor]) -> Tensor:
    """The output (B, C, L) of a genotype's Cell n with the weights of the hypernet's Cell n.

    Args:
        nodes: features and earlier Cells, each (B, C, L).
    """
    module = hypernet.named_cells()[cell_name(n)]
    x, y = (nodes[name] for name in cell.inputs)
    primitives = []
    for mixed, step in zip(module.named_steps().values(), cell.steps, strict=True):
        missing_zero = step.primitive == "Zero" and "Zero" not in mixed.primitives  # it has no weights
        primitives.append(Zero(x.shape[1], x.shape[2], 0.0) if missing_zero else mixed.primitives[step.primitive])
    return module.output(cell_states(cell, primitives, x, y))


def trained_paths(hypernet: Hypernet, features: FeatureSet, config: SearchConfig) -> Hypernet:
    """Returns a copy of a hypernet whose weights were trained on single paths for `config.path_epochs` epochs.

    The learning rate falls from max_lr to min_lr by one cosine; only train is used.

    Raises:
        SearchDiverged: a loss is NaN or infinite; names the epoch.
    """
    copied = copy.deepcopy(hypernet)
    if epochs := path_epochs(config):
        device = next(copied.parameters()).device
        tensors = features.tensors(device)
        budget = EvalConfig(epochs=epochs, max_lr=config.max_lr, min_lr=config.min_lr, weight_decay=config.weight_decay)
        network = SampledPaths(copied, Space.of(features.names, config), config.seed)
        objective = objective_of(features, config)
        fit(network.train(), tensors, objective, tensors.rows("train"), config.batch_size, budget, config.seed)
    return copied


def path_epochs(config: SearchConfig) -> int:
    """The epochs that single paths are trained: twice the search's where `config.path_epochs` is None."""
    return 2 * config.epochs if config.path_epochs is None else config.path_epochs
