"""Small clips, and a small backbone for methods that read them."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import torch
import transformers
from numpy.typing import NDArray
from PIL import Image as Pillow

from bonafide.bench.protocol import Protocol
from bonafide.train.recipe import Batch

FRAMES = 8
PROTOCOL = Protocol(
    "clips",
    question="face_forged",
    columns={"group": ("origin",)},
    positive=("face_forged",),
    negative=("bona_fide",),
)


def clip_vit(folder: Path, side: int = 28, blocks: int = 2) -> str:
    """A CLIP vision transformer with patches of 7 pixels."""
    torch.manual_seed(0)
    config = transformers.CLIPVisionConfig(
        hidden_size=16, intermediate_size=32, num_hidden_layers=blocks, num_attention_heads=2,
        image_size=side, patch_size=7,
    )  # fmt: skip
    transformers.AutoModel.from_config(config).save_pretrained(folder)
    return str(folder)


def ramps(count: int, seed: int, side: int = 28) -> Batch:
    """Clips that grow lighter, and forged ones, which grow darker by the same steps.

    Each has the same frames but for noise, so that none of them alone says anything.
    """
    random = torch.Generator().manual_seed(seed)
    label = torch.arange(count) % 2.0
    rising = torch.linspace(-1, 1, FRAMES)
    light = torch.where(label[:, None] > 0, rising.flip(0), rising)
    base = 0.4 + 0.2 * torch.rand(count, 1, 3, 1, 1, generator=random)
    grain = 0.05 * torch.randn(count, FRAMES, 3, side, side, generator=random)
    pixels = (base + 0.3 * light.view(count, FRAMES, 1, 1, 1) + grain).clamp(0, 1)
    return Batch(pixels.flatten(1, 2), label, torch.full((count,), -1), None, {})


def write_crops(
    folder: Path, videos: int = 8, frames: int = 17, side: int = 32, forged: bool = True
) -> Path:
    """A manifest as `bonafide probe crops` writes it; forged videos flicker every frame."""
    random = np.random.default_rng(0)
    rows = []
    for video in range(videos):
        fake = forged and video % 2 == 1
        for number in range(frames):
            period = 1 if fake else 2
            name = f"{video}-{number:03d}.png"
            Pillow.fromarray(frame(random, 30 if number // period % 2 else -30, side)).save(
                folder / name
            )
            label = "face_forged" if fake else "bona_fide"
            rows.append((name, label, f"v{video % 4 // 2}-{video % 2}", f"v{video}.mp4", "A",
                         f"{number / 10:.3f}"))  # fmt: skip
    random.shuffle(rows)
    path = folder / "manifest.csv"
    with path.open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(("path", "label", "origin", "file", "subject", "seconds"))
        writer.writerows([tuple(row) for row in rows])
    return path


def frame(random: np.random.Generator, light: int, side: int) -> NDArray[np.uint8]:
    grain = random.normal(0, 8, (side, side, 3))
    return np.clip(128 + light + grain, 0, 255).astype(np.uint8)
