"""`features.json` of a run folder: where the features of the search are stored."""

import os
import stat
from pathlib import Path

from bmnas.errors import RunError
from bmnas.features.feature_set import FeatureSet
from bmnas.storage.reading import read_json
from bmnas.storage.whole_files import write_json

FEATURES, OWN_FOLDER = "features.json", "features"


def store_features(run: Path, features: FeatureSet) -> None:
    """Writes where the features are; features without a folder of their own are saved in the run's.

    Raises:
        RunError: the run folder holds other features, or cannot be written.
    """
    folder = features.folder
    if folder is None:
        folder = run / OWN_FOLDER
        if not folder.exists():
            features.save(folder)
        elif FeatureSet.open(folder).fingerprint != features.fingerprint:  # left by a process that died here
            raise RunError(f"{folder} holds other features; choose another run_name, or delete that folder")
    part = {} if features.chosen is None else {"features": list(features.chosen)}
    write_json(run / FEATURES, {"folder": os.path.relpath(folder, run), **part})


def open_features(run: Path) -> FeatureSet:
    """Opens a run's features: those of its folder that the search used.

    Raises:
        RunError: the file is damaged, or the folder is gone.
        FeatureError, UnknownNameError: the features are damaged, or others.
    """
    stored = read_json(run / FEATURES)
    names = stored.get("features")
    if names is not None and not (isinstance(names, list) and all(isinstance(name, str) for name in names)):
        raise RunError(f"{run / FEATURES}: features is {names!r}; expected the names of those that the search used")
    return FeatureSet.open(_folder(run, stored.get("folder"))).choose(features=names)


def _folder(run: Path, stored: object) -> Path:
    if not isinstance(stored, str) or "\0" in stored:
        raise RunError(f"{run / FEATURES}: folder is {stored!r}; expected where the features are")
    folder = run / stored
    try:
        folder = folder.resolve()
        is_folder = stat.S_ISDIR(folder.stat().st_mode)
    except (OSError, RuntimeError):  # RuntimeError: a link that leads to itself
        is_folder = False
    if not is_folder:
        raise RunError(f"{run}: its features were in {folder}, which is gone; run notebook 01 again")
    return folder
