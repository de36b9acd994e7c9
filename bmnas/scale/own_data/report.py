"""The report of a fitted classifier in words: data, network, scores, rivals, and whether fusion helps."""

from collections.abc import Sequence

import pandas as pd

from bmnas.evaluation.ablation import SEARCHED
from bmnas.evaluation.results import Evaluation, compare_results
from bmnas.features.feature_set import FeatureSet
from bmnas.features.findings import findings
from bmnas.space.genotype import Genotype


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
    scores = "\n".join(f"  {name:<24} {100 * value:6.2f} %" for name, value in searched.all_scores.items())
    parts = [
        f"Data\n  {features!r}",
        *(f"  ! {line}" for line in findings(features)),
        f"\nNetwork found\n{genotype.describe()}",
        f"\nTest scores of {SEARCHED}, mean of {len(searched.scores)} seeds\n{scores}",
        f"\nLeaderboard by {searched.metric} on the same test samples, in %\n{_percent(leaderboard)}",
    ]
    if subsets is not None:
        parts.append(f"\nOne trained network, with some modalities hidden (seed 0), in %\n{_percent(subsets)}")
    parts.append("\n" + "\n".join(conclusions(results)))
    return "\n".join(parts)


def conclusions(results: Sequence[Evaluation]) -> list[str]:
    """Says whether fusion helps, against the best modality alone and the best rival, paired by seed and test sample."""
    against = {one.rival: one for one in compare_results(results, SEARCHED)}
    others = [result for result in results if result.name != SEARCHED]
    alone = [result for result in others if " alone" in result.name]
    rivals = [result for result in others if result not in alone]
    lines = []
    if alone:
        best = against[max(alone, key=lambda result: result.mean).name]
        word = {"better": "Fusion helps here", "worse": "Fusion does not help here"}.get(
            best.verdict, "Whether fusion helps here cannot be told"
        )
        lines.append(f"{word}: {best.sentence()}.")
    if rivals:
        lines.append(f"Best rival: {against[max(rivals, key=lambda result: result.mean).name].sentence()}.")
    return lines


def leaderboard(results: Sequence[Evaluation]) -> pd.DataFrame:
    """Makes a line a method, best mean first: the score that counts, its spread, every other score, the size."""
    ranked = sorted(results, key=lambda result: -result.mean)
    return pd.DataFrame(
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


def _percent(frame: pd.DataFrame) -> str:
    shown = frame.copy()
    for name in frame.select_dtypes("float"):
        shown[name] = 100 * frame[name]
    return shown.to_string(index=False, float_format=lambda value: f"{value:.1f}")
