"""Backbones and their training."""

from copy import deepcopy
from dataclasses import replace
from functools import partial
from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from bmnas.errors import ConfigError, RunError, SearchDiverged
from bmnas.features.backbone_training import InputBatches, train_unimodal, train_unimodal_from, weights_fingerprint
from bmnas.features.backbones.lenet import LeNet
from bmnas.training.metrics import f1


def problem(n=200):
    """Four classes, one bright corner each."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 4, n)
    images = rng.normal(0, 0.3, (n, 1, 8, 8)).astype(np.float32)
    for image, label in zip(images, labels, strict=True):
        image[0, 4 * (label // 2) + 1, 4 * (label % 2) + 1] += 5
    rows = {"fit": np.arange(100), "val": np.arange(100, 150), "test": np.arange(150, n)}
    return images, labels, rows


def linear():
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 4))


def test_a_learnable_problem_is_learnt():
    images, labels, rows = problem()
    model, told = linear(), []
    report = train_unimodal(
        model, images, labels, rows, epochs=15, batch_size=20, progress=lambda *args: told.append(args)
    )
    assert min(report.scores.values()) > 0.95 and set(report.scores) == set(rows)
    assert (report.rows, report.epochs, report.parameters, report.backbone) == (100, 15, 64 * 4 + 4, "Sequential")
    assert told == [("train", epoch, 15) for epoch in range(1, 16)]
    predicted = model(torch.from_numpy(images[rows["val"]])).argmax(1).numpy()
    assert report.scores["val"] == (predicted == labels[rows["val"]]).mean()
    assert not model.training and report.fingerprint == weights_fingerprint(model)


@pytest.mark.parametrize("count", [21, 41, 60])
def test_a_last_batch_of_one_row_can_be_normalised(count):
    images, labels, rows = problem()
    model = nn.Sequential(linear(), nn.BatchNorm1d(4))
    report = train_unimodal(model, images, labels, {**rows, "fit": np.arange(count)}, epochs=1, batch_size=20)
    assert report.rows == count


def test_labels_of_other_rows_are_never_seen():
    images, labels, rows = problem()
    spoilt = labels.copy()
    spoilt[100:] = 3 - spoilt[100:]
    reports = [train_unimodal(linear(), images, given, rows, epochs=2) for given in (labels, spoilt)]
    assert reports[0].fingerprint == reports[1].fingerprint
    assert reports[0].scores["fit"] == reports[1].scores["fit"]
    assert reports[0].scores["val"] != reports[1].scores["val"]


def test_the_seed_decides_and_the_global_generator_is_left_alone():
    images, labels, rows = problem()
    before = torch.get_rng_state()
    model, prints = linear(), []
    torch.set_rng_state(before)
    for seed in (1, 1, 2):
        prints.append(train_unimodal(deepcopy(model), images, labels, rows, epochs=1, seed=seed).fingerprint)
    assert prints[0] == prints[1] != prints[2]
    assert torch.equal(before, torch.get_rng_state())


def test_no_rows_to_train_on_is_an_error():
    images, labels, rows = problem()
    with pytest.raises(ConfigError, match="rows"):
        train_unimodal(linear(), images, labels, {"val": rows["val"]}, epochs=1)


def loaders(images, labels, rows, **settings):
    """split -> a DataLoader of its rows."""
    whole = TensorDataset(torch.from_numpy(images), torch.from_numpy(labels))
    return {name: DataLoader(torch.utils.data.Subset(whole, chosen), 20, **settings) for name, chosen in rows.items()}


def test_batches_from_a_loader_are_learnt_as_arrays_are():
    images, labels, rows = problem()
    model, told = linear(), []
    report = train_unimodal_from(
        model,
        loaders(images, labels, rows, shuffle=True)["fit"],
        loaders(images, labels, rows),
        epochs=15,
        progress=lambda *args: told.append(args),
    )
    assert min(report.scores.values()) > 0.95 and set(report.scores) == set(rows)
    assert (report.rows, report.epochs, report.parameters) == (100, 15, 64 * 4 + 4)
    assert told == [("train", epoch, 15) for epoch in range(1, 16)]
    predicted = model(torch.from_numpy(images[rows["test"]])).argmax(1).numpy()
    assert report.scores["test"] == (predicted == labels[rows["test"]]).mean()


def test_one_order_makes_arrays_and_a_loader_the_same():
    images, labels, _ = problem()
    rows = {"fit": np.arange(20), "val": np.arange(20, 60)}  # one batch an epoch: no order to differ in
    model, other = linear(), linear()
    train_unimodal(model, images, labels, rows, epochs=3, batch_size=20)
    train_unimodal_from(other, loaders(images, labels, rows)["fit"], {}, epochs=3)
    x = torch.from_numpy(images[:5])
    torch.testing.assert_close(model(x), other(x), atol=1e-5, rtol=1e-5)
    assert not torch.allclose(model(x), linear()(x), atol=1e-2)


def test_the_seed_decides_the_order_of_a_loader_too():
    images, labels, rows = problem()
    prints = []
    for seed in (1, 1, 2):
        fit = loaders(images, labels, rows, shuffle=True)["fit"]
        prints.append(train_unimodal_from(linear(), fit, {}, epochs=1, seed=seed).fingerprint)
    assert prints[0] == prints[1] != prints[2]


def test_one_modality_of_batches_with_several():
    """The form of raw samples: (modality -> input, label, name)."""
    images, labels, rows = problem()
    data = [({"Image": torch.from_numpy(images[i]), "Noise": torch.zeros(3)}, labels[i], f"{i}") for i in rows["fit"]]
    fit = DataLoader(data, 20, shuffle=True)  # type: ignore[arg-type]
    report = train_unimodal_from(linear(), fit, {"fit": fit}, epochs=15, modality="Image")
    assert report.scores["fit"] > 0.95


def test_several_labels_have_their_own_loss_and_score():
    images, labels, rows = problem()
    targets = np.stack([labels // 2, labels % 2, np.ones_like(labels), labels == 3], 1).astype(np.float32)
    model = linear()
    report = train_unimodal(model, images, targets, rows, epochs=30, batch_size=20, kind="multilabel")
    logits = model(torch.from_numpy(images[rows["val"]])).detach()
    assert report.scores["val"] == f1(logits, torch.from_numpy(targets[rows["val"]]), "weighted") > 0.95
    assert bool((logits[:, 2] > 0).all())  # a label that all have is no rival of the others, as in a softmax


def test_a_split_without_rows_scores_nothing():
    images, labels, rows = problem()
    report = train_unimodal(linear(), images, labels, {**rows, "val": np.arange(0)}, epochs=1)
    assert report.scores["val"] == 0


def test_a_loss_that_is_no_number_is_an_error():
    images, labels, rows = problem()
    images[3] = np.nan
    with pytest.raises(SearchDiverged, match="epoch 1 of 2.*nan"):
        train_unimodal(linear(), images, labels, rows, epochs=2)


@pytest.mark.parametrize("fit", [[], iter([1])])
def test_batches_without_length_or_content_are_an_error(fit):
    with pytest.raises(ConfigError, match="fit"):
        train_unimodal_from(linear(), fit, {}, epochs=1)


@pytest.mark.parametrize(("channels", "size"), [((8, 16, 32), 28), ((8, 16, 32, 64, 128), 32), ((4,), 8)])
def test_lenet_halves_the_map_block_by_block(channels, size):
    model = LeNet(channels, 10).eval()
    x = torch.randn(2, 1, size, size)
    for i, block in enumerate(model.blocks, start=1):
        x = block(x)
        assert x.shape == (2, channels[i - 1], size >> i, size >> i)
    assert model(torch.randn(3, 1, size, size)).shape == (3, 10)
    ends = list(pairwise((1, *channels)))
    expected = sum(a * b * (25 if i == 0 else 9) + 2 * b for i, (a, b) in enumerate(ends))
    assert sum(p.numel() for p in model.parameters()) == expected + 10 * channels[-1] + 10


def test_batches_can_be_gone_through_twice():
    loader = InputBatches(np.arange(10.0).reshape(10, 1), 4)
    for _ in range(2):
        assert [len(part) for part in loader] == [4, 4, 2] and len(loader) == 3
    assert torch.cat(list(loader)).flatten().tolist() == list(range(10))


# killed and gone on with


class Killed(Exception):
    pass


def kill_after(epoch):
    def progress(_what, done, _of):
        if done == epoch:
            raise Killed

    return progress


def dropping():
    torch.manual_seed(0)
    layers = nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Dropout(0.4), nn.Flatten(), nn.Linear(144, 4)
    return nn.Sequential(*layers)


def in_memory(model, **more):
    images, labels, rows = problem()
    return train_unimodal(model, images, labels, rows, epochs=4, batch_size=20, seed=3, device="cpu", **more)


def from_a_loader(model, workers=0, **more):
    """As the large data sets are read: a generator of the loader's own, and worker processes."""
    images, labels, rows = problem()
    order = torch.Generator().manual_seed(7)
    fit = loaders(images, labels, rows, shuffle=True, generator=order, num_workers=workers, drop_last=True)["fit"]
    return train_unimodal_from(model, fit, {}, epochs=4, seed=3, device="cpu", **more)


