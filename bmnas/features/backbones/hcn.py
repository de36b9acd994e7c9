"""HCN, the co-occurrence network: the skeleton backbone of NTU RGB+D (section 4.2; Li et al. 2018).

Two streams of the same form, positions and their differences in time, each first along time and then with the joints
as channels ("co-occurrence"); joined, they stay together, and the largest response of the persons counts. Names and
sizes are those of the authors' release (models/central/ntu.py), so its checkpoints load.
"""

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from bmnas.errors import DataError
from bmnas.features.taps import Tap

TAPS = {
    "Skeleton_1": Tap("persons5", 2),
    "Skeleton_2": Tap("persons6", 2),
    "Skeleton_3": Tap("flatten"),
    "Skeleton_4": Tap("fc7"),
}
"""Feature -> tap: maps of 128 x 4 x 4 and 256 x 2 x 2, whose time becomes L, and vectors of 1024 and 512."""


class HCN(nn.Module):
    """1,062,652 parameters for 60 actions. Weights Xavier-uniform, biases 0.

    All persons of a sample go through the network as one batch, which is the same as one after the other.

    Args:
        classes: number of logits.
        dropout: probability, of whole channels but in the last layer.
        frames: T, at least 16.
        joints: V.
        persons: P.
    """

    def __init__(
        self, classes: int = 60, dropout: float = 0.5, frames: int = 32, joints: int = 25, persons: int = 2
    ) -> None:
        super().__init__()
        self.shape = (3, frames, joints, persons)
        for stream in ("", "m"):  # m: motion
            self.add_module(f"conv1{stream}", nn.Sequential(nn.Conv2d(3, 64, 1), nn.ReLU()))
            self.add_module(f"conv2{stream}", nn.Conv2d(64, 32, (3, 1), padding=(1, 0)))
            self.add_module(f"conv3{stream}", nn.Sequential(nn.Conv2d(joints, 32, 3, padding=1), nn.MaxPool2d(2)))
            self.add_module(
                f"conv4{stream}",
                nn.Sequential(nn.Conv2d(32, 64, 3, padding=1), nn.Dropout2d(dropout), nn.MaxPool2d(2)),
            )
        self.conv5 = _block(128, 128, dropout)
        self.conv6 = _block(128, 256, dropout)
        self.persons5 = PersonMax(persons)
        self.persons6 = PersonMax(persons)
        self.flatten = nn.Flatten()
        self.fc7 = nn.Sequential(nn.Linear(256 * (frames // 16) * 2, 512), nn.ReLU(), nn.Dropout(dropout))
        self.fc8 = nn.Linear(512, classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                nn.init.xavier_uniform_(module.weight)
                nn.init.zeros_(module.bias)  # type: ignore[arg-type]

    def forward(self, skeleton: Tensor) -> Tensor:
        """Returns logits (B, classes) of joint positions (B, 3, T, V, P).

        Raises:
            DataError: another shape.
        """
        if tuple(skeleton.shape[1:]) != self.shape:
            raise DataError(f"the skeleton has the shape {tuple(skeleton.shape)}; expected (B, *{self.shape})")
        position = skeleton.movedim(4, 1).flatten(0, 1)  # (BP, 3, T, V)
        both = torch.cat([self._stream("", position), self._stream("m", motion(position))], 1)  # (BP, 128, T / 4, 8)
        fifth = self.conv5(both)  # (BP, 128, T / 8, 4)
        self.persons5(fifth)  # a tap alone: the network continues with each person
        largest = self.persons6(self.conv6(fifth))  # (B, 256, T / 16, 2)
        return self.fc8(self.fc7(self.flatten(largest)))  # (B, classes)

    def _stream(self, stream: str, x: Tensor) -> Tensor:
        points = self.get_submodule(f"conv2{stream}")(self.get_submodule(f"conv1{stream}")(x))  # (BP, 32, T, V)
        joints = points.transpose(1, 3)  # (BP, V, T, 32)
        return self.get_submodule(f"conv4{stream}")(self.get_submodule(f"conv3{stream}")(joints))  # (BP, 64, T / 4, 8)


class PersonMax(nn.Module):
    """(BP, ...) -> (B, ...): the largest value over the persons of a sample."""

    def __init__(self, persons: int) -> None:
        super().__init__()
        self.persons = persons

    def forward(self, x: Tensor) -> Tensor:
        return x.unflatten(0, (-1, self.persons)).amax(1)  # (B, ...)


def motion(position: Tensor) -> Tensor:
    """Differences in time of (B, 3, T, V), stretched linearly from T - 1 to T frames."""
    steps = position.diff(dim=2)  # (B, 3, T - 1, V)
    return interpolate(steps, position.shape[2:], mode="bilinear", align_corners=False)  # (B, 3, T, V)


def _block(C_in: int, C_out: int, dropout: float) -> nn.Sequential:
    conv = nn.Conv2d(C_in, C_out, 3, padding=1)
    return nn.Sequential(conv, nn.ReLU(), nn.Dropout2d(dropout), nn.MaxPool2d(2))
