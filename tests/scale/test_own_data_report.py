"""What the report of a fitted classifier claims: what its intervals settle, and no fusion where there is none."""

import re
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

import bmnas
from bmnas.evaluation.ablation import SEARCHED
from bmnas.evaluation.origin import Origin
from bmnas.evaluation.results import Evaluation
from bmnas.scale.own_data.conclusions import conclusions
from bmnas.scale.own_data.report import data_lines, leaderboard, report
from bmnas.space.network import FusionNetwork
from tests.support import methods

N = 30
A = np.random.default_rng(0).normal(size=(N, 3)).astype(np.float32)
CLASSES = np.array(["ill", "well"])[np.arange(N) % 2]
SPLITS = {"train": range(10), "val": range(10, 20), "test": range(20, N)}
FEATURES = bmnas.FeatureSet.from_arrays({"Image": A, "Text": A + 1}, CLASSES, SPLITS, report=False)
CLOSE, FAR, LOW = (0.6, 0.62, 0.61), (0.9, 0.91, 0.92), (0.3, 0.31, 0.32)


def evaluation(name: str, scores: tuple[float, ...]) -> Evaluation:
    return Evaluation(
        name=name, metric="accuracy", scores=scores, all_scores={"accuracy": float(np.mean(scores))}, per_class={},
        parameters=1, seconds=0.0,
    )  # fmt: skip


def genotype_of(primitive: str) -> bmnas.Genotype:
    return bmnas.Genotype((bmnas.CellGenotype(("Image", "Text"), (bmnas.StepGenotype(primitive, ("x", "y")),)),), 1)


def network_of(genotype: bmnas.Genotype) -> FusionNetwork:
    return FusionNetwork(genotype, FEATURES.channels, 2, C=4, L=4, vectors=FEATURES.vectors)


@pytest.mark.parametrize(
    ("ours", "rival", "fusion", "found", "search"),
    [
        (FAR, CLOSE, "Fusion helps here: the network found", "", "The search was worth it"),
        (LOW, CLOSE, "Whether fusion helps here cannot be told: GMU", "below", "The search was not worth it"),
        (LOW, FAR, "Fusion helps here: GMU", "below", "The search was not worth it"),
        (LOW, LOW, "Fusion does not help here", "", "The search was not worth it"),
        (
            (0.63, 0.93, 0.31),
            CLOSE,
            "Whether fusion helps here cannot be told",
            "",
            "Whether the search was worth it cannot",
        ),
    ],
)
def test_the_report_says_in_words_whether_fusion_helps_and_whether_the_search_did(ours, rival, fusion, found, search):
    results = [evaluation(SEARCHED, ours), evaluation("Image alone", (0.6, 0.61, 0.62)), evaluation("GMU", rival)]
    lines = conclusions(results, FEATURES)
    assert lines[0].startswith(fusion) and lines[-1].startswith(search)
    assert any(word in lines[0] for word in ("above", "below", "as much as")) and "3 seeds" in lines[0]
    assert len(lines) == (3 if found else 2) and found in lines[1]
    text = report(FEATURES, network_of(genotype_of("Sum")), results, leaderboard(results), None)
    assert "30 samples: 10 to train on" in text and "5 of 'ill'" in text
    assert list(data_lines(FEATURES))[-1] == "2 classes: ill (15), well (15)"


