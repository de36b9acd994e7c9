"""Backbones and fusion network as one: gradients, freezing, and the same logits as on extracted features."""

import copy
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import Dataset

from bmnas.config import SearchConfig
from bmnas.errors import DataError, FeatureError, RunError, SearchDiverged, UnknownNameError
from bmnas.evaluation.joint.network import JointNetwork, feature_shapes, joint_network
from bmnas.evaluation.joint.training import RawSamples, of_splits, predict_joint, train_and_test_joint, train_joint
from bmnas.features.backbone_training import weights_fingerprint
from bmnas.features.backbones.hcn import HCN
from bmnas.features.backbones.hcn import TAPS as HCN_TAPS
from bmnas.features.backbones.inflated_resnet import TAPS as VIDEO_TAPS
from bmnas.features.backbones.inflated_resnet import InflatedResNet50
from bmnas.features.backbones.maxout_mlp import TAPS as TEXT_TAPS
from bmnas.features.backbones.maxout_mlp import MaxoutMLP
from bmnas.features.backbones.resnext3d import TAPS as RESNEXT_TAPS
from bmnas.features.backbones.resnext3d import ResNeXt101
from bmnas.features.backbones.vgg import TAPS as VGG_TAPS
from bmnas.features.backbones.vgg import VGG19
from bmnas.features.extraction import extract
from bmnas.features.feature_set import FeatureSet
from bmnas.features.taps import Tap
from bmnas.paper.published import PUBLISHED
from bmnas.registry import TASKS
from bmnas.searching.networks import build_network
from bmnas.space.genotype import CellGenotype, Genotype, StepGenotype
from bmnas.training import metrics

C, L = 8, 4
GENOTYPE = Genotype(
    (
        CellGenotype(("Image_2", "Audio_3"), (StepGenotype("ConcatFC", ("x", "y")),)),
        CellGenotype(("Image_3", "Cell_1"), (StepGenotype("LinearGLU", ("y", "x")),)),
    ),
    r=1,
)
TASK = TASKS["digits"]
TAPS = {modality.name: modality.taps for modality in TASK.modalities}
TRAINING = dict(kind="multiclass", batch_size=16, epochs=3, max_lr=3e-3, device="cpu")


@pytest.fixture(scope="module")
def raw():
    return TASK.open_raw(TASK.resolve({"samples": 60, "copies": 0}), Path("unused"), None)


@pytest.fixture(scope="module")
def samples(raw):
    return RawSamples(raw)


def few(samples, n=48):
    """A Dataset of some training samples."""
    return torch.utils.data.Subset(samples, range(n))


def make(samples, genotype=GENOTYPE, freeze=False, seed=0, dropout=0.0, C=C):
    torch.manual_seed(seed)
    backbones = {modality.name: modality.backbone() for modality in TASK.modalities}
    inputs = {name: x[:2] for name, x in samples.inputs.items()}
    return joint_network(genotype, backbones, TAPS, inputs, 10, C=C, L=L, dropout=dropout, freeze=freeze, seed=seed)


def prints(network):
    return {name: weights_fingerprint(part) for name, part in [*network.backbones.items(), ("fusion", network.fusion)]}


def test_gradients_reach_every_used_layer_of_the_backbones(samples):
    network = make(samples)
    inputs = {name: x[:8] for name, x in samples.inputs.items()}
    metrics.loss("multiclass", network(inputs), samples.targets[:8]).backward()
    reached = {name for name, p in network.named_parameters() if p.grad is not None and bool(p.grad.abs().sum() > 0)}
    heads = {name for name, _ in network.named_parameters() if name.startswith("backbones.") and ".classifier." in name}
    everything = {name for name, _ in network.named_parameters()}
    before_a_norm = {name for name in everything if name.endswith("conv.bias")}  # BatchNorm takes these out again
    assert reached | before_a_norm >= everything - heads and not reached & heads
    assert any(name.startswith("backbones.Image.blocks.0") for name in reached)


