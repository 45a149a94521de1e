"""Sound in the trainer: what is kept, cut, changed, validated and exported."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("onnxscript")

import sound_toys
from click.testing import CliRunner

from bonafide.cli.main import bonafide
from bonafide.errors import InvalidInput
from bonafide.networks.onnx_runtime import library
from bonafide.train import export, lcnn, sounds
from bonafide.train.batches import Sampling

torch.set_num_threads(1)
SMALL = {"samples": 8000, "width": 4, "batch": 4, "bands": 8}


def method(**changes: object) -> lcnn.Method:
    return lcnn.Method(lcnn.Settings(**{**SMALL, **changes}))


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return sound_toys.write_recordings(tmp_path_factory.mktemp("recordings"))


def load(table: Path, recipe: lcnn.Method, held_out: float = 0.0) -> sounds.TrainingData:
    return sounds.load(table, sound_toys.PROTOCOL, table.parent / "cache", recipe, held_out, jobs=1)


def test_speech_is_kept_and_silence_left_out(table: Path) -> None:
    data = load(table, method())
    assert len(data.pictures) == 8 and "silent" in data.left_out["silence.wav"]
    rows = np.load(data.pictures[0].array)
    assert rows.dtype == np.int16 and 16_000 < len(rows) <= 48_000
    assert abs(int(np.abs(rows).max()) - 0.7 * sounds.FULL) < 2
    spectrum = np.abs(np.fft.rfft(rows / sounds.FULL)) ** 2
    above = np.fft.rfftfreq(len(rows), 1 / 16_000) > 7_300
    assert spectrum[above].sum() < 1e-3 * spectrum.sum()
    stamp = data.pictures[0].array.stat().st_mtime_ns
    assert load(table, method()).pictures[0].array.stat().st_mtime_ns == stamp  # not made again


def test_what_is_shorter_than_a_stretch_is_left_out_and_told(table: Path) -> None:
    with pytest.raises(InvalidInput, match="less speech in it than a stretch"):
        load(table, method(samples=60_000))


def test_stretches_take_turns_and_are_the_same_again(table: Path) -> None:
    recipe = method()
    data = load(table, recipe)
    samples = sounds.SoundSamples(recipe, data, Sampling())
    for slot in range(4):
        (one,), (again,) = samples[3, slot], samples[3, slot]
        assert one.label == slot % 2 and np.array_equal(one.pixels, again.pixels)
        assert one.pixels.shape == (8000,) and one.pixels.dtype == np.float32
        assert float(np.abs(one.pixels).max()) == pytest.approx(0.7, abs=1e-5)
    views = sounds.SoundViews(recipe, data.pictures, range(8))
    assert np.array_equal(views[2].pixels, views[2].pixels)
    assert [views[place].label for place in range(8)] == [float(p.positive) for p in data.pictures]


def test_from_recordings_to_a_file(table: Path, tmp_path: Path) -> None:
    given = ["train", "lcnn", "--data", str(table), "--protocol", "voices", "--threads", "1",
             "--out", str(tmp_path)]  # fmt: skip
    settings = [f"--set={name}={value}" for name, value in SMALL.items()]
    more = ["--set=steps=3", "--set=validate_every=3", "--set=held_out=0.25"]
    done = CliRunner().invoke(bonafide, [*given, *settings, *more])
    assert done.exit_code == 0, done.output
    assert "recordings of 2 groups held out" in done.output
    record = json.loads((tmp_path / "run.json").read_text())
    assert record["validation"]["pictures"] == 2 and record["exported"]["difference"] < 1e-3
    card = export.read_card(tmp_path / "lcnn.onnx")
    assert card["preprocessing"]["input"] == "sound" and card["preprocessing"]["side"] is None
    session = library().InferenceSession(
        (tmp_path / "lcnn.onnx").read_bytes(), providers=["CPUExecutionProvider"]
    )
    (taken,) = session.get_inputs()
    assert taken.name == "sound" and taken.shape[1] == 8000
    (logit,) = session.run(None, {"sound": np.zeros((3, 8000), np.float32)})
    assert logit.shape == (3,)
    refused = CliRunner().invoke(bonafide, [*given, "--pairs", "pairs.csv"])
    assert refused.exit_code == 2 and "learns from sound" in refused.output
