"""The run folder: everything that a search, its evaluation and its ablation leave behind.

    runs/<name>/
        config.json            data set, configuration and the features' fingerprint: what makes the run what it is
        environment.json       versions and machine
        trace.jsonl            one line an epoch, the same in every equal run
        timing.jsonl           seconds, memory and dates: everything that may differ between equal runs
        checkpoint.safetensors the state after the last epoch
        selection.json         both answers of the search
        reading.jsonl          only while the search is read out: scores so far
        genotype.json          the chosen one
        network.safetensors    the trained network, see `bmnas.load`
        evaluation.json, ablation.csv, figures/
        joint.json             of backbones and network trained together, where 04 was asked for it
        lock                   only while a search is at work: its process
        scores/, timing/       the results of each seed that was trained, and how long it took
        features/              only for features that are not stored elsewhere

Every file is written under a temporary name and renamed. Reading executes no code.
"""

import json
import math
import os
import re
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bmnas.config import SearchConfig, identifying
from bmnas.errors import BmnasError, RunError
from bmnas.features.feature_set import FeatureSet
from bmnas.machine import environment, runs_root
from bmnas.registry import by_nearness
from bmnas.searching.trace import EpochEvent, Trace
from bmnas.space.genotype import Genotype
from bmnas.storage.checkpoint import load_state, save_state
from bmnas.storage.lock import hold
from bmnas.storage.reading import read_json
from bmnas.storage.records import append_record, epoch_record, read_records
from bmnas.storage.whole_files import write_text

SCHEMA = 1
RUN_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


