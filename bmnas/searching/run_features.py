"""`features.json` of a run folder: where the features of the search are stored."""

import os
import stat
from pathlib import Path

from bmnas.errors import RunError
from bmnas.features.feature_set import FeatureSet
from bmnas.storage.reading import read_json
from bmnas.storage.whole_files import write_json

FILE, OWN_FOLDER = "features.json", "features"


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
    write_json(run / FILE, {"folder": os.path.relpath(folder, run)})


def features_folder(run: Path) -> Path:
    """Returns the folder of a run's features.

    Raises:
        RunError: the file is damaged, or the folder is gone.
    """
    stored = read_json(run / FILE).get("folder")
    if not isinstance(stored, str) or "\0" in stored:
        raise RunError(f"{run / FILE}: folder is {stored!r}; expected where the features are")
    folder = run / stored
    try:
        folder = folder.resolve()
        is_folder = stat.S_ISDIR(folder.stat().st_mode)
    except (OSError, RuntimeError):  # RuntimeError: a link that leads to itself
        is_folder = False
    if not is_folder:
        raise RunError(f"{run}: its features were in {folder}, which is gone; run notebook 01 again")
    return folder
