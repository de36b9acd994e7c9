"""One colour a thing, in every picture: a shade for each feature of a modality, a colour for each primitive.

No colour has two meanings: those of modalities, Cells, Steps and primitives are disjoint, and the shades of up to four
modalities stay apart. Most colours are of Okabe and Ito (Color Universal Design, 2008) and of Paul Tol's muted scheme.
"""

from collections.abc import Iterable, Mapping
from itertools import cycle

from bmnas.registry import PRIMITIVES
from bmnas.space.graph import Modalities, modality_of, ordered_features

INK = "#222222"
GREY = "#8A8A8A"
CELL = "#009E73"
STEP = "#44AA99"
PALE = "#A9C4D6"  # bars beside the one that matters
LOUD = "#D55E00"  # what must not be missed: differences, stand-ins, worse scores
TRAIN, VAL, BEST = GREY, INK, "#F0E442"  # curves have no modality's colour; the best epoch is a yellow star
OF_MODALITIES = ("#0072B2", "#E69F00", "#E0218A", "#7B3FE4", "#D55E00", "#661100", "#56B4E9", "#5F6B00")
OF_PRIMITIVES = ("#CC6677", "#999933", "#882255", "#A6611A", "#404040", "#6699CC", "#BBAA44", "#777777")
DARKEST, LIGHTEST = -0.35, 0.32  # how far the first and the last shade are from their colour


def modality_colours(modalities: Iterable[str]) -> dict[str, str]:
    """Returns modality -> colour, in the order of the modalities."""
    return dict(zip(dict.fromkeys(modalities), cycle(OF_MODALITIES), strict=False))


def feature_colours(features: Iterable[str], modalities: Modalities | None = None) -> dict[str, str]:
    """Returns feature -> a shade of its modality's colour, dark for the first and light for the last.

    Args:
        features: the names that are drawn.
        modalities: modality -> features. It decides order and shades, so that a feature looks the same where only
            some are drawn. By default a feature's modality is its name before the last "_".
    """
    groups: dict[str, dict[str, None]] = {name: dict.fromkeys(listed) for name, listed in (modalities or {}).items()}
    for feature in ordered_features(features, modalities):
        groups.setdefault(modality_of(feature, modalities), {})[feature] = None
    colours = modality_colours(groups)
    return {
        feature: shade(colours[modality], i, len(group))
        for modality, group in groups.items()
        for i, feature in enumerate(group)
    }


def node_colours(nodes: Iterable[str], modalities: Modalities | None = None) -> dict[str, str]:
    """Returns node -> colour: features, Cells, Steps, and the inputs x and y of a Cell."""
    names = list(dict.fromkeys(nodes))
    others: Mapping[str, str] = {name: colour for name in names if (colour := _inner_colour(name))}
    return {**feature_colours((name for name in names if name not in others), modalities), **others}


def primitive_colours(primitives: Iterable[str] = ()) -> dict[str, str]:
    """Returns primitive -> colour: the registered ones in order, then others. Zero, which passes nothing, is grey."""
    names = [name for name in dict.fromkeys([*PRIMITIVES, *primitives]) if name != "Zero"]
    return {"Zero": GREY} | dict(zip(names, cycle(OF_PRIMITIVES), strict=False))


def shade(colour: str, place: int, count: int) -> str:
    """Returns the shade of `#rrggbb` at a place among `count` of them; a single one has the colour itself."""
    amount = DARKEST + (LIGHTEST - DARKEST) * place / (count - 1) if count > 1 else 0.0
    return mixed(colour, "#FFFFFF" if amount > 0 else "#000000", abs(amount))


def tint(colour: str, share: float = 0.16) -> str:
    """Makes a light version of `#rrggbb`: `share` of it, the rest white."""
    return mixed(colour, "#FFFFFF", 1 - share)


def mixed(colour: str, other: str, share: float) -> str:
    """Returns `#rrggbb` with a share of another colour."""
    pairs = ((int(colour[i : i + 2], 16), int(other[i : i + 2], 16)) for i in (1, 3, 5))
    return "#" + "".join(f"{round(a + share * (b - a)):02X}" for a, b in pairs)


def _inner_colour(node: str) -> str:
    """Returns the colour of a Cell, a Step or an input of a Cell; "" for a feature."""
    kind, _, number = node.partition("_")
    if kind in ("Cell", "Step") and number.isdigit():
        return shade({"Cell": CELL, "Step": STEP}[kind], (int(number) - 1) % 4, 4)
    return {"y": "#666666"}.get(node, INK if node.startswith("x") and node in ("x", "x, y") else "")
