"""States there and back in one file that holds no code."""

import pickle

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bmnas.errors import RunError
from bmnas.storage.checkpoint import load_state, load_tensors, save_state, save_tensors

DTYPES = (torch.float32, torch.float64, torch.float16, torch.int64, torch.uint8, torch.bool)


@st.composite
def tensors(draw):
    shape = draw(st.lists(st.integers(0, 3), max_size=3))
    numbers = torch.arange(torch.Size(shape).numel()).reshape(shape)
    return (numbers * draw(st.integers(-3, 3))).to(draw(st.sampled_from(DTYPES)))


LEAVES = st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.text(max_size=5) | tensors()
LEAVES |= st.floats(allow_nan=False)
KEYS = st.text(max_size=5) | st.integers(-5, 5) | st.sampled_from(["__tensor__", "__mapping__"])
STATES = st.recursive(LEAVES, lambda s: st.lists(s, max_size=3) | st.dictionaries(KEYS, s, max_size=3), max_leaves=12)


def same(a, b):
    if isinstance(a, torch.Tensor):
        return isinstance(b, torch.Tensor) and a.dtype == b.dtype and a.shape == b.shape and torch.equal(a, b)
    if isinstance(a, dict):
        return isinstance(b, dict) and list(a) == list(b) and all(same(a[key], b[key]) for key in a)
    if isinstance(a, list):
        return isinstance(b, list) and len(a) == len(b) and all(map(same, a, b))
    return type(a) is type(b) and a == b


@given(STATES)
@settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_there_and_back(tmp_path, state):
    path = tmp_path / "state.safetensors"
    save_state(path, state)
    assert same(state, load_state(path))


def test_an_optimizer_there_and_back(tmp_path):
    weight = torch.nn.Parameter(torch.ones(3))
    optimizer = torch.optim.Adam([weight], betas=(0.5, 0.999))
    (weight**2).sum().backward()
    optimizer.step()
    save_state(tmp_path / "a", optimizer.state_dict())
    other = torch.optim.Adam([torch.nn.Parameter(torch.ones(3))], lr=1.0)
    other.load_state_dict(load_state(tmp_path / "a"))
    assert torch.equal(other.state_dict()["state"][0]["exp_avg"], optimizer.state_dict()["state"][0]["exp_avg"])
    assert tuple(other.param_groups[0]["betas"]) == (0.5, 0.999)


def test_tensors_that_share_memory_or_are_not_contiguous(tmp_path):
    table = torch.arange(12.0).reshape(3, 4)
    save_state(tmp_path / "a", {"rows": table[1:], "columns": table.T, "again": table})
    back = load_state(tmp_path / "a")
    assert torch.equal(back["rows"], table[1:]) and torch.equal(back["columns"], table.T)


def test_a_failed_write_leaves_the_old_file(tmp_path):
    path = tmp_path / "a"
    save_state(path, {"epoch": 1})
    with pytest.raises(TypeError):
        save_state(path, {"epoch": object()})
    assert load_state(path) == {"epoch": 1}


class Boom:
    """Unpickling this would leave a trace."""

    def __reduce__(self):
        return (exec, ("raise SystemExit('a pickle was read')",))


@pytest.mark.parametrize("load", [load_state, load_tensors])
@pytest.mark.parametrize(
    "content",
    [pickle.dumps(Boom()), b"", b"\x00" * 64, b"not a checkpoint at all", (2**40).to_bytes(8, "little") + b"{}"],
    ids=["pickle", "empty", "zeros", "text", "huge header"],
)
def test_other_files_are_refused(tmp_path, load, content):
    path = tmp_path / "checkpoint.safetensors"
    path.write_bytes(content)
    with pytest.raises(RunError) as error:
        load(path)
    assert str(path) in str(error.value)


@pytest.mark.parametrize("load", [load_state, load_tensors])
def test_a_pickle_of_torch_is_refused(tmp_path, load):
    torch.save({"epoch": 1}, tmp_path / "a")
    with pytest.raises(RunError, match="not written by bmnas"):
        load(tmp_path / "a")


@pytest.mark.parametrize("keep", [0.02, 0.5, 0.99])
def test_a_truncated_file(tmp_path, keep):
    path = tmp_path / "a"
    save_state(path, {"weights": torch.randn(50), "epoch": 3})
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * keep)])
    with pytest.raises(RunError, match="damaged"):
        load_state(path)


def test_a_file_of_the_other_kind(tmp_path):
    save_tensors(tmp_path / "a", {"w": torch.ones(2)}, {"kind": "multiclass"})
    with pytest.raises(RunError, match="not written by bmnas"):
        load_state(tmp_path / "a")
    save_state(tmp_path / "b", {"w": torch.ones(2)})
    with pytest.raises(RunError, match="not written by bmnas"):
        load_tensors(tmp_path / "b")
    with pytest.raises(RunError, match="missing"):
        load_tensors(tmp_path / "c")


def test_named_tensors_there_and_back(tmp_path):
    given = {"a.weight": torch.randn(2, 3), "b": torch.randn(4, 2).T}
    save_tensors(tmp_path / "a", given, {"kind": "multiclass", "shapes": {"x": [1, 2]}})
    tensors, about = load_tensors(tmp_path / "a")
    assert about == {"kind": "multiclass", "shapes": {"x": [1, 2]}}
    assert set(tensors) == set(given) and all(torch.equal(tensors[k], given[k]) for k in given)
