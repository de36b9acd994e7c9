"""Transfer modules between live backbones: equations written out, backbones of every kind, and whole evaluations."""

import pytest
import torch
from torch import nn

import bmnas
from bmnas.config import EvalConfig, SearchConfig
from bmnas.errors import ConfigError, FeatureError
from bmnas.evaluation.joint.sources import raw_samples
from bmnas.evaluation.joint.training import of_splits, predict_joint, train_joint
from bmnas.features.backbones.lenet import LeNet
from bmnas.features.taps import Tap
from bmnas.rivals.live_mmtm import LIVE_MMTM, LiveTransferNetwork, build_live_mmtm, evaluate_live_mmtm
from bmnas.searching.run_folder import Run
from bmnas.tasks.preparation import prepare
from tests.support.tiny import tiny_features

CLASSES, B = 3, 5
CONFIG = SearchConfig(C=4, L=4, N=1, M=1, batch_size=16, dropout=0.2, device="cpu", threads=1)
BUDGET = EvalConfig(epochs=2, seeds=2, max_lr=3e-3)


class Words(nn.Module):
    """A backbone whose channels come last and whose layers return tuples: embedding, GRU, GRU."""

    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(9, 4)
        self.first, self.second = nn.GRU(4, 5, batch_first=True), nn.GRU(5, 6, batch_first=True)

    def forward(self, words):
        return self.second(self.first(self.embedding(words))[0])[0].mean(1)


TAPS = {
    "Image": {"Image_1": Tap("blocks.0"), "Image_2": Tap("blocks.1"), "Image_3": "blocks.2"},
    "Text": {"Text_1": Tap("first", 2, -1), "Text_2": Tap("second", 2, -1)},
}
CHANNELS = {"Image_1": 4, "Image_2": 8, "Image_3": 6, "Text_1": 5, "Text_2": 6}
MODALITIES = {"Image": ("Image_1", "Image_2", "Image_3"), "Text": ("Text_1", "Text_2")}


def network(backbones=None, taps=TAPS, dropout=0.0):
    torch.manual_seed(3)
    made = backbones or {"Image": LeNet((4, 8, 6), 10), "Text": Words()}
    return LiveTransferNetwork(made, taps, MODALITIES, CHANNELS, CLASSES, dropout)


def inputs():
    generator = torch.Generator().manual_seed(1)
    words = torch.randint(9, (B, 7), generator=generator)
    return {"Image": torch.randn((B, 1, 16, 16), generator=generator), "Text": words}


def gate(transfer, modality, z, x):
    """2 sigmoid(W_k z + b_k) * x, for x with its channels at place 1."""
    layer = transfer.excitations[modality]
    values = 2 / (1 + torch.exp(-(z @ layer.weight.T + layer.bias)))
    return torch.einsum("bc,bc...->bc...", values, x)


def by_hand(net, batch):
    """The two placements, layer by layer, on these two backbones."""
    image, text = net.backbones["Image"], net.backbones["Text"]
    x = image.blocks[1](image.blocks[0](batch["Image"]))
    y = text.first(text.embedding(batch["Text"]))[0].transpose(1, 2)
    for place, transfer in enumerate(net.transfers):
        s = torch.cat([x.mean((2, 3)), y.mean(2)], 1)
        z = (s @ transfer.squeeze.weight.T + transfer.squeeze.bias).clamp(min=0)
        x, y = gate(transfer, "Image", z, x), gate(transfer, "Text", z, y)
        if place == 0:
            x, y = image.blocks[2](x), text.second(y.transpose(1, 2))[0].transpose(1, 2)
    heads = net.heads
    scores = x.mean((2, 3)) @ heads["Image"].weight.T + heads["Image"].bias
    return (scores + y.mean(2) @ heads["Text"].weight.T + heads["Text"].bias) / 2


@pytest.mark.parametrize("training", [False, True])
def test_values_and_gradients_are_those_of_the_layers_one_by_one(training):
    nets = [network().train(training), network().train(training)]
    weights = torch.arange(1.0, 4.0)
    logits = [nets[0](inputs()), by_hand(nets[1], inputs())]
    torch.testing.assert_close(*logits)
    for values in logits:
        (values * weights).sum().backward()
    gradients = [{name: p.grad for name, p in net.named_parameters() if p.grad is not None} for net in nets]
    assert gradients[0].keys() == gradients[1].keys()
    assert any("blocks.0" in name for name in gradients[0])
    for name, value in gradients[0].items():
        torch.testing.assert_close(value, gradients[1][name], rtol=1e-4, atol=1e-6)


