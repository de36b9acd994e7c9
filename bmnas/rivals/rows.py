"""The rivals as rows of a table: a name, how its network is built, where it is from, and what it lacks here.

Every row is trained and tested by the function, budget and seeds of a searched network, on the same stored features.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import nn

from bmnas.config import EvalConfig, SearchConfig
from bmnas.errors import ConfigError
from bmnas.evaluation.evaluation import evaluate_networks
from bmnas.evaluation.results import Evaluation
from bmnas.features.feature_set import FeatureSet
from bmnas.registry import Registry
from bmnas.rivals.centralnet import CentralNet
from bmnas.rivals.gmu import GatedMultimodalUnit
from bmnas.rivals.last_features import LastFeatures
from bmnas.rivals.mmtm import LateTransferModule
from bmnas.rivals.simbamm import SimBaMM
from bmnas.rivals.two_stream import TwoStream
from bmnas.searching.run_folder import Run
from bmnas.training.progress import Progress
from bmnas.training.random_streams import Purpose, seeded

WIDTH = 128  # of the rivals' hidden layers; a multiple of SimBaMM's heads


@dataclass(frozen=True)
class Rival:
    """One row.

    Attributes:
        name: in tables; the key in `RIVALS`.
        source: where the network is from.
        build: (features, dropout) -> network.
        limits: what it cannot do on stored features; "" where it is complete.
    """

    name: str
    source: str
    build: Callable[[FeatureSet, float], nn.Module]
    limits: str = ""


RIVALS = Registry("rival")
for _rival in (
    Rival(
        "linear on last features",
        "this project",
        lambda f, dropout: LastFeatures(f.channels, f.modalities, len(f.classes), None, dropout),
    ),
    Rival(
        "MLP on last features",
        "this project",
        lambda f, dropout: LastFeatures(f.channels, f.modalities, len(f.classes), WIDTH, dropout),
    ),
    Rival(
        "two-stream",
        "Simonyan, Zisserman, NeurIPS 2014",
        lambda f, dropout: TwoStream(f.channels, f.modalities, len(f.classes), dropout),
        "the streams are frozen",
    ),
    Rival(
        "GMU",
        "https://arxiv.org/abs/1702.01992",
        lambda f, dropout: GatedMultimodalUnit(f.channels, f.modalities, len(f.classes), WIDTH, dropout),
    ),
    Rival(
        "CentralNet",
        "https://arxiv.org/abs/1808.07275",
        lambda f, dropout: CentralNet(f.channels, f.modalities, len(f.classes), WIDTH, dropout),
        "the central path alone; the branches are frozen and have no losses of their own",
    ),
    Rival(
        "MMTM, last placement",
        "https://arxiv.org/abs/1911.08670",
        lambda f, dropout: LateTransferModule(f.channels, f.modalities, len(f.classes), dropout),
        "no module between layers, whose activations it would change",
    ),
    Rival(
        "SimBaMM",
        "https://arxiv.org/abs/2512.22991",
        lambda f, dropout: SimBaMM(f.channels, f.modalities, len(f.classes), WIDTH, dropout),
    ),
):
    RIVALS.register(_rival)


def evaluate_rivals(
    features: FeatureSet,
    config: SearchConfig,
    budget: EvalConfig,
    run: Run | None = None,
    progress: Progress | None = None,
    names: Sequence[str] | None = None,
) -> list[Evaluation]:
    """Trains and tests rivals on stored features.

    Args:
        config: gives dropout, batch size, device and threads.
        budget: of each training, and the seeds, as for a searched network.
        run: keeps the result of each seed, so that an interrupted table resumes.
        progress: called as progress(name, done, of) before each seed.
        names: of `RIVALS`; all of them by default.

    Raises:
        UnknownNameError: a name that is none of a rival; lists those there are.
        ConfigError: features of one modality, which there is nothing to fuse with.
    """
    if len(features.modalities) < 2:
        raise ConfigError(
            f"the features have one modality, {next(iter(features.modalities))!r}; rivals fuse two or more"
        )
    return [_evaluate(RIVALS[name], features, config, budget, run, progress) for name in names or RIVALS]


def _evaluate(
    rival: Rival,
    features: FeatureSet,
    config: SearchConfig,
    budget: EvalConfig,
    run: Run | None,
    progress: Progress | None,
) -> Evaluation:
    def build(seed: int) -> nn.Module:
        with seeded((seed, Purpose.NETWORK), torch.device("cpu")):
            return rival.build(features, config.dropout)

    identity = {"rival": rival.name, "width": WIDTH, "dropout": config.dropout, "batch_size": config.batch_size}
    return evaluate_networks(rival.name, build, lambda _: identity, features, config, budget, run, progress)
