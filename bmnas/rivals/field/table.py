"""The table of the field: trained row by row, kept, merged over runs and machines, and put beside what is published."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from math import isfinite
from typing import Any

import pandas as pd

from bmnas.errors import ConfigError, how_many
from bmnas.evaluation.ablation import SEARCHED
from bmnas.evaluation.comparison import Comparison
from bmnas.evaluation.origin import Origin
from bmnas.evaluation.results import Evaluation, compare_results
from bmnas.evaluation.saved_results import load_evaluation
from bmnas.evaluation.score_table import ScoreTable
from bmnas.paper.published_scores import PublishedScore, published_scores
from bmnas.rivals.field.contest import Contest, Row
from bmnas.rivals.field.methods import title_of
from bmnas.searching.run_folder import Run
from bmnas.training.progress import Progress

MFAS = f"{title_of('mfas')}, searched"
FIFTY = 50  # times as much as Algorithm 1 with its read-out is what MFAS's search is expected to cost at least
TABLE = "all methods, networks to train"  # what the bar of all rows is called


def evaluate_field(contest: Contest, rows: Sequence[Row], progress: Progress | None = None) -> Iterator[Evaluation]:
    """Yields the result of each row as soon as it is there.

    Every seed of every row is kept in the run folder. A killed process so resumes with the seed that it was at, and
    what is kept is not trained again.

    Args:
        rows: those that lack something on these features are passed over.
        progress: called as progress(name, done, of) by each row, and for the whole table in networks to train.
    """
    total = sum(row.trainings for row in rows if not row.lacks)
    done = 0
    for row in rows:
        if row.lacks:
            continue
        if progress is not None:
            progress(TABLE, done, total)
        yield row.make(contest, progress)
        done += row.trainings
    if progress is not None:
        progress(TABLE, total, total)


def merge_results(*runs: Run | Sequence[Evaluation]) -> list[Evaluation]:
    """Merges the results of several runs or machines into one table; what is in several counts once.

    A name that stands for different networks in different runs, as the searched one does, gets the run's name.

    Args:
        runs: run folders with an `evaluation.json`, or results that were read from them.

    Raises:
        ConfigError: results on different test samples, or of different features or metrics; names the two methods.
        RunError: a run has no results, or they are damaged.
    """
    merged: dict[str, Evaluation] = {}
    first: Evaluation | None = None
    for results in (load_evaluation(part) if isinstance(part, Run) else part for part in runs):
        for result in results:
            first = first or result
            _check_same(first, result)
            name = result.name
            if name in merged and _answers(merged[name]) != _answers(result):
                if result.origin is None or not result.origin.run:
                    raise ConfigError(f"two results are called {name!r}, and one does not say which run it is of")
                name = f"{name}, {result.origin.run}"
            merged.setdefault(name, result if name == result.name else replace(result, name=name))
    return list(merged.values())


def _answers(result: Evaluation) -> object:
    """What makes two results the same."""
    return result.scores if result.outcomes is None else result.outcomes.packed()


def _check_same(first: Evaluation, other: Evaluation) -> None:
    """Checks that two results may stand in one table."""
    if first.metric != other.metric:
        raise ConfigError(f"{first.name!r} has {first.metric}, {other.name!r} has {other.metric}; expected one metric")
    if first.outcomes is None or other.outcomes is None:
        raise ConfigError(
            f"{(first if first.outcomes is None else other).name!r} has no answers of test samples, so nobody knows "
            "whether both were tested on the same ones; run notebook 04 again"
        )
    if not first.outcomes.same_test(other.outcomes):
        raise ConfigError(f"{first.name!r} and {other.name!r} were tested on different samples; they make no table")
    features = {result.origin.features for result in (first, other) if result.origin and result.origin.features}
    if len(features) > 1:
        raise ConfigError(
            f"{first.name!r} and {other.name!r} were trained on different features (fingerprints "
            f"{', '.join(sorted(one[:8] for one in features))}); they make no table"
        )


def field_table(results: Sequence[Evaluation], task: str, name: str = SEARCHED) -> pd.DataFrame:
    """Makes one line a method, best mean first: score, interval, verdict, size, cost, source, and published scores.

    Published scores stand in a column of their own, as do their sources: they are of other features, and are never
    compared with measured ones. Methods that stored features cannot measure have nothing else.

    Args:
        task: whose published scores are shown.
        name: of the method that is compared with every other.
    """
    named = any(result.name == name for result in results)
    against = {one.rival: one for one in compare_results(results, name)} if named else {}
    published = published_scores(task)
    beside = {
        result.name: score
        for result in results
        for score in published
        if score.row == result.name and _is_of(score, result)
    }
    ranked = sorted(results, key=lambda result: -result.mean)
    lines = [_line(result, against.get(result.name), beside.get(result.name), name) for result in ranked]
    lines += [  # methods that were not trained here
        {"method": score.method, "published [%]": score.text, "published in": score.source}
        for score in published
        if score not in beside.values()
    ]
    return ScoreTable(lines)


def _is_of(score: PublishedScore, result: Evaluation) -> bool:
    """Says whether a published score is of a row's method: a run's network may be that of any searcher."""
    return result.name != SEARCHED or result.origin is None or result.origin.source in ("", score.method)


def _line(
    result: Evaluation, comparison: Comparison | None, published: PublishedScore | None, name: str
) -> dict[str, Any]:
    origin = result.origin or Origin()
    low, high = result.interval
    difference, verdict = "", ""
    if comparison is not None:
        difference = comparison.in_points()
        verdict = comparison.verdict
    return {
        "method": result.name,
        f"{result.metric} [%]": 100 * result.mean,
        "95 % interval": f"{100 * low:.2f} to {100 * high:.2f}" if isfinite(low) else "-",
        "seeds": str(len(result.scores)),
        f"{name} less this": difference,
        f"{name} is": verdict,
        "parameters": f"{result.parameters:,}",
        "FLOPs": "-" if result.flops is None else f"{result.flops:,}",
        "search [epochs]": f"{origin.search_epochs:,.0f}",
        "source": origin.source,
        "not on stored features": origin.limits,
        "published [%]": published.text if published else "",
        "published in": published.source if published else "",
        "run": origin.run,
        "command": origin.command,
    }


def winners_sentence(results: Sequence[Evaluation], name: str = SEARCHED) -> str:
    """Says in one sentence which methods are better than `name`, and which only score higher."""
    comparisons = compare_results(results, name)
    losses = [one.rival for one in comparisons if one.verdict == "worse"]
    higher = [one.rival for one in comparisons if one.verdict == "undecided" and one.difference < 0]
    wins = [one.rival for one in comparisons if one.verdict == "better"]
    said = [f"{name} is better than {len(wins)} of {how_many(len(comparisons), 'rival')}"]
    said.append(f"worse than {', '.join(losses)}" if losses else "worse than none")
    if higher:
        said.append(f"{', '.join(higher)} score{'s' if len(higher) == 1 else ''} higher, but cannot be told apart")
    corrected = f", corrected for {len(comparisons)} comparisons" if len(comparisons) > 1 else ""
    return f"{'; '.join(said)} (95 % intervals{corrected})."


def mfas_sentence(results: Sequence[Evaluation], name: str = SEARCHED) -> str:
    """Says what the search of `name` cost beside MFAS's, and how both score; "" where one of them is missing."""
    named = {result.name: result for result in results}
    mine, mfas = named.get(name), named.get(MFAS)
    if mine is None or mfas is None:
        return ""
    own, theirs = ((result.origin or Origin()).search_epochs for result in (mine, mfas))
    if not own:
        return ""
    costs = f"{own:,.0f} epochs and that of MFAS {theirs:,.0f}, {theirs / own:.1f} times as many"
    aim = "at most" if FIFTY * own <= theirs else "more than"
    (comparison,) = compare_results([mine, mfas], name)
    return f"The search of {name} cost {costs}: {aim} a {FIFTY}th of MFAS's. {comparison.sentence()}."
