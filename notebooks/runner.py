"""Runs notebooks by papermill, in order, and leaves executed notebooks, HTML pages and a summary.

    python notebooks/runner.py                      all of them
    python notebooks/runner.py 02 03 -p dataset ntu some of them, with parameters

Parameters are checked first: one that no chosen notebook knows is refused, and each notebook gets those that it knows
(papermill itself only logs an unknown one). Everything is written to runs/_notebooks/<run name or dataset>/; files of
the same name that were there go to earlier/<date>/ below it.
"""

import argparse
import ast
import json
import logging
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import papermill
from papermill.exceptions import PapermillExecutionError

from bmnas.errors import BmnasError
from bmnas.paths import runs_root
from bmnas.registry import unknown
from notebooks.summary import Report, run_of, summarise

FOLDER = Path(__file__).resolve().parent
TICK = 10.0  # seconds between two lines about a notebook at work
BAR = re.compile(r"\|[ #\u2580-\u259f]*\|")  # the drawn part of a tqdm bar


def say(text: str) -> None:
    """Prints at once, so that a log shows what is going on."""
    print(text, flush=True)


def choose(names: Sequence[str]) -> list[Path]:
    """The notebooks whose number ("2", "02") or name ("02_search") is given, in order; all of them for no names.

    Raises:
        UnknownNameError: lists the notebooks there are, nearest first.
        BmnasError: there are none.
    """
    known = {path.stem: path for path in sorted(FOLDER.glob("[0-9][0-9]_*.ipynb"))}
    if not known:
        raise BmnasError(f"no notebooks named like 01_something.ipynb in {FOLDER}")
    chosen = []
    for name in names:
        stem = Path(name).stem
        found = [path for key, path in known.items() if key == stem or key.startswith(f"{stem:0>2}_")]
        if not found:
            raise unknown("notebook", name, known)
        chosen += found
    return sorted(set(chosen)) if names else list(known.values())


def known_parameters(notebook: Path) -> dict[str, Any]:
    """The parameters of a notebook and their defaults, as its tagged cell states them."""
    inspected = papermill.inspect_notebook(str(notebook))
    return {name: parse(str(parameter["default"])) for name, parameter in inspected.items()}


def parse(text: str) -> Any:
    """A Python literal where the text is one (5, 1e-3, None, True, [0, 1], "a"), else the text itself."""
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text


def assign(notebooks: Sequence[Path], parameters: dict[str, Any]) -> dict[Path, dict[str, Any]]:
    """Notebook -> those of the parameters that it knows.

    Raises:
        UnknownNameError: no notebook knows one of them; the known ones are listed, nearest first.
    """
    known = {notebook: known_parameters(notebook) for notebook in notebooks}
    everywhere = sorted({name for names in known.values() for name in names})
    for name in parameters:
        if name not in everywhere:
            raise unknown("parameter", name, everywhere)
    return {notebook: {k: v for k, v in parameters.items() if k in known[notebook]} for notebook in notebooks}


class Progress(logging.Handler):
    """Where a notebook is, read from what papermill logs: the cell, and the last line that the cell printed."""

    def __init__(self) -> None:
        super().__init__()
        self.cell = 0
        self.line = ""

    def emit(self, record: logging.LogRecord) -> None:
        text = record.getMessage()
        if begun := re.match(r"Executing Cell (\d+)-", text):
            self.cell, self.line = int(begun[1]), ""
        elif not re.match(r"Ending Cell|Executing notebook|Input Notebook|Output Notebook|\[figure", text):
            printed = [line.strip() for line in re.split(r"[\r\n]+", BAR.sub(" ", text)) if line.strip()]
            self.line = printed[-1] if printed else self.line


@contextmanager
def telling(label: str, cells: int) -> Iterator[None]:
    """Prints a line every TICK seconds about the notebook at work."""
    progress, stop, started = Progress(), threading.Event(), time.monotonic()
    logger = logging.getLogger("papermill")
    before = (logger.level, logger.propagate)
    logger.setLevel(logging.INFO)
    logger.propagate = False
    logger.addHandler(progress)

    def tell() -> None:
        while not stop.wait(TICK):
            passed = f"{time.monotonic() - started:4.0f} s"
            say(f"  {label}  {passed}  cell {progress.cell} of {cells}  {progress.line[:90]}".rstrip())

    teller = threading.Thread(target=tell, daemon=True)
    teller.start()
    try:
        yield
    finally:
        stop.set()
        teller.join()
        logger.removeHandler(progress)
        logger.setLevel(before[0])
        logger.propagate = before[1]


