"""ResNeXt-101 in 3D: the backbone of both modalities of EgoGesture (section 4.3; Köpüklü et al. 2019).

Names and sizes are those of the authors' release (models/central/ego.py), so its checkpoints load. Its first
convolutions differ: RGB has kernels of 3 x 7 x 7, depth of 7 x 7 x 7 on a single channel.
"""

from math import ceil

import torch
from torch import Tensor, nn

from bmnas.errors import ConfigError, DataError
from bmnas.features.backbones.bottleneck3d import stage
from bmnas.features.taps import Tap

CHANNELS = {"RGB": 3, "Depth": 1}
PLACES = (("layer2", 2), ("layer3", 2), ("layer4", 2), ("avgpool", "auto"))
TAPS = {
    modality: {f"{modality}_{i}": Tap(module, axis) for i, (module, axis) in enumerate(PLACES, start=1)}
    for modality in CHANNELS
}
"""Modality -> feature -> tap: 512, 1024, 2048 channels, whose time becomes L, and a vector of 2048."""


class ResNeXt101(nn.Module):
    """3, 4, 23 and 3 blocks with 32 groups: 47,653,651 parameters (RGB), 47,647,379 (depth) for 83 gestures.

    Convolutions start from N(0, sqrt(2 / fan_out)) (Kaiming). The release then replaces the first one: by a new one
    with PyTorch's initial values (RGB), or by the mean of its kernels over the three channels (depth).

    Args:
        modality: "RGB" or "Depth".
        classes: number of logits.
        frames, size: extent of the clips; the average pool covers their last map, ceil(frames / 16) x
            ceil(size / 32)^2.

    Raises:
        ConfigError: another modality.
    """

    def __init__(self, modality: str, classes: int = 83, frames: int = 32, size: int = 112) -> None:
        super().__init__()
        if modality not in CHANNELS:
            raise ConfigError(f"modality is {modality!r}; expected 'RGB' or 'Depth'")
        self.conv1 = _first_conv(modality)
        self.bn1 = nn.BatchNorm3d(64)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool3d(3, stride=2, padding=1)
        self.layer1 = stage(64, 128, 256, 3, (1, 1, 1), groups=32)
        self.layer2 = stage(256, 256, 512, 4, (2, 2, 2), groups=32)
        self.layer3 = stage(512, 512, 1024, 23, (2, 2, 2), groups=32)
        self.layer4 = stage(1024, 1024, 2048, 3, (2, 2, 2), groups=32)
        self.avgpool = nn.AvgPool3d((ceil(frames / 16), ceil(size / 32), ceil(size / 32)), stride=1)
        self.fc = nn.Linear(2048, classes)
        for module in self.modules():
            if isinstance(module, nn.Conv3d) and module is not self.conv1:
                nn.init.kaiming_normal_(module.weight, mode="fan_out")

    def forward(self, clip: Tensor) -> Tensor:
        """Returns logits (B, classes) of clips (B, 3 or 1, T, H, W).

        Raises:
            DataError: another number of channels, or an extent of which the average pool leaves more than a vector.
        """
        if clip.ndim != 5 or clip.shape[1] != self.conv1.in_channels:
            raise DataError(
                f"the clip has the shape {tuple(clip.shape)}; expected (B, {self.conv1.in_channels}, T, H, W)"
            )
        x = self.maxpool(self.relu(self.bn1(self.conv1(clip))))  # (B, 64, T / 2, H / 4, W / 4)
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))  # (B, 2048, T / 16, H / 32, W / 32)
        pooled = self.avgpool(x).flatten(1)  # (B, 2048)
        if pooled.shape[1] != self.fc.in_features:
            raise DataError(f"the clip has the shape {tuple(clip.shape)}; give its `frames` and `size` to the network")
        return self.fc(pooled)  # (B, classes)


def _first_conv(modality: str) -> nn.Conv3d:
    if modality == "RGB":
        return nn.Conv3d(3, 64, (3, 7, 7), stride=(1, 2, 2), padding=(1, 3, 3), bias=False)
    conv = nn.Conv3d(1, 64, 7, stride=(1, 2, 2), padding=3, bias=False)
    three = nn.init.kaiming_normal_(torch.empty(64, 3, 7, 7, 7), mode="fan_out")
    with torch.no_grad():
        conv.weight.copy_(three.mean(1, keepdim=True))  # (64, 1, 7, 7, 7)
    return conv
