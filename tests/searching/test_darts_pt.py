"""DARTS-PT: its decisions against a slow transcription, the masked hypernet, its tunings, and a kill at any moment."""

import copy
import multiprocessing
import os
import random
import signal
from itertools import product
from unittest import mock

import pytest
import torch

from bmnas.errors import ConfigError, RunError, UnknownNameError
from bmnas.registry import PRIMITIVES
from bmnas.searching.algorithm1 import Search, search
from bmnas.searching.inherited_score import batch_statistics
from bmnas.searching.read_outs import read_out, select
from bmnas.searching.run_folder import Run
from bmnas.searching.selection import SELECTION, Selection, load_selection
from bmnas.searching.shortlisting import darts_pt
from bmnas.searching.shortlisting.masked_hypernet import MaskedHypernet, TunedSupernet, choices_of, offered_by
from bmnas.searching.shortlisting.projection import PRIMITIVE, project, projected_genotype
from bmnas.space.algebra import Algebra
from bmnas.space.derivation import PAIR_RULES
from bmnas.space.enumeration import Space
from bmnas.storage.checkpoint import load_state, save_state
from bmnas.training import metrics
from tests.support.tiny import CONFIG, TWO_CELLS, multilabel_features, seen_rows, split_of, tiny_features

PT = CONFIG.change(selection="darts_pt")
POOL = ("Zero", "Sum", "Attention", "LinearGLU")
SPACES = {
    "one cell": Space(("A_1", "A_2", "B_1"), N=1, M=1, r=1, primitives=POOL),
    "two cells": Space(("A_1", "A_2", "B_1", "B_2"), N=2, M=2, r=2, primitives=POOL),
    "few pairs": Space(("A", "B", "C"), N=3, M=1, r=1, primitives=POOL[1:3], cells_as_inputs=False),
    "the release's rule": Space(tuple("ABCD"), 3, 1, 1, POOL[:1], "reference", cells_as_inputs=False),
    "no choice at all": Space(("A", "B"), N=1, M=1, r=1, primitives=("Sum",)),
}


def offered(space):
    """All alternatives of every choice, as a hypernet of this space has them."""
    listed, nodes = {}, list(space.features)
    for n in range(1, space.N + 1):
        listed[f"Cell_{n}"] = tuple(nodes)
        states = ["x", "y"]
        for m in range(1, space.M + 1):
            listed[f"Cell_{n}.Step_{m}"] = tuple(states)
            listed[f"Cell_{n}.Step_{m} primitive"] = space.primitives
            states.append(f"Step_{m}")
        nodes.append(f"Cell_{n}")
    return listed


class Mocked:
    """Scores that what remains decides, in steps of `coarse`; notes what it is asked for, and each tuning."""

    def __init__(self, coarse=0.0):
        self.coarse = coarse
        self.log = []

    def score(self, remaining):
        score = random.Random(repr(sorted(remaining.items()))).random()
        return round(score / self.coarse) * self.coarse if self.coarse else score

    def merit(self, remaining):
        self.log.append(("merit", dict(remaining)))
        return self.score(remaining), -random.Random(repr(remaining)).random()

    def tune(self, remaining):
        self.log.append(("tune", dict(remaining)))


