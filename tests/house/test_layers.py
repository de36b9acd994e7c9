"""The house: imports flow one way between rooms; no circles of modules, no long file, no crowded folder."""

import ast
from pathlib import Path

import networkx as nx
import pytest

ROOT = Path(__file__).resolve().parents[2]
ROOMS = {
    "bmnas": (
        ("errors",),
        ("machine", "registry"),
        ("storage",),
        ("space",),
        ("config",),
        ("training",),
        ("features",),
        ("searching", "tasks"),
        ("evaluation",),
        ("trust", "paper"),
        ("rivals",),
        ("scale",),
        ("__init__",),
    ),
    "widgets": (
        ("colours",),
        ("style",),
        ("sheets", "live"),
        ("static",),
        ("networks", "inputs", "notebook"),
        ("search", "results", "labs"),
        ("explorer", "builder", "runs"),
        ("app",),
        ("__init__",),
    ),
}
"""Package -> its floors, from the lowest; a room imports from its own room and from lower floors alone."""
MOST_ENTRIES, MOST_LINES = 16, 300


def floor(module: str) -> int:
    package, room = (module.split(".") + ["__init__"])[:2]
    return next(number for number, rooms in enumerate(ROOMS[package]) if room in rooms)


def module_name(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


FILES = {module_name(path): path for package in ROOMS for path in sorted((ROOT / package).rglob("*.py"))}


def imported_modules(module: str) -> set[str]:
    """The modules of the same package that a module imports, whether at its top or within a function."""
    package, modules = module.split(".")[0], set()
    for node in ast.walk(ast.parse(FILES[module].read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            modules |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = {f"{node.module}.{alias.name}" for alias in node.names}
            modules |= names & set(FILES) or {node.module}
    return {name for name in modules if name.split(".")[0] == package and name in FILES} - {module}


@pytest.mark.parametrize("module", FILES)
def test_imports_go_to_the_same_room_or_a_lower_floor(module):
    def room(name):
        return name.split(".")[1] if "." in name else "__init__"

    upward = [name for name in imported_modules(module) if room(name) != room(module) and floor(name) >= floor(module)]
    assert upward == []


@pytest.mark.parametrize("package", ROOMS)
def test_no_modules_import_each_other_in_a_circle(package):
    arrows = nx.DiGraph((a, b) for a in FILES if a.split(".")[0] == package for b in imported_modules(a))
    assert [part for part in nx.strongly_connected_components(arrows) if len(part) > 1] == []


@pytest.mark.parametrize("package", ROOMS)
def test_a_package_has_few_entries(package):
    entries = {path.relative_to(ROOT / package).parts[0] for name, path in FILES.items() if name.startswith(package)}
    assert len(entries) <= MOST_ENTRIES


def test_no_file_is_long():
    others = [ROOT / "run.py", *(ROOT / "tools").rglob("*.py"), *(ROOT / "benchmarks").rglob("*.py")]
    lengths = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in (*FILES.values(), *others)}
    assert {path: lines for path, lines in lengths.items() if lines > MOST_LINES} == {}