def execute(notebook: Path, parameters: dict[str, Any], folder: Path) -> Report:
    """Executes one notebook into `folder`; the file is there also where a cell failed."""
    executed, started, error = folder / notebook.name, time.monotonic(), None
    set_aside(executed, executed.with_suffix(".html"))
    cells = len(json.loads(notebook.read_text(encoding="utf-8"))["cells"]) + bool(parameters)  # papermill adds one
    with telling(notebook.stem, cells):
        try:
            papermill.execute_notebook(
                str(notebook),
                str(executed),
                parameters,
                kernel_name="python3",
                progress_bar=False,
                log_output=True,
                extra_arguments=["--IPKernelApp.log_level=CRITICAL"],  # no lines about the kernel's transport and end
            )
        except PapermillExecutionError as failed:
            error = f"{failed.ename}: {failed.evalue}"
    return Report(notebook, executed, None, time.monotonic() - started, error)


def set_aside(*files: Path) -> None:
    """Moves files that are there to earlier/<date of the first>/, so that nothing is overwritten."""
    there = [path for path in files if path.exists()]
    if there:
        date = datetime.fromtimestamp(there[0].stat().st_mtime).strftime("%Y%m%d-%H%M%S-%f")
        folder = there[0].parent / "earlier" / date
        folder.mkdir(parents=True, exist_ok=True)
        for path in there:
            path.rename(folder / path.name)


def export(executed: Path) -> Path | None:
    """The HTML page of an executed notebook, beside it; None, with the reason printed, where that fails."""
    command = [sys.executable, "-m", "widgets.export", str(executed)]
    done = subprocess.run(command, capture_output=True, text=True)
    page = executed.with_suffix(".html")
    if done.returncode == 0 and page.is_file():
        return page
    reason = (done.stderr or done.stdout).strip().splitlines() or [f"no {page.name} was written"]
    say(f"  no HTML of {executed.name}: {reason[-1]}")
    return None


def run_all(plan: dict[Path, dict[str, Any]], folder: Path) -> list[Report]:
    """Executes the notebooks in order, up to the first that fails; a page is made while the next one works."""
    folder.mkdir(parents=True, exist_ok=True)
    reports: list[Report] = []
    with ThreadPoolExecutor(max_workers=1) as exporter:
        pages = []
        for number, (notebook, parameters) in enumerate(plan.items(), start=1):
            settings = " ".join(f"{k}={v}" for k, v in parameters.items())
            say(f"[{number}/{len(plan)}] {notebook.stem} {settings}".rstrip())
            reports.append(execute(notebook, parameters, folder))
            pages.append(exporter.submit(export, reports[-1].executed))
            if reports[-1].error:
                break
        return [replace(report, page=page.result()) for report, page in zip(reports, pages, strict=True)]


def arguments(given: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="run.py notebook", description="Runs notebooks in order by papermill.")
    parser.add_argument("notebooks", nargs="*", help="numbers or names (02, 02_search); none: all")
    parser.add_argument("--dataset", help="short for -p dataset NAME")
    parser.add_argument("--run-name", help="short for -p run_name NAME")
    parser.add_argument("-p", nargs=2, action="append", default=[], metavar=("NAME", "VALUE"), help="a parameter")
    return parser.parse_args(given)


def main(given: Sequence[str] | None = None) -> int:
    """Runs what the command line asks for -> exit status."""
    options = arguments(given)
    parameters = {name: parse(value) for name, value in options.p}
    shorts = {"dataset": options.dataset, "run_name": options.run_name}
    parameters |= {name: value for name, value in shorts.items() if value is not None}
    try:
        plan = assign(choose(options.notebooks), parameters)
    except BmnasError as error:
        say(str(error))
        return 2
    dataset = parameters.get("dataset") or known_parameters(next(iter(plan))).get("dataset") or "notebooks"
    folder = runs_root() / "_notebooks" / str(parameters.get("run_name") or dataset)
    reports = run_all(plan, folder)
    say(summarise(reports, folder, run_of(parameters.get("run_name"), str(dataset))))
    return int(any(report.error or not report.page for report in reports))


if __name__ == "__main__":
    sys.exit(main())
