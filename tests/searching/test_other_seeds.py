"""Runs of one experiment with other seeds: which they are, and what they derived."""

from bmnas.searching.algorithm1 import search
from bmnas.searching.other_seeds import derived_genotypes, other_seeds
from bmnas.searching.run_folder import Run
from tests.support.tiny import CONFIG, tiny_features


def test_they_differ_in_their_seed_alone(tmp_path, monkeypatch):
    monkeypatch.setenv("BMNAS_RUNS", str(tmp_path))
    features = tiny_features()
    made = {"one": CONFIG, "two": CONFIG.change(seed=7), "three": CONFIG.change(seed=3)}
    others = {"longer": CONFIG.change(seed=8, epochs=5), "again": CONFIG}
    for name, config in (made | others).items():
        list(search(features, config, Run(tmp_path / name)))
    list(search(tiny_features(seed=1), CONFIG.change(seed=9), Run(tmp_path / "features")))
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken/config.json").write_text("{")
    next(search(features, CONFIG.change(seed=5), Run(tmp_path / "begun")))
    Run(tmp_path / "begun").path("trace.jsonl").unlink()  # as before its first epoch
    found = other_seeds(Run(tmp_path / "one"))
    assert {seed: run.name for seed, run in found.items()} == {3: "three", 5: "begun", 7: "two"}
    assert list(found) == [3, 5, 7]
    assert derived_genotypes(found) == [Run(tmp_path / name).trace().best.genotype for name in ("three", "two")]
