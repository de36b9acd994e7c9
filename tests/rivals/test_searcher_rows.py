"""The rows of the searchers: what they cost, that they resume, and that equal trainings see equal scores."""

from dataclasses import replace

import pytest

import bmnas
from bmnas.registry import SEARCHERS
from bmnas.rivals.field.hypernets import METHODS, hypernet_rows
from bmnas.rivals.field.methods import method_of, title_of
from bmnas.rivals.field.rows import DERIVED, field_rows
from bmnas.rivals.field.searchers import contest_trials, searcher_rows
from bmnas.rivals.field.table import evaluate_field
from bmnas.searching import read_outs
from bmnas.searching.run_folder import Run
from bmnas.searching.searchers.trials import Budget, Trial
from bmnas.searching.selection import Selection, load_selection
from bmnas.searching.shortlisting.projection import Projection
from bmnas.storage.records import read_records
from bmnas.tasks.planted import planted_genotype
from tests.rivals.test_field import contest
from tests.support.tiny import CONFIG, tiny_features


def test_all_rows_include_every_searcher_with_its_cost(tmp_path):
    made = contest(tmp_path)
    rows = [row for row in field_rows(made, "all") if row.name in ("random, searched", "local_search, searched")]
    names = {f"{title_of(name)}, searched" for name in SEARCHERS}
    assert {row.name for row in searcher_rows(made)} == names
    results = list(evaluate_field(made, rows))
    for result in results:
        assert result.origin is not None and result.origin.genotype is not None
        assert result.origin.search_epochs == CONFIG.epochs * 1.5  # as much as Algorithm 1, one epoch a training
    assert not names & {row.name for row in field_rows(made, "paper")}


def test_the_progress_of_a_searcher_that_ends_by_itself_is_of_what_it_may_take(tmp_path):
    seen = []
    (row,) = [row for row in searcher_rows(contest(tmp_path)) if row.name == "MFAS, searched"]
    list(evaluate_field(contest(tmp_path), [row], lambda what, done, of: seen.append((what, done, of))))
    shares = [done / of for what, done, of in seen if what == "MFAS: search"]
    assert shares[0] < 0.1 and shares == sorted(shares) and shares[-1] == 1


@pytest.mark.parametrize(
    ("settings", "method"),
    [
        ({}, "BM-NAS"),
        ({"relaxation": "two_slots", "selection": "shortlist"}, "BM-NAS"),
        ({"relaxation": "gumbel"}, "GDAS"),
        ({"selection": "darts_pt"}, "DARTS-PT"),
        ({"relaxation": "gumbel", "selection": "darts_pt"}, "GDAS, DARTS-PT"),
        ({"searcher": "mfas"}, "MFAS"),
        ({"searcher": "random", "relaxation": "gumbel"}, "random"),
    ],
)
def test_a_searched_network_names_who_found_it(settings, method, tmp_path):
    made = contest(tmp_path, config=CONFIG.change(**settings))
    assert method_of(made.config) == method
    (row,) = [row for row in field_rows(made) if row.name == bmnas.SEARCHED]
    (result,) = evaluate_field(made, [row])
    assert result.origin is not None and result.origin.source == method


def test_what_algorithm_1_derived_before_darts_pt_is_of_bm_nas(tmp_path):
    derived = planted_genotype(tiny_features())
    projected = bmnas.Genotype((replace(derived.cells[0], inputs=("A_1", "A_2")),), derived.r)
    selection = Selection("darts_pt", derived, projection=Projection(projected, decisions=()))
    made = contest(tmp_path, config=CONFIG.change(selection="darts_pt"), genotype=projected, selection=selection)
    rows = [row for row in field_rows(made) if row.name in (bmnas.SEARCHED, DERIVED)]
    assert [result.origin.source for result in evaluate_field(made, rows) if result.origin] == ["DARTS-PT", "BM-NAS"]


def test_a_one_shot_searcher_costs_its_supernet(tmp_path):
    made = contest(tmp_path)
    (row,) = [row for row in searcher_rows(made) if row.name == "SPOS, searched"]
    (result,) = evaluate_field(made, [row])
    assert result.origin is not None and result.origin.search_epochs == CONFIG.epochs * 1.5
    trials = [Trial.from_record(line) for line in read_records(made.run.path("searchers/spos.jsonl"))]
    assert len(trials) > CONFIG.epochs * 1.5
    assert result.origin.genotype == trials[trials[-1].best_trial - 1].genotype.to_dict()


def test_methods_by_gradient_search_in_folders_of_their_own_and_name_their_cost(tmp_path):
    made = contest(tmp_path, config=CONFIG.change(searcher="random", budget=3, relaxation="two_slots"))
    rows = [row for row in field_rows(made, "all") if row.name in ("GDAS, searched", "DARTS-PT, searched")]
    assert [row.name for row in rows] == [row.name for row in hypernet_rows(made)]
    gdas, projected = evaluate_field(made, rows)
    runs = {name: Run(made.run.path("searchers") / name) for name in METHODS}
    assert runs["gdas"].config().relaxation == "gumbel" and runs["darts_pt"].config().relaxation == "shared"
    answer = load_selection(runs["darts_pt"])
    assert answer.projection is not None and answer.projection.tunings > 0
    tuned = CONFIG.epochs + answer.projection.tunings * CONFIG.shortlist_epochs
    costs = [result.origin.search_epochs for result in (gdas, projected) if result.origin]
    assert costs == [CONFIG.epochs * 1.5, tuned * 1.5]  # val is half as long as train
    for result, run in zip((gdas, projected), runs.values(), strict=True):
        assert run.config().seed == CONFIG.seed and run.config().searcher == "algorithm1"
        assert result.origin is not None and result.origin.genotype == run.genotype().to_dict()
    before = {path: path.stat().st_mtime_ns for run in runs.values() for path in run.folder.glob("*.safetensors")}
    assert [result.scores for result in evaluate_field(made, rows)] == [gdas.scores, projected.scores]
    assert {path: path.stat().st_mtime_ns for path in before} == before


def test_a_search_that_was_stopped_resumes_after_its_last_training(tmp_path, monkeypatch):
    made, budget = contest(tmp_path / "stopped"), Budget(5)

    def stop(name, done, of):
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        contest_trials("random", budget, made, stop)
    trained, fit = [], read_outs.fit
    monkeypatch.setattr(read_outs, "fit", lambda *given: (trained.append(1), fit(*given))[1])
    trials = contest_trials("random", budget, made, None)
    assert len(trials) == 5 and len(trained) == 2
    whole = contest_trials("random", budget, contest(tmp_path / "whole"), None)
    assert [trial.record() for trial in trials] == [trial.record() for trial in whole]
