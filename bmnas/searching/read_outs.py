"""How the answer is read out of a search: Algorithm 1's, or the best of a shortlist.

`algorithm1` takes the genotype derived at the epoch of the best validation score (section 3.4). It multiplies the
merits of single features (Eq. 3) and cannot see that two good features may say the same.

`shortlist` trains the hypernet's weights on single paths (`bmnas.searching.shortlisting.paths`), ranks discrete
genotypes by their calibrated validation loss with these weights (`bmnas.training.calibration`), and trains the best
with each operator, the best of other inputs, Algorithm 1's, the plain networks of the last features and the best
single feature. Successive halving keeps the best on validation.

`best_ranked` is the shortlist of older versions: the ranking is by validation score with the weights as the search
leaves them; the best five are trained alike.

`darts_pt` removes alternatives from the hypernet one by one, keeps those that it misses most, and tunes it between
the decisions (`bmnas.searching.shortlisting.projection`).

docs/read_out.md compares them on the truth tables. No rule reads the test split.
"""

from collections.abc import Callable
from functools import cache, partial

from torch import Tensor, nn

from bmnas.config import EvalConfig, SearchConfig
from bmnas.errors import RunError
from bmnas.features.feature_set import FeatureSet
from bmnas.features.groups import count_independent, groups_a_sample
from bmnas.machine import resolve_device, use_threads
from bmnas.searching.filling import objective_of
from bmnas.searching.networks import build_hypernet, build_network
from bmnas.searching.run_folder import GENOTYPE, Run
from bmnas.searching.run_record import check_machine
from bmnas.searching.selection import SELECTION, Candidate, Selection, load_selection
from bmnas.searching.shortlisting.candidates import (
    best_ranked,
    different,
    leading,
    plain_networks,
    same_networks,
    single_features,
)
from bmnas.searching.shortlisting.darts_pt import projection_of
from bmnas.searching.shortlisting.finished_search import FinishedSearch
from bmnas.searching.shortlisting.halving import halve, rungs
from bmnas.searching.shortlisting.ranking import Score, rank, ranked_as_a_whole, restarts
from bmnas.space.equivalence import network_key
from bmnas.space.genotype import Genotype
from bmnas.space.hypernet import Hypernet
from bmnas.storage.lock import hold, holder
from bmnas.storage.replay import Replay
from bmnas.training import metrics
from bmnas.training.calibration import calibrated_loss
from bmnas.training.network_training import fit
from bmnas.training.progress import Progress
from bmnas.training.scores import rows_behind
from bmnas.training.steps import predict

READING = "reading.jsonl"
READ_OUT_LOCK = "reading.lock"


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
    search = FinishedSearch(
        hypernet=hypernet,
        derived=derived,
        features=features,
        config=config,
        report=progress or (lambda what, done, of: None),
        replay=replay,
    )
    with use_threads(config.threads):
        return READ_OUTS[config.selection](search)


def _by_derivation(search: FinishedSearch) -> Selection:
    """Selects what Algorithm 1 derived."""
    modalities = search.modalities_of(search.derived)
    return Selection(rule="algorithm1", algorithm1=search.derived, modalities=modalities)


def _by_halving(search: FinishedSearch) -> Selection:
    """Selects by successive halving of different candidates."""
    config, features, space = search.config, search.features, search.space
    paths = cache(lambda: search.inherited(search.paths))
    merits_of = search.once_several(
        "calibrated merit of a path", lambda genotypes: [-loss for loss in paths().losses(genotypes)]
    )

    def merit(genotype: Genotype) -> float:
        return merits_of([genotype])[0]

    path_score = search.once("score of a path", lambda genotype: paths()(genotype))
    plain = [max(networks, key=merit) for networks in plain_networks(space, features.modalities).values() if networks]
    singles = sorted(single_features(space), key=merit)[-1:]
    starts = restarts(space, [search.derived, *plain], config.seed)
    merits = rank(space, starts, merits_of, search.report)
    ranked = len(merits)
    merits |= {one: merit(one) for one in (search.derived, *plain, *singles) if one not in merits}
    order = best_ranked(merits)
    both_orders = config.relaxation == "shared"  # which the search cannot tell
    leaders = leading(space, order, config.shortlist_size, both_orders)
    listed = list(different([search.derived, *singles, *leaders, *plain]))
    merits |= {one: merit(one) for one in listed if one not in merits}
    losses = {genotype: -merits[genotype] for genotype in listed}
    references = [same_networks(listed, singles), same_networks(listed, plain)]
    outcomes = halve(listed, losses, rungs(config, len(listed)), _brief_trainings(search), search.report, references)
    places = {genotype: place for place, genotype in enumerate(best_ranked(merits), start=1)}
    candidates = [
        Candidate(
            genotype=genotype,
            rank=places[genotype],
            inherited_score=path_score(genotype),
            trained_score=outcome.score,
            trained_loss=outcome.loss,
            epochs=outcome.epochs,
            trainings=outcome.seeds,
            modalities=search.modalities_of(genotype),
        )
        for genotype, outcome in outcomes.items()
    ]
    return _selection("shortlist", search, candidates, ranked)


