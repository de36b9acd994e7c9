"""Runs notebooks by papermill, in order, and leaves executed notebooks, HTML pages and a summary.

    python tools/runner.py                      all of them
    python tools/runner.py 02 03 -p dataset ntu some of them, with parameters
    python tools/runner.py --at-once 1          each after the other

Those after the search only read what it found, so they run side by side, one more than there are cores (each waits for
its browser now and then).
Parameters are checked first: one that no chosen notebook knows is refused, and each notebook gets those that it knows
(papermill itself only logs an unknown one). Everything is written to runs/_notebooks/<run name or dataset>/; records
of the same name that were there go to earlier/<date>/ below it when the new ones are complete.
"""

import argparse
import ast
import json
import os
import shlex
import signal
import sys
import threading
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import papermill

import bmnas.tasks  # noqa: F401  (fills TASKS)
from bmnas.errors import BmnasError
from bmnas.machine import runs_root
from bmnas.registry import TASKS, unknown
from bmnas.searching.run_folder import check_run_name
from tools.children import STOPS
from tools.progress import say
from tools.record import UNFINISHED, execute, export, finish
from tools.summary import Report, run_of, summarise
from widgets.notebook.cells import check_types

FOLDER = Path(__file__).resolve().parents[1] / "notebooks"
SEARCH = "02_search"  # what comes after it in order needs nothing but the search


def choose(names: Sequence[str]) -> list[Path]:
    """Chooses the notebooks whose number ("2", "02") or name ("02_search") is given, in order; all for no names.

    Raises:
        UnknownNameError: lists the notebooks there are, nearest first.
        BmnasError: there are none.
    """
    notebooks = {path.stem: path for path in sorted(FOLDER.glob("[0-9][0-9]_*.ipynb"))}
    if not notebooks:
        raise BmnasError(f"no notebooks named like 01_something.ipynb in {FOLDER}")
    chosen = []
    for name in names:
        stem = Path(name).stem
        matches = [path for key, path in notebooks.items() if key == stem or key.startswith(f"{stem:0>2}_")]
        if not matches:
            raise unknown("notebook", name, notebooks)
        chosen += matches
    return sorted(set(chosen)) if names else list(notebooks.values())


def known_parameters(notebook: Path) -> dict[str, Any]:
    """Reads the parameters of a notebook and their defaults, as its tagged cell states them."""
    inspected = papermill.inspect_notebook(str(notebook))
    return {name: parse(str(parameter["default"])) for name, parameter in inspected.items()}


def parse(text: str) -> Any:
    """Reads a Python literal where the text is one (5, 1e-3, None, True, [0, 1], "a"), else the text itself."""
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text


def assign(notebooks: Sequence[Path], parameters: dict[str, Any]) -> dict[Path, dict[str, Any]]:
    """Gives each notebook those of the parameters that it knows.

    Raises:
        UnknownNameError: no notebook knows one of them; the known ones are listed, nearest first.
        ConfigError: one is of another type than a notebook declares.
    """
    defaults = {notebook: known_parameters(notebook) for notebook in notebooks}
    everywhere = sorted({name for names in defaults.values() for name in names})
    for name in parameters:
        if name not in everywhere:
            raise unknown("parameter", name, everywhere)
    plan = {notebook: {k: v for k, v in parameters.items() if k in defaults[notebook]} for notebook in notebooks}
    for notebook, values in plan.items():
        check_types(first_cell(notebook), values)
    return plan


def first_cell(notebook: Path) -> str:
    """Returns the source of the cell that states a notebook's parameters; "" where there is none."""
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    tagged = [cell for cell in cells if "parameters" in cell["metadata"].get("tags", ())]
    return "".join(tagged[0]["source"]) if tagged else ""


def check_dataset(parameters: dict[str, Any]) -> None:
    """Raises:
    UnknownNameError: there is no such data set; lists those there are, nearest first.
    """
    if parameters.get("dataset") is not None:
        TASKS[str(parameters["dataset"])]


