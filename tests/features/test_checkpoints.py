"""Weights of backbones from files."""

import pytest
import torch
from torch import nn

from bmnas.errors import DataError
from bmnas.features.backbone_training import weights_fingerprint
from bmnas.features.backbones.checkpoints import load_checkpoint, read_state
from bmnas.features.backbones.maxout_mlp import MaxoutMLP


class Surprise:
    """An object that a weights-only reader must not build."""


def net():
    return MaxoutMLP(classes=3, inputs=4, hidden=2)


def trained():
    torch.manual_seed(1)
    model = net()
    model(torch.randn(8, 4))  # moves the statistics of BatchNorm
    return model


@pytest.mark.parametrize("nested", [False, True])
@pytest.mark.parametrize("prefix", ["", "module."])
def test_every_form_of_checkpoint_is_read(tmp_path, nested, prefix):
    source = trained()
    state = {prefix + key: weight for key, weight in source.state_dict().items()}
    torch.save({"epoch": 7, "arch": "x", "state_dict": state} if nested else state, tmp_path / "best")
    model = net()
    assert weights_fingerprint(model) != weights_fingerprint(source)
    load_checkpoint(model, tmp_path / "best")
    assert weights_fingerprint(model) == weights_fingerprint(source)


def test_an_old_file_without_counters_of_batches_is_read(tmp_path):
    state = {key: weight for key, weight in trained().state_dict().items() if "num_batches" not in key}
    torch.save(state, tmp_path / "old")
    model = net()
    load_checkpoint(model, tmp_path / "old")
    assert all(torch.equal(model.state_dict()[key], weight) for key, weight in state.items())


def test_weights_can_be_converted_and_some_stay_fresh(tmp_path):
    state = {f"text.{key}": weight for key, weight in trained().state_dict().items() if not key.startswith("hid2val")}
    torch.save(state, tmp_path / "part")
    model = net()
    before = model.hid2val.weight.clone()
    load_checkpoint(
        model, tmp_path / "part", lambda s: {k.removeprefix("text."): w for k, w in s.items()}, fresh=("hid2val.",)
    )
    assert torch.equal(model.hid2val.weight, before)
    assert torch.equal(model.op1.lin.weight, state["text.op1.lin.weight"])


def changed(**changes):
    state = dict(trained().state_dict())
    for key, weight in changes.items():
        key = key.replace("__", ".")
        if weight is None:
            del state[key]
        else:
            state[key] = weight
    return state


DAMAGE = {
    "missing": (changed(op3__lin__weight=None), "the weight 'op3.lin.weight' is missing"),
    "unknown": (changed(op9__lin__weight=torch.ones(1)), "the weight 'op9.lin.weight' is not one of the network's"),
    "shape": (changed(hid2val__bias=torch.ones(7)), "'hid2val.bias' has the shape (7,); expected (3,)"),
    "NaN": (changed(hid2val__bias=torch.tensor([1, float("nan"), 1])), "'hid2val.bias' holds NaN"),
    "code": ({"a": Surprise()}, "refused, since it holds more than weights"),
    "a list": ([torch.ones(1)], "holds list; expected a state_dict"),
    "nothing": ({}, "holds dict; expected a state_dict"),
    "a number": ({"epoch": 3}, "'epoch' is int; expected weights by name"),
}


@pytest.mark.parametrize("what", DAMAGE)
def test_a_bad_file_is_named_and_changes_nothing(tmp_path, what):
    content, message = DAMAGE[what]
    torch.save(content, tmp_path / "bad.checkpoint")
    model = net()
    before = weights_fingerprint(model)
    with pytest.raises(DataError) as error:
        load_checkpoint(model, tmp_path / "bad.checkpoint")
    assert "bad.checkpoint" in str(error.value) and message in str(error.value)
    assert weights_fingerprint(model) == before


@pytest.mark.parametrize("content", [b"", b"no weights at all", b"PK\x03\x04 cut off"])
def test_a_damaged_file_is_named(tmp_path, content):
    (tmp_path / "cut").write_bytes(content)
    with pytest.raises(DataError, match="cut: (damaged|refused)"):
        read_state(tmp_path / "cut")


def test_a_cut_file_is_named(tmp_path):
    torch.save(nn.Linear(50, 50).state_dict(), tmp_path / "whole")
    (tmp_path / "cut").write_bytes((tmp_path / "whole").read_bytes()[:4000])
    with pytest.raises(DataError, match="cut: damaged"):
        read_state(tmp_path / "cut")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(DataError, match="nowhere"):
        load_checkpoint(net(), tmp_path / "nowhere")
