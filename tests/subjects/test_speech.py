"""Stretches of speech: found where somebody speaks, and nowhere else."""

from __future__ import annotations

import io
import tracemalloc
import wave
from pathlib import Path

import numpy as np
import pytest

from bonafide.errors import UnsupportedFormat
from bonafide.media.audio import AudioTrack
from bonafide.media.context import Context
from bonafide.media.source import open_media
from bonafide.regions import Span
from bonafide.subjects.speech import SPEECH, Speech, find_speech, stretches
from bonafide.testing import photograph
from bonafide.testing.sounds import RATE, babble, wav


def track(samples: np.ndarray, rate: int = RATE) -> AudioTrack:
    found = open_media(wav(samples, rate), "sound.wav").audio
    assert found is not None
    return found


def test_speech_is_found_between_pauses() -> None:
    pause = np.zeros(3 * RATE, np.float32)
    sound = np.concatenate([pause, babble(5), pause, babble(4, seed=1), pause])
    speech = find_speech(track(sound))
    assert speech.out_of_scope is None
    assert speech.heard == pytest.approx(18, abs=0.01)
    assert speech.spans[0].start == pytest.approx(3, abs=0.3)
    assert speech.spans[-1].end == pytest.approx(15, abs=0.3)
    inside = [span for span in speech.spans if 8.3 < span.start < 10.7]
    assert not inside
    assert speech.seconds > 6


@pytest.mark.parametrize("rate", [8_000, 44_100])
def test_other_sample_rates(rate: int) -> None:
    sound = babble(5)
    places = np.arange(int(5 * rate)) / rate * RATE
    speech = find_speech(track(np.interp(places, np.arange(len(sound)), sound), rate))
    assert speech.seconds > 3


TIMES = np.arange(5 * RATE) / RATE


@pytest.mark.parametrize(
    ("sound", "why"),
    [
        (np.zeros(5 * RATE), "silent"),
        (np.random.default_rng(0).normal(0, 0.1, 5 * RATE), "no speech"),
        (sum(0.1 * np.sin(2 * np.pi * f * TIMES) for f in (220, 277, 330)), "no speech"),
        (np.concatenate([babble(1.2), np.zeros(4 * RATE)]), "2 s are needed"),
    ],
    ids=["silence", "noise", "chord", "too little"],
)
def test_what_is_no_speech_is_out_of_scope(sound: np.ndarray, why: str) -> None:
    assert why in (find_speech(track(sound)).out_of_scope or "")


def test_stretches_leave_pauses_out() -> None:
    pause = np.zeros(2 * RATE, np.float32)
    one, other = babble(3), babble(5, seed=1)
    found = track(np.concatenate([one, pause, other]))
    speech = Speech((Span(0, 3), Span(5, 10)), 10, 0.5)
    first, second = stretches(found, speech, 4.0, 9)
    assert (first.span, second.span) == (Span(0, pytest.approx(6)), Span(pytest.approx(6), 10))
    spoken = np.concatenate([one, other])
    assert np.abs(first.samples - spoken[: 4 * RATE]).max() < 1e-4
    assert np.abs(second.samples - spoken[4 * RATE :]).max() < 1e-4


def test_stretches_are_spread() -> None:
    found = track(babble(20))
    speech = Speech((Span(0, 20),), 20, 0.5)
    starts = [one.span.start for one in stretches(found, speech, 2.0, 3)]
    assert starts == pytest.approx([0, 8, 18], abs=2.1)
    short = Speech((Span(0, 1.5),), 20, 0.5)
    assert [len(one.samples) for one in stretches(found, short, 4.0, 3)] == [1.5 * RATE]


def test_a_picture_has_no_sound() -> None:
    from bonafide.media.image import Image
    from bonafide.media.media import Media

    picture = Media.of_image(Image.of_pixels(photograph(64, 64), "picture"))
    with pytest.raises(UnsupportedFormat):
        Context(picture).get(SPEECH)


def test_memory_does_not_grow_with_the_length(tmp_path: Path) -> None:
    second = wav(babble(10))[44:]
    peaks = []
    for count in (6, 30):
        path = tmp_path / f"{count}.wav"
        with wave.open(str(path), "wb") as file:
            file.setparams((1, 2, RATE, 0, "NONE", ""))
            for _ in range(count):
                file.writeframes(second)
        media = open_media(path)
        tracemalloc.start()
        assert media.audio is not None
        speech = find_speech(media.audio)
        assert len(list(stretches(media.audio, speech, 4.0, 3))) == 3
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.5 * peaks[0]


def test_a_cut_file_gives_what_it_has() -> None:
    whole = wav(babble(8))
    media = open_media(io.BytesIO(whole[: len(whole) // 2]), name="cut.wav")
    assert media.audio is not None
    assert 2 < find_speech(media.audio).heard < 5
