"""The notebooks on miniature files of every real data set, and on every stand-in: what they say and show.

A chain of notebooks is executed once, by the first test that asks for it; its tests share a process. The longest one
has a kernel of its own with a browser, so that pictures and files of figures are seen; of the others the figures
themselves are.
"""

import json
import re
import shutil
from contextlib import nullcontext
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch

from bmnas.config import PAPER_CONFIGS
from bmnas.features.feature_set import FeatureSet
from bmnas.registry import TASKS
from bmnas.tasks.egogesture import task as egogesture
from bmnas.tasks.mmimdb import task as mmimdb
from bmnas.tasks.ntu import task as ntu
from tests.support import raw_files
from tests.support.one_kernel import Execute, one_kernel
from tools import runner

pytestmark = [pytest.mark.notebooks, pytest.mark.timeout(900)]

NOTEBOOKS = [path.stem for path in sorted(runner.FOLDER.glob("0*.ipynb"))]
FIRST, ALL = NOTEBOOKS[:1], NOTEBOOKS
TO_SCORES = NOTEBOOKS[:4]  # 05 and 06 read what 03 and 04 read
SHORT = ["02_search", "04_evaluation"]
THREE = ["Image_4", "Text_1", "Text_2"]  # a space of two Cells that is ranked in a moment
TINY = {"epochs": 1, "seeds": 1, "C": 8, "shortlist_size": 1, "shortlist_epochs": 1, "trap_samples": 0, "searches": 0}
CLIPS = [raw_files.ntu_name(performer, action) for performer, action in ((1, 1), (27, 60), (2, 1), (3, 60))]
STAND_IN_OF = {"mmimdb": mmimdb.STAND_IN, "ntu": ntu.STAND_IN, "egogesture": egogesture.STAND_IN}
TITLES = {"mmimdb": "MM-IMDB", "ntu": "NTU RGB+D", "egogesture": "EgoGesture"}
FIGURES = ("image/svg+xml", "image/png", "application/vnd.plotly.v1+json")  # the last where there is no browser
LOUD = re.compile(r"NOT (?:real data|MM-IMDB|NTU RGB\+D|EgoGesture)")
WITHOUT_DATA = ("ntu_1", "published")  # figures of the paper's own networks


class Case(NamedTuple):
    """A data set in one format (or a stand-in), and the notebooks that see it."""

    dataset: str
    write: str  # of the functions below and in raw_files; "" for a stand-in
    notebooks: list[str]
    parameters: dict[str, Any] = {}


def write_weights(root: Path, *names: str) -> None:
    """Writes checkpoints of the large backbones: only those of the other modalities are trained."""
    (root / "weights").mkdir()
    modalities = {modality.name: modality for modality in TASKS[root.name].modalities}
    for name in names:
        build = modalities[name].backbone
        assert build is not None
        torch.save(build().state_dict(), root / f"weights/{name}.pth")


def write_ntu(root: Path) -> None:
    raw_files.write_ntu(root, CLIPS, frames=3)
    write_weights(root, "Video")


def write_ego(root: Path) -> None:
    raw_files.write_ego(root, clips=1, frames=3)
    write_weights(root, "RGB", "Depth")


CASES = {
    "hdf5": Case("mmimdb", "write_hdf5", TO_SCORES),
    "videos and skeletons": Case("ntu", "write_ntu", FIRST, {"options": {"dtype": "float32"}}),  # random weights
    "json": Case("egogesture", "write_ego", FIRST),
    "stand-in mmimdb": Case("mmimdb", "", ALL, {"samples": 120, "selection": "shortlist", "N": 1, "features": THREE}),
    "stand-in ntu": Case("ntu", "", SHORT, {"samples": 120, "preset": "ntu-2"}),
    "stand-in egogesture": Case("egogesture", "", SHORT, {"samples": 120, "preset": "ego-4"}),
}
REAL = [name for name, case in CASES.items() if case.write]
STAND_INS = [name for name, case in CASES.items() if not case.write]


