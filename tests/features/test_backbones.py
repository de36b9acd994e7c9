"""The backbones of the paper's three data sets: names, sizes and maps as the release's, and independent formulas."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from bmnas.errors import ConfigError, DataError
from bmnas.features.backbones import hcn, inflated_resnet, maxout_mlp, resnext3d, vgg
from bmnas.features.backbones.hcn import HCN
from bmnas.features.backbones.inflated_resnet import InflatedResNet50, inflate
from bmnas.features.backbones.maxout_mlp import MaxoutMLP
from bmnas.features.backbones.resnext3d import ResNeXt101
from bmnas.features.backbones.vgg import VGG19, imagenet_features
from bmnas.features.extraction import extract
from bmnas.features.taps import pool
from bmnas.paper.published import EGO_CHANNELS, MMIMDB_CHANNELS, NTU_CHANNELS
from tests.support.golden_release import golden

RECORDS = golden("backbones")
MAKE = {
    "visual": InflatedResNet50,
    "skeleton": HCN,
    "vgg": VGG19,
    "maxout": MaxoutMLP,
    "ego_rgb": lambda: ResNeXt101("RGB"),
    "ego_depth": lambda: ResNeXt101("Depth"),
}
TAPS = {
    "visual": inflated_resnet.TAPS,
    "skeleton": hcn.TAPS,
    "vgg": vgg.TAPS,
    "maxout": maxout_mlp.TAPS,
    "ego_rgb": resnext3d.TAPS["RGB"],
    "ego_depth": resnext3d.TAPS["Depth"],
}
CHANNELS = NTU_CHANNELS | EGO_CHANNELS | MMIMDB_CHANNELS


def meta(name):
    with torch.device("meta"):
        return MAKE[name]().eval()


def outputs(model, x, paths):
    """The outputs of some modules and, last, of the model."""
    seen, handles = {}, []
    for path in paths:
        keep = lambda _module, _inputs, output, path=path: seen.__setitem__(path, output)  # noqa: E731
        handles.append(model.get_submodule(path).register_forward_hook(keep))
    with torch.no_grad():
        out = model(x)
    for handle in handles:
        handle.remove()
    return [*(seen[path] for path in paths), out]


def shapes(name, x, paths):
    return [list(out.shape) for out in outputs(meta(name), x.to("meta"), paths)]


def randomise(model):
    """Weights and BatchNorm statistics unlike their initial values, in double precision."""
    generator = torch.Generator().manual_seed(0)
    for module in model.double().eval().modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d | nn.BatchNorm3d):
            for name in ("weight", "running_var"):
                getattr(module, name).data.uniform_(0.5, 1.5, generator=generator)
            for name in ("bias", "running_mean"):
                getattr(module, name).data.normal_(0, 0.3, generator=generator)
        elif isinstance(bias := getattr(module, "bias", None), nn.Parameter):
            bias.data.normal_(0, 0.3, generator=generator)
    return model


def random(*shape, seed=0):
    return torch.from_numpy(np.random.default_rng(seed).normal(size=shape))


# as recorded


@pytest.mark.parametrize("name", RECORDS)
def test_names_shapes_and_sizes_are_the_releases(name):
    model, record = meta(name), RECORDS[name]
    state = {key: list(tensor.shape) for key, tensor in model.state_dict().items()}
    assert list(state.items()) == list(record["state_dict"].items())
    assert sum(parameter.numel() for parameter in model.parameters()) == record["params"]


def recorded_maps():
    """(backbone, input, modules, recorded outputs)."""
    stages = [f"layer{i}" for i in (2, 3, 4)]
    for size in (256, 224):
        paths = ["cnn.layer1", *(f"cnn.{stage}" for stage in stages), "avgpool"]
        yield "visual", (2, 8, size, size, 3), paths, RECORDS["visual"][f"input (2,8,{size},{size},3)"]
    for H, W in ((256, 160), (224, 224)):
        yield "vgg", (2, 3, H, W), [f"vgg.{i}" for i in (20, 26, 33, 36)], RECORDS["vgg"][f"input (2,3,{H},{W})"]
    yield "maxout", RECORDS["maxout"]["input"], ["op1", "op3"], RECORDS["maxout"]["returned"]
    for name in ("ego_rgb", "ego_depth"):
        yield name, RECORDS[name]["input"], [*stages, "avgpool"], RECORDS[name]["returned"]


@pytest.mark.parametrize(("name", "shape", "paths", "expected"), list(recorded_maps()), ids=lambda v: str(v)[:20])
def test_maps_have_the_recorded_shapes(name, shape, paths, expected):
    assert shapes(name, torch.empty(*shape, device="meta"), paths) == expected


def test_hidden_layers_of_hcn_have_the_recorded_shapes():
    record = RECORDS["skeleton"]
    paths = ["conv1", "conv2", "conv3", "conv4", "conv4m", "persons5", "persons6", "flatten", "fc7"]
    *maps, out = shapes("skeleton", torch.empty(*record["input"], device="meta"), paths)
    conv1, conv2, conv3, conv4, conv4m, *later = maps
    persons = [[2 * 2, *shape[1:]] for shape in record["hidden"][:4]]  # both persons in one batch, before they meet
    assert (conv1, [conv2[0], *conv2[:0:-1]], conv3) == tuple(persons[:3])
    assert [conv4[0], conv4[1] + conv4m[1], *conv4[2:]] == persons[3]
    assert (later, out) == (record["hidden"][4:], record["logits"])


INPUTS = {"visual": (2, 8, 224, 224, 3), "skeleton": (2, 3, 32, 25, 2), "vgg": (2, 3, 256, 160), "maxout": (2, 300)}
INPUTS |= {"ego_rgb": (1, 3, 32, 112, 112), "ego_depth": (1, 1, 32, 112, 112)}
LENGTHS = {"visual": (8, 8, 8, 1), "skeleton": (8, 8, 1, 1), "vgg": (16,) * 4, "maxout": (1, 1)}
LENGTHS |= {"ego_rgb": (8, 8, 8, 1), "ego_depth": (8, 8, 8, 1)}


@pytest.mark.parametrize("name", TAPS)
def test_taps_give_the_papers_features(name):
    L = max(LENGTHS[name])
    paths = [tap.module for tap in TAPS[name].values()]
    maps = outputs(meta(name), torch.empty(*INPUTS[name], device="meta"), paths)
    for (feature, tap), x, length in zip(TAPS[name].items(), maps, LENGTHS[name], strict=False):
        assert tuple(pool(x, L, tap.axis).shape) == (INPUTS[name][0], CHANNELS[feature], length)


@pytest.mark.parametrize("channels", [NTU_CHANNELS, EGO_CHANNELS, MMIMDB_CHANNELS])
def test_taps_name_every_feature(channels):
    named = [name for taps in TAPS.values() for name in taps]
    assert set(channels) <= set(named) and len(named) == len(set(named))


@pytest.mark.parametrize(("frame", "near", "far"), [(3, 0, 3), (28, 3, 0)])
def test_time_is_what_becomes_the_length(frame, near, far):
    """A movement of the skeleton is seen at its own place of L, and not at the other end."""
    torch.manual_seed(0)
    still = torch.zeros(1, 3, 32, 25, 2)
    moved = still.clone()
    moved[:, :, frame] = 5
    model = HCN()
    quiet, loud = (extract(model, hcn.TAPS, [x], L=4, device="cpu")[0]["Skeleton_1"] for x in (still, moved))
    change = np.abs(loud - quiet).max((0, 1))  # of 32 frames, 8 at each of 4 places
    assert change[near] > 0 and change[far] == 0


# independent formulas


def test_maxout_is_the_largest_of_its_pieces():
    torch.manual_seed(0)
    layer = maxout_mlp.Maxout(3, 4, 5)
    x = torch.randn(6, 3)
    out = layer(x).detach().numpy()
    weight, bias = layer.lin.weight.detach().numpy(), layer.lin.bias.detach().numpy()
    for row in range(6):
        for i in range(4):
            pieces = [x[row].numpy() @ weight[5 * i + k] + bias[5 * i + k] for k in range(5)]
            assert out[row, i] == pytest.approx(max(pieces), rel=1e-5)


def test_maxout_mlp_normalises_between_its_layers_not_at_its_taps():
    model = randomise(MaxoutMLP(classes=3, inputs=7, hidden=4))
    x = random(5, 7)
    first, second, out = outputs(model, x, ["op1", "op3"])
    assert torch.equal(first, model.op1(x))
    norms = []
    for layer, x in ((model.op2[0], first), (model.op4[0], second)):
        mean, var, weight, bias = (layer.state_dict()[k] for k in ("running_mean", "running_var", "weight", "bias"))
        norms.append((x - mean) / (var + 1e-5).sqrt() * weight + bias)
    torch.testing.assert_close(second, model.op3(norms[0]))
    torch.testing.assert_close(out, norms[1] @ model.hid2val.weight.T + model.hid2val.bias)


def test_vgg_is_configuration_E():
    torch.manual_seed(0)
    model = randomise(VGG19(classes=5))
    state, x = model.state_dict(), random(2, 3, 64, 32)
    maps = x
    for count in (2, 2, 4, 4, 4):
        for _ in range(count):
            key = next(key for key in state if key.startswith("vgg.") and key.endswith("weight"))
            maps = F.conv2d(maps, state.pop(key), state.pop(key.replace("weight", "bias")), padding=1).clamp(min=0)
        maps = F.max_pool2d(maps, 2)
    mean = maps.flatten(2).mean(2)
    norm = (mean - state["bn4.running_mean"]) / (state["bn4.running_var"] + 1e-5).sqrt()
    norm = norm * state["bn4.weight"] + state["bn4.bias"]
    last, out = outputs(model, x, ["vgg.36"])
    torch.testing.assert_close(last, maps)
    torch.testing.assert_close(out, norm @ state["classifier.weight"].T + state["classifier.bias"])


def hcn_by_hand(state, x):
    """One person after the other, differences stretched by hand; the release's order of operations."""
    T = x.shape[2]
    steps = x[:, :, 1:] - x[:, :, :-1]
    place = ((torch.arange(T) + 0.5) * (T - 1) / T - 0.5).clamp(0, T - 2)
    low = place.floor().long()
    high, part = (low + 1).clamp(max=T - 2), (place - low).double()[:, None, None]
    moves = steps[:, :, low] * (1 - part) + steps[:, :, high] * part

    def conv(name, x, padding):
        return F.conv2d(x, state[f"{name}.weight"], state[f"{name}.bias"], padding=padding)

    fifth, sixth = [], []
    for p in range(2):
        streams: list[torch.Tensor] = []
        for stream, source in (("", x), ("m", moves)):
            h = conv(f"conv2{stream}", conv(f"conv1{stream}.0", source[..., p], 0).relu(), (1, 0))
            h = h.permute(0, 3, 2, 1)
            for layer in ("conv3", "conv4"):
                h = F.max_pool2d(conv(f"{layer}{stream}.0", h, 1), 2)
            streams.append(h)
        fifth.append(F.max_pool2d(conv("conv5.0", torch.cat(streams, 1), 1).relu(), 2))
        sixth.append(F.max_pool2d(conv("conv6.0", fifth[-1], 1).relu(), 2))
    seventh = torch.maximum(*sixth).flatten(1)
    eighth = (seventh @ state["fc7.0.weight"].T + state["fc7.0.bias"]).relu()
    out = eighth @ state["fc8.weight"].T + state["fc8.bias"]
    return torch.maximum(*fifth), torch.maximum(*sixth), seventh, eighth, out


