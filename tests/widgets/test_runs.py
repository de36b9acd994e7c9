"""The results browser: every run is listed, damaged ones with their reason, and the front is the front."""

import json
import math
import shutil
import xml.etree.ElementTree as ET
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bmnas.evaluation.ablation import SEARCHED
from bmnas.evaluation.evaluation import evaluate
from bmnas.evaluation.saved_results import save_evaluation
from bmnas.searching.algorithm1 import search
from bmnas.searching.networks import build_network
from bmnas.searching.read_outs import read_out
from bmnas.searching.run_folder import Run
from tests.support.tiny import BUDGET, CONFIG, tiny_features
from widgets.runs.browser import ResultsBrowser
from widgets.runs.rows import NAN, TEST, VAL, BrowserInfo, RunRow, browser_info
from widgets.runs.table import runs_frame
from widgets.sheets.pareto import pareto_front
from widgets.sheets.sheet import page

FEATURES = tiny_features()
NUMBERS = st.one_of(st.integers(1, 6).map(float), st.just(NAN))


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run, one that was searched, one that was stopped, an empty one, and four damaged ones."""
    root = tmp_path_factory.mktemp("runs")
    for name, seed, epochs in (("done", 0, 4), ("searched", 1, 4), ("stopped", 2, 2)):
        run = Run(root / name)
        for event in search(FEATURES, CONFIG.change(seed=seed), run):
            if event.epoch == epochs:
                break
    done = Run(root / "done")
    config = done.config()
    result = evaluate(SEARCHED, read_out(done, FEATURES).chosen, FEATURES, config, BUDGET)
    save_evaluation(done, [result], FEATURES, BUDGET)
    for name in ("bad-json", "bad-trace", "bad-evaluation", "no-config"):
        shutil.copytree(root / "done", root / name)
    (root / "bad-json/config.json").write_text("{<b>")
    (root / "bad-trace/trace.jsonl").write_text('{"epoch": 1}\n')
    (root / "bad-evaluation/evaluation.json").write_text('{"methods": [{"name": 3}]}')
    (root / "no-config/config.json").unlink()
    (root / "_features").mkdir()
    (root / "notes.txt").write_text("no run")
    return root


def test_every_folder_is_listed_and_damaged_ones_hide_no_others(root: Path) -> None:
    states = {row.name: row.state for row in browser_info(root).rows}
    assert states == {
        "bad-evaluation": "damaged", "bad-json": "damaged", "bad-trace": "damaged", "done": "finished",
        "no-config": "damaged", "searched": "searched", "stopped": "stopped",
    }  # fmt: skip
    for row in browser_info(root).rows:
        assert bool(row.problem) == (row.state == "damaged")
    problems = {row.name: row.problem for row in browser_info(root).rows}
    assert "config.json" in problems["bad-json"] and "trace.jsonl, line 1" in problems["bad-trace"]
    assert "evaluation.json" in problems["bad-evaluation"] and "config.json" in problems["no-config"]


def test_numbers_are_those_of_the_files(root: Path) -> None:
    row = browser_info(root).get("done")
    method = json.loads((root / "done/evaluation.json").read_text())["methods"][0]
    timing = [json.loads(line) for line in (root / "done/timing.jsonl").read_text().splitlines()]
    trace = [json.loads(line) for line in (root / "done/trace.jsonl").read_text().splitlines()]
    assert row.test == pytest.approx(100 * sum(method["scores"]) / len(method["scores"]))
    assert row.seconds == pytest.approx(sum(line["seconds"] for line in timing))
    assert row.val == pytest.approx(100 * max(line["val_score"] for line in trace)) and row.epochs == 4
    assert (row.score(TEST), row.score(VAL)) == (row.test, row.val)
    assert row.modalities == FEATURES.modalities  # in the order, and so the colours, of all other pictures
    other = browser_info(root).get("searched")
    assert math.isnan(other.test) and math.isnan(other.score(TEST)) and other.score(VAL) == other.val
    assert other.genotype is not None
    network = build_network(other.genotype, FEATURES, CONFIG, 0)
    assert other.parameters == sum(p.numel() for p in network.parameters())


def test_a_folder_that_is_not_there_or_empty_is_no_error(tmp_path: Path) -> None:
    for place in (tmp_path, tmp_path / "missing"):
        view = ResultsBrowser(browser_info(place))
        assert view.info.rows == () and "no run is chosen" in page(view.twin())
        view.box()


@given(st.lists(st.tuples(NUMBERS, NUMBERS), max_size=12))
def test_the_front_is_what_no_other_point_beats(points: list[tuple[float, float]]) -> None:
    def beats(a: tuple[float, float], b: tuple[float, float]) -> bool:
        return (a[0] <= b[0] and a[1] > b[1]) or (a[0] < b[0] and a[1] >= b[1])

    known = [i for i, p in enumerate(points) if not math.isnan(p[0]) and not math.isnan(p[1])]
    wanted = {i for i in known if not any(beats(points[j], points[i]) for j in known)}
    front = pareto_front(points)
    assert set(front) == wanted and len(front) == len(wanted)
    assert [points[i][0] for i in front] == sorted(points[i][0] for i in front)


def test_clicks_choose(root: Path) -> None:
    view = ResultsBrowser(browser_info(root))
    view.box()
    assert view.chosen in {"done", "searched", "stopped"}
    view.picture.click("searched")
    assert view.run.value == "searched" and "searched, " in view.network.content
    view.runs.selected_rows = [[row.name for row in view.info.rows].index("bad-json")]
    assert view.run.value == "bad-json"
    assert "config.json" in view.network.content and "{<b>" not in view.network.content


def test_the_table_has_the_numbers_of_the_rows_and_nothing_of_damaged_runs(root: Path) -> None:
    info = browser_info(root)
    frame = runs_frame(info.rows).set_index("run")
    assert list(frame.index) == [row.name for row in info.rows]
    done = info.get("done")
    assert frame.loc["done", "test [%]"] == pytest.approx(done.test, abs=0.005)
    assert frame.loc["done", "parameters"] == done.parameters and frame.loc["done", "seed"] == done.seed
    assert pd.isna(frame.loc["searched", "test [%]"])
    damaged = frame.loc["bad-json"]
    assert damaged["problem"] == info.get("bad-json").problem
    assert damaged.drop(["state", "problem"]).isna().all()
    assert "problem" not in runs_frame([done]) and runs_frame([]).empty


def test_test_and_validation_scores_are_never_in_one_chart(root: Path) -> None:
    view = ResultsBrowser(browser_info(root))
    view.box()
    assert (view.kind, view.chosen) == (TEST, "done")
    assert 'data-name="done"' in view.picture.content and 'data-name="searched"' not in view.picture.content
    assert "1 of 3" in view.picture.content
    view.kinds.value = VAL
    assert all(f'data-name="{name}"' in view.picture.content for name in ("done", "searched", "stopped"))
    assert "val score of the search [%]" in view.picture.content and "test score" not in view.picture.content


def test_other_data_sets_have_charts_of_their_own() -> None:
    rows = [RunRow(f"{name}{i}", "searched", name, val=50.0 + i, parameters=10.0 * i, seconds=i)
            for name in ("a", "b") for i in (1, 2, 3)]  # fmt: skip
    view = ResultsBrowser(BrowserInfo("root", tuple(rows)))
    view.box()
    assert view.dataset == "a" and 'data-name="b1"' not in view.picture.content
    view.run.value = "b2"
    assert view.menu.value == "b" and 'data-name="b1"' in view.picture.content
    assert 'data-name="a1"' not in view.picture.content


def test_the_twin_names_all_runs_and_escapes_text(root: Path) -> None:
    info = browser_info(root)
    view = ResultsBrowser(info)
    html = view.table().to_html()
    assert all(row.name in html and row.name in view.text() for row in info.rows)
    assert "Pareto front" in " ".join(ET.fromstring(page(view.twin())).itertext())
    odd = ResultsBrowser(BrowserInfo("", (RunRow("<b>", "damaged", problem="<script>"),)))
    for text in (page(odd.twin()), odd.table().to_html()):
        assert "<script>" not in text and "<b>" not in text
    assert "&lt;script&gt;" in odd.table().to_html()
