"""How often each feature, pair and primitive was chosen over several runs: runs -> ChoiceCounts -> bars."""

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from bmnas.errors import BmnasError, how_many
from bmnas.searching.run_folder import Run
from bmnas.searching.run_list import list_runs
from bmnas.space.genotype import Genotype
from widgets.colours import CELL, feature_colours, primitive_colours
from widgets.sheets.chart import bars
from widgets.sheets.sheet import Sheet, above, rows, words

PAIRS = 8  # shown at most


class ChoiceCounts(NamedTuple):
    """In how many of `runs` genotypes a feature or pair occurs, and in how many Steps a primitive."""

    runs: int
    steps: int
    features: dict[str, int]
    pairs: dict[str, int]
    primitives: dict[str, int]


def choice_counts(genotypes: Sequence[Genotype], features: Sequence[str], primitives: Sequence[str]) -> ChoiceCounts:
    """Counts over genotypes; features and primitives that none has are counted as 0, pairs come by frequency."""
    used = Counter(name for genotype in genotypes for name in genotype.features)
    pairs = Counter(
        pair for genotype in genotypes for pair in {" + ".join(sorted(cell.inputs)) for cell in genotype.cells}
    )
    steps = [step.primitive for genotype in genotypes for cell in genotype.cells for step in cell.steps]
    named = Counter(steps)
    return ChoiceCounts(
        len(genotypes),
        len(steps),
        {name: used[name] for name in dict.fromkeys((*features, *used))},
        dict(sorted(pairs.items(), key=lambda item: (-item[1], item[0]))),
        {name: named[name] for name in dict.fromkeys((*primitives, *named))},
    )


def genotypes_of(dataset: str) -> list[Genotype]:
    """Reads the chosen genotypes of all runs of a data set; runs that are damaged or not finished are left out."""
    return [genotype for run in list_runs() if (genotype := _genotype(run, dataset)) is not None]


def choice_sheet(counts: ChoiceCounts) -> Sheet:
    """Draws three groups of bars."""
    primitives = primitive_colours(counts.primitives)
    features = feature_colours(counts.features)
    pairs = dict(list(counts.pairs.items())[:PAIRS])
    left = f" (the first {PAIRS} of {len(counts.pairs)})" if len(counts.pairs) > PAIRS else ""
    groups = (
        ("features, in how many runs", counts.features, [features[name] for name in counts.features], counts.runs),
        (f"pairs of Cells, in how many runs{left}", pairs, [CELL] * len(pairs), counts.runs),
        ("primitives, in how many Steps", counts.primitives, [primitives[n] for n in counts.primitives], counts.steps),
    )
    sheets = [
        bars(list(values), list(values.values()), colours, title, most, "{:d}")
        for title, values, colours, most in groups
    ]
    head = f"What was chosen in {how_many(counts.runs, 'finished run')}, {how_many(counts.steps, 'Step')}"
    return above(words([head], True, 15), rows(sheets))


def choice_text(counts: ChoiceCounts) -> str:
    """Returns the counts in words."""
    groups = (("features", counts.features), ("pairs", counts.pairs), ("primitives", counts.primitives))
    lines = [f"{kind}: " + ", ".join(f"{name} {n}" for name, n in values.items()) for kind, values in groups]
    return f"{how_many(counts.runs, 'run')}, {how_many(counts.steps, 'Step')}\n" + "\n".join(lines)


def _genotype(run: Run, dataset: str) -> Genotype | None:
    try:
        return run.genotype() if run.dataset() == dataset else None
    except BmnasError:  # a damaged run must not hide the others; the results browser names it
        return None
