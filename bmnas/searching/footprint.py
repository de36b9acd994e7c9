"""The memory that a search needs, from shapes alone: nothing is computed, and no random number is drawn."""

import math
from collections.abc import Hashable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from bmnas.config import SearchConfig
from bmnas.errors import ConfigError
from bmnas.features.feature_set import FeatureSet
from bmnas.features.mapped_tensors import AHEAD
from bmnas.machine import free_memory, resolve_device
from bmnas.space.algebra import Algebra
from bmnas.space.hypernet import Hypernet
from bmnas.training.steps import SCORE_BATCH

NUMBER = 4  # bytes of a float32
LIBRARIES = 50_000_000  # bytes that torch's libraries take at their first step; 40 to 70 MB in benchmarks/memory.py
ADVICE = {
    "features": "features_in = 'disk', fewer samples, or dtype float16 (an option of the paper's tasks)",
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
        on_disk: whether the features stay on the disk; `features` are then the batches that are read ahead.
    """

    features: int
    weights: int
    step: int
    scoring: int
    libraries: int = LIBRARIES
    on_disk: bool = False

    @property
    def total(self) -> int:
        """At the worst moment: a step or a score, not both."""
        return self.features + self.weights + max(self.step, self.scoring) + self.libraries

    @property
    def largest(self) -> str:
        """The field that takes the most."""
        return max(ADVICE, key=lambda name: getattr(self, name))

    def __str__(self) -> str:
        parts = ", ".join(f"{name} {size(getattr(self, name))}" for name in (*ADVICE, "libraries"))
        return f"{parts}; features stay on the disk, batches are read ahead" if self.on_disk else parts


def size(count: int) -> str:
    """Bytes in MB or GB."""
    return f"{count / 1e6:.0f} MB" if count < 1e9 else f"{count / 1e9:.1f} GB"


def shapes_of(features: FeatureSet) -> Hashable:
    """Gives all of a feature set that decides the sizes of its hypernet: equal ones have hypernets of equal sizes."""
    arrays = tuple((name, array.shape) for name, array in features.arrays.items())
    rows = tuple(len(features.rows(split)) for split in ("train", "val"))
    modalities = tuple((name, tuple(members)) for name, members in features.modalities.items())
    numbers = features.L, len(features.classes), bool(features.missing)
    return arrays, rows, modalities, frozenset(features.vectors), numbers


def sketch_sizes(sketch: Hypernet, features: FeatureSet, config: SearchConfig) -> tuple[int, int]:
    """Counts the parameters of a hypernet on the meta device, and what it keeps of a (micro-)batch in bytes."""
    rows = -(-_batch(features, config) // config.accumulate)
    return sum(weight.numel() for weight in sketch.parameters()), saved_bytes(sketch, features, rows)


def footprint(sizes: tuple[int, int], features: FeatureSet, config: SearchConfig) -> Footprint:
    """Estimates what a search with this configuration takes, by the `sketch_sizes` of its hypernet."""
    parameters, saved = sizes
    loaded = features.loaded(config.device)
    weights = 4 * NUMBER * parameters
    batch = _batch(features, config)
    inputs = NUMBER * sum(math.prod(array.shape[1:]) for array in features.arrays.values())
    step = inputs * batch + saved
    scoring = _scoring(features, config, inputs)
    in_memory = Footprint(0 if loaded else features.nbytes, weights, step, scoring)
    window = features.targets.nbytes + AHEAD * inputs * batch
    on_disk = replace(in_memory, features=window, on_disk=True)
    if config.on_disk is not None:
        return on_disk if config.on_disk else in_memory
    room = free_memory(resolve_device(config.device))
    return on_disk if features.folder is not None and on_disk.total < room < in_memory.total else in_memory


def _batch(features: FeatureSet, config: SearchConfig) -> int:
    return min(config.batch_size, len(features.rows("train")))


def saved_bytes(sketch: Hypernet, features: FeatureSet, rows: int) -> int:
    """Counts the bytes that autograd saves of a forward pass in train mode, without parameters and inputs.

    Each storage counts once. 0 where a primitive of one's own does not work without values.
    """
    tokens = {name: (rows, *array.shape[:0:-1]) for name, array in features.arrays.items()}  # (rows, L, C_in)
    batch = {name: torch.empty(shape, device="meta").transpose(1, 2) for name, shape in tokens.items()}
    # a storage is one object, however many tensors look at it
    permanent = {tensor.untyped_storage() for tensor in (*sketch.parameters(), *sketch.buffers(), *batch.values())}
    saved: set[torch.UntypedStorage] = set()

    def pack(tensor: Tensor) -> Tensor:
        saved.add(tensor.untyped_storage())
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        try:
            network = Algebra(sketch.train()) if sketch.relaxation == "shared" else sketch.train()
            logits = network(batch)
        except RuntimeError:  # a NotImplementedError is one
            return 0
    return sum(storage.nbytes() for storage in saved - permanent) + logits.nbytes


def _scoring(features: FeatureSet, config: SearchConfig, inputs: int) -> int:
    """Counts nodes and stacked copies: of SCORE_BATCH rows in the search, of all validation rows in the read-out."""
    node = NUMBER * config.C * config.L
    val = len(features.rows("val"))
    K = len(features.names)
    primitives = len(config.switch("primitives"))
    search = min(val, SCORE_BATCH) * (inputs + node * 2 * (K + config.N + primitives))
    read_out = val * (inputs + node * (K + 8 + 4)) if config.selection != "algorithm1" else 0  # 8 nodes or more
    return max(search, read_out)


def check_memory(needed: Footprint, config: SearchConfig) -> int:
    """Returns the bytes that are free on the search's device.

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
