"""The engine that executes notebooks: what replaces an output is told, and the file keeps the last of it."""

import logging
from pathlib import Path

import nbformat
import papermill
import pytest

from tools.engine import NAME
from tools.progress import Progress

CELL = """\
from IPython.display import DisplayHandle
handle = DisplayHandle()
handle.display({"text/plain": "ranking: 0%"}, raw=True)
handle.update({"text/plain": "ranking: 50%"}, raw=True)
handle.update({"text/plain": "ranking: 100%"}, raw=True)
DisplayHandle().display({"text/plain": "<Styler at 0x7f>", "text/html": "<table></table>"}, raw=True)
"""


def test_what_replaces_an_output_is_logged_and_kept(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    source, executed = tmp_path / "in.ipynb", tmp_path / "out.ipynb"
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(CELL)])
    notebook.metadata.kernelspec = {"name": "python3", "display_name": "Python 3", "language": "python"}
    nbformat.write(notebook, source)
    with caplog.at_level(logging.INFO, "papermill"):
        papermill.execute_notebook(str(source), str(executed), engine_name=NAME, log_output=True, progress_bar=False)
    messages = [record.getMessage() for record in caplog.records]
    assert not any("Styler" in message for message in messages)
    told = [message for message in messages if "ranking" in message]
    assert told == ["ranking: 0%", "ranking: 50%", "ranking: 100%"]
    reader = Progress()
    for record in caplog.records:
        reader.emit(record)
    assert (reader.cell, reader.line) == (1, "ranking: 100%")
    output, shown = nbformat.read(executed, 4).cells[0].outputs
    assert output.data["text/plain"] == "ranking: 100%" and "text/html" in shown.data
