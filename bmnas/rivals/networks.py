"""The networks that rival a searched one, as rows of a table: how each is built, where it is from, what it lacks here.

Every row is trained and tested by the function, budget and seeds of a searched network, on the same stored features.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import nn

from bmnas.config import EvalConfig, SearchConfig
from bmnas.errors import ConfigError
from bmnas.evaluation.evaluation import evaluate_networks
from bmnas.evaluation.results import Evaluation
from bmnas.features.feature_set import FeatureSet
from bmnas.registry import Registry
from bmnas.rivals.centralnet import CentralNet
from bmnas.rivals.choice import Candidate, best_on_validation
from bmnas.rivals.dcnas_net import OPERATORS, DCNASNet
from bmnas.rivals.feature_head import FeatureHead
from bmnas.rivals.gmu import GatedMultimodalUnit
from bmnas.rivals.mfas_net import ACTIVATIONS, MFASNet
from bmnas.rivals.mmtm import LateTransferModule
from bmnas.rivals.mtut import MTUT
from bmnas.rivals.operators import operator_candidates
from bmnas.rivals.simbamm import SimBaMM
from bmnas.rivals.two_stream import TwoStream
from bmnas.rivals.vectors import last_features
from bmnas.searching.run_folder import Run
from bmnas.training.progress import Progress
from bmnas.training.random_streams import Purpose, seeded

WIDTH = 128  # of the rivals' hidden layers; a multiple of SimBaMM's heads

Networks = Callable[[FeatureSet, SearchConfig], Mapping[str, Candidate]]


@dataclass(frozen=True)
class Rival:
    """One row.

    Attributes:
        name: in tables; the key in `RIVALS`.
        source: where the network is from.
        networks: (features, config) -> the networks that validation chooses from; most rivals have one.
        limits: what it cannot do on stored features; "" where it is complete.
        modalities: how many it fuses; None for two and more.
    """

    name: str
    source: str
    networks: Networks
    limits: str = ""
    modalities: int | None = None

    def lacks(self, features: FeatureSet) -> str:
        """Says why there is no such network for these features; "" where there is one."""
        count = len(features.modalities)
        if count < 2:
            return f"the features have one modality, {next(iter(features.modalities))!r}; rivals fuse two or more"
        if self.modalities not in (None, count):
            return f"{self.name} fuses {self.modalities} modalities; the features have {count}"
        return ""


RIVALS = Registry("rival")


def add(
    name: str, source: str, build: Callable[[FeatureSet, float], nn.Module], limits: str = "", **about: Any
) -> None:
    """Registers a rival of one network, (features, dropout) -> network.

    Args:
        about: what else tells its trainings from those of others, or of older versions, that a run folder keeps.
    """
    identity = {"rival": name, "width": WIDTH, **about}

    def networks(features: FeatureSet, config: SearchConfig) -> dict[str, Candidate]:
        return {name: _candidate(identity, partial(build, features, config.dropout), config)}

    RIVALS.register(Rival(name, source, networks, limits))


def _candidate(about: dict[str, Any], build: Callable[[], nn.Module], config: SearchConfig) -> Candidate:
    def seeded_network(seed: int) -> nn.Module:
        with seeded((seed, Purpose.NETWORK), torch.device("cpu")):
            return build()

    return Candidate(seeded_network, {**about, "dropout": config.dropout, "batch_size": config.batch_size})


def _mfas(features: FeatureSet, config: SearchConfig) -> dict[str, Candidate]:
    """One row of MFAS's encoding on the last features, with each activation."""
    last = [len(names) - 1 for names in features.modalities.values()]
    networks = {}
    for number, activation in enumerate(ACTIVATIONS):
        encoding = [(last[0], last[1], number)]
        build = partial(
            MFASNet, encoding, features.channels, features.modalities, len(features.classes), WIDTH, config.dropout
        )
        about = {"rival": "MFAS", "encoding": encoding, "width": WIDTH}
        networks[activation.__name__] = _candidate(about, build, config)
    return networks


def _dcnas(features: FeatureSet, config: SearchConfig) -> dict[str, Candidate]:
    """The chain of all last features with each operator of DC-NAS."""
    lasts = last_features(features.modalities)
    networks = {}
    for operator in OPERATORS:
        postfix = [lasts[0], *(part for name in lasts[1:] for part in (name, operator))]
        build = partial(DCNASNet, postfix, features.channels, len(features.classes))
        networks[operator] = _candidate({"rival": "DC-NAS", "postfix": postfix}, build, config)
    return networks


