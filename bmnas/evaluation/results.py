"""Results over seeds: one for each method, cached in the run folder, compared in words."""

import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, fields
from functools import cached_property
from typing import Any

import numpy as np
import torch
from pydantic import InstanceOf

from bmnas.errors import ConfigError, RunError
from bmnas.evaluation.comparison import Comparison, compare_pairs
from bmnas.evaluation.estimates import estimate
from bmnas.evaluation.group_values import GroupValues, group_values
from bmnas.evaluation.origin import Origin
from bmnas.evaluation.outcomes import COUNTED, Outcomes
from bmnas.features.feature_set import FeatureSet
from bmnas.machine import environment
from bmnas.searching.run_folder import Run
from bmnas.searching.trace import TYPED
from bmnas.storage.digests import json_sha256
from bmnas.storage.lock import hold
from bmnas.training import metrics

CACHED = (
    "scores",
    "per_class",
    "parameters",
    "flops",
    "answers",
)  # fields of a result that are equal whenever it is computed


@dataclass(frozen=True)
class Evaluation:
    """The test scores of one method over its seeds.

    Args:
        name: of the method.
        metric: what the scores are, between 0 and 1.
        scores: one test score a seed.
        all_scores: every other score of the kind by name (macro F1 ...), the mean over the seeds.
        per_class: class -> mean score over the seeds.
        parameters: trainable scalars.
        flops: of the forward pass of one sample; None where it was not counted.
        seconds: training, summed over the seeds.
        outcomes: the answers of every seed; None in results of older versions.
        origin: the command and the run folder that made it; None where it is no row of a table.
    """

    name: str
    metric: str
    scores: tuple[float, ...]
    all_scores: dict[str, float] = field(default_factory=dict)
    per_class: dict[str, float] = field(default_factory=dict)
    parameters: int = 0
    flops: int | None = None
    seconds: float = 0.0
    outcomes: InstanceOf[Outcomes] | None = field(default=None, compare=False, repr=False)
    origin: Origin | None = field(default=None, compare=False, repr=False)

    @property
    def mean(self) -> float:
        """The mean over the seeds."""
        return statistics.fmean(self.scores)

    @property
    def std(self) -> float:
        """The sample standard deviation over the seeds; 0 for a single score."""
        return statistics.stdev(self.scores) if len(self.scores) > 1 else 0.0

    @property
    def trained(self) -> bool:
        """Whether seeds make a difference; the sum of stored log-probabilities has neither weights nor seeds."""
        return self.parameters > 0 or len(self.scores) > 1

    @cached_property
    def interval(self) -> tuple[float, float]:
        """The 95 % interval of the mean, within 0 and 1: over seeds and groups of test samples, or over seeds alone.

        A trained method with one seed has none: -inf to inf. See `bmnas.evaluation.estimates`.
        """
        if self.outcomes is None:
            known = estimate(np.array(self.scores))
            independent = len(self.scores)
        else:
            values = self.group_values(self.outcomes.groups)
            known = estimate(values if self.trained else values.repeated(2))
            independent = values.independent
        return known.share_interval(independent)

    def group_values(self, groups: np.ndarray) -> GroupValues:
        """Splits the score of each seed by groups of test samples, (n,) or (n, k)."""
        assert self.outcomes is not None
        return group_values(self.outcomes.score, self.outcomes.counts(), groups)

    def row(self) -> dict[str, Any]:
        """Returns the method as a row: mean, spread, 95 % interval (low, high) as shares, and its size."""
        return {
            "method": self.name,
            "mean": self.mean,
            "std": self.std,
            "low": self.interval[0] if math.isfinite(self.interval[0]) else None,
            "high": self.interval[1] if math.isfinite(self.interval[1]) else None,
            "seeds": len(self.scores),
            "metric": self.metric,
            "parameters": self.parameters,
            "flops": self.flops,
            "seconds": self.seconds,
        }

    def to_dict(self) -> dict[str, Any]:
        """Returns what is the same in every equal evaluation (not the seconds), for JSON."""
        apart = ("seconds", "outcomes", "origin")
        plain = {f.name: getattr(self, f.name) for f in fields(self) if f.name not in apart}
        means = {"mean": self.mean, "std": self.std}
        origin = {} if self.origin is None else {"origin": asdict(self.origin)}
        answers = {} if self.outcomes is None else {"answers": self.outcomes.packed()}
        return {**plain, "scores": list(self.scores), **means, **answers, **origin}


def once(
    run: Run | None, about: dict[str, Any], features: FeatureSet, compute: Callable[[], dict[str, Any]]
) -> dict[str, Any]:
    """Returns the cached result of this run, or computes and caches it.

    Args:
        about: names the result.
        compute: gives it.
    """
    if run is None:
        return compute()
    digest = digest_of(about)
    cached = f"scores/{digest}.json"
    timing = f"timing/{digest}.json"
    with hold(run.path(f"scores/{digest}.lock"), wait=True):  # two notebooks may want the same result: one trains it
        if run.path(cached).exists():
            return _checked(run, cached, features) | {"seconds": _seconds(run, timing)}
        result = compute()
        run.save_json(timing, {"seconds": result["seconds"], "machine": environment(torch.get_num_threads())})
        run.save_json(cached, {**{name: result.get(name) for name in CACHED}, "about": about})
    return result


