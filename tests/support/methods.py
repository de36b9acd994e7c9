"""Methods whose answers to test samples are drawn at random: equally good ones, and better ones."""

import numpy as np

from bmnas.evaluation.outcomes import Outcomes
from bmnas.evaluation.results import Evaluation


def evaluation(name, right, groups, parameters=1, split="one"):
    """A method of two classes whose answers are right or not, (S, n)."""
    answers = np.asarray(right).astype(np.int64)
    outcomes = Outcomes("multiclass", answers, np.ones(answers.shape[1], np.int64), groups, split)
    return Evaluation(name, "accuracy", tuple(answers.mean(1)), parameters=parameters, outcomes=outcomes)


def draw(rng, seeds, groups, size, skill=0.8):
    """Answers of one method: a group of samples is easy or hard for it, and each seed has a good or a bad day."""
    chance = skill + 0.15 * rng.standard_normal((1, groups, 1)) + 0.02 * rng.standard_normal((seeds, 1, 1))
    return (rng.random((seeds, groups, size)) < chance).reshape(seeds, -1)
