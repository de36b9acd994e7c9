"""A feature set on disk: one .npy a field, and manifest.json, which describes all of them with checksums."""

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from bmnas.errors import FeatureError
from bmnas.features.fields import FeatureFields
from bmnas.features.missing import count_missing, missing_rows
from bmnas.features.npy import open_npy
from bmnas.storage.digests import file_sha256, json_sha256
from bmnas.storage.lock import hold
from bmnas.storage.reading import read_json
from bmnas.storage.whole_files import cannot_write, sync, write_text

SCHEMA = 1
MANIFEST = "manifest.json"
FIELDS = {
    "schema": int,
    "task": str,
    "source": str,
    "notes": str,
    "L": int,
    "kind": str,
    "classes": list,
    "modalities": dict,
    "features": list,
    "targets": dict,
    "splits": dict,
    "logits": dict,
    "backbones": dict,
    "pooling": dict,
    "options": dict,
}
OF_SAMPLES = ("groups", "weights")  # that a feature set may have
ENTRY = {"file": str, "shape": list, "dtype": str, "sha256": str}


class HashedFile:
    """A file open for writing that knows the sha256 of what was written; hashes only, when there is no file."""

    def __init__(self, file: BinaryIO | None = None) -> None:
        self.file = file
        self.hash = hashlib.sha256()

    def write(self, data: bytes) -> int:
        self.hash.update(data)
        return len(data) if self.file is None else self.file.write(data)


def describe(features: FeatureFields, extras: Mapping[str, Any]) -> dict[str, Any]:
    """Makes the manifest, without the checksums, which only files have."""
    modality = {name: m for m, names in features.modalities.items() for name in names}
    return {
        "schema": SCHEMA,
        "bmnas": bmnas_version(),
        "task": features.task,
        "source": features.source,
        "notes": features.notes,
        "L": features.L,
        "kind": features.kind,
        "classes": list(features.classes),
        "modalities": {name: list(members) for name, members in features.modalities.items()},
        "features": [
            {"name": name, "modality": modality[name], "vector": name in features.vectors}
            | ({"missing": int(features.missing[name].sum())} if name in features.missing else {})
            | _entry(f"{i:02d}_{name}.npy", array)
            for i, (name, array) in enumerate(features.arrays.items(), start=1)
        ],
        "targets": _entry("targets.npy", features.targets),
        "splits": {name: _entry(f"split_{name}.npy", rows) for name, rows in features.splits.items()},
        "logits": {name: _logits_entry(name, array) for name, array in features.logits.items()},
        **{name: _entry(f"{name}.npy", array) for name, array in _of_samples(features).items()},
        **extras,
    }


def write(features: FeatureFields, folder: Path, beside: Mapping[str, str] | None = None) -> Path:
    """Writes to a temporary sibling, with the text files `beside`, then renames it; see `FeatureSet.save`."""
    try:
        if folder.exists():
            raise FeatureError(
                f"{folder} exists already; nothing is overwritten. Choose another folder, or delete it first"
            )
    except OSError as error:
        raise FeatureError(cannot_write(folder, error, "nothing was changed")) from error
    extras = {key: features.manifest.get(key, {}) for key in ("backbones", "pooling", "options")}
    manifest = describe(features, extras)
    try:
        json.dumps(manifest, ensure_ascii=False, allow_nan=False).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise FeatureError(
            f"{MANIFEST} cannot be written: {error}; expected JSON values in backbones, pooling, options, and text "
            "without halves of characters"
        ) from error
    try:
        lock = folder.parent / f".{folder.name}.lock"
        with hold(lock, wait=True, error=FeatureError):  # what lies there was left by killed processes
            for dead in folder.parent.glob(f".{folder.name}-*.partial"):
                shutil.rmtree(dead, ignore_errors=True)
            _write(features, folder, manifest, beside or {})
    except OSError as error:
        raise FeatureError(cannot_write(folder, error, "nothing was changed")) from error
    return folder


