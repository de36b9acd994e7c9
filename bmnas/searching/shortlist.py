"""How the answer is read out of a search: Algorithm 1's, and the best of a shortlist.

`algorithm1` takes the genotype derived at the epoch of the best validation score (section 3.4). It multiplies the
merits of single features (Eq. 3) and cannot see that two good features may say the same: on real images and sounds it
took two image features in 6 of 6 runs and lost 14 points of accuracy to the best genotype; the shortlist lost 0.2.

`shortlist` ranks discrete genotypes by validation score with the hypernet's weights
(`bmnas.searching.inherited_score`): all of them in spaces of up to 20,000, otherwise by local search from the derived
one. It trains the best five, and the derived one for comparison, briefly on the training split and takes the best on
validation.
"""

from collections.abc import Callable
from functools import partial

from bmnas.config import EvalConfig, SearchConfig
from bmnas.errors import RunError
from bmnas.features.feature_set import FeatureSet
from bmnas.machine import resolve_device, use_threads
from bmnas.searching.inherited_score import InheritedScore
from bmnas.searching.networks import build_hypernet, build_network
from bmnas.searching.run_folder import Run
from bmnas.searching.selection import SELECTION, Candidate, Selection, load_selection
from bmnas.space.enumeration import Space, network_key
from bmnas.space.genotype import Genotype
from bmnas.space.hypernet import Hypernet
from bmnas.storage.replay import Replay
from bmnas.training import metrics
from bmnas.training.network_training import fit
from bmnas.training.progress import Progress
from bmnas.training.steps import predict

EXHAUSTIVE = 20_000  # spaces up to this size are ranked as a whole
LOCAL_SEARCH = 3_000  # genotypes that a local search scores at most
READING = "reading.jsonl"

Score = Callable[[Genotype], float]


def select(
    hypernet: Hypernet,
    derived: Genotype,
    features: FeatureSet,
    config: SearchConfig,
    progress: Progress | None = None,
    replay: Replay | None = None,
) -> Selection:
    """Reads the answer out of a finished search, as `config.selection` says.

    Args:
        hypernet: after the last epoch.
        derived: Algorithm 1's answer, `trace.best.genotype`.
        features: those of the search; only train and val are used.
        progress: called as progress(what, done, of) now and then.
        replay: scores that an interrupted call left, and the place for new ones.
    """
    if config.selection == "algorithm1":
        return Selection(rule="algorithm1", algorithm1=derived)
    with use_threads(config.threads):
        return _select(hypernet, derived, features, config, progress, replay)


def _select(
    hypernet: Hypernet,
    derived: Genotype,
    features: FeatureSet,
    config: SearchConfig,
    progress: Progress | None,
    replay: Replay | None,
) -> Selection:
    """Selects by the shortlist."""
    report = progress or (lambda what, done, of: None)
    space = Space.of(features.names, config)
    device = next(hypernet.parameters()).device
    score: Score = InheritedScore(hypernet, features.tensors(device), features.kind)
    trained: Score = partial(brief_score, features=features, config=config)
    if replay is not None:
        score = replay.of("ranking", score)
        trained = replay.of("training", trained, seconds=0)
    exhaustive = space.size(EXHAUSTIVE) <= EXHAUSTIVE
    scores = _rank_all(space, score, report) if exhaustive else _local_search(space, derived, score, report)
    scores.setdefault(derived, score(derived))
    listed = _shortlist(scores, derived, config.shortlist_size)
    candidates = []
    for done, (rank, genotype) in enumerate(listed):
        report("training the shortlist", done, len(listed))
        candidates.append(
            Candidate(genotype=genotype, rank=rank, inherited_score=scores[genotype], trained_score=trained(genotype))
        )
    report("training the shortlist", len(listed), len(listed))
    return Selection(
        rule="shortlist",
        algorithm1=derived,
        candidates=tuple(candidates),
        ranked=len(scores),
        exhaustive=exhaustive,
    )


def read_out(run: Run, features: FeatureSet, progress: Progress | None = None) -> Selection:
    """Reads the answer out of a run's search and writes it to `selection.json` and `genotype.json`.

    An answer that was read out after the same epoch is read back; a search that was continued is read out again.
    After a kill the ranking and the brief trainings resume after the last score that was written.

    Raises:
        RunError: the run has no finished epoch, is damaged, or another process is at work in it.
    """
    with run.working():
        return _read_out(run, features, progress)


def _read_out(run: Run, features: FeatureSet, progress: Progress | None) -> Selection:
    config = run.config()
    checkpoint = run.load_checkpoint() if run.has_checkpoint() else None  # without one, loading would start again
    if checkpoint is None:
        raise RunError(f"{run.folder} has no finished epoch yet; run notebook 02 for it first")
    if run.path(SELECTION).exists() and run.path("genotype.json").exists():
        if run.load_json(SELECTION).get("epoch") == checkpoint["epoch"]:
            return load_selection(run)
    run.check_same(config, features)
    hypernet = build_hypernet(features, config)
    try:
        hypernet.load_state_dict(checkpoint["hypernet"])
    except (KeyError, ValueError, RuntimeError, TypeError, AttributeError) as error:
        raise RunError(f"{run.folder}: checkpoint does not fit this configuration: {error}") from error
    hypernet.to(resolve_device(config.device))
    replay = Replay(run.path(READING), checkpoint["epoch"])
    answer = select(hypernet, run.trace().best.genotype, features, config, progress, replay)
    answer.chosen.save(run.path("genotype.json"))
    run.save_json(SELECTION, {**answer.to_dict(), "epoch": checkpoint["epoch"]})
    replay.close()
    return answer


def brief_score(genotype: Genotype, features: FeatureSet, config: SearchConfig) -> float:
    """Returns the validation score of a genotype trained on train for `config.shortlist_epochs` epochs."""
    tensors = features.tensors(config.device)
    network = build_network(genotype, features, config, config.seed).to(tensors.device)
    budget = EvalConfig(
        epochs=config.shortlist_epochs,
        max_lr=config.max_lr,
        min_lr=config.min_lr,
        weight_decay=config.weight_decay,
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
    """Ascends to the best neighbour from the derived genotype; returns all that was scored on the way."""
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
    """Returns (rank, genotype) of the best different networks, and of the derived one wherever it ranks."""
    ranked = sorted(scores, key=lambda genotype: -scores[genotype])  # stable: ties keep the order of the space
    listed: list[tuple[int, Genotype]] = []
    seen: set[tuple] = set()
    derived_key = network_key(derived)
    for rank, genotype in enumerate(ranked, start=1):
        key = network_key(genotype)
        if key not in seen and (len(listed) < size or key == derived_key):
            listed.append((rank, genotype))
            seen.add(key)
    return listed
