"""Settings: the paper's table, errors that name what is wrong, identity."""

import json

import pytest

from bmnas.config import ADDED, CHOICES, PAPER_CONFIGS, SWITCHES, EvalConfig, SearchConfig
from bmnas.errors import ConfigError, UnknownNameError

TABLE_8 = """
ntu-1    128  8 2 2 30 96 0.2 3e-4 1e-3 1e-3 1e-6 1e-4
ntu-2    256  8 2 1 30 96 0.2 3e-4 1e-3 1e-3 1e-6 1e-4
ntu-3    128  8 2 1 30 96 0.2 3e-4 1e-3 1e-3 1e-6 1e-4
ntu-4    256  8 4 2 30 96 0.2 3e-4 1e-3 1e-3 1e-6 1e-4
ego-1    128  8 2 3  7 72 0.0 3e-4 1e-3 3e-3 1e-6 1e-4
ego-2    128  8 1 2  7 72 0.2 3e-4 1e-3 1e-2 1e-6 1e-4
ego-3    192  8 4 2  7 72 0.2 3e-4 1e-3 3e-3 1e-6 1e-4
ego-4    192 12 2 2  7 72 0.0 3e-4 1e-3 3e-3 1e-6 1e-4
mmimdb-1 192 16 2 1 12 96 0.1 3e-4 1e-3 1e-3 1e-6 1e-4
"""
COLUMNS = ("C", "L", "N", "M", "epochs", "batch_size", "dropout", "arch_lr", "arch_weight_decay")
COLUMNS += ("max_lr", "min_lr", "weight_decay")
ROWS = {row.split()[0]: [float(value) for value in row.split()[1:]] for row in TABLE_8.strip().splitlines()}


def test_the_rows_are_those_of_table_8():
    assert list(PAPER_CONFIGS) == list(ROWS)


@pytest.mark.parametrize("name", ROWS)
def test_table_8(name):
    config = PAPER_CONFIGS[name]
    assert [getattr(config, column) for column in COLUMNS] == ROWS[name]
    assert config.selection == "algorithm1" and config.mode == "paper" and config.arch_passes == 1
    assert (config.Ti, config.Tm) == (5 if name.startswith("ego") else 1, 2)


LATER = {"compile": "default", "bf16": True, "accumulate": 2}
BAD = [
    ({"C": 0}, "C is 0; expected a whole number of at least 1"),
    ({"C": 1.5}, "C is 1.5; expected a whole number"),
    ({"C": True}, "C is True; expected a whole number"),
    ({"epochs": "ten"}, "epochs is 'ten'; expected a whole number of at least 1"),
    ({"batch_size": -4}, "batch_size is -4"),
    ({"warmup_epochs": -1}, "warmup_epochs is -1; expected a whole number of at least 0"),
    ({"seed": -1}, "seed is -1"),
    ({"threads": 0}, "threads is 0"),
    ({"max_lr": float("nan")}, "max_lr is nan"),
    ({"weight_decay": -0.1}, "weight_decay is -0.1; expected a number of at least 0"),
    ({"dropout": 1.0}, "dropout is 1.0; expected a probability below 1"),
    ({"dropout": -0.1}, "dropout is -0.1"),
    ({"max_lr": 1e-4, "min_lr": 1e-3}, "min_lr is 0.001, above max_lr 0.0001"),
    ({"r": 4}, "r is 4; a Cell with M = 1 has 3 states"),
    ({"mode": "papr"}, "mode is 'papr'; expected one of 'paper', 'reference'"),
    ({"selection": "best"}, "selection is 'best'; expected one of 'algorithm1', 'shortlist'"),
    ({"tokeniser": "sum"}, "tokeniser is 'sum'"),
    ({"pair_rule": "any"}, "pair_rule is 'any'"),
    ({"compile": "fastest"}, "compile is 'fastest'; expected one of 'default', 'reduce-overhead'"),
    ({"compile": True}, "compile is True; expected one of 'default', 'reduce-overhead'"),
    ({"bf16": 1}, "bf16 is 1; expected True or False"),
    ({"accumulate": 0}, "accumulate is 0; expected a whole number of at least 1"),
    ({"accumulate": 5, "batch_size": 8}, "accumulate is 5 with batch_size = 8; expected 4 at most"),
    ({"fast": True, "compile": "default"}, "fast = True beside compile = 'default', which the shortcuts do not know"),
    ({"fast": True, "compile": "default", "bf16": True}, "fast = True beside compile = 'default' and bf16 = True"),
    ({"fast": True, "bf16": True}, "fast = True beside bf16 = True, "),
]


