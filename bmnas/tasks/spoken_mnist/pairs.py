"""What `avmnist` and `avsum` share: MNIST's images, FSDD's recordings, a split without leaks, and their backbones.

| split | images | recordings (number in the file name) |
| --- | --- | --- |
| backbones | MNIST train 0 to 54,999, not those of train | 10 to 29 (1,200) |
| train | MNIST train 0 to 54,999 | 30 to 49 (1,200) |
| val | MNIST train 55,000 to 59,999 | 5 to 9 (300) |
| test | MNIST test | 0 to 4 (300), FSDD's official test part |

No image and no recording is in two of them, but all six speakers are in each. The search would otherwise train on
samples that the backbones know by heart, and of which their features say more than of new ones. The option
`separate=False` shares rows: backbones and search then train on the same images and recordings 10 to 49.
"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from bmnas.errors import ConfigError
from bmnas.features.backbones.lenet import LeNet
from bmnas.features.taps import Tap
from bmnas.machine import one_blas_thread
from bmnas.tasks.base import Modality, Options, RawData
from bmnas.tasks.sound import RATE, add_noise, log_mel
from bmnas.tasks.spoken_mnist.files import Recordings, read_fsdd, read_mnist
from bmnas.training.progress import Progress

IMAGES = {"train": (0, 55000), "val": (55000, 60000), "test": (60000, 70000)}
RECORDINGS = {"fit": range(10, 30), "train": range(30, 50), "val": range(5, 10), "test": range(5)}
SHARE = {"val": 8, "test": 4}  # one row for so many training rows
BANDS = FRAMES = 32
HOP = 250  # 8,000 audio samples in 32 frames
BLOCK = 2000  # sounds or images made together


def open_pairs(options: Options, root: Path, progress: Progress | None, same: bool, notes: str) -> RawData:
    """Returns pairs of an image and a recording.

    Options: `samples` (training pairs, or "full"), `pca_components` (None keeps the images whole), `snr_db` (None adds
    no noise), `separate` (the backbones are trained on other images and recordings than the search sees).

    Args:
        options, root, progress: as in `Task.open_raw`.
        same: pair by digit, the label is the digit; else at random, the label is the sum of the digits modulo 10.
        notes: of the RawData.

    Raises:
        ConfigError: an option out of range.
        DataError: see `bmnas.tasks.spoken_mnist.download`.
    """
    components = options["pca_components"]
    separate = options["separate"]
    if components is not None and not (isinstance(components, int) and 1 <= components <= 784):
        raise ConfigError(f"pca_components is {components!r}; expected 1 to 784, or None")
    rng = np.random.default_rng(options["seed"])
    parts = choose_images(options["samples"], separate, rng)
    images, digits = read_mnist(root, progress)
    recordings = read_fsdd(root, progress)
    pair = same_digit if same else any_digit
    numbers = RECORDINGS if separate else {**RECORDINGS, "train": range(10, 50)}
    heard = {name: pair(digits[part], recordings, numbers[name], rng) for name, part in parts.items()}
    seen, heard = np.concatenate(list(parts.values())), np.concatenate(list(heard.values()))
    own = {"Image": digits[seen], "Audio": recordings.digits[heard]}
    rows = lay_out(parts)
    fit = rows.pop("fit", rows["train"])
    return RawData(
        inputs={
            "Image": pictures(images, seen, parts["train"], components),
            "Audio": spectrograms(recordings, heard, options["snr_db"], rng, progress),
        },
        labels=own["Image"] if same else (own["Image"] + own["Audio"]) % 10,
        own_labels=own,
        splits=rows,
        backbone_rows=fit,
        notes=notes,
        groups=heard,
    )


def choose_images(samples: int | str, separate: bool, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Chooses the images of each split, and "fit" for those of the backbones where these are others.

    Args:
        samples: training rows, or "full" for as many as there are. val and test have an eighth and a quarter as many,
            evenly spread, as the first test images are no fair sample.
        separate: the backbones get other training images than the search, as many if so many are left; else the same.
        rng: draws the training images.

    Raises:
        ConfigError: samples out of range.
    """
    most = IMAGES["train"][1] // 2 if separate and samples == "full" else IMAGES["train"][1] - separate
    count = most if samples == "full" else samples
    if not isinstance(count, int) or not 80 <= count <= most:
        raise ConfigError(f"samples is {samples!r}; expected 80 to {most}, or 'full'")
    order = rng.permutation(IMAGES["train"][1])
    chosen = {"train": order[:count]}
    for split, share in SHARE.items():
        start, stop = IMAGES[split]
        number = stop - start if samples == "full" else min(stop - start, count // share)
        chosen[split] = np.linspace(start, stop, number, endpoint=False).astype(np.int64)
    return chosen | ({"fit": order[count : 2 * count]} if separate else {})


def same_digit(digits: np.ndarray, recordings: Recordings, numbers: range, rng: np.random.Generator) -> np.ndarray:
    """Chooses a recording of the same digit for each image; the recordings of a digit take turns in a random order."""
    rows = recordings.of(numbers)
    chosen = np.empty(len(digits), np.int64)
    for digit in range(10):
        of_digit = np.flatnonzero(digits == digit)
        spoken = rng.permutation(rows[recordings.digits[rows] == digit])
        chosen[of_digit] = np.resize(spoken, len(of_digit))
    return chosen


def any_digit(digits: np.ndarray, recordings: Recordings, numbers: range, rng: np.random.Generator) -> np.ndarray:
    """Chooses a recording for each image that knows nothing of it; all recordings take turns in a random order."""
    rows = rng.permutation(recordings.of(numbers))
    return rng.permutation(np.resize(rows, len(digits)))


def spectrograms(
    recordings: Recordings,
    chosen: np.ndarray,
    snr_db: float | None,
    rng: np.random.Generator,
    progress: Progress | None = None,
) -> np.ndarray:
    """Computes log-mel spectrograms of the chosen recordings: float32 (n, 1, 32, 32).

    Each is placed at a random offset in one second and gets its own noise (none where `snr_db` is None); the ratio
    refers to the recording's own mean power.
    """
    blocks = []
    for start in range(0, len(chosen), BLOCK):
        sounds = [recordings.sounds[i][:RATE] for i in chosen[start : start + BLOCK]]
        canvas = np.zeros((len(sounds), RATE), np.float32)
        for row, sound in zip(canvas, sounds, strict=True):
            offset = rng.integers(0, RATE - len(sound) + 1)
            row[offset : offset + len(sound)] = sound
        if snr_db is not None:
            add_noise(canvas, snr_db, np.array([np.square(sound).mean() for sound in sounds]), rng)
        blocks.append(log_mel(canvas, BANDS, FRAMES, HOP))
        if progress:
            progress("spectrograms", min(start + BLOCK, len(chosen)), len(chosen))
    return np.concatenate(blocks)


@one_blas_thread()  # so that the pixels do not depend on the number of threads
def pictures(images: np.ndarray, chosen: np.ndarray, train: np.ndarray, pca_components: int | None) -> np.ndarray:
    """Reduces the chosen images to a few principal components, and standardises them: float32 (n, 1, 28, 28).

    Components, mean and standard deviation come from the training images alone; the mean is added back.

    Args:
        images: uint8 (70000, 28, 28).
        chosen: which.
        train: the training images.
        pca_components: how many; None keeps the images as they are.
    """
    training = _flat(images[train])  # (rows, 784)
    mean = training.mean(0)
    basis = None
    if pca_components is not None:
        basis = principal_components(training - mean, pca_components)  # (784, components)
    training = _reduced(training, mean, basis)
    middle, spread = training.mean(), training.std()
    reduced = np.empty((len(chosen), 1, 28, 28), np.float32)
    for start in range(0, len(chosen), BLOCK):
        part = _reduced(_flat(images[chosen[start : start + BLOCK]]), mean, basis)
        reduced[start : start + BLOCK] = ((part - middle) / spread).reshape(-1, 1, 28, 28)
    return reduced


def _flat(images: np.ndarray) -> np.ndarray:
    return images.reshape(len(images), -1).astype(np.float32) / 255


def _reduced(flat: np.ndarray, mean: np.ndarray, basis: np.ndarray | None) -> np.ndarray:
    return flat if basis is None else (flat - mean) @ basis @ basis.T + mean


def principal_components(centred: np.ndarray, count: int) -> np.ndarray:
    """Returns the orthonormal directions of most variance, as columns."""
    _, vectors = np.linalg.eigh(centred.T.astype(np.float64) @ centred)
    return vectors[:, : -count - 1 : -1].astype(np.float32)


def lay_out(parts: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Returns the rows of each part when all are put behind one another."""
    ends = np.cumsum([0, *(len(part) for part in parts.values())])
    return {name: np.arange(ends[i], ends[i + 1]) for i, name in enumerate(parts)}


def image_modality(epochs: int) -> Modality:
    """Makes a LeNet of three blocks on 28 x 28; Image_1 to Image_3 are pooled to a grid."""
    taps = {f"Image_{i + 1}": Tap(f"blocks.{i}", "grid") for i in range(3)}
    return Modality("Image", tuple(taps), lambda: LeNet((8, 16, 32), 10), taps, {"epochs": epochs})


def audio_modality(epochs: int) -> Modality:
    """Makes a LeNet of five blocks on 32 x 32 (bands, frames); time becomes L, and Audio_5 is a vector."""
    taps = {f"Audio_{i + 1}": Tap(f"blocks.{i}", 3) for i in range(5)}
    return Modality("Audio", tuple(taps), lambda: LeNet((8, 16, 32, 64, 128), 10), taps, {"epochs": epochs})