def test_the_placements_are_counted_from_the_last_layers():
    net = network()
    assert net.placements == [{"Image": "Image_2", "Text": "Text_1"}, {"Image": "Image_3", "Text": "Text_2"}]
    assert [transfer.squeeze.in_features for transfer in net.transfers] == [13, 12]


def test_with_its_gates_at_1_it_is_the_mean_of_the_unimodal_logits():
    net = network().eval()
    for transfer in net.transfers:
        for layer in transfer.excitations.values():
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)
    image = net.backbones["Image"].blocks(inputs()["Image"]).mean((2, 3))
    text = net.backbones["Text"](inputs()["Text"])
    torch.testing.assert_close(net(inputs()), (net.heads["Image"](image) + net.heads["Text"](text)) / 2)


def test_a_later_layer_that_works_in_place_changes_no_value():
    class InPlace(LeNet):
        def forward(self, x):
            x = self.blocks(x)
            return x.mul_(0).mean((2, 3))

    plain, other = network().eval(), network({"Image": InPlace((4, 8, 6), 10), "Text": Words()}).eval()
    other.load_state_dict(plain.state_dict())
    torch.testing.assert_close(plain(inputs()), other(inputs()))


class Twice(LeNet):
    def forward(self, x):
        return super().forward(x) + self.blocks[2](self.blocks[:2](x)).mean()


class Never(LeNet):
    def forward(self, x):
        return self.blocks[:2](x).mean((2, 3))


class Doubled(LeNet):
    def forward(self, x):
        return super().forward(torch.cat([x, x]))


@pytest.mark.parametrize("kind", [Twice, Never, Doubled])
def test_backbones_that_cannot_be_kept_in_step_are_refused_by_the_name_of_the_feature(kind):
    with pytest.raises(FeatureError, match="Image_[23]"):
        network({"Image": kind((4, 8, 6), 10), "Text": Words()})(inputs())


def test_features_in_a_wrong_order_and_missing_modalities_are_refused():
    turned = {**TAPS, "Image": {"Image_1": "blocks.0", "Image_2": "blocks.2", "Image_3": "blocks.1"}}
    with pytest.raises(FeatureError, match="Image_3"):
        network(taps=turned)(inputs())
    with pytest.raises(FeatureError, match="Text"):
        network()({"Image": inputs()["Image"]})


def test_no_hook_stays_after_a_forward_pass_or_an_error():
    net = network({"Image": Never((4, 8, 6), 10), "Text": Words()})
    with pytest.raises(FeatureError):
        net(inputs())
    assert net.backbones["Text"](inputs()["Text"]).shape == (B, 6)
    assert net.backbones["Image"](inputs()["Image"]).shape == (B, 8)


@pytest.fixture(scope="module")
def features(tmp_path_factory):
    return prepare("digits", samples=60, copies=0, cache=tmp_path_factory.mktemp("cache"), device="cpu")


def run_at(folder):
    folder.mkdir()
    return Run(folder)


def test_a_whole_evaluation_is_that_of_networks_trained_by_hand_and_resumes(features, tmp_path, monkeypatch):
    run = run_at(tmp_path / "run")
    result = evaluate_live_mmtm(run, features, CONFIG, BUDGET)
    samples = raw_samples(features)
    net = build_live_mmtm(features, CONFIG.dropout, 1)
    both = of_splits(samples, "train", "val")
    train_joint(net, both, kind="multiclass", epochs=2, batch_size=16, max_lr=3e-3, seed=1, device="cpu")
    logits, targets = predict_joint(net, of_splits(samples, "test"), batch_size=50, device="cpu")
    assert result.scores[1] == (logits.argmax(1) == targets).double().mean().item()
    assert (result.name, result.parameters) == (LIVE_MMTM, net.sizes()["trained"])
    assert result.origin is not None
    assert result.origin.network.count(";") == len(net.placements) - 1 and "Image" in result.origin.network
    monkeypatch.setattr("bmnas.evaluation.joint.evaluation.train_and_test_joint", None)  # nothing is trained again
    assert evaluate_live_mmtm(run, features, CONFIG, BUDGET).scores == result.scores
    bmnas.save_evaluation(run, [result], features, BUDGET)
    (again,) = bmnas.load_evaluation(run)
    assert again.origin is not None and again.origin.network == result.origin.network


def test_features_of_one_modality_are_refused(tmp_path):
    with pytest.raises(ConfigError, match="one modality"):
        evaluate_live_mmtm(run_at(tmp_path / "run"), tiny_features(modalities=1), CONFIG, BUDGET)
