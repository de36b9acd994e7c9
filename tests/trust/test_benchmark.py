"""The tabular benchmark: every searcher finds the best of a whole space; answers are judged by the table."""

from dataclasses import replace
from typing import Any

import pandas as pd
import pytest

import bmnas
from bmnas.errors import ConfigError, DataError, UnknownNameError
from bmnas.registry import SEARCHERS
from bmnas.space.equivalence import network_key
from bmnas.trust.benchmark import bench
from bmnas.trust.truth_table import PUBLISHED, Truth, find_truth
from tests.support.searchers import OPTUNA, usable

TABLES = {path.stem: Truth.open(path) for path in sorted(PUBLISHED.glob("*.json"))}
WHOLE = [name for name, table in TABLES.items() if table.sample is None]
SIZES = {len(TABLES[name].networks): name for name in WHOLE}


def rows_of(frame: pd.DataFrame) -> list[dict[str, Any]]:
    return [dict(zip(frame.columns, values, strict=True)) for values in frame.itertuples(index=False)]


def of_primitives(table: Truth, *primitives: str) -> Truth:
    """The networks of a table that have no other primitives, and the space of these."""
    space = {**table.about["space"], "primitives": primitives}
    networks = {
        genotype: scores for genotype, scores in table.networks.items() if {*genotype.primitives} <= {*primitives}
    }
    return replace(table, about={**table.about, "space": space}, networks=networks)


@pytest.mark.parametrize("name", sorted(set(SEARCHERS) - set(OPTUNA)))
@pytest.mark.parametrize("table", SIZES.values())
def test_a_budget_of_the_whole_space_finds_its_best(name, table):
    """A table of each size of space; of one seed a table, so that between them they see all seeds of a searcher."""
    seed = list(SIZES.values()).index(table) % TABLES[table].seeds
    (row,) = rows_of(bench(name, TABLES[table], seeds=[seed], budget=len(TABLES[table].networks)))
    assert row["val_rank"] == 1
    assert row["trainings"] <= row["networks"]


@pytest.mark.parametrize("name", [usable("tpe"), usable("nsga_ii"), usable("gp", pytest.mark.slow)])
def test_a_sampler_with_a_budget_of_the_whole_space_finds_its_best(name):
    tables = [
        of_primitives(TABLES[table], "Sum", "ConcatFC") for table in WHOLE if table.startswith(("ink", "twodigits"))
    ]
    for table in tables[: 1 if name == "gp" else None]:  # gp takes many times as long as the others
        (row,) = rows_of(bench(name, table, seeds=[0], budget=30))
        assert row["val_rank"] == 1 and row["trainings"] == row["networks"] == 30


def test_dc_nas_without_a_budget_ends_after_its_generations():
    for table in WHOLE:
        (row,) = rows_of(bench("dc_nas", TABLES[table], seeds=[0], budget=None))
        assert 28 < row["trainings"] < row["networks"]


def test_a_table_of_another_space_than_the_presets():
    one_cell = bmnas.TASKS["digits"].search_config.change(N=1)
    with pytest.raises(DataError, match=r"search_config.change\(N=1, M=1\)"):
        bench("random", "digits", seeds=[0], budget=2)
    (row,) = rows_of(bench("random", "digits", seeds=[0], budget=2, config=one_cell))
    assert row["networks"] == len(bmnas.truth("digits", config=one_cell))
    assert bmnas.truth("digits", config=one_cell).attrs["sample"] is None
    assert bmnas.truth("digits").attrs["sample"]["networks"] == len(bmnas.truth("digits"))


@pytest.mark.parametrize("task", [bmnas.truth("ink"), None, 3])
def test_what_is_no_task_is_refused(task):
    with pytest.raises(ConfigError, match=f"task is a {type(task).__name__}"):
        bench("random", task)
    with pytest.raises(ConfigError, match="config is given"):
        bench("random", find_truth("ink"), config=bmnas.TASKS["ink"].search_config)


def test_rows_agree_with_the_table():
    table = TABLES[WHOLE[0]]
    truth = rows_of(table.frame())
    best = max(line["test"] for line in truth)
    for row in rows_of(bench("random", table, seeds=range(4), budget=5)):
        (there,) = [line for line in truth if network_key(line["genotype"]) == network_key(row["genotype"])]
        assert row["val"] == there[f"val_{row['seed'] % table.seeds}"]
        assert (row["test"], row["regret"]) == pytest.approx((there["test"], best - there["test"]))
        assert row["rank"] == 1 + sum(line["test"] > there["test"] + 1e-9 for line in truth)
        assert row["trainings"] == 5


def test_a_searcher_of_ones_own():
    def first_of_the_space(space, generator):
        yield next(space.genotypes())

    (row,) = rows_of(bmnas.bench(first_of_the_space, "mfeat", seeds=[0]))
    assert row["trainings"] == 1
    assert row["genotype"] == next(find_truth("mfeat").space().genotypes())


def test_what_cannot_be_benched_is_refused():
    with pytest.raises(UnknownNameError, match="random"):
        bmnas.bench("randm", "mfeat")
    for name in ("algorithm1", "gdas"):
        with pytest.raises(ConfigError, match=r"bmnas\.search "):
            bmnas.bench(name, "mfeat")
    with pytest.raises(UnknownNameError, match="mfeat"):
        bmnas.bench("random", "mfaet")
    with pytest.raises(ConfigError):
        bmnas.bench("random", "mfeat", seeds=[])
    for table in TABLES.values():
        if table.sample is not None:
            with pytest.raises(DataError, match="random networks"):
                bench("random", table)
    for searcher in (int, lambda space: None):
        with pytest.raises(ConfigError, match="cannot be called"):
            bmnas.bench(searcher, "mfeat")
    with pytest.raises(ConfigError, match="nothing"):
        bmnas.bench(lambda space, generator: (genotype for genotype in ()), "mfeat")


def test_a_proposal_that_is_no_genotype_is_named():
    def words(space, generator):
        yield "a word"

    with pytest.raises(ConfigError, match="a word"):
        bmnas.bench(words, "twodigits", seeds=[0])