@pytest.mark.parametrize(("settings", "message"), BAD, ids=lambda value: str(value)[:30])
def test_settings_out_of_range(settings, message):
    with pytest.raises(ConfigError) as error:
        SearchConfig(**settings)
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"epochs": 0}, "epochs is 0"),
        ({"seeds": 0}, "seeds is 0"),
        ({"select": "test"}, "select is 'test'; expected one of 'last', 'validation'"),
        ({"Ti": 0}, "Ti is 0"),
        ({"max_lr": 1e-7}, "min_lr is 1e-06, above max_lr 1e-07"),
    ],
)
def test_evaluation_settings_out_of_range(settings, message):
    with pytest.raises(ConfigError) as error:
        EvalConfig(**settings)
    assert message in str(error.value)


def test_an_unknown_primitive_lists_the_known_ones():
    with pytest.raises(ConfigError, match="primitives is .*: unknown primitive 'LinearGLUE'; known .*: LinearGLU"):
        SearchConfig(primitives=("Sum", "LinearGLUE"))


def test_an_unknown_row_of_table_8_lists_the_known_ones():
    with pytest.raises(UnknownNameError, match=r"row of Table 8: 'ntu-9'; known .nearest first.: ntu-1, ntu-2"):
        PAPER_CONFIGS["ntu-9"]


@pytest.mark.parametrize("names", [(), ("Sum", "Zero", "Sum")])
def test_a_pool_is_not_empty_and_names_nothing_twice(names):
    with pytest.raises(ConfigError, match="at least one name, and none twice"):
        SearchConfig(primitives=names)


def test_change():
    config = SearchConfig().change(C=32, epochs=None, primitives=["Sum", "ConcatFC"])
    assert (config.C, config.epochs, config.primitives) == (32, SearchConfig().epochs, ("Sum", "ConcatFC"))
    assert SearchConfig().C == 16
    with pytest.raises(ConfigError, match="C is 0"):
        config.change(C=0)


@pytest.mark.parametrize(("wrong", "nearest"), [("epoch", "epochs"), ("arch_LR", "arch_lr"), ("drop_out", "dropout")])
def test_an_unknown_setting_names_the_nearest_first(wrong, nearest):
    with pytest.raises(UnknownNameError) as error:
        SearchConfig().change(**{wrong: 1})
    assert f"unknown setting {wrong!r}; known (nearest first): {nearest}, " in str(error.value)
    assert all(name in str(error.value) for name in SearchConfig.known())


def test_modes_preset_switches_and_fields_override_them():
    for mode, switches in SWITCHES.items():
        config = SearchConfig(mode=mode)
        assert {name: config.switch(name) for name in switches} == switches
    other = SearchConfig(mode="reference", score_mode="eval", cells_as_inputs=True)
    assert (other.switch("score_mode"), other.switch("cells_as_inputs"), other.switch("ties")) == (
        "eval",
        True,
        "later",
    )


def test_the_two_modes_differ_in_every_switch():
    assert list(SWITCHES["paper"]) == list(SWITCHES["reference"])
    for name, value in SWITCHES["paper"].items():
        assert value != SWITCHES["reference"][name]
        assert name not in CHOICES or {value, SWITCHES["reference"][name]} == set(CHOICES[name])


def test_depth_is_r_or_M():
    assert SearchConfig(M=3).depth == 3
    assert SearchConfig(M=1, r=2).depth == 2


@pytest.mark.parametrize("config", [SearchConfig(primitives=("Sum",), r=2, threads=2), *PAPER_CONFIGS.values()])
def test_there_and_back(config):
    assert SearchConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config


def test_there_and_back_for_the_evaluation():
    config = EvalConfig(epochs=5, select="validation", Ti=2)
    assert EvalConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config


def test_the_digest_is_of_the_experiment_not_of_the_machine():
    config = SearchConfig()
    assert config.change(device="cpu", threads=7).digest() == config.digest()
    digests = {config.change(**change).digest() for change in ({"seed": 1}, {"C": 8}, {"ties": "later"}, {"r": 2}, {})}
    assert len(digests) == 5
    assert len(config.digest()) == 8 and int(config.digest(), 16) >= 0


def test_settings_that_came_later_leave_the_name_of_an_experiment_as_it_was():
    assert (SearchConfig().digest(), PAPER_CONFIGS["ntu-1"].digest()) == ("3186b945", "af34a866")  # before they came
    assert not set(ADDED) & set(SearchConfig().identity())
    digests = {SearchConfig().change(**{name: value}).digest() for name, value in LATER.items()}
    assert len(digests | {SearchConfig().digest()}) == len(ADDED) + 1


@pytest.mark.parametrize("text", ['["Sum", "Attention"]', "Sum,Attention", "['Sum','Attention']", "Sum, Attention"])
def test_primitives_as_a_command_line_gives_them(text):
    assert SearchConfig(primitives=text).primitives == ("Sum", "Attention")  # type: ignore[arg-type]
