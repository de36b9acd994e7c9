"""LeNet-like convolutional networks for small pictures and spectrograms.

AV-MNIST's published backbones have this form: three blocks for the images and five for the spectrograms, each a
convolution, BatchNorm, ReLU and max pool, with doubling channels (MFAS, GP_LeNet and GP_LeNet_Deeper).
"""

from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn


class LeNet(nn.Module):
    """Blocks of Conv -> BatchNorm -> ReLU -> MaxPool(2), then a global average pool and a Linear.

    The outputs of the blocks, `blocks.0`, `blocks.1` ..., are the taps.

    Args:
        channels: output channels of each block.
        classes: number of logits.
        first_kernel: kernel of the first block; the others have 3.
        colours: channels of the input.
    """

    def __init__(self, channels: Sequence[int], classes: int, first_kernel: int = 5, colours: int = 1) -> None:
        super().__init__()
        self.blocks = nn.Sequential()
        for i, (C_in, C_out) in enumerate(pairwise((colours, *channels))):
            kernel = first_kernel if i == 0 else 3
            conv = nn.Conv2d(C_in, C_out, kernel, padding=kernel // 2, bias=False)
            self.blocks.append(nn.Sequential(conv, nn.BatchNorm2d(C_out), nn.ReLU(), nn.MaxPool2d(2)))
        self.classifier = nn.Linear(channels[-1], classes)

    def forward(self, x: Tensor) -> Tensor:
        maps = self.blocks(x)  # (B, channels[-1], H', W')
        return self.classifier(maps.mean((2, 3)))  # (B, classes)
