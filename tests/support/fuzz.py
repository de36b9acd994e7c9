"""Bad inputs for every reader: a name, and how to damage a good file. Nothing is random, so failures repeat."""

import copy
import json
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

Damage = Callable[[Path], None]

WRONG: tuple[Any, ...] = (None, -1, 1.5, "\0", [], {}, [[]], True)
BYTES = {
    "empty": b"",
    "nothing but zeros": bytes(64),
    "no text": b"\xff\xfe\x00\x80",
    "half an object": b'{"schema": 1, ',
    "a list": b"[]\n",
    "a number": b"7\n",
    "null": b"null\n",
    "deep": b"[" * 100_000 + b"\n",
    "deep object": b'{"a":' * 100_000 + b"\n",
    "a long number": b'{"schema": ' + b"9" * 5000 + b"}\n",
    "a pickle": b"\x80\x04\x95\x0b\x00\x00\x00\x00\x00\x00\x00\x8c\x02os\x94\x8c\x06system\x94\x93\x94.",
}


def contents(names: tuple[str, ...] = tuple(BYTES)) -> Iterator[tuple[str, Damage]]:
    """The whole file is something else."""
    for name in names:
        yield f"is {name}", lambda path, name=name: _write(path, BYTES[name])


def truncations(parts: tuple[float, ...]) -> Iterator[tuple[str, Damage]]:
    """The file ends early."""
    for part in parts:

        def cut(path: Path, part: float = part) -> None:
            data = path.read_bytes()
            _write(path, data[: int(len(data) * part)])

        yield f"cut at {part}", cut


def flips(count: int, lowest: float = 0.0, highest: float = 1.0) -> Iterator[tuple[str, Damage]]:
    """One byte is another, somewhere between two shares of the file."""
    for seed in range(count):

        def flip(path: Path, seed: int = seed) -> None:
            chance, data = random.Random(seed), bytearray(path.read_bytes())
            data[int(len(data) * chance.uniform(lowest, highest))] ^= 1 + chance.randrange(255)
            _write(path, bytes(data))

        yield f"byte {seed} flipped", flip


def fields(paths: list[str], wrong: tuple[Any, ...] = WRONG, line: int | None = None) -> Iterator[tuple[str, Damage]]:
    """A field of JSON (`a.0.b`) is missing, or is something that it never may be."""
    for path in paths:
        yield f"{path} missing", _edit(path, line, remove=True)
        for value in wrong:
            yield f"{path} is {value!r}", _edit(path, line, value=value)


def only(path: str, *values: Any, line: int | None = None) -> Iterator[tuple[str, Damage]]:
    """A field is one of these."""
    for value in values:
        yield f"{path} is {value!r}", _edit(path, line, value=value)


def _edit(where: str, line: int | None, value: Any = None, remove: bool = False) -> Damage:
    def damage(path: Path) -> None:
        text = path.read_text(encoding="utf-8")
        lines = text.splitlines() if line is not None else [text]
        data = json.loads(lines[line or 0])
        *way, last = [int(part) if part.isdigit() else part for part in where.split(".")]
        place = data
        for part in way:
            place = place[part]
        if remove:
            del place[last]
        else:
            place[last] = copy.deepcopy(value)
        lines[line or 0] = json.dumps(data)
        _write(path, ("\n".join(lines) + "\n").encode())

    return damage


def _write(path: Path, data: bytes) -> None:
    path.unlink()  # it may be a link to the good one
    path.write_bytes(data)
