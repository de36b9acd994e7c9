"""Settings of a search and of an evaluation: frozen, documented field by field, checked on construction.

`PAPER_CONFIGS` are the nine rows of Table 8 by name.
"""

import hashlib
import json
import math
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Self

from bmnas.errors import ConfigError
from bmnas.registry import Registry, unknown
from bmnas.space.primitives import PAPER_PRIMITIVES, PRIMITIVES, REFERENCE_PRIMITIVES

SWITCHES: dict[str, dict[str, Any]] = {
    "paper": {
        "primitives": PAPER_PRIMITIVES,
        "cells_as_inputs": True,
        "pair_rule": "paper",
        "score_mode": "eval",
        "schedule": "restarts",
        "ties": "earlier",
    },
    "reference": {
        "primitives": REFERENCE_PRIMITIVES,
        "cells_as_inputs": False,
        "pair_rule": "reference",
        "score_mode": "train",
        "schedule": "release",
        "ties": "later",
    },
}
"""What each mode stands for, switch by switch; a field of `SearchConfig` that is not None overrides its switch."""

CHOICES = {
    "mode": ("paper", "reference"),
    "selection": ("algorithm1", "shortlist"),
    "tokeniser": ("copy", "learned"),
    "pair_rule": ("paper", "reference"),
    "score_mode": ("eval", "train"),
    "schedule": ("restarts", "release"),
    "ties": ("earlier", "later"),
    "compile": ("default", "reduce-overhead"),
    "select": ("last", "validation"),
}
NOT_IDENTITY = ("device", "threads")  # settings that do not make it another experiment
ADDED: dict[str, Any] = {"compile": None, "bf16": False, "accumulate": 1}
"""Settings that came later: with these values an experiment is the one that it was before they came."""


def _settings(data: Any) -> dict[str, Any]:
    if not isinstance(data, dict) or not all(isinstance(name, str) for name in data):
        raise ConfigError(f"the settings are {data!r}; expected names with values")
    return data


def identity(settings: dict[str, Any]) -> dict[str, Any]:
    """Of plain settings, those that make two experiments the same."""
    return {
        name: value
        for name, value in settings.items()
        if name not in NOT_IDENTITY and not (name in ADDED and value == ADDED[name])
    }


class _Config:
    """What both kinds of settings share: reading with clear errors, and identity."""

    @classmethod
    def known(cls) -> list[str]:
        """The names of the settings."""
        return [field.name for field in fields(cls)]  # type: ignore[arg-type]

    def change(self, **settings: Any) -> Any:
        """A copy with other settings; None leaves a setting as it is.

        Raises:
            UnknownNameError: an unknown setting; lists the known ones, nearest first.
        """
        for name in settings:
            if name not in self.known():
                raise unknown("setting", name, self.known())
        return replace(self, **{name: value for name, value in settings.items() if value is not None})  # type: ignore[type-var]

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Self:
        """The inverse of `to_dict`.

        Raises:
            UnknownNameError: an unknown setting.
            ConfigError: no settings at all, or one of them is wrong.
        """
        return cls().change(**_settings(data))

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return json.loads(json.dumps(asdict(self)))  # type: ignore[call-overload]

    def identity(self) -> dict[str, Any]:
        """What makes two experiments the same: everything but the device and the threads."""
        return identity(self.to_dict())

    def digest(self) -> str:
        """Eight hexadecimal digits of the identity."""
        return hashlib.sha256(json.dumps(self.identity(), sort_keys=True).encode()).hexdigest()[:8]

    def _check(self, least: dict[str, float]) -> None:
        for name, choices in CHOICES.items():
            value = getattr(self, name, None)
            if value is not None and value not in choices:
                raise ConfigError(f"{name} is {value!r}; expected one of {', '.join(map(repr, choices))}")
        for name, bound in least.items():
            value = getattr(self, name)
            if value is None:
                continue
            whole = isinstance(bound, int)
            number = not isinstance(value, bool) and isinstance(value, int if whole else (int, float))
            if not number or not bound <= value < math.inf:
                kind = "a whole number" if whole else "a number"
                raise ConfigError(f"{name} is {value!r}; expected {kind} of at least {bound}")


