"""Paths as users give them: whatever lies there, one clear error, and nothing of the user's is replaced."""

import os
import threading
from pathlib import Path

import pytest
import torch
from torch import nn

import bmnas
from bmnas.errors import BmnasError, ConfigError, GenotypeError, RunError
from bmnas.features.backbones.checkpoints import load_checkpoint
from bmnas.storage.paths import given_path
from bmnas.storage.whole_files import whole, write_text
from bmnas.tasks.planted import answer
from tests.support.tiny import tiny_features
from widgets.notebook.export import export_html

GENOTYPE = answer(("A_1", "B_1"))
NO_PATHS = {
    "empty": "",
    "blank": "  ",
    "NUL": "a\0b",
    "half of a character": "a\ud800",
    "longer than a path": "x" * 300,
}


def network_of(folder: Path) -> bmnas.TrainedNetwork:
    class Logits(nn.Module):
        def forward(self, x: dict[str, torch.Tensor]) -> torch.Tensor:
            return x["A_1"].mean(-1)[:, :2]

    return bmnas.TrainedNetwork(Logits(), "multiclass", ("a", "b"), {"A_1": (3, 4)})


ARGUMENTS = {
    "Genotype.save": GENOTYPE.save,
    "Genotype.load": bmnas.Genotype.load,
    "Run": bmnas.Run,
    "load": bmnas.load,
    "FeatureSet.open": bmnas.FeatureSet.open,
    "FeatureSet.save": lambda path: tiny_features().save(path),
    "join_features": lambda path: bmnas.join_features([tiny_features()] * 2, path),
    "load_checkpoint": lambda path: load_checkpoint(nn.Linear(2, 2), path),
    "prepare root": lambda path: bmnas.prepare("ntu", root=path),
    "prepare cache": lambda path: bmnas.prepare("planted", cache=path),
    "export": lambda path: network_of(path).export(path),
    "export_html": export_html,
    "export_html target": lambda path: export_html("out.ipynb", path),
}


@pytest.mark.parametrize("name", ARGUMENTS)
@pytest.mark.parametrize("kind", NO_PATHS)
def test_what_is_no_path_is_refused_wherever_one_is_given(name, kind, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "out.ipynb").write_text('{"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": []}')
    with pytest.raises(ConfigError):
        ARGUMENTS[name](NO_PATHS[kind])
    assert [path.name for path in tmp_path.iterdir()] == ["out.ipynb"]


@pytest.mark.parametrize("value", [None, 5, 1.5, b"a", ["a"]])
def test_nor_is_what_is_no_text(value):
    with pytest.raises(ConfigError, match="cache"):
        given_path("cache", value)


def test_a_path_is_absolute_once_and_knows_the_home_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert given_path("path", "~/a") == tmp_path / "a"
    assert given_path("path", "a~") == Path.cwd() / "a~"
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    assert given_path("path", Path(".")) == tmp_path / "gone"
    (tmp_path / "gone").rmdir()
    with pytest.raises(ConfigError, match="working directory"):
        given_path("path", "a")
    assert given_path("path", tmp_path / "a") == tmp_path / "a"


# files that are written

FILE_WRITERS = {
    "Genotype.save": GENOTYPE.save,
    "export": lambda path: network_of(path).export(path),
    "Run.save_json": lambda path: bmnas.Run(path.parent).save_json(path.name, {}),
}


def place(folder: Path, kind: str) -> Path:
    """Makes something where no file can be written, and returns the path to it."""
    path = folder / "target"
    if kind == "folder":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "device":
        return Path("/dev/null")
    elif kind == "link to a device":
        path.symlink_to("/dev/null")
    elif kind == "link to a folder":
        (folder / "folder").mkdir()
        path.symlink_to(folder / "folder")
    elif kind == "link to itself":
        path.symlink_to(path)
    elif kind == "below a file":
        (folder / "file").write_text("mine")
        return folder / "file" / "target"
    elif kind == "kernel's":
        return Path("/proc/target")
    return path


def snapshot(folder: Path) -> dict[str, tuple[int, bytes]]:
    return {
        path.name: (path.lstat().st_mode, path.read_bytes() if path.is_file() and not path.is_symlink() else b"")
        for path in folder.iterdir()
    }


KINDS = ["folder", "pipe", "device", "link to a device", "link to a folder", "link to itself", "below a file"]
KINDS += ["kernel's"] if Path("/proc").is_dir() else []


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("writer", FILE_WRITERS)
def test_only_a_file_is_written_to(writer, kind, tmp_path):
    if writer == "export":
        pytest.importorskip("onnxscript")
    path = place(tmp_path, kind)
    before, mode = snapshot(tmp_path), os.stat("/dev/null").st_mode
    with pytest.raises(BmnasError, match=str(path.parent if kind == "below a file" else path)):
        FILE_WRITERS[writer](path)
    assert snapshot(tmp_path) == before and os.stat("/dev/null").st_mode == mode


@pytest.mark.parametrize(("kind", "advice"), [("folder", "file name"), ("below a file", "choose another path")])
def test_the_advice_fits_the_cause(kind, advice, tmp_path):
    with pytest.raises(RunError, match=advice) as caught:
        write_text(place(tmp_path, kind), "text")
    assert "room" not in str(caught.value)


