"""Settings of a search and of an evaluation: frozen, checked on construction, with their identity."""

import json
from collections.abc import Mapping
from dataclasses import asdict, fields, replace
from functools import wraps
from typing import Any, Literal, Self, TypeVar, dataclass_transform

from pydantic import ConfigDict, ValidationError
from pydantic.dataclasses import dataclass

from bmnas.config.groups import (
    ComputationSettings,
    Count,
    MachineSettings,
    ObjectiveSettings,
    OptimiserSettings,
    Rate,
    ReadOutSettings,
    RuleSettings,
    SearcherSettings,
    SpaceSettings,
)
from bmnas.errors import ConfigError, UnknownNameError
from bmnas.registry import SEARCHERS, unknown
from bmnas.space.primitives import own_primitives
from bmnas.storage.digests import json_sha256
from bmnas.storage.own_code import own_code
from bmnas.storage.validation import explained, plain_number

MACHINE = tuple(field.name for field in fields(MachineSettings))
LATER_DEFAULTS: dict[str, Any] = {
    "compile": None,
    "bf16": False,
    "accumulate": 1,
    "path_epochs": None,
    "relaxation": "shared",
    **{field.name: field.default for field in fields(SearcherSettings)},
}
"""Settings of later versions: with these values an experiment is the one that it was before they existed."""
UNWRITTEN = ("class_weight", "metric", "modality_dropout", "patience", "show_progress")
"""Settings of still later versions, which are not written where they are None: files keep their bytes."""
ALGORITHM_1 = "algorithm1"
BY_GRADIENT = {"gdas": "relaxation = 'gumbel'", "darts_pt": "selection = 'darts_pt'"}
"""Methods that are settings of Algorithm 1 -> the setting."""
Class = TypeVar("Class", bound=type)


@dataclass_transform(frozen_default=True)
def _settings(cls: Class) -> Class:
    """Makes a frozen dataclass of a class, whose constructor checks every setting and raises our errors.

    A number of numpy, as `numpy.arange` and `itertools.product` of grids give, is the plain number.
    """
    checked = dataclass(cls, frozen=True, config=ConfigDict(strict=True, extra="forbid"))
    construct = checked.__init__

    @wraps(construct)
    def __init__(self: Any, *values: Any, **settings: Any) -> None:
        try:
            construct(self, *values, **{name: plain_number(value) for name, value in settings.items()})
        except ValidationError as failure:
            raise explained(failure, ConfigError, setting_names=[field.name for field in fields(checked)]) from failure

    checked.__init__ = __init__
    return checked  # type: ignore[return-value]


class _Config:
    """What both kinds of settings share: changes, plain values, and identity."""

    @classmethod
    def names(cls) -> list[str]:
        """Returns the names of the settings."""
        return [field.name for field in fields(cls)]  # type: ignore[arg-type]

    def change(self, **settings: Any) -> Self:
        """Returns a copy with other settings; None leaves a setting as it is.

        Raises:
            UnknownNameError: an unknown setting; lists the settings there are, nearest first.
            ConfigError: a setting is out of its range.
        """
        for name in settings:
            if name not in self.names():
                raise unknown("setting", name, self.names())
        return replace(self, **{name: value for name, value in settings.items() if value is not None})  # type: ignore[type-var]

    def change_from(self, parameters: Mapping[str, Any]) -> Self:
        """Returns a copy with those of the parameters that are settings; None leaves a setting as it is.

        Raises:
            ConfigError: a setting is out of its range.
        """
        return self.change(**{name: value for name, value in parameters.items() if name in self.names()})

    @classmethod
    def from_dict(cls, data: Any) -> Self:
        """Returns the settings that `to_dict` gave.

        Raises:
            UnknownNameError: an unknown setting.
            ConfigError: no settings at all, or one of them is wrong.
        """
        if not isinstance(data, dict) or not all(isinstance(name, str) for name in data):
            raise ConfigError(f"the settings are {data!r}; expected names with values")
        return cls().change(**data)

    def to_dict(self) -> dict[str, Any]:
        """Returns plain values, for JSON; some later settings only where they are not their defaults."""
        plain = json.loads(json.dumps(asdict(self)))  # type: ignore[call-overload]
        silent = {**dict.fromkeys(UNWRITTEN), **{field.name: field.default for field in fields(SearcherSettings)}}
        return {name: value for name, value in plain.items() if name not in silent or value != silent[name]}

    def identity(self) -> dict[str, Any]:
        """Returns what makes two experiments the same: everything but the machine."""
        return identifying(self.to_dict())

    def digest(self) -> str:
        """Returns eight hexadecimal digits of the identity."""
        return json_sha256(self.identity())[:8]

    def _check_rates(self) -> None:
        rates = asdict(self)  # type: ignore[call-overload]
        if rates["min_lr"] > rates["max_lr"]:
            raise ConfigError(f"min_lr is {rates['min_lr']}, above max_lr {rates['max_lr']}; swap them")


