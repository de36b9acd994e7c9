"""`config.json` of a run folder: data set, features and settings, which make the run what it is."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from pydantic import ConfigDict, TypeAdapter

from bmnas.config import SearchConfig, identifying
from bmnas.errors import BmnasError, RunError
from bmnas.features.feature_set import FeatureSet
from bmnas.machine import environment, resolve_device
from bmnas.storage.reading import read_json
from bmnas.storage.validation import validate

SCHEMA = 1
ENVIRONMENT = "environment.json"


@dataclass(frozen=True, kw_only=True)
class RunRecord:
    """What a run is.

    Attributes:
        schema: version of the file.
        dataset: its name.
        source: "real", "synthetic" or "stand-in"; "" in files of older versions.
        features: fingerprint of the features.
        search: the plain settings of the search.
        code: digests of the code of one's own, see `SearchConfig.own_code`; None where there are none, and in files of
            older versions.
    """

    __pydantic_config__ = ConfigDict(extra="forbid")

    schema: int = SCHEMA
    dataset: str
    source: str = ""
    features: str
    search: dict[str, Any]
    code: dict[str, str] | None = None

    @classmethod
    def of(cls, config: SearchConfig, features: FeatureSet) -> "RunRecord":
        """Returns the record of a search."""
        return cls(
            dataset=features.task,
            source=features.source,
            features=features.fingerprint,
            search=config.to_dict(),
            code=config.own_code() or None,
        )

    def to_dict(self) -> dict[str, Any]:
        """Returns plain values, for JSON; without `code` where there is none."""
        return {name: value for name, value in asdict(self).items() if name != "code" or value is not None}

    @classmethod
    def load(cls, path: Path) -> "RunRecord":
        """Reads the file.

        Raises:
            RunError: it is missing, damaged, or of another version; names the field.
        """
        data = read_json(path)
        if data.get("schema", SCHEMA) != SCHEMA:
            raise RunError(f"{path}: schema is {data['schema']!r}; this version of bmnas reads {SCHEMA}")
        return validate(TypeAdapter(cls), data, RunError, str(path))

    def config(self) -> SearchConfig:
        """Returns the settings of the search.

        Raises:
            RunError: one of them is wrong or unknown; names it.
        """
        try:
            return SearchConfig.from_dict(self.search)
        except BmnasError as error:
            raise RunError(f"not the configuration of a search ({error})") from error

    def check_same(self, mine: "RunRecord", folder: Path) -> None:
        """Makes sure that this record and `mine` are of the same experiment.

        Raises:
            RunError: they are not; names the folder and lists the differences.
        """
        differences = self.differences(mine)
        if differences:
            raise RunError(
                f"{folder} belongs to another configuration: {'; '.join(differences)}. "
                "Nothing was changed; choose another run_name, or the settings of that run"
            )

    def differences(self, mine: "RunRecord") -> list[str]:
        """Returns what differs between this record and `mine`, but for the settings of the machine."""
        there = replace(self, search=identifying(self.search), source=self.source or mine.source, code=None)
        here = replace(mine, search=identifying(mine.search), code=None)
        edited = code_differences(self.code or {}, mine.code or {})
        return [*edited, *_differences(asdict(there), asdict(here))]


def code_differences(theirs: Mapping[str, str], mine: Mapping[str, str]) -> list[str]:
    """Says what of one's own has other code there than here, of those whose code is known in both."""
    return [
        f"{_kind(name)} has other code there (it was edited since, or Python is another version)"
        for name in sorted({*theirs} & {*mine})
        if theirs[name] != mine[name]
    ]


def _kind(name: str) -> str:
    """Writes "the searcher 'mine'" of "searcher mine"; all else is a primitive."""
    searcher = name.removeprefix("searcher ")
    return f"the primitive {name!r}" if searcher == name else f"the searcher {searcher!r}"


def check_machine(run: Path, config: SearchConfig) -> None:
    """Makes sure that an unfinished result is not continued by a machine that rounds otherwise.

    Args:
        run: its folder; one without `environment.json` passes.

    Raises:
        RunError: the folder was made on another kind of processor or CUDA device; names both.
    """
    if not (run / ENVIRONMENT).exists():
        return
    kind = "cuda" if resolve_device(config.device).type == "cuda" else "processor"
    there = read_json(run / ENVIRONMENT).get(kind)
    here = environment(config.threads)[kind]
    if there not in (None, here):
        raise RunError(
            f"{run} was started on {there}; this machine has {here}, and rounds differently. Continue it there, choose "
            f"another run_name, or delete its {ENVIRONMENT} to mix both nevertheless"
        )


def _differences(theirs: dict[str, Any], mine: dict[str, Any], where: str = "") -> Iterator[str]:
    for name in sorted({*theirs, *mine}):
        old, new = theirs.get(name), mine.get(name)
        if isinstance(old, dict) and isinstance(new, dict):
            yield from _differences(old, new, f"{where}{name}.")
        elif old != new:
            yield f"{where}{name} is {old!r} there, {new!r} here"
