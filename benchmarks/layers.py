"""Which layer of a backbone knows most: a linear probe a feature, and its best fusion with each modality.

    .venv/bin/python benchmarks/layers.py                            all cases, into results/layers.json
    .venv/bin/python benchmarks/layers.py "emojigroups efficientnet" some; the others keep what the file has

A probe is a ridge regression on one-hot targets, its strength chosen on val, then fitted to train + val and scored on
test; it is repeated with other splits and backbones. The best fusions are those of the truth table, where there is one:
networks trained on train, scored on val and test together.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.linear_model import RidgeClassifier

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import bmnas  # noqa: E402
from benchmarks.tasks import known_truth, untrained_answers  # noqa: E402
from bmnas.machine import use_threads  # noqa: E402
from bmnas.trust.truth_table import Truth  # noqa: E402
from tools.result_tables import layers_table  # noqa: E402

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "results" / "layers.json"
CASES = {
    "emojigroups efficientnet": ("emojigroups", {"backbone": "efficientnet"}, 5),
    "emojigroups cnn": ("emojigroups", {"backbone": "cnn"}, 5),
    "emoji efficientnet": ("emoji", {"backbone": "efficientnet"}, 3),
}
"""Name -> data set, options, and the number of splits that are probed, each with backbones of its own."""
STRENGTHS = np.logspace(0, 5, 11)


def layers(dataset: str, options: dict[str, Any], seeds: int) -> dict[str, Any]:
    """Probes every feature with several splits; returns plain values."""
    sets = [bmnas.prepare(dataset, seed=seed, **options) for seed in range(seeds)]
    first = sets[0]
    answers = [untrained_answers(features) for features in sets]
    truth = known_truth(dataset, first)
    return {
        "samples": {name: len(rows) for name, rows in first.splits.items()},
        "classes": len(first.classes),
        "modalities": {name: list(features) for name, features in first.modalities.items()},
        "probes": {name: [round(probe(features, name), 4) for features in sets] for name in first.names},
        "untrained": {name: [round(float(one[name].mean()), 4) for one in answers] for name in answers[0]},
        "truth": None if truth is None else best_fusions(truth, first),
    }


def probe(features: bmnas.FeatureSet, name: str) -> float:
    """Returns the test accuracy of a ridge regression on one feature."""
    train, val, test = (features.rows(split) for split in ("train", "val", "test"))
    x = np.asarray(features.arrays[name], np.float64).reshape(len(features), -1)
    x = (x - x[train].mean(0)) / np.maximum(x[train].std(0), 1e-6)
    y = features.targets
    on_val = [RidgeClassifier(alpha=alpha).fit(x[train], y[train]).score(x[val], y[val]) for alpha in STRENGTHS]
    both = np.concatenate([train, val])
    model = RidgeClassifier(alpha=STRENGTHS[int(np.argmax(on_val))]).fit(x[both], y[both])
    return float(model.score(x[test], y[test]))


def best_fusions(truth: Truth, features: bmnas.FeatureSet) -> dict[str, Any]:
    """Returns feature -> modality -> the best network that fuses the feature with one of the modality."""
    count = {split: len(features.rows(split)) for split in ("val", "test")}
    home = {name: modality for modality, names in features.modalities.items() for name in names}
    best: dict[str, dict[str, float]] = {name: {} for name in features.names}
    for row in truth.frame().to_dict("records"):
        score = sum(count[split] * row[split] for split in count) / sum(count.values())
        x, y = row["genotype"].cells[0].inputs
        for feature, other in ((x, home[y]), (y, home[x])):
            best[feature][other] = max(best[feature].get(other, 0.0), round(score, 5))
    return {"networks": len(truth.networks), "seeds": truth.seeds, "best": best}


def main() -> None:
    """Measures the cases that were named and writes their numbers."""
    parser = argparse.ArgumentParser(description="Which layer of a backbone knows most.")
    parser.add_argument("cases", nargs="*", default=list(CASES))
    options = parser.parse_args()
    use_threads(1)
    results = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else {}
    for case in options.cases:
        print(case, flush=True)
        results[case] = layers(*CASES[case])
        RESULTS.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    print(layers_table(results))


if __name__ == "__main__":
    main()
