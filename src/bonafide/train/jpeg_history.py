"""The default localiser: blocks of a JPEG whose compression history is not that of the rest.

What it is
    A picture that was saved as JPEG, edited and saved again keeps the gaps that the first save cut
    into its coefficients, but for the parts that came from elsewhere. The network reads the
    magnitudes of the 15 lowest frequencies of every 8×8 block and the quantisation table, no
    pixels: what things look like cannot be learned from that, so that small pictures suffice to
    train on. The histograms of the whole picture decide, through a small network, what each
    magnitude is worth; a few convolutions over blocks then look at neighbourhoods.

What it is trained on
    Edits made in bona fide pictures (`bonafide.train.tampering`), most of them saved before, and
    all saved afterwards with tables drawn around the standard's.

Reference
    Our own arrangement. Learning from clipped magnitudes beside the table: M.-J. Kwon et al.,
    "Learning JPEG Compression Artifacts for Image Manipulation Detection and Localization"
    (CAT-Net), IJCV 2022. What a histogram says of a block: T. Bianchi, A. Piva, "Image Forgery
    Localization via Block-Grained Analysis of JPEG Artifacts", IEEE TIFS, 2012.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image as Pillow
from torch import Tensor, nn
from torch.nn import functional

from bonafide.media.jpeg import read_coefficients
from bonafide.signals.jpeg import standard_table
from bonafide.signals.quantised import FREQUENCIES, LARGEST, PLANES, planes
from bonafide.train import recipe
from bonafide.train.augment import Pixels
from bonafide.train.mask_losses import dice_loss, mask_of, weighted_entropy
from bonafide.train.recipe import Batch, Output, Recipe

BLOCK = 8
WIDTH = 48
SUITED = 16  # channels whose meaning depends on the histograms of the picture
DILATIONS = (1, 2, 4, 2, 1)
COUNT = len(FREQUENCIES)
BINS = LARGEST + 1


@dataclass(frozen=True)
class Settings(recipe.Settings):
    """The published weights were trained with these.

    Attributes:
        edited: weight of an edited block in the cross-entropy, where another has 1.
        dice, picture: weights of the overlap and of the answer for the whole picture.
        lowest: least quality of the last save.
        own_tables: share of last saves with tables that no encoder has.
    """

    steps: int = 3000
    batch: int = 32
    crop: int = 288
    learning_rate: float = 2e-3
    weight_decay: float = 0.02
    warmup: int = 100
    schedule: str = "cosine"
    clip: float = 1.0
    ema: float = 0.998
    edited: float = 3.0
    dice: float = 0.3
    picture: float = 0.3
    lowest: int = 50
    own_tables: float = 0.4


class Residual(nn.Module):
    """Two convolutions beside the value itself, the first of them dilated."""

    def __init__(self, dilation: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.GroupNorm(8, WIDTH),
            nn.ReLU(),
            nn.Conv2d(WIDTH, WIDTH, 3, padding=dilation, dilation=dilation),
            nn.GroupNorm(8, WIDTH),
            nn.ReLU(),
            nn.Conv2d(WIDTH, WIDTH, 3, padding=1),
        )

    def forward(self, value: Tensor) -> Tensor:
        """(N, WIDTH, h, w) → the same shape."""
        result: Tensor = value + self.layers(value)
        return result


class Network(nn.Module):
    """Planes of `bonafide.signals.quantised`, float32 (N, 30, h, w) in [0, 1] → `Output`."""

    def __init__(self) -> None:
        super().__init__()
        self.fixed = nn.Linear(COUNT * BINS, WIDTH)
        self.regard = nn.Sequential(
            nn.Linear(COUNT * BINS + COUNT, 192), nn.ReLU(), nn.Linear(192, 128), nn.ReLU()
        )
        self.worth = nn.Linear(128, COUNT * BINS * SUITED)
        nn.init.normal_(self.worth.weight, std=0.02)
        self.beside = nn.Linear(128, WIDTH)
        self.enter = nn.Conv2d(WIDTH + SUITED + COUNT, WIDTH, 3, padding=1)
        self.trunk = nn.Sequential(*(Residual(dilation) for dilation in DILATIONS))
        self.head = nn.Sequential(nn.ReLU(), nn.Conv2d(WIDTH, 1, 1))
        self.whole = nn.Sequential(nn.Linear(2 * WIDTH + 130, 64), nn.ReLU(), nn.Linear(64, 1))

    def forward(self, pixels: Tensor) -> Output:
        """See `Recipe.network`."""
        given = (pixels * 255).round()
        magnitudes, steps = given[:, :COUNT].clamp(max=LARGEST), given[:, COUNT:, 0, 0].clamp(min=1)
        height, width = pixels.shape[2:]
        known = torch.arange(BINS, device=pixels.device, dtype=pixels.dtype)
        counted = (magnitudes[:, :, None] == known[:, None, None]).to(pixels.dtype)
        counted = counted.reshape(-1, COUNT * BINS, height * width)
        regard = self.regard(torch.cat([counted.mean(2).sqrt(), steps.log2() / 3 - 1], 1))
        worth = self.worth(regard).reshape(-1, COUNT * BINS, SUITED)
        read = [
            self.fixed(counted.transpose(1, 2)).transpose(1, 2),
            torch.bmm(worth.transpose(1, 2), counted.to(worth.dtype)),
        ]
        shaped = [one.reshape(-1, one.shape[1], height, width) for one in read]
        value = self.enter(torch.cat([*shaped, torch.log1p(magnitudes) / 3], 1))
        value = self.trunk(value + self.beside(regard)[:, :, None, None])
        odds = self.head(value)
        smooth = functional.avg_pool2d(odds, 3, 1, 1)
        pooled = [value.mean((2, 3)), value.amax((2, 3)), regard, smooth.amax((2, 3)),
                  odds.mean((2, 3))]  # fmt: skip
        return Output(self.whole(torch.cat(pooled, 1))[:, 0], odds[:, 0])


class Method(Recipe):
    """Cross-entropy and overlap over blocks, and the answer for the picture."""

    id = "jpeg_history"
    title = "parts of a JPEG with another compression history (the default localiser)"
    paper = "this project, 2026; after M.-J. Kwon et al. (CAT-Net), IJCV 2022"
    needs_masks = True
    channels = PLANES
    cell = BLOCK
    layout = (
        "float32 (N, 30, block rows, block columns), planes of bonafide.signals.quantised / 255"
    )
    material: ClassVar[Mapping[str, str]] = {"aftermath": "false", "saved_before": "0.65"}
    Settings = Settings

    def network(self) -> nn.Module:
        """Stored channels last, as CPUs convolve fastest."""
        return Network().to(memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]

    def read(
        self, pixels: Pixels, mask: NDArray[np.bool_], random: np.random.Generator
    ) -> tuple[Pixels, NDArray[np.bool_]]:
        """Save the picture, read its coefficients back, and turn all by chance."""
        rows, columns = (length // BLOCK for length in mask.shape)
        tables = self._tables(random)
        saved = io.BytesIO()
        Pillow.fromarray(np.ascontiguousarray(pixels)).save(
            saved,
            "JPEG",
            qtables=[table.ravel().tolist() for table in tables],
            subsampling=int(random.choice((0, 2))),
        )
        coefficients = read_coefficients(saved.getvalue())[0][:rows, :columns]
        blocks = mask[: rows * BLOCK, : columns * BLOCK].reshape(rows, BLOCK, columns, BLOCK)
        edited = blocks.mean((1, 3)) > 0.5
        table = tables[0]
        if random.random() < 0.5:  # a transposed picture has transposed blocks and tables
            coefficients, table = coefficients.transpose(1, 0, 3, 2), table.T
            edited = edited.T
        seen = planes(coefficients, table)
        for axis in (0, 1):  # mirrored blocks have coefficients of the same magnitudes
            if random.random() < 0.5:
                seen, edited = np.flip(seen, axis), np.flip(edited, axis)
        return np.ascontiguousarray(seen), np.ascontiguousarray(edited)

    def _tables(self, random: np.random.Generator) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
        """Luma and chroma, the standard's of some quality, or those bent."""
        quality = int(random.integers(self.settings.lowest, 101))
        bend = np.ones((BLOCK, BLOCK))
        if random.random() < self.settings.own_tables:
            slope = np.add.outer(np.arange(BLOCK), np.arange(BLOCK)) / 14 - 0.5
            shape = random.normal(0, 0.25) + random.normal(0, 0.5) * slope
            bend = np.exp(shape + random.normal(0, 0.1, bend.shape))
        luma, chroma = (
            np.clip(np.rint(standard_table(quality, chroma) * bend), 1, 255).astype(np.int32)
            for chroma in (False, True)
        )
        return luma, chroma

    def loss(self, network: nn.Module, batch: Batch) -> tuple[Tensor, Mapping[str, float]]:
        """The sum of the parts, each with its weight from the settings."""
        settings: Settings = self.settings
        output: Output = network(batch.pixels)
        assert output.map is not None
        odds, mask = output.map.float(), mask_of(batch)
        parts = {
            "blocks": weighted_entropy(odds, mask, 1.0, settings.edited),
            "overlap": dice_loss(odds, mask) * settings.dice,
            "picture": functional.binary_cross_entropy_with_logits(
                output.logit.float(), batch.label
            )
            * settings.picture,
        }
        total = torch.stack(list(parts.values())).sum()
        return total, {name: float(part.detach()) for name, part in parts.items()}