def chain(name: str, folder: Path, patch: pytest.MonkeyPatch, execute: Execute) -> dict[str, str]:
    """Executes the notebooks of a case in order -> notebook -> why it failed; the raw data is removed after 01."""
    case, data = CASES[name], folder / "data"
    patch.setenv("BMNAS_RUNS", str(folder / "runs"))
    patch.setenv("BMNAS_DATA", str(data))
    parameters = {"dataset": case.dataset, **TINY, **case.parameters}
    if case.write:
        write = globals().get(case.write) or getattr(raw_files, case.write)
        write(data / case.dataset)
        options = {"backbone_epochs": 1, "workers": 0, **parameters.get("options", {})}
        parameters |= {"source": "real", "options": options}
    for notebook in case.notebooks:
        source = runner.FOLDER / f"{notebook}.ipynb"
        known = {key: value for key, value in parameters.items() if key in runner.known_parameters(source)}
        try:
            execute(source, folder / source.name, known)
        except Exception as failed:  # it is told in the test of this notebook
            return {notebook: str(failed)[-3000:]}
        shutil.rmtree(data, ignore_errors=True)
    return {}


@pytest.fixture(scope="module")
def finished(tmp_path_factory, notebook_kernel):
    """name -> the folder of a chain that ended without an error."""

    @cache
    def chained(name: str) -> tuple[Path, dict[str, str]]:
        folder = tmp_path_factory.mktemp(name.replace(" ", "-"))
        own = one_kernel() if CASES[name].notebooks == ALL else nullcontext(notebook_kernel)
        with pytest.MonkeyPatch.context() as patch, own as execute:
            return folder, chain(name, folder, patch, execute)

    def finish(name: str) -> Path:
        folder, failed = chained(name)
        assert failed == {}
        return folder

    return finish


def cells(folder: Path, number: str) -> list[dict[str, Any]]:
    (path,) = folder.glob(f"{number}_*.ipynb")
    return [c for c in json.loads(path.read_text(encoding="utf-8"))["cells"] if c["cell_type"] == "code"]


def outputs(folder: Path, number: str) -> list[dict[str, Any]]:
    return [output for cell in cells(folder, number) for output in cell["outputs"]]


def text(folder: Path, number: str) -> str:
    """All that is printed and shown in a notebook: tables without their tags, and figures."""
    parts = []
    for output in outputs(folder, number):
        for content in [output.get("text", ""), *output.get("data", {}).values()]:
            parts.append("".join(content) if isinstance(content, list) else str(content))
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", "\n".join(parts)))


def pictures(folder: Path, number: str) -> list[str]:
    data = [output.get("data", {}) for output in outputs(folder, number)]
    shown = [next((one[kind] for kind in FIGURES if kind in one), None) for one in data]
    return ["".join(one) if isinstance(one, list) else as_text(one) for one in shown if one is not None]


def as_text(figure: str | dict[str, Any]) -> str:
    """A plotly figure as its JSON, in which words are not escaped; a picture as it is."""
    return figure if isinstance(figure, str) else json.dumps(figure, ensure_ascii=False)


def run_folder(folder: Path) -> Path:
    (found,) = [path for path in (folder / "runs").iterdir() if not path.name.startswith("_")]
    return found


