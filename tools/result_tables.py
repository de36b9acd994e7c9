"""Tables of measured numbers for the documentation, made from the files that the benchmarks write."""

import json
import statistics
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bmnas.evaluation.estimates import estimate

RESULTS = Path(__file__).resolve().parents[1] / "benchmarks" / "results"
SEARCHED, SUM, TUNED = "searched", "late fusion: sum", "late fusion: tuned"  # methods in tasks.json
Quartiles = Mapping[str, float]  # "median", "low" and "high"


def load_results(name: str) -> dict[str, Any]:
    """Reads `benchmarks/results/<name>.json`."""
    return json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))


def tasks_table(results: Mapping[str, Any]) -> str:
    """Writes what a search is worth on every small data set, see `benchmarks/tasks.py`."""
    headings = (
        "task",
        "searched",
        "best single modality",
        "late fusion: sum, regression",
        "searched less regression, 95 % interval",
        "spread of the truth: pairs, seeds",
        "rank of each search (Algorithm 1)",
    )
    return table(headings, [task_cells(name, story) for name, story in results.items()])


def task_cells(name: str, story: Mapping[str, Any]) -> list[str]:
    """Writes one line of `tasks_table`."""
    test = {method: 100 * statistics.fmean(scores) for method, scores in story["test"].items()}
    deviation = 100 * statistics.stdev(story["test"][SEARCHED])
    alone = max((method for method in test if method.endswith(" alone")), key=lambda method: test[method])
    against = next(row for row in story["comparisons"] if row["rival"] == TUNED)
    interval = f"{100 * against['low']:+.1f} to {100 * against['high']:+.1f}"
    cells = [
        f"`{name}`",
        f"{test[SEARCHED]:.1f} ± {deviation:.1f}",
        f"{test[alone]:.1f} ({alone.removesuffix(' alone')})",
        f"{f'{test[SUM]:.1f}' if SUM in test else '-'}, {test[TUNED]:.1f}",
        f"{100 * against['difference']:+.1f} ({interval}): {against['verdict']}",
    ]
    truth = story["truth"]
    if truth is None:
        return [*cells, "-", "-"]
    ranks, plain = ([str(row["rank"]) for row in story[rule]] for rule in ("shortlist", "algorithm1"))
    return [
        *cells,
        f"{100 * truth['std_over_pairs']:.1f}, {100 * truth['std_over_seeds']:.1f}",
        f"{', '.join(ranks)} ({', '.join(plain)}) of {truth['networks']}",
    ]