def _by_best_ranked(search: FinishedSearch) -> Selection:
    """Selects among the best of the ranking, trained alike."""
    score = search.once("ranking", search.inherited(search.hypernet))
    trained = search.once("training", partial(brief_score, features=search.features, config=search.config), seconds=0)
    scores = rank(search.space, [search.derived], lambda genotypes: list(map(score, genotypes)), search.report)
    scores.setdefault(search.derived, score(search.derived))
    listed = _shortlist(scores, search.derived, search.config.shortlist_size)
    candidates = []
    for done, (place, genotype) in enumerate(listed):
        search.report("training the shortlist", done, len(listed))
        candidates.append(
            Candidate(
                genotype=genotype,
                rank=place,
                inherited_score=scores[genotype],
                trained_score=trained(genotype),
                epochs=search.config.shortlist_epochs,
                modalities=search.modalities_of(genotype),
            )
        )
    search.report("training the shortlist", len(listed), len(listed))
    return _selection("best_ranked", search, candidates, len(scores))


def _by_perturbation(search: FinishedSearch) -> Selection:
    """Selects what DARTS-PT keeps."""
    projection = projection_of(search)
    modalities = search.modalities_of(projection.genotype)
    return Selection(rule="darts_pt", algorithm1=search.derived, modalities=modalities, projection=projection)


READ_OUTS: dict[str, Callable[[FinishedSearch], Selection]] = {
    "algorithm1": _by_derivation,
    "shortlist": _by_halving,
    "best_ranked": _by_best_ranked,
    "darts_pt": _by_perturbation,
}
"""Rule -> what reads the answer out; the names are those of `bmnas.config.groups.ReadOut`."""


def _selection(rule: str, search: FinishedSearch, candidates: list[Candidate], ranked: int) -> Selection:
    val = search.features.rows("val")
    groups = search.features.recorded_together(val)
    apart = count_independent(groups) // groups_a_sample(groups)  # errors by several groups add up
    behind = rows_behind(objective_of(search.features, search.config).metric, search.features.targets[val])
    selection = Selection(
        rule=rule,
        algorithm1=search.derived,
        candidates=tuple(sorted(candidates, key=lambda candidate: candidate.rank)),
        ranked=ranked,
        exhaustive=ranked_as_a_whole(search.space),
        rows=len(groups),
        independent=max(int(apart * behind / len(val)), 1),
    )
    return selection.of_modalities(search.modalities_of(selection.chosen))


def read_out(run: Run, features: FeatureSet, progress: Progress | None = None) -> Selection:
    """Reads the answer out of a run's search and writes it to `selection.json` and `genotype.json`.

    An answer that was read out after the same epoch is read back; a search that was continued is read out again.
    After a kill the ranking and the brief trainings resume after the last score that was written. Where another process
    reads the same run out, its answer is waited for.

    Raises:
        RunError: the run has no finished epoch, belongs to other features, is damaged, or another process is searching
            in it; it is not read out yet, and a machine of another kind searched.
    """
    lock = run.path(READ_OUT_LOCK)
    if progress is not None and (process := holder(lock)) is not None:
        progress(f"process {process} is reading the answer out", 0, 1)
    with hold(lock, wait=True), run.working():  # who follows a search may read it out before the process that made it
        return _read_out(run, features, progress)