@pytest.mark.parametrize("scores", [FAR, CLOSE, LOW])
def test_a_network_of_one_modality_is_no_fusion_however_good_it_is(scores):
    genotype = genotype_of("Zero")
    ours = replace(evaluation(SEARCHED, scores), origin=Origin(genotype=genotype.to_dict()))
    results = [ours, evaluation("Image alone", (0.6, 0.61, 0.62)), evaluation("GMU", CLOSE)]
    lines = conclusions(results, FEATURES)
    assert not any(line.startswith("Fusion helps") for line in lines)
    assert "ONE MODALITY, Image" in lines[0] and "the network found" not in lines[1].partition(" scores ")[0]
    text = report(FEATURES, network_of(genotype), results, leaderboard(results), None)
    assert "ONE MODALITY alone, Image" in text and "ignores Text" in text and "Zero gives" in text
    query = bmnas.CellGenotype(("Text", "Image"), (bmnas.StepGenotype("Attention", ("y", "x")),))
    blind = report(FEATURES, network_of(bmnas.Genotype((query,), 1)), results, leaderboard(results), None)
    assert "ONE MODALITY alone, Text" in blind and "ignores Image" in blind  # vectors: nothing to choose from
    plain = report(FEATURES, network_of(genotype_of("Sum")), results, leaderboard(results), None)
    assert "ONE MODALITY alone" not in plain and "ignores" not in plain and "Zero gives" not in plain


@pytest.mark.parametrize("metric", ["accuracy", "balanced accuracy", "macro average precision"])
def test_the_leaderboard_of_the_report_fits_a_terminal_and_keeps_names_whole(metric):
    names = [SEARCHED, "late fusion of logits: tuned weights and temperatures (heads)", "x" * 70]
    others = dict.fromkeys(["accuracy", "balanced accuracy", "weighted F1", "macro AUROC"], 0.5)
    results = [replace(evaluation(name, FAR), metric=metric, all_scores={**others, metric: 0.9}) for name in names]
    text = report(FEATURES, network_of(genotype_of("Sum")), results, leaderboard(results), None)
    board = text.partition("Leaderboard")[2].partition(f"  {SEARCHED} is the network found")[0].splitlines()[1:]
    assert metric in board[0] and "91.0" in board[1] and max(map(len, board)) <= 80
    joined = "".join(line[:30].strip().replace(" ", "") for line in board)
    assert all(name.replace(" ", "") in joined for name in names)


def test_methods_that_answer_alike_gain_nothing():
    for line in conclusions([evaluation(name, CLOSE) for name in (SEARCHED, "Image alone", "GMU")], FEATURES):
        assert " not " in line and "cannot" not in line and "-0.0" not in line and " points" not in line


score_lists = st.lists(st.sampled_from([0.3, 0.5, 0.55, 0.6, 0.61, 0.9]), min_size=1, max_size=4)


@given(st.lists(score_lists, min_size=3, max_size=6))
def test_the_report_claims_what_its_printed_interval_settles_and_nothing_more(scores):
    names = [SEARCHED, "Image alone", "GMU", "CentralNet", "two-stream", "MLP"]
    results = [evaluation(name, tuple(values)) for name, values in zip(names, scores, strict=False)]
    for line in conclusions(results, FEATURES):
        answer = line.partition(":")[0]
        printed = re.search(r"interval (\S+) to ([^;, )]+)", line)
        low, high = map(float, printed.groups()) if printed else (-np.inf, np.inf)
        if answer in ("Fusion helps here", "The search was worth it"):
            assert low > 0
        if answer in ("Fusion does not help here", "The search was not worth it"):
            assert high < 0 or low == high == 0
        if "cannot be told" in answer:
            assert low <= 0 <= high


@pytest.mark.parametrize(("seeds", "samples"), [(2, 1), (3, 1), (3, 5)])
def test_where_no_fusion_helps_the_report_says_so_in_five_per_cent_of_cases_at_most(seeds, samples):
    """Equal methods; each line is a claim of its own, corrected for what it compares."""
    rng, trials = np.random.default_rng(samples), 300
    groups = np.repeat(np.arange(30), samples)
    wrong = {"Fusion helps": 0, "The search was worth": 0}
    for _ in range(trials):
        names = (SEARCHED, "Image alone", "Text alone", "GMU", "CentralNet")
        results = [methods.evaluation(name, methods.draw(rng, seeds, 30, samples), groups) for name in names]
        lines = conclusions(results, FEATURES)
        for claim in wrong:
            wrong[claim] += any(line.startswith(claim) for line in lines)
    assert max(wrong.values()) <= stats.binom.ppf(0.999, trials, 0.05)
