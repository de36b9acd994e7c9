"""The networks that DC-NAS searches (AAAI 2024; https://github.com/fupinhan123/AAAI_DC-NAS).

A network is a binary tree in postfix order. Its leaves are views (features), each at most once; its inner nodes are

    add: x + y,    mul: x * y,    cat: W [x; y] + b,    max: max(x, y),    avg: (x + y) / 2

Each view passes BatchNorm, a linear layer to 32 and ReLU; the root passes BatchNorm, sign(x) sqrt(|x| + 1e-10) and an
L2 norm; a linear layer gives the logits. The authors' code decodes some trees wrongly: it counts leaves by their rank
but inner nodes by their position. Here a postfix code means the tree that it says.
"""

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from bmnas.errors import GenotypeError
from bmnas.rivals.vectors import FeatureVectors

WIDTH = 32  # of the authors' code
TINY = 1e-10  # within the square root, of the authors' code
OPERATORS: dict[str, Callable[[Tensor, Tensor], Tensor] | None] = {
    "add": torch.add,
    "mul": torch.mul,
    "cat": None,  # the one operator with parameters
    "max": torch.maximum,
    "avg": lambda x, y: (x + y) / 2,
}


class DCNASNet(nn.Module):
    """The network of a tree.

    Args:
        postfix: features and operators, for example ("Image_3", "Audio_3", "cat").
        channels: feature -> C_in.
        classes: number of logits.

    Raises:
        GenotypeError: the code is no tree, or a view is unknown or used twice.
    """

    def __init__(self, postfix: Sequence[str], channels: Mapping[str, int], classes: int) -> None:
        super().__init__()
        views = check_postfix(postfix, channels)
        self.postfix = tuple(postfix)
        self.vectors = FeatureVectors(channels, views)
        self.encoders = nn.ModuleDict(
            {name: nn.Sequential(nn.Linear(channels[name], WIDTH), nn.ReLU()) for name in views}
        )
        joints = {str(i): nn.Linear(2 * WIDTH, WIDTH) for i, part in enumerate(postfix) if part == "cat"}
        self.joints = nn.ModuleDict(joints)
        self.norm = nn.BatchNorm1d(WIDTH)
        self.head = nn.Linear(WIDTH, classes)

    def forward(self, batch: Mapping[str, Tensor]) -> Tensor:
        """Returns logits (B, classes)."""
        vectors = self.vectors(batch)
        stack: list[Tensor] = []  # of (B, 32)
        for place, part in enumerate(self.postfix):
            if part in self.encoders:
                stack.append(self.encoders[part](vectors[part]))
                continue
            y, x = stack.pop(), stack.pop()
            operator = OPERATORS[part]
            stack.append(operator(x, y) if operator else self.joints[str(place)](torch.cat([x, y], dim=1)))
        root = self.norm(stack.pop())
        return self.head(normalize(root.sign() * (root.abs() + TINY).sqrt()))


def check_postfix(postfix: Sequence[str], channels: Mapping[str, int]) -> list[str]:
    """Checks a tree in postfix order, and names its views.

    Raises:
        GenotypeError: the code is no tree, or a view is unknown or used twice; names the part.
    """
    views: list[str] = []
    depth = 0
    for place, part in enumerate(postfix):
        if part in OPERATORS:
            if depth < 2:
                raise GenotypeError(f"{part!r} at place {place} has {depth} inputs; expected two before it")
            depth -= 1
        elif part not in channels or part in views:
            raise GenotypeError(f"{part!r} at place {place}; expected a feature that is not used yet, or an operator")
        else:
            views.append(part)
            depth += 1
    if depth != 1:
        raise GenotypeError(f"the code {' '.join(postfix)!r} ends with {depth} trees; expected one")
    return views