def _write(features: FeatureFields, folder: Path, manifest: dict[str, Any], beside: Mapping[str, str]) -> None:
    partial = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", suffix=".partial", dir=folder.parent))
    try:
        partial.chmod(0o777 & ~_umask())
        for entry, array in _entries(manifest, features):
            entry["sha256"] = _save(partial / entry["file"], array)
        for name, text in beside.items():
            write_text(partial / name, text, FeatureError)
        write_text(partial / MANIFEST, json.dumps(manifest, indent=1, ensure_ascii=False) + "\n", FeatureError)
        if folder.exists():
            raise FeatureError(f"{folder} exists by now: another process was faster; nothing is overwritten")
        os.rename(partial, folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def complete(features: FeatureFields, folder: Path) -> None:
    """Makes a folder that holds the arrays of features and logits already, under their names, a feature set.

    They are hashed where they lie; targets and splits are written, and at last the manifest.

    Raises:
        FeatureError: the folder cannot be written.
    """
    manifest = describe(features, {key: features.manifest[key] for key in ("backbones", "pooling", "options")})
    there = [entry["file"] for entry in (*manifest["features"], *manifest["logits"].values())]
    try:
        for entry, array in _entries(manifest, features):
            path = folder / entry["file"]
            entry["sha256"] = file_sha256(path) if entry["file"] in there else _save(path, array)
        write_text(folder / MANIFEST, json.dumps(manifest, indent=1, ensure_ascii=False) + "\n", FeatureError)
    except OSError as error:
        raise FeatureError(cannot_write(folder, error, "its arrays stay there")) from error


def read(folder: Path, verify: bool) -> FeatureFields:
    """Reads the fields of the feature set in a folder; see `FeatureSet.open`."""
    path = folder / MANIFEST
    manifest = _manifest(path)
    features = [_checked(path, f"features[{i}]", e, {"name": str}) for i, e in enumerate(manifest["features"])]
    targets = _checked(path, "targets", manifest["targets"])
    splits = {k: _checked(path, f"splits.{k}", e) for k, e in manifest["splits"].items()}
    logits = {k: _checked(path, f"logits.{k}", e) for k, e in manifest["logits"].items()}
    of_samples = {name: _checked(path, name, manifest[name]) for name in OF_SAMPLES if name in manifest}
    if not all(isinstance(names, list) for names in manifest["modalities"].values()):
        raise FeatureError(f"{path}: modalities is {manifest['modalities']!r}; expected a list of features for each")
    return FeatureFields(
        arrays={entry["name"]: _load(folder, entry, verify) for entry in features},
        targets=np.array(_load(folder, targets, verify)),
        splits={name: np.array(_load(folder, entry, verify)) for name, entry in splits.items()},
        L=manifest["L"],
        kind=manifest["kind"],
        classes=tuple(manifest["classes"]),
        modalities={name: tuple(members) for name, members in manifest["modalities"].items()},
        logits={name: _load(folder, entry, verify) for name, entry in logits.items()},
        task=manifest["task"],
        source=manifest["source"],
        notes=manifest["notes"],
        manifest=manifest,
        **{name: np.array(_load(folder, entry, verify)) for name, entry in of_samples.items()},
    )


def fingerprint(features: FeatureFields) -> str:
    """sha256 of everything that a search depends on; groups are not."""
    manifest = describe(features, {})
    manifest.pop("groups", None)
    for entry, array in _entries(manifest, features):
        entry["sha256"] = _save(None, array)
    return json_sha256({key: value for key, value in manifest.items() if key not in ("bmnas", "notes")})


def bmnas_version() -> str:
    """Returns the installed version, or "uninstalled" where bmnas is only on the path."""
    try:
        return version("bmnas")
    except PackageNotFoundError:
        return "uninstalled"


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _of_samples(features: FeatureFields) -> dict[str, np.ndarray]:
    """Returns what a feature set may say of each sample, and does."""
    each = {name: getattr(features, name) for name in OF_SAMPLES}
    return {name: array for name, array in each.items() if array is not None}


def _entry(file: str, array: np.ndarray) -> dict[str, Any]:
    return {"file": file, "shape": list(array.shape), "dtype": str(array.dtype)}


def _logits_entry(modality: str, array: np.ndarray) -> dict[str, Any]:
    count = int(missing_rows(array).sum())
    return _entry(f"logits_{modality}.npy", array) | ({"missing": count} if count else {})


def _listed(manifest: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Lists the entries of the manifest in the order of their arrays."""
    return [
        *manifest["features"],
        manifest["targets"],
        *manifest["splits"].values(),
        *manifest["logits"].values(),
        *(manifest[name] for name in OF_SAMPLES if name in manifest),
    ]


def _entries(manifest: Mapping[str, Any], features: FeatureFields) -> list[tuple[dict[str, Any], np.ndarray]]:
    """Pairs each entry of the manifest with its array."""
    arrays = [*features.arrays.values(), features.targets, *features.splits.values(), *features.logits.values()]
    arrays += [array for name, array in _of_samples(features).items() if name in manifest]
    return list(zip(_listed(manifest), arrays, strict=True))


def _save(path: Path | None, array: np.ndarray) -> str:
    """Writes an array, or only pretends to, and returns the sha256 of the file."""
    if path is None:
        hashed = HashedFile()
        np.lib.format.write_array(hashed, np.ascontiguousarray(array), allow_pickle=False)  # pyright: ignore
        return hashed.hash.hexdigest()
    with path.open("wb") as file:
        hashed = HashedFile(file)
        np.lib.format.write_array(hashed, np.ascontiguousarray(array), allow_pickle=False)  # pyright: ignore
    sync(path)
    return hashed.hash.hexdigest()


def _manifest(path: Path) -> dict[str, Any]:
    remedy = "restore it, or make the features with bmnas.prepare(dataset) or notebook 01_feature_extraction"
    manifest = read_json(path, FeatureError, remedy)
    if manifest.get("schema") != SCHEMA:
        raise FeatureError(f"{path}: schema is {manifest.get('schema')!r}; this version of bmnas reads schema {SCHEMA}")
    return _typed(path, "", manifest, FIELDS)


def _typed(path: Path, where: str, data: Any, types: Mapping[str, type]) -> dict[str, Any]:
    """Returns the JSON object, each of whose fields is present and of its type."""
    if not isinstance(data, dict):
        raise FeatureError(f"{path}: {where} is {data!r}; expected an object with the fields {', '.join(types)}")
    for name, kind in types.items():
        field = f"{where}.{name}" if where else name
        if name not in data:
            raise FeatureError(f"{path}: the field {field} is missing")
        if not isinstance(data[name], kind) or isinstance(data[name], bool):
            raise FeatureError(f"{path}: {field} is {data[name]!r}; expected {kind.__name__}")
    return data


def _checked(path: Path, where: str, data: Any, more: Mapping[str, type] | None = None) -> dict[str, Any]:
    """Returns the manifest's entry of one file, which must lie in the same folder."""
    entry = _typed(path, where, data, {**ENTRY, **(more or {})})
    name = entry["file"]
    if Path(name).name != name or not name.endswith(".npy") or not name.isprintable():
        raise FeatureError(f"{path}: {where}.file is {name!r}; expected the name of a .npy file in the same folder")
    return entry


def _load(folder: Path, entry: Mapping[str, Any], verify: bool) -> np.ndarray:
    path = folder / entry["file"]
    try:
        array = open_npy(path)
        digest = file_sha256(path) if verify else entry["sha256"]
    except FileNotFoundError as error:
        raise FeatureError(f"{path} is missing, but the manifest lists it; make the features again") from error
    except (OSError, ValueError) as error:
        raise FeatureError(f"{path} cannot be read as a .npy file: {error}; make the features again") from error
    for field, value in (("shape", list(array.shape)), ("dtype", str(array.dtype)), ("sha256", digest)):
        if value != entry[field]:
            raise FeatureError(
                f"{path}: {field} is {value}, but the manifest says {entry[field]}; "
                "the file was changed or damaged: restore it or make the features again"
            )
    if verify and array.dtype.kind == "f":
        count = count_missing(str(path), array)
        if count != entry.get("missing", 0):
            raise FeatureError(
                f"{path}: {count} rows are NaN, but the manifest says that {entry.get('missing', 0)} are missing; "
                "restore the file or make the features again"
            )
    return array
