"""Inflated ResNet-50: the video backbone of NTU RGB+D (section 4.2; Baradel et al. 2018, "Glimpse Clouds").

A ResNet-50 whose 3 x 3 convolutions are 3 x 3 x 3; time is never strided, and the first convolution sees frame by
frame. Names and sizes are those of the authors' release (models/central/ntu.py), so its checkpoints load.
"""

from collections.abc import Mapping
from math import sqrt

from torch import Tensor, nn

from bmnas.errors import ConfigError, DataError
from bmnas.features.backbones.bottleneck3d import stage
from bmnas.features.taps import Tap

TAPS = {
    "Video_1": Tap("cnn.layer2", 2),
    "Video_2": Tap("cnn.layer3", 2),
    "Video_3": Tap("cnn.layer4", 2),
    "Video_4": Tap("avgpool"),
}
"""Feature -> tap: 512, 1024, 2048 channels, whose time becomes L, and a vector of 2048."""


class InflatedResNet50(nn.Module):
    """46,265,468 parameters for 60 actions. Its maps of 8 frames have 8 positions in time.

    Args:
        classes: number of logits.
        window: (T, H, W) of the average pool behind the last map, which must yield one position. The release's 7 x 7
            leaves out the last row and column of the 8 x 8 map that 256 x 256 pixels give.
    """

    def __init__(self, classes: int = 60, window: tuple[int, int, int] = (8, 7, 7)) -> None:
        super().__init__()
        self.cnn = _Trunk()
        self.avgpool = nn.Sequential(nn.AvgPool3d(window), nn.Flatten())
        self.classifier = nn.Linear(2048, classes)

    def forward(self, video: Tensor) -> Tensor:
        """Returns logits (B, classes) of videos (B, T, H, W, 3).

        Raises:
            DataError: another shape, or one of which the average pool does not leave one position.
        """
        if video.ndim != 5 or video.shape[-1] != 3:
            raise DataError(f"the video has the shape {tuple(video.shape)}; expected (B, T, H, W, 3)")
        pooled = self.avgpool(self.cnn(video.movedim(-1, 1)))  # (B, 2048)
        if pooled.shape[1] != self.classifier.in_features:
            raise DataError(f"the video has the shape {tuple(video.shape)}; choose a `window` that pools it to one")
        return self.classifier(pooled)  # (B, classes)


class _Trunk(nn.Module):
    """(B, 3, T, H, W) -> (B, 2048, T, H / 32, W / 32); weights N(0, sqrt(2 / (k0 k1 C_out))) for kernels (k0, k1 ...).

    k0 and k1 are the first two extents of a kernel, also of a three-dimensional one: so the release.
    """

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)
        self.layer1 = stage(64, 64, 256, 3, (1, 1, 1))
        self.layer2 = stage(256, 128, 512, 4, (1, 2, 2))
        self.layer3 = stage(512, 256, 1024, 6, (1, 2, 2))
        self.layer4 = stage(1024, 512, 2048, 3, (1, 2, 2))
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.Conv3d):
                k0, k1 = module.kernel_size[:2]
                nn.init.normal_(module.weight, 0, sqrt(2 / (k0 * k1 * module.out_channels)))

    def forward(self, x: Tensor) -> Tensor:
        B = len(x)
        frames = x.movedim(2, 1).flatten(0, 1)  # (BT, 3, H, W)
        frames = self.maxpool(self.relu(self.bn1(self.conv1(frames))))  # (BT, 64, H / 4, W / 4)
        maps = frames.unflatten(0, (B, -1)).movedim(1, 2)  # (B, 64, T, H / 4, W / 4)
        return self.layer4(self.layer3(self.layer2(self.layer1(maps))))  # (B, 2048, T, H / 32, W / 32)


def inflate(state_2d: Mapping[str, Tensor], how: str = "mean") -> dict[str, Tensor]:
    """Returns the weights of a ResNet-50 for images (ImageNet) as weights of this network's trunk.

    W3[..., t, :, :] = W2 / T for every t of T ("mean"; Carreira and Zisserman 2017), or W2 at the middle t and 0
    elsewhere ("center"; what the loader that the release took over from MFAS does). Either answers to a video that
    does not change as the 2D network does to its frame, "mean" only where no padding in time is in reach.

    Args:
        state_2d: with the usual names, "conv1.weight", "layer1.0.conv1.weight" ...; "fc." is left out.

    Raises:
        ConfigError: unknown `how`.
    """
    if how not in ("mean", "center"):
        raise ConfigError(f"how is {how!r}; expected 'mean' or 'center'")
    return {
        f"cnn.{key}": _over_time(weight, _temporal_size(key, weight), how)
        for key, weight in state_2d.items()
        if not key.startswith("fc.")
    }


def _temporal_size(key: str, weight: Tensor) -> int | None:
    """Returns T of the 3D kernel that takes this weight; None where it stays as it is."""
    if weight.ndim != 4 or key == "conv1.weight":
        return None
    return weight.shape[-1]  # the kernels of the blocks are cubes


def _over_time(weight: Tensor, T: int | None, how: str) -> Tensor:
    if T is None:
        return weight
    repeated = weight.unsqueeze(2).repeat(1, 1, T, 1, 1)  # (C_out, C_in, T, H, W)
    if how == "mean":
        return repeated / T
    repeated[:, :, : T // 2] = 0
    repeated[:, :, T // 2 + 1 :] = 0
    return repeated