@dataclass(frozen=True)
class SearchConfig(_Config):
    """A search (Algorithm 1) and its read-out.

    Raises:
        ConfigError: names the setting, its value and what was expected.
    """

    C: int = 16
    """Channels of all inner representations (Table 8)."""
    L: int = 4
    """Length of all inner representations (Table 8); stored features must have it."""
    N: int = 2
    """Number of Cells."""
    M: int = 1
    """Number of Steps in a Cell."""
    r: int | None = None
    """How many of a Cell's last states its output concatenates (node_multiplier); M when None."""
    epochs: int = 10
    """Epochs of Algorithm 1 (Ep in Table 8)."""
    batch_size: int = 64
    """Samples in a batch (BS)."""
    dropout: float = 0.1
    """Dropout probability (Drpt)."""
    arch_lr: float = 3e-4
    """Learning rate of alpha, beta, gamma."""
    arch_weight_decay: float = 1e-3
    """L2 of alpha, beta, gamma."""
    arch_passes: int = 1
    """Passes over the validation split an epoch that train alpha, beta, gamma; 1 in Algorithm 1."""
    warmup_epochs: int = 0
    """First epochs that train the weights alone; 0 in Algorithm 1."""
    max_lr: float = 1e-3
    """Largest learning rate of the weights (MaxLR)."""
    min_lr: float = 1e-6
    """Smallest learning rate of the weights (MinLR)."""
    weight_decay: float = 1e-4
    """L2 of the weights."""
    Ti: int = 1
    """First period of the warm restarts, in epochs."""
    Tm: int = 2
    """Factor from one period to the next."""
    mode: str = "paper"
    """"paper" (the equations) or "reference" (what the authors' release computes); presets the switches below."""
    primitives: tuple[str, ...] | None = None
    """The pool of a Step; the mode's when None."""
    cells_as_inputs: bool | None = None
    """Whether earlier Cells may feed later ones in the derivation."""
    pair_rule: str | None = None
    """"paper": no pair twice; "reference": a pair holds a node that no Cell has taken."""
    score_mode: str | None = None
    """"eval": score the validation split in eval mode after the epoch; "train": in train mode, batch by batch."""
    schedule: str | None = None
    """"restarts": after whole epochs; "release": as the release computes it, which seldom restarts."""
    ties: str | None = None
    """Which of two epochs with equal validation scores is kept, the "earlier" or the "later"."""
    train_reshape: bool = True
    """Whether the search trains the reshape layers (the release's NTU search does not)."""
    tokeniser: str = "copy"
    """How a vector feature becomes L tokens: "copy" (the release) or "learned"."""
    fast: bool = False
    """Whether the hypernet takes the shortcuts of `bmnas.scale.fast`: equal values and gradients, other dropout
    masks. They are for one thread; their loops are compiled at the first step, about 20 s once."""
    compile: str | None = None
    """torch.compile of the hypernet: "default", or "reduce-overhead", which is CUDA graphs; None: none."""
    bf16: bool = False
    """Whether the hypernet's matrix products are in bfloat16 (autocast): less memory, on GPUs less time."""
    accumulate: int = 1
    """Micro-batches that a batch of a search goes in, for less memory; BatchNorm sees each by itself."""
    selection: str = "shortlist"
    """How the answer is read: "algorithm1" (best validation epoch) or "shortlist" (see `bmnas.searching.shortlist`)."""
    shortlist_size: int = 5
    """Genotypes that the shortlist trains briefly."""
    shortlist_epochs: int = 5
    """Epochs of these brief trainings."""
    seed: int = 0
    """Seed of everything random."""
    device: str = "auto"
    """"auto" (CUDA where there is one), "cpu", "cuda" ..."""
    threads: int = 1
    """CPU threads of torch; one is fastest for networks of this size."""

    def __post_init__(self) -> None:
        if isinstance(self.primitives, str):  # as papermill -p gives it: '["Sum", "Zero"]', or Sum,Zero
            names = self.primitives.strip("[]() ").split(",")
            object.__setattr__(self, "primitives", tuple(name.strip(" \"'") for name in names))
        if isinstance(self.primitives, list):
            object.__setattr__(self, "primitives", tuple(self.primitives))
        least: dict[str, float] = dict.fromkeys(("C", "L", "N", "M", "r", "epochs", "batch_size", "Ti", "Tm"), 1)
        least |= {
            "accumulate": 1,
            "arch_passes": 1,
            "warmup_epochs": 0,
            "shortlist_size": 1,
            "shortlist_epochs": 1,
            "seed": 0,
        }
        least |= {"dropout": 0.0, "arch_lr": 0.0, "arch_weight_decay": 0.0, "max_lr": 0.0, "min_lr": 0.0}
        self._check({**least, "weight_decay": 0.0, "threads": 1, "accumulate": 1})
        if self.threads is None:
            raise ConfigError("threads is None; expected a whole number of at least 1")
        if self.dropout >= 1:
            raise ConfigError(f"dropout is {self.dropout}; expected a probability below 1")
        if self.min_lr > self.max_lr:
            raise ConfigError(f"min_lr is {self.min_lr}, above max_lr {self.max_lr}; swap them")
        if self.r is not None and self.r > self.M + 2:
            raise ConfigError(f"r is {self.r}; a Cell with M = {self.M} has {self.M + 2} states [x, y, Steps]")
        most = max(1, self.batch_size // 2)
        if self.accumulate > most:
            raise ConfigError(
                f"accumulate is {self.accumulate} with batch_size = {self.batch_size}; expected {most} at most, as a "
                "micro-batch needs 2 samples for BatchNorm"
            )
        others = [f"{name} = {getattr(self, name)!r}" for name in ("compile", "bf16") if getattr(self, name)]
        if self.fast and others:
            given = " and ".join(others)
            raise ConfigError(
                f"fast = True beside {given}, which the shortcuts do not know; leave out one or the other"
            )
        for name in [field.name for field in fields(self) if field.type in (bool, bool | None)]:
            if getattr(self, name) is not None and type(getattr(self, name)) is not bool:
                raise ConfigError(f"{name} is {getattr(self, name)!r}; expected True or False")
        if not isinstance(self.device, str):
            raise ConfigError(f"device is {self.device!r}; expected a name, like 'cpu'")
        if self.primitives is not None and (
            not isinstance(self.primitives, tuple) or not all(isinstance(name, str) for name in self.primitives)
        ):
            raise ConfigError(f"primitives is {self.primitives!r}; expected a list of names")
        if self.primitives is not None and (not self.primitives or len(set(self.primitives)) != len(self.primitives)):
            raise ConfigError(f"primitives is {self.primitives!r}; expected at least one name, and none twice")
        for name in self.primitives or ():
            if name not in PRIMITIVES:
                raise ConfigError(f"primitives is {self.primitives!r}: {unknown('primitive', name, PRIMITIVES)}")

    @property
    def depth(self) -> int:
        """r, or M where r is None."""
        return self.M if self.r is None else self.r

    def switch(self, name: str) -> Any:
        """The value of a switch: the field's own, or the mode's."""
        own = getattr(self, name)
        return SWITCHES[self.mode][name] if own is None else own


@dataclass(frozen=True)
class EvalConfig(_Config):
    """The training of a genotype's network from scratch (section 3.4), and of every rival with the same budget.

    Raises:
        ConfigError: names the setting, its value and what was expected.
    """

    epochs: int = 30
    """Epochs on train + val (the paper: 50 to 70)."""
    seeds: int = 3
    """How many seeds: 0, 1, 2 ..."""
    select: str = "last"
    """"last": train on train + val, score the last epoch; "validation": train on train, take val's best epoch."""
    max_lr: float = 1e-3
    """Largest learning rate."""
    min_lr: float = 1e-6
    """Smallest learning rate."""
    weight_decay: float = 1e-4
    """L2 of the weights."""
    Ti: int | None = None
    """First period of the warm restarts in epochs; one period over all epochs when None."""
    Tm: int = 2
    """Factor from one period to the next."""

    def __post_init__(self) -> None:
        least: dict[str, float] = dict.fromkeys(("epochs", "seeds", "Ti", "Tm"), 1)
        self._check({**least, "max_lr": 0.0, "min_lr": 0.0, "weight_decay": 0.0})
        if self.min_lr > self.max_lr:
            raise ConfigError(f"min_lr is {self.min_lr}, above max_lr {self.max_lr}; swap them")


def _table8(C: int, L: int, N: int, M: int, epochs: int, batch: int, dropout: float, max_lr: float) -> SearchConfig:
    """A row of Table 8: arch LR 3e-4 and L2 1e-3, MinLR 1e-6 and L2 1e-4 are the same in all of them."""
    return SearchConfig(
        C, L, N, M, epochs=epochs, batch_size=batch, dropout=dropout, max_lr=max_lr, selection="algorithm1"
    )


PAPER_CONFIGS = Registry("row of Table 8:")
PAPER_CONFIGS |= {
    "ntu-1": _table8(128, 8, 2, 2, 30, 96, 0.2, 1e-3),
    "ntu-2": _table8(256, 8, 2, 1, 30, 96, 0.2, 1e-3),
    "ntu-3": _table8(128, 8, 2, 1, 30, 96, 0.2, 1e-3),
    "ntu-4": _table8(256, 8, 4, 2, 30, 96, 0.2, 1e-3),
    "ego-1": _table8(128, 8, 2, 3, 7, 72, 0.0, 3e-3),
    "ego-2": _table8(128, 8, 1, 2, 7, 72, 0.2, 1e-2),
    "ego-3": _table8(192, 8, 4, 2, 7, 72, 0.2, 3e-3),
    "ego-4": _table8(192, 12, 2, 2, 7, 72, 0.0, 3e-3),
    "mmimdb-1": _table8(192, 16, 2, 1, 12, 96, 0.1, 1e-3),
}
"""The nine rows of Table 8 as the paper prints them. EgoGesture's Ti is 5 in the release, elsewhere 1."""
for _name in ("ego-1", "ego-2", "ego-3", "ego-4"):
    PAPER_CONFIGS[_name] = replace(PAPER_CONFIGS[_name], Ti=5)
