"""A search that never took place: records of the right shape for the tests of the views."""

import math
import random
from collections.abc import Iterator
from typing import Any

import bmnas.space.primitives  # noqa: F401  (fills PRIMITIVES)
from bmnas.registry import PRIMITIVES
from bmnas.searching.trace import EpochEvent
from bmnas.space.architecture import Architecture
from bmnas.space.derivation import derive
from bmnas.space.genotype import cell_name, step_name

FEATURES = ("Image_1", "Image_2", "Image_3", "Audio_1", "Audio_2", "Audio_3")
NTU = tuple(f"{modality}_{i}" for modality in ("Video", "Skeleton") for i in range(1, 5))


def architecture(
    features: tuple[str, ...] = FEATURES, N: int = 2, M: int = 2, seed: int = 0, spread: float = 0.4
) -> Architecture:
    """Random softmax weights, those of the edges between 0.5 - spread and 0.5 + spread."""
    draw = random.Random(seed)
    cells = [cell_name(n) for n in range(1, N + 1)]
    steps = [step_name(m) for m in range(1, M + 1)]

    def edges(nodes: list[str]) -> dict[str, float]:
        return {node: 0.5 + spread * draw.uniform(-1, 1) for node in nodes}

    def choice() -> dict[str, float]:
        weights = {name: math.exp(3 * spread * draw.gauss(0, 1)) for name in PRIMITIVES}
        return {name: weight / sum(weights.values()) for name, weight in weights.items()}

    return Architecture(
        {cell: edges([*features, *cells[:n]]) for n, cell in enumerate(cells)},
        {cell: {step: edges(["x", "y", *steps[:m]]) for m, step in enumerate(steps)} for cell in cells},
        {cell: {step: choice() for step in steps} for cell in cells},
    )


def events(
    features: tuple[str, ...] = FEATURES, N: int = 2, M: int = 2, epochs: int = 12, seed: int = 0
) -> Iterator[EpochEvent]:
    """Weights that move from undecided to a choice, losses that fall, a best epoch before the last."""
    begin, end = (architecture(features, N, M, seed + i, spread) for i, spread in enumerate((0.01, 0.4)))
    best_epoch, best_score = 0, 0.0
    for epoch in range(1, epochs + 1):
        share = epoch / epochs
        score = 0.9 * (1 - math.exp(-5 * share)) - 0.05 * max(0.0, share - 0.8)
        is_best = score > best_score
        if is_best:
            best_epoch, best_score = epoch, score
        now = Architecture.from_dict(_between(begin.to_dict(), end.to_dict(), share))
        yield EpochEvent(
            epoch, epochs, 2.3 * math.exp(-3 * share), score + 0.05, 2.3 * math.exp(-2 * share) + 0.1, score, 1e-3, now,
            derive(now, M), is_best, best_epoch, best_score, "accuracy", 1.0, float(epochs - epoch), 300.0,
        )  # fmt: skip


def _between(a: Any, b: Any, share: float) -> Any:
    if isinstance(a, dict):
        return {name: _between(a[name], b[name], share) for name in a}
    return a + share * (b - a)
