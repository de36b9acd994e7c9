"""The networks that see an emoji, and what goes into them.

Text: a Maxout MLP on TF-IDF of the name's character n-grams. Image, by the option `backbone`:

    cnn           four blocks, trained here; a feature a block
    efficientnet  EfficientNet-Lite0 with the weights of ImageNet, of which the classifier alone is trained here; a
                  feature for each of the seven stages, and the mean behind them
"""

from collections.abc import Sequence

import numpy as np
from torch import nn

from bmnas.features.backbones.efficientnet_lite import STAGES, EfficientNetLite0, load_imagenet
from bmnas.features.backbones.lenet import LeNet
from bmnas.features.backbones.maxout_mlp import MaxoutMLP
from bmnas.features.taps import Tap
from bmnas.registry import unknown
from bmnas.tasks.base import Modality, Options

BACKBONES = ("cnn", "efficientnet")
WORDS = 600  # n-grams of the TF-IDF


def backbone_name(options: Options) -> str:
    """Returns the picture backbone of these options; features of before there was a choice have the first.

    Raises:
        UnknownNameError: there is no such backbone.
    """
    name = options.get("backbone", BACKBONES[0])
    if name not in BACKBONES:
        raise unknown("backbone", name, BACKBONES)
    return name


def modalities(options: Options, classes: int, kind: str) -> tuple[Modality, ...]:
    """Returns both modalities with the backbones of these options.

    Args:
        classes, kind: of the task.

    Raises:
        UnknownNameError: see `backbone_name`.
    """

    def text_net() -> nn.Module:
        return MaxoutMLP(classes, inputs=WORDS)

    image = {"cnn": _trained_here, "efficientnet": _pretrained}[backbone_name(options)](classes, kind)
    taps = {"Text_1": Tap("op1"), "Text_2": Tap("op3")}
    return image, Modality("Text", tuple(taps), text_net, taps, {"epochs": 30, "batch_size": 50, "kind": kind})


def _trained_here(classes: int, kind: str) -> Modality:
    def image_net() -> nn.Module:
        return LeNet((16, 32, 64, 64), classes, first_kernel=3, colours=3)

    taps = {f"Image_{i}": Tap(f"blocks.{i - 1}", "grid") for i in (1, 2, 3, 4)}
    return Modality("Image", tuple(taps), image_net, taps, {"epochs": 20, "batch_size": 50, "kind": kind})


def _pretrained(classes: int, kind: str) -> Modality:
    def image_net() -> nn.Module:
        return EfficientNetLite0(classes)

    taps = {f"Image_{i}": Tap(f"body.stages.{i - 1}", "grid") for i in range(1, len(STAGES) + 1)}
    taps[f"Image_{len(taps) + 1}"] = Tap("body.pool")
    training = {"epochs": 20, "batch_size": 50, "kind": kind}
    return Modality("Image", tuple(taps), image_net, taps, training, pretrained=load_imagenet, batch_size=100)


def image_inputs(pictures: np.ndarray, rows: np.ndarray, backbone: str) -> np.ndarray:
    """Scales pictures of 0 to 1 as the backbone takes them: float32 (n, 3, 32, 32).

    Args:
        rows: those that train backbones, whose mean and deviation count for the CNN.
    """
    if backbone == "efficientnet":
        return (pictures * 255 - 127) / 128
    return (pictures - pictures[rows].mean()) / pictures[rows].std()


def tfidf(names: Sequence[str], rows: np.ndarray) -> np.ndarray:
    """Weighs the character n-grams (3 to 5, within words) that are most frequent in some rows: float32 (n, WORDS)."""
    from sklearn.feature_extraction.text import TfidfVectorizer  # here: a second that stored features do not need

    vectoriser = TfidfVectorizer(analyzer="char_wb", ngram_range=(3, 5), max_features=WORDS)
    vectoriser.fit([names[row] for row in rows])
    weights = np.asarray(vectoriser.transform(names).todense(), np.float32)
    return weights * np.float32(np.sqrt(WORDS))  # entries of a size that BatchNorm and Adam are made for
