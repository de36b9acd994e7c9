"""`planted`: synthetic features with a known best genotype, the yardstick for searches.

Two features of different modalities carry the class, each a part of it; the others carry noise, or a blurred copy of
what one of the two says. Classes have three bits. One bit is seen in each planted feature alone; the third is the
exclusive or of a bit of each, so it takes a fusion of both.
"""

from pathlib import Path

import numpy as np

from bmnas.config import EvalConfig, SearchConfig
from bmnas.errors import ConfigError
from bmnas.features.feature_set import FeatureSet
from bmnas.registry import TASKS
from bmnas.space.genotype import CellGenotype, Genotype, StepGenotype
from bmnas.tasks.base import Modality, Options, Task
from bmnas.training.progress import Progress

CLASSES = 8
SIGNAL = 1.0  # size of a planted pattern beside noise of standard deviation 1
BLUR = 0.5  # how often a decoy shows a random state


def planted_features(
    K: int = 8,
    modalities: int = 2,
    seed: int = 0,
    samples: int = 1200,
    L: int = 4,
    channels: int = 16,
) -> FeatureSet:
    """Makes a feature set whose class only two features show; `planted_genotype` reads the answer from it.

    Args:
        K: number of features, spread evenly over the modalities A, B, C ...
        modalities: 1 to 26, at most K.
        seed: of everything random, the planted pair included.
        samples: rows of the training split, at least 2; val and test have half as many each.
        L, channels: every feature is (n, channels, L).

    Raises:
        ConfigError: K, samples or the number of modalities out of range.
    """
    if not 1 <= modalities <= min(K, 26) or K < 2:
        raise ConfigError(
            f"K is {K} and there are {modalities} modalities; expected K >= 2 and 1 to min(K, 26) modalities"
        )
    if type(samples) is not int or samples < 2:
        raise ConfigError(f"samples is {samples!r}; expected a whole number of at least 2")
    rng = np.random.default_rng([seed, K, modalities])
    names = feature_names(K, modalities)
    pair = _pair(names, rng)
    n = 2 * samples
    state = rng.integers(0, 4, (2, n))  # of each planted feature: its own bit, times 2, and its half of the third bit
    targets = 4 * (state[0] // 2) + 2 * (state[1] // 2) + (state[0] + state[1]) % 2
    decoys = {name: int(rng.integers(2)) for name in names if name not in pair and rng.random() < 0.5}
    shown = {name: _shown(name, pair, decoys, state, rng) for name in names}
    return FeatureSet.from_arrays(
        {name: _patterns(shown[name], channels, L, rng) for name in names},
        targets,
        _splits(samples),
        classes=[f"{c:03b}" for c in range(CLASSES)],
        L=L,
        task="planted",
        source="synthetic",
        notes=f"synthetic features; the class is planted in {pair[0]} and {pair[1]}",
        options={"planted": answer(pair).to_dict(), "decoys": sorted(decoys)},
    )


def feature_names(K: int, modalities: int) -> list[str]:
    """Names features A_1, A_2, ..., B_1, ...: as even as possible, the first modalities larger."""
    sizes = [K // modalities + (m < K % modalities) for m in range(modalities)]
    return [f"{chr(ord('A') + m)}_{i}" for m, size in enumerate(sizes) for i in range(1, size + 1)]


def planted_genotype(features: FeatureSet) -> Genotype:
    """Returns the known best genotype (one Cell, one Step) of a planted feature set."""
    return Genotype.from_dict(features.manifest["options"]["planted"])


def answer(pair: tuple[str, str], primitive: str = "LinearGLU") -> Genotype:
    """Returns the genotype that fuses a pair in one Step."""
    return Genotype((CellGenotype(pair, (StepGenotype(primitive, ("x", "y")),)),), r=1)


def _pair(names: list[str], rng: np.random.Generator) -> tuple[str, str]:
    """Chooses two features, of different modalities where there are several, in their order."""
    first = str(rng.choice(names))
    others = [name for name in names if name[0] != first[0]] or [name for name in names if name != first]
    x, y = sorted((first, str(rng.choice(others))), key=names.index)
    return x, y


def _shown(
    name: str, pair: tuple[str, str], decoys: dict[str, int], state: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """Draws the state 0..3 that a feature shows in each row: its own if planted, blurred for a decoy, or random."""
    if name in pair:
        return state[pair.index(name)]
    random = rng.integers(0, 4, state.shape[1])
    if name not in decoys:
        return random
    return np.where(rng.random(state.shape[1]) < BLUR, random, state[decoys[name]])


def _patterns(shown: np.ndarray, channels: int, L: int, rng: np.random.Generator) -> np.ndarray:
    """Draws a random pattern for each state, and noise: float32 (n, channels, L)."""
    patterns = rng.standard_normal((4, channels, L), dtype=np.float32) * np.float32(SIGNAL)
    return patterns[shown] + rng.standard_normal((len(shown), channels, L), dtype=np.float32)


def _splits(samples: int) -> dict[str, np.ndarray]:
    half = samples // 2
    return {
        "train": np.arange(samples),
        "val": np.arange(samples, samples + half),
        "test": np.arange(samples + half, samples + 2 * half),
    }


def _make(options: Options, root: Path, progress: Progress | None) -> FeatureSet:
    return planted_features(
        options["K"], options["modality_count"], options["seed"], options["samples"], options["L"], options["channels"]
    )


TASK = TASKS.register(
    Task(
        name="planted",
        title="Planted: synthetic features with a known best genotype",
        kind="multiclass",
        classes=tuple(f"{c:03b}" for c in range(CLASSES)),
        modalities=(
            Modality("A", ("A_1", "A_2", "A_3", "A_4")),
            Modality("B", ("B_1", "B_2", "B_3", "B_4")),
        ),
        source="synthetic",
        search_config=SearchConfig(C=16, L=4, N=1, M=1, epochs=12, batch_size=64, arch_lr=3e-3, max_lr=3e-3),
        eval_config=EvalConfig(epochs=15, seeds=3, max_lr=3e-3),
        options={
            "seed": 0,
            "L": 4,
            "samples": 1200,
            "source": "synthetic",
            "K": 8,
            "modality_count": 2,
            "channels": 16,
        },
        make=_make,
    )
)
