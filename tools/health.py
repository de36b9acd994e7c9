"""Prints "well", or which packages of this environment are not those that constraints.txt pins; for run.py.

`python -I tools/health.py ROOT`; the standard library is all that it needs.
"""

import importlib.metadata
import importlib.util
import re
import sys
from pathlib import Path

INSTALLED = {"lab", "test"}  # extras


def pins(root: Path) -> dict[str, str]:
    """Reads distribution -> version from constraints.txt, without the extras that run.py does not install."""
    versions = {}
    installed = True
    for line in (root / "constraints.txt").read_text(encoding="utf-8").split("\n"):
        extras = re.findall(r"\[(\w+)\]", line) if line.startswith("#") else []
        if extras:  # the heading of what they pin
            installed = bool(INSTALLED & set(extras))
        pin = line.split("#")[0].strip()
        if pin and installed:
            name, version = pin.split("==")
            versions[name] = version
    return versions


def installed_version(name: str) -> str:
    """Returns a distribution's version without its build ("+cpu"), or "not installed"."""
    try:
        return importlib.metadata.version(name).split("+")[0]
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


def problems(root: Path) -> list[str]:
    """Lists what is not as it should be."""
    versions = {name: (installed_version(name), pin) for name, pin in pins(root).items()}
    wrong = [f"{name}: {installed}, not {pin}" for name, (installed, pin) in versions.items() if installed != pin]
    spec = importlib.util.find_spec("bmnas")
    if spec is None or not (spec.origin or "").startswith(str(root)):
        wrong.append("bmnas: not this checkout")
    return wrong


if __name__ == "__main__":
    print("; ".join(problems(Path(sys.argv[1]))) or "well")
