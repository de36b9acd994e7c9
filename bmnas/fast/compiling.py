"""Machine code for all loops of the shortcuts, made before a search needs it: python -m bmnas.fast.compiling

It takes about 20 s, once for each version of these files; a search that finds none makes it itself.
"""

import torch

from bmnas.hypernet import Hypernet


def compile_kernels() -> None:
    """One weight step and one architecture step of small networks that together take all shortcuts."""
    features = {"map": torch.randn(4, 3, 4), "vector": torch.randn(4, 2, 1)}
    channels = {name: x.shape[1] for name, x in features.items()}
    for r in (1, 2):
        net = Hypernet(channels, classes=2, C=4, L=4, N=2, M=2, r=r, dropout=0.5, vectors=["vector"], fast=True)
        net(features).sum().backward()


if __name__ == "__main__":
    compile_kernels()