def manifest(folder: Path) -> dict[str, Any]:
    (found,) = (folder / "runs/_features").glob("*/manifest.json")
    return json.loads(found.read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", REAL)
def test_real_files_are_extracted_and_shown(name, finished):
    folder, case = finished(name), CASES[name]
    told, task = text(folder, "01"), TASKS[case.dataset]
    assert f"Data set {case.dataset} (real)" in told and TITLES[case.dataset] in told
    assert not LOUD.search(told) and "stand-in" not in told.lower()
    about = manifest(folder)
    assert about["source"] == "real" and about["options"]["data"]["counts"]
    assert [entry["name"] for entry in about["features"]] == list(task.features)
    features = FeatureSet.open(next((folder / "runs/_features").glob("*/manifest.json")).parent)
    stand_in = STAND_IN_OF[case.dataset]
    assert features.channels == {name: c for part in stand_in.modalities.values() for name, c in part.items()}
    assert features.vectors == set(stand_in.vectors)
    assert len(about["classes"]) == len(task.classes) == {"mmimdb": 23, "ntu": 60, "egogesture": 83}[case.dataset]
    assert f"{task.metric} in %" in told
    for modality in task.modalities:
        assert re.search(rf"{modality.name} {about['backbones'][modality.name]['backbone']} ", told)
    assert len(pictures(folder, "01")) == 3  # samples, bars of the features, the features of one sample
    form = about["options"]["data"].get("form")
    assert form == (name if case.dataset == "mmimdb" else None)


@pytest.mark.parametrize("number", ["02", "03", "04"])
def test_after_the_raw_data_is_gone_all_goes_on_with_real_features(number, finished):
    told = text(finished("hdf5"), number)
    assert "Data set mmimdb (real)" in told and "MM-IMDB, 6 / 2 / 4 samples" in told
    assert not LOUD.search(told) and "stand-in" not in told.lower()
    assert ("features stored before" in told) == (number == "02")
    assert pictures(finished("hdf5"), number)


def test_files_of_a_real_run_name_no_stand_in(finished):
    for path in run_folder(finished("hdf5")).rglob("*"):
        if path.is_file() and path.suffix in (".json", ".jsonl", ".csv", ".svg"):
            assert "stand-in" not in path.read_text(encoding="utf-8").lower(), path


@pytest.mark.parametrize(("name", "number"), [(name, n[:2]) for name in STAND_INS for n in CASES[name].notebooks])
def test_a_stand_in_is_loud_in_banner_and_figures(name, number, finished):
    folder, case = finished(name), CASES[name]
    told = text(folder, number)
    assert "STAND-IN" in told and f"NOT {TITLES[case.dataset]}" in told
    assert f"Data set {case.dataset} (real)" not in told
    silent = [picture for picture in pictures(folder, number) if not LOUD.search(picture)]
    assert all("Fig. " in picture for picture in silent) and len(silent) <= (number == "03")
    assert len(pictures(folder, number)) > len(silent)


@pytest.mark.parametrize("name", STAND_INS)
def test_a_stand_in_is_loud_in_files(name, finished):
    run = run_folder(finished(name))
    ablated = ["ablation.csv"] if NOTEBOOKS[-1] in CASES[name].notebooks else []
    for file in ("config.json", "evaluation.json", *ablated):
        assert "stand-in" in (run / file).read_text(encoding="utf-8"), file
    silent = {path.stem for path in run.glob("figures/*.svg") if not LOUD.search(path.read_text(encoding="utf-8"))}
    assert silent <= set(WITHOUT_DATA)


@pytest.mark.parametrize(("name", "row"), [("stand-in ntu", "ntu-2"), ("stand-in egogesture", "ego-4")])
def test_a_row_of_table_8_is_searched(name, row, finished):
    asked = PAPER_CONFIGS[row].change(C=TINY["C"], epochs=1, shortlist_size=1, shortlist_epochs=1)
    run = run_folder(finished(name))
    used = json.loads((run / "config.json").read_text())["search"]
    changed = {"device", "threads", "seed"}
    assert {key: used[key] for key in used.keys() - changed} == {
        key: value for key, value in asked.to_dict().items() if key not in changed
    }
    assert manifest_of(run)["L"] == asked.L


def manifest_of(run: Path) -> dict[str, Any]:
    place = run / json.loads((run / "features.json").read_text())["folder"]
    return json.loads((place / "manifest.json").read_text())


@pytest.mark.parametrize("name", ["hdf5", *STAND_INS])
def test_scores_and_classes(name, finished):
    folder, case = finished(name), CASES[name]
    told, task = text(folder, "04"), TASKS[case.dataset]
    kept = json.loads((run_folder(folder) / "evaluation.json").read_text())["methods"]
    searched = next(method for method in kept if method["name"] == "searched (bmnas)")
    assert f"{task.metric} on the test split" in told
    assert list(searched["per_class"]) == list(manifest_of(run_folder(folder))["classes"])
    (drawn,) = [picture for picture in pictures(folder, "04") if f"Classes of {case.dataset}" in picture]
    assert all(f">{label}<" in drawn or f'"{label}"' in drawn for label in searched["per_class"])
    f1 = [f"{average} F1" for average in ("weighted", "macro", "micro", "samples")]
    if task.kind == "multilabel":
        shown = " ".join(f"{100 * searched['all_scores'][score]:.2f}" for score in f1)
        assert "at the threshold 0.3" in told and f"method {' '.join(f1)}" in told
        assert f"searched (bmnas) {shown}" in told
    else:
        assert "macro F1" not in told


def test_the_shortlist_of_mmimdb_is_made_where_it_is_asked_for(finished):
    told = text(finished("stand-in mmimdb"), "02").lower()
    assert re.search(r"\d+ genotypes ranked \(all there are\)", told) and "no shortlist was made" not in told


def test_no_shortlist_of_mmimdb_is_made_where_nobody_asks(finished):
    assert "no shortlist was made" in text(finished("hdf5"), "02").lower()
