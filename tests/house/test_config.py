"""Settings: the paper's table, errors that name what is wrong, identity."""

import json

import pytest

from bmnas import TASKS
from bmnas.config import MACHINE, PAPER_CONFIGS, SWITCHES, EvalConfig, SearchConfig
from bmnas.config.settings import LATER_DEFAULTS
from bmnas.errors import ConfigError, UnknownNameError
from bmnas.registry import NEAREST

WRITTEN = (
    '{"C": 16, "L": 4, "N": 2, "M": 1, "r": 2, "epochs": 10, "batch_size": 64, "dropout": 0.1, "arch_lr":'
    ' 0.0003, "arch_weight_decay": 0.001, "arch_passes": 1, "warmup_epochs": 0, "max_lr": 0.001, '
    '"min_lr": 1e-06, "weight_decay": 0.0001, "Ti": 1, "Tm": 2, "mode": "paper", "primitives": ["Sum"], '
    '"cells_as_inputs": null, "pair_rule": null, "score_mode": null, "schedule": null, "ties": null, '
    '"relaxation": "shared", "train_reshape": true, "tokeniser": "copy", "fast": true, "compile": null, "bf16": false, '
    '"accumulate": 1, "selection": "shortlist", "shortlist_size": 5, "shortlist_epochs": 5, "path_epochs": null, '
    '"seed": 0, "device": "auto", "threads": 2, "features_in": "auto"}'
)
"""As the present version writes it; the first lacked the settings of `LATER_DEFAULTS`."""
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


LATER = {
    **{"compile": "default", "bf16": True, "accumulate": 2, "path_epochs": 3, "relaxation": "two_slots"},
    **{"searcher": "random", "budget": 7, "budget_unit": "epochs"},
}
BAD = [  # settings, and what the error names
    ({"C": 0}, "C is 0; .*at least 1"),
    ({"C": 1.5}, "C is 1.5"),
    ({"C": True}, "C is True"),
    ({"epochs": "ten"}, "epochs is 'ten'"),
    ({"batch_size": -4}, "batch_size is -4"),
    ({"warmup_epochs": -1}, "warmup_epochs is -1; .*at least 0"),
    ({"seed": -1}, "seed is -1"),
    ({"threads": 0}, "threads is 0"),
    ({"threads": 1.0}, "threads is 1.0"),
    ({"device": 0}, "device is 0"),
    ({"max_lr": float("nan")}, "max_lr is nan"),
    ({"max_lr": float("inf")}, "max_lr is inf"),
    ({"max_lr": True}, "max_lr is True"),
    ({"max_lr": "0.1"}, "max_lr is '0.1'"),
    ({"weight_decay": -0.1}, "weight_decay is -0.1; .*at least 0"),
    ({"weight_decay": -1}, "weight_decay is -1; .*at least 0"),
    ({"dropout": 1.0}, "dropout is 1.0; .*below 1"),
    ({"dropout": 1}, "dropout is 1; .*below 1"),
    ({"dropout": float("nan")}, "dropout is nan"),
    ({"dropout": -0.1}, "dropout is -0.1"),
    ({"max_lr": 1e-4, "min_lr": 1e-3}, "min_lr is 0.001, .*max_lr 0.0001"),
    ({"r": 4}, "r is 4; .*M = 1"),
    ({"mode": "papr"}, "mode is 'papr'; .*'paper'.*'reference'"),
    ({"selection": "best"}, "selection is 'best'; .*'algorithm1'.*'shortlist'"),
    ({"tokeniser": "sum"}, "tokeniser is 'sum'"),
    ({"pair_rule": "any"}, "pair_rule is 'any'"),
    ({"train_reshape": None}, "train_reshape is None"),
    ({"train_reshape": "no"}, "train_reshape is 'no'"),
    ({"compile": "fastest"}, "compile is 'fastest'; .*'default'.*'reduce-overhead'"),
    ({"compile": True}, "compile is True"),
    ({"bf16": 1}, "bf16 is 1"),
    ({"accumulate": 0}, "accumulate is 0; .*at least 1"),
    ({"accumulate": 5, "batch_size": 8}, "accumulate is 5 .*batch_size = 8; expected 4"),
    ({"class_weight": "balance"}, "class_weight is 'balance'; .*'balanced'.*dictionary"),
    ({"class_weight": 3}, "class_weight is 3; .*'balanced'.*dictionary"),
    ({"class_weight": {"a": 1e300}}, "class_weight.a is 1e[+]300; .*at most 1000000"),
    ({"max_lr": 1e30}, "max_lr is 1e[+]30; .*at most 1000000"),
    ({"max_lr": 10**400}, "max_lr is 1000.*at most 1000000"),
    ({"weight_decay": 1e300}, "weight_decay is 1e[+]300"),
    ({"seed": 2**32}, "seed is 4294967296; .*below 4294967296"),
    ({"seed": 10**23}, "seed is 1000.*below"),
    *(({name: 10**9}, f"{name} is 1000000000; .*at most") for name in ("C", "L", "N", "M", "epochs", "batch_size")),
    *(({name: 10**30}, f"{name} is 1000.*at most") for name in ("Ti", "Tm", "threads", "budget", "path_epochs")),
    ({"primitives": 7}, "primitives is 7"),
    ({"primitives": ["Sum", 7]}, r"primitives\[1\] is 7"),
    ({"primitives": ()}, r"primitives is \(\)"),
    ({"primitives": ("Sum", "Zero", "Sum")}, "primitives is .*Sum"),
    ({"primitives": ("Sum", "LinearGLUE")}, "primitives is .*'LinearGLUE'.*: LinearGLU, "),
]


