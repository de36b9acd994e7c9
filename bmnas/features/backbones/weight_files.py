"""The weights of the backbones that made a feature set, beside its arrays: the joint training starts from them."""

from pathlib import Path
from typing import Any

from torch import nn

from bmnas.errors import FeatureError, RunError
from bmnas.storage.checkpoint import load_tensors, save_tensors


def weight_file(folder: Path, modality: str) -> Path:
    """Returns the path of a modality's weights."""
    return folder / f"backbone_{modality}.safetensors"


def save_backbone(model: nn.Module, path: Path, about: dict[str, Any]) -> None:
    """Writes all weights and JSON values that describe them, whole or not at all.

    Raises:
        FeatureError: the file cannot be written.
    """
    try:
        save_tensors(path, model.state_dict(), about)
    except RunError as error:
        raise FeatureError(str(error)) from error


def load_backbone(model: nn.Module, path: Path) -> dict[str, Any]:
    """Loads a model's weights, and returns the JSON values that describe them.

    Raises:
        FeatureError: the file is missing, damaged, or holds another network's weights.
    """
    try:
        weights, about = load_tensors(path)
        model.load_state_dict(weights)
    except (RunError, RuntimeError) as error:
        raise FeatureError(
            f"{path}: not the weights of {type(model).__name__}: {error}; delete it to make it again"
        ) from error
    return about
