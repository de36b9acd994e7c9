"""What the spoken-digit tasks share: noise of a given strength, and log-mel spectrograms."""

from math import log10

import numpy as np
import torch
from torch import Tensor

RATE = 8000  # samples a second, of FSDD's recordings and of the synthesised sounds
N_FFT = 256
FLOOR = 1e-6  # added to the power before the logarithm
BLOCK = 2000  # sounds transformed together


def add_noise(sounds: np.ndarray, snr_db: float, power: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Adds white Gaussian noise at a signal-to-noise ratio, in place.

    Args:
        sounds: float32 (n, time).
        snr_db: ratio in dB.
        power: (n,) mean power of each sound where it lasts, which is what the ratio refers to.
        rng: draws the noise.
    """
    level = np.sqrt(power / 10 ** (snr_db / 10)).astype(np.float32)
    for row, amplitude in zip(sounds, level, strict=True):
        row += amplitude * rng.standard_normal(len(row), dtype=np.float32)
    return sounds


def log_mel(sounds: np.ndarray, bands: int, frames: int, hop: int, lowest: float = 60.0) -> np.ndarray:
    """Computes log(mel power + 1e-6) of a Hann-windowed STFT; each spectrogram has mean 0 and standard deviation 1.

    Args:
        sounds: float32 (n, time) at 8 kHz.
        bands: mel bands between `lowest` and 4,000 Hz.
        frames: how many frames are kept, `hop` samples apart, the first centred at 0.

    Returns:
        float32 (n, 1, bands, frames).
    """
    window = torch.hann_window(N_FFT)
    weights = mel_weights(bands, lowest, RATE / 2)
    blocks = []
    for block in torch.from_numpy(sounds).split(BLOCK):
        power = torch.stft(block, N_FFT, hop, window=window, return_complex=True).abs().square()  # (B, bins, time)
        mel = (weights @ power[:, :, :frames] + FLOOR).log()  # (B, bands, frames)
        mean, std = mel.mean((1, 2), keepdim=True), mel.std((1, 2), keepdim=True)
        blocks.append((mel - mean) / std.clamp_min(1e-6))
    return torch.cat(blocks).unsqueeze(1).numpy()  # (n, 1, bands, frames)


def mel_weights(bands: int, lowest: float, highest: float) -> Tensor:
    """Makes triangular filters, evenly spaced in mel = 2595 log10(1 + Hz / 700): (bands, N_FFT / 2 + 1)."""

    def mel(hertz: float) -> float:
        return 2595 * log10(1 + hertz / 700)

    edges = 700 * (10 ** (torch.linspace(mel(lowest), mel(highest), bands + 2) / 2595) - 1)  # (bands + 2,) in Hz
    bins = torch.linspace(0, RATE / 2, N_FFT // 2 + 1)
    rising = (bins - edges[:-2, None]) / (edges[1:-1] - edges[:-2])[:, None]
    falling = (edges[2:, None] - bins) / (edges[2:] - edges[1:-1])[:, None]
    return torch.minimum(rising, falling).clamp_min(0)  # (bands, bins)
