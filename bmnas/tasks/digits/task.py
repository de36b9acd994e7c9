"""`digits`: the small task that needs no download.

Images are scikit-learn's 1,797 real handwritten digits (8 x 8, `load_digits`); each gets a sound synthesised for it
(`bmnas.tasks.digits.formants`: synthetic, nobody's voice). Noise is added to both, tuned on the validation split so
that neither alone suffices. The backbones are trained on other noisy versions of the training images, and on other
sounds. So the search does not learn from samples that the backbones know.

Image and sound are independent given the digit, so the sum of the backbones' log-probabilities is hard to beat.
"""

from pathlib import Path

import numpy as np

from bmnas.config import EvalConfig, SearchConfig
from bmnas.errors import ConfigError
from bmnas.features.backbones.lenet import LeNet
from bmnas.features.taps import Tap
from bmnas.registry import TASKS
from bmnas.tasks.base import Modality, Options, RawData, Task
from bmnas.tasks.digits.formants import spoken_digits
from bmnas.tasks.sound import add_noise, log_mel
from bmnas.training.progress import Progress

TRAIN, VAL, TEST = 1077, 360, 360
BANDS = FRAMES = 16
HOP = 200  # 3,200 audio samples in 16 frames


def open_digits(options: Options, root: Path, progress: Progress | None) -> RawData:
    """Returns images, sounds and splits.

    Options: `samples` (training rows, at most 1,077), `image_noise` (standard deviation beside pixels of 0 to 1),
    `snr_db` (of the sounds), `copies` (noisy versions of each training row for the backbones alone; 0 trains them on
    the rows that the search sees).

    Raises:
        ConfigError: samples or copies out of range.
    """
    from sklearn.datasets import load_digits  # here, for it takes more than a second that stored features do not need

    samples, copies = options["samples"], options["copies"]
    if not isinstance(samples, int) or not 10 <= samples <= TRAIN or not isinstance(copies, int) or copies < 0:
        raise ConfigError(f"samples is {samples!r}, copies {copies!r}; expected 10 to {TRAIN}, and 0 or more")
    rng = np.random.default_rng(options["seed"])
    pictures, digits = (np.asarray(part) for part in load_digits(return_X_y=True))
    order = rng.permutation(len(digits))
    train = order[:samples]
    val = order[TRAIN : TRAIN + VAL]
    test = order[TRAIN + VAL :]
    rows = np.concatenate([train, val, test, np.tile(train, copies)])
    labels = digits[rows].astype(np.int64)
    images = pictures[rows].reshape(-1, 1, 8, 8).astype(np.float32) / 16
    images += options["image_noise"] * rng.standard_normal(images.shape, dtype=np.float32)
    training = images[:samples]
    sounds = spoken_digits(labels, rng)
    sounds = add_noise(sounds, options["snr_db"], np.square(sounds).mean(1), rng)
    ends = np.cumsum([0, samples, VAL, TEST])
    splits = {name: np.arange(ends[i], ends[i + 1]) for i, name in enumerate(("train", "val", "test"))}
    return RawData(
        inputs={"Image": (images - training.mean()) / training.std(), "Audio": log_mel(sounds, BANDS, FRAMES, HOP)},
        labels=labels,
        own_labels={"Image": labels, "Audio": labels},
        splits=splits,
        backbone_rows=np.arange(ends[-1], len(rows)) if copies else splits["train"],
        notes="real images with noise, synthetic sounds",
    )


TASK = TASKS.register(
    Task(
        name="digits",
        title="Digits: real handwriting and synthetic sounds",
        kind="multiclass",
        classes=tuple("0123456789"),
        modalities=(
            Modality(
                "Image",
                ("Image_1", "Image_2", "Image_3"),
                lambda: LeNet((8, 16, 32), 10, first_kernel=3),
                {f"Image_{i + 1}": Tap(f"blocks.{i}", "grid") for i in range(3)},
                {"epochs": 10, "batch_size": 64},
            ),
            Modality(
                "Audio",
                ("Audio_1", "Audio_2", "Audio_3"),
                lambda: LeNet((8, 16, 32), 10),
                {f"Audio_{i + 1}": Tap(f"blocks.{i}", 3) for i in range(3)},
                {"epochs": 10, "batch_size": 64},
            ),
        ),
        source="synthetic",
        search_config=SearchConfig(C=16, L=4, N=2, M=1, epochs=15, batch_size=64, arch_lr=1e-2, max_lr=3e-3),
        eval_config=EvalConfig(epochs=12, seeds=3, max_lr=3e-3),
        options={
            "seed": 0,
            "L": 4,
            "samples": TRAIN,
            "source": "synthetic",
            "image_noise": 0.46,
            "snr_db": -11.5,
            "copies": 3,
        },
        open_raw=open_digits,
    )
)