add(
    "linear on last features",
    "this project",
    lambda f, dropout: FeatureHead(f.channels, last_features(f.modalities), len(f.classes), None, dropout),
    start="zero",
)
add(
    "MLP on last features",
    "this project",
    lambda f, dropout: FeatureHead(f.channels, last_features(f.modalities), len(f.classes), WIDTH, dropout),
)
add(
    "two-stream",
    "Simonyan, Zisserman, NeurIPS 2014",
    lambda f, dropout: TwoStream(f.channels, f.modalities, len(f.classes), dropout),
    "the streams are frozen",
    start="zero",
)
add(
    "GMU",
    "https://arxiv.org/abs/1702.01992",
    lambda f, dropout: GatedMultimodalUnit(f.channels, f.modalities, len(f.classes), WIDTH, dropout),
)
add(
    "CentralNet",
    "https://arxiv.org/abs/1808.07275",
    lambda f, dropout: CentralNet(f.channels, f.modalities, len(f.classes), WIDTH, dropout),
    "the central path alone; the branches are frozen and have no losses of their own",
)
add(
    "MMTM, last placement",
    "https://arxiv.org/abs/1911.08670",
    lambda f, dropout: LateTransferModule(f.channels, f.modalities, len(f.classes), dropout),
    "no module between layers, whose activations it would change",
)
add(
    "MTUT, heads",
    "https://arxiv.org/abs/1812.06145",
    lambda f, dropout: MTUT(f.channels, f.modalities, len(f.classes), WIDTH, dropout),
    "its loss on heads; the backbones are frozen, and samples are compared instead of positions",
)
add(
    "SimBaMM",
    "https://arxiv.org/abs/2512.22991",
    lambda f, dropout: SimBaMM(f.channels, f.modalities, len(f.classes), WIDTH, dropout),
)
for _rival in (
    Rival("last features, best operator", "this project", operator_candidates),
    Rival(
        "MFAS, one row",
        "https://arxiv.org/abs/1903.06496",
        _mfas,
        "the last features with the best activation; its search is a searcher",
        modalities=2,
    ),
    Rival(
        "DC-NAS, one operator",
        "https://github.com/fupinhan123/AAAI_DC-NAS",
        _dcnas,
        "the chain of the last features with the best operator; its search is a searcher",
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
        config: gives dropout, batch size, device and threads; operators also have its C, L and mode.
        budget: of each training, and the seeds, as for a searched network.
        run: keeps the result of each seed, so that an interrupted table resumes.
        progress: called as progress(name, done, of) before each seed.
        names: of `RIVALS`; by default all that these features have.

    Raises:
        UnknownNameError: a name that is none of a rival; lists those there are.
        ConfigError: a rival that these features do not have, or features of one modality.
    """
    if len(features.modalities) < 2:
        raise ConfigError(next(iter(RIVALS.values())).lacks(features))
    wanted = [name for name, one in RIVALS.items() if not one.lacks(features)] if names is None else names
    rivals = [RIVALS[name] for name in wanted]
    return [evaluate_rival(rival, features, config, budget, run, progress) for rival in rivals]


def evaluate_rival(
    rival: Rival,
    features: FeatureSet,
    config: SearchConfig,
    budget: EvalConfig,
    run: Run | None = None,
    progress: Progress | None = None,
) -> Evaluation:
    """Chooses the rival's network on validation, where it has several, then trains and tests it with every seed.

    Raises:
        ConfigError: the features do not have this rival.
    """
    name = choose(rival, features, config, budget, run, progress)
    return evaluate_choice(rival, name, features, config, budget, run, progress)


def choose(
    rival: Rival,
    features: FeatureSet,
    config: SearchConfig,
    budget: EvalConfig,
    run: Run | None = None,
    progress: Progress | None = None,
) -> str:
    """Names the rival's network that is best on validation; see `evaluate_rival`."""
    if reason := rival.lacks(features):
        raise ConfigError(reason)
    return best_on_validation(rival.networks(features, config), features, config, budget, run, progress, rival.name)


def evaluate_choice(
    rival: Rival,
    name: str,
    features: FeatureSet,
    config: SearchConfig,
    budget: EvalConfig,
    run: Run | None = None,
    progress: Progress | None = None,
) -> Evaluation:
    """Trains and tests one of the rival's networks with every seed."""
    network = rival.networks(features, config)[name]
    return evaluate_networks(
        rival.name, network.build, lambda _: network.identity, features, config, budget, run, progress
    )