def by_hand(space, seed):
    """The published projection with dictionaries alone: operations first, then inputs; masks one at a time."""
    generator, scorer, tuned = random.Random(seed), Mocked(), []
    remaining, kept = offered(space), {}
    operations = [choice for choice in remaining if choice.endswith("primitive")]
    steps = [choice for choice in remaining if "Step" in choice and choice not in operations]
    cells = [choice for choice in remaining if "Step" not in choice]
    for choice in generator.sample(operations, len(operations)):
        best, lowest = remaining[choice][0], None
        for operation in remaining[choice] if len(remaining[choice]) > 1 else ():
            score = scorer.score({**remaining, choice: tuple(o for o in remaining[choice] if o != operation)})
            if lowest is None or score < lowest:
                best, lowest = operation, score
        kept[choice] = (best,)
        if len(remaining[choice]) > 1:
            tuned.append({**remaining, choice: (best,)})
        remaining[choice] = (best,)
    for choice in generator.sample(steps + cells, len(steps + cells)):
        before = remaining[choice]
        score_without = {}
        for node in before:
            score_without[node] = scorer.score({**remaining, choice: tuple(o for o in before if o != node)})
        if choice in cells:
            number = cells.index(choice)
            every = product(*(space.pairs(n) for n in range(space.N)))
            whole = [
                pairs
                for pairs in every
                if all(PAIR_RULES[space.pair_rule](pair, pairs[:n]) for n, pair in enumerate(pairs))
                and all(kept.get(name, pair) == pair for name, pair in zip(cells, pairs, strict=True))
            ]
            open_nodes = {node for pairs in whole for node in pairs[number]}
            places = {node: place for place, node in enumerate(sorted(open_nodes, key=lambda n: score_without[n]))}
            remaining[choice] = min((p[number] for p in whole), key=lambda pair: sorted(places[n] for n in pair))
        else:
            eids = list(before)
            while len(eids) > PRIMITIVES[kept[choice + " primitive"][0]].arity:
                eids.remove(max(eids, key=lambda node: score_without[node]))
            remaining[choice] = tuple(sorted(eids, key=lambda node: score_without[node]))
        kept[choice] = remaining[choice]
        if len(before) > len(remaining[choice]):
            tuned.append(dict(remaining))
    return kept, tuned


@pytest.mark.parametrize("name", SPACES)
@pytest.mark.parametrize("seed", range(6))
def test_its_decisions_are_those_of_a_slow_transcription(name, seed):
    space, supernet = SPACES[name], Mocked()
    decisions = list(project(space, offered(space), supernet, seed))
    kept, tuned = by_hand(space, seed)
    assert [(decision.choice, decision.kept) for decision in decisions] == list(kept.items())
    assert [remaining for what, remaining in supernet.log if what == "tune"] == tuned
    for decision in decisions:
        assert set(decision.kept) | set(decision.removed) == set(offered(space)[decision.choice])
    genotype = projected_genotype(space, decisions)
    genotype.check(space.features)
    assert space.allows([cell.inputs for cell in genotype.cells])


def test_equal_scores_are_told_apart_by_the_loss_and_then_by_order():
    class Tied(Mocked):
        def __init__(self, losses):
            super().__init__()
            self.losses = losses

        def merit(self, remaining):
            gone = next(name for name in POOL if name not in remaining[f"Cell_1.Step_1{PRIMITIVE}"])
            return 0.5, -self.losses[gone]

    space = Space(("A", "B"), N=1, M=1, r=1, primitives=POOL)

    def first(losses):
        return next(project(space, offered(space), Tied(losses), 0)).kept

    assert first(dict.fromkeys(POOL, 1.0)) == ("Zero",)
    assert first({**dict.fromkeys(POOL, 1.0), "Attention": 2.0, "LinearGLU": 2.0}) == ("Attention",)


@pytest.mark.parametrize("done", range(11))
def test_a_projection_resumes_after_its_decisions(done):
    space = SPACES["two cells"]
    whole = list(project(space, offered(space), Mocked(), 3))
    assert len(whole) == 10
    supernet = Mocked()
    assert list(project(space, offered(space), supernet, 3, whole[:done])) == whole[done:]
    decided = {decision.choice: decision.kept for decision in whole[:done]}
    for _, remaining in supernet.log:
        assert decided.items() <= remaining.items()


