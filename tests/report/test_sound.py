"""A sound on the page: its wave, its spectrum, what was marked, and a player."""

from __future__ import annotations

import base64
import io
import re

import av
import numpy as np
import pytest
from PIL import Image as Pillow

from bonafide import open_media
from bonafide.media.media import Media
from bonafide.questions import Kind, Label, Question, Verdict
from bonafide.regions import Series, Span, Where
from bonafide.report import sound as drawing
from bonafide.report.html import render_section, style
from bonafide.report.sound import BANDS, sound
from bonafide.testing import photograph
from bonafide.testing.sounds import RATE, babble, wav
from bonafide.types import Calibrated, Card, Finding, Measurement, MediaFacts, Report

SECONDS = 12.0


@pytest.fixture(scope="module")
def media() -> Media:
    return open_media(wav(babble(SECONDS)), "call.wav")


@pytest.fixture(scope="module")
def report() -> Report:
    card = Card("voice_probe", "1", Question.VOICE_CLONED, "Voice", (Kind.AUDIO,))
    stretches = [
        Measurement(score, "A stretch.", Where("audio", Span(begin, begin + 4)))
        for begin, score in ((0.0, -1.0), (4.0, 2.5), (8.0, 0.5))
    ]
    series = Series(np.array([2.0, 6.0, 10.0]), np.array([-1, 2.5, 0.5], np.float32))
    whole = Measurement(0.7, "The voice was measured.", series=(series,))
    known = Calibrated(1.0, 0.7, 2.0, 0.02, "sound")
    found = Finding.of(card, whole, *stretches)
    found = Finding(
        found.detector, found.version, found.question, found.status, "",
        tuple((one, known) for one, _ in found.parts),
    )  # fmt: skip
    facts = MediaFacts(
        "call.wav", None, "ab" * 32, 9, Kind.AUDIO, "WAV", details={"audio_seconds": SECONDS}
    )
    verdict = Verdict(Label.INCONCLUSIVE, (), (), "Too little to say.")
    return Report(facts, (found,), verdict, (), {}, {}, {}, "2026-01-02T03:04:05+00:00")


def test_only_stretches_over_the_threshold_are_marked(report: Report, media: Media) -> None:
    shown = sound(report, media)
    assert shown is not None
    (mark,) = shown.marks
    assert (mark.x, mark.width) == (pytest.approx(333.3, abs=1), pytest.approx(333.3, abs=1))
    assert "0:04" in mark.words and "0:08" in mark.words
    assert shown.seconds == pytest.approx(SECONDS, abs=0.1)


def test_the_spectrum_has_low_frequencies_at_the_bottom(report: Report) -> None:
    tone = 0.5 * np.sin(2 * np.pi * 300 * np.arange(6 * RATE) / RATE).astype(np.float32)
    shown = sound(report, open_media(wav(tone), "tone.wav"))
    assert shown is not None
    data = base64.b64decode(shown.spectrum.removeprefix("data:image/png;base64,"))
    levels = np.asarray(Pillow.open(io.BytesIO(data)).convert("L"), float)
    assert levels.shape[0] == BANDS
    assert levels.mean(1).argmax() > 0.8 * BANDS


def test_the_player_plays_the_sound(report: Report, media: Media) -> None:
    shown = sound(report, media)
    assert shown is not None
    data = base64.b64decode(shown.player.removeprefix("data:audio/mpeg;base64,"))
    with av.open(io.BytesIO(data)) as file:
        samples = sum(frame.samples for frame in file.decode(audio=0))
        assert samples / file.streams.audio[0].rate == pytest.approx(SECONDS, abs=0.3)


def test_a_long_sound_takes_few_columns_and_a_part_of_it_is_played(
    report: Report, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drawing, "MOST_HEARD", 5.0)
    shown = sound(report, open_media(wav(np.tile(babble(10), 12)), "long.wav"))
    assert shown is not None
    assert shown.heard == pytest.approx(5.0, abs=0.1)
    assert shown.wave.count("L") < 4 * drawing._COLUMNS


def test_the_page_holds_it_all(report: Report, media: Media) -> None:
    page = render_section(report, media)
    assert page.count("<audio controls") == 1
    assert len(re.findall(r"<li data-seconds=", page)) == 1
    assert ".sound .wave" in style()


def test_what_has_no_sound_shows_none(report: Report) -> None:
    from bonafide.media.image import Image

    picture = Media.of_image(Image.of_pixels(photograph(64, 64), "picture"))
    assert sound(report, picture) is None
    assert sound(report, None) is None
