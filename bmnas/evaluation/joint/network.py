"""JointNetwork: backbones and fusion network as one module on raw inputs (section 3.4, "Evaluation").

The paper's last step trains the unimodal backbones and the searched network together. The features are taken by the
same taps and pools as in `bmnas.extract`, but gradients pass through them.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from bmnas.errors import FeatureError
from bmnas.features.taps import Tap, as_taps, frozen, hooked, pop_outputs
from bmnas.machine import use_threads
from bmnas.registry import unknown
from bmnas.space.genotype import Genotype
from bmnas.space.network import FusionNetwork
from bmnas.space.placeholders import Placeholders
from bmnas.training.random_streams import Purpose
from bmnas.training.steps import seeded

Taps = Mapping[str, Mapping[str, str | Tap]]  # modality -> feature -> where it is taken


class RawNetwork(nn.Module, ABC):
    """A network on raw inputs, modality -> (B, ...), that is trained together with its backbones.

    Attributes:
        backbones: modality -> network.
        freeze: the backbones stay as they are.
    """

    backbones: nn.ModuleDict
    freeze: bool = False

    @abstractmethod
    def identity(self) -> dict[str, Any]:
        """Says what the network is, in JSON values: a checkpoint of another one is refused."""

    def sizes(self) -> dict[str, int]:
        """Counts the parameters of the backbones and of the fusion network, and how many are trained."""
        backbones = sum(p.numel() for p in self.backbones.parameters())
        fusion = sum(p.numel() for p in self.parameters()) - backbones
        return {
            "backbones": backbones,
            "fusion": fusion,
            "trained": sum(p.numel() for p in self.parameters() if p.requires_grad),
        }


class JointNetwork(RawNetwork):
    """Raw inputs -> taps on backbones -> pool to (C_in, L) -> fusion network -> logits.

    Only backbones with a feature that the fusion network uses are kept.

    Args:
        backbones: modality -> network.
        taps: modality -> feature -> tap; features that the fusion network does not use are left out.
        L: length that features are pooled to.
        fusion: made for features of this length.
        freeze: backbones stay as they are, in eval mode (the release does so for EgoGesture).

    Raises:
        UnknownNameError: a feature of the fusion network has no tap, or a tap's module does not exist.
    """

    def __init__(
        self, backbones: Mapping[str, nn.Module], taps: Taps, L: int, fusion: FusionNetwork, freeze: bool = False
    ) -> None:
        super().__init__()
        tapped = {name for of_modality in taps.values() for name in of_modality}
        for name in fusion.reshape:
            if name not in tapped:
                raise unknown("feature", name, tapped)
        self.taps: dict[str, dict[str, Tap]] = {}
        for modality, of_modality in taps.items():
            used = {name: tap for name, tap in as_taps(of_modality).items() if name in fusion.reshape}
            if used:
                self.taps[modality] = used
        self.backbones = nn.ModuleDict({modality: backbones[modality] for modality in self.taps})
        for modality, backbone in self.backbones.items():
            with hooked(backbone, self.taps[modality], L):  # a wrong path shows now, not in the first batch
                pass
        self.fusion = fusion
        self.L = L
        self.freeze = freeze
        if freeze:
            self.backbones.requires_grad_(False)
        self.train(self.training)

    def forward(self, inputs: Mapping[str, Tensor]) -> Tensor:
        """Returns logits (B, classes) of a batch, modality -> (B, ...).

        Raises:
            FeatureError: a modality is missing, or a tapped module did not run exactly once.
        """
        return self.fusion(self.features(inputs))  # (B, classes)

    def features(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Computes feature -> (B, C_in, L or 1), with gradients unless the backbones are frozen."""
        features = {}
        for modality, backbone in self.backbones.items():
            if modality not in inputs:
                raise FeatureError(f"the modality {modality!r} is missing; given were: {', '.join(inputs)}")
            taps = self.taps[modality]
            with (
                torch.set_grad_enabled(torch.is_grad_enabled() and not self.freeze),
                hooked(backbone, taps, self.L, to=None) as seen,
            ):
                backbone(inputs[modality])
                features |= pop_outputs(taps, seen)  # (B, C_in, L or 1) each
        return features

    def train(self, mode: bool = True) -> "JointNetwork":
        """Sets train or eval mode; frozen backbones remain in eval mode, with their BatchNorm statistics."""
        super().train(mode)
        if self.freeze:
            self.backbones.eval()
        return self

    def identity(self) -> dict[str, Any]:
        """Returns the genotype, and whether the backbones are frozen."""
        return {"freeze": self.freeze, "genotype": self.fusion.genotype.to_json()}


@use_threads()
def joint_network(
    genotype: Genotype,
    backbones: Mapping[str, nn.Module],
    taps: Taps,
    inputs: Mapping[str, Tensor],
    classes: int,
    *,
    C: int,
    L: int,
    dropout: float = 0.0,
    mode: str = "paper",
    tokeniser: str = "copy",
    freeze: bool = False,
    placeholders: Placeholders | None = None,
    seed: int = 0,
) -> JointNetwork:
    """Builds the joint network of a genotype; its fusion network starts from the weights of `evaluate` with this seed.

    Args:
        inputs: a batch of raw samples, which shows the channels of every feature, and which ones are vectors.
        C, L, dropout, mode, tokeniser: of the fusion network, see `FusionNetwork`.
        freeze: see `JointNetwork`.
        placeholders: see `FusionNetwork`; modality dropout hides features here.

    Raises:
        GenotypeError: the genotype uses a feature that has no tap.
    """
    channels, vectors = feature_shapes(backbones, taps, L, inputs)
    with seeded((seed, Purpose.NETWORK), torch.device("cpu")):
        fusion = FusionNetwork(
            genotype=genotype,
            channels=channels,
            classes=classes,
            C=C,
            L=L,
            dropout=dropout,
            mode=mode,
            vectors=vectors,
            tokeniser=tokeniser,
            placeholders=placeholders,
        )
    return JointNetwork(backbones, taps, L, fusion, freeze)


@torch.no_grad()
def feature_shapes(
    backbones: Mapping[str, nn.Module], taps: Taps, L: int, inputs: Mapping[str, Tensor]
) -> tuple[dict[str, int], frozenset[str]]:
    """Finds feature -> C_in, and the features without extent, by running each backbone once in eval mode.

    Raises:
        FeatureError: a modality is missing in `inputs`.
    """
    shapes: dict[str, torch.Size] = {}
    for modality, of_modality in taps.items():
        if modality not in inputs:
            raise FeatureError(f"the modality {modality!r} is missing; given were: {', '.join(inputs)}")
        backbone = backbones[modality]
        tapped = as_taps(of_modality)
        with frozen(backbone, inputs[modality].device), hooked(backbone, tapped, L, to=None) as seen:
            backbone(inputs[modality])
            shapes |= {name: x.shape for name, x in pop_outputs(tapped, seen).items()}
    return {name: shape[1] for name, shape in shapes.items()}, frozenset(n for n, s in shapes.items() if s[2] == 1)
