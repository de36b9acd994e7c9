"""The table of the field: which rows there are, that a killed one resumes, and that only equals are merged."""

import json
import os
import signal
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

import bmnas
from bmnas.errors import ConfigError
from bmnas.evaluation.origin import Origin
from bmnas.rivals.field.contest import Contest, search_epochs
from bmnas.rivals.field.rows import field_rows
from bmnas.rivals.field.table import MFAS, evaluate_field, field_table, merge_results, mfas_sentence, winners_sentence
from bmnas.rivals.networks import RIVALS
from bmnas.searching.run_folder import Run
from bmnas.searching.selection import Candidate, Selection
from bmnas.tasks.planted import planted_genotype
from tests.support.methods import draw, evaluation
from tests.support.tiny import BUDGET, CONFIG, tiny_features
from widgets.results.leaderboard.info import leaderboard_info

SHORT = BUDGET.change(epochs=1, seeds=2)


def contest(folder, features=None, **more):
    given = tiny_features() if features is None else features
    settings = {"config": CONFIG, "budget": SHORT, "genotype": planted_genotype(given), "command": "run.py 04"}
    return Contest(run=Run(Path(folder) / "run"), features=given, **settings | more)


def with_logits(features):
    rng = np.random.default_rng(0)
    logits = {name: rng.standard_normal((len(features), 8)).astype(np.float32) for name in features.modalities}
    return replace(features, logits=logits)


def test_a_larger_choice_has_the_rows_of_the_smaller(tmp_path):
    names = {
        choice: [row.name for row in field_rows(contest(tmp_path, with_logits(tiny_features())), choice)]
        for choice in ("quick", "paper", "all")
    }
    assert set(names["quick"]) < set(names["paper"]) <= set(names["all"])
    assert set(RIVALS) < set(names["paper"])
    for one in names.values():
        assert len(set(one)) == len(one) and bmnas.SEARCHED in one
    assert {"A alone", "B alone"} <= set(names["quick"]) and "A alone, trained head" in names["paper"]
    assert sum("(heads)" in name for name in names["paper"]) == 4
    with pytest.raises(ConfigError, match="quick"):
        field_rows(contest(tmp_path), "quik")


def test_every_row_says_what_it_is_and_who_made_it(tmp_path):
    made = contest(tmp_path, by_hand={"mine": planted_genotype(tiny_features())})
    rows = field_rows(made, "paper")
    results = list(evaluate_field(made, rows))
    assert [result.name for result in results] == [row.name for row in rows if not row.lacks]
    for result in results:
        assert result.origin is not None
        assert (result.origin.run, result.origin.command) == ("run", "run.py 04") and result.origin.source
        assert result.outcomes is not None and (result.flops or result.parameters == 0 or "heads" in result.name)
    cost = {result.name: result.origin.search_epochs for result in results if result.origin}
    assert cost[bmnas.SEARCHED] == CONFIG.epochs * 1.5  # val is half as long as train
    assert cost["last features, best operator"] == 6 * SHORT.epochs and cost["GMU"] == 0
    frame = field_table(results, "planted")
    assert list(frame["accuracy [%]"]) == sorted(frame["accuracy [%]"], reverse=True)
    assert set(frame["command"]) == {"run.py 04"}


def test_the_shortlist_costs_what_it_trains(tmp_path):
    """So that searchers of equal cost may spend as much."""
    candidates = tuple(Candidate(planted_genotype(tiny_features()), i, 0.5, 0.5, 1.0, 4) for i in range(1, 8))
    selection = Selection("shortlist", candidates[0].genotype, candidates)
    with_answers = contest(tmp_path, selection=selection)
    paths, rungs = 2 * CONFIG.epochs, 7 * 1 + 5 * 3 + 3 * 2 * 3  # of single paths, and of three rungs
    assert search_epochs(with_answers) - search_epochs(contest(tmp_path)) == paths + rungs


WANTED = ("GMU", "two-stream", "last features, best operator", "local_search, searched", "GDAS, searched")


def kept(run):
    """What a run folder keeps of its rows, but the seconds."""
    scores = {path.name: json.loads(path.read_text()) for path in run.path("scores").glob("*.json")}
    for one in scores.values():
        one.pop("seconds", None)
    trials = {path.name: path.read_bytes() for path in run.path("searchers").glob("*.jsonl")}
    trace = run.path("searchers/gdas/trace.jsonl").read_bytes()
    return scores, trials, trace


