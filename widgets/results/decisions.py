"""Which choices of a search are decided: weights and genotypes of other seeds -> one row a choice."""

from collections.abc import Sequence

import pandas as pd

from bmnas.space.architecture import Architecture
from bmnas.space.decisions import Decision, decisions
from bmnas.space.genotype import Genotype


def decisions_table(architecture: Architecture, genotype: Genotype, others: Sequence[Genotype] = ()) -> pd.DataFrame:
    """Makes one row a choice: what was chosen, its entropy, how many other seeds agree, and whether that settles it.

    Args:
        architecture: the weights that the genotype was derived from.
        genotype: of the search.
        others: genotypes of other seeds; the column of seeds is left out where there are none.
    """
    return pd.DataFrame([_row(one, len(others)) for one in decisions(architecture, genotype, others).values()])


def _row(decision: Decision, others: int) -> dict[str, object]:
    agreed = {} if decision.agreement is None else {"other seeds": f"{round(decision.agreement * others)} of {others}"}
    return {
        "of": decision.place,
        "chosen": decision.choice,
        "kind": decision.kind,
        "entropy": "-" if decision.alternatives == 1 else f"{decision.entropy:.2f}",
        **agreed,
        "": decision.word,
    }
