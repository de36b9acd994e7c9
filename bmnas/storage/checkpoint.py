"""Nested states (dictionaries, lists, numbers, tensors) in one safetensors file; reading it executes no code.

The file holds the SHA-256 of its content: a flipped bit or an edited number would otherwise change the end of a search
in silence. Description and digest share one entry of the metadata, as safetensors writes several in any order.
"""

import hashlib
import json
import re
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from bmnas.errors import RunError
from bmnas.storage.reading import regular
from bmnas.storage.whole_files import whole

TENSOR, MAPPING = "__tensor__", "__mapping__"
SHA256 = "sha256"
DAMAGE = (
    *(SafetensorError, KeyError, ValueError, OSError, TypeError, IndexError, AttributeError, RecursionError),
    *(RuntimeError, OverflowError),
)


def save_state(path: Path, state: Any) -> None:
    """Writes `state` to `path`, whole or not at all: a temporary file first, renamed when it is on the disk.

    Raises:
        RunError: the file cannot be written; what was there before is kept.
    """
    tensors: dict[str, Tensor] = {}
    _write(path, tensors, "structure", {"state": _take_apart(state, tensors)})


def load_state(path: Path) -> Any:
    """Reads what `save_state` wrote, tensors on the CPU.

    Raises:
        RunError: the file is damaged or was not written by `save_state`.
    """
    try:
        tensors, structure = _read(path, "structure")
        return _put_together(structure.get("state", structure), tensors)  # an older version had the state alone there
    except DAMAGE as error:
        raise RunError(f"{path}: damaged, or not written by bmnas ({error}); delete it to start again") from error


def _take_apart(value: Any, tensors: dict[str, Tensor]) -> Any:
    """Returns the value with each tensor replaced by its key in `tensors`."""
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
    _write(path, held, "about", about)


def _write(path: Path, tensors: dict[str, Tensor], key: str, about: dict[str, Any]) -> None:
    """Writes the tensors, and under `key` their description and the digest of both."""
    metadata = {key: json.dumps({**about, SHA256: _digest(tensors, about)})}
    with whole(path) as partial:
        try:
            save_file(tensors, partial, metadata=metadata)
        except SafetensorError as error:  # what safetensors makes of a full disk, its number in words
            number = re.search(r"os error (\d+)", str(error))
            raise OSError(int(number[1]) if number else 0, str(error)) from error


def load_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Reads what `save_tensors` wrote.

    Raises:
        RunError: the file is missing or damaged.
    """
    try:
        return _read(path, "about")
    except DAMAGE as error:
        raise RunError(f"{path}: missing, damaged, or not written by bmnas ({error})") from error


def _read(path: Path, key: str) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Reads what `_write` wrote; a damaged file raises one of `DAMAGE`."""
    with safe_open(regular(path), framework="pt") as file:
        about = json.loads((file.metadata() or {})[key])
        if not isinstance(about, dict):
            raise TypeError(f"{key} is {type(about).__name__}; expected an object")
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    expected = about.pop(SHA256, None)  # files of an older version have none
    if expected is not None and expected != _digest(tensors, about):
        raise ValueError("its content has another sha256 than when it was written")
    return tensors, about


def _digest(tensors: dict[str, Tensor], about: dict[str, Any]) -> str:
    """Returns the SHA-256 of the description and of the names, types, shapes and bytes of the tensors."""
    digest = hashlib.sha256(json.dumps(about).encode())
    for name, tensor in sorted(tensors.items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)  # numpy has no bfloat16
    return digest.hexdigest()
