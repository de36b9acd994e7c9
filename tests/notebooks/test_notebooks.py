"""The notebooks, executed for real: all six in order by the command line, and each under harder conditions."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from papermill.exceptions import PapermillExecutionError

import bmnas
from bmnas.errors import RunError, UnknownNameError
from bmnas.evaluation.joint.evaluation import JOINT
from bmnas.rivals.live_mmtm import LIVE_MMTM
from bmnas.searching.searchers.recorded_search import recorded_trials
from tools import runner

pytestmark = pytest.mark.notebooks

NOTEBOOKS = sorted(runner.FOLDER.glob("*.ipynb"))
SIZE_LIMIT = 2_000_000  # bytes of an executed notebook
FIGURES = ("application/vnd.plotly.v1+json", "image/svg+xml", "image/png")
# Whatever makes a run shorter; each notebook gets those that it knows.
TINY = {"epochs": 2, "samples": 240, "seeds": 1, "searches": 1, "trap_samples": 60}
TINY |= {"shortlist_size": 2, "shortlist_epochs": 1}


def tiny(notebook, **more):
    """The settings of a short run that this notebook knows, and `more`."""
    known = runner.known_parameters(notebook)
    return {name: value for name, value in TINY.items() if name in known} | more


def outputs(path):
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return [output for cell in cells if cell["cell_type"] == "code" for output in cell["outputs"]]


def text(path):
    """All that an executed notebook shows, figures included."""
    return json.dumps(outputs(path), ensure_ascii=False)


def figures(path):
    return [output for output in outputs(path) if set(FIGURES) & set(output.get("data", {}))]


def shown_as_figures(shown):
    """The names of the figures among all that notebooks show."""
    return set(re.findall(r"\[figure (\w+): ", shown))


def execute(kernel, notebook, folder, monkeypatch, **parameters):
    """Executes one notebook with its own folder of runs -> the executed one."""
    monkeypatch.setenv("BMNAS_RUNS", str(folder / "runs"))
    kernel(notebook, folder / notebook.name, parameters)
    return folder / notebook.name


@pytest.fixture(scope="module")
def story(tmp_path_factory):
    """All six notebooks in order on the default data set, as `run.py` starts them."""
    folder = tmp_path_factory.mktemp("story")
    known = {name for notebook in NOTEBOOKS for name in runner.known_parameters(notebook)}
    shortest = {name: value for name, value in TINY.items() if name in known and name != "samples"}
    settings = [part for name, value in shortest.items() for part in ("-p", name, str(value))]  # there is a truth table
    command = [sys.executable, str(runner.__file__), *settings]
    env = {**os.environ, "BMNAS_RUNS": str(folder / "runs")}
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return folder, done.stdout


def test_there_are_notebooks():
    assert len(NOTEBOOKS) == 6


def test_the_story_ends_in_a_summary(story):
    folder, shown = story
    assert "test scores" in shown and "ablation" in shown
    assert str(folder / "runs/_notebooks/mfeat") in shown
    assert sorted(path.name for path in folder.iterdir()) == ["runs"]  # nothing is written anywhere else


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_an_executed_notebook_is_a_complete_record(story, notebook):
    executed = story[0] / "runs/_notebooks/mfeat" / notebook.name
    assert [output for output in outputs(executed) if output["output_type"] == "error"] == []
    assert figures(executed), "a notebook shows at least one figure"
    assert "stand-in" not in text(executed).lower()  # mfeat is real
    assert not [o for o in outputs(executed) if any("widget-view" in kind for kind in o.get("data", {}))]
    assert executed.stat().st_size <= SIZE_LIMIT


def test_06_sets_the_answers_on_the_truth_and_tells_the_traps_apart(story):
    shown = text(story[0] / "runs/_notebooks/mfeat/06_trust.ipynb")
    assert "All 60 networks of this space" in shown and "random search of this cost" in shown
    assert "Algorithm 1" in shown and "yours ranks" in shown
    assert all(name in shown for name in bmnas.SEARCHERS) and "no choice" in shown
    figures = story[0].glob("runs/mfeat*/figures/*.svg")
    names = {"knowledge", "redundancy", "modality_use", "truth", "regret", "headroom", "decisions"}
    assert names <= {path.stem for path in figures}
    for name in ("one modality", "noise", "copies"):
        assert f"trap: {name}" in shown


def test_06_says_that_eq_3_takes_two_views_of_the_same_pixels_and_no_gain_of_fusion(story):
    """Late fusion of all six views of a digit is as good as any fusion of them."""
    shown = text(story[0] / "runs/_notebooks/mfeat/06_trust.ipynb")
    (diagnosis,) = story[0].glob("runs/mfeat*/diagnosis.json")
    sentence = json.loads(diagnosis.read_text(encoding="utf-8"))["sentence"]
    assert "undecided" in sentence or "cannot" in sentence
    assert "is largest for Fac_1 and Pix_1" in shown and "they say much the same" in shown


def test_another_searcher_is_shown_and_evaluated(story, notebook_kernel, tmp_path, monkeypatch):
    """On the features of the story, so that 02 does not make them again."""
    settings = {"dataset": "mfeat", "run_name": "mfas"}
    own = {"02_search": {"searcher": "mfas", "budget": 3}}
    shown = {}
    monkeypatch.setenv("BMNAS_RUNS", str(story[0] / "runs"))
    for notebook in NOTEBOOKS[1:4]:
        executed = tmp_path / notebook.name
        notebook_kernel(notebook, executed, tiny(notebook, **settings, **own.get(notebook.stem, {})))
        assert figures(executed)
        shown[notebook.stem] = text(executed)
    (run,) = (run for run in bmnas.list_runs() if run.name == "mfas")
    trials = recorded_trials(run)
    derived = shown["03_derivation"]
    assert len(trials) == 3 and run.genotype() == trials[trials[-1].best_trial - 1].genotype
    assert "3 networks scored" in shown["02_search"] and "3 short trainings" in derived
    assert run.genotype().describe().split("\n")[0] in derived and "has no α, β, γ" in derived
    assert {"search", "genotype"} <= shown_as_figures(derived) and run.path("figures/explorer.svg").exists()
    assert not {"soft", "derived"} & shown_as_figures(derived) and not run.path("figures/gap.svg").exists()
    assert bmnas.SEARCHED in {result.name for result in bmnas.load_evaluation(run)}


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_the_page_of_a_notebook_needs_no_internet(story, notebook):
    page = (story[0] / "runs/_notebooks/mfeat" / notebook.name).with_suffix(".html").read_text(encoding="utf-8")
    for loads in ('src="http', "src='http", '<link rel="stylesheet" href="http', "@import url(http"):
        assert loads not in page


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_parameter_nobody_knows_is_refused_before_any_work(notebook):
    """The notebook's own first cells, and the one that papermill puts between them."""
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    parameters, first = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"][:2]
    injected = "# Parameters\ndatasett = 'digits'\n"
    namespace = {"In": ["", parameters, injected, first]}
    with pytest.raises(UnknownNameError) as refused:
        for source in (parameters, injected, first):
            exec(source, namespace)
    assert "datasett" in str(refused.value) and "dataset" in str(refused.value).replace("datasett", "")
    assert "bmnas" not in namespace  # not even the imports below


