"""How raw files are damaged: a line, a field, an array, a part of an HDF5 file is another."""

from pathlib import Path

import h5py
import numpy as np


def line(number: int, *texts: str):
    """Line `number`, from 1, is one of these texts."""
    for text in texts:

        def damage(path: Path, text: str = text) -> None:
            lines = path.read_text().splitlines()
            lines[number - 1] = text
            path.write_text("\n".join(lines) + "\n")

        yield f"line {number} is {text[:40]!r}", damage


def column(number: int, field: int, *texts: str):
    """A field of line `number` is one of these texts; line and field count from 1."""
    for text in texts:

        def damage(path: Path, text: str = text) -> None:
            lines = path.read_text().splitlines()
            parts = lines[number - 1].split(" ")
            parts[field - 1] = text
            lines[number - 1] = " ".join(parts)
            path.write_text("\n".join(lines) + "\n")

        yield f"line {number}, field {field} is {text[:30]!r}", damage


def array(name: str, change):
    """A .npy file holds another array."""

    def damage(path: Path) -> None:
        np.save(path, change(np.load(path)))

    yield f"holds {name}", damage


def hdf5(name: str, change):
    """Something in the HDF5 file is another."""

    def damage(path: Path) -> None:
        with h5py.File(path, "r+") as file:
            change(file)

    yield f"has {name}", damage


def other(name: str, values):
    """A data set of the HDF5 file is replaced; None only removes it."""

    def change(file: h5py.File) -> None:
        attrs = dict(file[name].attrs)
        before = file[name][()]
        del file[name]
        if values is not None:
            file.create_dataset(name, data=values(before)).attrs.update(attrs)

    return change


def removed():
    yield "is absent", lambda path: path.unlink()


def swapped(text: bytes, by: bytes):
    """Some bytes are others."""

    def damage(path: Path) -> None:
        data = path.read_bytes()
        assert text in data
        path.write_bytes(data.replace(text, by, 1))

    yield f"has {by[:30]!r} for {text[:30]!r}", damage