@pytest.mark.parametrize(("settings", "message"), BAD, ids=lambda value: str(value)[:30])
def test_settings_out_of_range(settings, message):
    with pytest.raises(ConfigError, match=message):
        SearchConfig(**settings)
    with pytest.raises(ConfigError, match=message):
        SearchConfig().change(**settings) if None not in settings.values() else SearchConfig(**settings)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"epochs": 0}, "epochs is 0"),
        ({"seeds": 0}, "seeds is 0"),
        ({"select": "test"}, "select is 'test'; .*'last'.*'validation'"),
        ({"Ti": 0}, "Ti is 0"),
        ({"epochs": 10**30}, "epochs is 1000.*at most 1000000"),
        ({"seeds": 10**9}, "seeds is 1000000000; .*at most"),
        ({"max_lr": 1e30}, "max_lr is 1e[+]30; .*at most"),
        ({"max_lr": 1e-7}, "min_lr is 1e-06, .*max_lr 1e-07"),
    ],
)
def test_evaluation_settings_out_of_range(settings, message):
    with pytest.raises(ConfigError, match=message):
        EvalConfig(**settings)


def test_an_unknown_row_of_table_8_lists_the_known_ones():
    with pytest.raises(UnknownNameError, match=r"row of Table 8: 'ntu-9'; known .nearest first.: ntu-1, ntu-2"):
        PAPER_CONFIGS["ntu-9"]


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
    assert repr(wrong) in str(error.value) and f": {nearest}, " in str(error.value)
    assert f"and {len(SearchConfig.names()) - NEAREST} more" in str(error.value)
    with pytest.raises(UnknownNameError, match=f"{wrong}.*{nearest}"):
        SearchConfig(**{wrong: 1})  # pyright: ignore[reportArgumentType]


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
        assert SearchConfig(mode="paper").switch(name) == value != SearchConfig(mode="reference").switch(name)


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
    assert not set(LATER_DEFAULTS) & set(SearchConfig().identity())
    digests = {SearchConfig().change(**{name: value}).digest() for name, value in LATER.items()}
    assert len(digests | {SearchConfig().digest()}) == len(LATER_DEFAULTS) + 1


@pytest.mark.parametrize("text", ['["Sum", "Attention"]', "Sum,Attention", "['Sum','Attention']", "Sum, Attention"])
def test_primitives_as_a_command_line_gives_them(text):
    assert SearchConfig(primitives=text).primitives == ("Sum", "Attention")  # type: ignore[arg-type]


DIGESTS_OF_TABLE_8 = {
    "ego-1": "d05614cc",
    "ego-2": "d9e7d189",
    "ego-3": "d2c6fbbb",
    "ego-4": "a68b3e11",
    "mmimdb-1": "18529222",
    "ntu-1": "af34a866",
    "ntu-2": "97b1aadc",
    "ntu-3": "25314c0c",
    "ntu-4": "8cb021a4",
}
DIGESTS_OF_PRESETS = {
    ("avmnist", "eval"): "339a6fce",
    ("avmnist", "reference"): "174fbd31",
    ("avmnist", "search"): "a2daff89",
    ("avsum", "eval"): "92c748e6",
    ("avsum", "reference"): "5e5f700e",
    ("avsum", "search"): "20cf6d9f",
    ("digits", "eval"): "2f0bed22",
    ("digits", "reference"): "44c46e42",
    ("digits", "search"): "cff600a5",
    ("egogesture", "eval"): "ffb0242f",
    ("egogesture", "reference"): "45858b95",
    ("egogesture", "search"): "25994791",
    ("mmimdb", "eval"): "ffb0242f",
    ("mmimdb", "reference"): "62ff7187",
    ("mmimdb", "search"): "18529222",
    ("ntu", "eval"): "ffb0242f",
    ("ntu", "reference"): "fbaafeb6",
    ("ntu", "search"): "11bcd1e3",
    ("planted", "eval"): "92c748e6",
    ("planted", "reference"): "9662141c",
    ("planted", "search"): "931cb22d",
}
"""As in the first version: a digest is part of a run folder's name."""


@pytest.mark.parametrize("name", DIGESTS_OF_TABLE_8)
def test_the_digest_of_a_row_of_table_8_never_changes(name):
    assert PAPER_CONFIGS[name].digest() == DIGESTS_OF_TABLE_8[name]


@pytest.mark.parametrize(("dataset", "preset"), DIGESTS_OF_PRESETS)
def test_the_digest_of_a_preset_never_changes(dataset, preset):
    task = TASKS[dataset]
    config = {
        "search": task.search_config,
        "reference": task.search_config.change(mode="reference", **task.reference),
        "eval": task.eval_config,
    }[preset]
    assert config.digest() == DIGESTS_OF_PRESETS[dataset, preset]


def test_whole_numbers_stay_whole():
    config = SearchConfig(dropout=0, max_lr=1, min_lr=0)
    assert json.dumps([config.dropout, config.max_lr, config.min_lr]) == "[0, 1, 0]"
    assert config.digest() == "acc9b639"


def test_a_written_configuration_keeps_its_bytes():
    text = json.dumps(SearchConfig(primitives=("Sum",), r=2, threads=2, fast=True).to_dict())
    assert text == WRITTEN


@pytest.mark.parametrize("name", MACHINE)
def test_no_setting_of_the_machine_is_part_of_the_identity(name):
    assert name not in SearchConfig().identity()


def test_settings_are_frozen():
    with pytest.raises(AttributeError):
        SearchConfig().C = 3  # pyright: ignore[reportAttributeAccessIssue]