def digest_of(about: dict[str, Any]) -> str:
    """Returns sixteen hexadecimal digits that name a result."""
    return json_sha256(about)[:16]


def _checked(run: Run, cached: str, features: FeatureSet) -> dict[str, Any]:
    """Reads a cached result whose fields are what `evaluate_seed` writes."""
    result: dict[str, Any] = {"answers": None, "flops": None} | run.load_json(cached)  # older versions lack both
    metric, number = metrics.METRICS[features.kind], TYPED[float]

    def recall(value: Any) -> bool:  # NaN, null in the file, where a class has no test sample
        return number(value) or (features.kind == "multiclass" and value is None)

    tests = {
        "scores": lambda v: isinstance(v, dict) and metric in v and all(map(number, v.values())),
        "per_class": lambda v: isinstance(v, list) and len(v) == len(features.classes) and all(map(recall, v)),
        "parameters": TYPED[int],
        "flops": lambda v: v is None or TYPED[int](v),
        "answers": lambda v: v is None or isinstance(v, str),
    }
    for name, test in tests.items():
        if name not in result or not test(result[name]):
            raise RunError(
                f"{run.path(cached)}: the field {name!r} is missing or damaged; delete the file to compute it again"
            )
    per_class = [math.nan if score is None else score for score in result["per_class"]]
    return {name: result[name] for name in CACHED} | {"per_class": per_class}


def _seconds(run: Run, timing: str) -> float:
    """Returns how long a cached result took; 0 if its timing is gone."""
    if not run.path(timing).exists():
        return 0.0
    seconds = run.load_json(timing).get("seconds")
    if not TYPED[float](seconds):
        raise RunError(f"{run.path(timing)}: seconds is {seconds!r}; delete the file, the scores stay")
    return float(seconds)  # pyright: ignore[reportArgumentType]


def combine_seeds(
    name: str, results: list[dict[str, Any]], features: FeatureSet, metric: str | None = None
) -> Evaluation:
    """Combines the results of several seeds.

    Args:
        metric: the score that counts; that of the kind of task when None.

    Raises:
        RunError: the answers of one are damaged, or of another test split.
    """
    metric = metric or metrics.METRICS[features.kind]
    answers = [result["answers"] for result in results if result.get("answers") is not None]
    try:
        complete = len(answers) == len(results) and metric in COUNTED
        outcomes = Outcomes.of(features, answers, metric) if complete else None
    except ValueError as error:
        raise RunError(f"{name}: {error}; delete the folder of its scores to compute them again") from error
    shared = [key for key in results[0]["scores"] if all(key in result["scores"] for result in results)]
    per_class = {
        label: statistics.fmean(result["per_class"][k] for result in results)
        for k, label in enumerate(features.classes)
    }
    means = {key: statistics.fmean(result["scores"][key] for result in results) for key in shared}
    return Evaluation(
        name=name,
        metric=metric,
        scores=tuple(result["scores"].get(metric, 0.0) for result in results),
        all_scores=means,
        per_class=per_class,
        parameters=results[0]["parameters"],
        flops=results[0].get("flops"),
        seconds=sum(result["seconds"] for result in results),
        outcomes=outcomes,
    )


def compare_results(results: Sequence[Evaluation], name: str) -> list[Comparison]:
    """Compares the method `name` with all others, paired by seed and test sample, corrected by Holm.

    Where one of two has no answers of test samples, they are compared by seeds alone. Of unequal numbers of seeds the
    means of all are compared, paired by test sample alone; an untrained method stands beside every seed.

    Raises:
        ConfigError: no such method, or methods that were tested on different samples.
    """
    named = {result.name: result for result in results}
    if name not in named:
        raise ConfigError(f"no results of {name!r}; there are those of {', '.join(map(repr, named)) or 'none'}")
    mine = named.pop(name)
    pairs = {rival: _pair(mine, other) for rival, other in named.items()}
    return compare_pairs(name, pairs)


def _pair(mine: Evaluation, other: Evaluation) -> tuple[GroupValues, GroupValues]:
    """Returns the scores of both, split by groups if these are known, an untrained one as often as the other's."""
    if mine.metric != other.metric:
        raise ConfigError(f"{mine.name!r} has {mine.metric}, {other.name!r} {other.metric}; compare them apart")
    if mine.outcomes is None or other.outcomes is None:
        values = [GroupValues.of(np.array(one.scores)) for one in (mine, other)]
    elif mine.outcomes.same_test(other.outcomes):
        both = (mine.outcomes.groups, other.outcomes.groups)  # of old results there may be but one a sample
        groups = max(both, key=lambda known: (known.ndim, -len(np.unique(known))))  # the coarser
        values = [one.group_values(groups) for one in (mine, other)]
    else:
        raise ConfigError(f"{mine.name!r} and {other.name!r} were tested on different samples; compare them apart")
    seeds = max(each.seeds for each in values)
    first, second = (
        each if one.trained else each.repeated(seeds) for one, each in zip((mine, other), values, strict=True)
    )
    return first, second


def verdict(results: Sequence[Evaluation], name: str) -> str:
    """A line a rival: whether the method `name` is better or worse, by how much, and whether that can be told.

    Raises:
        ConfigError: see `compare_results`.
    """
    return "\n".join(comparison.sentence() for comparison in compare_results(results, name))
