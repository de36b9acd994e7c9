"""What is printed when notebooks have run: seconds and sizes, scores, and where everything is."""

import csv
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bmnas.errors import RunError
from bmnas.searching.run_folder import open_run
from bmnas.storage.reading import parse_json, read_text


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
    return "\n".join(lines + ([f"  results of the run   {run}"] if run else []))


def run_of(name: str | None, dataset: str) -> Path | None:
    """The folder of the run that the notebooks worked on; None where there is none yet."""
    try:
        return open_run(name, dataset).folder
    except RunError:
        return None


def scores(run: Path) -> list[str]:
    """The rows of a run's evaluation.json and ablation.csv as text; what is not there (yet) is left out, and of a file
    that is damaged it is said.
    """
    lines: list[str] = []
    for title, name, read in (
        ("test scores", "evaluation.json", lambda text: rows_in(parse_json(text))),
        ("ablation (Tables 6 and 7)", "ablation.csv", lambda text: csv.DictReader(text.splitlines())),
    ):
        if (run / name).is_file():
            try:
                each = [score_line(row) for row in read(read_text(run / name))]
                rows = list(dict.fromkeys(each))  # a method that is in both tables once
            except (OSError, ValueError, TypeError, KeyError, AttributeError, csv.Error) as error:
                rows = [f"    cannot be read ({error}); run the notebook that makes it again"]
            lines += [f"  {title}, mean ± standard deviation over the seeds ({name})", *rows]
    return lines


def score_line(row: Mapping[str, Any]) -> str:
    """One method's scores, in percent; a method without training has one score and no deviation."""
    name = row.get("method") or row.get("name")
    seeds = len(row["scores"]) if "scores" in row else int(row.get("seeds") or 2)
    spread = f"± {100 * float(row['std']):5.2f} %" if seeds > 1 else "%"
    return f"    {name!s:<48}{100 * float(row['mean']):6.2f} {spread:<9} {row.get('metric', '')}"


def rows_in(data: Any) -> Iterator[dict[str, Any]]:
    """Every object inside JSON data that states a mean and a standard deviation."""
    if isinstance(data, dict) and {"mean", "std"} <= set(data):
        yield data
    elif isinstance(data, dict | list):
        for inner in data.values() if isinstance(data, dict) else data:
            yield from rows_in(inner)


def megabytes(path: Path | None) -> str:
    """The size of a file as text; "-" for none."""
    return f"{path.stat().st_size / 1e6:.1f} MB" if path else "-"
