"""How the answer is read out of a search: Algorithm 1's, and the shortlist.

`algorithm1` takes the genotype derived at the epoch of the best validation score (section 3.4). It multiplies the
merits of single features (Eq. 3) and cannot see that two good features may say the same: on real images and sounds it
took two image features in 6 of 6 runs and lost 14 points of accuracy to the best genotype; the shortlist lost 0.2.

`shortlist` ranks discrete genotypes by validation score with the hypernet's weights
(`bmnas.searching.inherited_score`): all of them in spaces of up to 20,000, otherwise by local search from the derived
one. It trains the best five, and the derived one for comparison, briefly on the training split and takes the best on
validation.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from bmnas.config import EvalConfig, SearchConfig
from bmnas.errors import RunError
from bmnas.evaluation.evaluation import build_network, fit
from bmnas.features.feature_set import FeatureSet
from bmnas.machine import resolve_device, use_threads
from bmnas.searching.algorithm1 import build_hypernet
from bmnas.searching.inherited_score import InheritedScore
from bmnas.searching.run_folder import Run
from bmnas.space.enumeration import Space, network_key
from bmnas.space.genotype import Genotype
from bmnas.space.hypernet import Hypernet
from bmnas.storage.replay import Replay
from bmnas.training import metrics
from bmnas.training.steps import predict

EXHAUSTIVE = 20_000  # spaces up to this size are ranked as a whole
LOCAL_SEARCH = 3_000  # genotypes that a local search scores at most
SELECTION, READING = "selection.json", "reading.jsonl"

Progress = Callable[[str, int, int], None]
Score = Callable[[Genotype], float]


@dataclass(frozen=True)
class Candidate:
    """A genotype of the shortlist.

    Args:
        genotype: the genotype.
        rank: 1 is the best inherited score of all ranked.
        inherited_score: validation score with the hypernet's weights.
        trained_score: validation score after the brief training from scratch.
    """

    genotype: Genotype
    rank: int
    inherited_score: float
    trained_score: float


@dataclass(frozen=True)
class Selection:
    """Both answers of a search.

    Args:
        rule: which answer counts, "algorithm1" or "shortlist".
        algorithm1: the genotype of the best validation epoch.
        candidates: the shortlist, best rank first; empty when the rule is "algorithm1".
        ranked: how many genotypes were ranked.
        exhaustive: whether these are all there are.
    """

    rule: str
    algorithm1: Genotype
    candidates: tuple[Candidate, ...] = ()
    ranked: int = 0
    exhaustive: bool = False

    @property
    def shortlist(self) -> Genotype | None:
        """The shortlist's answer: the best trained validation score, ties to the better rank."""
        if not self.candidates:
            return None
        return max(self.candidates, key=lambda c: (c.trained_score, -c.rank)).genotype

    @property
    def chosen(self) -> Genotype:
        """The answer that counts."""
        return self.algorithm1 if self.shortlist is None else self.shortlist

    @property
    def differs(self) -> bool:
        """Whether the two answers are different networks."""
        return network_key(self.chosen) != network_key(self.algorithm1)

    def comparison(self) -> str:
        """One line: whether the two answers differ, and what their brief trainings scored."""
        if self.rule == "algorithm1":
            return "Only Algorithm 1's answer was asked for (selection = 'algorithm1')."
        trained = {network_key(c.genotype): c.trained_score for c in self.candidates}
        theirs, ours = trained[network_key(self.algorithm1)], trained[network_key(self.chosen)]
        if not self.differs:
            return f"Both answers are the same network ({100 * ours:.1f} % on val after a brief training)."
        if ours == theirs:
            return (
                f"The two answers DIFFER, and tie: trained briefly, both score {100 * ours:.1f} % on val. "
                "The shortlist's is taken, as it ranks better with the hypernet's weights."
            )
        return (
            f"The two answers DIFFER. Trained briefly, Algorithm 1's scores {100 * theirs:.1f} % on val, "
            f"the shortlist's {100 * ours:.1f} %. The shortlist's is taken."
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        candidates = [
            {
                "rank": c.rank,
                "inherited_score": c.inherited_score,
                "trained_score": c.trained_score,
                "genotype": c.genotype.to_dict(),
            }
            for c in self.candidates
        ]
        return {
            "rule": self.rule,
            "algorithm1": self.algorithm1.to_dict(),
            "candidates": candidates,
            "ranked": self.ranked,
            "exhaustive": self.exhaustive,
        }

    @classmethod
    def from_dict(cls, data: Any) -> "Selection":
        """The inverse of `to_dict`.

        Raises:
            RunError: a field is missing or wrong.
        """
        try:
            candidates = tuple(
                Candidate(Genotype.from_dict(c["genotype"]), c["rank"], c["inherited_score"], c["trained_score"])
                for c in data["candidates"]
            )
            algorithm1 = Genotype.from_dict(data["algorithm1"])
            found = cls(data["rule"], algorithm1, candidates, data["ranked"], data["exhaustive"])
        except (TypeError, KeyError, ValueError) as error:
            raise RunError(f"not the record of a selection: {error}") from error
        found._check()
        return found

    def _check(self) -> None:
        """What was read holds together."""
        numbers = [v for c in self.candidates for v in (c.rank, c.inherited_score, c.trained_score)]
        whole = [self.ranked, *(c.rank for c in self.candidates)]
        if self.rule not in ("algorithm1", "shortlist") or type(self.exhaustive) is not bool:
            raise RunError(f"not the record of a selection: rule {self.rule!r}, exhaustive {self.exhaustive!r}")
        if any(type(v) not in (int, float) or not math.isfinite(v) for v in numbers) or any(
            type(v) is not int for v in whole
        ):
            raise RunError("not the record of a selection: a rank or a score is not a number")
        keys = {network_key(c.genotype) for c in self.candidates}
        if self.rule == "shortlist" and network_key(self.algorithm1) not in keys:
            raise RunError("not the record of a selection: its candidates lack Algorithm 1's genotype")


def select(
    hypernet: Hypernet,
    derived: Genotype,
    features: FeatureSet,
    config: SearchConfig,
    progress: Progress | None = None,
    kept: Replay | None = None,
) -> Selection:
    """Reads the answer out of a finished search, as `config.selection` says.

    Args:
        hypernet: after the last epoch.
        derived: Algorithm 1's answer, `trace.best.genotype`.
        features: those of the search; only train and val are used.
        progress: called as progress(what, done, of) now and then.
        kept: scores that an interrupted call left, and the place for new ones.
    """
    if config.selection == "algorithm1":
        return Selection("algorithm1", derived)
    with use_threads(config.threads):
        return _shortlisted(hypernet, derived, features, config, progress, kept)


def _shortlisted(
    hypernet: Hypernet,
    derived: Genotype,
    features: FeatureSet,
    config: SearchConfig,
    progress: Progress | None,
    kept: Replay | None,
) -> Selection:
    """`select` by the shortlist."""
    report = progress or (lambda what, done, of: None)
    space = Space.of(features.names, config)
    device = next(hypernet.parameters()).device
    score: Score = InheritedScore(hypernet, features.tensors(device), features.kind)
    trained: Score = partial(brief_score, features=features, config=config)
    if kept is not None:
        score, trained = kept.of("ranking", score), kept.of("training", trained, seconds=0)
    exhaustive = space.size(EXHAUSTIVE) <= EXHAUSTIVE
    scores = _rank_all(space, score, report) if exhaustive else _local_search(space, derived, score, report)
    scores.setdefault(derived, score(derived))
    listed = _shortlist(scores, derived, config.shortlist_size)
    candidates = []
    for done, (rank, genotype) in enumerate(listed):
        report("training the shortlist", done, len(listed))
        candidates.append(Candidate(genotype, rank, scores[genotype], trained(genotype)))
    report("training the shortlist", len(listed), len(listed))
    return Selection("shortlist", derived, tuple(candidates), len(scores), exhaustive)


def read_out(run: Run, features: FeatureSet, progress: Progress | None = None) -> Selection:
    """The answer of a run's search, kept in `selection.json` and `genotype.json`.

    It is read back where it was made after the same epoch; a search that went on is read out anew. After a kill the
    ranking and the brief trainings go on after the last score that was kept.

    Raises:
        RunError: the run has no finished epoch, is damaged, or another process is at work in it.
    """
    with run.working():
        return _read_out(run, features, progress)


def _read_out(run: Run, features: FeatureSet, progress: Progress | None) -> Selection:
    config = run.config()
    checkpoint = run.load_checkpoint() if run.has_checkpoint() else None  # without one, loading would begin anew
    if checkpoint is None:
        raise RunError(f"{run.folder} has no finished epoch yet; run notebook 02 for it first")
    if run.path(SELECTION).exists():
        kept = run.load_json(SELECTION)
        if kept.get("epoch") == checkpoint["epoch"] and run.path("genotype.json").exists():
            return load_selection(run)
    hypernet = build_hypernet(features, config)
    try:
        hypernet.load_state_dict(checkpoint["hypernet"])
    except (KeyError, ValueError, RuntimeError, TypeError, AttributeError) as error:
        raise RunError(f"{run.folder}: checkpoint does not fit this configuration: {error}") from error
    kept = Replay(run.path(READING), checkpoint["epoch"])
    hypernet, derived = hypernet.to(resolve_device(config.device)), run.trace().best.genotype
    answer = select(hypernet, derived, features, config, progress, kept)
    answer.chosen.save(run.path("genotype.json"))
    run.save_json(SELECTION, {**answer.to_dict(), "epoch": checkpoint["epoch"]})
    kept.close()
    return answer


def load_selection(run: Run) -> Selection:
    """Both answers of a run, as `read_out` kept them.

    Raises:
        RunError: the search was not read out yet, or the file is damaged.
    """
    if not run.path(SELECTION).exists():
        raise RunError(f"{run.folder} has no {SELECTION} yet; run notebook 02 for it")
    try:
        return Selection.from_dict(run.load_json(SELECTION))
    except RunError as error:
        raise RunError(f"{run.path(SELECTION)}: {error}; delete it to read the search out again") from error


def brief_score(genotype: Genotype, features: FeatureSet, config: SearchConfig) -> float:
    """The validation score of a genotype trained from scratch on train for `config.shortlist_epochs` epochs."""
    tensors = features.tensors(config.device)
    network = build_network(genotype, features, config, config.seed).to(tensors.device)
    budget = EvalConfig(
        config.shortlist_epochs, max_lr=config.max_lr, min_lr=config.min_lr, weight_decay=config.weight_decay
    )
    fit(network, tensors, features.kind, tensors.rows("train"), config.batch_size, budget, config.seed)
    logits, targets = predict(network, tensors, tensors.rows("val"))
    return metrics.score(features.kind, logits, targets)


def _rank_all(space: Space, score: Score, report: Progress) -> dict[Genotype, float]:
    size, scores = space.size(EXHAUSTIVE), {}
    for genotype in space.genotypes():
        if len(scores) % max(1, size // 50) == 0:
            report("ranking genotypes", len(scores), size)
        scores[genotype] = score(genotype)
    report("ranking genotypes", size, size)
    return scores


def _local_search(space: Space, start: Genotype, score: Score, report: Progress) -> dict[Genotype, float]:
    """Steepest ascent over neighbours from the derived genotype; all that was scored on the way."""
    scores = {start: score(start)}
    best = start
    while len(scores) < LOCAL_SEARCH:
        report("ranking genotypes", len(scores), LOCAL_SEARCH)
        new = [genotype for genotype in space.neighbours(best) if genotype not in scores]
        for genotype in new[: LOCAL_SEARCH - len(scores)]:
            scores[genotype] = score(genotype)
        better = max(new, key=lambda g: scores.get(g, float("-inf")), default=best)
        if scores.get(better, float("-inf")) <= scores[best]:
            break
        best = better
    report("ranking genotypes", len(scores), len(scores))
    return scores


def _shortlist(scores: dict[Genotype, float], derived: Genotype, size: int) -> list[tuple[int, Genotype]]:
    """(rank, genotype) of the best different networks, and of the derived one wherever it ranks."""
    ranked = sorted(scores, key=lambda genotype: -scores[genotype])  # stable: ties keep the order of the space
    listed: list[tuple[int, Genotype]] = []
    seen, wanted = set(), network_key(derived)
    for rank, genotype in enumerate(ranked, start=1):
        key = network_key(genotype)
        if key not in seen and (len(listed) < size or key == wanted):
            listed.append((rank, genotype))
            seen.add(key)
    return listed
