"""Data frames of model sizes beside those that the paper prints (Tables 4 and 8)."""

import pandas as pd

from bmnas.config import PAPER_CONFIGS
from bmnas.paper.sizes import NOT_REACHED, table_4, table_8

TITLES = {"ntu": "NTU RGB+D", "ego": "EgoGesture", "mmimdb": "MM-IMDB"}


def size_tables() -> dict[str, pd.DataFrame]:
    """Returns title of a data set -> the sizes of its published genotypes under each of its configurations.

    A configuration gives C and L; N, M and r are the genotype's own. In a genotype's own configuration the printed
    size stands beside the counted one where the two differ.
    """
    rows = table_8()
    data_sets = rows["configuration"].str.split("-").str[0]
    return {title: _sizes(rows.loc[data_sets == name]) for name, title in TITLES.items()}


def _sizes(rows: pd.DataFrame) -> pd.DataFrame:
    lines = []
    for genotype, group in rows.groupby("genotype", sort=False):
        own = group[group["own"]].iloc[0]
        shape = {"N, M, r": f"{own['N']}, {own['M']}, {own['r']}"}
        printed = {"printed N, M": f"{own['N printed']}, {own['M printed']}"}
        sizes = {}
        for record in group.to_dict("records"):
            mark = " (own)" if record["own"] else ""  # the genotype's own configuration
            sizes[_heading(record["configuration"])] = f"{record['total'] / 1e6:.2f}{mark}"  # millions of parameters
        last = {"Table 8": f"{own['printed']:.2f}", "agrees": "yes" if own["agrees"] else "no"}
        lines.append({"genotype": genotype, **shape, **printed, **sizes, **last})
    return pd.DataFrame(lines)


def _heading(configuration: str) -> str:
    config = PAPER_CONFIGS[configuration]
    number = configuration.split("-")[1]
    return f"config {number}: {config.C} × {config.L}"


def compared_sizes() -> pd.DataFrame:
    """Returns Table 4 as printed; last, NTU 1 as the release's modules count it."""
    frame = table_4()
    note = ["as printed"] * (len(frame) - 1) + [NOT_REACHED]
    return frame.assign(note=note)
