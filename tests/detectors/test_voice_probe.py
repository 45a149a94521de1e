"""A voice is scored along time; what is no speech, and what is unlike all training, is not."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from bonafide import Settings, examine
from bonafide.detectors.speech.voice_probe import CARD, MOST, Detector
from bonafide.media.context import Context
from bonafide.media.source import open_media
from bonafide.networks.whisper import LAYERS, features_of
from bonafide.questions import Question
from bonafide.testing import photograph
from bonafide.testing.sounds import RATE, babble, wav
from bonafide.train.probe_fit import Plane, Subspace, write_probe
from bonafide.types import Failed, Measurement, NotApplicable, Status


@pytest.fixture
def near(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Plane:
    """A probe with a plane of its own, for which everything is near."""
    random = np.random.default_rng(0)
    width = features_of([babble(4)]).shape[-1]
    plane = Plane(random.normal(0, 0.05, (len(LAYERS), width)).astype(np.float32), 0.1)
    known = Subspace(np.zeros(width, np.float32), np.eye(width, 4, dtype=np.float32), 1e6)
    card = {"id": CARD.id, "version": CARD.version, "recipe": "voice_fit"}
    write_probe(plane, known, tmp_path / f"{CARD.id}-{CARD.version}.onnx", card)
    monkeypatch.setenv("BONAFIDE_WEIGHTS", str(tmp_path))
    return plane


def measured(samples: np.ndarray) -> object:
    return Detector().measure(Context(open_media(wav(samples), "call.wav")))


def test_the_score_is_the_mean_of_the_stretches(near: Plane) -> None:
    sound = np.concatenate([babble(9), np.zeros(2 * RATE, np.float32), babble(6, seed=1)])
    found = measured(sound)
    assert isinstance(found, list)
    whole, *stretches = found
    assert isinstance(whole, Measurement) and whole.score is not None
    (series,) = whole.series
    assert whole.facts["stretches"] == len(series.times) == len(stretches) >= 3
    assert whole.score == pytest.approx(float(series.values.mean()), abs=1e-3)
    assert (np.diff(series.times) > 0).all()
    assert set(whole.facts) == set(CARD.facts)
    json.dumps(whole.facts)
    for stretch, value in zip(stretches, series.values, strict=True):
        assert stretch.where.track == "audio" and stretch.where.span is not None
        assert stretch.score == pytest.approx(float(value), abs=1e-3)


def test_it_is_the_plane_through_the_features(near: Plane) -> None:
    sound = babble(4.2)
    found = measured(sound)
    assert isinstance(found, list)
    span = found[1].where.span
    part = sound[round(span.start * RATE) : round(span.end * RATE)]
    assert found[0].score == pytest.approx(float(near(features_of([part]))[0]), abs=0.05)


def test_loudness_does_not_move_the_score(near: Plane) -> None:
    loud, soft = (measured(gain * babble(5)) for gain in (1.0, 0.2))
    assert isinstance(loud, list) and isinstance(soft, list)
    assert loud[0].score == pytest.approx(soft[0].score, abs=0.1)


def test_many_stretches_are_spread(near: Plane, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bonafide.detectors.speech.voice_probe.MOST", 3)
    assert MOST > 100
    found = measured(babble(40))
    assert isinstance(found, list)
    assert found[0].facts["stretches"] == 3
    assert found[0].facts["speech_seconds"] > 30


@pytest.mark.parametrize(
    ("sound", "why"),
    [(np.zeros(4 * RATE), "silent"), (babble(1.0), "2 s are needed")],
)
def test_what_is_no_speech_is_not_scored(sound: np.ndarray, why: str) -> None:
    found = measured(sound)
    assert isinstance(found, NotApplicable) and why in found.why


def test_what_is_unlike_all_training_is_not_scored(monkeypatch: pytest.MonkeyPatch) -> None:
    found = measured(babble(6))
    assert isinstance(found, list)
    monkeypatch.setattr("bonafide.detectors.speech.voice_probe.FAR", 0.5)
    found = measured(babble(6))
    assert isinstance(found, NotApplicable) and "resembles none" in found.why


def test_a_video_with_a_sound_track_is_asked(near: Plane) -> None:
    import io

    import av

    picture = photograph(192, 128)
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mp4") as output:
        video = output.add_stream("mpeg4", rate=5)
        video.width, video.height = 192, 128
        audio = output.add_stream("aac", rate=RATE, layout="mono")
        for _ in range(15):
            output.mux(video.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        spoken = np.rint(babble(3) * 32767).astype(np.int16)[None]
        frame = av.AudioFrame.from_ndarray(spoken, format="s16", layout="mono")
        frame.sample_rate = RATE
        resampler = av.AudioResampler("fltp", "mono", RATE, frame_size=audio.frame_size)
        for one in (*resampler.resample(frame), *resampler.resample(None)):
            output.mux(audio.encode(one))
        output.mux(audio.encode(None))
        output.mux(video.encode(None))
    report = examine(buffer.getvalue(), Settings(only=(CARD.id,)))
    assert report.findings[0].status is Status.OK
    assert Question.VOICE_CLONED in {answer.question for answer in report.verdict.answers}


def test_a_picture_and_a_silent_video_are_not() -> None:
    from bonafide.media.image import Image
    from bonafide.media.media import Media

    picture = Media.of_image(Image.of_pixels(photograph(64, 64), "picture"))
    found = Detector().measure(Context(picture))
    assert isinstance(found, NotApplicable) and "no sound" in found.why


def test_damaged_weights_are_a_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / f"{CARD.id}-{CARD.version}.onnx").write_bytes(b"no network")
    monkeypatch.setenv("BONAFIDE_WEIGHTS", str(tmp_path))
    assert isinstance(measured(babble(3)), Failed)