@pytest.mark.parametrize("exists", [True, False])
def test_a_link_is_followed_to_its_file_and_stays(exists, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    there, link = tmp_path / "elsewhere" / "genotype.json", tmp_path / "link.json"
    if exists:
        answer(("A_2", "B_2")).save(there)
    link.symlink_to(there)
    GENOTYPE.save(link)
    assert link.is_symlink() and not there.is_symlink()
    assert bmnas.Genotype.load(there) == GENOTYPE
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["elsewhere", "genotype.json", "link.json"]


def test_a_file_that_is_protected_is_not_replaced(tmp_path, monkeypatch):
    write_text(tmp_path / "file", "good")
    monkeypatch.setattr(os, "access", lambda path, mode: mode != os.W_OK)  # root may always write
    with pytest.raises(RunError, match="writable"), whole(tmp_path / "file") as partial:
        partial.write_text("bad")
    assert snapshot(tmp_path)["file"][1] == b"good"


# files of the user's that are something else

OTHERS = {
    "text": b"my thesis\n",
    "JSON": b'{"name": "mine"}\n',
    "a list": b"[1]",
    "zeros": bytes(100),
    "PNG": b"\x89PNG",
}


@pytest.mark.parametrize("kind", OTHERS)
@pytest.mark.parametrize("writer", ["Genotype.save", "export", "export_html"])
def test_a_file_of_another_kind_is_not_overwritten(writer, kind, tmp_path):
    path = tmp_path / "target"
    path.write_bytes(OTHERS[kind])
    notebook = tmp_path / "out.ipynb"
    notebook.write_text('{"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": []}')
    if writer == "export":
        pytest.importorskip("onnxscript")
    writers = {**FILE_WRITERS, "export_html": lambda path: export_html(notebook, path)}
    with pytest.raises(BmnasError, match=str(path)):
        writers[writer](path)
    assert path.read_bytes() == OTHERS[kind]
    path.write_bytes(b"")  # nothing is lost
    writers[writer](path)
    size = path.stat().st_size
    writers[writer](path)  # and neither by a newer one in place of an older
    assert path.stat().st_size == size > 0


def test_a_page_does_not_replace_its_own_notebook(tmp_path):
    notebook = tmp_path / "out.ipynb"
    notebook.write_text('{"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": []}')
    before = notebook.read_bytes()
    with pytest.raises(RunError, match="out.ipynb"):
        export_html(notebook, notebook)
    assert notebook.read_bytes() == before


def test_a_genotype_that_a_person_broke_may_be_saved_again(tmp_path):
    (tmp_path / "mine.json").write_text('{"r": 1, "cells": []}')
    with pytest.raises(GenotypeError):
        bmnas.Genotype.load(tmp_path / "mine.json")
    GENOTYPE.save(tmp_path / "mine.json")
    assert bmnas.Genotype.load(tmp_path / "mine.json") == GENOTYPE


# folders, and files that are read

READERS = {
    "Genotype.load": bmnas.Genotype.load,
    "load": bmnas.load,
    "FeatureSet.open": bmnas.FeatureSet.open,
    "load_checkpoint": ARGUMENTS["load_checkpoint"],
    "prepare root": lambda path: bmnas.prepare("ntu", source="real", root=path),
    "export_html": export_html,
}
FOLDER_WRITERS = {name: ARGUMENTS[name] for name in ("FeatureSet.save", "join_features", "prepare cache")}
FOLDER_WRITERS |= {"a search": lambda path: next(bmnas.search(tiny_features(), bmnas.SearchConfig(), bmnas.Run(path)))}
CASES = [(name, kind) for name in READERS for kind in [*KINDS, "a text file"]]
CASES += [(name, kind) for name in FOLDER_WRITERS for kind in [*KINDS, "a text file"] if "folder" not in kind]


@pytest.mark.parametrize(("name", "kind"), CASES)
def test_what_lies_in_place_of_a_file_or_folder_is_named_and_not_waited_for(name, kind, tmp_path):
    path = place(tmp_path, kind)
    if kind == "a text file":
        path.write_text("every\n")
    before, caught = snapshot(tmp_path), []

    def work() -> None:
        try:
            {**READERS, **FOLDER_WRITERS}[name](path)
        except BaseException as error:
            caught.append(error)

    thread = threading.Thread(target=work, daemon=True)  # a pipe that is opened is waited for, for ever
    thread.start()
    thread.join(60)
    assert len(caught) == 1 and isinstance(caught[0], BmnasError), caught
    assert str(path.parent if kind in ("below a file", "kernel's") else path) in str(caught[0])
    assert snapshot(tmp_path) == before


def test_stand_ins_in_place_of_real_data_that_a_root_promised_are_pointed_out(tmp_path):
    with pytest.warns(UserWarning, match="ntu") as warned:
        features = bmnas.prepare("ntu", samples=60, root=tmp_path / "nowhere", cache=tmp_path / "cache")
    assert features.source == "stand-in" and "stand-in" in str(warned[0].message)


def test_so_is_a_folder_of_data_that_there_is_not(tmp_path, monkeypatch, recwarn):
    monkeypatch.setenv("BMNAS_DATA", str(tmp_path))
    bmnas.prepare("ntu", samples=60, cache=tmp_path / "cache")
    assert not recwarn.list
    monkeypatch.setenv("BMNAS_DATA", str(tmp_path / "nowhere"))
    with pytest.warns(UserWarning, match="BMNAS_DATA"):
        bmnas.prepare("ntu", samples=60, cache=tmp_path / "cache")
