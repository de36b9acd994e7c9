"""The builder: menus that offer what the space allows, and nothing that is overwritten."""

import random
import xml.etree.ElementTree as ET
from itertools import product
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bmnas.errors import GenotypeError, RunError
from bmnas.searching.run_folder import Run
from bmnas.space.enumeration import Space
from bmnas.space.genotype import Genotype
from bmnas.space.network import FusionNetwork
from tests.support.synthetic import NTU
from tests.support.tiny import TWO_CELLS, tiny_features
from widgets.builder.builder import GIVEN, GenotypeBuilder
from widgets.builder.info import builder_info, input_choices, pair_choices, primitive_choices, with_size
from widgets.builder.saved import by_hand_rows, save_genotype
from widgets.sheets.sheet import page

POOL = ("Zero", "Sum", "Attention", "LinearGLU", "ConcatFC")
FEATURES = tiny_features()


def builder(run: Run | None = None) -> GenotypeBuilder:
    made = GenotypeBuilder(builder_info(FEATURES, TWO_CELLS), run)
    made.box()
    return made


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from(["paper", "reference"]), st.booleans())
def test_pairs_are_those_of_the_neighbours_in_the_space(seed: int, rule: str, cells: bool) -> None:
    space = Space(("A_1", "A_2", "A_3", "B_1", "B_2"), 3, 1, 1, ("Sum",), rule, cells)
    genotype = space.random(random.Random(seed))
    for n in range(3):
        wanted = {genotype.cells[n].inputs}
        for other in space.neighbours(genotype):
            if other.cells[n].inputs != genotype.cells[n].inputs:
                wanted.add(other.cells[n].inputs)
        assert set(pair_choices(space, genotype, n)) == wanted


@pytest.mark.parametrize("m", [0, 1, 3])
def test_steps_offer_all_of_the_space_and_nothing_else(m: int) -> None:
    space = Space(NTU, 4, 4, 4, POOL)
    offered = {(name, i) for name in primitive_choices(space, m) for i in input_choices(space, m, name)}
    assert offered == {(step.primitive, step.inputs) for step in space.step_choices(m)}


def test_menus_build_what_they_say_and_everything_follows() -> None:
    made = builder()
    pair = made.menus.children[0].children[0]
    pair.value = ("A_2", "B_1") if ("A_2", "B_1") in [v for _, v in pair.options] else pair.options[3][1]
    chosen = made.genotype.cells[0].inputs
    made.menus.children[1].children[1].value = "LinearGLU"
    assert made.genotype.cells[0].inputs == chosen and made.genotype.cells[1].steps[0].primitive == "LinearGLU"
    made.menus.children[1].children[2].value = ("y", "x")
    assert made.genotype.cells[1].steps[0].inputs == ("y", "x")
    network = FusionNetwork(made.genotype, FEATURES.channels, len(FEATURES.classes), TWO_CELLS.C, TWO_CELLS.L)
    assert f"{network.sizes()['total']:,} parameters" in made.count.value
    shown = "".join(ET.fromstring(made.json.value).itertext())
    assert Genotype.from_json(shown) == made.genotype
    assert "LinearGLU" in made.picture.content and "LinearGLU" in page(made.twin()) and "LinearGLU" in made.text()


def test_every_choice_of_every_menu_is_valid() -> None:
    made = builder()
    for row, column in product(range(2), range(5)):
        for i in range(len(made.menus.children[row].children[column].options)):
            menu = made.menus.children[row].children[column]
            if i < len(menu.options):
                menu.index = i  # a refused genotype would raise here
    pairs = [cell.inputs for cell in made.genotype.cells]
    assert len(set(pairs)) == len(pairs)


def test_every_step_has_a_line_of_its_own_beside_its_cell() -> None:
    made = builder()
    made.M.value = 3
    for row in made.menus.children:
        places = [menu.layout.grid_area for menu in row.children[1:]]
        assert places == [f"{line} / {column}" for line in (1, 2, 3) for column in (2, 3)]
    _, _, shown, _ = made.box().children
    assert shown.children == (made.picture, made.json)  # seen at once where there is room


def test_sizes_grow_and_shrink_and_keep_what_fits() -> None:
    made = builder()
    first = made.genotype.cells[0]
    made.N.value, made.M.value = 4, 4
    assert (made.genotype.N, made.genotype.M) == (4, 4)
    assert made.genotype.cells[0].inputs == first.inputs and made.genotype.cells[0].steps[:2] == first.steps
    made.r.value = 6
    made.M.value = 1
    assert (made.genotype.M, made.genotype.r) == (1, 3) and made.r.value == 3
    made.N.value = 1
    assert made.genotype.cells == (first.__class__(first.inputs, first.steps[:1]),)


def test_too_many_cells_for_the_features_are_refused_with_the_reason() -> None:
    info = builder_info(FEATURES, TWO_CELLS.change(cells_as_inputs=False, pair_rule="reference"))
    with pytest.raises(RunError, match="Cell_4"):
        with_size(info, 4, 1, 1)
    made = GenotypeBuilder(info)
    made.box()
    made.N.value = 4
    assert made.genotype.N == made.N.value == 2 and "no pair is left" in made.said.value


def test_saving_overwrites_nothing(tmp_path: Path) -> None:
    run = Run(tmp_path / "mine")
    run.folder.mkdir()
    made = builder(run)
    made.name.value = "by-hand"
    made.button.click()
    path = run.path("genotypes/by-hand.json")
    assert Genotype.load(path) == made.genotype and "genotypes/by-hand.json in mine" in made.said.value
    kept = path.read_bytes()
    assert made.save("by-hand") == path
    made.N.value = 1
    made.button.click()
    assert "holds another genotype" in made.said.value and path.read_bytes() == kept
    for name in ("", "../up", "a/b", "<b>"):
        with pytest.raises(RunError, match="expected letters"):
            save_genotype(run, name, made.genotype)
    with pytest.raises(RunError, match="without a run"):
        builder().save("a")


def test_a_saved_genotype_is_started_from_and_evaluated_under_its_name(tmp_path: Path) -> None:
    run = Run(tmp_path / "mine")
    run.folder.mkdir()
    found = next(Space.of(FEATURES.names, TWO_CELLS).genotypes())
    found.save(run.path("genotype.json"))
    assert by_hand_rows(run) == by_hand_rows(run, found) == ()
    made = builder(run)
    assert made.genotype == found
    made.N.value = 3
    (unsaved,) = by_hand_rows(run, made.genotype)
    assert unsaved.name == "by hand, not saved" and unsaved.make(found, FEATURES, 0) == made.genotype
    made.name.value = "three"
    made.button.click()
    assert made.start.value == "three"
    three = made.genotype
    made.N.value = 1
    assert made.start.value is None
    made.save("one")
    again = GenotypeBuilder(builder_info(FEATURES, TWO_CELLS), run)  # as another notebook does
    again.box()
    assert again.start.options == (GIVEN, "one", "three")
    again.start.value = "three"
    assert again.genotype == three and len(again.menus.children) == again.N.value == 3
    again.start.value = GIVEN
    assert again.genotype == found and again.N.value == 2
    rows = {row.name: row.make(found, FEATURES, 0) for row in by_hand_rows(run, three)}
    assert rows == {"by hand: one": made.genotype, "by hand: three": three}
    run.path("genotypes/one.json").write_text("{")
    again.start.value = "one"
    assert "one.json" in again.said.value and again.genotype == found
    with pytest.raises(GenotypeError, match="one.json"):
        by_hand_rows(run)