class Run:
    """One run folder.

    Args:
        folder: where it is, or will be.

    Raises:
        RunError: the folder's name is not letters, digits, dots, dashes and underscores, or has more than 100.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        check_run_name(self.folder.name)

    @property
    def name(self) -> str:
        """The folder's name."""
        return self.folder.name

    def __repr__(self) -> str:
        return f"Run({self.name})"

    @contextmanager
    def working(self) -> Iterator[None]:
        """While a search is made or read out: no other process may. Reading the folder is always possible.

        Raises:
            RunError: another process is at work here (named), or the folder cannot be written.
        """
        with hold(self.path("lock")):
            yield

    # what the run is

    def claim(self, config: SearchConfig, features: FeatureSet) -> None:
        """Makes the folder this configuration's, or makes sure that it already is.

        Raises:
            RunError: it belongs to another configuration or other features; lists the differences.
        """
        mine = {
            "schema": SCHEMA,
            "dataset": features.task,
            "source": features.source,
            "features": features.fingerprint,
            "search": config.to_dict(),
        }
        if not self.path("config.json").exists():
            self._make_folder()
            self._keep_features(features)
            self.save_json("environment.json", environment(config.threads))
            self.save_json("config.json", mine)
            return
        differences = list(_differences(_identity(self.load_json("config.json")), _identity(mine)))
        if differences:
            raise RunError(
                f"{self.folder} belongs to another configuration: {'; '.join(differences)}. "
                "Nothing was changed; choose another run_name, or the settings of that run"
            )
        with suppress(OSError):  # a copy that cannot be changed can be read still
            os.utime(self.path("config.json"))  # the run that was worked on last is the newest

    def _make_folder(self) -> None:
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise RunError(f"{self.folder} cannot be made: {error}") from error

    def _keep_features(self, features: FeatureSet) -> None:
        """Remembers where the features are; features without a folder of their own are saved in the run."""
        folder = features.folder
        if folder is None:
            folder = self.path("features")
            if not folder.exists():
                features.save(folder)
            elif FeatureSet.open(folder).fingerprint != features.fingerprint:  # left by a process that died here
                raise RunError(f"{folder} holds other features; choose another run_name, or delete that folder")
        self.save_json("features.json", {"folder": os.path.relpath(folder, self.folder)})

    def config(self) -> SearchConfig:
        """The configuration of the search.

        Raises:
            RunError: there is none, or it is damaged.
        """
        try:
            return SearchConfig.from_dict(self._about("search"))
        except (TypeError, BmnasError) as error:
            raise RunError(f"{self.path('config.json')}: not the configuration of a search ({error})") from error

    def dataset(self) -> str:
        """The data set's name.

        Raises:
            RunError: the configuration is damaged.
        """
        name = self._about("dataset")
        if not isinstance(name, str):
            raise RunError(f"{self.path('config.json')}: dataset is {name!r}; expected a name")
        return name

    def source(self) -> str:
        """ "real", "synthetic" or "stand-in", as its features are; "" where nobody wrote it down.

        Raises:
            RunError: the configuration is damaged.
        """
        return str(self.load_json("config.json").get("source", ""))

    def features(self) -> FeatureSet:
        """The features that the search used.

        Raises:
            RunError: they are gone, or others lie in their place.
        """
        stored = self.load_json("features.json").get("folder")
        if not isinstance(stored, str) or "\0" in stored:
            raise RunError(f"{self.path('features.json')}: folder is {stored!r}; expected where the features are")
        folder = self.folder / stored
        try:
            folder = folder.resolve()
            there = stat.S_ISDIR(folder.stat().st_mode)
        except (OSError, RuntimeError):  # RuntimeError: a link that leads to itself
            there = False
        if not there:
            raise RunError(f"{self.folder}: its features were in {folder}, which is gone; run notebook 01 again")
        features = FeatureSet.open(folder)
        if features.fingerprint != self._about("features"):
            raise RunError(f"{folder} holds other features than the run {self.name} was made with")
        return features

    def _about(self, field: str) -> Any:
        about = self.load_json("config.json")
        if about.get("schema", SCHEMA) != SCHEMA:
            raise RunError(
                f"{self.path('config.json')}: schema is {about['schema']!r}; this version of bmnas reads {SCHEMA}"
            )
        if field not in about:
            raise RunError(f"{self.path('config.json')} lacks the field {field!r}")
        return about[field]

    # the search

    def record_epoch(self, event: EpochEvent, state: dict[str, Any]) -> None:
        """Appends the epoch to the trace, then replaces the checkpoint.

        In this order: a trace that is one epoch ahead of its checkpoint is cut back when the run goes on.
        """
        append_record(self.path("trace.jsonl"), event.record())
        date = datetime.now(UTC).isoformat(timespec="seconds")
        append_record(self.path("timing.jsonl"), {**event.timing(), "date": date})
        save_state(self.path("checkpoint.safetensors"), state)

    def load_checkpoint(self) -> dict[str, Any] | None:
        """The state after the last epoch, or None before the first; cuts the trace back to that epoch.

        Raises:
            RunError: the checkpoint is damaged, or the trace lacks epochs before it.
        """
        path = self.path("checkpoint.safetensors")
        if not self.has_checkpoint():
            self._cut_back(0)
            return None
        state = load_state(path)
        if not isinstance(state, dict) or type(state.get("epoch")) is not int or state["epoch"] < 1:
            raise RunError(f"{path}: not the checkpoint of a search, it lacks 'epoch'; delete it to start anew")
        self._cut_back(state["epoch"])
        return state

    def has_checkpoint(self) -> bool:
        """Whether an epoch was finished here."""
        return self.path("checkpoint.safetensors").exists()

    def trace(self) -> Trace:
        """The events of all recorded epochs.

        Raises:
            RunError: a line is damaged; names file and line.
        """
        timing = {line["epoch"]: line for line in read_records(self.path("timing.jsonl"), epoch_record)}
        events = []
        for number, line in enumerate(read_records(self.path("trace.jsonl"), epoch_record), start=1):
            try:
                events.append(EpochEvent.from_record(line, timing.get(number)))
                if line["epoch"] != number:
                    raise RunError(f"epoch is {line['epoch']}; expected {number}")
            except RunError as error:
                raise RunError(f"{self.path('trace.jsonl')}, line {number}: {error}") from error
        return Trace(events)

    def _cut_back(self, epoch: int) -> None:
        kept = {
            name: [record for record in read_records(self.path(name), epoch_record) if record["epoch"] <= epoch]
            for name in ("trace.jsonl", "timing.jsonl")
        }
        if len(kept["trace.jsonl"]) != epoch:
            raise RunError(
                f"{self.path('trace.jsonl')}: holds {len(kept['trace.jsonl'])} epochs, but the checkpoint is of epoch "
                f"{epoch}; bring the trace back, or delete the checkpoint to start anew"
            )
        for name, records in kept.items():
            text = "".join(json.dumps(record) + "\n" for record in records)
            if self.path(name).exists() and self.path(name).read_text(encoding="utf-8") != text:
                self.save_text(name, text)

    # what follows the search

    def genotype(self) -> Genotype:
        """The genotype that the search chose.

        Raises:
            RunError: the search has not ended yet.
        """
        if not self.path("genotype.json").exists():
            raise RunError(f"{self.folder} has no genotype.json yet; run notebook 02 for it")
        return Genotype.load(self.path("genotype.json"))

    def path(self, name: str) -> Path:
        """A file of this run."""
        return self.folder / name

    def save_text(self, name: str, text: str) -> None:
        """Writes a file, whole or not at all.

        Raises:
            RunError: it cannot be written; what was there before is kept.
        """
        write_text(self.path(name), text)

    def save_json(self, name: str, data: Any) -> None:
        """Writes JSON, whole or not at all; a number that is not finite, which JSON does not know, becomes null."""
        self.save_text(name, json.dumps(_strict(data), indent=2, ensure_ascii=False, allow_nan=False) + "\n")

    def load_json(self, name: str) -> dict[str, Any]:
        """Reads JSON.

        Raises:
            RunError: the file is missing or is not a JSON object.
        """
        return read_json(self.path(name))


