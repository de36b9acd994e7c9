"""What the inputs of stored features were: one number a sample, which other files at the same place do not share.

`names.txt` and `inputs.npy` lie beside the features, one line and one number a row.
"""

from pathlib import Path

from bmnas.errors import FeatureError
from bmnas.features.npy import open_npy
from bmnas.features.samples import Samples
from bmnas.storage.reading import read_text

NAMES, INPUTS = "names.txt", "inputs.npy"


def changed_samples(folder: Path, samples: Samples) -> list[str]:
    """Returns the names of the samples whose files are others than those that the features were made from.

    Samples that are not there any more, and those of features without `inputs.npy` (an older version wrote none),
    are not compared.

    Args:
        folder: of the features.
        samples: as they are now.

    Raises:
        FeatureError: one of the two files is damaged.
    """
    if not (folder / INPUTS).exists():
        return []
    try:
        names = read_text(folder / NAMES).splitlines()
        stamps = open_npy(folder / INPUTS)
    except (OSError, ValueError) as error:
        raise FeatureError(
            f"{folder / INPUTS} or {NAMES} cannot be read: {error}; delete {INPUTS}, the features stay"
        ) from error
    if stamps.shape != (len(names),):
        raise FeatureError(f"{folder / INPUTS} has the shape {stamps.shape}; expected ({len(names)},), as {NAMES} says")
    places = {name: row for row, name in enumerate(samples.names)}
    return [
        name
        for name, stamp in zip(names, stamps, strict=True)
        if stamp and name in places and samples.stamp(places[name]) != stamp
    ]