@pytest.mark.parametrize("build", [lambda hypernet: hypernet, Algebra])
def test_a_removed_alternative_has_no_weight_and_no_gradient(build):
    features = tiny_features()
    hypernet = Search(features, TWO_CELLS.change(dropout=0.0)).hypernet.eval()
    batch, _ = features.tensors("cpu").batch(torch.arange(8))
    names = offered_by(hypernet)
    assert names == offered(Space.of(features.names, TWO_CELLS)) | {
        choice: left for choice, left in names.items() if choice.endswith(PRIMITIVE)
    }
    masked = MaskedHypernet(build(hypernet), hypernet)
    torch.testing.assert_close(masked(batch), hypernet(batch))
    masked.remaining = {
        **names,
        "Cell_1": names["Cell_1"][1:],
        "Cell_2": ("A_1", "Cell_1"),
        "Cell_2.Step_2": ("x", "Step_1"),
        f"Cell_1.Step_2{PRIMITIVE}": ("LinearGLU",),
    }
    by_value = copy.deepcopy(hypernet)
    gone = {}
    for (parameter, listed, choice), (ours, *_) in zip(choices_of(by_value), choices_of(hypernet), strict=True):
        for place, name in enumerate(listed):
            if name not in masked.remaining[choice]:
                index = place if parameter.dim() == 1 else (place, 1)
                parameter.data[index] = -1e4
                gone.setdefault(ours, []).append(index)
    logits = masked(batch)
    torch.testing.assert_close(logits, by_value(batch))
    assert not torch.allclose(logits, hypernet(batch))
    choices = hypernet.architecture_parameters()
    gradients = torch.autograd.grad(logits.square().sum(), choices)
    for parameter, gradient in zip(choices, gradients, strict=True):
        assert gradient.isfinite().all()
        assert all(gradient[index] == 0 for index in gone.get(parameter, ()))


@pytest.mark.parametrize("make", [tiny_features, multilabel_features])
def test_a_merit_is_that_of_the_validation_split_without_dropout(make):
    features = make()
    hypernet = Search(features, TWO_CELLS).hypernet
    before = copy.deepcopy(hypernet.state_dict())
    supernet = TunedSupernet(hypernet, features, TWO_CELLS)
    remaining = {**offered_by(hypernet), "Cell_1": offered_by(hypernet)["Cell_1"][:2]}
    assert supernet.merit(remaining) == supernet.merit(remaining)
    copied = copy.deepcopy(hypernet)
    batch_statistics(copied)
    copied.named_cells()["Cell_1"].alpha.data[2:, 1] = -1e4
    batch, targets = features.tensors("cpu").batch(torch.from_numpy(features.rows("val")))
    with torch.no_grad():
        logits = copied(batch)
    score, loss = metrics.score(features.kind, logits, targets), metrics.loss(features.kind, logits, targets).item()
    assert supernet.merit(remaining) == (score, pytest.approx(-loss, rel=1e-5))
    after = supernet.state.hypernet.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_a_tuning_trains_what_remains_at_a_tenth_of_the_rate():
    features, config = tiny_features(), PT.change(shortlist_epochs=3)
    hypernet = Search(features, config).hypernet
    supernet = TunedSupernet(hypernet, features, config)
    choice = f"Cell_1.Step_1{PRIMITIVE}"
    with seen_rows() as seen:
        supernet.tune({**offered_by(hypernet), choice: ("Sum",)})
    assert [split_of(features, rows) for rows in seen] == 3 * (4 * ["train"] + 2 * ["val"])
    assert supernet.state.weight_optimizer.param_groups[0]["lr"] == pytest.approx(config.max_lr / 10)
    step = supernet.state.hypernet.named_cells()["Cell_1"].named_steps()["Step_1"]
    fresh = hypernet.named_cells()["Cell_1"].named_steps()["Step_1"]
    assert not torch.equal(step.beta, fresh.beta)
    twin = TunedSupernet(hypernet, features, config)
    twin.load_state_dict(copy.deepcopy(supernet.state_dict()))
    assert twin.epochs == 3
    for one in (supernet, twin):
        one.tune({**offered_by(hypernet), choice: ("Sum",)})
    states = (one.state.hypernet.state_dict() for one in (supernet, twin))
    assert all(torch.equal(ours, theirs) for ours, theirs in zip(*(list(s.values()) for s in states), strict=True))


def searched(folder, config=PT):
    run = Run(folder)
    list(search(tiny_features(), config, run))
    return run


