"""`emoji`: a picture and a name; the label is the category, or (`emojitags`) the keywords.

Real and embedded: 1,636 emoji in 1,277 families, and no family is in two splits. Modalities as in MM-IMDB in miniature:
a small CNN for the picture, a Maxout MLP on TF-IDF of the name's character n-grams for the text.

| split | emoji, about |
| --- | --- |
| backbones | 600 |
| train | 500 |
| val | 250 |
| test | 286 |

The classes are few and unequal, and late fusion is hard to beat. `emojitags` has the most frequent keywords as labels,
scored by weighted F1; an emoji has none, one or several of them.
"""

from collections import Counter
from pathlib import Path

import numpy as np
from torch import nn

from bmnas.config import EvalConfig, SearchConfig
from bmnas.errors import ConfigError
from bmnas.features.backbones.lenet import LeNet
from bmnas.features.backbones.maxout_mlp import MaxoutMLP
from bmnas.features.taps import Tap
from bmnas.registry import TASKS
from bmnas.tasks.base import Modality, Options, RawData, Task
from bmnas.tasks.emoji.samples import Emoji, families, read_emoji, read_pictures, split_families
from bmnas.training.progress import Progress

CATEGORIES = (
    "Activities",
    "Animals & Nature",
    "Food & Drink",
    "Objects",
    "People & Body",
    "Smileys & Emotion",
    "Symbols",
    "Travel & Places",
)
KEYWORDS = (
    "face", "nature", "animal", "female", "male", "food", "sign", "sports", "entertainment", "vehicle", "weather",
    "body", "plant", "clothing", "love", "hand",
)  # fmt: skip
"""The most frequent keywords, without those that nearly repeat one of them: women, men, human, symbol ..."""
SIZES = {"backbones": 600, "train": 500, "val": 250, "test": 286}
WORDS = 600  # n-grams of the TF-IDF


def open_categories(options: Options, root: Path, progress: Progress | None) -> RawData:
    """Opens pictures, names and categories; option `samples`: training emoji, at most 490.

    Raises:
        ConfigError: samples out of range.
        DataError: an embedded file is damaged, foreign or missing.
    """
    emoji = read_emoji()
    labels = np.array([CATEGORIES.index(one.category) for one in emoji])
    return _open(emoji, labels, options)


def open_keywords(options: Options, root: Path, progress: Progress | None) -> RawData:
    """Opens pictures, names and the most frequent keywords; see `open_categories`."""
    emoji = read_emoji()
    labels = np.array([[word in one.keywords for word in KEYWORDS] for one in emoji], np.float32)
    return _open(emoji, labels, options)


def _open(emoji: list[Emoji], labels: np.ndarray, options: Options) -> RawData:
    """Splits families and makes both inputs; TF-IDF is fitted to the backbones' emoji alone."""
    samples = options["samples"]
    most = SIZES["train"] - 10  # families are whole, so a split may have some fewer
    if type(samples) is not int or not 40 <= samples <= most:
        raise ConfigError(f"samples is {samples!r}; expected a whole number from 40 to {most}")
    family = families(emoji)
    parts = split_families(family, list(SIZES.values()), options["seed"])
    rows = dict(zip(SIZES, parts, strict=True))
    own = rows.pop("backbones")
    order = np.random.default_rng(options["seed"]).permutation(rows["train"])
    rows["train"] = np.sort(order[:samples])
    pictures = read_pictures(len(emoji))
    pictures = (pictures - pictures[own].mean()) / pictures[own].std()
    return RawData(
        inputs={"Image": pictures, "Text": tfidf([one.name for one in emoji], own)},
        labels=labels,
        own_labels={"Image": labels, "Text": labels},
        splits=rows,
        backbone_rows=own,
        notes="Noto Emoji and their names, families apart",
        groups=family,
    )


def tfidf(names: list[str], rows: np.ndarray) -> np.ndarray:
    """Weighs the character n-grams (3 to 5, within words) that are most frequent in some rows: float32 (n, WORDS)."""
    from sklearn.feature_extraction.text import TfidfVectorizer  # here: a second that stored features do not need

    vectoriser = TfidfVectorizer(analyzer="char_wb", ngram_range=(3, 5), max_features=WORDS)
    vectoriser.fit([names[row] for row in rows])
    weights = np.asarray(vectoriser.transform(names).todense(), np.float32)
    return weights * np.float32(np.sqrt(WORDS))  # entries of a size that BatchNorm and Adam are made for


def frequent_keywords(emoji: list[Emoji], count: int) -> list[str]:
    """Lists the most frequent keywords; `KEYWORDS` was chosen from it."""
    frequency = Counter(word for one in emoji for word in set(one.keywords))
    return [word for word, _ in frequency.most_common(count)]


def _modalities(classes: int, kind: str) -> tuple[Modality, ...]:
    def image_net() -> nn.Module:
        return LeNet((16, 32, 64, 64), classes, first_kernel=3, colours=3)

    def text_net() -> nn.Module:
        return MaxoutMLP(classes, inputs=WORDS)

    images = [f"Image_{i}" for i in (1, 2, 3, 4)]
    texts = ["Text_1", "Text_2"]
    training = {"batch_size": 50, "kind": kind}
    picture_taps = {name: Tap(f"blocks.{i}", "grid") for i, name in enumerate(images)}
    text_taps = {"Text_1": Tap("op1"), "Text_2": Tap("op3")}
    return (
        Modality("Image", tuple(images), image_net, picture_taps, {"epochs": 20, **training}),
        Modality("Text", tuple(texts), text_net, text_taps, {"epochs": 30, **training}),
    )


def _task(**fields) -> Task:  # noqa: ANN003
    return Task(
        modalities=_modalities(len(fields["classes"]), fields["kind"]),
        source="real",
        search_config=SearchConfig(
            C=32,
            L=4,
            N=1,
            M=1,
            epochs=20,
            batch_size=50,
            dropout=0.3,
            arch_lr=1e-2,
            max_lr=3e-3,
            weight_decay=1e-3,
        ),
        eval_config=EvalConfig(epochs=15, seeds=3, max_lr=3e-3, weight_decay=1e-3),
        options={"seed": 0, "L": 4, "samples": SIZES["train"] - 10, "source": "real"},
        grouped_by="family of emoji",
        **fields,
    )


TASK = TASKS.register(
    _task(
        name="emoji",
        title="Emoji: picture and name to category",
        kind="multiclass",
        classes=CATEGORIES,
        open_raw=open_categories,
    )
)
TAGS = TASKS.register(
    _task(
        name="emojitags",
        title="Emoji: picture and name to keywords",
        kind="multilabel",
        classes=KEYWORDS,
        open_raw=open_keywords,
    )
)
