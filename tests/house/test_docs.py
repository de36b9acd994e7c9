"""The documentation: what it names exists, what is made from code is complete, and it needs no internet."""

import importlib.util
import re
import shlex
import subprocess
import sys
from dataclasses import fields
from pathlib import Path
from typing import Literal

import pytest

import run
from bmnas.config import EvalConfig, SearchConfig
from bmnas.registry import TASKS
from tests.browser.test_browser import CHROMIUM, FLAGS
from tests.house.test_house import NOTEBOOKS, parameters
from tests.house.test_layers import ROOMS
from tools import docs_hooks, runner
from tools.parameter_tables import NOTEBOOKS as NOTEBOOK_FOLDER
from tools.parameter_tables import Row, notebook_tables, parameter_rows, setting_rows, table, type_words
from tools.result_tables import results_table

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
MADE_PAGES = docs_hooks.OUTSIDE.values()  # pages of the site that are no files in docs/
MOST_WORDS = 1200  # of the README
OTHERS = ("source", "cd", "conda", "ffmpeg")  # commands that are not ours


def page(name):
    return (ROOT / name).read_text(encoding="utf-8")


# what the pages name


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_page_names_only_files_that_exist(path):
    text = path.read_text(encoding="utf-8")
    inside = set(re.findall(r"`((?:bmnas|widgets|tests|tools|notebooks|benchmarks|docs)/[\w./-]+)`", text))
    missing = {name for name in inside if not ((ROOT / name).exists() or (ROOT / f"{name}.py").exists())}
    linked = {name for name in re.findall(r"\]\((?!http|#)([^)#]+)", text) if Path(name).name not in MADE_PAGES}
    assert missing | {name for name in linked if not (path.parent / name).exists()} == set()


def printed_commands():
    """(page, command) of every line of a code block, and of every inline code, that starts a program."""
    for path in PAGES:
        text = path.read_text(encoding="utf-8")
        blocks = re.findall(r"```bash\n(.*?)```", text, flags=re.DOTALL)
        lines = [line for block in blocks for line in block.splitlines()]
        lines += re.findall(r"^    ((?:\w+=\S+ )?(?:python3?|papermill) .*)$", text, flags=re.MULTILINE)
        lines += re.findall(r"`((?:\w+=\S+ )?(?:python3|papermill|\.venv/bin/\w+) [^`]+)`", text)
        for line in lines:
            words = shlex.split(line, comments=True)
            commands = " ".join(map(shlex.quote, words)).split("'&&'") if words else []
            yield from ((path.name, command.strip()) for command in commands)


@pytest.mark.parametrize(("page_name", "command"), sorted(set(printed_commands())))
def test_a_printed_command_exists(page_name, command):
    program, *words = [word for word in shlex.split(command) if not re.match(r"[A-Z_]+=", word)]
    if program.endswith(("python", "python3")):
        check_python(words)
    elif program == "papermill":
        notebook, _, *rest = words
        check_notebooks([Path(notebook).stem, *rest])
    else:
        assert program in OTHERS or program == ".ci/run"


def check_python(words):
    if words[0] == "-m":
        assert importlib.util.find_spec(words[1])
    elif words[0] != "run.py":
        assert (ROOT / words[0]).is_file()
    elif len(words) == 1 or words[1].startswith("-"):
        check_notebooks(words[1:])
    else:
        assert words[1] in run.COMMANDS
        if run.COMMANDS[words[1]] == "tools/runner.py":
            check_notebooks(words[2:])
        elif words[1] not in ("test", "lab"):  # these hand their arguments on
            source = page(run.COMMANDS[words[1]]) if run.COMMANDS[words[1]] else ""
            source += page("tools/workers.py") if "add_workers" in source else ""
            assert [word for word in words[2:] if word.startswith("--") and f'"{word}"' not in source] == []


def check_notebooks(words):
    """Parameters, notebooks and data sets as the runner checks them; papermill's -y is parsed by papermill."""
    given = words[: words.index("-y")] if "-y" in words else words
    options = runner.arguments(given)
    values = {name: runner.parse(value) for name, value in options.p}
    if options.dataset:
        values["dataset"] = options.dataset
    if values.get("name") == "value":  # the pattern itself
        return
    runner.assign(runner.choose(options.notebooks), values)
    runner.check_dataset(values)


def test_the_readme_is_short():
    assert len(page("README.md").split()) <= MOST_WORDS


def test_the_index_covers_the_paper():
    index = page("docs/method.md").partition("| paper | file |")[2]
    for item in ("Section 3.1", "Section 3.4", "Algorithm 1", "Tables 6, 7", "Table 8", "Figs. 9-11"):
        assert item in index
    numbers = set()
    for first, last in re.findall(r"Eqs?\. (\d+)(?:(?:-|, )(\d+))?", index):
        numbers |= set(range(int(first), int(last or first) + 1))
    assert numbers == set(range(1, 12))


