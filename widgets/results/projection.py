"""DARTS-PT's decisions, one row each, in their order."""

import pandas as pd

from bmnas.searching.shortlisting.projection import ProjectedChoice, Projection


def projection_table(projection: Projection, metric: str) -> pd.DataFrame:
    """Makes one row a decision: what was chosen, what stayed, and what the hypernet scored without each alternative."""
    return pd.DataFrame(
        {
            "choice": decision.choice,
            "kept": ", ".join(decision.kept),
            f"{metric} on val without each [%]": _scores_without(decision),
            "hypernet": "tuned" if decision.removed else "",
        }
        for decision in projection.decisions
    )


def _scores_without(decision: ProjectedChoice) -> str:
    """Lists the alternatives, the one that is missed most first."""
    ranked = sorted(decision.without.items(), key=lambda pair: pair[1])
    return ", ".join(f"{name} {100 * score:.1f}" for name, score in ranked) or "no choice"
