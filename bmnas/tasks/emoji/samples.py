"""The emoji themselves: pictures, names, labels, and the families that belong into one split."""

import io
import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from bmnas.tasks.embedded import read_embedded

FOLDER = Path(__file__).parent
SHA256 = {
    "emoji.json": "33145784723b6333dc126726e70bb11f2473c5986a601bc1001dd51a1f4bf388",
    "emoji.png": "47357964e5e4dab80547bf2ae48e522a341df3ce08841b586a5302af34c64569",
}
CELL, COLUMNS = 32, 41
PEOPLE = {
    "1F468", "1F469", "1F9D1",  # man, woman, person
    "1F466", "1F467", "1F9D2",  # boy, girl, child
    "1F474", "1F475", "1F9D3",  # older man, older woman, older adult
}  # fmt: skip
SIGNS = {"2640", "2642", "200D", "FE0F", "27A1", "20E3"}  # female, male, joiner, variation, facing right, keycap
SMALL = (
    "man woman person men women people male female boy girl boys girls mens womens father mother older "
    "with and of in the a "
    "left right up down leftwards rightwards upwards downwards facing north south east west upper lower "
    "horizontal vertical horizontally vertically oncoming next last waxing waning low high "
    "one two three four five six seven eight nine ten eleven twelve thirty oclock 0 1 2 3 4 5 6 7 8 9 10 "
    "first second third large medium small black white red orange yellow green blue purple brown grey light pink heavy"
)
SMALL_WORDS = frozenset(SMALL.split())
"""Words in which members of one family differ: who, which way, how many, how large, which colour."""


@dataclass(frozen=True)
class Emoji:
    """One emoji.

    Attributes:
        name: as Unicode gives it, in capitals.
        codes: its code points, hexadecimal, joined by "-".
        category, subcategory: of Unicode; eight categories.
        keywords: what people call it.
    """

    name: str
    codes: str
    category: str
    subcategory: str
    keywords: tuple[str, ...]


def read_emoji() -> list[Emoji]:
    """Reads the 1,636 emoji.

    Raises:
        DataError: the embedded file is damaged, foreign or missing.
    """
    entries = json.loads(read_embedded(FOLDER / "emoji.json", SHA256["emoji.json"]))
    return [
        Emoji(name=name, codes=codes, category=category, subcategory=subcategory, keywords=tuple(keywords))
        for name, codes, category, subcategory, keywords in entries
    ]


def read_pictures(count: int) -> np.ndarray:
    """Reads the pictures on a white ground: float32 (count, 3, 32, 32), 0 to 1.

    Raises:
        DataError: see `read_emoji`.
    """
    sheet = Image.open(io.BytesIO(read_embedded(FOLDER / "emoji.png", SHA256["emoji.png"])))
    sheet = np.asarray(sheet.convert("RGBA"), np.float32) / 255
    flat = sheet[..., :3] * sheet[..., 3:] + 1 - sheet[..., 3:]
    rows = flat.shape[0] // CELL
    cells = flat.reshape(rows, CELL, COLUMNS, CELL, 3).transpose(0, 2, 4, 1, 3)
    return np.ascontiguousarray(cells.reshape(rows * COLUMNS, 3, CELL, CELL)[:count])


def families(emoji: Sequence[Emoji]) -> np.ndarray:
    """Numbers the families, int64 (n,): emoji with the same thing in their code points, or in their names.

    Code points count without gender, age, direction and joiners, and all people alike ("man running", "woman running"
    and "runner" are one family, and so are all families of people). Names count without the words that say who, which
    way, how many, how large and which colour (all clocks are one family, and all coloured hearts).
    """
    parent = list(range(len(emoji)))

    def root(i: int) -> int:
        while parent[i] != i:
            parent[i] = parent[parent[i]]
            i = parent[i]
        return i

    first: dict[tuple, int] = {}
    for i, one in enumerate(emoji):
        for key in _keys(one):
            parent[root(i)] = root(first.setdefault(key, i))
    roots = [root(i) for i in range(len(emoji))]
    return np.unique(roots, return_inverse=True)[1].astype(np.int64)


def _keys(emoji: Emoji) -> Iterable[tuple]:
    """Gives what an emoji shares with its family."""
    codes = [code for code in emoji.codes.split("-") if code not in SIGNS]
    if len(codes) > 1 or PEOPLE.intersection(codes):
        codes = sorted({"person" if code in PEOPLE else code for code in codes} - {"person"}) or ["person"]
    if codes:
        yield ("codes", *codes)
    title = emoji.name.partition(":")[0] if ":" in emoji.name else emoji.name
    words = [word for word in re.findall(r"[a-z0-9]+", title.lower()) if word not in SMALL_WORDS]
    stem = [re.sub(r"(ing|ess|e|s)$", "", word) for word in words]
    if stem:
        yield ("name", emoji.category, *sorted(stem))


def split_families(family: np.ndarray, sizes: Sequence[int], seed: int) -> list[np.ndarray]:
    """Splits rows so that each family stays whole.

    Families come in a random order, the ten largest first; each goes to the part that lacks most of its size.

    Args:
        family: number of each row's family.
        sizes: wanted sizes of the parts; they should sum to the number of rows.

    Returns:
        Rows of each part, ascending; sizes are as wanted up to the size of a family.
    """
    members = [np.flatnonzero(family == number) for number in range(family.max() + 1)]
    order = np.random.default_rng(seed).permutation(len(members))
    order = sorted(order, key=lambda i: -len(members[i]) if len(members[i]) > 10 else 0)  # stable
    parts: list[list[int]] = [[] for _ in sizes]
    for i in order:
        lacking = [(size - len(part)) / size for size, part in zip(sizes, parts, strict=True)]
        parts[int(np.argmax(lacking))].extend(members[i])
    return [np.sort(np.array(part, np.int64)) for part in parts]
