"""Small labelled sets that tests of the harness make for themselves."""

from __future__ import annotations

import csv
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image as Pillow

PROTOCOL = """
name: tiny
description: Pictures that the tests make.
question: synthetic
labels: {positive: [fake], negative: [real]}
split: {kind: group_folds, folds: 2}
degradations: [none]
"""


def picture(number: int, fake: bool, side: int = 128) -> Pillow.Image:
    """Noise over a gradient; a fake has the period of a careless up-sampler in it."""
    random = np.random.default_rng(number)
    ramp = np.linspace(60, 190, side)[:, None, None] * np.ones((1, side, 3))
    noise = random.normal(0, 12, (side, side, 3))
    if fake:
        noise[::2] *= 0.3
        noise[:, ::2] *= 0.3
    return Pillow.fromarray((ramp + noise).clip(0, 255).astype(np.uint8))


def make_set(folder: Path, count: int = 12, side: int = 128) -> Path:
    """`count` pictures of two classes in pairs of one group, and their manifest."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = []
    for number in range(count):
        fake = number % 2 == 0
        name = f"{number:03}.png"
        picture(number, fake, side).save(folder / name)
        rows.append(
            {
                "path": name,
                "label": "fake" if fake else "real",
                "group": f"scene{number // 3}",
                "generator": ("alpha", "beta")[number // 2 % 2] if fake else "",
            }
        )
    write(folder / "manifest.csv", rows)
    (folder / "tiny.yaml").write_text(PROTOCOL)
    return folder / "manifest.csv"


def make_edited(folder: Path, count: int = 6, side: int = 128) -> Path:
    """Authentic pictures and pictures with a part that was edited, with masks."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = []
    for number in range(count):
        fake = number % 2 == 0
        name = f"{number:03}.png"
        array = np.array(picture(number, False, side))
        mask = np.zeros((side, side), np.uint8)
        if fake:
            array[10:50, 20:70] = 128
            mask[10:50, 20:70] = 255
            Pillow.fromarray(mask).save(folder / f"{number:03}_mask.png")
        Pillow.fromarray(array).save(folder / name)
        mask_name = f"{number:03}_mask.png" if fake else ""
        rows.append({"path": name, "label": "fake" if fake else "real", "mask": mask_name})
    write(folder / "manifest.csv", rows)
    text = PROTOCOL.replace("question: synthetic", "question: edited\npixel: true")
    (folder / "tiny.yaml").write_text(text)
    return folder / "manifest.csv"


def write(path: Path, rows: list[dict[str, str]]) -> None:
    """A CSV of dictionaries."""
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


@pytest.fixture
def sets() -> SimpleNamespace:
    """The functions above, since test files are not imported by name."""
    return SimpleNamespace(picture=picture, make_set=make_set, make_edited=make_edited, write=write)
