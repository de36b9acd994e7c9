"""Real features that were extracted before, for when they cannot be made again."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from bmnas.errors import DataError, warn
from bmnas.features.extraction_run import FINGERPRINT
from bmnas.features.feature_set import FeatureSet
from bmnas.features.input_stamps import NAMES, changed_samples
from bmnas.features.samples import Samples
from bmnas.features.store import MANIFEST
from bmnas.storage.paths import given_path
from bmnas.storage.reading import read_json, read_text
from bmnas.tasks.base import Options
from bmnas.tasks.real_data.extraction import HOW, sha256


def extracted(task: str, cache: Path) -> dict[Path, dict[str, Any]]:
    """Lists the feature sets of a task's real data in the cache, newest first, and their options."""
    folders = []
    for path in cache.glob(f"{task}-*/{MANIFEST}"):
        try:
            manifest = read_json(path)
            if manifest["source"] == "real":
                folders.append((path.stat().st_mtime, path.parent, dict(manifest["options"])))
        except (OSError, ValueError, KeyError, TypeError):
            continue  # opening it would say what is wrong; here it is only not the one that was looked for
    return {folder: options for _, folder, options in sorted(folders, key=lambda each: each[0], reverse=True)}


def extracted_before(
    task: str,
    wishes: Options,
    cache: Path,
    error: DataError,
    samples: Samples | None = None,
    chosen: Options | None = None,
) -> FeatureSet:
    """Opens the newest real features in the cache that have every option asked for (None asks for none).

    Their notes say that they were stored before.

    Args:
        task: name of the data set.
        wishes: option -> value, as given to `prepare`.
        cache: folder of the feature sets.
        error: why they cannot be made again.
        samples: the data set as it is now, where it can be opened; how it differs is part of the warning.
        chosen: the options with which it was opened.

    Raises:
        DataError: `error`, and how the features that are there differ from those that were asked for.
    """
    demands = {name: value for name, value in wishes.items() if value is not None and name not in HOW}
    there = ""
    for folder, options in extracted(task, cache).items():
        others = [name for name, value in demands.items() if not _has(options, name, value)]
        if not others:
            features = FeatureSet.open(folder)
            why = str(error).partition(";")[0]  # the rest is what to do without features
            differ = "" if samples is None else _differences(folder, options, samples, chosen or {})
            warn(f"{folder} is used; its features cannot be made again: {why}{differ}")
            return replace(features, notes=f"{features.notes}; features stored before, not made again")
        differ = ", ".join(f"{name} = {options.get(name)!r}, not {demands[name]!r}" for name in others)
        there += f". Features extracted before, in {folder}, have {differ}"
    raise DataError(f"{error}{there}") from error


def _differences(folder: Path, options: Options, samples: Samples, chosen: Options) -> str:
    """Words the end of a warning: how the data set differs from the one that the features were made from.

    Args:
        chosen: the options with which the samples were opened; of another split other samples are wanted.
    """
    is_whole = options.get("samples") == "full" and options.get("split") == chosen.get("split")
    data = options.get("data")
    before = data.get("counts") if isinstance(data, dict) else None
    now = samples.facts.get("counts")
    words = ""
    if isinstance(before, dict) and before != now:
        words = f". The data has {_sizes(now)} samples now (train / val / test), and had {_sizes(before)} then"
    wanted = {samples.names[row] for rows in samples.splits.values() for row in rows}
    names = set(read_text(folder / NAMES).splitlines()) if is_whole and (folder / NAMES).exists() else wanted
    for what, others in (("are new", wanted - names), ("are gone", names - wanted)):
        if others:
            words += f". {len(others):,} samples {what} since, first {min(others)}"
    changed = changed_samples(folder, samples)
    if changed:
        words += f". The files of {len(changed):,} samples are others than then, first those of {changed[0]}"
    if not words and is_whole and options.get(FINGERPRINT) not in (None, samples.fingerprint):
        words = ". The splits, classes, labels or frames of its samples are others than then"
    return words


def _sizes(counts: Any) -> str:
    return " / ".join(f"{count:,}" for count in counts.values())


def _has(options: Options, name: str, value: Any) -> bool:
    """Returns whether features have an option; of files of weights, those of the modalities that were named."""
    if name not in ("weights", "imagenet"):
        return options.get(name) == value
    there = options.get(name) or {}
    return {
        modality: sha256(given_path(f"{name}[{modality!r}]", path)) for modality, path in value.items()
    }.items() <= there.items()
