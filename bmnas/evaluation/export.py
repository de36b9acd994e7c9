"""A trained network for other programs: an ONNX file, or torch's exported program; inputs are named as the features."""

import logging
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from bmnas.errors import PredictionError
from bmnas.machine import optional_package
from bmnas.storage.whole_files import keep_others, whole

PACKAGES = ("onnx", "onnxruntime", "onnxscript")  # torch's exporter needs the last
OPSET = 18
TOLERANCE = 1e-4  # of the largest logit, between torch and onnxruntime in float32


class Positional(nn.Module):
    """A network whose features are arguments, in their order, as exporters want them.

    Args:
        network: feature -> tensor, to logits.
        names: the features.
    """

    def __init__(self, network: nn.Module, names: list[str]) -> None:
        super().__init__()
        self.network, self.names = network, names

    def forward(self, *features: Tensor) -> Tensor:
        """(B, C_in, L or 1) each -> logits (B, classes)."""
        return self.network(dict(zip(self.names, features, strict=True)))


def exported_program(network: nn.Module, shapes: Mapping[str, tuple[int, int]]) -> torch.export.ExportedProgram:
    """Exports a network with torch.export, for any number of samples.

    Args:
        network: in eval mode, on the CPU.
        shapes: feature -> (C_in, L or 1).
    """
    batch = torch.export.Dim("batch")
    examples = tuple(torch.randn(2, *shape) for shape in shapes.values())
    dynamic = (tuple({0: batch} for _ in examples),)
    return torch.export.export(Positional(network, list(shapes)), examples, dynamic_shapes=dynamic)


@contextmanager
def _quiet_exporter() -> Iterator[None]:
    """Silences what torch's exporter says of itself: packages that it can do without, and its own outdated calls."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)
            warnings.simplefilter("ignore", DeprecationWarning)
            yield
    finally:
        logger.setLevel(level)


def write_onnx(
    network: nn.Module,
    shapes: Mapping[str, tuple[int, int]],
    path: Path,
    rows: Mapping[str, np.ndarray],
    about: Mapping[str, str],
) -> float:
    """Writes an ONNX file and runs it with onnxruntime on some rows.

    Args:
        network, shapes: see `exported_program`.
        rows: feature -> (n, C_in, L or 1), to compare both on.
        about: kept in the file's metadata.

    Returns:
        The largest difference of a logit between torch and onnxruntime.

    Raises:
        ConfigError: the packages of the extra `onnx` are not installed; gives the command.
        PredictionError: both differ by more than rounding; what lay at `path` stays.
        RunError: the file cannot be written, or the one that is there is no ONNX model.
    """
    onnx, onnxruntime, _ = (optional_package(name, "onnx", "export") for name in PACKAGES)
    keep_others(path, "ONNX model", partial(_is_model, onnx))
    names = list(shapes)
    exported = exported_program(network, shapes)
    with _quiet_exporter():
        program = torch.onnx.export(
            exported, input_names=names, output_names=["logits"], opset_version=OPSET, dynamo=True, verbose=False
        )
    assert program is not None
    model = program.model_proto
    for key, value in about.items():
        entry = model.metadata_props.add()
        entry.key, entry.value = key, value
    inputs = {name: np.ascontiguousarray(rows[name], np.float32) for name in names}
    with torch.no_grad():
        ours = network({name: torch.from_numpy(array) for name, array in inputs.items()}).numpy()
    with whole(path) as beside:
        onnx.save_model(model, str(beside))
        session = onnxruntime.InferenceSession(str(beside), providers=["CPUExecutionProvider"])
        difference = float(np.abs(ours - np.asarray(session.run(["logits"], inputs)[0])).max())
        if not difference <= TOLERANCE * max(1.0, float(np.abs(ours).max())):
            raise PredictionError(f"{path}: onnxruntime's logits differ from torch's by {difference:.2g}; not written")
    return difference


def _is_model(onnx: Any, path: Path) -> bool:
    """Returns whether a file is an ONNX model; most other files do not parse, and the rest has no graph."""
    try:
        return onnx.load_model(str(path), load_external_data=False).HasField("graph")
    except Exception:  # protobuf's classes of errors differ from version to version
        return False
