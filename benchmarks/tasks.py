"""The story of every small task, as numbers: what was searched beside single modalities, late fusion and the truth.

    .venv/bin/python benchmarks/tasks.py                    the embedded tasks, all results into results/tasks.json
    .venv/bin/python benchmarks/tasks.py mfeat twodigits    some; the others keep what the file has
    .venv/bin/python benchmarks/tasks.py avmnist avsum      these need their data under BMNAS_DATA

The network that the first search seed found is trained with the task's own budget and seeds on train + val and scored
on test once. The documentation makes its table from the file.
"""

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.linear_model import LogisticRegressionCV

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import bmnas  # noqa: E402
from bmnas.errors import FeatureError  # noqa: E402
from bmnas.evaluation.comparison import compare  # noqa: E402
from bmnas.evaluation.evaluation import build_network, train_and_test  # noqa: E402
from bmnas.evaluation.group_values import GroupValues, group_values  # noqa: E402
from bmnas.machine import use_threads  # noqa: E402
from bmnas.rivals.late_fusion import log_probabilities  # noqa: E402
from bmnas.searching.run_folder import Run  # noqa: E402
from bmnas.space.genotype import Genotype  # noqa: E402
from bmnas.trust.truth_table import Truth, find_truth  # noqa: E402
from tools.result_tables import SEARCHED, SUM, TUNED, tasks_table  # noqa: E402

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "results" / "tasks.json"
EMBEDDED = ("mfeat", "twodigits", "ink", "emoji", "emojigroups", "digits")
STRENGTHS = np.logspace(-4, 0, 5)  # of the tuned late fusion's regularisation (scikit-learn's C)


def story(dataset: str, searches: int) -> dict[str, Any]:
    """Searches, trains and compares on one task; returns plain values."""
    task = bmnas.TASKS[dataset]
    features = bmnas.prepare(dataset, L=task.search_config.L)
    truth = known_truth(dataset, features)
    answers = [answer(features, task.search_config.change(seed=seed, threads=1)) for seed in range(searches)]
    correct = {SEARCHED: trained_answers(answers[0].chosen, features, task)}
    correct |= untrained_answers(features)
    groups = features.recorded_together(features.rows("test"))
    comparisons = compare(SEARCHED, {name: by_group(rows, groups) for name, rows in correct.items()})
    searched = [described(one.chosen, truth) for one in answers]
    return {
        "title": task.title,
        "samples": {name: len(rows) for name, rows in features.splits.items()},
        "features": list(features.names),
        "algorithm1": [described(one.algorithm1, truth) for one in answers],
        "shortlist": searched,
        "test": {name: [round(float(score), 5) for score in rows.mean(1)] for name, rows in correct.items()},
        "comparisons": [
            {
                "rival": one.rival,
                "difference": round(one.difference, 5),
                "low": round(one.low, 5),
                "high": round(one.high, 5),
                "verdict": one.verdict,
            }
            for one in comparisons
        ],
        "truth": None if truth is None else spread(truth),
    }


def by_group(correct: np.ndarray, groups: np.ndarray) -> GroupValues:
    """Splits accuracies (S seeds) of answers that are right or not, (S, n), by groups of samples."""
    counts = np.stack([correct, np.ones_like(correct)], axis=-1)
    return group_values(lambda sums: sums[..., 0] / sums[..., 1], counts, groups)


def known_truth(dataset: str, features: bmnas.FeatureSet) -> Truth | None:
    """Finds the truth of the preset's space, or says that there is none; that of a sample ranks no other network."""
    try:
        truth = find_truth(dataset, features)
    except FeatureError as error:
        print(error)
        return None
    return truth if truth.sample is None else None


def answer(features: bmnas.FeatureSet, config: bmnas.SearchConfig) -> bmnas.Selection:
    """Searches once and reads the answer out."""
    with tempfile.TemporaryDirectory() as folder:
        run = Run(Path(folder) / "run")
        for _ in bmnas.search(features, config, run):
            pass
        return bmnas.read_out(run, features)


