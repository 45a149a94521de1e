"""What methods that learn masks are trained on: made and labelled, held out whole, repeatable."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import localisers
from PIL import Image as Pillow
from torch import nn

from bonafide.bench.protocol import load_protocol
from bonafide.errors import InvalidInput
from bonafide.train import masked, recipe
from bonafide.train.batches import collate
from bonafide.train.mask_losses import mask_of, weighted_entropy
from bonafide.train.processes import Precision, Processes
from bonafide.train.recipe import Batch, Output, Recipe
from bonafide.train.tampering import TamperingSettings
from bonafide.train.validation import MaskValidation

PROTOCOL = load_protocol("edited")


class Marks(nn.Module):
    """One convolution that marks every pixel."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Conv2d(3, 1, 3, padding=1)

    def forward(self, pixels: torch.Tensor) -> Output:
        logits = self.layer(pixels)[:, 0]
        return Output(logits.amax((1, 2)), logits)


class Method(Recipe):
    """The smallest method that learns from masks."""

    id, title, paper, needs_masks = "marks", "A convolution", "None, 2026", True

    def network(self) -> nn.Module:
        return Marks()

    def loss(self, network: nn.Module, batch: Batch) -> tuple[torch.Tensor, dict[str, float]]:
        loss = weighted_entropy(network(batch.pixels).map, mask_of(batch), 1.0, 1.0)
        return loss, {"pixels": float(loss.detach())}


def method() -> Method:
    return Method(recipe.Settings(crop=64, batch=4))


def with_masks(folder: Path, side: int = 0) -> Path:
    """The edited pictures of the toys with the masks that they have, or others of `side`."""
    path = localisers.write_manifest(folder, ("bona_fide", "tampered"))
    rows = list(csv.DictReader(path.open(newline="")))
    mask = np.zeros((144, 160), np.uint8)
    mask[40:80, 50:100] = 255
    Pillow.fromarray(mask[side:]).save(folder / "mask.png")
    for row in rows:
        row["mask"] = "mask.png" if row["label"] == "tampered" else ""
    with path.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    return path


def load(path: Path, held_out: float = 0.25):
    return masked.load(path, PROTOCOL, path.parent / "cache", held_out=held_out, jobs=1)


def test_bona_fide_pictures_alone_will_do_and_groups_are_held_out(tmp_path: Path) -> None:
    data = load(localisers.write_manifest(tmp_path))
    assert (len(data.pictures), len(data.validation), len(data.held_out)) == (6, 2, 1)
    assert {one.group for one in data.validation} == set(data.held_out)
    assert not {one.group for one in data.pictures} & set(data.held_out)


def test_samples_are_a_function_of_their_place(tmp_path: Path) -> None:
    data = load(localisers.write_manifest(tmp_path))
    tables = [masked.MaskedSamples(method(), data, TamperingSettings()) for _ in range(2)]
    first = [tables[0][0, slot][0] for slot in range(6)]
    for slot in reversed(range(6)):
        np.testing.assert_array_equal(tables[1][0, slot][0].pixels, first[slot].pixels)
    assert all(one.label == one.mask.any() for one in first)
    batch = collate([[one] for one in first])
    assert batch.mask.shape == (6, 64, 64) and set(batch.mask.unique().tolist()) <= {0.0, 1.0}


def test_labelled_pictures_keep_their_masks_through_cuts(tmp_path: Path) -> None:
    data = load(with_masks(tmp_path), held_out=0)
    edited = [one for one in data.pictures if one.mask]
    assert len(edited) == len(data.pictures) / 2
    mixed = masked._Mixed(method(), edited, TamperingSettings())
    drawn = [mixed.draw(np.random.default_rng(seed))[0] for seed in range(20)]
    inside = [one.pixels[one.mask].std() for one in drawn if one.mask.sum() > 200]
    outside = [one.pixels[~one.mask].std() for one in drawn if (~one.mask).sum() > 200]
    assert inside and np.mean(inside) > 60 > np.mean(outside)  # the squares are white noise


def test_edited_pictures_need_masks_of_their_size(tmp_path: Path) -> None:
    data = load(with_masks(tmp_path, side=8), held_out=0)
    assert not any(one.mask for one in data.pictures)
    assert set(data.left_out.values()) == {"its mask has 160×136 pixels, not those of the picture"}
    (tmp_path / "other").mkdir()
    data = load(localisers.write_manifest(tmp_path / "other", ("bona_fide", "tampered")), 0)
    assert set(data.left_out.values()) == {"it has no mask"}
    (tmp_path / "none").mkdir()
    with pytest.raises(InvalidInput, match="no bona fide picture"):
        load(localisers.write_manifest(tmp_path / "none", ("tampered",)), 0)


def test_validation_is_made_of_held_out_pictures_and_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(masked, "VALIDATED", 12)
    data = load(localisers.write_manifest(tmp_path))
    recipe = method()
    samples = masked.validation_examples(recipe, data, TamperingSettings(authentic=0.4))
    assert len(samples) == 12 and len({kind for _, kind in samples}) > 2
    processes = Processes.join()
    precision = Precision("float32", processes.device)
    found = MaskValidation(samples, recipe.settings, processes, precision)(recipe.network())
    assert 0 <= found.auc <= 1 and found.auc == found.figures["pixel_auc"]
    assert set(found.by_source) == {kind for _, kind in samples} - {"authentic"}
    assert set(found.figures) == {
        "pixel_f1", "pixel_iou", "pixel_auc", "false_region_rate", "image_auc",
    }  # fmt: skip
