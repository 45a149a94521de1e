"""LCNN: a small network in which pairs of channels compete, on linear-frequency cepstra.

What it is
    Cepstra of 20 linear bands and their differences along time are a picture of 60 rows. After
    every convolution the channels are paired, and of each pair the larger value goes on
    (max-feature-map): no threshold, half the channels. Two LSTM in both directions look along time.

What the paper does
    LFCC of 20 coefficients with first and second differences, windows of 20 ms every 10 ms; nine
    convolutions with max-feature-map; on top, in the version of the ASVspoof 2021 baseline, two
    bidirectional LSTM, whose output is added to what went in, a mean over time, a linear layer.

What differs here
    The papers were not at hand: widths of layers are recalled, not checked. Cross-entropy stands
    where the papers have margin softmax or their own loss on the cosine. Cepstra are brought to
    mean 0 and deviation 1 by batch norm.

Reference
    X. Wu, R. He, Z. Sun, T. Tan, "A Light CNN for Deep Face Representation with Noisy Labels", TIFS
    2018; G. Lavrentyeva et al., "STC Antispoofing Systems for the ASVspoof2019 Challenge",
    Interspeech 2019; X. Wang, J. Yamagishi, "A Comparative Study on Recent Neural Spoofing
    Countermeasures for Synthetic Speech Detection", Interspeech 2021.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from bonafide.errors import InvalidInput
from bonafide.train import sounds
from bonafide.train.recipe import Output
from bonafide.train.sound_front import Lfcc
from bonafide.train.sounds import SoundRecipe


class MaxFeatureMap(nn.Module):
    """The larger value of channel c and channel c + C: (N, 2C, …) → (N, C, …)."""

    def forward(self, features: Tensor) -> Tensor:
        """See above."""
        first, second = features.chunk(2, 1)
        return torch.maximum(first, second)


def _competing(channels: int, kept: int, size: int) -> list[nn.Module]:
    return [nn.Conv2d(channels, 2 * kept, size, padding=size // 2), MaxFeatureMap()]


class Network(nn.Module):
    """LFCC, convolutions whose channels compete, two LSTM, a linear head.

    Args:
        bands: of the cepstra.
        width: channels that are kept after the first convolution.
        dropout: before the LSTM.

    Raises:
        InvalidInput: `width` is no multiple of 4.
    """

    def __init__(self, bands: int, width: int, dropout: float) -> None:
        super().__init__()
        if width < 4 or width % 4:
            raise InvalidInput(f"width must be a multiple of 4, not {width}")
        wide, widest = width * 3 // 2, 2 * width
        self.front = Lfcc(bands)
        self.level = nn.BatchNorm1d(3 * bands)
        self.layers = nn.Sequential(
            *_competing(1, width, 5), nn.MaxPool2d(2),
            *_competing(width, width, 1), nn.BatchNorm2d(width),
            *_competing(width, wide, 3), nn.MaxPool2d(2), nn.BatchNorm2d(wide),
            *_competing(wide, wide, 1), nn.BatchNorm2d(wide),
            *_competing(wide, widest, 3), nn.MaxPool2d(2),
            *_competing(widest, widest, 1), nn.BatchNorm2d(widest),
            *_competing(widest, width, 3), nn.BatchNorm2d(width),
            *_competing(width, width, 1), nn.BatchNorm2d(width),
            *_competing(width, width, 3), nn.MaxPool2d(2),
            nn.Dropout(dropout),
        )  # fmt: skip
        self.size = width * (3 * bands // 16)
        if not self.size:
            raise InvalidInput(f"bands={bands} are too few: 6 at least")
        # Two directions of half the size give back as much as went in.
        self.along = nn.ModuleList(
            nn.LSTM(self.size, self.size // 2, batch_first=True, bidirectional=True)
            for _ in range(2)
        )
        self.head = nn.Linear(self.size, 1)

    def forward(self, sound: Tensor) -> Output:
        """float32 (N, samples) in [-1, 1] → `Output` without a map."""
        features = self.layers(self.level(self.front(sound))[:, None])
        steps = features.permute(0, 3, 1, 2).flatten(2)
        seen = steps
        for layer in self.along:
            seen, _ = layer(seen)
        return Output(self.head((steps + seen).mean(1)).squeeze(1))


@dataclass(frozen=True)
class Settings(sounds.Settings):
    """As recalled of the papers; see `bonafide.train.sounds.Settings` for the shared ones.

    Attributes:
        bands: of the cepstra.
        width: channels after the first convolution; a multiple of 4.
        dropout: before the LSTM.
    """

    batch: int = 64
    learning_rate: float = 3e-4
    bands: int = 20
    width: int = 32
    dropout: float = 0.7


class Method(SoundRecipe):
    """Cross-entropy on cepstra."""

    id = "lcnn"
    title = "Voices: competing channels on linear-frequency cepstra, LSTM along time"
    paper = "G. Lavrentyeva et al., STC Antispoofing Systems for ASVspoof2019, Interspeech 2019"
    Settings = Settings

    def network(self) -> Network:
        """A fresh network.

        Raises:
            InvalidInput: its width or bands do not fit.
        """
        return Network(self.settings.bands, self.settings.width, self.settings.dropout)
