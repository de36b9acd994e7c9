"""Results over seeds: one for each method, cached in the run folder, compared in words."""

import math
import statistics
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

from bmnas.errors import RunError
from bmnas.features.feature_set import FeatureSet
from bmnas.searching.run_folder import Run
from bmnas.searching.trace import TYPED
from bmnas.storage.digests import json_sha256
from bmnas.storage.lock import hold
from bmnas.training import metrics

CACHED = ("scores", "per_class", "parameters")  # fields of a result that are equal whenever it is computed


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
        seconds: training, summed over the seeds.
    """

    name: str
    metric: str
    scores: tuple[float, ...]
    all_scores: dict[str, float] = field(default_factory=dict)
    per_class: dict[str, float] = field(default_factory=dict)
    parameters: int = 0
    seconds: float = 0.0

    @property
    def mean(self) -> float:
        """The mean over the seeds."""
        return statistics.fmean(self.scores)

    @property
    def std(self) -> float:
        """The sample standard deviation over the seeds; 0 for a single score."""
        return statistics.stdev(self.scores) if len(self.scores) > 1 else 0.0

    def row(self) -> dict[str, Any]:
        """Returns one line of a table."""
        return {
            "method": self.name,
            "mean": self.mean,
            "std": self.std,
            "seeds": len(self.scores),
            "metric": self.metric,
            "parameters": self.parameters,
            "seconds": self.seconds,
        }

    def to_dict(self) -> dict[str, Any]:
        """Returns what is the same in every equal evaluation (not the seconds), for JSON."""
        plain = {name: value for name, value in asdict(self).items() if name != "seconds"}
        return {**plain, "scores": list(self.scores), "mean": self.mean, "std": self.std}


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
        run.save_json(timing, {"seconds": result["seconds"]})
        run.save_json(cached, {**{name: result[name] for name in CACHED}, "about": about})
    return result


def digest_of(about: dict[str, Any]) -> str:
    """Returns sixteen hexadecimal digits that name a result."""
    return json_sha256(about)[:16]


def _checked(run: Run, cached: str, features: FeatureSet) -> dict[str, Any]:
    """Reads a cached result whose fields are what `evaluate_seed` writes."""
    result = run.load_json(cached)
    metric = metrics.METRICS[features.kind]
    number = TYPED[float]

    def recall(value: Any) -> bool:  # NaN, null in the file, where a class has no test sample
        return number(value) or (features.kind == "multiclass" and value is None)

    tests = {
        "scores": lambda v: isinstance(v, dict) and metric in v and all(map(number, v.values())),
        "per_class": lambda v: isinstance(v, list) and len(v) == len(features.classes) and all(map(recall, v)),
        "parameters": TYPED[int],
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


def combine_seeds(name: str, results: list[dict[str, Any]], features: FeatureSet) -> Evaluation:
    """Combines the results of several seeds."""
    metric = metrics.METRICS[features.kind]
    per_class = {
        label: statistics.fmean(result["per_class"][k] for result in results)
        for k, label in enumerate(features.classes)
    }
    means = {key: statistics.fmean(result["scores"][key] for result in results) for key in results[0]["scores"]}
    return Evaluation(
        name=name,
        metric=metric,
        scores=tuple(result["scores"][metric] for result in results),
        all_scores=means,
        per_class=per_class,
        parameters=results[0]["parameters"],
        seconds=sum(result["seconds"] for result in results),
    )


def verdict(results: list[Evaluation], name: str) -> str:
    """Says in a line a rival how many points the method `name` is better or worse, and whether the seeds can tell.

    A difference counts as clear when it exceeds twice its standard error, from the seeds of both; a rival without
    training has no spread of its own.
    """
    mine = next(result for result in results if result.name == name)
    lines = []
    for rival in results:
        if rival is mine:
            continue
        difference = 100 * (mine.mean - rival.mean)
        error = 100 * math.sqrt(mine.std**2 / len(mine.scores) + rival.std**2 / len(rival.scores))
        clear = "" if abs(difference) > 2 * error else f" (within the spread of {len(mine.scores)} seeds)"
        points = f"{abs(difference):.2f}"
        word = "better" if difference >= 0 else "worse"
        than = f"as good as {rival.name}" if points == "0.00" else f"{points} points {word} than {rival.name}"
        lines.append(f"{name}: {than}{clear}")
    return "\n".join(lines)
