"""A nested state (dictionaries, lists, numbers, tensors) in one safetensors file; reading it executes no code."""

import json
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from bmnas.errors import RunError
from bmnas.storage.files import whole

TENSOR, MAPPING = "__tensor__", "__mapping__"
DAMAGE = (SafetensorError, KeyError, ValueError, OSError, TypeError, IndexError, AttributeError, RecursionError)


def save_state(path: Path, state: Any) -> None:
    """Writes `state` to `path`, whole or not at all: a temporary file first, renamed when it is on the disk.

    Raises:
        RunError: the file cannot be written; what was there before is kept.
    """
    tensors: dict[str, Tensor] = {}
    structure = json.dumps(_take_apart(state, tensors))
    _write(path, tensors, {"structure": structure})


def load_state(path: Path) -> Any:
    """What `save_state` wrote, tensors on the CPU.

    Raises:
        RunError: the file is damaged or was not written by `save_state`.
    """
    try:
        with safe_open(path, framework="pt") as file:
            structure = json.loads((file.metadata() or {})["structure"])
            return _put_together(structure, {key: file.get_tensor(key) for key in file.keys()})  # noqa: SIM118
    except DAMAGE as error:
        raise RunError(f"{path}: damaged, or not written by bmnas ({error}); delete it to start anew") from error


def _take_apart(value: Any, tensors: dict[str, Tensor]) -> Any:
    """The value with each tensor replaced by its key in `tensors`."""
    if isinstance(value, Tensor):
        key = str(len(tensors))
        tensors[key] = value.detach().to("cpu", copy=True).contiguous()
        return {TENSOR: key}
    if isinstance(value, dict):  # as pairs: an optimizer's state has numbers for keys
        return {MAPPING: [[key, _take_apart(part, tensors)] for key, part in value.items()]}
    if isinstance(value, list | tuple):
        return [_take_apart(part, tensors) for part in value]
    return value


def _put_together(value: Any, tensors: dict[str, Tensor]) -> Any:
    if isinstance(value, list):
        return [_put_together(part, tensors) for part in value]
    if not isinstance(value, dict):
        return value
    if TENSOR in value:
        return tensors[value[TENSOR]]
    return {key: _put_together(part, tensors) for key, part in value[MAPPING]}


def save_tensors(path: Path, tensors: dict[str, Tensor], about: dict[str, Any]) -> None:
    """Writes named tensors and a JSON description to one file, whole or not at all.

    Raises:
        RunError: the file cannot be written; what was there before is kept.
    """
    held = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    _write(path, held, {"about": json.dumps(about)})


def _write(path: Path, tensors: dict[str, Tensor], metadata: dict[str, str]) -> None:
    with whole(path) as partial:
        try:
            save_file(tensors, partial, metadata=metadata)
        except SafetensorError as error:  # what safetensors makes of a full disk
            raise OSError(str(error)) from error


def load_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """What `save_tensors` wrote.

    Raises:
        RunError: the file is missing or damaged.
    """
    try:
        with safe_open(path, framework="pt") as file:
            about = json.loads((file.metadata() or {})["about"])
            return {key: file.get_tensor(key) for key in file.keys()}, about  # noqa: SIM118
    except DAMAGE as error:
        raise RunError(f"{path}: missing, damaged, or not written by bmnas ({error})") from error
