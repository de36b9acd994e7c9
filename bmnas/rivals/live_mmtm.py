"""Multimodal transfer modules between the live layers of backbones that are trained together with them.

    at each placement p, for the map x_k of modality k:    x'_k = 2 sigmoid(W_pk z_p + b_pk) * x_k,
    z_p as in `bmnas.rivals.mmtm`;    the next layer of backbone k sees x'_k
    logits = mean over k of a linear classifier on the positions' mean of the last x'_k

Source: Joze, Shaban, Iuzzolino, Koishida, https://arxiv.org/abs/1911.08670. Placements are the taps of the stored
features: the last ones of all modalities together, those before them together, and so on until a modality has none
left. The authors choose three placements by hand and keep the classifiers of the trained backbones; here they are
trained anew, and everything by one optimiser and one loss, as the searched network in joint training. A tapped output
that its backbone does not use again, such as the maximum over persons in HCN, is gated without effect on later layers.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from greenlet import getcurrent, greenlet
from torch import Tensor, nn
from torch.utils.data import Dataset

from bmnas.config import EvalConfig, SearchConfig
from bmnas.errors import ConfigError, FeatureError
from bmnas.evaluation.joint.evaluation import RawTraining, evaluate_raw_networks
from bmnas.evaluation.joint.network import RawNetwork, Taps
from bmnas.evaluation.joint.sources import known_backbones
from bmnas.evaluation.origin import Origin
from bmnas.evaluation.results import Evaluation
from bmnas.features.feature_set import FeatureSet
from bmnas.features.taps import Tap, as_taps, first_tensor
from bmnas.rivals.mmtm import TransferModule, channel_means
from bmnas.searching.run_folder import Run
from bmnas.training.progress import Progress
from bmnas.training.random_streams import Purpose, seeded

LIVE_MMTM = "MMTM, trained with its backbones"
SOURCE = "https://arxiv.org/abs/1911.08670"


class LiveTransferNetwork(RawNetwork):
    """Backbones that exchange their maps at every placement.

    Args:
        backbones: modality -> network.
        taps: modality -> feature -> where it is taken.
        modalities: modality -> its features, from the earliest layer to the last.
        channels: feature -> C of the tapped output.
        classes: number of logits.
        dropout: probability, before each classifier.

    Attributes:
        placements: modality -> feature, from the earliest placement to the last.
    """

    def __init__(
        self,
        backbones: Mapping[str, nn.Module],
        taps: Taps,
        modalities: Mapping[str, Sequence[str]],
        channels: Mapping[str, int],
        classes: int,
        dropout: float,
    ) -> None:
        super().__init__()
        self.placements = placements_of(modalities)
        self.taps = {
            modality: as_taps(
                {placement[modality]: taps[modality][placement[modality]] for placement in self.placements}
            )
            for modality in modalities
        }
        self.backbones = nn.ModuleDict({modality: backbones[modality] for modality in modalities})
        self.transfers = nn.ModuleList(
            TransferModule({modality: channels[name] for modality, name in placement.items()})
            for placement in self.placements
        )
        self.dropout = nn.Dropout(dropout)
        last = self.placements[-1]
        self.heads = nn.ModuleDict({modality: nn.Linear(channels[name], classes) for modality, name in last.items()})

    def forward(self, inputs: Mapping[str, Tensor]) -> Tensor:
        """Returns logits (B, classes) of a batch, modality -> (B, ...).

        Each backbone is a coroutine that pauses at its placements until all have arrived there.

        Raises:
            FeatureError: a modality is missing, or a tapped module does not run once, in the order of the features.
        """
        if missing := [modality for modality in self.backbones if modality not in inputs]:
            raise FeatureError(f"the modality {missing[0]!r} is missing; given were: {', '.join(inputs)}")
        with ExitStack() as stack:
            for modality, backbone in self.backbones.items():
                stack.enter_context(pausing(backbone, self.taps[modality], getcurrent()))
            lanes = {modality: greenlet(backbone) for modality, backbone in self.backbones.items()}
            arrived = {modality: lane.switch(inputs[modality]) for modality, lane in lanes.items()}
            vectors = {}
            for placement, transfer in zip(self.placements, self.transfers, strict=True):
                maps = {
                    modality: _map_at(name, lanes[modality], arrived[modality], len(inputs[modality]))
                    for modality, name in placement.items()
                }
                gated = transfer(maps)
                vectors = {modality: channel_means(x) for modality, x in gated.items()}  # before a layer changes x
                arrived = {modality: lane.switch(gated[modality]) for modality, lane in lanes.items()}
            for modality, lane in lanes.items():
                if not lane.dead:
                    again = arrived[modality][0]
                    raise FeatureError(f"feature {again!r}: its module runs again; tap modules that run once each")
        return torch.stack([head(self.dropout(vectors[modality])) for modality, head in self.heads.items()]).mean(0)

    def identity(self) -> dict[str, Any]:
        """Returns the placements."""
        return {"freeze": False, "network": "MMTM", "placements": self.placements}


def placements_of(modalities: Mapping[str, Sequence[str]]) -> list[dict[str, str]]:
    """Puts the last features of all modalities together, those before them, and so on until a modality has none left.

    Returns:
        Modality -> feature, from the earliest placement to the last.
    """
    depth = min(len(names) for names in modalities.values())
    return [{modality: names[place] for modality, names in modalities.items()} for place in range(-depth, 0)]


@contextmanager
def pausing(backbone: nn.Module, taps: Mapping[str, Tap], trunk: greenlet) -> Iterator[None]:
    """Lets a backbone hand over (feature, map) to the trunk at each tap, and continue with the map that it gets."""
    modules = {name: backbone.get_submodule(tap.module) for name, tap in taps.items()}
    handles = [modules[name].register_forward_hook(_pause(name, tap, trunk)) for name, tap in taps.items()]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _pause(name: str, tap: Tap, trunk: greenlet) -> Any:
    def hook(_module: nn.Module, _inputs: Any, output: Any) -> Any:
        x = first_tensor(f"feature {name!r}: the module {tap.module!r}", output).movedim(tap.channel, 1)  # (B, C, ...)
        gated = trunk.switch((name, x)).movedim(1, tap.channel)
        return gated if isinstance(output, Tensor) else type(output)([gated, *output[1:]])

    return hook


def _map_at(name: str, lane: greenlet, arrived: Any, samples: int) -> Tensor:
    """Returns the map with which a lane paused, which is that of the placement."""
    if lane.dead:
        raise FeatureError(f"feature {name!r}: its module did not run; tap modules that run once each")
    feature, x = arrived
    if feature != name:
        raise FeatureError(f"{feature!r} came before {name!r}; name the features from the earliest layer to the last")
    if len(x) != samples:
        raise FeatureError(f"feature {name!r}: its module gives {len(x)} rows for {samples} samples; expected one each")
    return x


def evaluate_live_mmtm(
    run: Run,
    features: FeatureSet,
    config: SearchConfig,
    budget: EvalConfig,
    *,
    batch_size: int | None = None,
    root: str | Path | None = None,
    samples: Dataset[Any] | None = None,
    workers: int | None = None,
    progress: Progress | None = None,
) -> Evaluation:
    """Trains and tests backbones with transfer modules between them, with the seeds 0, 1, ... of the budget.

    Data, budget, batches and start of the backbones are those of `bmnas.evaluate_joint`, and so is what its arguments
    mean; a finished seed is not computed again, and one that was killed resumes after its last epoch.

    Raises:
        ConfigError: features of one modality.
        ConfigError, DataError, FeatureError: see `bmnas.evaluation.joint.evaluation.check_joint`.
    """
    if len(features.modalities) < 2:
        only = next(iter(features.modalities))
        raise ConfigError(f"the features have one modality, {only!r}; MMTM fuses two or more")
    training = RawTraining.open(run, features, config, budget, batch_size, root, samples, workers, progress)
    placements = placements_of(features.modalities)
    identity = {"rival": LIVE_MMTM, "placements": placements, "dropout": config.dropout}
    result = evaluate_raw_networks(
        LIVE_MMTM, lambda seed: build_live_mmtm(features, config.dropout, seed), identity, training, progress
    )
    network = "; ".join(" + ".join(placement.values()) for placement in placements)
    return replace(result, origin=Origin(run=run.name, source=SOURCE, network=network))


def build_live_mmtm(features: FeatureSet, dropout: float, seed: int) -> LiveTransferNetwork:
    """Builds the network of stored features: their backbones, and modules and classifiers that the seed decides.

    Raises:
        DataError, FeatureError: see `bmnas.evaluation.joint.sources.known_backbones`.
    """
    backbones, taps = known_backbones(features, seed)
    with seeded((seed, Purpose.NETWORK), torch.device("cpu")):
        return LiveTransferNetwork(
            backbones=backbones,
            taps=taps,
            modalities=features.modalities,
            channels=features.channels,
            classes=len(features.classes),
            dropout=dropout,
        )
