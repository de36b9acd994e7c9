"""Training: steps, learning rates, metrics and checkpoints."""
