"""First layers of networks for sound, as parts of them: spectra, LFCC, log-mel, sinc filters.

They are convolutions and products with fixed matrices, so that an exported file stands alone.

Sources: M. Sahidullah, T. Kinnunen, C. Hanilçi, "A Comparison of Features for Synthetic Speech
Detection", Interspeech 2015 (LFCC); M. Ravanelli, Y. Bengio, "Speaker Recognition from Raw Waveform
with SincNet", SLT 2018.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from bonafide.signals.speech import BANDS, HOP, RATE, WINDOW, mel_filters

_LEAST = 1e-8  # power below which there is silence


class Power(nn.Module):
    """Power spectra of windows of sound.

    Args:
        length: of the Fourier transform, samples.
        window: of the Hann window in its middle, samples.
        hop: from window to window, samples.
    """

    basis: Tensor

    def __init__(self, length: int, window: int, hop: int) -> None:
        super().__init__()
        self.length, self.hop = length, hop
        shape = torch.zeros(length)
        begin = (length - window) // 2
        shape[begin : begin + window] = torch.hann_window(window)
        angles = 2 * math.pi * torch.arange(length // 2 + 1)[:, None] * torch.arange(length)
        angles = torch.remainder(angles, 2 * math.pi * length) / length
        basis = torch.cat([angles.cos(), angles.sin()]) * shape
        self.register_buffer("basis", basis[:, None], persistent=False)

    def forward(self, sound: Tensor) -> Tensor:
        """(N, samples) → (N, length / 2 + 1, 1 + samples // hop)."""
        side = self.length // 2
        padded = functional.pad(sound[:, None], (side, side), "reflect")
        found = functional.conv1d(padded, self.basis, stride=self.hop)
        cosine, sine = found.chunk(2, 1)
        return cosine**2 + sine**2


class LogMel(nn.Module):
    """Logarithms of mel bands, 100 per second, of about unit size."""

    filters: Tensor

    def __init__(self, bands: int = BANDS) -> None:
        super().__init__()
        self.power = Power(WINDOW, WINDOW, HOP)
        filters = torch.from_numpy(mel_filters(bands).copy())
        self.register_buffer("filters", filters, persistent=False)

    def forward(self, sound: Tensor) -> Tensor:
        """(N, samples) at 16 kHz → (N, bands, 1 + samples // 160)."""
        found: Tensor = ((self.filters @ self.power(sound)).clamp_min(_LEAST).log() + 6) / 6
        return found


def linear_filters(bands: int, length: int) -> Tensor:
    """Triangles, equally spaced from 0 Hz to half of the sample rate: (bands, length / 2 + 1)."""
    edges = torch.linspace(0, length / 2, bands + 2)
    bins = torch.arange(length // 2 + 1)
    rising = (bins - edges[:-2, None]) / (edges[1:-1] - edges[:-2])[:, None]
    falling = (edges[2:, None] - bins) / (edges[2:] - edges[1:-1])[:, None]
    return torch.minimum(rising, falling).clamp_min(0)


class Lfcc(nn.Module):
    """Cepstra of linear bands, with their first and second differences along time.

    Windows of 20 ms, 100 per second.

    Args:
        bands: filters, and coefficients.
    """

    filters: Tensor
    turn: Tensor
    slope: Tensor

    def __init__(self, bands: int = 20) -> None:
        super().__init__()
        self.power = Power(512, 320, HOP)
        self.register_buffer("filters", linear_filters(bands, 512), persistent=False)
        places = (torch.arange(bands) + 0.5) * torch.arange(bands)[:, None]
        turn = torch.cos(math.pi * places / bands) * math.sqrt(2 / bands)
        turn[0] /= math.sqrt(2)  # the type-II cosine transform, orthonormal
        self.register_buffer("turn", turn, persistent=False)
        slope = torch.tensor([-2.0, -1, 0, 1, 2]) / 10  # regression over five windows
        self.register_buffer("slope", slope.view(1, 1, 5), persistent=False)

    def forward(self, sound: Tensor) -> Tensor:
        """(N, samples) at 16 kHz → (N, 3 × bands, 1 + samples // 160)."""
        cepstra = self.turn @ (self.filters @ self.power(sound)).clamp_min(_LEAST).log()
        first = self._difference(cepstra)
        return torch.cat([cepstra, first, self._difference(first)], 1)

    def _difference(self, rows: Tensor) -> Tensor:
        flat = rows.reshape(-1, 1, rows.shape[2])
        padded = functional.pad(flat, (2, 2), "replicate")
        return functional.conv1d(padded, self.slope).reshape(rows.shape)


class Sinc(nn.Module):
    """Band-pass filters with fixed edges, equally spaced on the mel scale.

    Args:
        filters: how many.
        length: of each, samples; made odd.
    """

    kernels: Tensor

    def __init__(self, filters: int, length: int) -> None:
        super().__init__()
        length += 1 - length % 2
        mel = np.linspace(0, 2595 * np.log10(1 + RATE / 2 / 700), filters + 1)
        self.edges: tuple[float, ...] = tuple((700 * (10 ** (mel / 2595) - 1)).tolist())  # Hz
        times = torch.arange(length, dtype=torch.float64) - length // 2

        def low(hertz: float) -> Tensor:
            return 2 * hertz / RATE * torch.sinc(2 * hertz / RATE * times)

        window = torch.hamming_window(length, periodic=False, dtype=torch.float64)
        bands = [
            low(high) - low(below) for below, high in zip(self.edges, self.edges[1:], strict=False)
        ]
        kernels = torch.stack(bands) * window
        self.register_buffer("kernels", kernels.float()[:, None], persistent=False)

    def forward(self, sound: Tensor) -> Tensor:
        """(N, samples) → (N, filters, samples - length + 1)."""
        return functional.conv1d(sound[:, None], self.kernels)
