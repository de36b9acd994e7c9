"""`emoji`: a picture and a name; the label is the category, the subcategory (`emojigroups`) or keywords (`emojitags`).

Real and embedded: 1,636 emoji in 1,261 families, and no family is in two splits. Modalities as in MM-IMDB in miniature:
a picture and its name, see `bmnas.tasks.emoji.backbones`.

| split | share | emoji, about |
| --- | --- | --- |
| backbones | 600 / 1636 | 600 |
| train | 500 / 1636 | 500 |
| val | 250 / 1636 | 250 |
| test | 286 / 1636 | 286 |

The classes are few and unequal, and late fusion is hard to beat. `emojitags` has the most frequent keywords as labels,
scored by weighted F1; an emoji has none, one or several of them. `emojigroups` has the subcategories of at least ten
families; emoji of the others are left out.
"""

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from bmnas.config import EvalConfig, SearchConfig
from bmnas.errors import ConfigError
from bmnas.registry import TASKS
from bmnas.tasks.base import Options, RawData, Task
from bmnas.tasks.emoji.backbones import BACKBONES, backbone_name, image_inputs, modalities, tfidf
from bmnas.tasks.emoji.labels import CATEGORIES, GROUPS, KEYWORDS, category_labels, group_labels, keyword_labels
from bmnas.tasks.emoji.samples import Emoji, families, read_emoji, read_pictures, split_families
from bmnas.training.progress import Progress

SIZES = {"backbones": 600, "train": 500, "val": 250, "test": 286}
GROUP_SIZES = {"backbones": 350, "train": 450, "val": 190, "test": 242}
SPARE = 10  # families are whole, so a split may have some emoji fewer


def open_categories(options: Options, root: Path, progress: Progress | None) -> RawData:
    """Opens pictures, names and categories; options: `samples` (training emoji) and `backbone`.

    Raises:
        ConfigError: samples out of range.
        UnknownNameError: no such backbone.
        DataError: an embedded file is damaged, foreign or missing.
    """
    emoji = read_emoji()
    return _open(emoji, category_labels(emoji), np.arange(len(emoji)), SIZES, options)


def open_keywords(options: Options, root: Path, progress: Progress | None) -> RawData:
    """Opens pictures, names and the most frequent keywords; see `open_categories`."""
    emoji = read_emoji()
    return _open(emoji, keyword_labels(emoji), np.arange(len(emoji)), SIZES, options)


def open_groups(options: Options, root: Path, progress: Progress | None) -> RawData:
    """Opens pictures, names and subcategories of the emoji in `GROUPS`; see `open_categories`."""
    emoji = read_emoji()
    labels = group_labels(emoji)
    return _open(emoji, labels, np.flatnonzero(labels >= 0), GROUP_SIZES, options)


def _open(emoji: list[Emoji], labels: np.ndarray, rows: np.ndarray, sizes: dict[str, int], options: Options) -> RawData:
    """Splits the families of some rows and makes both inputs; TF-IDF is fitted to the backbones' emoji alone."""
    samples = options["samples"]
    most = sizes["train"] - SPARE
    if type(samples) is not int or not 40 <= samples <= most:
        raise ConfigError(f"samples is {samples!r}; expected a whole number from 40 to {most}")
    backbone = backbone_name(options)
    family = families(emoji)
    numbers = np.unique(family[rows], return_inverse=True)[1]  # without gaps
    parts = split_families(numbers, list(sizes.values()), options["seed"])
    splits = {name: rows[part] for name, part in zip(sizes, parts, strict=True)}
    own = splits.pop("backbones")
    order = np.random.default_rng(options["seed"]).permutation(splits["train"])
    splits["train"] = np.sort(order[:samples])
    pictures = image_inputs(read_pictures(len(emoji)), own, backbone)
    return RawData(
        inputs={"Image": pictures, "Text": tfidf([one.name for one in emoji], own)},
        labels=labels,
        own_labels={"Image": labels, "Text": labels},
        splits=splits,
        backbone_rows=own,
        notes="Noto Emoji and their names, families apart",
        groups=family,
    )


def _task(
    kind: str, classes: tuple[str, ...], samples: int, primitives: tuple[str, ...] | None = None, **fields: Any
) -> Task:
    choose = partial(modalities, classes=len(classes), kind=kind)
    return Task(
        kind=kind,
        classes=classes,
        modalities=choose({}),
        choose_modalities=choose,
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
            primitives=primitives,
        ),
        eval_config=EvalConfig(epochs=15, seeds=3, max_lr=3e-3, weight_decay=1e-3),
        options={"seed": 0, "L": 4, "samples": samples, "source": "real", "backbone": BACKBONES[0]},
        grouped_by="family of emoji",
        recipe=2,  # 1 had fewer families
        **fields,
    )


TASK = TASKS.register(
    _task(
        name="emoji",
        title="Emoji: picture and name to category",
        kind="multiclass",
        classes=CATEGORIES,
        samples=SIZES["train"] - SPARE,
        open_raw=open_categories,
    )
)
GROUPS_TASK = TASKS.register(
    _task(
        name="emojigroups",
        title="Emoji: picture and name to subcategory",
        kind="multiclass",
        classes=GROUPS,
        samples=GROUP_SIZES["train"] - SPARE,
        primitives=("Sum", "LinearGLU", "ConcatFC"),
        open_raw=open_groups,
    )
)
TAGS = TASKS.register(
    _task(
        name="emojitags",
        title="Emoji: picture and name to keywords",
        kind="multilabel",
        classes=KEYWORDS,
        samples=SIZES["train"] - SPARE,
        open_raw=open_keywords,
    )
)