def test_every_room_has_its_place_in_the_architecture():
    text = page("docs/architecture.md")
    rooms = {room for floors in ROOMS.values() for rooms in floors for room in rooms} - {"__init__"}
    assert {room for room in rooms if not re.search(rf"`(?:\w+/)?{room}(?:/|\.py)?`", text)} == set()


@pytest.mark.parametrize("name", TASKS)
def test_every_data_set_has_a_page_with_its_facts(name):
    assert f"<!-- made: task {name} -->" in page(f"docs/tasks/{name}.md")
    assert f"tasks/{name}.md" in page("mkdocs.yml")


# what is made from code


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_every_parameter_of_a_notebook_is_explained(name):
    rows = list(parameter_rows(NOTEBOOK_FOLDER / f"{name}.ipynb"))
    assert [row.name for row in rows] == list(parameters(name))
    assert [row for row in rows if not (row.type and row.meaning)] == []
    assert all(f"`{row.name}`" in notebook_tables() for row in rows)


@pytest.mark.parametrize("settings", [SearchConfig, EvalConfig])
def test_every_setting_is_explained(settings):
    rows = list(setting_rows(settings))
    assert {row.name: row.default for row in rows} == {f.name: repr(f.default) for f in fields(settings)}
    assert [row.name for row in rows if not row.meaning] == []
    assert table(iter(rows)).count("\n") == len(rows) + 1


def test_a_group_of_settings_and_a_bar_in_a_type_keep_the_table_whole():
    rows = [*setting_rows(SearchConfig), Row("name", "int | None", "3", "one | two")]
    for line in table(iter(rows)).splitlines():
        assert len(re.findall(r"(?<!\\)\|", line)) == 5


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        (int | float, "number"),
        (int, "whole number"),
        (float | None, "number or None"),
        (Literal["a", "b"] | None, "'a', 'b' or None"),
        (tuple[str, ...], "list of text"),
    ],
)
def test_types_are_named_as_a_reader_expects(kind, words):
    assert type_words(kind) == words
    for settings in (SearchConfig, EvalConfig):
        assert not any(word in row.type for row in setting_rows(settings) for word in ("Union", "[", "int", "Optional"))


def test_every_results_file_has_a_table():
    names = {path.stem for path in (ROOT / "benchmarks/results").glob("*.json")}
    pages = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "docs").rglob("*.md"))
    for name in names:
        assert f"<!-- made: results {name} -->" in pages, name
        lines = [line for line in results_table(name).splitlines() if line.startswith("|")]
        assert len(lines) > 2 and len({len(re.findall(r"(?<!\\)\|", line)) for line in lines}) == 1


def test_formulas_become_mathml():
    page_html = '<p><span class="arithmatex">\\(a_1 &lt; b\\)</span> <div class="arithmatex">\\[\\sqrt{C}\\]</div></p>'
    content = docs_hooks.on_page_content(page_html)
    assert content.count("<math") == 2 and "arithmatex" not in content
    assert "<msqrt>" in content and "<msub>" in content and 'display="block"' in content


def test_an_api_page_lists_the_names_of_a_table_of_contents_in_order():
    source = (
        '"""Doc."""\n\nfrom a import b as _b\n\n# 3.1 first things\nfrom x.y import f, g\n\n# others\nfrom z import h\n'
    )
    assert list(docs_hooks.api_entries(source)) == [
        "## 3.1 first things",
        "::: x.y.f",
        "::: x.y.g",
        "## Others",
        "::: z.h",
    ]


# the pages


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("docs") / "site"
    command = [sys.executable, str(ROOT / "tools/docs_site.py"), "--quiet", "--site-dir", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


@pytest.mark.slow
def test_the_pages_load_nothing_from_the_internet(site):
    pages = {path: path.read_text(encoding="utf-8") for path in site.rglob("*.html")}
    assert len(pages) > 15
    loading = re.compile(r"<(?:script|img|iframe|link)\b[^>]*\b(?:src|href)=\"?(?:https?:)?//[^\s>]+")
    assert {path.name: found for path, text in pages.items() if (found := loading.findall(text))} == {}
    assert [path.name for path, text in pages.items() if 'class="arithmatex"' in text or "<!-- made" in text] == []
    assert "load_reference_state" in pages[site / "api/bmnas.html"]


@pytest.mark.slow
@pytest.mark.browser
@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium or Chrome here")
def test_the_search_works_from_the_disk(site):
    sync_playwright = pytest.importorskip("playwright.sync_api").sync_playwright
    requests, errors = [], []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        window = browser.new_page(viewport={"width": 1280, "height": 900})
        window.on("request", lambda request: requests.append(request.url))
        window.on("pageerror", lambda error: errors.append(str(error)))
        window.goto((site / "index.html").as_uri())
        window.locator(".md-search__input").click()
        window.get_by_text("Type to start searching").wait_for(timeout=60_000)  # the index is loaded
        window.locator(".md-search__input").press_sequentially("warm restarts")
        window.locator(".md-search-result__link").first.wait_for(timeout=30_000)
        browser.close()
    assert errors == []
    assert [url for url in requests if not url.startswith(("file:", "about:", "data:"))] == []
