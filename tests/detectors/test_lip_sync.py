"""Lips and sound of a video are compared; what cannot be compared is said."""

from __future__ import annotations

import io
import json

import av
import numpy as np
import pytest

from bonafide import Settings, examine
from bonafide.detectors.face.lip_sync import CARD, Detector, _densest
from bonafide.media.context import Context
from bonafide.media.source import open_media
from bonafide.regions import Span
from bonafide.testing.sounds import RATE, babble, wav
from bonafide.types import Measurement, NotApplicable

SECONDS, FPS = 5, 25


def talking(samples: np.ndarray, late: float) -> bytes:
    """A video of a face whose mouth opens with a sound that comes `late` seconds later."""
    data = pytest.importorskip("skimage.data")
    face = np.ascontiguousarray(data.astronaut()[20:244, 112:336])
    power = np.sqrt(np.convolve(samples.astype(float) ** 2, np.ones(800) / 800, "same"))
    power /= power.max()
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="matroska") as output:
        video = output.add_stream("mpeg4", rate=FPS)
        video.width, video.height, video.bit_rate = 224, 224, 2_000_000
        sound = output.add_stream("pcm_s16le", rate=RATE, layout="mono")
        for number in range(SECONDS * FPS):
            width = round(9 * float(power[int(number / FPS * RATE)]))
            picture = face.copy()
            picture[137 - width : 137 + width, 94:126] //= 4
            output.mux(video.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        shifted = np.roll(samples, int(late * RATE))
        given = np.rint(shifted * 32767).astype(np.int16)[None]
        frame = av.AudioFrame.from_ndarray(given, format="s16", layout="mono")
        frame.sample_rate = RATE
        output.mux(sound.encode(frame))  # without a codec, whose delay would count
        output.mux(sound.encode(None))
        output.mux(video.encode(None))
    return buffer.getvalue()


def test_a_late_sound_is_told_in_milliseconds() -> None:
    data = talking(babble(SECONDS, seed=2), 0.2)
    found = Detector().measure(Context(open_media(data, "talk.mkv")))
    assert isinstance(found, list), found
    (whole,) = found
    assert isinstance(whole, Measurement) and whole.score is not None
    assert whole.facts["confidence"] == "clear"
    assert whole.facts["offset_ms"] == pytest.approx(200, abs=60)
    assert set(whole.facts) == set(CARD.facts)
    json.dumps(whole.facts)
    (series,) = whole.series
    assert (np.diff(series.times) > 0).all()
    assert "after the mouth" in whole.summary and not whole.contradiction


def test_it_never_moves_the_verdict() -> None:
    report = examine(talking(babble(SECONDS, seed=2), 0.4), Settings(only=(CARD.id,)))
    assert not report.findings[0].hit and not report.verdict.because


def test_sound_alone_and_silent_pictures_have_nothing_to_compare() -> None:
    found = Detector().measure(Context(open_media(wav(babble(4)), "call.wav")))
    assert isinstance(found, NotApplicable)


def test_where_most_is_spoken_is_looked_at() -> None:
    spans = (Span(1, 2), Span(30, 36), Span(50, 51))
    assert _densest(spans, 60.0) == 30
    assert _densest(spans, 8.0) == 0.0
