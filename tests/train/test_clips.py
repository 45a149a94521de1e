"""Clips: cut from frames in order, changed alike in every frame, forged on the way."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("peft")

import clip_toys
from click.testing import CliRunner
from numpy.typing import NDArray
from torch import Tensor, nn

from bonafide.cli.main import bonafide
from bonafide.errors import InvalidInput
from bonafide.train import augment, clips
from bonafide.train.batches import Sampling
from bonafide.train.data import TrainingData
from bonafide.train.loop import fit
from bonafide.train.recipe import Batch, Output

torch.set_num_threads(1)


class Steady(nn.Module):
    """How much the light changes between frames, weighed."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(1, 1)

    def forward(self, pixels: Tensor) -> Output:
        light = pixels.unflatten(1, (-1, 3)).mean((2, 3, 4))
        return Output(self.layer(10 * light.diff(dim=1).abs().mean(1, keepdim=True)).squeeze(1))


class Method(clips.ClipRecipe):
    id = "steady"
    title = paper = "a toy"
    Settings = clips.Settings

    def network(self) -> nn.Module:
        return Steady()

    def loss(self, network: nn.Module, batch: Batch) -> tuple[Tensor, Mapping[str, float]]:
        logit = network(batch.pixels).logit
        return nn.functional.binary_cross_entropy_with_logits(logit, batch.label), {}


class Forging(Method):
    blended = 0.5

    def forge(
        self, clip: NDArray[np.uint8], random: np.random.Generator
    ) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
        share = np.zeros(self.settings.frames, np.float32)
        share[2:5] = 1
        return np.full_like(clip, 7), share


def settings(**changes: Any) -> clips.Settings:
    given: dict[str, Any] = {"crop": 28, "batch": 4, "held_out": 0.5, "frames": 8}
    return clips.Settings(**{**given, **changes})


def load(folder: Path, frames: int = 8, held_out: float = 0.5, **made: Any) -> TrainingData:
    table = clip_toys.write_crops(folder, **made)
    return clips.load(table, clip_toys.PROTOCOL, folder / "cache", frames, held_out, jobs=1)


def test_clips_are_cut_in_order_without_overlap(tmp_path: Path) -> None:
    data = load(tmp_path)
    every = (*data.pictures, *data.validation)
    assert len(every) == 8 * 2  # of 17 frames two clips, one frame left
    assert {one.group for one in data.pictures}.isdisjoint(data.held_out)
    first = next(one for one in every if one.name == "v0.mp4 A #0")
    assert isinstance(first, clips.Clip) and first.pixels().shape == (32, 32, 24)
    light = first.pixels().reshape(32, 32, 8, 3).mean((0, 1, 3)) > 128
    assert light.tolist() == [False, False, True, True] * 2
    assert not first.positive and next(o for o in every if o.name == "v1.mp4 A #1").positive


def test_short_tracks_are_left_out_and_told(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="no 20 frames"):
        load(tmp_path, frames=20)


def test_a_table_without_times_is_refused(tmp_path: Path) -> None:
    (tmp_path / "m.csv").write_text("path,label\na.png,bona_fide\n")
    with pytest.raises(InvalidInput, match="file and seconds"):
        clips.load(tmp_path / "m.csv", clip_toys.PROTOCOL, tmp_path, 8)


def test_frames_are_changed_alike() -> None:
    random = np.random.default_rng(0)
    frame = random.integers(0, 256, (16, 16, 3)).astype(np.uint8)
    changed = augment.framewise(augment.level)(np.concatenate([frame] * 3, 2), random)
    assert changed.shape == (16, 16, 9)
    assert np.array_equal(changed[..., :3], changed[..., 3:6])
    assert np.array_equal(changed[..., :3], changed[..., 6:])


def test_forged_clips_are_made_where_there_are_none(tmp_path: Path) -> None:
    data = load(tmp_path, held_out=0.0, forged=False)
    samples = clips.ClipSamples(Forging(settings(held_out=0.0)), data, Sampling())
    for slot in range(4):
        (one,) = samples[0, slot]
        assert one.label == slot % 2
        if one.label:
            assert one.replaced is not None and one.replaced.tolist() == [[0, 0, 1, 1, 1, 0, 0, 0]]
            assert float(one.pixels.std()) < 6  # all of it was made


def test_a_training_reads_clips(tmp_path: Path) -> None:
    data = load(tmp_path)
    fitted = fit(Method(settings(steps=40, learning_rate=0.1)), data, tmp_path / "out")
    assert fitted.progress.best_auc == 1


def test_pairs_are_refused(tmp_path: Path) -> None:
    table = clip_toys.write_crops(tmp_path, videos=1, frames=1)
    given = ["train", "sta", "--data", str(table), "--pairs", "p.csv", "--out", str(tmp_path / "o")]
    told = CliRunner().invoke(bonafide, given)
    assert told.exit_code == 2 and "learns from clips" in told.output
