"""Read-outs against the truth: what each way of reading a search out loses to the best network of its space.

    .venv/bin/python benchmarks/read_out.py                   all truth tables, ten seeds, into results/read_out.json
    .venv/bin/python benchmarks/read_out.py mfeat-raw emoji   some; a command that was stopped resumes
    .venv/bin/python benchmarks/read_out.py --seeds 4 --jobs 16

A search is made once a seed with the preset of its data set, and read out by each rule. Regret is the mean test score
of the best network of the truth table less that of the answer; networks that it lacks are trained as it was made.
Cost is in short trainings: epochs of training over the epochs of one training of the table. The search's own cost is
its CPU time over that of such a training, and DARTS-PT's is that of the search's epochs by which it tunes. The
settings of the shortlist were chosen on CHOSEN_ON and confirmed on the other tables. docs/read_out.md has the table.

Two limits stand beside the read-outs, each dearer than any of them. "Whole table on val" trains all networks, with
all seeds of the table, and takes the best score on validation: what scores on a split of this size can know. "The
truth again" takes the best by the *test* scores of other seeds, as many as the table has: scores have the noise of
their seeds, and the best network of a table is partly the luckiest.
"""

import argparse
import json
import os
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from functools import cache
from itertools import combinations
from multiprocessing import get_context
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import bmnas  # noqa: E402
from bmnas.config import SearchConfig  # noqa: E402
from bmnas.machine import use_threads  # noqa: E402
from bmnas.searching.algorithm1 import Search  # noqa: E402
from bmnas.searching.inherited_score import InheritedScore  # noqa: E402
from bmnas.searching.read_outs import READ_OUTS  # noqa: E402
from bmnas.searching.selection import Selection  # noqa: E402
from bmnas.searching.shortlisting.candidates import plain_networks  # noqa: E402
from bmnas.searching.shortlisting.finished_search import FinishedSearch  # noqa: E402
from bmnas.searching.shortlisting.halving import read_out_epochs  # noqa: E402
from bmnas.space.enumeration import Space  # noqa: E402
from bmnas.space.equivalence import network_key  # noqa: E402
from bmnas.space.genotype import Genotype  # noqa: E402
from bmnas.trust.exhaustive_training import network_scores  # noqa: E402
from bmnas.trust.expected_regret import random_regret  # noqa: E402
from bmnas.trust.search_paths import ranking_tau  # noqa: E402
from bmnas.trust.truth_table import PUBLISHED, Truth  # noqa: E402
from tools.result_tables import read_out_table  # noqa: E402

RESULTS = Path(__file__).resolve().parent / "results" / "read_out.json"
CHOSEN_ON = ("mfeat-raw", "emoji", "ink", "twodigits")
NEW_SEEDS = 6  # of trainings that the table does not know
BEST = 8  # networks of a table among which its best is looked for again


TABLES = {
    "mfeat-raw": "mfeat-N1M1-cf861628",
    "emoji": "emoji-N1M1-d3081264",
    "twodigits": "twodigits-N1M1-75b4baba",
    "ink": "ink-N1M1-282ae2ae",
    "digits": "digits-N1M1-08187596",
    "mfeat-mlp": "mfeat-N1M1-c65b72d3",
    "mfeat-N2": "mfeat-N2M1-cf861628",
    "emojitags": "emojitags-N1M1-c2806357",
    "emojigroups": "emojigroups-N1M1-9b01c34a",
    "planted": "planted-N1M1-731ef341",
    "avsum": "avsum-N1M1-f31f8b2f",
    "avmnist": "avmnist-N1M1-e43f15e5",
    "twodigits-N2": "twodigits-N2M1-75b4baba",
    "ink-N2": "ink-N2M1-282ae2ae",
    "emoji-N2": "emoji-N2M1-d3081264",
    "emojitags-N2": "emojitags-N2M1-c2806357",
    "digits-N2": "digits-N2M1-08187596",
    "planted-N2": "planted-N2M1-731ef341",
    "mfeat-N2M2": "mfeat-N2M2-cf861628",
    "digits-N2M2": "digits-N2M2-08187596",
    "twodigits-N2M2": "twodigits-N2M2-75b4baba",
}
"""Truth tables of the package, by the file's name. Those of avsum and avmnist need their data under BMNAS_DATA."""


class Scores(NamedTuple):
    """Mean scores of a network over the seeds of a table."""

    val: float
    test: float


def mean_scores(scores: tuple[Sequence[float], Sequence[float]]) -> Scores:
    """Means of the scores (val, test) of a network's seeds."""
    return Scores(*(float(np.mean(part)) for part in scores))


