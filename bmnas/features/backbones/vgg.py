"""VGG-19 for the posters of MM-IMDB (section 4.1; Simonyan and Zisserman 2015, configuration E).

As in the authors' release (models/central/mmimdb.py): the convolutions alone, a global average pool, BatchNorm and one
Linear. The names in the state_dict are the release's, so its checkpoints load.
"""

from collections.abc import Iterator, Mapping

from torch import Tensor, nn

from bmnas.features.taps import Tap

STAGES = ((64, 2), (128, 2), (256, 4), (512, 4), (512, 4))  # channels, convolutions before each max pool
TAPS = {f"Image_{i}": Tap(f"vgg.{place}", "grid") for i, place in enumerate((20, 26, 33, 36), start=1)}
"""Feature -> tap: three ReLUs and the last max pool, 512 channels each; of 256 x 160 pixels 32 x 20 twice, 16 x 10, and
8 x 5 are left."""


class VGG19(nn.Module):
    """Sixteen 3 x 3 convolutions, then mean over the map, BatchNorm and Linear: 20,037,207 parameters for 23 genres.

    Args:
        classes: number of logits.
    """

    def __init__(self, classes: int = 23) -> None:
        super().__init__()
        self.vgg = nn.Sequential(*_layers())
        self.bn4 = nn.BatchNorm1d(STAGES[-1][0])
        self.classifier = nn.Linear(STAGES[-1][0], classes)

    def forward(self, image: Tensor) -> Tensor:
        """Returns logits (B, classes) of images (B, 3, H, W), at least 32 pixels a side."""
        maps = self.vgg(image)  # (B, 512, H / 32, W / 32)
        return self.classifier(self.bn4(maps.mean((2, 3))))  # (B, classes)


def imagenet_features(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Returns the convolutions of a VGG-19 trained on ImageNet, under this network's names.

    Args:
        state: with the usual names, "features.0.weight" ...; the fully connected layers are left out.
    """
    return {f"vgg.{key.removeprefix('features.')}": w for key, w in state.items() if key.startswith("features.")}


def _layers() -> Iterator[nn.Module]:
    C_in = 3
    for C_out, convolutions in STAGES:
        for _ in range(convolutions):
            yield nn.Conv2d(C_in, C_out, 3, padding=1)
            yield nn.ReLU()
            C_in = C_out
        yield nn.MaxPool2d(2)