def test_the_refusal_is_what_papermill_reports(notebook_kernel, tmp_path, monkeypatch):
    with pytest.raises(PapermillExecutionError) as refused:
        execute(notebook_kernel, NOTEBOOKS[1], tmp_path, monkeypatch, datasett="digits")
    assert refused.value.ename == "UnknownNameError" and "datasett" in refused.value.evalue
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("notebook", NOTEBOOKS[2:], ids=lambda path: path.stem)
def test_a_notebook_without_a_run_names_the_one_that_makes_it(notebook, tmp_path, monkeypatch):
    """The notebook's own cells, one after the other, until one is refused."""
    monkeypatch.setenv("BMNAS_RUNS", str(tmp_path / "runs"))
    monkeypatch.setattr("widgets.prepare_images", lambda: None)  # no browser for what ends here
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    sources = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    namespace = {"In": ["", *sources[:2]]}
    with pytest.raises(RunError) as failed:
        for source in sources[:4]:
            exec(source, namespace)
    assert "notebook 02" in str(failed.value)
    assert not list((tmp_path / "runs").glob("[!_]*/config.json"))


def test_04_trains_the_backbones_too_where_it_is_asked_to(notebook_kernel, tmp_path, monkeypatch):
    """On a run that the library made, as 02 would."""
    monkeypatch.setenv("BMNAS_RUNS", str(tmp_path / "runs"))
    config = bmnas.TASKS["digits"].search_config.change(epochs=1, selection="algorithm1")
    features = bmnas.prepare("digits", L=config.L, samples=64, copies=0)
    run = bmnas.Run(tmp_path / "runs" / bmnas.run_name("digits", config, features))
    assert len(list(bmnas.search(features, config, run))) == 1
    bmnas.read_out(run, features)
    notebook = next(path for path in NOTEBOOKS if path.stem == "04_evaluation")
    settings = tiny(notebook, dataset="digits", epochs=1, joint=True, joint_epochs=1)
    executed = execute(notebook_kernel, notebook, tmp_path, monkeypatch, **settings)
    assert JOINT in text(executed) and LIVE_MMTM in text(executed)
    assert run.path("joint.json").exists()


