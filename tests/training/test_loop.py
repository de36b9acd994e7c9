"""The training loop: what moves and is checked before, what a checkpoint resumes, what an epoch sums up to."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from bmnas.config import EvalConfig
from bmnas.errors import RunError, SearchDiverged
from bmnas.training.checkpoint import TrainingCheckpoint
from bmnas.training.learning_rates import Schedule
from bmnas.training.loop import NetworkLearner, Outcome, Tally, train_epochs
from bmnas.training.network_training import BestOnValidation, fit
from bmnas.training.random_streams import EpochStreams, RunningStream
from tests.support.tiny import tiny_features

CPU = torch.device("cpu")
BATCHES = 3


class Killed(BaseException):
    pass


def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(5, 8), nn.BatchNorm1d(8), nn.Dropout(0.5), nn.Linear(8, 3))


def data(epoch, shuffled):
    """Batches of an epoch; shuffled ones draw from torch as they come."""
    generator = torch.Generator().manual_seed(epoch)
    for _ in range(BATCHES):
        x = torch.randn(6, 5, generator=generator)
        yield x + (torch.randn(6, 5) if shuffled else 0), torch.arange(6) % 3


def trained(stream, path=None, killed_after=None, epochs=4):
    """Trains a network; its weights, and what the loop returned."""
    net = network()
    optimizer = torch.optim.Adam(net.parameters(), 1e-2)
    learner = NetworkLearner(net, "multiclass", optimizer, list(net.parameters()))

    def after(epoch):
        if epoch == killed_after:
            raise Killed

    with torch.random.fork_rng():
        torch.manual_seed(7)
        history = train_epochs(
            learner,
            lambda epoch: data(epoch, isinstance(stream, RunningStream)),
            epochs,
            name="it",
            schedule=Schedule(lambda step: 1e-2 / (step + 1), BATCHES),
            random=stream,
            checkpoint=TrainingCheckpoint(path, {"epochs": epochs}, {"network": net, "optimizer": optimizer}),
            after_epoch=after,
        )
    return [p.detach().clone() for p in (*net.parameters(), *net.buffers())], history


@pytest.mark.parametrize("make", [lambda: EpochStreams(3, CPU), lambda: RunningStream(CPU)], ids=["epoch", "running"])
@pytest.mark.parametrize("epoch", [1, 2, 4])
def test_a_killed_training_ends_in_the_same_bits(make, epoch, tmp_path):
    expected, history = trained(make())
    with pytest.raises(Killed):
        trained(make(), tmp_path / "c", killed_after=epoch)
    resumed, again = trained(make(), tmp_path / "c")
    assert all(torch.equal(a, b) for a, b in zip(expected, resumed, strict=True))
    assert again == history and len(history.losses) == 4 and history.samples == 18


def test_a_checkpoint_of_another_training_is_refused(tmp_path):
    trained(EpochStreams(3, CPU), tmp_path / "c")
    with pytest.raises(RunError, match="another training"):
        trained(EpochStreams(3, CPU), tmp_path / "c", epochs=5)


def test_a_loss_that_is_no_number_moves_nothing():
    features = tiny_features()
    tensors = features.tensors("cpu")
    rows = tensors.rows("train")
    steps = []

    class Spoilt(nn.Module):
        """Its second batch gives infinite logits."""

        def __init__(self):
            super().__init__()
            self.linear = nn.Linear(1, len(features.classes))

        def forward(self, batch):
            steps.append(self.linear.weight.detach().clone())
            x = next(iter(batch.values())).mean((1, 2), keepdim=False)[:, None]
            return self.linear(x) * (float("inf") if len(steps) == 2 else 1.0)

    net = Spoilt()
    with pytest.raises(SearchDiverged, match="training, epoch 1 of 2"):
        fit(net, tensors, "multiclass", rows, 16, EvalConfig(epochs=2, max_lr=1e-2), 0)
    assert not torch.equal(steps[0], steps[1])
    assert torch.equal(net.linear.weight, steps[1])


@settings(deadline=None)
@given(st.integers(1, 3), st.lists(st.integers(1, 9), min_size=1, max_size=5), st.integers(0, 99))
def test_an_epoch_sums_up_to_the_mean_over_its_samples(S, sizes, seed):
    rng = np.random.default_rng(seed)
    losses = [rng.random((S, size)) for size in sizes]  # of every sample
    logits = [rng.normal(size=(S, size, 4)) for size in sizes]
    targets = [rng.integers(0, 4, (S, size)) for size in sizes]
    tally = Tally()
    for loss, x, y in zip(losses, logits, targets, strict=True):
        tally.outcomes.append(Outcome(torch.tensor(loss.mean(1)), torch.tensor(x), torch.tensor(y)))
    assert tally.samples == sum(sizes)
    assert tally.losses() == pytest.approx(np.concatenate(losses, 1).mean(1).tolist())
    right = np.concatenate([x.argmax(2) == y for x, y in zip(logits, targets, strict=True)], 1)
    assert tally.scores("multiclass") == pytest.approx(right.mean(1).tolist())


def test_the_earlier_of_equal_epochs_is_kept():
    features = tiny_features()
    tensors = features.tensors("cpu")

    class Constant(nn.Module):
        def __init__(self):
            super().__init__()
            self.bias = nn.Parameter(torch.zeros(len(features.classes)))

        def forward(self, batch):
            return self.bias.expand(len(next(iter(batch.values()))), -1)

    net = Constant()
    best = BestOnValidation(net, tensors, "multiclass")
    for epoch, value in enumerate((0.5, 1.0), start=1):  # the same class wins in both
        with torch.no_grad():
            net.bias[0] = value
        best(epoch)
    assert best.state["bias"][0] == 0.5