def identifying(settings: dict[str, Any]) -> dict[str, Any]:
    """Returns the plain settings that make two experiments the same."""
    experiment = {name: value for name, value in settings.items() if name not in MACHINE}
    return {n: value for n, value in experiment.items() if n not in LATER_DEFAULTS or value != LATER_DEFAULTS[n]}


def _unknown_searcher(name: str) -> UnknownNameError:
    """Returns the error for a name that is no searcher; one by gradient is a setting of Algorithm 1, which it names."""
    if name in BY_GRADIENT:
        return UnknownNameError(
            f"searcher is {name!r}, which trains the hypernet of Algorithm 1: leave searcher as it is and set "
            f"{BY_GRADIENT[name]}"
        )
    return unknown("searcher", name, [ALGORITHM_1, *SEARCHERS])


@_settings
class SearchConfig(
    _Config,
    MachineSettings,
    ReadOutSettings,
    ObjectiveSettings,
    SearcherSettings,
    ComputationSettings,
    RuleSettings,
    OptimiserSettings,
    SpaceSettings,
):
    """A search (Algorithm 1) and its read-out. The fields are those of the groups, the last group's first.

    Raises:
        UnknownNameError: an unknown setting.
        ConfigError: names the setting, its value and what was expected.
    """

    def __post_init__(self) -> None:
        self._check_rates()
        if self.searcher != ALGORITHM_1 and self.searcher not in SEARCHERS:
            raise _unknown_searcher(self.searcher)
        if self.r is not None and self.r > self.M + 2:
            raise ConfigError(f"r is {self.r}; a Cell with M = {self.M} has {self.M + 2} states [x, y, Steps]")
        if self.relaxation == "gumbel" and self.compile is not None:
            raise ConfigError(
                f"compile is {self.compile!r} with relaxation = 'gumbel', whose every step computes another network; "
                "set compile = None"
            )
        most = max(1, self.batch_size // 2)
        if self.accumulate > most:
            raise ConfigError(
                f"accumulate is {self.accumulate} with batch_size = {self.batch_size}; expected {most} at most, as a "
                "micro-batch needs 2 samples for BatchNorm"
            )

    def identity(self) -> dict[str, Any]:
        """Returns what makes two experiments the same, the code of one's own primitives and searcher included."""
        code = self.own_code()
        return super().identity() | ({"code": code} if code else {})

    def own_code(self) -> dict[str, str]:
        """Returns name of a primitive, or "searcher " and its name -> digest of its code, of those of one's own."""
        primitives = own_primitives(self.switch("primitives"))
        searcher = own_code(SEARCHERS.get(self.searcher))
        return primitives | ({f"searcher {self.searcher}": searcher} if searcher else {})


@_settings
class EvalConfig(_Config):
    """The training of a genotype's network from scratch (section 3.4), and of every rival with the same budget.

    Raises:
        UnknownNameError: an unknown setting.
        ConfigError: names the setting, its value and what was expected.
    """

    epochs: Count = 30
    """Epochs on train + val (the paper: 50 to 70)."""
    seeds: Count = 3
    """How many seeds: 0, 1, 2 ..."""
    select: Literal["last", "validation"] = "last"
    """"last": train on train + val, score the last epoch; "validation": train on train, take val's best epoch."""
    max_lr: Rate = 1e-3
    """Largest learning rate."""
    min_lr: Rate = 1e-6
    """Smallest learning rate."""
    weight_decay: Rate = 1e-4
    """L2 of the weights."""
    Ti: Count | None = None
    """First period of the warm restarts in epochs; one period over all epochs when None."""
    Tm: Count = 2
    """Factor from one period to the next."""
    patience: Count | None = None
    """Epochs without a better validation score after which a training ends; needs select = "validation"."""

    def __post_init__(self) -> None:
        self._check_rates()
        if self.patience is not None and self.select != "validation":
            raise ConfigError(
                f"patience is {self.patience} with select = {self.select!r}; it needs select = 'validation'"
            )
