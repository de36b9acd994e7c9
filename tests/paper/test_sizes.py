"""Tables 4 and 8: our counts beside the printed sizes, and the recorded ones."""

from itertools import combinations, combinations_with_replacement, product

import pytest

from bmnas.config import PAPER_CONFIGS
from bmnas.paper.published import PUBLISHED
from bmnas.paper.sizes import fusion_sizes, hypernet_sizes, table_4, table_8
from tests.support.golden_release import golden

PRINTED = {"ntu": (0.98, 1.71, 0.98, 2.57), "ego": (0.61, 0.45, 1.17, 1.59), "mmimdb": (0.65,)}  # Table 8, millions
COUNTED = {"ntu": (925_116, 1_707_836, 860_860, 2_571_836), "ego": (606_163, 445_267, 1_172_051, 1_590_803)}
COUNTED |= {"mmimdb": (649_175,)}
HYPERNETS = {  # counted with the release's own modules: as Table 8 prints N and M, and as the notebooks have them
    "ntu-1": (1_573_180,),
    "ntu-2": (3_000_892,),
    "ntu-3": (1_303_868, 1_573_180),
    "ntu-4": (6_188_092,),
    "ego-1": (2_331_219,),
    "ego-2": (1_770_195, 1_826_131),
    "ego-3": (4_806_995, 4_538_579),
    "ego-4": (3_626_963, 4_356_755),
    "mmimdb-1": (1_057_559, 1_206_167),
}
ARCHITECTURE = {"ntu-1": 34 + 2 * (10 + 8), "ego-1": 34 + 2 * (18 + 12), "mmimdb-1": 26 + 2 * (4 + 4)}


def by_id(values):
    return {f"{name}_{i}": value for name, row in values.items() for i, value in enumerate(row, start=1)}


def own_rows():
    return [row for row in table_8().to_dict("records") if row["own"]]


def test_own_rows_are_those_of_table_8():
    rows = own_rows()
    assert {row["genotype"]: row["printed"] for row in rows} == by_id(PRINTED)
    assert {row["genotype"]: row["total"] for row in rows} == by_id(COUNTED)
    assert [row["genotype"] for row in rows if not row["agrees"]] == ["ntu_1", "ntu_3"]
    assert [row["genotype"] for row in rows if row["note"]] == ["ntu_1", "ntu_3"]
    for row in rows:
        record = golden("genotypes")["genotypes"][row["genotype"]]
        assert {part: row[part] for part in record["parameters"]} == record["parameters"]
        assert [row["N printed"], row["M printed"]] == [record["table8"]["N"], record["table8"]["M"]]
        assert row["configuration"] == row["genotype"].replace("_", "-")


def test_no_genotype_of_the_release_has_the_printed_size_of_ntu_1():
    """Every choice of two to four features and of primitives, M and r of 1 or 2, by the formulas of the layers."""
    C, L, N, classes = 128, 8, 2, 60
    steps = {"Sum": 0, "Attention": 2 * C * L, "LinearGLU": 4 * C * C + 6 * C, "ConcatFC": 2 * C * C + 3 * C}
    channels = PUBLISHED["ntu_1"].channels
    features = {sum(C * (channels[k] + 3) for k in some) for n in (2, 3, 4) for some in combinations(channels, n)}
    rest = N * 2 * C * L + 2 * N * C * L + classes * (N * C * L + 1)  # norms of Cells and classifier, Linear
    totals = set()
    for M, r in product((1, 2), (1, 2)):
        reduction = 0 if r == 1 else N * (r * C * C + 3 * C)
        chosen = {sum(sizes) for sizes in combinations_with_replacement(steps.values(), N * M)}
        totals |= {a + b + reduction + rest for a in features for b in chosen}
    assert {925_116, 860_860} <= totals  # the two published ones are among them
    assert [total for total in totals if 975_000 <= total < 985_000] == []


def test_every_genotype_stands_under_every_configuration_of_its_data_set():
    table = table_8()
    assert len(table) == 4 * 4 + 4 * 4 + 1 and len(table.drop_duplicates(["genotype", "configuration"])) == len(table)
    for row in table.to_dict("records"):
        config, published = PAPER_CONFIGS[row["configuration"]], PUBLISHED[row["genotype"]]
        assert (row["C"], row["L"]) == (config.C, config.L)
        assert row["total"] == row["reshape"] + row["fusion"] + row["classifier"]
        used = [published.channels[name] for name in published.genotype.features]
        assert row["reshape"] == sum(config.C * (C_in + 3) for C_in in used)  # C_in C + C + 2 C each
        if not row["own"]:
            assert (row["printed"] != row["printed"], row["agrees"], row["note"]) == (True, None, "")  # NaN


def test_n_and_m_differ_where_the_paper_and_its_genotypes_do():
    differ = [row["genotype"] for row in own_rows() if (row["N"], row["M"]) != (row["N printed"], row["M printed"])]
    assert differ == ["ntu_3", "ego_2", "ego_3", "ego_4"]


@pytest.mark.parametrize("label", HYPERNETS)
def test_hypernets_are_as_large_as_the_releases(label):
    rows = hypernet_sizes().query("configuration == @label")
    assert tuple(rows["parameters"]) == HYPERNETS[label]
    assert list(rows["settings"]) == ["printed", "genotype"][: len(HYPERNETS[label])]
    if label in ARCHITECTURE:
        assert set(rows["architecture"]) == {ARCHITECTURE[label]}


def test_table_4_prints_and_counts():
    table = table_4().set_index("method")
    assert table.loc["MMTM (CVPR20)"].tolist() == [8.61, 88.92] and table.loc["MFAS (CVPR19)"].tolist() == [2.16, 89.5]
    assert table.loc["BM-NAS"].tolist() == [PUBLISHED["ntu_1"].table8_size, PUBLISHED["ntu_1"].table8_eval]
    assert table.loc["BM-NAS, counted here", "parameters [M]"] == 0.925116


def test_a_larger_representation_has_more_parameters():
    sizes = [fusion_sizes("ego_4", C, L)["total"] for C, L in ((64, 8), (128, 8), (128, 12))]
    assert sizes == sorted(set(sizes))