class Known:
    """A truth table with its features and settings; networks that it lacks are trained."""

    def __init__(self, name: str) -> None:
        self.table = Truth.open(PUBLISHED / f"{TABLES[name]}.json")
        space = self.table.space()
        task = bmnas.TASKS[self.table.about["dataset"]]
        self.config = task.search_config.change(N=space.N, M=space.M, threads=1, device="cpu")
        self.budget = task.eval_config.change(seeds=self.table.seeds)
        options = {name: value for name, value in self.table.about["options"].items() if name in task.options}
        self.features = bmnas.prepare(task.name, **options)
        self.truth = {key: mean_scores(scores) for key, scores in self.table.by_network.items()}
        self.tests = np.array([score.test for score in self.truth.values()])  # before others are trained
        self.winner = max(self.table.networks, key=lambda genotype: self.truth[network_key(genotype)].test)

    def scores(self, genotype: Genotype) -> Scores:
        """Returns the scores of a network, which is trained where the table lacks it."""
        key = network_key(genotype)
        if key not in self.truth:
            self.truth[key] = mean_scores(network_scores(genotype, self.features, self.config, self.budget))
        return self.truth[key]

    def regret(self, genotype: Genotype) -> float:
        """Returns what a network loses to the best of the table."""
        return round(float(self.tests.max()) - self.scores(genotype).test, 5)

    def share_below(self, genotype: Genotype) -> float:
        """Returns the share of the table's networks that score less on test, ties counted half."""
        test = self.scores(genotype).test
        return round(float(np.mean((self.tests < test) + (self.tests == test) / 2)), 5)

    def lead_on_val(self, genotype: Genotype) -> float:
        """Returns what a network scores more on val than the table's best on test."""
        return round(self.scores(genotype).val - self.scores(self.winner).val, 5)

    def new_scores(self, genotype: Genotype) -> np.ndarray:
        """Trains a network with seeds that the table does not know; returns the test scores."""
        budget = self.budget.change(seeds=NEW_SEEDS)
        _, test = network_scores(genotype, self.features, self.config, budget, first_seed=self.table.seeds)
        return np.array(test)

    @use_threads(1)
    def limits(self) -> dict[str, dict[str, float]]:
        """Returns regrets, and a tau, to measure read-outs by."""
        val = {genotype: float(np.mean(scores)) for genotype, (scores, _) in self.table.networks.items()}
        best_on_val = max(val, key=lambda genotype: val[genotype])
        tau = round(ranking_tau(self.table, lambda genotype: val[genotype]), 4)
        return {
            "whole table on val": {"regret": self.regret(best_on_val), "tau": tau},
            "the truth again": {"regret": self.regret_of_the_truth()},
        }

    def regret_of_the_truth(self) -> float:
        """Returns the mean regret of the best network by the test scores of other seeds, as many as the table has."""
        best = sorted(self.table.networks, key=lambda genotype: -self.scores(genotype).test)[:BEST]
        scores = np.array([self.new_scores(genotype) for genotype in best])
        draws = combinations(range(NEW_SEEDS), self.table.seeds)
        picks = [best[int(scores[:, list(draw)].mean(1).argmax())] for draw in draws]
        return round(float(np.mean([self.regret(pick) for pick in picks])), 5)

    def tau(self, hypernet: Any, by_loss: bool) -> float:
        """Returns Kendall's tau between the ranking of a hypernet and the truth."""
        score = InheritedScore(hypernet, self.features.tensors("cpu"), self.features.kind)
        genotypes = list(self.table.networks)
        merits = [-loss for loss in score.losses(genotypes)] if by_loss else [score(one) for one in genotypes]
        tau = pd.Series(merits).corr(pd.Series([self.scores(one).test for one in genotypes]), method="kendall")
        return round(tau, 4)


references = cache(Known)