def test_hcn_takes_one_person_like_the_other():
    torch.manual_seed(0)
    model = randomise(HCN())
    x = random(3, 3, 32, 25, 2)
    found = outputs(model, x, [tap.module for tap in hcn.TAPS.values()])
    for one, expected in zip(found, hcn_by_hand(model.state_dict(), x), strict=True):
        torch.testing.assert_close(one, expected)
    torch.testing.assert_close(found[-1], model(x.flip(4)))  # persons have no order


def resnet_2d():
    """Weights of a ResNet-50 for images under the usual names, with BatchNorm statistics of their own."""
    rng, state = np.random.default_rng(0), {}

    def add(conv, norm, C_out, C_in, k):
        state[f"{conv}.weight"] = torch.from_numpy(rng.normal(0, (2 / (k * k * C_in)) ** 0.5, (C_out, C_in, k, k)))
        for name, low, high in (("weight", 0.5, 1), ("bias", -0.2, 0.2), ("running_mean", -0.2, 0.2),
                                ("running_var", 0.5, 1.5)):  # fmt: skip
            state[f"{norm}.{name}"] = torch.from_numpy(rng.uniform(low, high, C_out))

    add("conv1", "bn1", 64, 3, 7)
    C_in = 64
    for i, (width, count) in enumerate(((64, 3), (128, 4), (256, 6), (512, 3)), start=1):
        for j in range(count):
            block = f"layer{i}.{j}"
            if j == 0:
                add(f"{block}.downsample.0", f"{block}.downsample.1", 4 * width, C_in, 1)
            add(f"{block}.conv1", f"{block}.bn1", width, C_in, 1)
            add(f"{block}.conv2", f"{block}.bn2", width, width, 3)
            add(f"{block}.conv3", f"{block}.bn3", 4 * width, width, 1)
            C_in = 4 * width
    return state


