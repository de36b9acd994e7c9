"""NTU's .skeleton files: text, one frame after another, and the array that a skeleton network takes.

    <frame count>
    per frame:   <body count>, 0 is legal
     per body:   bodyID and 9 more fields; <joint count>, always 25
      per joint: 12 fields

Lines end in CRLF or LF, fields are apart by one blank.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch.nn.functional import interpolate

from bmnas.tasks.file_readers.text import fail, integer, read_lines, real

JOINTS, PERSONS, FRAMES = 25, 2, 32
ORIGIN = 1  # the middle of the spine, counted from 0
BODY_FIELDS = (
    *("bodyID", "clippedEdges", "handLeftConfidence", "handLeftState", "handRightConfidence", "handRightState"),
    *("isRestricted", "leanX", "leanY", "trackingState"),
)
JOINT_FIELDS = (
    *("x", "y", "z", "depthX", "depthY", "colorX", "colorY"),
    *("orientationW", "orientationX", "orientationY", "orientationZ", "trackingState"),
)
REAL_BODY_FIELDS = ("leanX", "leanY")
LARGEST_ID = 2**63 - 1
STATES = ("0", "1", "2")  # not tracked, inferred, tracked


@dataclass(frozen=True, eq=False)
class Body:
    """One body in one frame.

    Attributes:
        id: bodyID, 17 digits: more than a float holds exactly, so it stays a whole number.
        flags: the six fields behind bodyID, clippedEdges to isRestricted.
        lean: leanX and leanY.
        state: trackingState.
        joints: float64 (25, 12), columns as in JOINT_FIELDS; metres, pixels, quaternions, states. May hold NaN.
    """

    id: int
    flags: tuple[int, ...]
    lean: tuple[float, float]
    state: int
    joints: np.ndarray


def read_skeleton(path: Path) -> list[list[Body]]:
    """Reads the bodies of every frame, in the order of the file; every field is checked.

    Raises:
        DataError: names file, line and field.
    """
    reader = _Reader(path)
    count = reader.count("frame count", least=1)
    frames = [[reader.body() for _ in range(reader.count("body count"))] for _ in range(count)]
    if reader.next < len(reader.lines):
        line = reader.lines[reader.next]
        fail(path, reader.next + 1, "text behind the last frame", line, f"nothing after {count} frames")
    return frames


def skeleton_array(frames: list[list[Body]], length: int = FRAMES) -> np.ndarray:
    """Makes float32 (3, length, 25, 2): x, y, z of two persons, `length` frames, relative to the middle of the first
    spine.

    Missing bodies and NaN are zeros; then the frames are interpolated linearly to `length` (torch's bilinear, corners
    not aligned), and joint 1 of person 0 is subtracted from all joints of both. Of more than two bodies the first two
    in file order count, as in MFAS and BM-NAS; mmaction2 reads four and keeps the two that spread most in space, and
    CTR-GCN groups bodies by bodyID, which may appear and vanish.
    """
    array = np.zeros((3, len(frames), JOINTS, PERSONS), np.float32)  # (3, T, 25, 2)
    for t, bodies in enumerate(frames):
        for person, body in enumerate(bodies[:PERSONS]):
            array[:, t, :, person] = np.nan_to_num(body.joints[:, :3], nan=0.0).T
    x = torch.from_numpy(array).permute(3, 0, 1, 2)  # (2, 3, T, 25)
    x = interpolate(x, size=(length, JOINTS), mode="bilinear", align_corners=False)  # (2, 3, length, 25)
    array = x.permute(1, 2, 3, 0).numpy()  # (3, length, 25, 2)
    return np.ascontiguousarray(array - array[:, :, ORIGIN : ORIGIN + 1, :1])


class _Reader:
    """The lines of one file, and how far it is read."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.lines = read_lines(path)
        self.next = 0

    def line(self, what: str) -> str:
        if self.next >= len(self.lines):
            fail(self.path, self.next + 1, what, "missing", "a line; the file is cut short")
        self.next += 1
        return self.lines[self.next - 1]

    def count(self, field: str, least: int = 0) -> int:
        text = self.line(field)
        return integer(self.path, self.next, field, text, least)

    def fields(self, what: str, names: tuple[str, ...]) -> list[str]:
        parts = self.line(what).split(" ")
        if len(parts) != len(names):
            fail(self.path, self.next, f"number of fields of a {what}", len(parts), f"{len(names)}: {' '.join(names)}")
        return parts

    def body(self) -> Body:
        texts = dict(zip(BODY_FIELDS, self.fields("body", BODY_FIELDS), strict=True))
        here = self.next
        numbers = {
            name: real(self.path, here, name, text)
            if name in REAL_BODY_FIELDS
            else integer(self.path, here, name, text, most=LARGEST_ID if name == "bodyID" else None)
            for name, text in texts.items()
        }
        joints = self.count("joint count")
        if joints != JOINTS:
            fail(self.path, self.next, "joint count", joints, str(JOINTS))
        values = list(numbers.values())
        return Body(
            int(values[0]),
            tuple(map(int, values[1:7])),
            (values[7], values[8]),
            int(values[9]),
            np.array([self.joint() for _ in range(JOINTS)]),
        )

    def joint(self) -> list[float]:
        parts = self.fields("joint", JOINT_FIELDS)
        if parts[-1] not in STATES:
            fail(self.path, self.next, "trackingState", parts[-1], "0, 1 or 2")
        return [real(self.path, self.next, name, text) for name, text in zip(JOINT_FIELDS, parts, strict=True)]