def described(genotype: Genotype, truth: Truth | None) -> dict[str, Any]:
    """Describes a genotype and where it stands in the truth."""
    about: dict[str, Any] = {"genotype": genotype.describe()}
    if truth is not None:
        standing = truth.standing(genotype)
        about |= {"rank": standing.rank, "of": standing.networks, "regret": round(standing.best - standing.score, 5)}
    return about


def trained_answers(genotype: Genotype, features: bmnas.FeatureSet, task: Any) -> np.ndarray:
    """Trains with every seed of the budget; returns whether each test sample is right, (seeds, samples)."""
    config = task.search_config
    budget = task.eval_config
    rows = []
    for seed in range(budget.seeds):
        network = build_network(genotype, features, config, seed)
        logits, targets = train_and_test(network, features, config.batch_size, budget, seed, "cpu")
        rows.append((logits.argmax(1) == targets).numpy())
    return np.array(rows, float)


def untrained_answers(features: bmnas.FeatureSet) -> dict[str, np.ndarray]:
    """Returns whether single modalities and two late fusions are right, (1, test samples) each.

    The tuned one is a logistic regression on all log-probabilities. Where a backbone has classes of its own, its
    modality alone is one on its log-probabilities, and there is no sum.
    """
    votes = log_probabilities(features)
    test = features.rows("test")
    targets = features.targets
    direct = all(values.shape[1] == len(features.classes) for values in votes.values())
    answers = {
        f"{name} alone": values[test].argmax(1) if direct else regression(values, features)
        for name, values in votes.items()
    }
    if direct:
        answers[SUM] = np.sum(list(votes.values()), axis=0)[test].argmax(1)
    answers[TUNED] = regression(np.concatenate(list(votes.values()), axis=1), features)
    return {name: (votes == targets[test])[None].astype(float) for name, votes in answers.items()}


def regression(votes: np.ndarray, features: bmnas.FeatureSet) -> np.ndarray:
    """Answers the test samples by a logistic regression of train + val, its strength chosen by cross-validation."""
    fitted = np.concatenate([features.rows("train"), features.rows("val")])
    model = LogisticRegressionCV(Cs=STRENGTHS, cv=5, max_iter=300)  # pyright: ignore[reportArgumentType]
    model.fit(votes[fitted], features.targets[fitted])
    return np.asarray(model.predict(votes[features.rows("test")]))


def spread(truth: Truth) -> dict[str, Any]:
    """Describes a truth: its best and worst network, and how much the pair of features and the seed decide."""
    frame = truth.frame()
    scores = frame["test"].to_numpy()
    inputs = np.array([" ".join(genotype.cells[0].inputs) for genotype in frame["genotype"]])
    of_pair = {pair: scores[inputs == pair] for pair in dict.fromkeys(inputs.tolist())}  # the best first
    pairs = np.array([each.mean() for each in of_pair.values()])
    seeds = float(np.sqrt(np.mean(frame["test_std"].to_numpy() ** 2)))
    return {
        "networks": len(frame),
        "best": round(float(scores.max()), 5),
        "worst": round(float(scores.min()), 5),
        "best_network": frame["network"][0],
        "std_over_pairs": round(float(pairs.std(ddof=1)), 5),
        "std_over_seeds": round(seeds, 5),
        "best_of_pair": {pair: round(float(each.max()), 5) for pair, each in of_pair.items()},
    }


def main() -> None:
    """Runs the tasks that were named and writes their numbers."""
    parser = argparse.ArgumentParser(description="The story of every small task, as numbers.")
    parser.add_argument("datasets", nargs="*", default=EMBEDDED)
    parser.add_argument("--searches", type=int, default=5, help="search seeds")
    options = parser.parse_args()
    use_threads(1)
    results = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else {}
    for dataset in options.datasets:
        print(dataset, flush=True)
        results[dataset] = story(dataset, options.searches)
        RESULTS.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    print(tasks_table(results))


if __name__ == "__main__":
    main()
