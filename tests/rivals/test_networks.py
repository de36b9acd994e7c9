"""Each rival's network against a transcription of its equations in NumPy, by values and by gradients."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bmnas.errors import GenotypeError
from bmnas.rivals.centralnet import CentralNet
from bmnas.rivals.dcnas_net import DCNASNet
from bmnas.rivals.feature_head import FeatureHead
from bmnas.rivals.gmu import GatedMultimodalUnit
from bmnas.rivals.mfas_net import MFASNet
from bmnas.rivals.mmtm import LateTransferModule
from bmnas.rivals.mtut import MTUT
from bmnas.rivals.simbamm import SimBaMM
from bmnas.rivals.two_stream import TwoStream
from bmnas.rivals.vectors import last_features
from bmnas.training.steps import batch_gradients

CHANNELS = {"Image_1": 5, "Image_2": 7, "Image_3": 4, "Text_1": 6, "Text_2": 3, "Sound_1": 8}
TWO = {"Image": ("Image_1", "Image_2", "Image_3"), "Text": ("Text_1", "Text_2")}
THREE = {**TWO, "Sound": ("Sound_1",)}
VECTORS = {"Text_2", "Sound_1"}  # stored without an extent
CLASSES, WIDTH = 3, 8


def batch(seed=0, rows=6):
    generator = torch.Generator().manual_seed(seed)
    shapes = {name: (rows, c, 1 if name in VECTORS else 4) for name, c in CHANNELS.items()}
    return {name: torch.randn(shape, generator=generator, dtype=torch.float64) for name, shape in shapes.items()}


def ready(network):
    """The network in float64, with parameters and running statistics far from their initial values."""
    generator = torch.Generator().manual_seed(1)
    network.double().eval()
    for tensor in [*network.parameters(), *network.buffers()]:
        if tensor.is_floating_point():
            tensor.data = torch.rand(tensor.shape, generator=generator, dtype=torch.float64) + 0.2
    for name, tensor in network.named_parameters():
        if name.endswith("weight") and tensor.dim() == 2:
            tensor.data -= 0.7
    return network


def arrays(network):
    return {name: value.detach().numpy() for name, value in network.state_dict().items()}


def norm(x, state, name):
    scaled = (x - state[f"{name}.running_mean"]) / np.sqrt(state[f"{name}.running_var"] + 1e-5)
    return scaled * state[f"{name}.weight"] + state[f"{name}.bias"]


def vector(data, state, name, prefix="vectors"):
    return norm(data[name].numpy().mean(2), state, f"{prefix}.{name}.norm")


def linear(x, state, name):
    return x @ state[f"{name}.weight"].T + state.get(f"{name}.bias", 0.0)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def relu(x):
    return np.maximum(x, 0)


LAST_TWO, LAST_THREE = ("Image_3", "Text_2"), ("Image_3", "Text_2", "Sound_1")


def two_stream(data, state):
    return np.mean([linear(vector(data, state, n), state, f"heads.{n}") for n in LAST_THREE], axis=0)


def linear_last(data, state):
    return linear(np.concatenate([vector(data, state, n) for n in LAST_THREE], 1), state, "head.1")


def mlp_last(data, state):
    joined = np.concatenate([vector(data, state, n) for n in LAST_THREE], 1)
    return linear(relu(linear(joined, state, "head.0")), state, "head.3")


def gmu_of_two(data, state):
    x, y = (vector(data, state, n) for n in LAST_TWO)
    z = sigmoid(linear(np.concatenate([x, y], 1), state, "gates.0"))
    a, b = (np.tanh(linear(v, state, f"encoders.{n}")) for v, n in zip((x, y), LAST_TWO, strict=True))
    return linear(z * a + (1 - z) * b, state, "head.1")


def gmu_of_three(data, state):
    xs = {n: vector(data, state, n) for n in LAST_THREE}
    joined = np.concatenate(list(xs.values()), 1)
    total = 0
    for k, (name, x) in enumerate(xs.items()):
        total = total + sigmoid(linear(joined, state, f"gates.{k}")) * np.tanh(linear(x, state, f"encoders.{name}"))
    return linear(total, state, "head.1")


def centralnet(data, state):
    c = 0.0
    for i, names in enumerate((("Image_1",), ("Image_2", "Text_1"), ("Image_3", "Text_2", "Sound_1"))):
        scalars = state[f"levels.{i}.scalars"]
        total = scalars[0] * c
        for k, name in enumerate(names, start=1):
            x = vector(data, state, name, f"levels.{i}.vectors")
            total = total + scalars[k] * linear(x, state, f"levels.{i}.projections.{name}")
        c = relu(norm(linear(total, state, f"levels.{i}.layer.0"), state, f"levels.{i}.layer.1"))
    return linear(c, state, "head")


def mmtm(data, state):
    xs = {n: vector(data, state, n) for n in LAST_THREE}
    z = relu(linear(np.concatenate(list(xs.values()), 1), state, "transfer.squeeze"))
    gated = {n: 2 * sigmoid(linear(z, state, f"transfer.excitations.{n}")) * x for n, x in xs.items()}
    return np.mean([linear(x, state, f"heads.{n}") for n, x in gated.items()], axis=0)


def mfas(data, state):
    steps = (("Image_3", "Text_2", relu), ("Image_1", "Text_2", sigmoid), ("Image_3", "Text_1", leaky))
    h = np.zeros((6, 0))
    for i, (a, b, activation) in enumerate(steps):
        joined = np.concatenate([vector(data, state, a), vector(data, state, b), h], 1)
        h = norm(activation(linear(joined, state, f"layers.{i}.0")), state, f"layers.{i}.2")
    return linear(h, state, "head")


def leaky(x):
    return np.where(x > 0, x, 0.01 * x)


def dcnas(data, state):
    """((Image_3 cat Sound_1) max Text_1) mul Image_1: a tree whose leaves do not all come first."""
    names = ("Image_3", "Sound_1", "Text_1", "Image_1")
    i3, s1, t1, i1 = (relu(linear(vector(data, state, n), state, f"encoders.{n}.0")) for n in names)
    root = np.maximum(linear(np.concatenate([i3, s1], 1), state, "joints.2"), t1) * i1
    root = norm(root, state, "norm")
    root = np.sign(root) * np.sqrt(np.abs(root) + 1e-10)
    return linear(root / np.linalg.norm(root, axis=1, keepdims=True), state, "head")


def modality_head(data, state):
    joined = np.concatenate([vector(data, state, n) for n in THREE["Image"]], 1)
    return linear(relu(linear(joined, state, "head.0")), state, "head.3")


def mtut_streams(data, state):
    """f_k and z_k of every modality."""
    streams = []
    for n in LAST_THREE:
        f = relu(linear(vector(data, state, n), state, f"encoders.{n}"))
        streams.append((f, linear(f, state, f"heads.{n}")))
    return streams


def mtut(data, state):
    return np.mean([z for _, z in mtut_streams(data, state)], axis=0)


def mtut_loss(data, state, fixed, targets):
    """The loss as a function of the parameters; the better modality, and rho, are those of the state `fixed`."""

    def losses(streams):
        return [-np.mean((z - np.log(np.exp(z).sum(1, keepdims=True)))[range(6), targets]) for _, z in streams]

    def relation(f):
        unit = f / np.linalg.norm(f, axis=1, keepdims=True)
        return unit @ unit.T

    streams, others = mtut_streams(data, state), mtut_streams(data, fixed)
    before, total = losses(others), sum(losses(streams))
    for k in range(3):
        for n in range(3):
            rho = max(0.0, np.exp(2.0 * (before[k] - before[n])) - 1)
            if n != k:
                total += 0.05 * rho * np.mean((relation(streams[k][0]) - relation(others[n][0])) ** 2)
    return total


def test_the_loss_of_mtut_and_its_gradients_are_those_of_the_equations():
    network, data = ready(MTUT(CHANNELS, THREE, CLASSES, WIDTH, 0.3)), batch()
    targets = torch.tensor([0, 1, 2, 0, 1, 2])
    loss = network.training_loss("multiclass", network(data), targets)
    fixed = arrays(network)
    assert loss.item() == pytest.approx(mtut_loss(data, fixed, fixed, targets.numpy()))
    loss.backward()
    drawn = 0
    for key, parameter in network.named_parameters():
        place = fixed[key].size // 2
        moved = [fixed[key].reshape(-1).copy() for _ in range(2)]
        for sign, flat in zip((1e-6, -1e-6), moved, strict=True):
            flat[place] += sign
        high, low = ({**fixed, key: flat.reshape(fixed[key].shape)} for flat in moved)
        values = [mtut_loss(data, state, fixed, targets.numpy()) for state in (high, low)]
        assert parameter.grad is not None
        found = parameter.grad.reshape(-1)[place].item()
        assert found == pytest.approx((values[0] - values[1]) / 2e-6, rel=1e-4, abs=1e-7), key
        drawn += found != 0
    assert drawn > 5


def test_the_loss_of_mtut_is_that_of_its_training():
    network, data = ready(MTUT(CHANNELS, THREE, CLASSES, WIDTH, 0.0)), batch()
    targets, parameters = torch.tensor([0, 1, 2, 0, 1, 2]), list(network.parameters())
    loss, _, gradients = batch_gradients(network, "multiclass", (data, targets), parameters)
    own = network.training_loss("multiclass", network(data), targets)
    assert torch.equal(loss, own.detach())
    for one, expected in zip(gradients, torch.autograd.grad(own, parameters), strict=True):
        torch.testing.assert_close(one, expected)


TREE = ("Image_3", "Sound_1", "cat", "Text_1", "max", "Image_1", "mul")
RIVALS = {
    "two-stream": (lambda: TwoStream(CHANNELS, THREE, CLASSES, 0.3), two_stream),
    "linear": (lambda: FeatureHead(CHANNELS, last_features(THREE), CLASSES, None, 0.3), linear_last),
    "mlp": (lambda: FeatureHead(CHANNELS, last_features(THREE), CLASSES, WIDTH, 0.3), mlp_last),
    "gmu of two": (lambda: GatedMultimodalUnit(CHANNELS, TWO, CLASSES, WIDTH, 0.3), gmu_of_two),
    "gmu of three": (lambda: GatedMultimodalUnit(CHANNELS, THREE, CLASSES, WIDTH, 0.3), gmu_of_three),
    "centralnet": (lambda: CentralNet(CHANNELS, THREE, CLASSES, WIDTH, 0.3), centralnet),
    "mmtm": (lambda: LateTransferModule(CHANNELS, THREE, CLASSES, 0.3), mmtm),
    "mfas": (lambda: MFASNet([(2, 1, 0), (0, 1, 1), (2, 0, 2)], CHANNELS, TWO, CLASSES, WIDTH, 0.3), mfas),
    "modality": (lambda: FeatureHead(CHANNELS, THREE["Image"], CLASSES, WIDTH, 0.3), modality_head),
    "mtut": (lambda: MTUT(CHANNELS, THREE, CLASSES, WIDTH, 0.3), mtut),
    "dc-nas": (lambda: DCNASNet(TREE, CHANNELS, CLASSES), dcnas),
}


@pytest.mark.parametrize("name", RIVALS)
def test_values_are_those_of_the_equations(name):
    build, equations = RIVALS[name]
    network, data = ready(build()), batch()
    np.testing.assert_allclose(network(data).detach().numpy(), equations(data, arrays(network)), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("name", RIVALS)
def test_gradients_are_those_of_the_equations(name):
    build, equations = RIVALS[name]
    network, data = ready(build()), batch()
    (network(data) * torch.arange(1.0, 4.0)).sum().backward()
    for key, parameter in network.named_parameters():
        state, step = arrays(network), 1e-6
        flat = state[key].reshape(-1)
        place = flat.size // 2
        values = []
        for sign in (1, -1):
            moved = flat.copy()
            moved[place] += sign * step
            changed = {**state, key: moved.reshape(state[key].shape)}
            values.append((equations(data, changed) * np.arange(1.0, 4.0)).sum())
        expected = (values[0] - values[1]) / (2 * step)
        assert parameter.grad.reshape(-1)[place].item() == pytest.approx(expected, rel=1e-4, abs=1e-6), key


NETWORKS = {
    **{name: build for name, (build, _) in RIVALS.items()},
    "simbamm": lambda: SimBaMM(CHANNELS, THREE, CLASSES, WIDTH, 0.3),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_gradients_reach_every_parameter_in_training(name):
    network = NETWORKS[name]().train()
    data = {key: value.float() for key, value in batch(rows=64).items()}
    optimizer = torch.optim.SGD(network.parameters(), 0.1)
    for _ in range(2):  # a classifier that starts at 0 passes nothing back in the first step
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(network(data), torch.arange(64) % CLASSES).backward()
        optimizer.step()
    unused = {key for key, p in network.named_parameters() if p.grad is None or not p.grad.any()}
    assert unused <= {"levels.0.scalars"}  # of the state before the first level there is none


@pytest.mark.parametrize("name", NETWORKS)
def test_only_the_features_of_the_rival_matter(name):
    network, data = ready(NETWORKS[name]()), batch()
    before = network(data)
    for feature in CHANNELS:
        moved = network({**data, feature: data[feature] + 1})
        used = any(f".{feature}." in f".{key}." for key in dict(network.named_parameters()))
        assert torch.equal(moved, before) != used, feature


def test_with_its_gate_open_the_gmu_is_the_unimodal_head():
    network, data = ready(NETWORKS["gmu of two"]()), batch()
    network.gates[0].weight.data[:] = 0
    network.vectors["Image_3"].norm.bias.data[:] = 1e3
    network.gates[0].weight.data[:, : CHANNELS["Image_3"]] = 1.0
    alone = torch.tanh(network.encoders["Image_3"](network.vectors["Image_3"](data["Image_3"])))
    torch.testing.assert_close(network(data), network.head(alone))


@given(st.integers(0, 10_000))
@settings(max_examples=20, deadline=None)
def test_the_gates_of_the_gmu_are_between_0_and_1(seed):
    network, data = ready(NETWORKS["gmu of three"]()), batch(seed)
    seen = []
    for gate in network.gates:
        gate.register_forward_hook(lambda _gate, _inputs, output: seen.append(torch.sigmoid(output)))
    network(data)
    assert len(seen) == 3 and all(((z > 0) & (z < 1)).all() for z in seen)


def test_with_its_gates_at_1_mmtm_is_the_mean_of_the_unimodal_logits():
    network, data = ready(NETWORKS["mmtm"]()), batch()
    for layer in network.transfer.excitations.values():
        layer.weight.data[:] = 0
        layer.bias.data[:] = 0
    alone = [head(network.vectors[name](data[name])) for name, head in network.heads.items()]
    torch.testing.assert_close(network(data), torch.stack(alone).mean(0))


@pytest.mark.parametrize("modality", range(2))
def test_with_one_scalar_alone_centralnet_is_one_branch(modality):
    network, data = ready(CentralNet(CHANNELS, TWO, CLASSES, WIDTH, 0.3)), batch()
    names = list(TWO.values())[modality]
    for level in network.levels:
        here = [0.0, *(float(name in names) for name, _ in level.projections.items())]
        level.scalars.data = torch.tensor(here, dtype=torch.float64)
    last = network.levels[-1]
    projected = last.projections[names[-1]](last.vectors[names[-1]](data[names[-1]]))
    torch.testing.assert_close(network(data), network.head(last.layer(projected)))


def test_simbamm_does_not_care_in_which_order_a_modality_is_named():
    network, data = ready(NETWORKS["simbamm"]()), batch()
    other = ready(SimBaMM(CHANNELS, dict(reversed(THREE.items())), CLASSES, WIDTH, 0.3))
    state = network.state_dict()
    state["embeddings"] = state["embeddings"].flip(0)
    other.load_state_dict(state)
    torch.testing.assert_close(network(data), other(data))


@pytest.mark.parametrize(
    ("encoding", "modalities", "name"),
    [
        ([(0, 0, 0)], THREE, "Sound"),
        ([], TWO, "no row"),
        ([(0, 2, 0)], TWO, "(0, 2, 0)"),
        ([(0, 0, 3)], TWO, "(0, 0, 3)"),
        ([(-1, 0, 0)], TWO, "(-1, 0, 0)"),
    ],
)
def test_an_encoding_that_fits_no_network_is_refused(encoding, modalities, name):
    with pytest.raises(GenotypeError) as refused:
        MFASNet(encoding, CHANNELS, modalities, CLASSES, WIDTH, 0.0)
    assert name in str(refused.value)


@pytest.mark.parametrize(
    ("postfix", "name"),
    [
        (("Image_1", "add"), "add"),
        (("Image_1", "Text_1"), "2 trees"),
        ((), "0 trees"),
        (("Image_1", "Image_1", "add"), "Image_1"),
        (("Image_1", "Nothing", "add"), "Nothing"),
    ],
)
def test_a_code_that_is_no_tree_is_refused(postfix, name):
    with pytest.raises(GenotypeError) as refused:
        DCNASNet(postfix, CHANNELS, CLASSES)
    assert name in str(refused.value)
