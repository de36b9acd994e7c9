"""Traps: planted features on which a search can fool itself, and what an honest report says of them.

* `one modality`: the class is told by features of A alone; B shows a state of its own that has nothing to do with it.
* `noise`: A tells the class, B is noise without any pattern.
* `copies`: the class needs a feature of A and one of B; A has a second feature that is an exact copy of the first. Each
  copy knows more alone than the feature of B, so the product of merits (Eq. 3) takes the two copies.
* `xor`: two states of A and two of B, whose exclusive or is the class: no feature knows anything of it alone.
* `middle feature`: A tells the class, by the middle one of its three features alone.
"""

import numpy as np

from bmnas.errors import ConfigError
from bmnas.features.feature_set import FeatureSet
from bmnas.registry import unknown

ONE_MODALITY, NOISE, COPIES, XOR, MIDDLE = "one modality", "noise", "copies", "xor", "middle feature"
EXPECTED = {
    ONE_MODALITY: "fusion cannot help: A alone is enough",
    NOISE: "fusion cannot help: A alone is enough",
    COPIES: "fusion can help: A and B together, not A twice",
    XOR: "fusion can help: neither A nor B knows anything alone",
    MIDDLE: "fusion cannot help: A alone is enough",
}
"""Trap -> what an honest report says."""
CHANNELS, STATES = 8, 4
LEAST_SAMPLES = 8


def trap(name: str, seed: int = 0, samples: int = 600) -> FeatureSet:
    """Makes the features of a trap.

    Args:
        name: one of `EXPECTED`.
        seed: of everything random.
        samples: rows of the training split; val and test have half as many each.

    Raises:
        UnknownNameError: no such trap.
        ConfigError: samples is no whole number of 8 or more.
    """
    if name not in EXPECTED:
        raise unknown("trap", name, EXPECTED)
    if not isinstance(samples, int | np.integer) or isinstance(samples, bool) or samples < LEAST_SAMPLES:
        raise ConfigError(f"samples is {samples!r}; expected a whole number of {LEAST_SAMPLES} or more, as 400")
    rng = np.random.default_rng([seed, *name.encode()])
    n = 2 * samples
    a, b = rng.integers(0, STATES, (2, n))
    if name == COPIES:
        targets = 2 * (a // 2) + (a + b) % 2  # a bit of A alone, and one that takes both
        first, second = _patterns(a, rng), _patterns(b, rng)
        arrays = {"A_1": first, "A_2": first.copy(), "A_3": _noise(n, rng), "B_1": second, "B_2": _noise(n, rng)}
    elif name == XOR:
        targets = (a + b) % 2
        arrays = {
            "A_1": _noise(n, rng),
            "A_2": _patterns(a % 2, rng),
            "B_1": _noise(n, rng),
            "B_2": _patterns(b % 2, rng),
        }
    elif name == MIDDLE:
        targets = a
        arrays = {"A_1": _noise(n, rng), "A_2": _patterns(a, rng, 4), "A_3": _noise(n, rng), "B_1": _patterns(b, rng)}
    else:
        targets = a
        others = _patterns(b, rng) if name == ONE_MODALITY else _noise(n, rng)
        arrays = {"A_1": _patterns(a, rng), "A_2": _noise(n, rng), "B_1": others, "B_2": _noise(n, rng)}
    return FeatureSet.from_arrays(
        arrays,
        targets,
        {
            "train": np.arange(samples),
            "val": np.arange(samples, 3 * samples // 2),
            "test": np.arange(3 * samples // 2, n),
        },
        L=1,
        task="trap",
        source="synthetic",
        notes=f"synthetic features, trap {name!r}: {EXPECTED[name]}",
    )


def _patterns(states: np.ndarray, rng: np.random.Generator, strength: int = 2) -> np.ndarray:
    """A random pattern for each state, and noise: float32 (n, channels)."""
    patterns = strength * rng.standard_normal((STATES, CHANNELS), dtype=np.float32)
    return patterns[states] + _noise(len(states), rng)


def _noise(n: int, rng: np.random.Generator) -> np.ndarray:
    return rng.standard_normal((n, CHANNELS), dtype=np.float32)
