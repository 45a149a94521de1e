"""Changed copies: which are asked about, what counts, and when an accusation is withdrawn."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import fields, replace

import numpy as np
import pytest
from skimage import data as photographs

import bonafide
from bonafide import registry
from bonafide.evidence import stability
from bonafide.evidence.calibration import Calibration, calibrate
from bonafide.evidence.verdict import decide
from bonafide.media.image import Image
from bonafide.media.limits import Limits
from bonafide.types import Card, Finding, Label, Media, Question, Stability, Status

PIXELS = np.random.default_rng(0).integers(0, 255, (90, 130, 3), np.uint8)
BONA_FIDE = sorted(np.random.default_rng(1).normal(-1, 1, 999).tolist())


def entry(detector: str) -> dict[str, object]:
    version = registry.card(detector).version
    return {
        "version": version,
        "knots": [[0.0, -3.0], [10.0, 7.0]],
        "threshold": 5.0,
        "false_positive_rate": 0.01,
    }


def fused(detector: str) -> dict[str, object]:
    return {"weights": {detector: 1.0}, "bona_fide": BONA_FIDE, "miss_rate": 0.4}


# Real detectors, since what a change erases is read from their classes.
TABLE = Calibration(
    {name: entry(name) for name in ("copy_move", "jpeg_ghost", "spectral_peaks")},
    {"generator_metadata": {"llr": 4.0}},
    {
        "edited": {
            "weights": {"copy_move": 1.0, "jpeg_ghost": 1.0},
            "bona_fide": BONA_FIDE,
            "miss_rate": 0.4,
        },
        "synthetic": fused("spectral_peaks"),
    },
    "made up",
    "test",
)


def finding(detector: str, score: float) -> Finding:
    return calibrate(registry.card(detector).finding(score=score, summary="s."), TABLE)


def held(found: list[Finding], on_copy: Callable[[Media, Card], Finding]) -> Stability:
    def ask(media: Media, cards: tuple[Card, ...]) -> tuple[Finding, ...]:
        return tuple(calibrate(on_copy(media, card), TABLE) for card in cards)

    drawn = decide(found, TABLE)
    return stability.check(PIXELS, found, drawn, TABLE, ask, time.monotonic() + 60)


def always(score: float) -> Callable[[Media, Card], Finding]:
    return lambda media, card: card.finding(score=score)


@pytest.mark.parametrize("detector", registry.ids())
def test_detectors_say_things_that_exist_about_themselves(detector: str) -> None:
    known = registry.module(detector).Detector
    kinds = {change.kind for change in stability.CHANGES}
    assert set(getattr(known, "erased_by", ())) <= kinds
    assert set(getattr(known, "options", ())) <= {f.name for f in fields(bonafide.Settings)}


def test_the_copies_are_what_they_say() -> None:
    size = {}
    for change in stability.CHANGES:
        copy = Image(change.apply(PIXELS))
        size[change.name] = copy.format, copy.width, copy.height
    assert size == {
        "jpeg:90": ("JPEG", 130, 90),
        "jpeg:75": ("JPEG", 130, 90),
        "scale:1.25": ("BMP", 162, 112),
        "scale:0.75": ("BMP", 98, 68),
        "scale:0.5": ("BMP", 65, 45),
        "crop:1": ("BMP", 127, 85),
        "crop:0.75": ("BMP", 98, 68),
    }
    shifted = next(change for change in stability.CHANGES if change.name == "crop:1")
    assert np.array_equal(Image(shifted.apply(PIXELS)).pixels, PIXELS[5:, 3:])


@pytest.mark.parametrize("side", [1, 2])
def test_the_smallest_pictures_have_copies_too(side: int) -> None:
    for change in stability.CHANGES:
        copy = Image(change.apply(np.zeros((side, side, 3), np.uint8)))
        assert min(copy.width, copy.height) >= 1


def test_an_accusation_that_holds_on_the_copies_stands() -> None:
    found = [finding("copy_move", 10.0)]
    outcome = held(found, always(9.0))
    assert outcome.accusation is Label.MANIPULATED and outcome.survived
    assert "stands on 4 of 4 mildly changed copies" in outcome.text
    assert stability.withdraw(decide(found, TABLE), outcome).label is Label.MANIPULATED


def test_an_accusation_that_most_mild_copies_do_not_share_is_withdrawn() -> None:
    found = [finding("copy_move", 10.0)]
    outcome = held(found, always(0.0))
    assert outcome.survived is False
    drawn = stability.withdraw(decide(found, TABLE), outcome)
    assert drawn.label is Label.INCONCLUSIVE and drawn.caveat == outcome.text
    assert drawn.because and "4 of 4" in drawn.caveat


def test_strong_changes_are_reported_and_do_not_count() -> None:
    def weak_when_small(media: Media, card: Card) -> Finding:
        small = media.format == "BMP" and min(media.width, media.height) <= 45  # type: ignore[attr-defined]
        return card.finding(score=0.0 if small else 9.0)

    outcome = held([finding("copy_move", 10.0)], weak_when_small)
    fallen = [v.name for v in outcome.variants if v.probabilities[Question.EDITED] < 0.5]
    assert fallen == ["scale:0.5"] and outcome.survived


def test_what_a_save_erases_cannot_refute() -> None:
    found = [finding("jpeg_ghost", 10.0)]
    outcome = held(found, always(9.0))
    assert {"jpeg:90", "jpeg:75", "scale:0.5"} <= set(outcome.skipped)
    assert {variant.name for variant in outcome.variants} == {"crop:1", "crop:0.75"}
    both = [finding("jpeg_ghost", 10.0), finding("copy_move", 0.0)]
    copies = held(both, always(0.0))
    kept = {v.name: v.probabilities[Question.EDITED] for v in copies.variants}
    assert kept["jpeg:90"] > 0.95  # the ghost counts as it was found
    assert kept["crop:1"] < 0.5


def test_without_a_fair_test_an_accusation_is_neither_confirmed_nor_refuted() -> None:
    def unreadable(media: Media, card: Card) -> Finding:
        return card.not_applicable("too small")

    found = [finding("copy_move", 10.0)]
    outcome = held(found, unreadable)
    assert outcome.variants == () and outcome.survived is None
    assert stability.withdraw(decide(found, TABLE), outcome).label is Label.MANIPULATED


def test_a_part_may_lie_in_what_a_crop_cut_away_but_a_whole_may_not() -> None:
    def only_off_the_middle(media: Media, card: Card) -> Finding:
        cut = media.format == "BMP" and media.width == 98  # type: ignore[attr-defined]
        return card.finding(score=0.0 if cut else 9.0)

    edited = held([finding("copy_move", 10.0)], only_off_the_middle)
    assert "of 4 mildly" in edited.text
    synthetic = held([finding("spectral_peaks", 10.0)], only_off_the_middle)
    assert "of 3 mildly" in synthetic.text  # scales erase it, both crops and a save do not


def test_claims_are_not_put_to_the_test() -> None:
    card = registry.card("generator_metadata")
    claim = calibrate(card.finding(claim=Label.AI_GENERATED, summary="s."), TABLE)
    outcome = held([claim, finding("spectral_peaks", 0.0)], always(0.0))
    assert outcome.accusation is None and outcome.survived is None
    assert outcome.text.endswith("the probability of a generator is 73 %.")


def test_nothing_weighed_is_nothing_to_ask() -> None:
    silent = Finding("copy_move", "1", Question.EDITED, Status.NOT_APPLICABLE, why="small")
    outcome = held([silent], always(9.0))
    assert outcome.variants == () and outcome.text


def test_it_stops_when_the_time_is_up() -> None:
    found = [finding("copy_move", 10.0)]
    drawn = decide(found, TABLE)
    outcome = stability.check(
        PIXELS, found, drawn, TABLE, lambda media, cards: (), time.monotonic() - 1
    )
    assert outcome.variants == () and "--max-seconds" in outcome.skipped["jpeg:90"]


def test_copies_are_held_to_the_limits_of_the_settings() -> None:
    found = [finding("copy_move", 9.0)]
    drawn = decide(found, TABLE)
    seen: list[Limits] = []

    def ask(media: Media, cards: tuple[Card, ...]) -> tuple[Finding, ...]:
        assert isinstance(media, Image)
        seen.append(media._limits)
        return tuple(calibrate(always(9.0)(media, card), TABLE) for card in cards)

    limits = Limits(pixels=PIXELS.shape[0] * PIXELS.shape[1], frames=7)
    checked = stability.check(PIXELS, found, drawn, TABLE, ask, time.monotonic() + 60, limits)
    assert seen and all(one == limits for one in seen)
    assert "--max-pixels" in checked.skipped["scale:1.25"]
    assert "scale:0.75" not in checked.skipped


def test_no_copy_is_begun_that_would_take_too_long() -> None:
    found = [replace(finding("copy_move", 10.0), seconds=100.0)]
    outcome = held(found, always(9.0))
    assert outcome.variants == () and len(outcome.skipped) == len(stability.CHANGES)


def test_the_whole_path_reports_it_and_leaves_the_rest_alone() -> None:
    only = ("spectral_peaks", "noise_level")
    media = Image(stability.CHANGES[0].apply(photographs.chelsea()[:200, :260]))
    plain = bonafide.examine(media, bonafide.Settings(only=only))
    checked = bonafide.examine(media, bonafide.Settings(only=only, stability=True))
    assert plain.stability is None
    assert checked.stability is not None and checked.stability.variants
    assert checked.stability.text in checked.explanation
    timeless = [[replace(f, seconds=0) for f in r.findings] for r in (plain, checked)]
    assert timeless[0] == timeless[1]
    assert plain.verdict == checked.verdict