def test_the_gradient_of_a_backbone_is_that_of_finite_differences(samples):
    network = make(samples).eval()
    inputs = {name: x[:4] for name, x in samples.inputs.items()}
    weight = network.backbones["Audio"].blocks[1][1].bias
    loss = metrics.loss("multiclass", network(inputs), samples.targets[:4])
    (gradient,) = torch.autograd.grad(loss, [weight])
    place = int(gradient.abs().argmax())
    values = []
    for step in (-1e-3, 1e-3):
        with torch.no_grad():
            weight[place] += step
            values.append(metrics.loss("multiclass", network(inputs), samples.targets[:4]).item())
            weight[place] -= step
    assert (values[1] - values[0]) / 2e-3 == pytest.approx(gradient[place].item(), rel=0.05)


def test_the_joint_forward_is_the_fusion_network_on_extracted_features(samples, raw):
    """The whole path of stored features, and `build_network` with the same seed, against the joint module."""
    network = make(samples, freeze=True)
    with torch.no_grad():
        network.backbones.train()
        for name, backbone in network.backbones.items():
            backbone(samples.inputs[name][:50])  # statistics of BatchNorm that are not the initial ones
        network.train()
    arrays = {}
    for name, backbone in network.backbones.items():
        arrays |= extract(backbone, TAPS[name], [samples.inputs[name]], L=L, device="cpu")[0]
    features = FeatureSet.from_arrays(arrays, raw.labels, raw.splits, L=L)
    fusion = build_network(GENOTYPE, features, SearchConfig(C=C, L=L, dropout=0.0), 0).eval()
    assert weights_fingerprint(fusion) == weights_fingerprint(network.fusion)
    batch, _ = features.tensors("cpu").batch(torch.arange(30))
    with torch.no_grad():
        expected = fusion(batch)
        found = network.eval()({name: x[:30] for name, x in samples.inputs.items()})
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)
    assert expected.std() > 0.01


def test_frozen_backbones_stay_bit_identical_and_others_move(samples):
    for freeze in (True, False):
        network = make(samples, freeze=freeze)
        before, modes = prints(network), network.train().backbones["Image"].training
        train_joint(network, few(samples), **TRAINING)
        after = prints(network)
        assert modes is not freeze and before["fusion"] != after["fusion"]
        assert {name: before[name] == after[name] for name in TAPS} == dict.fromkeys(TAPS, freeze)
        sizes = network.sizes()
        assert sizes["trained"] == sizes["fusion"] + (0 if freeze else sizes["backbones"])


def test_frozen_backbones_keep_no_graph(samples):
    network = make(samples, freeze=True)
    features = network.features({name: x[:2] for name, x in samples.inputs.items()})
    assert set(features) == set(GENOTYPE.features)
    assert not any(x.requires_grad for x in features.values())


def test_a_backbone_that_no_cell_uses_is_left_out(samples):
    genotype = Genotype((CellGenotype(("Image_1", "Image_3"), (StepGenotype("Sum", ("x", "y")),)),), r=1)
    network = make(samples, genotype)
    assert list(network.backbones) == ["Image"]
    assert network({"Image": samples.inputs["Image"][:2]}).shape == (2, 10)


def test_vectors_are_found(samples):
    torch.manual_seed(0)
    raw = {"Skeleton": torch.randn(2, 3, 32, 25, 2)}
    channels, vectors = feature_shapes({"Skeleton": HCN()}, {"Skeleton": HCN_TAPS}, 8, raw)
    assert channels == {"Skeleton_1": 128, "Skeleton_2": 256, "Skeleton_3": 1024, "Skeleton_4": 512}
    assert vectors == {"Skeleton_3", "Skeleton_4"}
    genotype = Genotype((CellGenotype(("Skeleton_1", "Skeleton_4"), (StepGenotype("Sum", ("x", "y")),)),), r=1)
    network = joint_network(genotype, {"Skeleton": HCN()}, {"Skeleton": HCN_TAPS}, raw, 60, C=8, L=8)
    assert network(raw).shape == (2, 60)


REAL = {
    "ntu_1": (
        {"Video": InflatedResNet50, "Skeleton": HCN},
        {"Video": VIDEO_TAPS, "Skeleton": HCN_TAPS},
        {"Video": (2, 8, 256, 256, 3), "Skeleton": (2, 3, 32, 25, 2)},
    ),
    "ego_1": (
        {"RGB": lambda: ResNeXt101("RGB"), "Depth": lambda: ResNeXt101("Depth")},
        RESNEXT_TAPS,
        {"RGB": (2, 3, 32, 112, 112), "Depth": (2, 1, 32, 112, 112)},
    ),
    "mmimdb_1": (
        {"Image": VGG19, "Text": MaxoutMLP},
        {"Image": VGG_TAPS, "Text": TEXT_TAPS},
        {"Image": (2, 3, 256, 160), "Text": (2, 300)},
    ),
}


