"""RawNet2: from samples of sound to a score, without a spectrum in between.

What it is
    Band-pass filters, residual blocks that each shorten time by three, and a gated recurrent
    network. After every block each channel is scaled and shifted by a number that the block's mean
    over time decides (filter-wise feature-map scaling).

What the paper does
    64,600 samples (4 s); 20 fixed sinc filters of 1,025 samples on the mel scale; two residual
    blocks of 20 and four of 128 channels, leaky ReLU, batch norm; scaling of each map; three layers
    of GRU with 1,024 units; a linear layer of 1,024 and the output. Adam at 1e-4 with decay 1e-4,
    batches of 32.

What differs here
    The paper was not at hand: sizes are those of the ASVspoof 2021 baseline as recalled. One output
    stands for two. Classes are drawn alike, so that none is weighted.

Reference
    J.-w. Jung, S.-b. Kim, H.-j. Shim, J.-h. Kim, H.-J. Yu, "Improved RawNet with Feature Map
    Scaling for Text-independent Speaker Verification using Raw Waveforms", Interspeech 2020; H. Tak
    et al., "End-to-End Anti-Spoofing with RawNet2", ICASSP 2021.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

from torch import Tensor, nn
from torch.nn import functional

from bonafide.errors import InvalidInput
from bonafide.train import sounds
from bonafide.train.recipe import Output
from bonafide.train.sound_front import Sinc
from bonafide.train.sounds import SoundRecipe

SLOPE = 0.3  # of leaky ReLU
SHORTER = 3  # how many times, by each block


class Scaling(nn.Module):
    """Maps m times and plus a share s in (0, 1) of each channel, s from their means over time."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.share = nn.Linear(channels, channels)

    def forward(self, maps: Tensor) -> Tensor:
        """(N, C, time) → the same shape."""
        share = self.share(maps.mean(2)).sigmoid()[:, :, None]
        scaled: Tensor = maps * share + share
        return scaled


class Block(nn.Module):
    """Two convolutions beside a way past them, a maximum over three steps, scaling.

    Args:
        given, made: channels before and after.
        first: whether what is given was normalised just before.
    """

    def __init__(self, given: int, made: int, first: bool = False) -> None:
        super().__init__()
        self.before = nn.Identity() if first else nn.BatchNorm1d(given)
        self.first = first
        self.one = nn.Conv1d(given, made, 3, padding=1)
        self.between = nn.BatchNorm1d(made)
        self.two = nn.Conv1d(made, made, 3, padding=1)
        self.past = nn.Conv1d(given, made, 1) if given != made else nn.Identity()
        self.scaling = Scaling(made)

    def forward(self, features: Tensor) -> Tensor:
        """(N, given, time) → (N, made, time // 3)."""
        hidden = features if self.first else _leaky(self.before(features))
        hidden = self.two(_leaky(self.between(self.one(hidden))))
        scaled: Tensor = self.scaling(functional.max_pool1d(hidden + self.past(features), SHORTER))
        return scaled


def _leaky(features: Tensor) -> Tensor:
    return functional.leaky_relu(features, SLOPE)


class Network(nn.Module):
    """Sinc filters, residual blocks, GRU, a linear layer, the output."""

    def __init__(self, settings: Settings) -> None:
        super().__init__()
        narrow, wide = settings.filters, settings.width
        self.front = Sinc(narrow, settings.kernel)
        self.level = nn.BatchNorm1d(narrow)
        sizes = (narrow, narrow, narrow, *[wide] * settings.blocks)
        self.blocks = nn.Sequential(
            *(
                Block(given, made, first=not number)
                for number, (given, made) in enumerate(pairwise(sizes))
            )
        )
        self.last = nn.BatchNorm1d(sizes[-1])
        self.along = nn.GRU(sizes[-1], settings.units, settings.layers, batch_first=True)
        self.hidden = nn.Linear(settings.units, settings.units)
        self.head = nn.Linear(settings.units, 1)

    def forward(self, sound: Tensor) -> Output:
        """float32 (N, samples) in [-1, 1] → `Output` without a map."""
        bands = functional.max_pool1d(self.front(sound).abs(), SHORTER)
        features = _leaky(self.last(self.blocks(_leaky(self.level(bands)))))
        steps, _ = self.along(features.mT)
        return Output(self.head(self.hidden(steps[:, -1])).squeeze(1))


@dataclass(frozen=True)
class Settings(sounds.Settings):
    """As recalled of the paper; see `bonafide.train.sounds.Settings` for the shared ones.

    Attributes:
        filters: of the first layer, and channels of the first two blocks.
        kernel: length of each filter, samples.
        width: channels of the further blocks.
        blocks: how many further ones.
        units: of each layer of GRU.
        layers: of GRU.
    """

    batch: int = 32
    filters: int = 20
    kernel: int = 1025
    width: int = 128
    blocks: int = 4
    units: int = 1024
    layers: int = 3


class Method(SoundRecipe):
    """Cross-entropy on samples."""

    id = "rawnet2"
    title = "Voices: fixed band-pass filters, scaled feature maps, GRU, on samples"
    paper = "H. Tak et al., End-to-End Anti-Spoofing with RawNet2, ICASSP 2021"
    Settings = Settings

    def network(self) -> Network:
        """A fresh network.

        Raises:
            InvalidInput: a stretch is too short for its blocks.
        """
        wanted = self.settings
        steps = (wanted.samples - wanted.kernel) // SHORTER ** (3 + wanted.blocks)
        if steps < 1:
            raise InvalidInput(
                f"samples={wanted.samples} are too few for {2 + wanted.blocks} blocks"
            )
        return Network(wanted)