def test_what_follows_a_search_works_on_data_of_ones_own(notebook_kernel, tmp_path, monkeypatch):
    """03 to 06, by the name of the run alone: there is neither a preset nor a truth table."""
    monkeypatch.setenv("BMNAS_RUNS", str(tmp_path / "runs"))
    rng = np.random.default_rng(0)
    arrays = {name: rng.standard_normal((90, 5)) for name in ("Image_1", "Image_2", "Sound_1")}
    rows = {"train": np.arange(50), "val": np.arange(50, 75), "test": np.arange(75, 90)}
    features = bmnas.FeatureSet.from_arrays(arrays, np.arange(90) % 3, rows, L=1)
    run = bmnas.Run(tmp_path / "runs" / "mine")
    config = bmnas.SearchConfig(C=4, L=1, N=1, epochs=1, shortlist_epochs=1, device="cpu")
    assert len(list(bmnas.search(features, config, run))) == 1
    bmnas.read_out(run, features)
    names = set()
    for notebook in NOTEBOOKS[2:]:
        settings = tiny(notebook, run_name="mine")
        settings |= {"trap_samples": 0} if "trap_samples" in settings else {}
        notebook_kernel(notebook, tmp_path / notebook.name, settings)
        shown = text(tmp_path / notebook.name)
        names |= shown_as_figures(shown)
        assert "mfeat" not in shown.replace("mfeat, twodigits", "")
    assert "no truth table" in shown and "headroom" in shown
    assert bmnas.SEARCHED in {result.name for result in bmnas.load_evaluation(run)}
    assert {"derived", "table_6", "answer", "knowledge", "decisions"} <= names
    assert run.path("figures/leaderboard.svg").exists()


@pytest.mark.parametrize(("dataset", "number"), [("avmnist", "01"), ("avsum", "02")])
def test_real_images_and_recordings(dataset, number, notebook_kernel, tmp_path, monkeypatch):
    """02 makes the features that it lacks."""
    if not Path(os.environ.get("BMNAS_DATA", "nowhere")).is_dir():
        pytest.skip("BMNAS_DATA names no folder: MNIST and the spoken digits are not here")
    notebook = next(path for path in NOTEBOOKS if path.stem.startswith(number))
    executed = execute(notebook_kernel, notebook, tmp_path, monkeypatch, **tiny(notebook, dataset=dataset))
    assert figures(executed)
    assert "stand-in" not in text(executed).lower()
