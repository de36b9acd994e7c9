"""Sets our modules to the state that the recorded outputs of the release were made with."""

import json
import math
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

GOLDEN = Path(__file__).parents[1] / "golden"


def golden(name: str) -> dict:
    return json.loads((GOLDEN / f"{name}.json").read_text())


def formula_state(state_order: list) -> dict[str, Tensor]:
    """Key of the release -> tensor v_i = 0.1 sin(0.1 i + 1), plus one where the record says so."""
    state = {}
    for key, shape, first, rule in state_order:
        i = torch.arange(first, first + math.prod(shape), dtype=torch.float64)
        state[key] = (0.1 * torch.sin(0.1 * i + 1) + (1.0 if rule == "1+v" else 0.0)).reshape(shape)
    return state


def formula_input(shape: tuple[int, ...], k: int) -> Tensor:
    i = torch.arange(math.prod(shape), dtype=torch.float64)
    return torch.sin(0.37 * i + 1.3 * k + 0.5).reshape(shape)


def formula_logits(kind: str, cell: int, shape: tuple[int, int]) -> Tensor:
    i = torch.arange(math.prod(shape), dtype=torch.float64)
    value = {
        "alphas": torch.sin(0.7 * i + 0.3),
        "betas": torch.sin(0.5 * i + 1.1 * cell + 0.2),
        "gammas": torch.sin(0.9 * i + 0.8 * cell + 0.4),
    }[kind]
    return value.reshape(shape)


def closs(out: Tensor) -> Tensor:
    flat = out.flatten()
    return (flat * torch.cos(0.21 * torch.arange(flat.numel(), dtype=flat.dtype))).sum()


def no_dropout(module: nn.Module) -> None:
    for part in module.modules():
        if isinstance(part, nn.Dropout):
            part.p = 0.0


def assert_stat(tensor: Tensor, stat: dict, tol: float = 1e-9) -> None:
    """Compares a tensor with its recorded statistics (and all its values, where recorded)."""
    flat = tensor.detach().double().flatten()
    assert list(tensor.shape) == stat["shape"]
    scale = max(1.0, stat["abs_sum"])
    i = torch.arange(flat.numel(), dtype=torch.float64)
    sums = {
        "sum": flat.sum(),
        "abs_sum": flat.abs().sum(),
        "sq_sum": (flat**2).sum(),
        "cos_sum": (flat * torch.cos(0.21 * i)).sum(),
    }
    for name, value in sums.items():
        assert abs(value.item() - stat[name]) <= tol * max(scale, abs(stat[name])), name
    np.testing.assert_allclose(flat[:8].numpy(), stat["first8"], rtol=tol, atol=tol)
    np.testing.assert_allclose(flat[-4:].numpy(), stat["last4"], rtol=tol, atol=tol)
    if "all" in stat:
        np.testing.assert_allclose(flat.numpy(), stat["all"], rtol=tol, atol=tol)