def table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Writes a Markdown table."""
    lines = [headings, ["---"] * len(headings), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def pairs_table(task: str) -> str:
    """Writes the best score of each pair of features in the truth of a data set, see `benchmarks/tasks.py`."""
    best = load_results("tasks")[task]["truth"]["best_of_pair"]
    rows = [["`" + pair.replace(" ", "`, `") + "`", f"{100 * score:.1f}"] for pair, score in best.items()]
    return table(("features", "best network"), rows)


def layers_table(results: Mapping[str, Any]) -> str:
    """Writes what each feature knows alone and in its best fusions, see `benchmarks/layers.py`."""
    headings = ("case", "feature", "linear probe", "best fusion with a feature of Image", "of Text")
    rows = []
    for case, measured in results.items():
        for feature, scores in measured["probes"].items():
            best = measured["truth"]["best"][feature] if measured["truth"] else {}
            fusions = (f"{100 * best[other]:.1f}" if other in best else "-" for other in ("Image", "Text"))
            rows.append([f"`{case}`", f"`{feature}`", mean_and_deviation(scores), *fusions])
        for method, scores in measured["untrained"].items():
            rows.append([f"`{case}`", method, mean_and_deviation(scores), "-", "-"])
    return f"{table(headings, rows)}\n\n{margins_table(results)}"


def margins_table(results: Mapping[str, Any]) -> str:
    """Writes by how much the best earlier layer of Image knows more than the last one, see `benchmarks/layers.py`."""
    headings = ("case", "last layer", "best earlier one", "its probe less the last one's", "its best fusion less that")
    rows = []
    for case, measured in results.items():
        *earlier, last = measured["modalities"]["Image"]
        probes = measured["probes"]
        first = max(earlier, key=lambda name: statistics.fmean(probes[name]))
        differences = [high - low for high, low in zip(probes[first], probes[last], strict=True)]
        fusion = "-"
        if measured["truth"]:
            best = measured["truth"]["best"]
            fusion = f"{100 * (max(best[first].values()) - max(best[last].values())):+.1f}"
        rows.append([f"`{case}`", f"`{last}`", f"`{first}`", signed_mean_and_deviation(differences), fusion])
    return table(headings, rows)


def signed_mean_and_deviation(differences: Sequence[float]) -> str:
    """Writes differences of accuracies in points."""
    return f"{100 * statistics.fmean(differences):+.1f} ± {100 * statistics.stdev(differences):.1f}"


def mean_and_deviation(scores: Sequence[float]) -> str:
    """Writes accuracies in per cent."""
    percent = [100 * score for score in scores]
    return f"{statistics.fmean(percent):.1f} ± {statistics.stdev(percent):.1f}"


def step_table(results: Mapping[str, Any]) -> str:
    """Writes milliseconds and ratios of a search step, see `benchmarks/step.py`."""
    columns = ("transcription", "transcription, no pooling", "reference, formula", "reference, algebra")
    headings = (
        "case",
        "step",
        "release style / algebra",
        "formula / algebra",
        "release style",
        "its pooling left out",
        "formula",
        "algebra",
    )
    rows = []
    for case, measured in results["cases"].items():
        for step in ("weight", "arch"):
            variants = [measured["cpu"][column][step] for column in columns]
            low, high = variants[-1]["ratio_quartiles"]
            rows.append([
                case,
                step,
                f"{variants[-1]['ratio']:.1f} [{low:.1f}, {high:.1f}]",
                f"{variants[-1]['formula_ratio']:.1f}",
                *(f"{variant['median_ms']:.0f}" for variant in variants),
            ])  # fmt: skip
    measured_on = f"{results['rounds']} rounds on {results['processor']}, {results['instructions']}"
    return f"{table(headings, rows)}\n\nMilliseconds of CPU time: medians of {measured_on}."


def seeds_table(results: Mapping[str, Any]) -> str:
    """Writes what several seeds at once cost, see `benchmarks/seeds.py`."""
    headings = ("seeds", "at once", "one after another", "gain", "times one seed", "operations of a weight step")
    rows = []
    for seeds, row in results["seeds"].items():
        cells = ["-", f"{row['ms']:.0f} ms", "-", "1"]
        if "separate_ms" in row:
            ratios = quartiles(row["separate / at once"]), quartiles(row["at once / one"])
            cells = [f"{row['ms']:.0f} ms", f"{row['separate_ms']:.0f} ms", *ratios]
        rows.append([seeds, *cells, str(row["operations"])])
    return table(headings, rows)


def workers_table(results: Mapping[str, Any]) -> str:
    """Writes how long the same jobs take by several workers, see `benchmarks/workers.py`."""
    headings = ("workers", "wall seconds", "share of one worker's", "in proportion")
    rows = [
        [count, quartiles(row["seconds"]), quartiles(row["of one worker"], 2), f"{1 / int(count):.2f}"]
        for count, row in results["workers"].items()
    ]
    return table(headings, rows)


def scaling_table(results: Mapping[str, Any]) -> str:
    """Writes how a search step grows with each size, see `benchmarks/scaling.py`."""
    variants = dict.fromkeys(name for rows in results["sizes"].values() for row in rows.values() for name in row)
    headings = ("size", "from, to", *(f"{name} grows" for name in variants))
    rows = []
    for size, steps in results["sizes"].items():
        smallest, *_, largest = steps
        growth = [steps[largest].get(name) for name in variants]
        cells = ["-" if each is None else f"{each['times the smallest']['median']:.1f}" for each in growth]
        rows.append([size, f"{smallest} to {largest}", *cells])
    return table(headings, rows)


def extraction_table(results: Mapping[str, Any]) -> str:
    """Writes which share of the bare backbone's pace an extraction has, see `benchmarks/extraction.py`."""
    rows = [[name, quartiles(row["share"], 2)] for name, row in results["backbones"].items()]
    return table(("backbone", "share of its bare pace"), rows)


def memory_table(results: Mapping[str, Any]) -> str:
    """Writes measured and foreseen memory of a search, see `benchmarks/memory.py`."""
    rows = [[name, *(f"{row[key]:.0f}" for key in ("measured_mb", "foreseen_mb"))]
            for name, row in results["settings"].items()]  # fmt: skip
    return table(("setting", "measured, MB", "foreseen, MB"), rows)


