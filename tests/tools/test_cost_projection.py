"""The projection of costs: straight lines through measured sizes, and a table made of nothing else."""

import json

import pytest

from tools import cost_projection, result_tables


def rows(line):
    return {str(size): {"algebra": {"ms": {"median": line(size)}}} for size in (2, 4, 8)}


def test_growth_follows_the_measured_line():
    assert cost_projection.growth(rows(lambda size: 3 * size + 1), 50) == pytest.approx(151)


def test_the_table_follows_from_the_results(tmp_path, monkeypatch):
    (tmp_path / "cost").mkdir()
    sizes = {"K": rows(lambda size: 10.0), "samples": rows(lambda size: 36.0 * size)}  # an epoch of 10 hours
    about = {"processor": "a processor", "instructions": "AVX2", "torch": "2"}
    (tmp_path / "cost/scaling.json").write_text(json.dumps({"sizes": sizes}))
    (tmp_path / "on_disk.json").write_text(json.dumps({**about, "disk / memory": {"cold": {"median": 2.0}}}))
    monkeypatch.setattr(result_tables, "RESULTS", tmp_path)
    table = cost_projection.cost_table()
    assert "300 core-hours" in table and "600 core-hours (2.00" in table and "600,000 core-hours" in table
    assert "600 min" in table and "0.82 TB" in table and "a processor, AVX2" in table


def test_the_page_is_made_of_the_stored_results():
    assert "core-hours" in cost_projection.cost_table()
