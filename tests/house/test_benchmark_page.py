"""The snippet of the page on the tabular benchmark runs."""

import re
from pathlib import Path

PAGE = Path(__file__).resolve().parents[2] / "docs/tabular_benchmark.md"


def test_the_snippet_runs(capsys):
    (snippet,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), flags=re.DOTALL)
    names: dict = {}
    exec(compile(snippet, str(PAGE), "exec"), names)
    frame = names["frame"]
    assert list(frame["trainings"]) == [20] * 5
    assert "regret" in capsys.readouterr().out
