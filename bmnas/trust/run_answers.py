"""The answers of a run on a truth table: what they cost, and how well each ranking orders the networks."""

import time

from bmnas.config import EvalConfig, SearchConfig
from bmnas.evaluation.trained_network import TrainedNetwork
from bmnas.features.feature_set import FeatureSet
from bmnas.machine import resolve_device, use_threads
from bmnas.searching.filling import objective_of
from bmnas.searching.inherited_score import InheritedScore
from bmnas.searching.networks import build_hypernet, build_network
from bmnas.searching.run_folder import Run
from bmnas.searching.searchers.recorded_search import recorded_trials, spent_epochs
from bmnas.searching.selection import Selection
from bmnas.searching.shortlisting.halving import read_out_epochs
from bmnas.searching.shortlisting.paths import trained_paths
from bmnas.searching.shortlisting.ranking import Score
from bmnas.space.genotype import Genotype
from bmnas.space.hypernet import Hypernet
from bmnas.training.network_training import fit
from bmnas.trust.search_paths import SearchPath, choice_score, ranking_tau, trials_path, trials_tau
from bmnas.trust.truth_table import Truth

ALGORITHM_1, SHORTLIST, DARTS_PT = "Algorithm 1", "shortlist", "DARTS-PT"


def train_on_train(
    genotype: Genotype, features: FeatureSet, config: SearchConfig, budget: EvalConfig, seed: int = 0
) -> tuple[TrainedNetwork, float]:
    """Trains a network as for a truth table: on the training split alone, so that validation rows are new to it.

    Returns:
        The network, and the seconds that its training took. An epoch goes before it, of which nothing is kept: the
        first of a process takes several times as long as others.
    """
    with use_threads(config.threads):
        tensors = features.tensors(config.device)
        for each in (budget.change(epochs=1), budget):
            network = build_network(genotype, features, config, seed).to(tensors.device)
            started = time.perf_counter()
            fit(network, tensors, objective_of(features, config), tensors.rows("train"), config.batch_size, each, seed)
            seconds = time.perf_counter() - started
    shapes = {name: (array.shape[1], array.shape[2]) for name, array in features.arrays.items()}
    used = {name: shape for name, shape in shapes.items() if name in network.reshape}
    unused = set(shapes) - set(used)
    trained = TrainedNetwork(network.to("cpu").eval(), features.kind, tuple(features.classes), used, unused=unused)
    return trained, seconds


def answer_paths(run: Run, selection: Selection, training_seconds: float, training_epochs: int) -> list[SearchPath]:
    """Makes the paths of a run's answers; a search costs as many trainings as its seconds are worth.

    One of another searcher than Algorithm 1 costs what its short trainings, or its supernet, cost by their epochs.

    Args:
        selection: both answers, as `load_selection` gives them.
        training_seconds: of one training of the truth's budget on this machine.
        training_epochs: of the truth's budget.

    Raises:
        RunError: the record of the run is damaged.
    """
    if selection.rule == "searcher":
        trials = recorded_trials(run)
        mean_cost = spent_epochs(run.config(), trials) / len(trials) / training_epochs
        return [trials_path(searcher_of(run), trials, mean_cost)]
    searched = sum(event.seconds for event in run.trace().events) / training_seconds
    paths = [SearchPath(ALGORITHM_1, ((searched, selection.algorithm1),))]
    if selection.candidates:
        cost = searched + read_out_epochs(selection.rule, run.config(), len(selection.candidates)) / training_epochs
        paths.append(SearchPath(SHORTLIST, ((cost, selection.chosen),)))
    if selection.projection is not None:
        epoch = searched / len(run.trace().events)  # a tuning has epochs of Algorithm 1
        cost = searched + epoch * run.config().shortlist_epochs * selection.projection.tunings
        paths.append(SearchPath(DARTS_PT, ((cost, selection.chosen),)))
    return paths


def searcher_of(run: Run) -> str:
    """Names the searcher of a run beside the same one on the table: `mfas, this run`."""
    return f"{run.config().searcher}, this run"


def answer_taus(run: Run, features: FeatureSet, table: Truth) -> dict[str, float]:
    """Measures how the rankings behind a run's answers order the networks of a table (Kendall's tau).

    Algorithm 1 ranks by the weights of its best epoch, the shortlist by calibrated validation losses with weights
    that were trained on single paths, and another searcher the networks that it trained by their validation scores.

    Raises:
        RunError: no epoch was finished, or the record is damaged.
    """
    trace, config = run.trace(), run.config()
    if trials := recorded_trials(run):
        return {searcher_of(run): trials_tau(table, trials)}
    checkpoint = run.last_state()
    device = resolve_device(config.device)
    hypernet = build_hypernet(features, config)
    hypernet.load_state_dict(checkpoint["hypernet"])
    weights = trace.best.architecture
    taus = {ALGORITHM_1: ranking_tau(table, lambda genotype: choice_score(weights, genotype))}
    with use_threads(config.threads):
        score = ranking_score(hypernet.to(device), features, config)
    return taus if score is None else taus | {SHORTLIST: ranking_tau(table, score)}


def ranking_score(hypernet: Hypernet, features: FeatureSet, config: SearchConfig) -> Score | None:
    """Returns what a read-out ranks genotypes by, larger is better; None where it ranks none.

    Args:
        hypernet: after the last epoch.
    """
    rule = config.selection
    if rule not in ("shortlist", "best_ranked"):
        return None
    weights = hypernet if rule == "best_ranked" else trained_paths(hypernet, features, config)
    tensors = features.tensors(next(hypernet.parameters()).device)
    inherited = InheritedScore(weights, tensors, objective_of(features, config))
    return inherited if rule == "best_ranked" else lambda genotype: -inherited.losses([genotype])[0]
