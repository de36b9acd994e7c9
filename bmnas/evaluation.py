"""Evaluation (section 3.4): train a network from scratch, score the test split once, repeat over seeds.

Every rival goes through the same two functions, `fit` and `evaluate`, with the same budget and seeds. No choice reads
a test score: the last epoch counts, or the one chosen on validation.
"""

import copy
import hashlib
import json
import math
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from bmnas import metrics
from bmnas.config import EvalConfig, SearchConfig
from bmnas.errors import RunError, SearchDiverged
from bmnas.features import FeatureSet, FeatureTensors
from bmnas.genotype import Genotype
from bmnas.network import FusionNetwork
from bmnas.parts import count_parameters
from bmnas.runs import Run
from bmnas.schedule import schedule
from bmnas.search import check_length
from bmnas.storage.lock import hold
from bmnas.trace import TYPED
from bmnas.training import batches, finite, predict, seeded, train_epoch

INITIAL, BATCHES = 10, 11  # what a random stream is for; the search has others

KEPT = ("scores", "per_class", "parameters")  # of a result: what is the same whenever it is computed

Build = Callable[[int], nn.Module]


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
        """One line of a table."""
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
        """What is the same in every equal evaluation (not the seconds), for JSON."""
        plain = {name: value for name, value in asdict(self).items() if name != "seconds"}
        return {**plain, "scores": list(self.scores), "mean": self.mean, "std": self.std}


def build_network(genotype: Genotype, features: FeatureSet, config: SearchConfig, seed: int) -> FusionNetwork:
    """The genotype's network for these features, its initial values decided by `seed` alone.

    Raises:
        GenotypeError: the genotype does not fit the features.
        ConfigError: the stored features have another L.
    """
    check_length(features, config)
    with seeded((seed, INITIAL), torch.device("cpu")):
        return FusionNetwork(
            genotype,
            features.channels,
            len(features.classes),
            config.C,
            config.L,
            config.dropout,
            config.mode,
            features.vectors,
            config.tokeniser,
        )


def fit(
    network: nn.Module,
    tensors: FeatureTensors,
    kind: str,
    rows: Tensor,
    batch_size: int,
    budget: EvalConfig,
    seed: int,
    after_epoch: Callable[[int], None] | None = None,
) -> None:
    """Trains a network with Adam and cosine warm restarts for `budget.epochs` epochs.

    Args:
        rows: what it trains on.
        after_epoch: called with the epoch's number (from 1) after each.

    Raises:
        SearchDiverged: a loss is NaN or infinite; names the epoch.
    """
    parameters = [parameter for parameter in network.parameters() if parameter.requires_grad]
    optimizer = torch.optim.Adam(parameters, budget.max_lr, weight_decay=budget.weight_decay)
    period = budget.epochs if budget.Ti is None else budget.Ti
    rates = schedule("restarts", budget.max_lr, budget.min_lr, period, budget.Tm, len(rows), batch_size)
    for epoch in range(1, budget.epochs + 1):
        order = batches(rows, batch_size, (seed, BATCHES, epoch))
        with seeded((seed, BATCHES, epoch), tensors.device):
            loss, _ = train_epoch(network, tensors, kind, order, optimizer, parameters, iter(rates.next, None))
        if not finite(loss):
            raise SearchDiverged(f"training, epoch {epoch} of {budget.epochs}: the loss is {loss}; lower max_lr")
        if after_epoch is not None:
            after_epoch(epoch)


def train_and_test(
    network: nn.Module, features: FeatureSet, batch_size: int, budget: EvalConfig, seed: int, device: str = "auto"
) -> tuple[Tensor, Tensor]:
    """Trains as `budget.select` says and looks at the test split once.

    Returns:
        Logits and targets of the test split.
    """
    tensors = features.tensors(device)
    network.to(tensors.device)
    train, val = tensors.rows("train"), tensors.rows("val")
    if budget.select == "last":
        fit(network, tensors, features.kind, torch.cat([train, val]), batch_size, budget, seed)
    else:
        best = _BestOnValidation(network, tensors, features.kind)
        fit(network, tensors, features.kind, train, batch_size, budget, seed, after_epoch=best)
        network.load_state_dict(best.state)
    return predict(network, tensors, tensors.rows("test"))


class _BestOnValidation:
    """Keeps the network of the best validation epoch; the earlier of equal ones."""

    def __init__(self, network: nn.Module, tensors: FeatureTensors, kind: str) -> None:
        self.network, self.tensors, self.kind = network, tensors, kind
        self.score, self.state = -math.inf, network.state_dict()

    def __call__(self, epoch: int) -> None:
        score = metrics.score(self.kind, *predict(self.network, self.tensors, self.tensors.rows("val")))
        if score > self.score:
            self.score, self.state = score, copy.deepcopy(self.network.state_dict())


