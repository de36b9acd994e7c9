"""Pictures (JPEG) as arrays."""

from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from bmnas.errors import DataError
from bmnas.storage.reading import regular
from bmnas.tasks.file_readers.folders import same_stem

MODES = {1: "L", 3: "RGB"}
MOST_PIXELS = 100_000_000  # of a scaled picture; a line of a picture would become more


def read_picture(
    path: Path, channels: int = 3, size: tuple[int, int] | None = None, short_side: int | None = None
) -> np.ndarray:
    """Reads a picture as uint8 (height, width, channels).

    Args:
        path: of the picture.
        channels: 3 for red, green, blue; 1 for grey.
        size: (height, width) to scale to.
        short_side: scale so that the shorter side has this length.

    Raises:
        DataError: missing, not a picture, or damaged.
    """
    try:
        with Image.open(regular(path)) as picture:
            check_depth(picture.mode)
            picture = picture.convert(MODES[channels])
            if short_side is not None:
                scale = short_side / min(picture.size)
                size = (max(short_side, round(picture.height * scale)), max(short_side, round(picture.width * scale)))
            if size is not None and size[0] * size[1] > MOST_PIXELS:
                raise ValueError(f"{picture.width} x {picture.height} pixels would become {size[1]} x {size[0]}")
            if size is not None and picture.size != (size[1], size[0]):
                picture = picture.resize((size[1], size[0]), Image.Resampling.BILINEAR)
            array = np.array(picture)
    except FileNotFoundError as error:
        raise DataError(f"{path} is missing{same_stem(path)}") from error
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise DataError(f"{path}: cannot be decoded as a picture: {error}") from error
    return array.reshape(*array.shape[:2], channels)  # (H, W, channels)


def check_depth(mode: str) -> None:
    """Makes sure that a picture has 8 bits a colour: Pillow cuts larger numbers off at 255.

    Raises:
        ValueError: a mode of more.
    """
    if mode.startswith(("I", "F")):
        raise ValueError(f"it has more than 8 bits a pixel (mode {mode}); expected 8 bits a colour")