def wanted_results(made, progress=None):
    return list(evaluate_field(made, [row for row in field_rows(made, "all") if row.name in WANTED], progress))


def kill_itself(folder, what, done):
    """A process that evaluates until it is told of this place, and ends by SIGKILL there."""

    def stop(*place):
        if place[:2] == (what, done):
            os.kill(os.getpid(), signal.SIGKILL)

    wanted_results(contest(folder), stop)


@pytest.fixture(scope="module")
def whole_table(tmp_path_factory):
    made = contest(tmp_path_factory.mktemp("whole"))
    return [(one.name, one.scores) for one in wanted_results(made)], kept(made.run)


@pytest.mark.parametrize(
    ("what", "done", "seeds_before"),
    [
        ("last features, best operator", 1, 2 + 2 + 6 + 1),  # two rivals of two seeds, six operators, one seed
        ("GDAS: search", 2, 2 + 2 + 6 + 2),
        ("local_search: search", 3, 2 + 2 + 6 + 2 + 2),
    ],
)
def test_a_table_that_was_killed_resumes_where_it_was(what, done, seeds_before, whole_table, tmp_path):
    process = get_context("forkserver").Process(target=kill_itself, args=(tmp_path, what, done))
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    made = contest(tmp_path)
    before = {path: path.stat().st_mtime_ns for path in made.run.path("scores").glob("*.json")}
    assert len(before) == seeds_before
    results, files = whole_table
    assert [(one.name, one.scores) for one in wanted_results(made)] == results
    assert kept(made.run) == files
    assert {path: path.stat().st_mtime_ns for path in before} == before


def saved(made, names):
    results = list(evaluate_field(made, [row for row in field_rows(made, "paper") if row.name in names]))
    bmnas.save_evaluation(made.run, results, made.features, made.budget)
    return made.run, results


def test_results_of_two_machines_become_one_table(tmp_path):
    one, first = saved(contest(tmp_path / "one"), ("GMU", bmnas.SEARCHED))
    features = tiny_features()
    other_genotype = replace(planted_genotype(features).cells[0], inputs=("A_1", "B_1"))
    made = contest(tmp_path / "two", genotype=bmnas.Genotype((other_genotype,), 1))
    made = replace(made, run=Run(tmp_path / "two" / "other"), budget=SHORT.change(epochs=3))
    two, second = saved(made, ("two-stream", bmnas.SEARCHED))
    merged = merge_results(one, two)
    assert [result.name for result in merged] == ["GMU", bmnas.SEARCHED, "two-stream", f"{bmnas.SEARCHED}, other"]
    assert [result.scores for result in merged] == [result.scores for result in (*first, *second)]
    assert [result.name for result in merge_results(one, one)] == ["GMU", bmnas.SEARCHED]
    assert set(field_table(merged, "planted")["run"]) == {"run", "other"}
    origins = [result.origin for result in merged]
    assert all(origin is not None and origin.command == "run.py 04" for origin in origins)


def test_results_on_other_samples_or_without_answers_are_not_merged(tmp_path):
    one, _ = saved(contest(tmp_path / "one"), ("GMU",))
    two, _ = saved(contest(tmp_path / "two", tiny_features(seed=5)), ("two-stream",))
    with pytest.raises(ConfigError, match="different samples"):
        merge_results(one, two)
    content = json.loads(one.path("evaluation.json").read_text())
    del content["methods"][0]["answers"]
    one.path("evaluation.json").write_text(json.dumps(content))
    with pytest.raises(ConfigError, match="no answers"):
        merge_results(one, one)


def test_results_of_other_features_of_the_same_samples_are_not_merged(tmp_path):
    features = tiny_features()
    changed = {name: array + 1 for name, array in features.arrays.items()}
    one, _ = saved(contest(tmp_path / "one", features), ("GMU",))
    two, _ = saved(contest(tmp_path / "two", replace(features, arrays=changed)), ("two-stream",))
    with pytest.raises(ConfigError, match="different features"):
        merge_results(one, two)


