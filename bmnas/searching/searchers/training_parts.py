"""Parts of the training split, for searchers that do not train every network on all of it."""

import math

import numpy as np
import torch
from torch import Tensor

from bmnas.features.feature_set import FeatureSet

SHARE = 0.7  # of the training rows in a part
SEED = 1024  # of the authors' code of DC-NAS


def rows_of_part(features: FeatureSet, part: int) -> Tensor:
    """Returns the training rows of a part: a random 70 % of each class, rounded up.

    Samples of several labels are drawn without regard to them.

    Args:
        features: of the search.
        part: counted from 0.
    """
    rows = features.rows("train")
    targets = np.asarray(features.targets)[rows]
    classes = np.zeros(len(rows)) if targets.ndim > 1 else targets
    generator = np.random.default_rng((SEED, part))
    chosen = []
    for one in np.unique(classes):
        members = generator.permutation(rows[classes == one])
        chosen.append(members[: math.ceil(SHARE * len(members))])
    return torch.from_numpy(np.sort(np.concatenate(chosen)))
