"""The benchmarks: that they measure in turns and state ratios of one run; no test of how long anything takes."""

import json
import sys
from pathlib import Path
from unittest import mock

import pytest

from benchmarks import bench, extraction, gpu, plots, scaling, shared

ROOT = Path(bench.__file__).parents[1]


def test_all_take_turns_and_warm_up_is_not_counted():
    order = []
    found = shared.in_turns({name: lambda name=name: order.append(name) for name in "abc"}, rounds=2, warm_up=1)
    assert order == list("abc") * 3
    assert {name: len(seconds) for name, seconds in found.items()} == {"a": 2, "b": 2, "c": 2}


def test_ratios_are_of_the_same_round():
    assert shared.ratios([2.0, 30.0, 8.0], [1.0, 10.0, 2.0])["median"] == 3.0  # of 2, 3 and 4, not of the medians
    assert shared.spread([5.0]) == {"median": 5.0, "low": 5.0, "high": 5.0}


def test_one_size_is_varied_at_a_time():
    middle = scaling.case()
    assert len(scaling.case(K=16).channels) == 16 and scaling.case(K=16).positions == (8,) * 16
    assert (scaling.case(M=4).M, scaling.case(M=4).r) == (4, 4)
    assert scaling.case(L=32).positions == (32,) * 4
    assert {(scaling.case(C=C).B, scaling.case(C=C).N) for C in scaling.SWEEPS["C"]} == {(middle.B, middle.N)}


def test_a_step_of_each_variant_moves_weights_and_architecture():
    for name, both in scaling.step_variants(scaling.case(C=8, L=4, B=4, K=2)).items():
        both()
        assert name in plots.COLOURS


def run_main(module, *arguments):
    """The `main` of a benchmark, with the arguments of a command line."""
    with mock.patch.object(sys, "argv", [module.__file__, *arguments]):
        return module.main()


@pytest.mark.slow
def test_a_quick_run_writes_numbers_and_pictures(tmp_path, capfd):
    """As the whole command does, which starts each part in a process; here one of the three."""
    for part in (scaling, extraction):
        run_main(part, "--quick", "--out", str(tmp_path))
    assert run_main(bench, "--quick", "--only", "memory", "--out", str(tmp_path)) == 0
    found = {path.stem: json.loads(path.read_text()) for path in tmp_path.glob("*.json")}
    assert set(found) == {"scaling", "extraction", "memory"}
    assert set(found["scaling"]["sizes"]) == set(scaling.SWEEPS)
    for rows in found["scaling"]["sizes"].values():
        for variants in rows.values():
            assert all(row["ms"]["low"] <= row["ms"]["median"] <= row["ms"]["high"] for row in variants.values())
    for row in found["memory"]["settings"].values():
        assert 0.3 < row["measured_mb"] / row["foreseen_mb"] < 1.5
    assert len(list(tmp_path.glob("bench_*.png"))) in (0, 3)
    assert len(list(tmp_path.glob("bench_*.png"))) == 3 or "no pictures: " in capfd.readouterr().out


@pytest.mark.slow
def test_the_gpu_benchmark_works_at_toy_size(tmp_path):
    assert run_main(bench, "--gpu", "--toy", "--out", str(tmp_path)) == 0
    record = json.loads((tmp_path / "gpu.json").read_text())
    assert record["toy"] is True and record["left out"] == []
    for rows in record["steps"].values():
        assert {"release style", "formula", "algebra", "algebra, bf16"} <= set(rows)
        assert all(row["ms"]["median"] > 0 for steps in rows.values() for row in steps.values())
    assert record["search, default"]["epochs"] == 1 and record["seeds"]["seeds"] == 2


def test_the_gpu_benchmark_needs_a_card(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(gpu.torch.cuda, "is_available", lambda: False)
    assert (
        run_main(gpu, "--out", str(tmp_path / "gpu.json")) == 1
        and "--toy" in capsys.readouterr().out
        and not list(tmp_path.iterdir())
    )


def test_a_part_that_fails_is_told(tmp_path, capfd, monkeypatch):
    monkeypatch.setattr(bench, "command", lambda part, out, quick: [sys.executable, "-c", "raise SystemExit(3)"])
    assert run_main(bench, "--out", str(tmp_path)) == 1
    assert "step failed with status 3" in capfd.readouterr().out


@pytest.mark.parametrize("name", plots.PLOTS)
def test_figures_of_the_numbers_that_are_kept(name):
    kept = ROOT / f"benchmarks/results/{name}.json"
    if not kept.exists():
        pytest.skip(f"{kept.name} is not kept")
    fig = plots.PLOTS[name](json.loads(kept.read_text(encoding="utf-8")))
    assert len(fig.data) > 0 and all(len(trace.x) == len(trace.y) > 0 for trace in fig.data)