def evaluate(
    name: str,
    genotype: Genotype | Mapping[int, Genotype],
    features: FeatureSet,
    config: SearchConfig,
    budget: EvalConfig,
    run: Run | None = None,
    progress: Callable[[str, int, int], None] | None = None,
) -> Evaluation:
    """Trains and tests the network of a genotype with the seeds 0, 1, ... of the budget.

    Args:
        name: of the method, for tables.
        genotype: one for all seeds, or one a seed (random features draw anew each time).
        config: gives C, L, dropout, batch size, mode and tokeniser.
        run: keeps the result of each seed, so that an interrupted evaluation goes on, and nothing is trained twice.
        progress: called as progress(name, done, of) before each seed.

    Raises:
        GenotypeError: the genotype does not fit the features.
    """
    results = []
    for seed in range(budget.seeds):
        if progress is not None:
            progress(name, seed, budget.seeds)
        chosen = genotype if isinstance(genotype, Genotype) else genotype[seed]

        def build(seed: int, chosen: Genotype = chosen) -> nn.Module:
            return build_network(chosen, features, config, seed)

        identity = {"genotype": chosen.to_dict(), "search": config.identity()}
        results.append(evaluate_seed(build, identity, features, config, budget, seed, run))
    if progress is not None:
        progress(name, budget.seeds, budget.seeds)
    return combine_seeds(name, results, features)


def evaluate_seed(
    build: Build,
    identity: dict[str, Any],
    features: FeatureSet,
    config: SearchConfig,
    budget: EvalConfig,
    seed: int,
    run: Run | None,
) -> dict[str, Any]:
    """Scores of one seed as plain values; read back from the run folder where they were computed before.

    Args:
        build: seed -> network.
        identity: what the network is, in JSON values; with budget, features and seed it names the result.
    """
    about = {**identity, "budget": {**budget.to_dict(), "seeds": None}, "features": features.fingerprint, "seed": seed}
    if run is None:
        return _trained_and_tested(build, features, config, budget, seed)
    digest = hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()[:16]
    kept, timing = f"scores/{digest}.json", f"timing/{digest}.json"
    with hold(run.path(f"scores/{digest}.lock"), wait=True):  # two notebooks may want the same result: one trains it
        if run.path(kept).exists():
            return _checked(run, kept, features) | {"seconds": _seconds(run, timing)}
        result = _trained_and_tested(build, features, config, budget, seed)
        run.path("timing").mkdir(exist_ok=True)
        run.save_json(timing, {"seconds": result["seconds"]})
        run.save_json(kept, {**{name: result[name] for name in KEPT}, "about": about})
    return result


def _trained_and_tested(
    build: Build, features: FeatureSet, config: SearchConfig, budget: EvalConfig, seed: int
) -> dict[str, Any]:
    started = time.perf_counter()
    network = build(seed)
    logits, targets = train_and_test(network, features, config.batch_size, budget, seed, config.device)
    return {
        "scores": metrics.scores(features.kind, logits, targets),
        "per_class": metrics.per_class(features.kind, logits, targets),
        "parameters": count_parameters(network),
        "seconds": time.perf_counter() - started,
    }


def _checked(run: Run, kept: str, features: FeatureSet) -> dict[str, Any]:
    """A kept result whose fields are what `evaluate_seed` writes."""
    result, metric, number = run.load_json(kept), metrics.METRICS[features.kind], TYPED[float]

    def recall(value: Any) -> bool:  # NaN where a class has no test sample
        return number(value) or (features.kind == "multiclass" and isinstance(value, float) and value != value)

    tests = {
        "scores": lambda v: isinstance(v, dict) and metric in v and all(map(number, v.values())),
        "per_class": lambda v: isinstance(v, list) and len(v) == len(features.classes) and all(map(recall, v)),
        "parameters": TYPED[int],
    }
    for name, test in tests.items():
        if name not in result or not test(result[name]):
            raise RunError(
                f"{run.path(kept)}: the field {name!r} is missing or damaged; delete the file to compute it again"
            )
    return {name: result[name] for name in KEPT}


def _seconds(run: Run, timing: str) -> float:
    """How long a kept result took; 0 where nobody knows."""
    if not run.path(timing).exists():
        return 0.0
    seconds = run.load_json(timing).get("seconds")
    if not TYPED[float](seconds):
        raise RunError(f"{run.path(timing)}: seconds is {seconds!r}; delete the file, the scores stay")
    return float(seconds)  # pyright: ignore[reportArgumentType]


def combine_seeds(name: str, results: list[dict[str, Any]], features: FeatureSet) -> Evaluation:
    """One `Evaluation` of the results of several seeds."""
    metric = metrics.METRICS[features.kind]
    per_class = {
        label: statistics.fmean(result["per_class"][k] for result in results)
        for k, label in enumerate(features.classes)
    }
    means = {key: statistics.fmean(result["scores"][key] for result in results) for key in results[0]["scores"]}
    return Evaluation(
        name,
        metric,
        tuple(result["scores"][metric] for result in results),
        means,
        per_class,
        results[0]["parameters"],
        sum(result["seconds"] for result in results),
    )


def verdict(results: list[Evaluation], name: str) -> str:
    """A line a rival: by how much the method `name` is better or worse, in points, and whether the seeds can tell.

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
        word = "better" if difference >= 0 else "worse"
        lines.append(f"{name}: {abs(difference):.2f} points {word} than {rival.name}{clear}")
    return "\n".join(lines)
