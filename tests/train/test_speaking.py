"""Lips and sound in the trainer: what a row holds, what is forged, what is read of a video."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import av
import numpy as np
import pytest

torch = pytest.importorskip("torch")

import lip_toys
from click.testing import CliRunner

from bonafide.bench.protocol import Protocol
from bonafide.cli.main import bonafide
from bonafide.errors import InvalidInput
from bonafide.testing.sounds import RATE, babble
from bonafide.train import dimodif, sounds, speaking
from bonafide.train.batches import Sampling
from bonafide.train.clips import OwnForgeries

torch.set_num_threads(1)
SMALL = {"frames": 16, "width": 16, "heads": 2, "levels": 2, "batch": 4, "held_out": 0.0}


def method(**changes: object) -> dimodif.Method:
    return dimodif.Method(dimodif.Settings(**{**SMALL, **changes}))


def talking(seconds: int, seed: int) -> bytes:
    """A video of a face that opens its mouth where it is loud."""
    data = pytest.importorskip("skimage.data")
    face = np.ascontiguousarray(data.astronaut()[20:244, 112:336])
    samples = babble(seconds, seed=seed)
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="matroska") as output:
        video = output.add_stream("mpeg4", rate=25)
        video.width, video.height, video.bit_rate = 224, 224, 2_000_000
        sound = output.add_stream("pcm_s16le", rate=RATE, layout="mono")
        for number in range(seconds * 25):
            part = samples[number * 640 : (number + 1) * 640]
            width = round(9 * min(1.0, 4 * float(np.sqrt((part**2).mean()))))
            picture = face.copy()
            picture[137 - width : 137 + width, 94:126] //= 4
            output.mux(video.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        given = np.rint(samples * 32767).astype(np.int16)[None]
        frame = av.AudioFrame.from_ndarray(given, format="s16", layout="mono")
        frame.sample_rate = RATE
        output.mux(sound.encode(frame))
        output.mux(sound.encode(None))
        output.mux(video.encode(None))
    return buffer.getvalue()


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("talking")
    (folder / "a.mkv").write_bytes(talking(2, 1))
    path = folder / "manifest.csv"
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([("path", "label", "source"), ("a.mkv", "bona_fide", "a")])
    return path


def test_rows_are_taken_apart_and_put_together() -> None:
    given = torch.from_numpy(lip_toys.rows(12, np.random.default_rng(0)))[None]
    shown = speaking.taken_apart(given)
    assert shown.mouth.shape == (1, 12, 48, 48) and shown.sound.shape == (1, 12 * 640)
    assert torch.equal(speaking.put_together(*shown), given)


def test_encoders_give_features_of_each_frame() -> None:
    shown = speaking.taken_apart(torch.rand(2, 12, speaking.WIDTH))
    lips, speech = speaking.Lips(16), speaking.Speech(16)
    assert lips.maps(shown.mouth).shape == (2, 12, 16, 3, 3)
    assert lips(shown.mouth).shape == speech(speech.spectrum(shown.sound)).shape == (2, 12, 16)
    with pytest.raises(InvalidInput, match="multiple of 16"):
        speaking.Lips(20)


def test_forged_stretches_differ_in_part_of_their_sound_alone() -> None:
    random = np.random.default_rng(0)
    for seed in range(6):
        given = lip_toys.rows(32, random)
        made, share = speaking.moved(given, 8, 12, np.random.default_rng(seed))
        assert share.tolist() == [0] * 8 + [1] * 12 + [0] * 12
        assert np.array_equal(made[:, : speaking.PIXELS], given[:, : speaking.PIXELS])
        changed = np.abs(made - given)[:, speaking.PIXELS :].max(1) > 1e-6
        assert changed[8:20].all() and not changed[:7].any() and not changed[21:].any()
        power = [(one[8:20, speaking.PIXELS :] ** 2).mean() for one in (made, given)]
        assert power[0] == pytest.approx(power[1], rel=0.2)


def test_forged_stretches_are_whole_or_in_part() -> None:
    recipe = method(throughout=0.5)
    assert isinstance(recipe, OwnForgeries)
    random = np.random.default_rng(0)
    counts = [int(recipe.forge(lip_toys.rows(16, random), random)[1].sum()) for _ in range(30)]
    assert 5 <= sum(count == 16 for count in counts) <= 25
    assert min(counts) >= 4 and all(count <= 10 for count in counts if count < 16)


def test_a_video_is_kept_as_rows(table: Path) -> None:
    protocol = Protocol("lips", question="edited", columns={"group": ("source",)},
                        positive=("forged",), negative=("bona_fide",))  # fmt: skip
    recipe = method()
    data = sounds.load(table, protocol, table.parent / "cache", recipe, 0.0, jobs=1)
    (picture,) = data.pictures
    kept = np.load(picture.array)
    assert kept.dtype == np.int16 and kept.shape[1] == speaking.WIDTH and 40 <= len(kept) <= 50
    mouth, sound = kept[:, : speaking.PIXELS], kept[:, speaking.PIXELS :]
    assert mouth.min() >= 0 and mouth.max() <= 255 and abs(int(np.abs(sound).max())) > 20_000
    # It is dark inside where it is loud: sound and picture are of the same moments.
    loud = np.log((sound.astype(float) ** 2).mean(1) + 1)
    dark = -np.partition(mouth, 80, axis=1)[:, :80].mean(1)
    assert np.corrcoef(loud, dark)[0, 1] > 0.4
    samples = sounds.SoundSamples(recipe, data, Sampling())
    (genuine,), (forged,) = samples[0, 0], samples[0, 1]
    assert genuine.label == 0 and forged.label == 1
    assert forged.replaced is not None and forged.replaced.shape == (1, 16)
    assert genuine.pixels.shape == (16, speaking.WIDTH) and genuine.pixels.dtype == np.float32


def test_from_genuine_videos_to_a_file(table: Path, tmp_path: Path) -> None:
    pytest.importorskip("onnxscript")
    given = ["train", "dimodif", "--data", str(table), "--protocol", "voices", "--threads", "1",
             "--out", str(tmp_path), "--set", "steps=2"]  # fmt: skip
    for name, value in SMALL.items():
        given += ["--set", f"{name}={value}"]
    done = CliRunner().invoke(bonafide, given)
    assert done.exit_code == 0, done.output
    assert (tmp_path / "dimodif.onnx").stat().st_size > 10_000
