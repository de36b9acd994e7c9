"""What is printed when notebooks have run: seconds and sizes, scores, and where everything is."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import Any

from bmnas.errors import BmnasError, RunError
from bmnas.evaluation.saved_results import ABLATION, EVALUATION, load_ablation, load_evaluation
from bmnas.rivals.field.table import winners_sentence
from bmnas.searching.run_folder import Run
from bmnas.searching.run_list import open_run
from bmnas.trust.diagnosis import load_verdict


@dataclass(frozen=True)
class Report:
    """What came of one notebook."""

    notebook: Path
    executed: Path
    page: Path | None  # None: no HTML could be made
    seconds: float
    error: str | None = None


def summarise(reports: Sequence[Report], folder: Path, run: Path | None) -> str:
    """Seconds and sizes by notebook, scores where there are some, and where everything is."""
    rows = [
        f"  {r.notebook.stem:<24}{r.seconds:>6.0f} s {megabytes(r.executed):>9} {megabytes(r.page):>9}  "
        f"{'failed' if r.error else 'done'}"
        for r in reports
    ]
    lines = ["", f"  {'notebook':<24}{'time':>8} {'notebook':>9} {'page':>9}", *rows]
    failed = [r for r in reports if r.error]
    if failed:
        for r in failed:
            lines += ["", f"{r.notebook.name} failed: {r.error}", f"  see {r.executed}"]
    elif run:
        lines += ["", *scores(run)]
    lines += ["", f"  notebooks and pages  {folder}"]
    return "\n".join(lines + ([f"  results of the run   {run}"] if run and not failed else []))


def run_of(name: str | None, dataset: str) -> Path | None:
    """Returns the folder of the run that the notebooks worked on; None where there is none yet."""
    try:
        return open_run(name, dataset).folder
    except RunError:
        return None


def scores(folder: Path) -> list[str]:
    """Returns the scores of a run's evaluation.json and ablation.csv as text lines.

    A file that does not exist is left out; for a damaged one the error is printed.
    """
    run = Run(folder)
    lines: list[str] = []
    for title, name, load_rows in (
        ("test scores", EVALUATION, lambda: [result.row() for result in load_evaluation(run)]),
        ("ablation (Tables 6 and 7)", ABLATION, lambda: load_ablation(run).to_dict("records")),
    ):
        if run.path(name).is_file():
            try:
                rows = list(dict.fromkeys(map(score_line, load_rows())))  # a method that is in both tables once
            except RunError as error:
                rows = [f"    cannot be read ({error}); run the notebook that makes it again"]
            lines += [f"  {title}, mean over the seeds and its 95 % interval ({name})", *rows]
    return [*lines, *verdicts(run)]


def verdicts(run: Run) -> list[str]:
    """Returns what the scores and the diagnosis of a run say, a sentence a line; nothing of what was not made."""
    sentences = []
    for make in (lambda: winners_sentence(load_evaluation(run)), lambda: load_verdict(run)):
        try:
            sentences.append(make())
        except BmnasError:  # missing or damaged, which is said above, or of methods that cannot be compared
            continue
    lines = [f"    {line}" for line in filter(None, sentences)]
    return ["  what they say", *lines] if lines else []


def score_line(row: Mapping[str, Any]) -> str:
    """Returns one method's score in per cent with its interval; a trained method with one seed has none."""
    ends = [row.get(end) for end in ("low", "high")]  # older files have no intervals
    bounds = [100 * end for end in ends if isinstance(end, float) and isfinite(end)]
    interval = f" ({bounds[0]:.2f} to {bounds[1]:.2f})" if len(bounds) == 2 else ""
    return f"    {row['method']!s:<56}{100 * row['mean']:6.2f} %{interval:<18} {row['metric']}"


def megabytes(path: Path | None) -> str:
    """Returns the size of a file as text; "-" for none."""
    return f"{path.stat().st_size / 1e6:.1f} MB" if path else "-"