@pytest.mark.parametrize("name", REAL)
def test_the_papers_best_networks_fit_their_backbones(name):
    """Full sizes, on the meta device: shapes and gradients without numbers."""
    published, (backbones, taps, shapes) = PUBLISHED[name], REAL[name]
    with torch.device("meta"):
        made = {modality: build() for modality, build in backbones.items()}
        raw = {modality: torch.empty(shape) for modality, shape in shapes.items()}
        sizes = dict(C=published.C, L=published.L, mode="reference")
        network = joint_network(published.genotype, made, taps, raw, published.classes, **sizes)
        out = network(raw)
        out.sum().backward()
    assert out.shape == (2, published.classes)
    assert round(network.sizes()["fusion"] / 1e6, 2) == {"ntu_1": 0.93, "ego_1": 0.61, "mmimdb_1": 0.65}[name]
    assert all(next(backbone.parameters()).grad is not None for backbone in network.backbones.values())


# training


def test_training_lowers_the_loss(samples):
    network = make(samples)
    losses = train_joint(network, few(samples), **{**TRAINING, "epochs": 12})
    assert len(losses) == 12 and losses[-1] < 0.5 * losses[0]


def test_the_seed_decides_and_workers_do_not(samples):
    """Dropout is on: the streams of random numbers must agree too."""
    ends = []
    for seed, workers in ((1, 0), (1, 2), (2, 0)):
        network = make(samples, dropout=0.3)
        losses = train_joint(network, few(samples, 33), seed=seed, workers=workers, **{**TRAINING, "epochs": 2})
        ends.append((losses, prints(network)))
    assert ends[0] == ends[1] != ends[2]


def test_the_global_generator_is_left_alone(samples):
    network = make(samples, dropout=0.3)
    before = torch.get_rng_state()
    train_joint(network, few(samples), **{**TRAINING, "epochs": 1})
    assert torch.equal(before, torch.get_rng_state())


class Killed(Exception):
    pass


def test_a_killed_training_ends_in_the_same_place(samples, tmp_path):
    whole = make(samples, dropout=0.3)
    expected = train_joint(whole, few(samples), checkpoint=tmp_path / "a", **TRAINING, Ti=1)

    def kill(_what, epoch, _epochs):
        if epoch == 2:
            raise Killed

    with pytest.raises(Killed):
        train_joint(
            make(samples, dropout=0.3), few(samples), checkpoint=tmp_path / "b", progress=kill, **TRAINING, Ti=1
        )
    again, told = make(samples, seed=5, dropout=0.3), []
    losses = train_joint(
        again, few(samples), checkpoint=tmp_path / "b", progress=lambda *a: told.append(a), **TRAINING, Ti=1
    )
    assert losses == expected and prints(again) == prints(whole) and told == [("joint", 3, 3)]


def test_a_checkpoint_of_another_training_is_refused(samples, tmp_path):
    one, checkpoint = {**TRAINING, "epochs": 1}, tmp_path / "new folder" / "c"
    train_joint(make(samples), few(samples), checkpoint=checkpoint, **one)
    with pytest.raises(RunError, match="c: of another training"):
        train_joint(make(samples), few(samples), checkpoint=checkpoint, **TRAINING)
    turned = Genotype((GENOTYPE.cells[0], CellGenotype(("Image_3", "Cell_1"), GENOTYPE.cells[0].steps)), r=1)
    with pytest.raises(RunError, match="c: of another training"):
        train_joint(make(samples, turned), few(samples), checkpoint=checkpoint, **one)
    with pytest.raises(RunError, match="c: of another network"):
        train_joint(make(samples, C=4), few(samples), checkpoint=checkpoint, **one)
    checkpoint.write_bytes(checkpoint.read_bytes()[:500])
    with pytest.raises(RunError, match="c: damaged"):
        train_joint(make(samples), few(samples), checkpoint=checkpoint, **one)


class Spoilt(Dataset):
    """Samples, one of which holds NaN."""

    def __init__(self, samples):
        self.samples = samples

    def __len__(self):
        return 32

    def __getitem__(self, row):
        inputs, target = self.samples[row]
        return {name: x * (float("nan") if row == 7 else 1) for name, x in inputs.items()}, target


