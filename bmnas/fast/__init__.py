"""The Hypernet's forward and backward pass by shortcuts that equal its formulas, a file an idea.

What is (B, C, L) in hypernet.py, primitives.py, parts.py and reshape.py is held as (B, L, C) here, with the channels of
a position side by side, because matrix products, BatchNorm and mixtures all run along memory. On top of that

* `network`: which parts follow each other; `step`: a primitive without a shortcut is called as it is;
* `primitives`: s goes to both inputs, so the halves of a weight add up, [s; s] W = s (W_x + W_y), and Zero is left out;
* `features`: a feature after the other is reshaped and added to all Cells' mixtures while it is in the cache;
* `stored`: positions that are copies of each other are stored, reshaped and normalised once;
* `projection`, `layernorm`, `output`, `classifier`, `mixture`: gradients by hand, only those that are asked for
  (`asking`), and all constant factors on the smallest tensor that can carry them;
* `products`: the library of matrix products; `dropout`: masks of 16 random bits; `pages`: memory is kept for the next
  step.
"""

from bmnas.fast.asking import only
from bmnas.fast.network import applies, forward
from bmnas.fast.pages import keep_pages
from bmnas.fast.stored import TokenTensors

__all__ = ["TokenTensors", "applies", "forward", "keep_pages", "only"]
