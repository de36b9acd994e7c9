"""The names of NTU RGB+D: SsssCcccPpppRrrrAaaa, three digits each (Shahroudy et al. 2016)."""

import re
from dataclasses import dataclass
from functools import cached_property

from bmnas.errors import DataError

PATTERN = re.compile(r"S([0-9]{3})C([0-9]{3})P([0-9]{3})R([0-9]{3})A([0-9]{3})")
FIELDS = ("setup", "camera", "performer", "replication", "action")
NTU_60 = (17, 3, 40, 2, 60)
NTU_120 = (32, 3, 106, 2, 120)


@dataclass(frozen=True, order=True)
class NtuName:
    """What the name of a sample says; all numbers count from 1.

    Raises:
        DataError: a number is outside NTU RGB+D 120.
    """

    setup: int
    camera: int
    performer: int
    replication: int
    action: int

    def __post_init__(self) -> None:
        for field, most in zip(FIELDS, NTU_120, strict=True):
            if not 1 <= getattr(self, field) <= most:
                raise DataError(f"NTU name: {field} is {getattr(self, field)}; expected 1 to {most}")

    @classmethod
    def parse(cls, text: str) -> "NtuName":
        """Reads the name in a file's stem, such as S001C001P001R001A001 or S001C001P001R001A001_rgb.

        Raises:
            DataError: not such a name.
        """
        match = PATTERN.fullmatch(text.removesuffix("_rgb"))
        if not match:
            raise DataError(f"NTU name: {text!r}; expected SsssCcccPpppRrrrAaaa with three digits each")
        try:
            return cls(*map(int, match.groups()))
        except DataError as error:
            raise DataError(f"{error}, in {text!r}") from error

    def __str__(self) -> str:
        return f"S{self.setup:03d}C{self.camera:03d}P{self.performer:03d}R{self.replication:03d}A{self.action:03d}"

    @property
    def label(self) -> int:
        """The class, 0 for A001."""
        return self.action - 1

    @cached_property
    def in_ntu_60(self) -> bool:
        """Whether it belongs to the first 60 actions, which the paper uses, and not only to NTU RGB+D 120."""
        return all(getattr(self, field) <= most for field, most in zip(FIELDS, NTU_60, strict=True))