def test_a_loss_that_is_no_number_stops_before_the_weights_are_spoilt(samples):
    network = make(samples)
    with pytest.raises(SearchDiverged, match="epoch 1 of 3.*nan"):
        train_joint(network, Spoilt(samples), **TRAINING)
    assert all(bool(torch.isfinite(p).all()) for p in network.parameters())


class Counting(Dataset):
    """Counts how often each of its rows is read."""

    def __init__(self, samples, rows):
        self.samples, self.rows, self.read = samples, rows, []

    def __len__(self):
        return len(self.rows)

    def __getitem__(self, i):
        self.read.append(i)
        return (*self.samples[self.rows[i]], f"name {i}")  # more entries than two are allowed


def test_the_test_split_is_read_once_and_last(samples):
    rows = samples.splits
    train = Counting(samples, np.concatenate([rows["train"], rows["val"][:40]]))
    test = Counting(samples, rows["test"][:50])
    network, seen = make(samples), []

    def look(_what, epoch, _epochs):
        seen.append((epoch, len(train.read), len(test.read)))

    result = train_and_test_joint(network, train, test, progress=look, **TRAINING)
    assert seen == [(epoch, 100 * epoch, 0) for epoch in (1, 2, 3)]
    assert sorted(test.read) == list(range(50)) and sorted(train.read) == sorted(3 * list(range(100)))
    logits, targets = predict_joint(network, test, batch_size=7, device="cpu")
    assert targets.tolist() == samples.targets[rows["test"][:50]].tolist()
    assert result.score == (logits.argmax(1) == targets).double().mean().item() == result.scores["accuracy"]
    assert (result.metric, len(result.per_class), len(result.losses)) == ("accuracy", 10, 3)
    assert result.parameters == network.sizes()


def test_several_labels(samples):
    class Multilabel(Dataset):
        def __len__(self):
            return 40

        def __getitem__(self, row):
            inputs, target = samples[row]
            return inputs, torch.tensor([target % 2, target > 4, *[0] * 8], dtype=torch.float32)

    settings = {**TRAINING, "kind": "multilabel", "epochs": 8}
    result = train_and_test_joint(make(samples), Multilabel(), Multilabel(), **settings)
    assert result.metric == "weighted F1" and result.score > 0.6 and result.losses[-1] < result.losses[0]


def test_splits_of_samples_follow_one_another(samples):
    both = of_splits(samples, "train", "val")
    assert len(both) == 60 + 360
    first, last = both[0], both[419]
    assert torch.equal(first[0]["Image"], samples.inputs["Image"][samples.splits["train"][0]])
    assert last[1] == samples.targets[samples.splits["val"][-1]]


# what is given wrong


def test_what_does_not_fit_is_named(samples):
    network = make(samples)
    with pytest.raises(FeatureError, match="the modality 'Audio' is missing; given were: Image"):
        network({"Image": samples.inputs["Image"][:2]})
    taps = {"Image": TAPS["Image"]}
    with pytest.raises(UnknownNameError, match="unknown feature 'Audio_3'"):
        JointNetwork(network.backbones, taps, L, network.fusion)
    wrong = {**TAPS, "Audio": {**TAPS["Audio"], "Audio_3": Tap("blocks.9")}}
    with pytest.raises(UnknownNameError, match="unknown module path 'blocks.9'"):
        JointNetwork(network.backbones, wrong, L, network.fusion)
    with pytest.raises(FeatureError, match="the modality 'Audio' is missing"):
        feature_shapes(network.backbones, TAPS, L, {"Image": samples.inputs["Image"][:2]})
    with pytest.raises(DataError, match="no samples"):
        train_joint(network, few(samples, 0), **TRAINING)


def test_shapes_are_found_without_a_trace(samples):
    backbone = nn.Sequential(nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3), nn.Dropout()).train()
    backbone[2].eval()
    before = copy.deepcopy(backbone.state_dict())
    shapes = feature_shapes({"Image": backbone}, {"Image": {"Image_1": "1"}}, 4, {"Image": samples.inputs["Image"][:2]})
    assert shapes == ({"Image_1": 3}, frozenset())
    assert all(torch.equal(before[key], value) for key, value in backbone.state_dict().items())
    assert [module.training for module in backbone] == [True, True, False]
