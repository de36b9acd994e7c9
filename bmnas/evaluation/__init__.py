"""Evaluation (section 3.4): train a genotype's network, score it once, and keep the result."""