def test_the_answer_of_a_run_is_read_out_and_read_back(tmp_path):
    run, features = searched(tmp_path / "run"), tiny_features()
    reports = []
    answer = read_out(run, features, lambda *report: reports.append(report))
    assert answer.rule == "darts_pt" and answer.projection is not None
    assert answer.chosen == answer.projection.genotype == run.genotype()
    assert answer.algorithm1 == run.trace().best.genotype
    assert load_selection(run) == answer == read_out(run, features)
    assert reports == [("DARTS-PT, decisions", done, 3) for done in range(4)]
    assert answer.projection.tunings == 2  # the inputs of a Step with M = 1 are all kept, but for Zero's
    assert Selection.from_dict(answer.to_dict()) == answer
    assert not run.path("reading.safetensors").exists()
    with pytest.raises(RunError):
        Selection.from_dict({**answer.to_dict(), "rule": "shortlist"})


@pytest.mark.parametrize("relaxation", ["two_slots", "gumbel"])
def test_it_needs_one_mixture_of_all_nodes(relaxation):
    features, config = tiny_features(), PT.change(relaxation=relaxation)
    state = Search(features, config)
    with pytest.raises(ConfigError, match="relaxation"):
        select(state.hypernet, state.run_epoch().genotype, features, config)


@pytest.mark.parametrize(("name", "setting"), [("darts_pt", "selection"), ("gdas", "relaxation")])
def test_as_a_searcher_it_names_the_setting_that_it_is(name, setting):
    with pytest.raises(UnknownNameError, match=setting):
        CONFIG.change(searcher=name)


class Killed(BaseException):
    pass


def stop(folder, after, end):
    """Reads a run out until so many decisions are kept."""

    def dying(path, state):
        save_state(path, state)  # the decision is kept, and then the process ends
        if len(state["decisions"]) == after:
            end()

    with mock.patch.object(darts_pt, "save_state", dying):
        read_out(Run(folder), tiny_features())


def be_killed():
    raise Killed


def kill_itself():
    os.kill(os.getpid(), signal.SIGKILL)


def resumes_to_the_same_bytes(folder, after):
    run, whole = Run(folder / "run"), searched(folder / "whole")
    expected = read_out(whole, tiny_features())
    assert expected.projection is not None
    with mock.patch.object(TunedSupernet, "tune", autospec=True, side_effect=TunedSupernet.tune) as tune:
        read_out(run, tiny_features())
    assert tune.call_count == sum(bool(decision.removed) for decision in expected.projection.decisions[after:])
    for name in (SELECTION, "genotype.json"):
        assert run.path(name).read_bytes() == whole.path(name).read_bytes(), name


@pytest.mark.parametrize("after", [1, 2, 3])
def test_a_read_out_that_was_stopped_resumes_and_ends_in_the_same_bytes(tmp_path, after):
    with pytest.raises(Killed):
        stop(searched(tmp_path / "run").folder, after, be_killed)
    resumes_to_the_same_bytes(tmp_path, after)


def test_a_process_that_was_killed_resumes_and_ends_in_the_same_bytes(tmp_path):
    inputs = (searched(tmp_path / "run").folder, 1, kill_itself)
    process = multiprocessing.get_context("forkserver").Process(target=stop, args=inputs)
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    resumes_to_the_same_bytes(tmp_path, 1)


def test_the_state_of_another_hypernet_is_refused(tmp_path):
    run, other = searched(tmp_path / "run"), searched(tmp_path / "other", PT.change(C=8))
    for each in (other, run):
        with pytest.raises(Killed):
            stop(each.folder, 1, be_killed)
    run.path("reading.safetensors").write_bytes(other.path("reading.safetensors").read_bytes())
    with pytest.raises(RunError, match="another hypernet"):
        read_out(run, tiny_features())


def test_the_state_of_another_epoch_is_not_taken(tmp_path):
    run = searched(tmp_path / "run")
    with pytest.raises(Killed):
        stop(run.folder, 2, be_killed)
    state = load_state(run.path("reading.safetensors"))
    save_state(run.path("reading.safetensors"), {**state, "epoch": 3, "decisions": state["decisions"][::-1]})
    resumes_to_the_same_bytes(tmp_path, 0)
