"""The answers of the seeds of a search: runs and their answers -> one row a seed."""

from collections.abc import Mapping
from hashlib import sha256

import pandas as pd

from bmnas.searching.run_folder import Run
from bmnas.searching.selection import Selection
from bmnas.space.equivalence import network_key
from bmnas.space.genotype import Genotype


def seeds_table(runs: Mapping[int, Run], answers: Mapping[int, Selection]) -> pd.DataFrame:
    """Makes one row a seed: how far its search came, its best validation score, and its answer.

    Equal digests are equal networks. A seed without an answer has no finished epoch.
    """
    return pd.DataFrame([_row(seed, run, answers.get(seed)) for seed, run in runs.items()])


def _row(seed: int, run: Run, answer: Selection | None) -> dict[str, object]:
    if answer is None:
        return {"seed": seed, "epochs": "none", "run": run.name}
    trace = run.trace()
    return {
        "seed": seed,
        "epochs": f"{len(trace)} of {trace.events[-1].epochs}",
        "best epoch": str(trace.best.epoch),
        f"best {trace.best.metric} on val [%]": f"{100 * trace.best.val_score:.1f}",
        "chosen": short(answer.chosen),
        "digest": digest(answer.chosen),
        "Algorithm 1": "another" if answer.differs else "the same",
        "run": run.name,
    }


def short(genotype: Genotype) -> str:
    """Returns `Image_1 + Audio_2: Sum; Image_2 + Cell_1: ConcatFC, Sum`."""
    return "; ".join(
        f"{' + '.join(cell.inputs)}: {', '.join(step.primitive for step in cell.steps)}" for cell in genotype.cells
    )


def digest(genotype: Genotype) -> str:
    """Returns eight hexadecimal digits, the same for genotypes that are the same network."""
    return sha256(repr(network_key(genotype)).encode()).hexdigest()[:8]
