"""Posters as VGG-19 takes them: 160 x 256 pixels of blue, green and red, less ImageNet's mean colour.

The data set's own scripts make them so (make_dataset.py and vgg.py of github.com/johnarevalo/gmu-mmimdb): scaled and
cropped in the middle, the mean subtracted, then stored as int32, which cuts the fractions off. The authors' release
copies these numbers into .npy files and gives them to the network unchanged. All forms give the same numbers here.
"""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from bmnas.errors import DataError
from bmnas.storage.reading import regular
from bmnas.tasks.file_readers.jpeg import check_depth
from bmnas.tasks.file_readers.text import fail

SHAPE = (3, 256, 160)  # channels, height, width
MEAN = np.array([103.939, 116.779, 123.68], np.float32)  # blue, green, red
FLAT = 10.0  # a picture less the mean colour is wider, and one that is divided by 255 or by deviations narrower
SIGNED, PIXELS = (-124, 152), (0, 255)  # lowest and highest number, with and without the mean subtracted


def less_mean(pixels: np.ndarray) -> np.ndarray:
    """Subtracts the mean colour and cuts the fractions off, as the data set's int32 does.

    Args:
        pixels: uint8 (3, H, W), red, green, blue.

    Returns:
        float32 (3, H, W), blue, green, red.
    """
    return np.trunc(pixels[::-1].astype(np.float32) - MEAN[:, None, None])


def read_poster(path: Path) -> np.ndarray:
    """Reads a picture as float32 (3, 256, 160), see `less_mean`; scaled and cropped as in the HDF5 file.

    A large picture is first halved, as often as both sides stay above twice the wanted ones, by taking every second
    pixel. Then the largest part of the wanted shape is cut out of the middle, and scaled by Lanczos' filter.

    Raises:
        DataError: the picture is missing or damaged.
    """
    height, width = SHAPE[1:]
    try:
        with Image.open(regular(path)) as picture:
            check_depth(picture.mode)
            factor = 1
            while picture.width / factor > 2 * width and picture.height * 2 / factor > 2 * height:
                factor *= 2
            if factor > 1:
                picture.thumbnail((picture.width / factor, picture.height / factor), Image.Resampling.NEAREST)
            scale = min(picture.width / width, picture.height / height)
            left, right = (int(picture.width / 2 + sign * width * scale / 2) for sign in (-1, 1))
            top, bottom = (int(picture.height / 2 + sign * height * scale / 2) for sign in (-1, 1))
            part = picture.crop((left, top, right, bottom)).resize((width, height), Image.Resampling.LANCZOS)
            return less_mean(np.array(part.convert("RGB")).transpose(2, 0, 1))
    except FileNotFoundError as error:
        raise DataError(f"{path} is missing") from error
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise DataError(f"{path}: cannot be decoded as a picture: {error}") from error


def mean_is_subtracted(images: Iterable[np.ndarray]) -> bool:
    """Tells what the stored numbers are, from the first image that shows it.

    A negative number is no pixel; one above 152 is none less the mean. Where no image shows it, they are as published.
    """
    for image in images:
        if image.min() < PIXELS[0]:
            return True
        if image.max() > SIGNED[1]:
            return False
    return True


def network_input(path: Path, field: str, image: np.ndarray, subtracted: bool) -> np.ndarray:
    """Returns a stored image as the network takes it, float32 (3, 256, 160), see `less_mean`.

    Args:
        path, field: where it is from, for errors.
        image: (3, 256, 160), blue, green, red less the mean, or pixels of red, green, blue.
        subtracted: which of them, see `mean_is_subtracted`.

    Raises:
        DataError: numbers outside the range, on another scale, or pixels with fractions.
    """
    lowest, highest = SIGNED if subtracted else PIXELS
    if not (image.min() >= lowest and image.max() <= highest):
        what = "blue, green and red less their mean" if subtracted else "pixels"
        fail(
            path, None, field, f"{image.min()} to {image.max()}", f"{what}, {lowest} to {highest}, as its other images"
        )
    if subtracted:
        if image.max() - image.min() < FLAT and (image != np.trunc(image)).any():
            what = f"{image.min():.3g} to {image.max():.3g}, with fractions"
            fail(path, None, field, what, "colours on the scale of 0 to 255; these are scaled")
        return np.trunc(image.astype(np.float32))
    pixels = image.astype(np.uint8)
    if (pixels != image).any():
        fail(path, None, field, f"{image.min()} to {image.max()}, with fractions", "whole pixels of 0 to 255")
    return less_mean(pixels)
