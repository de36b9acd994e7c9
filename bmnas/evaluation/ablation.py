"""The ablations of section 4.5 as data: a row is a name, the paper's NTU score, and how its genotype is made.

Table 6 varies the features and keeps the Cells' inner structure; Table 7 varies the inner structure and keeps the
features. Every row is trained with the same budget and seeds.
"""

import random
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace

import pandas as pd

from bmnas.config import EvalConfig, SearchConfig
from bmnas.evaluation.evaluation import evaluate
from bmnas.evaluation.results import Evaluation
from bmnas.evaluation.score_table import ScoreTable
from bmnas.features.feature_set import FeatureSet
from bmnas.searching.run_folder import Run
from bmnas.space.enumeration import Space
from bmnas.space.genotype import CellGenotype, Genotype, StepGenotype
from bmnas.training.progress import Progress
from bmnas.training.steps import combine

SEARCHED = "searched (bmnas)"


@dataclass(frozen=True)
class AblationRow:
    """One row of Table 6 or 7.

    Args:
        name: of the row.
        paper: mean and standard deviation that the paper prints for NTU, in percent.
        make: (searched genotype, features, seed) -> genotype; None where the features lack what the row needs.
        draws: the least number of seeds, where each draws another genotype.
    """

    name: str
    paper: str
    make: Callable[[Genotype, FeatureSet, int], Genotype | None]
    draws: int = 1


def searched(genotype: Genotype, features: FeatureSet, seed: int) -> Genotype:
    """Returns the genotype of the search itself."""
    return genotype


def random_features(genotype: Genotype, features: FeatureSet, seed: int) -> Genotype:
    """Draws random pairs, others for each seed, and keeps the searched inner structures.

    "We randomly select the input features and the connections between Cells" (section 4.5).
    """
    space = Space(features.names, genotype.N, 1, 1, ("Sum",))  # only its pairs are used
    pairs = space.random(random.Random(combine((seed, genotype.N)))).cells
    cells = tuple(replace(cell, inputs=pair.inputs) for cell, pair in zip(genotype.cells, pairs, strict=True))
    return Genotype(cells, genotype.r)


def last_pair(genotype: Genotype, features: FeatureSet, seed: int) -> Genotype | None:
    """Fuses the last features of the first two modalities in one Cell, the searched network's first.

    The paper calls this row "late fusion" (Video_4 with Skeleton_4).
    """
    lasts = [names[-1] for names in features.modalities.values()]
    if len(lasts) < 2:
        return None
    x, y = sorted(lasts[:2], key=features.names.index)
    return Genotype((replace(genotype.cells[0], inputs=(x, y)),), genotype.r)


MFAS_PAIRS = (
    ("Video_4", "Skeleton_4"),
    ("Video_2", "Skeleton_4"),
    ("Video_2", "Skeleton_2"),
    ("Video_4", "Skeleton_4"),
)
"""The selection of MFAS on NTU (section 4.5); its repeated pair is the paper's."""


def mfas_features(genotype: Genotype, features: FeatureSet, seed: int) -> Genotype | None:
    """Puts MFAS's four pairs into Cells of the searched inner structures in turn; for NTU's features only."""
    if any(name not in features.names for pair in MFAS_PAIRS for name in pair):
        return None
    cells = [replace(genotype.cells[i % genotype.N], inputs=pair) for i, pair in enumerate(MFAS_PAIRS)]
    return Genotype(tuple(cells), genotype.r)


def with_structure(steps: tuple[StepGenotype, ...], r: int) -> Callable[[Genotype, FeatureSet, int], Genotype]:
    """Makes a row of Table 7: the searched pairs, every Cell with these Steps."""

    def make(genotype: Genotype, features: FeatureSet, seed: int) -> Genotype:
        return Genotype(tuple(CellGenotype(cell.inputs, steps) for cell in genotype.cells), r)

    return make


_X_Y = ("x", "y")
STRUCTURES: Mapping[str, tuple[tuple[StepGenotype, ...], int]] = {
    "Sum": ((StepGenotype("Sum", _X_Y),), 1),
    "ConcatFC": ((StepGenotype("ConcatFC", _X_Y),), 1),
    "MHA": ((StepGenotype("Attention", _X_Y), StepGenotype("Attention", _X_Y)), 2),
    "AoA": ((StepGenotype("Attention", _X_Y), StepGenotype("LinearGLU", ("Step_1", "x"))), 1),
}
"""Steps and r of Table 7's rows. MHA (two heads) and AoA are read off Fig. 2's description; the paper gives no text."""

TABLE_6 = (
    AblationRow("random features", "86.35 ± 0.68", random_features, draws=5),  # the paper's number of trials
    AblationRow("last features", "89.49 ± 0.15", last_pair),
    AblationRow("searched by MFAS", "89.50 ± 0.60", mfas_features),
    AblationRow(SEARCHED, "90.48 ± 0.24", searched),
)
TABLE_7 = (
    AblationRow("Sum", "87.64", with_structure(*STRUCTURES["Sum"])),
    AblationRow("ConcatFC", "89.20", with_structure(*STRUCTURES["ConcatFC"])),
    AblationRow("MHA", "88.29", with_structure(*STRUCTURES["MHA"])),
    AblationRow("AoA", "89.11", with_structure(*STRUCTURES["AoA"])),
    AblationRow(SEARCHED, "90.48", searched),
)
TABLES = {"Table 6": TABLE_6, "Table 7": TABLE_7}


def ablate(
    rows: Iterable[AblationRow],
    genotype: Genotype,
    features: FeatureSet,
    config: SearchConfig,
    budget: EvalConfig,
    run: Run | None = None,
    progress: Progress | None = None,
) -> list[tuple[AblationRow, Evaluation]]:
    """Trains and tests every row that these features allow, each with the same budget and seeds.

    What is drawn at random has five draws at least.
    """
    results = []
    for row in rows:
        mine = budget.change(seeds=max(budget.seeds, row.draws))
        made = {seed: row.make(genotype, features, seed) for seed in range(mine.seeds)}
        fitting = {seed: one for seed, one in made.items() if one is not None}
        if len(fitting) == mine.seeds:
            evaluation = evaluate(row.name, fitting, features, config, mine, run, progress)
            results.append((row, evaluation))
    return results


def ablation_table(results: Mapping[str, Iterable[tuple[AblationRow, Evaluation]]]) -> pd.DataFrame:
    """Lists mean and standard deviation over the seeds, and the paper's score for NTU, one line a row.

    Seconds are left out, so that equal runs give equal tables.

    Args:
        results: table name -> its rows and their results, from `ablate`.
    """
    lines = [
        {"table": name, **evaluation.row(), "paper (NTU, %)": row.paper}
        for name, rows in results.items()
        for row, evaluation in rows
    ]
    return ScoreTable(lines).drop(columns="seconds", errors="ignore")