def test_published_scores_stand_apart_from_measured_ones(tmp_path):
    _, results = saved(contest(tmp_path), ("GMU", "MMTM, last placement", bmnas.SEARCHED))
    frame = field_table(results, "egogesture").set_index("method")
    measured = frame.loc[[result.name for result in results]]
    assert measured["accuracy [%]"].tolist() == pytest.approx([100 * result.mean for result in results]) and measured[
        "published [%]"
    ].to_dict() == {
        "GMU": "",
        "MMTM, last placement": "93.51",
        bmnas.SEARCHED: "94.96 ± 0.07",
    }
    alone = frame.loc[["3D-CDC-NAS2", "VGG-16 + LSTM", "C3D + LSTM + RSTTM", "I3D", "MTUT"]]
    assert alone["accuracy [%]"].isna().all() and alone["published [%]"].notna().all()
    assert frame.loc[frame["published [%]"].fillna("") != "", "published in"].str.contains("Table|README").all()


def test_a_published_score_of_bm_nas_is_not_beside_the_network_of_another_searcher(tmp_path):
    _, results = saved(contest(tmp_path, config=CONFIG.change(searcher="random")), (bmnas.SEARCHED,))
    frame = field_table(results, "egogesture").set_index("method")
    assert frame.loc[bmnas.SEARCHED, "source"] == "random" and frame.loc[bmnas.SEARCHED, "published [%]"] == ""
    assert frame.loc["BM-NAS", "published [%]"] == "94.96 ± 0.07"


def searched_with(name, skill, epochs):
    result = evaluation(name, draw(np.random.default_rng(1), 3, 300, 1, skill), np.arange(300))
    return replace(result, origin=Origin(search_epochs=epochs))


@pytest.mark.parametrize(
    ("skill", "epochs", "said", "not_said"),
    [(0.8, 19.5, ("at most", "cannot be told apart"), "more than"), (0.3, 20, ("more than", "worse"), "at most")],
)
def test_one_sentence_sets_the_search_beside_that_of_mfas(skill, epochs, said, not_said):
    mine, mfas = searched_with(bmnas.SEARCHED, skill, epochs), searched_with(MFAS, 0.8, 975)
    sentence = mfas_sentence([mine, mfas])
    assert all(words in sentence for words in said) and not_said not in sentence
    assert mfas_sentence([mine]) == mfas_sentence([mfas]) == ""


@pytest.mark.parametrize(("seeds", "size", "rivals"), [(2, 1, 1), (3, 5, 1), (3, 5, 6), (5, 1, 3)])
def test_equal_methods_are_called_better_in_five_per_cent_of_tables_and_sentences_at_most(seeds, size, rivals):
    rng, trials, groups = np.random.default_rng(seeds * size * rivals), 200, np.repeat(np.arange(30), size)
    wrong = dict.fromkeys(("table", "winners", "losers", "leaderboard", "cost"), 0)
    names = [bmnas.SEARCHED, MFAS, *map(str, range(rivals - 1))]
    for _ in range(trials):
        results = [searched_of(name, draw(rng, seeds, 30, size), groups) for name in names]
        sentence = winners_sentence(results)
        wrong["table"] += (field_table(results, "mfeat")[f"{bmnas.SEARCHED} is"] == "better").any()
        wrong["winners"] += "better than 0" not in sentence
        wrong["losers"] += "worse than none" not in sentence
        wrong["leaderboard"] += any(one.verdict == "worse" for one in leaderboard_info(results).standings)
        wrong["cost"] += ": better" in mfas_sentence(results)
    assert max(wrong.values()) <= stats.binom.ppf(0.999, trials, 0.05)


def searched_of(name, right, groups):
    return replace(evaluation(name, right, groups), origin=Origin(search_epochs=20))


def test_one_sentence_names_the_winners():
    rng, groups = np.random.default_rng(0), np.arange(300)
    skills = {bmnas.SEARCHED: 0.7, "strong": 0.95, "weak": 0.4, "alike": 0.7}
    results = [evaluation(name, draw(rng, 3, 300, 1, skill), groups) for name, skill in skills.items()]
    sentence = winners_sentence(results)
    assert "better than 1 of 3" in sentence and "worse than strong" in sentence and "weak" not in sentence
