"""Where a number comes from: the command and the run folder that made it, its network, and what finding that cost."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Origin:
    """The origin of a row of a table.

    Attributes:
        run: name of the run folder that keeps its results.
        features: fingerprint of the features that all rows of its table were trained on.
        command: that makes it again.
        source: of the method.
        limits: what it cannot do on stored features.
        search_epochs: passes over the training split that finding the network took, before it was trained; the
            passes over the validation split that move an architecture count by their length.
        network: what was trained, in words.
        genotype: as plain values, where it is the network of a genotype.
    """

    run: str = ""
    features: str = ""
    command: str = ""
    source: str = ""
    limits: str = ""
    search_epochs: float = 0.0
    network: str = ""
    genotype: dict[str, Any] | None = None