@use_threads(1)
def measure(name: str, seed: int) -> dict[str, Any]:
    """Searches once and reads out by each rule; returns plain values."""
    task = references(name)
    config = task.config.change(seed=seed)
    started = time.process_time()
    search = Search(task.features, config)
    events = []
    for _ in range(config.epochs):
        events.append(search.run_epoch())
    searched = time.process_time() - started
    derived = events[events[-1].best_epoch - 1].genotype
    started = time.process_time()
    network_scores(derived, task.features, config, task.budget.change(seeds=1))
    own_cost = searched / (time.process_time() - started)
    finished = FinishedSearch(
        hypernet=search.hypernet,
        derived=derived,
        features=task.features,
        config=config,
        report=lambda what, done, of: None,
        replay=None,
    )
    shortlist, best_ranked, darts_pt = (READ_OUTS[rule](finished) for rule in ("shortlist", "best_ranked", "darts_pt"))
    assert darts_pt.projection is not None
    tuned = darts_pt.projection.tunings * config.shortlist_epochs * own_cost / config.epochs
    rows: dict[str, Any] = {
        "Algorithm 1": row(task, derived, 0.0),
        "shortlist": row(task, shortlist.chosen, trained_cost(task, shortlist, config)),
        "best_ranked": row(task, best_ranked.chosen, trained_cost(task, best_ranked, config)),
        "darts_pt": row(task, darts_pt.chosen, tuned),
    }
    rows["Algorithm 1"]["search"] = round(own_cost, 2)
    rows["shortlist"]["tau"] = task.tau(finished.paths, by_loss=True)
    rows["shortlist"]["best was trained for"] = epochs_of_the_best(task, shortlist)
    rows["best_ranked"]["tau"] = task.tau(search.hypernet, by_loss=False)
    rows["last features"] = last_features(task, seed)
    rows["random search"] = random_search(task, rows["shortlist"]["cost"] + own_cost, seed)
    return rows


def row(task: Known, network: Genotype, cost: float) -> dict[str, Any]:
    """Describes an answer."""
    return {
        "regret": task.regret(network),
        "cost": round(cost, 2),
        "network": network.describe(),
        "share below": task.share_below(network),
        "lead on val": task.lead_on_val(network),
    }


def trained_cost(task: Known, answer: Selection, config: SearchConfig) -> float:
    """Returns what the trainings of a read-out cost."""
    return read_out_epochs(answer.rule, config, len(answer.candidates)) / task.budget.epochs


def epochs_of_the_best(task: Known, answer: Selection) -> int:
    """Returns the epochs for which the table's best network was last trained; 0 where it was no candidate."""
    best = network_key(task.winner)
    return max((one.epochs for one in answer.candidates if network_key(one.genotype) == best), default=0)


def last_features(task: Known, seed: int) -> dict[str, Any]:
    """Takes the best on validation of the networks of last features, each trained once as the table was made."""
    space = Space.of(task.features.names, task.config)
    networks = [one for each in plain_networks(space, task.features.modalities).values() for one in each]
    listed = {network_key(one): one for one in networks if network_key(one) in task.table.by_network}
    seed %= task.table.seeds
    best = max(listed, key=lambda key: task.table.by_network[key][0][seed], default=None)
    if best is None:
        return {"regret": None, "cost": None, "network": ""}
    return {"regret": task.regret(listed[best]), "cost": len(listed), "network": listed[best].describe()}


def random_search(task: Known, cost: float, seed: int) -> dict[str, Any]:
    """Returns the mean regret of random search that trains as many networks, the best on validation of one seed."""
    truth = task.table.frame()
    number = min(len(truth), max(1, round(cost)))
    seen = truth.assign(val=truth[f"val_{seed % task.table.seeds}"])
    return {"regret": round(random_regret(seen, number).mean, 5), "cost": number, "network": ""}


def main() -> None:
    """Runs what the results file lacks."""
    parser = argparse.ArgumentParser(description="Read-outs against the truth.")
    parser.add_argument("tables", nargs="*", default=list(TABLES))
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    parser.add_argument("--into", type=Path, default=RESULTS)
    options = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"
    results: dict[str, Any] = {"tables": {}}
    if options.into.exists():
        results = json.loads(options.into.read_text(encoding="utf-8"))
    results["chosen_on"] = list(CHOSEN_ON)
    searches = [(name, seed) for seed in range(options.seeds) for name in options.tables]
    missing = [(name, seed) for name, seed in searches if str(seed) not in results["tables"].get(name, {})]
    with ProcessPoolExecutor(options.jobs, mp_context=get_context("spawn")) as pool:
        waiting = {pool.submit(measure, *one): one for one in missing}
        for future in as_completed(waiting):
            name, seed = waiting[future]
            rows = results["tables"].setdefault(name, {})
            rows[str(seed)] = future.result()
            results["tables"][name] = dict(sorted(rows.items(), key=lambda item: int(item[0])))
            save_results(options.into, results)
            print(name, seed, {rule: row["regret"] for rule, row in future.result().items()}, flush=True)
    for name in options.tables:
        if name not in results.setdefault("limits", {}):
            results["limits"][name] = references(name).limits()
            save_results(options.into, results)
    print(read_out_table(results))


def save_results(path: Path, results: dict[str, Any]) -> None:
    """Writes the results with their tables in order."""
    for part in ("tables", "limits"):
        results[part] = {name: results.get(part, {})[name] for name in TABLES if name in results.get(part, {})}
    path.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