def run_2d(state, x):
    """The maps of the four stages."""

    def norm(name, x):
        statistics = [state[f"{name}.{key}"] for key in ("running_mean", "running_var", "weight", "bias")]
        return F.batch_norm(x, *statistics)

    def conv(name, x, stride=1):
        weight = state[f"{name}.weight"]
        return F.conv2d(x, weight, stride=stride, padding=weight.shape[-1] // 2)

    x = F.max_pool2d(norm("bn1", conv("conv1", x, 2)).relu(), 3, 2, 1)
    maps = []
    for i, count in enumerate((3, 4, 6, 3), start=1):
        for j in range(count):
            b, stride = f"layer{i}.{j}", 2 if i > 1 and j == 0 else 1
            h = norm(f"{b}.bn1", conv(f"{b}.conv1", x)).relu()
            h = norm(f"{b}.bn2", conv(f"{b}.conv2", h, stride)).relu()
            h = norm(f"{b}.bn3", conv(f"{b}.conv3", h))
            x = (h + (norm(f"{b}.downsample.1", conv(f"{b}.downsample.0", x, stride)) if j == 0 else x)).relu()
        maps.append(x)
    return maps


def test_an_inflated_network_answers_to_a_still_video_as_the_2d_network_to_its_frame():
    state, frame = resnet_2d(), random(2, 3, 32, 32)  # two samples: frames must not change places with them
    model = InflatedResNet50(classes=4, window=(3, 1, 1)).double().eval()
    model.load_state_dict({**model.state_dict(), **inflate(state, "center")})
    video = frame.movedim(1, -1).unsqueeze(1).repeat(1, 3, 1, 1, 1)  # (2, 3, 32, 32, 3)
    *maps, pooled, out = outputs(model, video, [*(f"cnn.layer{i}" for i in (1, 2, 3, 4)), "avgpool"])
    for map_3d, map_2d in zip(maps, run_2d(state, frame), strict=True):
        assert map_2d.abs().max() > 0.1
        for t in range(3):
            torch.testing.assert_close(map_3d[:, :, t], map_2d)
    torch.testing.assert_close(pooled, run_2d(state, frame)[-1].mean((2, 3)))
    torch.testing.assert_close(out, pooled @ model.classifier.weight.T + model.classifier.bias)


@pytest.mark.parametrize(("modality", "channels", "padding"), [("RGB", 3, (1, 3, 3)), ("Depth", 1, (3, 3, 3))])
def test_resnext_begins_and_ends_as_described(modality, channels, padding):
    """Its blocks are those of the other 3D network, with groups; time is strided behind the first stage too."""
    torch.manual_seed(0)
    model = ResNeXt101(modality, classes=4, frames=16, size=32).eval()
    clip = random(2, channels, 16, 32, 32).float()
    stem, last, out = outputs(model, clip, ["maxpool", "layer4"])
    first = F.conv3d(clip, model.conv1.weight, stride=(1, 2, 2), padding=padding) / (1 + 1e-5) ** 0.5  # BatchNorm anew
    torch.testing.assert_close(stem, F.max_pool3d(first.clamp(min=0), 3, 2, 1))
    assert stem.shape == (2, 64, 8, 8, 8) and last.shape == (2, 2048, 1, 1, 1)
    torch.testing.assert_close(out, last.flatten(1) @ model.fc.weight.T + model.fc.bias)
    assert {module.groups for path, module in model.named_modules() if path.endswith(".conv2")} == {32}


@pytest.mark.parametrize(("how", "places"), [("mean", slice(1, -1)), ("center", slice(None))])
def test_an_inflated_kernel_sums_to_the_2d_kernel(how, places):
    """Section "inflation" of I3D; the mean needs real frames on both sides."""
    weight, frame = random(4, 2, 3, 3), random(1, 2, 6, 5)
    kernel = inflate({"layer1.0.conv2.weight": weight}, how)["cnn.layer1.0.conv2.weight"]
    assert kernel.shape == (4, 2, 3, 3, 3)
    torch.testing.assert_close(kernel.sum(2), weight)
    still = F.conv3d(frame.unsqueeze(2).repeat(1, 1, 7, 1, 1), kernel, padding=1)
    for map_2d in still[:, :, places].unbind(2):
        torch.testing.assert_close(map_2d, F.conv2d(frame, weight, padding=1))
    changing = F.conv3d(random(1, 2, 7, 6, 5), kernel, padding=1)
    own = F.conv2d(random(1, 2, 7, 6, 5)[:, :, 3], weight, padding=1)
    assert torch.allclose(changing[:, :, 3], own) is (how == "center")  # the mean listens to the neighbours


def test_inflation_gives_every_weight_of_the_trunk_and_nothing_else():
    state = inflate({**resnet_2d(), "fc.weight": torch.ones(2, 2), "fc.bias": torch.ones(2)})
    own = {key: tuple(weight.shape) for key, weight in meta("visual").cnn.state_dict(prefix="cnn.").items()}
    expected = {key: shape for key, shape in own.items() if not key.endswith("num_batches_tracked")}
    assert {key: tuple(weight.shape) for key, weight in state.items()} == expected
    with pytest.raises(ConfigError, match="how is 'middle'; expected 'mean' or 'center'"):
        inflate({}, "middle")


def test_imagenet_weights_of_vgg_fit_the_convolutions():
    with torch.device("meta"):
        convolutions = {f"features.{key}": w for key, w in nn.Sequential(*vgg._layers()).state_dict().items()}
    state = imagenet_features({**convolutions, "classifier.0.weight": torch.empty(1)})
    assert {key for key in meta("vgg").state_dict() if key.startswith("vgg.")} == set(state)


# initial weights


def test_hcn_starts_xavier_uniform_with_zero_biases():
    torch.manual_seed(0)
    for module in HCN().modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            fan = module.weight[0].numel() + module.weight[:, 0].numel()
            bound = (6 / fan) ** 0.5
            assert bool((module.bias == 0).all()) and module.weight.abs().max() <= bound
            if module.weight.numel() > 1000:
                assert module.weight.std().item() == pytest.approx(bound / 3**0.5, rel=0.05)


def test_inflated_resnet_starts_from_its_own_normal():
    torch.manual_seed(0)
    model = InflatedResNet50()
    for path, n in (("cnn.conv1", 7 * 7 * 64), ("cnn.layer1.0.conv2", 9 * 64), ("cnn.layer4.0.downsample.0", 2048)):
        weight = model.get_submodule(path).weight
        assert weight.std().item() == pytest.approx((2 / n) ** 0.5, rel=0.03)
        assert abs(weight.mean().item()) < 0.05 * (2 / n) ** 0.5


def test_resnext_starts_from_kaimings_normal_but_for_its_first_convolution():
    torch.manual_seed(0)
    rgb, depth = ResNeXt101("RGB"), ResNeXt101("Depth")
    for path, fan_out in (("layer1.0.conv1", 128), ("layer2.0.conv2", 256 * 27), ("layer4.2.conv3", 2048)):
        assert rgb.get_submodule(path).weight.std().item() == pytest.approx((2 / fan_out) ** 0.5, rel=0.03)
    bound = (3 * 3 * 7 * 7) ** -0.5  # PyTorch's own: uniform up to 1 / sqrt(fan_in)
    assert bound * 0.99 < rgb.conv1.weight.abs().max().item() <= bound
    one_of_three = (2 / (64 * 343)) ** 0.5 / 3**0.5  # the mean of three of Kaiming's
    assert depth.conv1.weight.std().item() == pytest.approx(one_of_three, rel=0.03)


# what is given wrong


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("visual", (2, 3, 8, 224, 224)),
        ("visual", (2, 16, 224, 224, 3)),
        ("skeleton", (2, 3, 16, 25, 2)),
        ("skeleton", (2, 3, 32, 25)),
        ("ego_rgb", (1, 1, 32, 112, 112)),
        ("ego_depth", (1, 1, 64, 112, 112)),
    ],
)
def test_inputs_of_another_shape_are_named(name, shape):
    with pytest.raises(DataError) as error:
        meta(name)(torch.empty(*shape, device="meta"))
    assert str(shape) in str(error.value)


def test_an_unknown_modality_is_named():
    with pytest.raises(ConfigError, match="modality is 'Flow'; expected 'RGB' or 'Depth'"):
        ResNeXt101("Flow")
