"""The commands that make truth tables, for messages."""

import json
import re
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bmnas.tasks.base import Task

COMMAND = "python3 run.py truth"
SAMPLE = 200  # networks of a space that is too large to be trained whole


def truth_command(task: Task, identity: Mapping[str, Any]) -> str:
    """Writes the command that makes the table of an identity: its space, and the features with its options."""
    space = identity["space"]
    others = {
        name: value
        for name, value in identity["options"].items()
        if name in task.options and name not in ("L", "source") and value != task.options[name]
    }
    texts = {name: value if isinstance(value, str) else json.dumps(value) for name, value in others.items()}
    wishes = (f" --option {name} {shlex.quote(text)}" for name, text in texts.items())
    return f"{COMMAND} {task.name}{_size(space['N'], space['M'])}{''.join(wishes)}"


def command_of_file(path: Path) -> str:
    """Writes the command that made a table with the default options, by its name, as `mfeat-N1M1-cf861628.json`."""
    match = re.match(r"(\w+)-N(\d+)M(\d+)-", path.name)
    return f"{COMMAND} {match[1]}{_size(int(match[2]), int(match[3]))}" if match else COMMAND


def _size(N: int, M: int) -> str:
    sample = f" --sample {SAMPLE}" if N * M > 1 else ""
    return f" --N {N} --M {M}{sample}"
