"""The memory that a search needs, from shapes alone: nothing is computed, and no random number is drawn."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from bmnas.config import SearchConfig
from bmnas.errors import ConfigError
from bmnas.features.feature_set import FeatureSet
from bmnas.machine import free_memory, resolve_device
from bmnas.space.algebra import Algebra
from bmnas.space.hypernet import Hypernet
from bmnas.training.steps import SCORE_BATCH

NUMBER = 4  # bytes of a float32
LIBRARIES = 50_000_000  # bytes that torch's libraries take at their first step; 40 to 70 MB in benchmarks/memory.py
ADVICE = {
    "features": "fewer samples, or features stored as float16 (option dtype of the paper's tasks)",
    "weights": "a smaller C, N or M, or fewer primitives",
    "step": "a smaller batch_size (or accumulate, which keeps it), C, N or M",
    "scoring": "fewer samples for validation, or a smaller C",
}


@dataclass(frozen=True)
class Footprint:
    """Bytes that a search takes beyond what the process has.

    Attributes:
        features: all features and targets, which stay in memory; 0 where they are there already.
        weights: of the hypernet, with their gradients and Adam's two moments.
        step: what a forward pass keeps for the backward pass of a (micro-)batch, the batch itself included.
        scoring: of the validation split without gradients, and of the read-out's scores with inherited weights.
        libraries: code that is loaded at the first step.
    """

    features: int
    weights: int
    step: int
    scoring: int
    libraries: int = LIBRARIES

    @property
    def total(self) -> int:
        """At the worst moment: a step or a score, not both."""
        return self.features + self.weights + max(self.step, self.scoring) + self.libraries

    @property
    def largest(self) -> str:
        """The field that takes the most."""
        return max(ADVICE, key=lambda name: getattr(self, name))

    def __str__(self) -> str:
        return ", ".join(f"{name} {size(getattr(self, name))}" for name in (*ADVICE, "libraries"))


def size(count: int) -> str:
    """Bytes in MB or GB."""
    return f"{count / 1e6:.0f} MB" if count < 1e9 else f"{count / 1e9:.1f} GB"


def footprint(sketch: Hypernet, features: FeatureSet, config: SearchConfig) -> Footprint:
    """What a search with this configuration takes.

    Args:
        sketch: the hypernet on the meta device.
    """
    stored = sum(array.nbytes for array in features.arrays.values()) + features.targets.nbytes
    loaded = features.loaded(config.device)
    weights = 4 * NUMBER * sum(weight.numel() for weight in sketch.parameters())
    batch = min(config.batch_size, len(features.rows("train")))
    inputs = NUMBER * sum(math.prod(array.shape[1:]) for array in features.arrays.values())
    step = inputs * batch + kept_bytes(sketch, features, -(-batch // config.accumulate))
    return Footprint(0 if loaded else stored, weights, step, _scoring(features, config, inputs))


def kept_bytes(sketch: Hypernet, features: FeatureSet, rows: int) -> int:
    """Bytes that autograd keeps of a forward pass in train mode: each storage once, parameters and inputs not.

    0 where a primitive of one's own does not work without values.
    """
    tokens = {name: (rows, *array.shape[:0:-1]) for name, array in features.arrays.items()}  # (rows, L, C_in)
    batch = {name: torch.empty(shape, device="meta").transpose(1, 2) for name, shape in tokens.items()}
    known = {tensor.untyped_storage()._cdata for tensor in (*sketch.parameters(), *sketch.buffers(), *batch.values())}
    kept: dict[int, Tensor] = {}

    def pack(tensor: Tensor) -> Tensor:
        kept[tensor.untyped_storage()._cdata] = tensor
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        try:
            network = Algebra(sketch.train()) if sketch.relaxation == "shared" else sketch.train()
            logits = network(batch)  # held, so that no storage takes the place of another
        except (NotImplementedError, RuntimeError):
            return 0
    return sum(t.untyped_storage().nbytes() for key, t in kept.items() if key not in known) + logits.nbytes


def _scoring(features: FeatureSet, config: SearchConfig, inputs: int) -> int:
    """Nodes and their stacked copies: of SCORE_BATCH rows in the search, of all validation rows in the read-out."""
    node, val = NUMBER * config.C * config.L, len(features.rows("val"))
    K, primitives = len(features.names), len(config.switch("primitives"))
    search = min(val, SCORE_BATCH) * (inputs + node * 2 * (K + config.N + primitives))
    read_out = val * (inputs + node * (K + 8 + 4)) if config.selection != "algorithm1" else 0  # 8 nodes or more
    return max(search, read_out)


def check_memory(needed: Footprint, config: SearchConfig) -> int:
    """The bytes that are free on the search's device.

    Raises:
        ConfigError: they are not enough; says what takes the most, and what to make smaller.
    """
    device = resolve_device(config.device)
    free = free_memory(device)
    if needed.total > free:
        raise ConfigError(
            f"the search needs about {size(needed.total)} ({needed}), but {size(free)} are free on {device.type!r}. "
            f"Most is for {needed.largest}: take {ADVICE[needed.largest]}"
        )
    return free
