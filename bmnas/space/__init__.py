"""The search space (sections 3.2 and 3.3): Cells, Steps, primitives, and networks made of them."""
