"""The report of a fitted classifier in words: data, network, scores, rivals, and whether fusion helps."""

from collections.abc import Iterator, Sequence
from textwrap import indent, wrap

import numpy as np
import pandas as pd

from bmnas.errors import how_many
from bmnas.evaluation.ablation import SEARCHED
from bmnas.evaluation.results import Evaluation
from bmnas.evaluation.score_table import ScoreTable
from bmnas.features.feature_set import FeatureSet
from bmnas.features.findings import findings
from bmnas.scale.own_data.conclusions import conclusions
from bmnas.space.equivalence import living_features, living_modalities
from bmnas.space.network import FusionNetwork

SPREAD = "\u00b1"
FEW = 10  # test samples of a class, below which its scores say little
LISTED = 10  # classes that are listed with their numbers
SHOWN = ("accuracy", "weighted F1", "macro AUROC", "parameters")  # of the leaderboard, beside the score that counts
TERMINAL, NAME_WIDTH = 80, 30  # columns of a terminal, and of the name of a method


def report(
    features: FeatureSet,
    network: FusionNetwork,
    results: Sequence[Evaluation],
    leaderboard: pd.DataFrame,
    subsets: pd.DataFrame | None,
) -> str:
    """Writes the report.

    Args:
        results: of all methods, the searched network among them.
        leaderboard: a line a method.
        subsets: scores of every subset of modalities; None where the network does not take them.
    """
    searched = next(result for result in results if result.name == SEARCHED)
    seeds = len(searched.scores)
    mean = f"mean of {seeds} trainings" if seeds > 1 else "of one training"
    spread = f" ({SPREAD} over the {seeds} trainings)" if seeds > 1 else ""
    scores = "\n".join(f"  {name:<24} {100 * value:6.2f} %" for name, value in searched.all_scores.items())
    parts = [
        "Data",
        *(f"  {line}" for line in data_lines(features)),
        *(f"  ! {line}" for line in findings(features)),
        *(f"  ! {line}" for line in _rare_in_test(features)),
        f"\nNetwork found\n{indent(network.genotype.describe(), '  ')}",
        *(f"  {line}" for line in _network_lines(network, features)),
        f"\nIts scores on the test samples, which are met once, at the end ({mean})\n{scores}",
        f"\nLeaderboard by {searched.metric} on the same test samples, in %{spread}",
        _board(leaderboard, searched.metric),
        f"  {SEARCHED} is the network found. A head is a small classifier on the features of one modality alone.",
        "  Late fusion combines the answers of the heads: their logits, scores that are not yet probabilities.",
    ]
    if subsets is not None:
        parts += [
            "\nThe same network where only some modalities are given, in % (first training, all test samples)",
            _percent(subsets.drop(columns="count")),
        ]
    return "\n".join([*parts, "", *conclusions(results, features, network.alike)])


def data_lines(features: FeatureSet) -> Iterator[str]:
    """Says what there is: samples and splits, features and their shapes, classes and their numbers."""
    train, val, test = (len(features.splits[name]) for name in ("train", "val", "test"))
    yield f"{len(features):,} samples: {train:,} to train on, {val:,} to choose by (validation), {test:,} to test on"
    for modality, names in features.modalities.items():
        shapes = [features.arrays[name].shape[1:] for name in names]
        each = (
            f"{name} ({how_many(C, 'number')}{'' if P == 1 else f' at {P} positions'})"
            for name, (C, P) in zip(names, shapes, strict=True)
        )
        yield f"modality {modality}: {', '.join(each)}"
    counts = _class_counts(features, slice(None))
    listed = ", ".join(f"{name} ({count:,})" for name, count in list(counts.items())[:LISTED])
    what = "classes" if features.kind == "multiclass" else "labels, several at once"
    yield f"{len(counts)} {what}: {listed}{' ...' if len(counts) > LISTED else ''}"


def _network_lines(network: FusionNetwork, features: FeatureSet) -> Iterator[str]:
    """Explains the network that is printed above, and says where it looks at less than it is given."""
    genotype = network.genotype
    yield "A Cell fuses its inputs x and y by the operations of its Steps, and adds x. A classifier reads all Cells."
    if "Zero" in genotype.primitives:
        yield "Zero gives 0, whatever it reads."
    living = living_features(genotype, network.alike)
    ignored = [name for name in genotype.features if name not in living]
    modalities = living_modalities(genotype, features.modalities, network.alike)
    if len(modalities) == 1:
        yield f"It uses ONE MODALITY alone, {modalities[0]}: it fuses nothing, and its answer depends on no other."
    if ignored:
        yield f"It ignores {', '.join(ignored)}: new samples may be predicted without."


def _class_counts(features: FeatureSet, rows: slice | np.ndarray) -> dict[str, int]:
    targets, K = features.targets[rows], len(features.classes)
    counts = np.bincount(targets, minlength=K) if features.kind == "multiclass" else targets.sum(0)
    return {name: int(count) for name, count in zip(features.classes, counts, strict=True)}


def _rare_in_test(features: FeatureSet) -> Iterator[str]:
    rare = {name: n for name, n in _class_counts(features, features.rows("test")).items() if n < FEW}
    if rare:
        listed = ", ".join(f"{count} of {name!r}" for name, count in list(rare.items())[:LISTED])
        yield f"few test samples: {listed}; scores that count such a class move far with each of them"


def leaderboard(results: Sequence[Evaluation]) -> pd.DataFrame:
    """Makes a line a method, best mean first: the score that counts, its spread, every other score, the size."""
    ranked = sorted(results, key=lambda result: -result.mean)
    return ScoreTable(
        [
            {
                "method": result.name,
                result.metric: result.mean,
                "std": result.std,
                **{name: value for name, value in result.all_scores.items() if name != result.metric},
                "parameters": result.parameters,
            }
            for result in ranked
        ]
    )


def _board(frame: pd.DataFrame, metric: str) -> str:
    """Writes the columns of a leaderboard that fit a terminal; long names continue on the next line."""
    columns = [metric, SPREAD, *(name for name in SHOWN if name in frame and name != metric)]
    while NAME_WIDTH + sum(max(len(name), 5) + 1 for name in columns) > TERMINAL:
        columns.pop()
    rows, blank = [], [""] * len(columns)
    for _, row in frame.rename(columns={"std": SPREAD}).iterrows():
        first, *others = wrap(str(row["method"]), NAME_WIDTH, subsequent_indent="  ")
        numbers = [f"{row[name]}" if name == "parameters" else f"{100 * row[name]:.1f}" for name in columns]
        rows += [[first.ljust(NAME_WIDTH), *numbers], *([line.ljust(NAME_WIDTH), *blank] for line in others)]
    text = pd.DataFrame(rows, columns=["method".ljust(NAME_WIDTH), *columns]).to_string(index=False)
    return "\n".join(line.rstrip() for line in text.splitlines())


def _percent(frame: pd.DataFrame) -> str:
    shown = frame.copy()
    for name in frame.select_dtypes("float"):
        shown[name] = 100 * frame[name]
    return shown.to_string(index=False, float_format=lambda value: f"{value:.1f}")
