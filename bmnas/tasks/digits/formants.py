"""Synthetic sounds in the manner of spoken digits: voiced formants and hiss, nobody's voice.

Each English digit is a short list of speech sounds. A vowel is a sum of harmonics of the pitch, louder near the first
two formants; a fricative is high-passed noise. Pitch, vocal tract, tempo and loudness differ from sample to sample.
Vowel formants are the averages for men of Peterson and Barney (1952); consonants are rough.
"""

import numpy as np
import torch
from torch import Tensor

from bmnas.tasks.sound import RATE

SECONDS = 0.4
FRAME = 40  # audio samples for which formants stand still
HARMONICS = 24
BLOCK = 256  # sounds made together

# Formants 1 and 2 in Hz, loudness of the voice and of the hiss.
SOUNDS = {
    "iy": (270, 2290, 1.0, 0.0),
    "ih": (390, 1990, 1.0, 0.0),
    "eh": (530, 1840, 1.0, 0.0),
    "aa": (730, 1090, 1.0, 0.0),
    "ao": (570, 840, 1.0, 0.0),
    "uw": (300, 870, 1.0, 0.0),
    "ah": (640, 1190, 1.0, 0.0),
    "er": (490, 1350, 0.8, 0.0),
    "w": (300, 610, 0.7, 0.0),
    "n": (280, 1700, 0.4, 0.0),
    "v": (280, 1100, 0.4, 0.1),
    "z": (280, 1700, 0.3, 0.4),
    "s": (280, 1700, 0.0, 0.6),
    "f": (280, 1100, 0.0, 0.2),
    "t": (280, 1700, 0.0, 0.4),
    "-": (280, 1700, 0.0, 0.0),
}
DIGITS = (
    "z ih er ao",
    "w ah n",
    "t uw uw",
    "f er iy iy",
    "f ao ao er",
    "f aa iy v",
    "s ih - s",
    "s eh v ah n",
    "eh iy - t",
    "n aa iy n",
)


def spoken_digits(digits: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Makes a sound for each digit: float32 (n, 3200) at 8 kHz."""
    blocks = [_sounds(digits[start : start + BLOCK], rng) for start in range(0, len(digits), BLOCK)]
    return np.concatenate(blocks)


def _sounds(digits: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    n = len(digits)
    frames = int(SECONDS * RATE) // FRAME
    tracks = torch.from_numpy(np.stack([_track(DIGITS[digit], frames, rng) for digit in digits]))  # (n, 4, frames)
    pitch = torch.from_numpy(rng.uniform(95, 180, (n, 1)).astype(np.float32))  # Hz
    glide = torch.from_numpy(rng.uniform(-0.15, 0.15, (n, 1)).astype(np.float32))
    time = torch.arange(frames * FRAME) / RATE  # (time,)
    phase = 2 * torch.pi * pitch * (time + glide * time.square() / (2 * SECONDS))  # (n, time)
    voice = _voice(tracks, pitch, phase)
    noise = torch.from_numpy(rng.standard_normal((n, frames * FRAME + 1), dtype=np.float32))
    hiss = noise.diff(dim=1) * tracks[:, 3].repeat_interleave(FRAME, 1)  # (n, time)
    return (voice + 0.3 * hiss).numpy()


def _voice(tracks: Tensor, pitch: Tensor, phase: Tensor) -> Tensor:
    """Harmonics of the pitch, weighted by two resonances: (n, time)."""
    turn = torch.polar(torch.ones_like(phase), phase)
    spin = torch.ones_like(phase) + 0j
    voice = torch.zeros_like(phase)
    for harmonic in range(1, HARMONICS + 1):
        spin = spin * turn  # exp(i * harmonic * phase)
        hertz = harmonic * pitch  # (n, 1)
        loud = sum(
            weight / (1 + ((hertz - tracks[:, i]) / width).square())
            for i, (weight, width) in enumerate(((1.0, 90.0), (0.6, 130.0)))
        )  # (n, frames)
        voice += spin.imag * (loud * tracks[:, 2]).repeat_interleave(FRAME, 1)
    return voice


def _track(text: str, frames: int, rng: np.random.Generator) -> np.ndarray:
    """Returns formant 1, formant 2, voice and hiss of a digit, frame by frame: float32 (4, frames)."""
    sounds = np.array([SOUNDS[name] for name in text.split()], np.float32)  # (sounds, 4)
    sounds[:, :2] *= rng.normal(1, 0.12) * rng.normal(1, 0.06, sounds[:, :2].shape)  # vocal tract, carelessness
    lengths = rng.uniform(0.6, 1.4, len(sounds))
    active = rng.uniform(0.6, 0.95)  # of the clip
    ends = np.cumsum(lengths) / lengths.sum() * active
    start = rng.uniform(0, 1 - active)
    place = np.linspace(0, 1, frames) - start
    middles = ends - lengths / lengths.sum() * active / 2
    track = np.stack([np.interp(place, middles, sounds[:, i]) for i in range(4)])
    track[2:] *= (place > 0) & (place < active)
    return track.astype(np.float32)