def check_run_name(name: str) -> str:
    """The name, if a run folder may have it.

    Raises:
        RunError: it is empty, too long, or has other characters; a slash would lead out of the folder of all runs.
    """
    if not RUN_NAME.fullmatch(name):
        raise RunError(f"run name {name[:120]!r}: expected letters, digits, '.', '-' and '_', 100 at most")
    return name


def run_name(dataset: str, config: SearchConfig, features: FeatureSet) -> str:
    """`digits-s0-1a2b3c4d`: data set, seed and a digest of configuration and features, so that the same command resumes
    its run and any other starts anew.
    """
    both = int(config.digest(), 16) ^ int(features.fingerprint[:8], 16)
    return f"{dataset}-s{config.seed}-{both:08x}"


def open_run(name: str | None, dataset: str) -> Run:
    """A run by name, or the newest run of the data set that has an answer, if one has.

    A search that goes on elsewhere, or was given up, so does not take the place of one that can be worked with.

    Raises:
        RunError: there is no such run; lists the runs there are.
    """
    runs = list_runs()
    if name is not None:
        name = str(name)  # papermill -p makes a number of digits
        for run in runs:
            if run.name == name:
                return run
        listed = ", ".join(by_nearness(name, [run.name for run in runs])) or "none"
        raise RunError(f"no run {name!r} in {runs_root()}; there are (nearest first): {listed}")
    mine = [run for run in runs if _is_of(run, dataset)]
    if not mine:
        raise RunError(f"no run of {dataset!r} in {runs_root()} yet; run notebook 02 with dataset = {dataset!r} first")
    answered = [run for run in mine if run.path("genotype.json").exists()]
    return max(answered or mine, key=lambda run: run.path("config.json").stat().st_mtime)


def _is_of(run: Run, dataset: str) -> bool:
    try:
        return run.dataset() == dataset
    except RunError:  # a damaged run must not hide the others; asked for by name, it says what is wrong
        return False


def list_runs() -> list[Run]:
    """All runs in `runs_root()`, by name."""
    found = sorted(runs_root().glob("*/config.json"))
    return [Run(path.parent) for path in found if RUN_NAME.fullmatch(path.parent.name)]


def _strict(data: Any) -> Any:
    """Without NaN and infinities."""
    if isinstance(data, dict):
        return {key: _strict(value) for key, value in data.items()}
    if isinstance(data, list | tuple):
        return [_strict(value) for value in data]
    return None if isinstance(data, float) and not math.isfinite(data) else data


def _identity(about: dict[str, Any]) -> dict[str, Any]:
    """What must agree: all but the device and the threads of the search."""
    search = about.get("search")
    return {**about, "search": identifying(search) if isinstance(search, dict) else search}


def _differences(theirs: dict[str, Any], mine: dict[str, Any], where: str = "") -> Iterable[str]:
    for name in sorted({*theirs, *mine}):
        old, new = theirs.get(name), mine.get(name)
        if isinstance(old, dict) and isinstance(new, dict):
            yield from _differences(old, new, f"{where}{name}.")
        elif old != new:
            yield f"{where}{name} is {old!r} there, {new!r} here"
