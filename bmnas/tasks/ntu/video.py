"""Some frames of a video file, evenly spread, decoded with PyAV."""

from pathlib import Path

import numpy as np

from bmnas.errors import DataError
from bmnas.storage.reading import regular


def frame_numbers(frames: int, count: int, through: int | None = None, reference: bool = False) -> np.ndarray:
    """Spreads `count` frame numbers from the first frame to the last, int64; few frames are repeated.

    The release's `load_video` spreads its numbers to `frames` itself, a frame that never exists, so that its last slot
    stays black; here the last number is `frames` - 1. `reference` gives the release's numbers.

    Args:
        frames: how many there are.
        count: how many to take.
        through: take so many first, evenly, and `count` of these, evenly: the release takes 24, then 8 of them.
        reference: count to `frames`, as the release does.
    """
    first = np.linspace(0, frames if reference else frames - 1, through or count).astype(np.int64)
    return first[np.linspace(0, len(first) - 1, count).astype(np.int64)]


def read_video(
    path: Path, count: int, size: tuple[int, int], through: int | None = None, reference: bool = False
) -> np.ndarray:
    """Reads a video as uint8 (count, height, width, 3), RGB.

    Args:
        path: any file that FFmpeg reads; the first video stream counts.
        count, through, reference: which frames, see `frame_numbers`; a frame that does not exist is black.
        size: (height, width); frames of another size are scaled.

    Raises:
        DataError: missing, no video, cut short, or damaged: a decoder paints over what it cannot decode, and a cut AVI
            is but a shorter video, whose evenly spread frames would be others.
    """
    _check_length(path)
    frames = _decode(path, size)
    numbers = frame_numbers(len(frames), count, through, reference)
    black = np.zeros((*size, 3), np.uint8)
    return np.stack([frames[k] if k < len(frames) else black for k in numbers])  # (count, H, W, 3)


def _check_length(path: Path) -> None:
    """Checks an AVI (RIFF), which says in its bytes 4 to 7 how many bytes follow; more may, fewer may not."""
    try:
        with regular(path).open("rb") as file:
            kind = file.read(4)
            follow = int.from_bytes(file.read(4), "little")
            there = path.stat().st_size - 8
    except FileNotFoundError as error:
        raise DataError(f"{path} is missing") from error
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error}") from error
    if kind == b"RIFF" and there < follow < 2**32 - 1:  # the largest: written as a stream, whose length nobody knew
        raise DataError(f"{path}: cut short: {there:,} bytes follow its header; expected {follow:,}, as it says")


def _decode(path: Path, size: tuple[int, int]) -> list[np.ndarray]:
    """Decodes all frames: AVI's own count and its seeking are not to be trusted."""
    import av  # here: FFmpeg takes a quarter of a second, and only videos need it
    from av.error import FFmpegError

    try:
        with av.open(str(path)) as container:
            if not container.streams.video:
                raise DataError(f"{path}: no video stream; expected one")
            stream = container.streams.video[0]
            if stream.codec_context is None:  # decoding such a stream ends the whole process
                raise DataError(f"{path}: the video stream has no codec; the file is cut short")
            stream.codec_context.thread_count = 1  # the workers are the threads
            height, width = size
            frames = []
            for frame in container.decode(stream):
                if frame.is_corrupt:
                    raise DataError(f"{path}: frame {len(frames) + 1} is damaged; expected one that decodes completely")
                frames.append(frame.reformat(width=width, height=height, format="rgb24").to_ndarray())
    except (FFmpegError, OSError, ValueError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"{path}: cannot be decoded as a video: {error}") from error
    if not frames:
        raise DataError(f"{path}: no frame could be decoded; expected at least one")
    return frames
