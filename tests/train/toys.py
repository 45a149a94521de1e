"""Toy problems: photographs and the same through a crude up-sampler, and several kinds of noise."""

from __future__ import annotations

import csv
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image as Pillow
from skimage import data as photographs
from torch import Tensor, nn
from torch.nn import functional

from bonafide.bench.protocol import Protocol
from bonafide.train import augment, data, loop, recipe
from bonafide.train.data import Pair, TrainingData
from bonafide.train.pictures import Picture
from bonafide.train.processes import Processes
from bonafide.train.recipe import Augment, Batch, Output, Recipe

SIDE = 32
PROTOCOL = Protocol(
    "toy",
    columns={"group": ("group",)},
    positive=("generated",),
    negative=("bona_fide",),
)


@dataclass(frozen=True)
class Settings(recipe.Settings):
    """Tiny ones.

    Attributes:
        width: channels.
    """

    steps: int = 60
    batch: int = 16
    crop: int = SIDE
    learning_rate: float = 2e-2
    ema: float = 0.9
    held_out: float = 0.3
    validate_every: int = 30
    width: int = 6


class Network(nn.Module):
    """Residual, two convolutions, mean of patches; dropout, so that chance is tested as well."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(3, width, 3), nn.BatchNorm2d(width), nn.ReLU(), nn.Dropout(0.1),
            nn.Conv2d(width, 1, 3),
        )  # fmt: skip

    def forward(self, pixels: Tensor) -> Output:
        residual = pixels - functional.avg_pool2d(pixels, 3, 1, 1)
        scores = self.layers(20 * residual).squeeze(1)
        return Output(scores.mean((1, 2)), scores)


class Method(Recipe):
    """Binary cross-entropy."""

    id = "toy"
    title = "A toy"
    paper = "none"
    Settings = Settings

    def network(self) -> nn.Module:
        return Network(self.settings.width)

    def loss(self, network: nn.Module, batch: Batch) -> tuple[Tensor, Mapping[str, float]]:
        loss = functional.binary_cross_entropy_with_logits(network(batch.pixels).logit, batch.label)
        return loss, {"bce": float(loss.detach())}

    def augment(self) -> Augment:
        steps = (
            augment.Step("turn", 1.0, augment.turn),
            augment.Step("crop", 1.0, lambda pixels, random: augment.crop(pixels, random, SIDE)),
        )
        return augment.Chain(steps)


def upsampled(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Half the size and back, with the chequered gain of a transposed convolution."""
    height, width = pixels.shape[:2]
    small = cv2.resize(pixels, (width // 2, height // 2), interpolation=cv2.INTER_AREA)
    large = cv2.resize(small, (width, height), interpolation=cv2.INTER_NEAREST).astype(np.float32)
    large[::2, ::2] *= 1.12
    large[1::2, 1::2] *= 0.88
    return np.clip(large, 0, 255).astype(np.uint8)


def write_manifest(folder: Path, kept_as: str = "png") -> Path:
    """Photographs in four groups of each class, and a grid; the path of the manifest."""
    shown = [photographs.astronaut(), photographs.chelsea(), photographs.coffee(),
             photographs.rocket()]  # fmt: skip
    rows = []
    for number, picture in enumerate(shown):
        for part in range(4):
            top, left = 20 + 60 * (part // 2), 20 + 100 * (part % 2)
            real = np.ascontiguousarray(picture[top : top + 96, left : left + 96])
            for label, pixels in (("bona_fide", real), ("generated", upsampled(real))):
                name = f"{label}-{number}-{part}.{kept_as}"
                Pillow.fromarray(pixels).save(folder / name)
                source = f"{label}-{number}"
                rows.append((name, label, source, source, ""))
    rows.append(("grid.png", "generated", "grids", "grids", "grid2x2"))
    path = folder / "manifest.csv"
    with path.open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(("path", "label", "group", "source", "composite"))
        writer.writerows(rows)
    return path


def write_pairs(folder: Path, size: int = 64) -> Path:
    """Aligned twins of the bona fide pictures of `write_manifest`."""
    rows = []
    for number in range(4):
        for part in range(4):
            original = f"bona_fide-{number}-{part}.png"
            left, top = 8 * (part % 2), 5 * (part // 2)
            pixels = np.asarray(Pillow.open(folder / original))[top:, left:][:size, :size]
            twin = f"twin-{number}-{part}.png"
            Pillow.fromarray(upsampled(pixels)).save(folder / twin)
            rows.append((twin, original, left, top, size, f"maker {part % 2}"))
    path = folder / "pairs.csv"
    with path.open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(("path", "original", "left", "top", "size", "autoencoder"))
        writer.writerows(rows)
    return path


def doubled_noise(folder: Path, side: int = 40) -> TrainingData:
    """Noise, and noise whose pixels were doubled: one up-sampling by the nearest neighbour."""
    random = np.random.default_rng(0)
    pictures = []
    for number in range(24):
        pixels = random.integers(0, 256, (side, side, 3), np.uint8)
        if number % 2:
            pixels = pixels[: side // 2, : side // 2].repeat(2, 0).repeat(2, 1)
        pictures.append(_stored(folder, number, pixels))
    return TrainingData(tuple(pictures[:16]), (), tuple(pictures[16:]), (), {}, ())


def grain(folder: Path, side: int) -> TrainingData:
    """Smooth pictures and grainy ones, in two groups of two sources each."""
    random = np.random.default_rng(0)
    pictures = []
    for number in range(96):
        base = random.integers(100, 156, 3)
        grains = random.integers(-60, 60, (side, side, 3)) * (number % 2)
        pictures.append(_stored(folder, number, (base + grains).astype(np.uint8)))
    return TrainingData(tuple(pictures[:64]), (), tuple(pictures[64:]), (), {}, ())


def _stored(folder: Path, number: int, pixels: NDArray[np.uint8]) -> Picture:
    """Odd numbers are synthetic; sources take turns."""
    source, file = f"source {number % 4}", folder / f"{number}.npy"
    np.save(file, pixels)
    return Picture(f"{number}", number % 2 == 1, source, source, file)


def noise(seed: int, side: int = 40) -> NDArray[np.uint8]:
    """uint8 side×side×3."""
    return np.random.default_rng(seed).integers(0, 256, (side, side, 3)).astype(np.uint8)


def averaged(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Pixels averaged two by two, as large as before."""
    half = len(pixels) // 2
    small = pixels.reshape(half, 2, half, 2, 3).mean((1, 3))
    return small.repeat(2, 0).repeat(2, 1).astype(np.uint8)


def averaged_pairs(folder: Path) -> TrainingData:
    """Noise, and the same noise after its pixels were averaged two by two."""
    sides = []
    for number in range(48):
        original = noise(number)
        group = f"source {number % 4}"
        for positive, pixels in ((False, original), (True, averaged(original))):
            file = folder / f"{number}-{positive}.npy"
            np.save(file, pixels)
            sides.append(Picture(file.name, positive, group, group, file))
    pairs = tuple(Pair(*both) for both in zip(sides[::2], sides[1::2], strict=True))
    return TrainingData((), pairs[:32], tuple(sides[64:]), (), {}, ())


def main(folder: str, out: str, steps: str, *rest: str) -> None:
    """Train on the manifest in `folder`, in a process of its own."""
    torch.set_num_threads(1)
    parts = [int(word.removeprefix("accumulate=")) for word in rest if word.startswith("accum")]
    settings = Settings(steps=int(steps), validate_every=5, accumulate=parts[0] if parts else 1)
    material = Processes.join().from_first(
        lambda: data.load(Path(folder) / "manifest.csv", PROTOCOL, Path(folder) / "cache", jobs=1,
                          held_out=settings.held_out)
    )  # fmt: skip
    fitted = loop.fit(Method(settings), material, Path(out), resume="resume" in rest)
    total = sum(float(weight.double().sum()) for weight in fitted.network.parameters())
    said = Path(out) / f"rank {os.environ.get('RANK', 0)}"
    said.write_text(f"{fitted.progress.step} {total}")


if __name__ == "__main__":
    main(*sys.argv[1:])
