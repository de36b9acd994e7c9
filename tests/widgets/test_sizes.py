"""Tables of model sizes: the numbers of Tables 4 and 8, and which of them the published genotypes do not give."""

import pytest

from bmnas.paper.published import PUBLISHED
from bmnas.paper.sizes import fusion_sizes
from widgets.results.sizes import compared_sizes, size_tables

CONFIGS = {"ntu": ((128, 8), (256, 8), (128, 8), (256, 8)), "ego": ((128, 8), (128, 8), (192, 8), (192, 12))}
CONFIGS |= {"mmimdb": ((192, 16),)}  # C and L of Table 8


@pytest.mark.parametrize(("title", "name"), [("NTU RGB+D", "ntu"), ("EgoGesture", "ego"), ("MM-IMDB", "mmimdb")])
def test_every_genotype_under_every_configuration(title, name):
    rows = size_tables()[title].to_dict("records")
    assert [row["genotype"] for row in rows] == [f"{name}_{i}" for i in range(1, len(CONFIGS[name]) + 1)]
    for number, row in enumerate(rows, start=1):
        for i, (C, L) in enumerate(CONFIGS[name], start=1):
            size = f"{fusion_sizes(row['genotype'], C, L)['total'] / 1e6:.2f}"
            assert row[f"config {i}: {C} × {L}"] == (f"{size} (own)" if i == number else size)


def test_the_printed_sizes_and_the_two_that_are_not_reached():
    rows = [row for frame in size_tables().values() for row in frame.to_dict("records")]
    assert [row["Table 8"] for row in rows] == [f"{p.table8_size:.2f}" for p in PUBLISHED.values()]
    missed = [row["genotype"] for row in rows if row["agrees"] == "no"]
    assert missed == ["ntu_1", "ntu_3"]
    assert {row["agrees"] for row in rows if row["genotype"] not in missed} == {"yes"}
    differ = [row["genotype"] for row in rows if row["N, M, r"].rsplit(", ", 1)[0] != row["printed N, M"]]
    assert differ == ["ntu_3", "ego_2", "ego_3", "ego_4"]


def test_table_4_says_which_rows_are_printed():
    rows = compared_sizes().to_dict("records")
    assert [row["note"] for row in rows[:3]] == ["as printed"] * 3 and rows[3]["note"].startswith("no genotype")
    assert [round(row["parameters [M]"], 2) for row in rows] == [8.61, 2.16, 0.98, 0.93]
