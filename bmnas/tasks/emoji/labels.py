"""What an emoji is to be told by: its category, its subcategory, or its keywords."""

from collections import Counter
from collections.abc import Sequence

import numpy as np

from bmnas.tasks.emoji.samples import Emoji

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
FEWEST_FAMILIES = 10  # of a group: with fewer, whole families leave a split without it
GROUPS = (
    "alphanum", "animal-bird", "animal-bug", "animal-mammal", "animal-marine", "arrow", "av-symbol", "body-parts",
    "book-paper", "clothing", "computer", "drink", "emotion", "event", "face-concerned", "face-neutral-skeptical",
    "face-smiling", "face-unwell", "food-asian", "food-fruit", "food-prepared", "food-sweet", "food-vegetable",
    "game", "heart", "household", "light & video", "mail", "money", "musical-instrument", "office", "other-symbol",
    "person-activity", "person-fantasy", "person-gesture", "person-role", "person-sport", "place-building",
    "place-other", "plant-flower", "plant-other", "religion", "sky & weather", "sport", "tool", "transport-air",
    "transport-ground", "transport-sign", "warning", "zodiac",
)  # fmt: skip
"""The subcategories of ten families or more."""
KEYWORDS = (
    "face", "nature", "animal", "female", "male", "food", "sign", "sports", "entertainment", "vehicle", "weather",
    "body", "plant", "clothing", "love", "hand",
)  # fmt: skip
"""The most frequent keywords, without those that nearly repeat one of them: women, men, human, symbol ..."""


def category_labels(emoji: Sequence[Emoji]) -> np.ndarray:
    """Numbers the categories: int64 (n,)."""
    return np.array([CATEGORIES.index(one.category) for one in emoji])


def group_labels(emoji: Sequence[Emoji]) -> np.ndarray:
    """Numbers the groups, int64 (n,); -1 where a subcategory is none of them."""
    numbers = {name: number for number, name in enumerate(GROUPS)}
    return np.array([numbers.get(one.subcategory, -1) for one in emoji])


def keyword_labels(emoji: Sequence[Emoji]) -> np.ndarray:
    """Says which keywords an emoji has: float32 (n, 16) of 0 and 1."""
    return np.array([[word in one.keywords for word in KEYWORDS] for one in emoji], np.float32)


def frequent_keywords(emoji: Sequence[Emoji], count: int) -> list[str]:
    """Lists the most frequent keywords; `KEYWORDS` was chosen from it."""
    frequency = Counter(word for one in emoji for word in set(one.keywords))
    return [word for word, _ in frequency.most_common(count)]


def large_subcategories(emoji: Sequence[Emoji], family: np.ndarray) -> list[str]:
    """Lists the subcategories of `FEWEST_FAMILIES` families or more, in alphabetical order; they are `GROUPS`."""
    of_subcategory: dict[str, set[int]] = {}
    for one, number in zip(emoji, family.tolist(), strict=True):
        of_subcategory.setdefault(one.subcategory, set()).add(number)
    return sorted(name for name, numbers in of_subcategory.items() if len(numbers) >= FEWEST_FAMILIES)
