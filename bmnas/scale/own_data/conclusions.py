"""What the scores of a fitted classifier say: whether fusion helps, and whether the search was worth it."""

from collections.abc import Sequence

from bmnas.evaluation.ablation import SEARCHED
from bmnas.evaluation.comparison import Comparison
from bmnas.evaluation.results import Evaluation, compare_results
from bmnas.features.feature_set import FeatureSet
from bmnas.space.equivalence import living_modalities
from bmnas.space.genotype import Genotype

ORDER = ("worse", "undecided", "better")
FUSION = ("Fusion helps here", "Fusion does not help here", "Whether fusion helps here cannot be told")
SEARCH = ("The search was worth it", "The search was not worth it", "Whether the search was worth it cannot be told")


def conclusions(results: Sequence[Evaluation], features: FeatureSet, alike: frozenset[str] = frozenset()) -> list[str]:
    """Says whether fusion helps, and whether the search was worth it, paired by seed and test sample.

    Every fusion is compared with the best modality alone, corrected for their number, so that the best of many does not
    pass for a gain. A network whose answer depends on one modality is no fusion, whoever found it. The network found is
    compared with that modality and with the best of all other methods.

    Args:
        results: of all methods, the searched network among them.
        features: those of the results.
        alike: inputs of Cells of which all positions are alike, see `bmnas.space.equivalence.living_features`.
    """
    unit = "test samples" if features.groups is None else "groups of test samples"
    alone = {result.name: name for result in results if (name := _modality(result, features, alike)) is not None}
    fused = [result for result in results if result.name not in alone]
    lines = []
    if SEARCHED in alone:
        lines.append(f"The search found a network of ONE MODALITY, {alone[SEARCHED]}: it fuses nothing.")
    if alone and fused:
        best = max((result for result in results if result.name in alone), key=_mean)
        comparisons = [one.turned() for one in compare_results([best, *fused], best.name)]
        strongest = max(comparisons, key=lambda one: (ORDER.index(one.verdict), one.difference))
        lines.append(f"{_answer(strongest, *FUSION)}: {_in_words(strongest, 'the best modality', unit)}.")
        lines += [
            f"The search: {_in_words(one, 'the best modality', unit)}."
            for one in comparisons
            if one.name == SEARCHED != strongest.name
        ]
    if len(results) > 1:
        comparisons = compare_results(results, SEARCHED)
        rival = max((result for result in results if result.name != SEARCHED), key=_mean)
        (strongest,) = (one for one in comparisons if one.rival == rival.name)
        lines.append(f"{_answer(strongest, *SEARCH)}: {_in_words(strongest, 'the best other method', unit)}.")
    return lines


def _modality(result: Evaluation, features: FeatureSet, alike: frozenset[str]) -> str | None:
    """Returns the modality of a method that uses one alone; None of a fusion."""
    if " alone" in result.name:
        return result.name.partition(" alone")[0]
    about = result.origin.genotype if result.origin else None
    modalities = living_modalities(Genotype.from_dict(about), features.modalities, alike) if about else ()
    return modalities[0] if len(modalities) == 1 else None


def _mean(result: Evaluation) -> float:
    return result.mean


def _answer(one: Comparison, yes: str, no: str, unknown: str) -> str:
    """Chooses the answer that a comparison gives: what its interval settles, and nothing more.

    An interval of 0 alone, as of equal answers to all samples, settles that there is no gain.
    """
    if one.verdict == "undecided":
        return no if one.low == one.high == 0 else unknown
    return yes if one.verdict == "better" else no


def _in_words(one: Comparison, what: str, unit: str) -> str:
    """Writes "the network found scores 2.3 points below the best modality, Sound alone (95 % interval ...)"."""
    points = abs(100 * one.difference)
    side = f"{points:.1f} points {'above' if one.difference > 0 else 'below'}" if round(points, 1) else "as much as"
    mine, rival = ("the network found" if name == SEARCHED else name for name in (one.name, one.rival))
    text = f"{mine} scores {side} {what}, {rival}"
    return f"{text}; one seed proves nothing" if one.one_seed else f"{text} ({one.basis(1, unit)})"
