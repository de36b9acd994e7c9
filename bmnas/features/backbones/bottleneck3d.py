"""The residual block that both 3D networks are built of (He et al. 2016; ResNeXt with groups, Xie et al. 2017)."""

from torch import Tensor, nn


class Bottleneck3d(nn.Module):
    """ReLU(x' + BN(1x1x1(ReLU(BN(3x3x3(ReLU(BN(1x1x1(x)))))))); x' is x, or a strided 1x1x1 convolution and BN of it.

    Args:
        C_in, C_mid, C_out: channels before, within and behind.
        stride: of the 3x3x3 convolution, in (T, H, W).
        groups: of the 3x3x3 convolution.
        project: whether x' is a convolution of x; it must be where the shape changes.
    """

    def __init__(
        self, C_in: int, C_mid: int, C_out: int, stride: tuple[int, int, int], groups: int, project: bool
    ) -> None:
        super().__init__()
        self.conv1 = nn.Conv3d(C_in, C_mid, 1, bias=False)
        self.bn1 = nn.BatchNorm3d(C_mid)
        self.conv2 = nn.Conv3d(C_mid, C_mid, 3, stride, padding=1, groups=groups, bias=False)
        self.bn2 = nn.BatchNorm3d(C_mid)
        self.conv3 = nn.Conv3d(C_mid, C_out, 1, bias=False)
        self.bn3 = nn.BatchNorm3d(C_out)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = (
            nn.Sequential(nn.Conv3d(C_in, C_out, 1, stride, bias=False), nn.BatchNorm3d(C_out)) if project else None
        )

    def forward(self, x: Tensor) -> Tensor:
        out = self.relu(self.bn1(self.conv1(x)))  # (B, C_mid, T, H, W)
        out = self.bn3(self.conv3(self.relu(self.bn2(self.conv2(out)))))  # (B, C_out, T', H', W')
        return self.relu(out + (x if self.downsample is None else self.downsample(x)))  # (B, C_out, T', H', W')


def stage(
    C_in: int, C_mid: int, C_out: int, blocks: int, stride: tuple[int, int, int], groups: int = 1
) -> nn.Sequential:
    """Blocks in a row; the first one strides and projects."""
    first = Bottleneck3d(C_in, C_mid, C_out, stride, groups, project=True)
    rest = [Bottleneck3d(C_out, C_mid, C_out, (1, 1, 1), groups, project=False) for _ in range(blocks - 1)]
    return nn.Sequential(first, *rest)
