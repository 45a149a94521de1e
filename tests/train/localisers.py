"""Small problems and small backbones for methods that learn which pixels were edited."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from click.testing import CliRunner
from PIL import Image as Pillow
from skimage import data as photographs

from bonafide.cli.main import bonafide
from bonafide.train.recipe import Batch, Recipe


def mit(folder: Path, stages: int = 4) -> str:
    """A SegFormer encoder of some thousand parameters."""
    torch.manual_seed(0)
    config = transformers.SegformerConfig(
        num_encoder_blocks=stages, hidden_sizes=[8, 8, 16, 16][:stages], depths=[1] * stages,
        num_attention_heads=[1, 2, 2, 4][:stages], mlp_ratios=[2] * stages,
    )  # fmt: skip
    return _saved(config, folder)


def vit(folder: Path, masked: bool = False, blocks: int = 3) -> str:
    """A plain vision transformer; `masked` for one as masked autoencoders save it."""
    torch.manual_seed(0)
    kind = transformers.ViTMAEConfig if masked else transformers.ViTConfig
    config = kind(
        hidden_size=32, num_hidden_layers=blocks, num_attention_heads=2, intermediate_size=64,
        image_size=64, patch_size=16,
    )  # fmt: skip
    return _saved(config, folder)


def resnet(folder: Path) -> str:
    """A bottleneck ResNet of four stages."""
    torch.manual_seed(0)
    config = transformers.ResNetConfig(
        embedding_size=8, hidden_sizes=[8, 16, 16, 32], depths=[1, 1, 1, 1]
    )
    return _saved(config, folder)


def _saved(config: transformers.PretrainedConfig, folder: Path) -> str:
    transformers.AutoModel.from_config(config).save_pretrained(folder)
    return str(folder)


def batch(side: int, size: int = 4, seed: int = 0) -> Batch:
    """Smooth pictures; in every second one a square is replaced by noise."""
    random = torch.Generator().manual_seed(seed)
    pixels = torch.rand(size, 3, 4, 4, generator=random)
    pixels = torch.nn.functional.interpolate(pixels, (side, side), mode="bilinear")
    mask = torch.zeros(size, side, side)
    quarter = side // 4
    mask[::2, quarter : 3 * quarter, quarter : 3 * quarter] = 1
    noise = torch.rand(size, 3, side, side, generator=random)
    pixels = torch.where(mask[:, None] > 0, noise, pixels)
    label = mask.amax((1, 2))
    return Batch(pixels, label, torch.full((size,), -1), None, {}, mask)


def losses(recipe: Recipe, given: Batch, steps: int) -> list[float]:
    """Of so many steps on one batch, from a seeded start."""
    torch.manual_seed(0)
    network = recipe.network().train()
    optimiser = recipe.optimiser(network)
    values = []
    for _ in range(steps):
        torch.manual_seed(0)  # the same dropout, so that losses compare
        loss, _ = recipe.loss(network, given)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        values.append(float(loss.detach()))
    return values


def write_manifest(folder: Path, labels: Sequence[str] = ("bona_fide",)) -> Path:
    """Two parts of each of four photographs; each photograph is a group."""
    shown = [photographs.astronaut(), photographs.chelsea(), photographs.coffee(),
             photographs.rocket()]  # fmt: skip
    random = np.random.default_rng(0)
    rows = []
    for number, picture in enumerate(shown):
        for part in range(2):
            for label in labels:
                pixels = np.array(picture[40:184, 20 + 80 * part :][:, :160])
                if label != "bona_fide":
                    pixels[40:80, 50:100] = random.integers(0, 256, (40, 50, 3), np.uint8)
                name = f"{label}-{number}-{part}.png"
                Pillow.fromarray(pixels).save(folder / name)
                rows.append((name, label, f"photograph {number}", f"photograph {number}"))
    path = folder / "manifest.csv"
    with path.open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(("path", "label", "group", "source"))
        writer.writerows(rows)
    return path


def trained(method: str, manifest: Path, out: Path, **settings: object) -> dict[str, Any]:
    """What `bonafide train` notes of two steps of two pictures, without validation."""
    chosen = {"steps": 2, "batch": 2, "crop": 64, "held_out": 0, **settings}
    options = [f"--set={name}={value}" for name, value in chosen.items()]
    done = CliRunner().invoke(
        bonafide,
        ["train", method, "--data", str(manifest), "--out", str(out), "--protocol", "edited",
         "--threads", "1", *options],
    )  # fmt: skip
    assert done.exit_code == 0, (done.output, done.exception)
    record: dict[str, Any] = json.loads((out / "run.json").read_text())
    return record
