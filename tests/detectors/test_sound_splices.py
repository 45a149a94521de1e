"""Splices in sound are found with their times; what is one recording is left alone."""

from __future__ import annotations

import json

import numpy as np
import pytest

from bonafide import Settings, examine
from bonafide.detectors.speech.sound_splices import CARD, LEAST, Detector, peaks
from bonafide.media.context import Context
from bonafide.media.source import open_media
from bonafide.questions import Decision, Label, Question
from bonafide.testing import photograph
from bonafide.testing.sounds import RATE, babble, wav
from bonafide.train.augment_sound import encoded
from bonafide.types import Measurement, NotApplicable

SECONDS = 20


@pytest.fixture(scope="module")
def recording() -> np.ndarray:
    """Speech over noise that never stops."""
    random = np.random.default_rng(5)
    noise = random.normal(0, 0.003, SECONDS * RATE)
    return (0.4 * babble(SECONDS) + noise).astype(np.float32)


def measured(samples: np.ndarray, name: str = "call.wav") -> list[Measurement]:
    found = Detector().measure(Context(open_media(wav(samples), name)))
    assert isinstance(found, list)
    return found


def muted(samples: np.ndarray) -> np.ndarray:
    """Half a second is exactly silent, from 8 s on."""
    made = samples.copy()
    made[8 * RATE : 8 * RATE + RATE // 2] = 0
    return made


def test_one_recording_is_left_alone(recording: np.ndarray) -> None:
    (whole,) = measured(recording)
    assert whole.score is not None and LEAST <= whole.score < 0
    assert whole.facts["splices"] == 0 and not whole.contradiction
    assert set(whole.facts) == set(CARD.facts)
    json.dumps(whole.facts)


def test_a_muted_word_is_marked_where_it_was(recording: np.ndarray) -> None:
    whole, *places = measured(muted(recording))
    assert whole.contradiction and whole.facts["splices"] == len(places) == 1
    (place,) = places
    assert place.where.track == "audio" and place.where.span is not None
    assert place.where.span.start == pytest.approx(8.0, abs=0.01)
    assert place.where.span.end == pytest.approx(8.5, abs=0.01)
    assert "silent" in place.summary and "silence" in whole.summary


def test_a_cut_in_hum_is_marked(recording: np.ndarray) -> None:
    times = np.arange(len(recording)) / RATE
    hum = sum(0.004 / one * np.sin(2 * np.pi * 50.03 * one * times) for one in (1, 2, 3))
    humming = (recording + hum).astype(np.float32)
    (whole,) = measured(humming)
    assert whole.facts["splices"] == 0 and whole.facts["hum_share"] > 0.3
    cut = np.concatenate([humming[: 9 * RATE], humming[9 * RATE + RATE // 2 + 160 :]])
    whole, place = measured(cut)
    assert whole.facts["traces"] == ["mains hum"] and "phase" in place.summary
    assert whole.facts["times"] == [pytest.approx(9.0, abs=0.3)]


def test_a_word_put_into_sound_that_was_an_mp3_is_marked_at_both_ends(
    recording: np.ndarray,
) -> None:
    kept = encoded(recording, "libmp3lame", "mp3", RATE, 48_000)
    other = (0.4 * babble(3, seed=4)).astype(np.float32)[: RATE // 2 + 100]
    whole, place = measured(np.concatenate([kept[: 9 * RATE], other, kept[9 * RATE :]]))
    assert whole.facts["traces"] == ["frame grid"] and whole.facts["grid"] == "MP3"
    assert place.where.span is not None and "MP3" in place.summary
    assert place.where.span.start == pytest.approx(9.0, abs=0.15)
    assert place.where.span.end == pytest.approx(9.5, abs=0.15)


def test_it_is_never_an_accusation(recording: np.ndarray) -> None:
    report = examine(wav(muted(recording)), Settings(only=(CARD.id,)))
    assert report.verdict.label is Label.INCONCLUSIVE
    (answer,) = report.verdict.answers
    assert answer.question is Question.EDITED and answer.decision is not Decision.ACCUSED
    assert [reason.detector for reason in report.verdict.because] == [CARD.id]


def test_places_are_marked_in_the_calibrated_report(recording: np.ndarray) -> None:
    report = examine(wav(muted(recording)), Settings(only=(CARD.id,)))
    (finding,) = report.findings
    assert finding.hit and finding.llr is None
    (_, known) = finding.parts[1]
    assert known is not None and known.threshold == 0.0
    clean = examine(wav(recording), Settings(only=(CARD.id,)))
    assert not clean.findings[0].hit


def test_the_score_lies_along_time(recording: np.ndarray) -> None:
    (series,) = measured(recording)[0].series
    assert len(series.times) == len(series.values) <= 600
    assert (np.diff(series.times) > 0).all() and series.times[-1] <= SECONDS


@pytest.mark.parametrize("seconds", [0.5, 3.0])
def test_short_sound_has_nothing_to_compare(seconds: float) -> None:
    found = Detector().measure(Context(open_media(wav(babble(seconds)), "call.wav")))
    assert isinstance(found, NotApplicable) and "short" in found.why


def test_silence_throughout_is_no_splice() -> None:
    (whole,) = measured(np.zeros(6 * RATE, np.float32))
    assert whole.facts["splices"] == 0


def test_a_picture_has_no_sound() -> None:
    from bonafide.media.image import Image
    from bonafide.media.media import Media

    picture = Media.of_image(Image.of_pixels(photograph(64, 64), "picture"))
    assert isinstance(Detector().measure(Context(picture)), NotApplicable)


def test_peaks_are_the_largest_nearby() -> None:
    values = np.array([0, 1, 0, 3, 3, 0, 2, 0], np.float32)
    assert peaks(values, 2) == [3]
    assert peaks(values, 1) == [1, 3, 6]
    assert peaks(values[:0], 2) == []
