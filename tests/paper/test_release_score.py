"""The number that the release would report: printed beside ours, never part of it."""

from pathlib import Path

import bmnas
from bmnas.config import EvalConfig
from bmnas.evaluation.evaluation import evaluate
from bmnas.paper.release_score import score_by_epoch
from bmnas.tasks.planted import planted_features, planted_genotype
from tests.support.tiny import CONFIG


def test_it_ends_where_the_evaluation_ends():
    features = planted_features(K=4, samples=120)
    genotype, budget = planted_genotype(features), EvalConfig(epochs=3, seeds=2)
    curve = score_by_epoch(genotype, features, CONFIG, budget, seed=1)
    assert len(curve) == 3
    assert curve[-1] == evaluate("mine", genotype, features, CONFIG, budget).scores[1]


def test_no_other_file_of_the_library_reads_it():
    library = Path(bmnas.__file__).parent
    readers = [path.name for path in library.rglob("*.py") if "release_score" in path.read_text(encoding="utf-8")]
    assert readers == ["__init__.py"]
