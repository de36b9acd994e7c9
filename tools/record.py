"""One notebook executed, and its record: the executed notebook and its HTML page.

Both are made in unfinished/ and take their places when both are there, so that the last good record stays until then;
it is moved to earlier/<date>/, not overwritten. The record of a notebook that failed stays in unfinished/.
"""

import json
import time
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import papermill
from papermill.exceptions import PapermillExecutionError

from tools import engine
from tools.progress import say, telling
from tools.summary import Report

UNFINISHED, EARLIER = "unfinished", "earlier"


def execute(notebook: Path, parameters: dict[str, Any], folder: Path) -> Report:
    """Executes one notebook into `folder`/unfinished; the file is there also where a cell failed.

    Not for the main thread: there nbclient takes Ctrl-C and SIGTERM for itself, and reports the kernel that it then
    stops as dead.
    """
    executed = folder / UNFINISHED / notebook.name
    started = time.monotonic()
    error = None
    executed.parent.mkdir(parents=True, exist_ok=True)
    set_aside(folder, executed, executed.with_suffix(".html"))
    cells = len(json.loads(notebook.read_text(encoding="utf-8"))["cells"]) + bool(parameters)  # papermill adds one
    with telling(notebook.stem, cells) as progress:
        try:
            _run(notebook, executed, parameters)
        except PapermillExecutionError as failed:
            error = f"{failed.ename}: {failed.evalue}"
        except RuntimeError as died:  # nbclient's DeadKernelError, or a kernel that did not start
            error = (
                f"its kernel ended in cell {progress.cell} of {cells} ({died}). It was killed from outside, or the "
                "memory was not enough (smaller: batch_size, samples, C). What was finished is kept"
            )
    return Report(notebook, executed, None, time.monotonic() - started, error)


def _run(notebook: Path, executed: Path, parameters: dict[str, Any]) -> None:
    papermill.execute_notebook(
        str(notebook),
        str(executed),
        parameters,
        engine_name=engine.NAME,
        kernel_name="python3",
        progress_bar=False,
        log_output=True,
        extra_arguments=["--IPKernelApp.log_level=CRITICAL"],  # no lines about the kernel's transport and end
    )


def export(executed: Path) -> Path | None:
    """Exports the HTML page of an executed notebook, beside it; None, with the reason printed, where that fails."""
    from widgets.notebook.export import (
        export_html,  # here, for it takes two seconds, and the next notebook works meanwhile
    )

    try:
        return export_html(executed)
    except Exception as error:  # of nbconvert, of a full disk: the executed notebook is there all the same
        say(f"  no HTML of {executed.name}: {error or type(error).__name__}")
        return None


def finish(report: Report, page: Path | None, folder: Path) -> Report:
    """Puts a complete record in its place; one that failed, or has no page, stays where it is."""
    good = folder / report.executed.name
    if report.error or page is None:
        if good.is_file():
            say(f"  the last good {good.stem} stays in {folder}")
        return replace(report, page=page)
    before = set_aside(folder, good, good.with_suffix(".html"))
    if before:
        say(f"  the {good.stem} of before is in {before}")
    for path in (report.executed, page):
        path.rename(folder / path.name)
    return replace(report, executed=good, page=folder / page.name)


def set_aside(folder: Path, *files: Path) -> Path | None:
    """Moves files that are there to `folder`/earlier/<date of the first>/, so that nothing is overwritten."""
    there = [path for path in files if path.exists()]
    if not there:
        return None
    date = datetime.fromtimestamp(there[0].stat().st_mtime).strftime("%Y%m%d-%H%M%S-%f")
    place = folder / EARLIER / date
    place.mkdir(parents=True, exist_ok=True)
    for path in there:
        path.rename(place / path.name)
    return place
