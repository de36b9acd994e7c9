"""The snippets of the page on the tabular benchmark run."""

import re
from pathlib import Path

PAGE = Path(__file__).resolve().parents[2] / "docs/tabular_benchmark.md"


def test_the_snippets_run(capsys):
    names: dict = {}
    for snippet in re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), flags=re.DOTALL):
        exec(compile(snippet, str(PAGE), "exec"), names)
    assert list(names["frame"]["trainings"]) == [20] * 5
    assert "regret" in capsys.readouterr().out
