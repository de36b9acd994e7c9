"""Weights of backbones from files: the authors' released checkpoints, or ImageNet's. Reading executes no code."""

from collections.abc import Callable, Mapping
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from torch import Tensor, nn

from bmnas.errors import DataError
from bmnas.storage.paths import given_path
from bmnas.storage.reading import regular

State = Mapping[str, Tensor]


def load_checkpoint(
    model: nn.Module,
    path: str | Path,
    convert: Callable[[State], State] | None = None,
    fresh: tuple[str, ...] = (),
) -> None:
    """Sets a model's weights to those of a file that `torch.save` wrote.

    The file holds a state_dict, or a dictionary with one under "state_dict"; a "module." before all names (networks
    that ran in DataParallel) is dropped. Either all weights are set, or none.

    Args:
        model: for example `HCN()`.
        path: of the checkpoint.
        convert: applied to the file's weights first, for example `inflate` or `imagenet_features`.
        fresh: beginnings of names that the file need not have; these weights stay as they are.

    Raises:
        DataError: the file is missing, damaged, holds code or no weights, or a weight is missing, unknown, of another
            shape, or not a finite number; names the file and the weight.
    """
    state = read_state(path)
    state = dict(state if convert is None else convert(state))
    own = model.state_dict()
    counters = {key for key in own if key.endswith(".num_batches_tracked")}  # files of before torch 0.4.1 have none
    missing = [key for key in own if key not in state and key not in counters and not key.startswith(fresh or "\0")]
    unknown = [key for key in state if key not in own]
    for kind, keys in (("is missing", missing), ("is not one of the network's", unknown)):
        if keys:
            more = f" (and {len(keys) - 1} more)" if len(keys) > 1 else ""
            raise DataError(f"{path}: the weight {keys[0]!r} {kind}{more}; expected those of {type(model).__name__}")
    for key, weight in state.items():
        _check(path, key, weight, own[key])
    model.load_state_dict({**own, **state})


def read_state(path: str | Path) -> dict[str, Tensor]:
    """Reads the weights in a file by name, on the CPU.

    Raises:
        DataError: see `load_checkpoint`.
    """
    path = given_path("path", path)
    try:
        content: Any = torch.load(regular(path), map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise DataError(f"{path}: there is no such checkpoint; expected a file that torch.save wrote") from error
    except UnpicklingError as error:
        raise DataError(f"{path}: refused, since it holds more than weights, or is damaged ({error})") from error
    except Exception as error:  # a file of any other kind can make the unpickler fail in any way
        raise DataError(f"{path}: damaged, or not a file that torch.save wrote ({error})") from error
    if isinstance(content, Mapping) and isinstance(content.get("state_dict"), Mapping):
        content = content["state_dict"]
    if not isinstance(content, Mapping) or not content:
        raise DataError(f"{path}: holds {type(content).__name__}; expected a state_dict, or one under 'state_dict'")
    for key, weight in content.items():
        if not isinstance(key, str) or not isinstance(weight, Tensor):
            raise DataError(f"{path}: {key!r} is {type(weight).__name__}; expected weights by name")
    wrapped = all(key.startswith("module.") for key in content)
    return {key.removeprefix("module.") if wrapped else key: weight for key, weight in content.items()}


def _check(path: str | Path, key: str, weight: Tensor, own: Tensor) -> None:
    if weight.shape != own.shape:
        shapes = f"the shape {tuple(weight.shape)}; expected {tuple(own.shape)}"
        raise DataError(f"{path}: the weight {key!r} has {shapes}")
    if not torch.isfinite(weight).all():
        raise DataError(f"{path}: the weight {key!r} holds NaN or infinite values")
