"""The Hypernet's forward and backward pass by shortcuts that equal its formulas, a file an idea.

What is (B, C, L) in hypernet.py, primitives.py, parts.py and reshape.py is held as (B, L, C) here, with the channels of
a position side by side, because matrix products, BatchNorm and mixtures all run along memory. On top of that

* `network`: the pass is one function of autograd, which asks `features`, the Cells (`cell`) and the `classifier` one
  after the other, forwards and backwards: only the gradients that are asked for (`asking`), and those of what is read
  twice are added up where they lie;
* `step`: one product for the weights of all primitives of a Step; a Step of one input takes its beta into BatchNorm;
* `primitives`: s goes to both inputs, so the halves of a weight add up, [s; s] W = s (W_x + W_y); Zero is left out, and
  a primitive without a shortcut is called as it is;
* `batchnorm`: BatchNorm is a line for each channel; so `rectified` (Reshape, ConcatFC, a Cell's output), `gated`
  (LinearGLU) and `layernorm` (Attention, a Cell's output, the classifier) go through memory once for all that lies
  between a matrix product and the sum that its result joins, and once more backwards for a sum over the batch;
* `stored`: positions that are copies of each other are stored, reshaped and normalised once;
* `dropout`: masks of 16 random bits; `pages`: memory is kept for the next step; `layers`: quick walks over a network's
  parts; `kernels`: the loops, which numba compiles. Matrix products are torch's own (`mm`, `addmm`) on every processor.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from torch import Tensor

from bmnas.scale.fast.applying import applies
from bmnas.scale.fast.asking import only
from bmnas.scale.fast.pages import keep_pages
from bmnas.scale.fast.stored import TokenTensors

if TYPE_CHECKING:
    from bmnas.space.hypernet import Hypernet

__all__ = ["TokenTensors", "applies", "forward", "keep_pages", "only"]


def forward(net: "Hypernet", batch: Mapping[str, Tensor]) -> Tensor:
    """Logits (B, classes): `Hypernet.forward`."""
    from bmnas.scale.fast import network  # loads a compiler, which only a search needs

    return network.forward(net, batch)