def _read_out(run: Run, features: FeatureSet, progress: Progress | None) -> Selection:
    config = run.config()
    run.check_same(config, features)
    checkpoint = run.last_state()
    run.cut_back(checkpoint["epoch"])
    if run.path(SELECTION).exists() and run.path(GENOTYPE).exists():
        if run.load_json(SELECTION).get("epoch") == checkpoint["epoch"]:
            return load_selection(run)
    check_machine(run.folder, config)
    features.tensors(config.device, config.on_disk)
    hypernet = build_hypernet(features, config)
    try:
        hypernet.load_state_dict(checkpoint["hypernet"])
    except (KeyError, ValueError, RuntimeError, TypeError, AttributeError) as error:
        raise RunError(f"{run.folder}: checkpoint does not fit this configuration: {error}") from error
    hypernet.to(resolve_device(config.device))
    replay = Replay(run.path(READING), checkpoint["epoch"])
    answer = select(hypernet, run.trace().best.genotype, features, config, progress, replay)
    answer.chosen.save(run.path(GENOTYPE))
    run.save_json(SELECTION, {**answer.to_dict(), "epoch": checkpoint["epoch"]})
    replay.close()
    return answer


def brief_score(genotype: Genotype, features: FeatureSet, config: SearchConfig, rows: Tensor | None = None) -> float:
    """Returns the validation score of a genotype trained for `config.shortlist_epochs` epochs.

    Args:
        rows: that it is trained on; all of train when None.
    """
    return brief_training(genotype, features, config, config.shortlist_epochs, config.seed, rows)[0]


def brief_training(
    genotype: Genotype, features: FeatureSet, config: SearchConfig, epochs: int, seed: int, rows: Tensor | None = None
) -> tuple[float, float]:
    """Trains a genotype on train, or on some rows of it; returns its validation score and calibrated loss."""
    tensors = features.tensors(config.device)
    network: nn.Module = build_network(genotype, features, config, seed).to(tensors.device)
    budget = EvalConfig(epochs=epochs, max_lr=config.max_lr, min_lr=config.min_lr, weight_decay=config.weight_decay)
    objective = objective_of(features, config)
    rows = tensors.rows("train") if rows is None else rows.to(tensors.device)
    fit(network, tensors, objective, rows, config.batch_size, budget, seed)
    val = tensors.rows("val")
    logits, targets = predict(network, tensors, val)
    loss = calibrated_loss(objective, logits, targets, tensors.weights_of(val)).item()
    return metrics.score(objective, logits, targets), loss


def _brief_trainings(search: FinishedSearch) -> Callable[[Genotype, int, int], tuple[float, float]]:
    """Returns what trains a genotype for some epochs with one of some seeds, each once."""

    @cache
    def training(genotype: Genotype, epochs: int, seed: int) -> tuple[float, float]:
        return brief_training(genotype, search.features, search.config, epochs, search.config.seed + seed)

    @cache
    def remembered(epochs: int, seed: int) -> tuple[Score, Score]:
        name = f"{epochs} epochs, seed {seed}"
        return (
            search.once(f"score of {name}", lambda genotype: training(genotype, epochs, seed)[0], seconds=0),
            search.once(f"calibrated loss of {name}", lambda genotype: training(genotype, epochs, seed)[1], seconds=0),
        )

    def train(genotype: Genotype, epochs: int, seed: int) -> tuple[float, float]:
        score, loss = remembered(epochs, seed)
        return score(genotype), loss(genotype)

    return train


def _shortlist(scores: dict[Genotype, float], derived: Genotype, size: int) -> list[tuple[int, Genotype]]:
    """Returns (rank, genotype) of the best different networks, and of the derived one wherever it ranks."""
    ranked = sorted(scores, key=lambda genotype: -scores[genotype])  # stable: ties keep the order of the space
    listed: list[tuple[int, Genotype]] = []
    seen: set[tuple] = set()
    derived_key = network_key(derived)
    for place, genotype in enumerate(ranked, start=1):
        key = network_key(genotype)
        if key not in seen and (len(listed) < size or key == derived_key):
            listed.append((place, genotype))
            seen.add(key)
    return listed