@pytest.mark.parametrize("train", [in_memory, from_a_loader, partial(from_a_loader, workers=1)])
@pytest.mark.parametrize("epoch", [1, 3, 4])
def test_a_killed_training_ends_in_the_same_bits(train, epoch, tmp_path):
    """Shuffling, dropout, BatchNorm, Adam and the one cycle: all of them have a state."""
    expected = train(dropping())
    with pytest.raises(Killed):
        train(dropping(), checkpoint=tmp_path / "c", progress=kill_after(epoch))
    told = []
    found = train(dropping(), checkpoint=tmp_path / "c", progress=lambda *args: told.append(args))
    assert replace(found, seconds=0) == replace(expected, seconds=0)
    assert told == [("train", one, 4) for one in range(epoch + 1, 5)]


def test_a_checkpoint_of_another_training_is_refused(tmp_path):
    with pytest.raises(Killed):
        in_memory(dropping(), checkpoint=tmp_path / "c", progress=kill_after(2))
    images, labels, rows = problem()
    other = {"epochs": 4, "batch_size": 20, "seed": 3, "device": "cpu", "checkpoint": tmp_path / "c"}
    for change in ({"epochs": 5}, {"seed": 4}, {"max_lr": 1e-3}, {"batch_size": 10}):
        with pytest.raises(RunError, match="c: of another training"):
            train_unimodal(dropping(), images, labels, rows, **(other | change))
    with pytest.raises(RunError, match="c: of another training"):
        train_unimodal(linear(), images, labels, rows, **other)
    (tmp_path / "c").write_bytes((tmp_path / "c").read_bytes()[:300])
    with pytest.raises(RunError, match="c: damaged"):
        train_unimodal(dropping(), images, labels, rows, **other)