def run_all(plan: dict[Path, dict[str, Any]], folder: Path, at_once: int) -> list[Report]:
    """Executes the notebooks up to the first that fails: in order, and those after the search up to `at_once` at once.

    A page is made while the next notebook works.

    Raises:
        KeyboardInterrupt: at once, by whatever signal; the kernels end with this process.
    """
    folder.mkdir(parents=True, exist_ok=True)
    lanes = ThreadPoolExecutor(at_once)
    exporter = ThreadPoolExecutor(1)
    failed = threading.Event()

    def work(number: int, notebook: Path) -> Future[Report] | None:
        if failed.is_set():
            return None
        settings = " ".join(f"{k}={v}" for k, v in plan[notebook].items())
        say(f"[{number}/{len(plan)}] {notebook.stem} {settings}".rstrip())
        report = execute(notebook, plan[notebook], folder)
        say(f"  {notebook.stem}  {report.seconds:4.0f} s  {f'failed: {report.error}' if report.error else 'done'}")
        if report.error:
            failed.set()
        return exporter.submit(page_and_finish, report, folder)

    try:
        begun = []
        for number, notebook in enumerate(plan, start=1):
            begun.append(lanes.submit(work, number, notebook))
            if notebook.stem <= SEARCH:
                begun[-1].result()
        pages = [each.result() for each in begun]
    except KeyboardInterrupt:
        lanes.shutdown(wait=False, cancel_futures=True)
        raise
    reports = [page.result() for page in pages if page is not None]
    with suppress(OSError):  # it holds what failed
        (folder / UNFINISHED).rmdir()
    return reports


def page_and_finish(report: Report, folder: Path) -> Report:
    """Makes the page, and puts the record in its place."""
    return finish(report, export(report.executed), folder)


def cores() -> int:
    """Counts the CPU cores that this process may use, at least 1."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def whole_number(text: str) -> int:
    """Raises:
    ValueError: not a whole number of at least 1.
    """
    if int(text) < 1:
        raise ValueError(text)
    return int(text)


whole_number.__name__ = "whole number of at least 1"  # what argparse calls it


def arguments(words: Sequence[str]) -> argparse.Namespace:
    """Parses the command line."""
    parser = argparse.ArgumentParser(prog="run.py notebook", description="Runs notebooks in order by papermill.")
    parser.add_argument("notebooks", nargs="*", help="numbers or names (02, 02_search); none: all")
    parser.add_argument("--dataset", help="short for -p dataset NAME")
    parser.add_argument("--run-name", help="short for -p run_name NAME")
    parser.add_argument(
        "-p", nargs=2, action="append", default=[], metavar=("NAME", "VALUE"), help="a parameter, as in: -p epochs 5"
    )
    parser.add_argument(
        "--at-once",
        type=whole_number,
        default=cores() + 1,
        metavar="N",
        help="how many of the notebooks after the search run side by side (default: cores + 1)",
    )
    return parser.parse_args(words)


def main(words: Sequence[str]) -> int:
    """Runs what the command line asks for -> exit status."""
    options = arguments(words)
    shorts = {"dataset": options.dataset, "run_name": options.run_name}
    pairs = [*((name, parse(value)) for name, value in options.p), *shorts.items()]
    parameters: dict[str, Any] = {}
    try:
        for name, value in pairs:
            if value is None and name in shorts:
                continue
            if parameters.setdefault(name, value) != value:
                raise BmnasError(f"{name} is given twice, as {parameters[name]!r} and as {value!r}; give it once")
        plan = assign(choose(options.notebooks), parameters)
        check_dataset(parameters)
        if parameters.get("run_name") is not None:
            check_run_name(str(parameters["run_name"]))
    except BmnasError as error:
        say(str(error))
        return 2
    dataset = parameters.get("dataset") or known_parameters(next(iter(plan))).get("dataset") or "notebooks"
    folder = runs_root() / "_notebooks" / str(parameters.get("run_name") or dataset)
    again = shlex.join(["python3", "run.py", *(["notebook"] if words else []), *words])
    try:
        reports = run_all(plan, folder, options.at_once)
    except KeyboardInterrupt:
        say(f"\nstopped; what was finished is kept. To resume: {again}")
        return 130
    say(summarise(reports, folder, run_of(parameters.get("run_name"), str(dataset))))
    failed = any(report.error or not report.page for report in reports)
    if failed:
        say(f"  to resume            {again}")
    return int(failed)


def stop(number: int, _frame: Any) -> None:
    """Ends this process as Ctrl-C does, on SIGTERM and SIGHUP; a second signal changes nothing."""
    for each in STOPS:
        signal.signal(each, signal.SIG_IGN)
    raise KeyboardInterrupt


def command_line() -> None:
    """Runs `main` for this process, which then ends."""
    for each in STOPS:
        signal.signal(each, stop)
    status = main(sys.argv[1:])
    if status == 130:  # a notebook is at work still in another thread; its kernel ends with this process
        os._exit(status)
    sys.exit(status)


if __name__ == "__main__":
    command_line()