def on_disk_table(results: Mapping[str, Any]) -> str:
    """Writes what an epoch costs where features stay on the disk, see `benchmarks/on_disk.py`."""
    rows = [[name, quartiles(row, 2)] for name, row in results["disk / memory"].items()]
    headings = ("files in the cache of the system", "time of an epoch, disk / memory")
    return table(headings, rows)


def read_out_table(results: Mapping[str, Any]) -> str:
    """Writes what each read-out loses to the best network, in points, see `benchmarks/read_out.py`."""
    headings = (
        "truth table",
        "read-out",
        "mean regret (95 %)",
        "worst",
        "less last features (95 %)",
        "% of networks below",
        "Kendall tau",
        "cost in short trainings",
        "the table's best was",
        "seeds",
    )
    lines = []
    for name, seeds in results["tables"].items():
        rows = list(seeds.values())
        for rule in rows[0]:
            regrets = [row[rule]["regret"] for row in rows if row[rule]["regret"] is not None]
            if not regrets:
                continue
            taus = [row[rule]["tau"] for row in rows if "tau" in row[rule]]
            cost = statistics.fmean(row[rule]["cost"] for row in rows)
            others = [row["last features"]["regret"] for row in rows if rule != "last features"]
            paired = [] if None in others or not others else [a - b for a, b in zip(regrets, others, strict=True)]
            regret = mean_interval(regrets), f"{100 * max(regrets):.2f}", mean_interval(paired) if paired else "-"
            tau = f"{statistics.fmean(taus):.2f}" if taus else "-"
            below = [100 * row[rule]["share below"] for row in rows if "share below" in row[rule]]
            share = f"{statistics.fmean(below):.1f} (least {min(below):.1f})" if below else "-"
            fate = fate_of_the_best(rows, rule)
            lines.append([f"`{name}`", rule, *regret, share, tau, f"{cost:.1f}", fate, str(len(rows))])
        for limit, row in results["limits"].get(name, {}).items():
            tau = f"{row['tau']:.2f}" if "tau" in row else "-"
            lines.append([f"`{name}`", f"limit: {limit}", f"{100 * row['regret']:.2f}", *3 * ["-"], tau, *3 * ["-"]])
    return table(headings, lines)


def mean_interval(shares: Sequence[float]) -> str:
    """Writes a mean in points with its 95 % interval by Student's t; without one where all are equal."""
    known = estimate(100 * np.array(shares))
    ends = " to ".join(f"{end:.2f}" for end in known.interval())
    return f"{known.mean:.2f}" + (f" ({ends})" if 0 < known.error < np.inf else "")


def fate_of_the_best(rows: Sequence[Mapping[str, Any]], rule: str) -> str:
    """Counts how often the best network of a truth table was taken, lost among the candidates, or was none of them.

    And how often another was taken that scores as much on val or more, so that no rule that reads val would prefer it.
    """
    if "best was trained for" not in rows[0][rule]:
        return "-"
    taken = sum(row[rule]["regret"] <= 0 for row in rows)
    candidate = sum(row[rule]["best was trained for"] > 0 or row[rule]["regret"] <= 0 for row in rows)
    misled = sum(row[rule]["regret"] > 0 and row[rule].get("lead on val", -1) >= 0 for row in rows)
    fate = f"taken {taken}, lost {candidate - taken}, no candidate {len(rows) - candidate}"
    return f"{fate}; not better on val {misled}"


def quartiles(values: Quartiles | float, digits: int = 1) -> str:
    """Writes a median with its quartiles in brackets, or a single number."""
    if not isinstance(values, Mapping):
        return f"{values:.{digits}f}"
    median, low, high = (f"{values[key]:.{digits}f}" for key in ("median", "low", "high"))
    return f"{median} [{low}, {high}]"


TABLES = {
    "tasks": tasks_table,
    "layers": layers_table,
    "step": step_table,
    "step_avx2": step_table,
    "step_family25": step_table,
    "seeds": seeds_table,
    "workers": workers_table,
    "scaling": scaling_table,
    "extraction": extraction_table,
    "memory": memory_table,
    "on_disk": on_disk_table,
    "read_out": read_out_table,
}


def results_table(name: str) -> str:
    """Writes the table of `benchmarks/results/<name>.json`."""
    return TABLES[name](load_results(name))
