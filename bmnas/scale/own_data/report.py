"""The report of a fitted classifier in words: data, network, scores, rivals, and whether fusion helps."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from textwrap import indent

import numpy as np
import pandas as pd

from bmnas.evaluation.ablation import SEARCHED
from bmnas.evaluation.comparison import Comparison
from bmnas.evaluation.results import Evaluation, compare_results
from bmnas.evaluation.score_table import ScoreTable
from bmnas.features.feature_set import FeatureSet
from bmnas.features.findings import findings
from bmnas.space.genotype import Genotype

SPREAD = "\u00b1"
FEW = 10  # test samples of a class, below which its scores say little
LISTED = 10  # classes that are listed with their numbers
ORDER = ("worse", "undecided", "better")
FUSION = ("Fusion helps here", "Fusion does not help here", "Whether fusion helps here cannot be told")
SEARCH = ("The search was worth it", "The search was not worth it", "Whether the search was worth it cannot be told")
SHOWN = ("accuracy", "weighted F1", "macro AUROC")  # of the leaderboard, beside the score that counts


def report(
    features: FeatureSet,
    genotype: Genotype,
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
    scores = "\n".join(f"  {name:<24} {100 * value:6.2f} %" for name, value in searched.all_scores.items())
    parts = [
        "Data",
        *(f"  {line}" for line in data_lines(features)),
        *(f"  ! {line}" for line in findings(features)),
        *(f"  ! {line}" for line in _rare_in_test(features)),
        f"\nNetwork found\n{indent(genotype.describe(), '  ')}",
        "  A Cell fuses its inputs x and y by the operations of its Steps. A classifier reads what all Cells give.",
        f"\nIts scores on the test samples, which are met once, at the end (mean of {seeds} trainings)\n{scores}",
        f"\nLeaderboard by {searched.metric} on the same test samples, in % ({SPREAD} over the {seeds} trainings)",
        _board(leaderboard, searched.metric),
        f"  {SEARCHED} is the network found. A head is a small classifier on the features of one modality alone.",
        "  Late fusion combines the answers of the heads: their logits, scores that are not yet probabilities.",
    ]
    if subsets is not None:
        parts += [
            "\nThe same network where only some modalities are given, in % (first training, all test samples)",
            _percent(subsets.drop(columns="count")),
        ]
    return "\n".join([*parts, "", *conclusions(results, features)])


def data_lines(features: FeatureSet) -> Iterator[str]:
    """Says what there is: samples and splits, features and their shapes, classes and their numbers."""
    train, val, test = (len(features.splits[name]) for name in ("train", "val", "test"))
    yield f"{len(features):,} samples: {train:,} to train on, {val:,} to choose by (validation), {test:,} to test on"
    for modality, names in features.modalities.items():
        shapes = [features.arrays[name].shape[1:] for name in names]
        each = (
            f"{name} ({C} numbers{'' if P == 1 else f' at {P} positions'})"
            for name, (C, P) in zip(names, shapes, strict=True)
        )
        yield f"modality {modality}: {', '.join(each)}"
    counts = _class_counts(features, slice(None))
    listed = ", ".join(f"{name} ({count:,})" for name, count in list(counts.items())[:LISTED])
    what = "classes" if features.kind == "multiclass" else "labels, several at once"
    yield f"{len(counts)} {what}: {listed}{' ...' if len(counts) > LISTED else ''}"


def _class_counts(features: FeatureSet, rows: slice | np.ndarray) -> dict[str, int]:
    targets, K = features.targets[rows], len(features.classes)
    counts = np.bincount(targets, minlength=K) if features.kind == "multiclass" else targets.sum(0)
    return {name: int(count) for name, count in zip(features.classes, counts, strict=True)}


def _rare_in_test(features: FeatureSet) -> Iterator[str]:
    rare = {name: n for name, n in _class_counts(features, features.rows("test")).items() if n < FEW}
    if rare:
        listed = ", ".join(f"{count} of {name!r}" for name, count in list(rare.items())[:LISTED])
        yield f"few test samples: {listed}; scores that count such a class move far with each of them"


def conclusions(results: Sequence[Evaluation], features: FeatureSet) -> list[str]:
    """Says whether fusion helps, and whether the search was worth it, paired by seed and test sample.

    Every fusion method is compared with the best modality alone, corrected for their number, so that the best of many
    does not pass for a gain. The network found is compared with that modality and with the best rival.
    """
    unit = "test samples" if features.groups is None else "groups of test samples"
    alone = [result for result in results if " alone" in result.name]
    fused = [result for result in results if result not in alone]
    rivals = [result for result in fused if result.name != SEARCHED]
    lines = []
    if alone:
        best = max(alone, key=_mean)
        comparisons = [_turned(one) for one in compare_results([best, *fused], best.name)]
        strongest = max(comparisons, key=lambda one: (ORDER.index(one.verdict), one.difference))
        lines.append(
            f"{_answer(strongest, *FUSION)}: {_in_words(strongest, 'the best modality', unit, len(comparisons))}."
        )
        searched = next(one for one in comparisons if one.name == SEARCHED)
        if strongest.name != SEARCHED:
            lines.append(f"The search: {_in_words(searched, 'the best modality', unit, len(comparisons))}.")
    if rivals:
        comparisons = compare_results(fused, SEARCHED)
        strongest = next(one for one in comparisons if one.rival == max(rivals, key=_mean).name)
        lines.append(
            f"{_answer(strongest, *SEARCH)}: {_in_words(strongest, 'the best rival', unit, len(comparisons))}."
        )
    return lines


def _mean(result: Evaluation) -> float:
    return result.mean


def _answer(one: Comparison, yes: str, no: str, unknown: str) -> str:
    """Chooses the answer that a comparison gives; no gain at all, as among equal answers to all samples, is a no."""
    if one.verdict == "undecided" and one.seeds > 1 and one.high <= 0:
        return no
    return {"better": yes, "worse": no}.get(one.verdict, unknown)


def _turned(one: Comparison) -> Comparison:
    """Returns the same comparison, seen from the rival."""
    return replace(one, name=one.rival, rival=one.name, difference=-one.difference, low=-one.high, high=-one.low)


def _in_words(one: Comparison, what: str, unit: str, comparisons: int) -> str:
    """Writes "the network found scores 2.3 points below the best modality, Sound alone (95 % interval ...)"."""
    points = abs(100 * one.difference)
    side = f"{points:.1f} points {'above' if one.difference > 0 else 'below'}" if round(points, 1) else "as much as"
    name = "the network found" if one.name == SEARCHED else one.name
    text = f"{name} scores {side} {what}, {one.rival}"
    if one.seeds < 2:
        return f"{text}; one seed proves nothing"
    note = ""
    if one.low <= 0 <= one.high:
        note = ", which holds 0"
    elif one.verdict == "undecided":
        note = f", which does not suffice where {comparisons} methods are compared"
    samples = f", {one.groups:,} {unit}" if one.groups else ""
    low, high = (f"{round(100 * end, 1) + 0.0:+.1f}" for end in (one.low, one.high))  # never -0.0
    return f"{text} (95 % interval {low} to {high}{note}; {one.seeds} seeds{samples})"


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
    """Writes the columns of a leaderboard that fit a terminal."""
    shown = [name for name in SHOWN if name in frame and name != metric]
    columns = ["method", metric, "std", *shown, "parameters"]
    return _percent(frame.reindex(columns=columns).rename(columns={"std": SPREAD}))


def _percent(frame: pd.DataFrame) -> str:
    shown = frame.copy()
    for name in frame.select_dtypes("float"):
        shown[name] = 100 * frame[name]
    return shown.to_string(index=False, float_format=lambda value: f"{value:.1f}")
