"""Changed copies: which are asked about, what counts, and when an accusation is withdrawn."""

from __future__ import annotations

import io
import time
from collections.abc import Callable
from dataclasses import fields, replace

import numpy as np
import pytest
from PIL import Image as Pillow
from skimage import data as photographs

import bonafide
from bonafide import registry
from bonafide.evidence import stability
from bonafide.evidence.calibration import Calibration, calibrate
from bonafide.evidence.reference import HEAD, Reference
from bonafide.evidence.verdict import decide
from bonafide.media.limits import Limits
from bonafide.media.media import Media
from bonafide.media.source import open_media
from bonafide.types import (
    Card,
    Carrier,
    Claim,
    Decision,
    Finding,
    Label,
    Measurement,
    Question,
    Stability,
    Status,
)

PIXELS = np.random.default_rng(0).integers(0, 255, (90, 130, 3), np.uint8)


def entry(detector: str) -> dict[str, object]:
    card = registry.card(detector)
    return {
        "version": card.version,
        "question": card.question.value,
        "knots": [[0.0, -3.0], [10.0, 7.0]],
        "threshold": 5.0,
        "false_positive_rate": 0.01,
    }


def reference(*detectors: str) -> Reference:
    drawn = np.random.default_rng(1).normal(-1, 1, (999, len(detectors)))
    rows = [[f"s{n}", 0, "", "other", 1.0, 0, *row] for n, row in enumerate(drawn.tolist())]
    weights = dict.fromkeys(detectors, 1.0)
    return Reference({"weights": weights, "columns": [*HEAD, *detectors], "files": rows})


# Real detectors, since what a change erases is read from their cards.
TABLE = Calibration(
    {name: entry(name) for name in ("copy_move", "jpeg_ghost", "spectral_peaks")},
    {
        "edited": reference("copy_move", "jpeg_ghost"),
        "synthetic": reference("spectral_peaks"),
    },
    "made up",
    "test",
)


def opened(data: bytes) -> Media:
    return open_media(data, "copy")


def size(media: Media) -> tuple[int, int]:
    assert media.image is not None
    return media.image.width, media.image.height


def plain() -> Media:
    out = io.BytesIO()
    Pillow.fromarray(PIXELS).save(out, "PNG")
    return opened(out.getvalue())


def measured(card: Card, score: float) -> Finding:
    return Finding.of(card, Measurement(score=score, summary="s."))


def finding(detector: str, score: float) -> Finding:
    return calibrate(measured(registry.card(detector), score), TABLE)


def held(found: list[Finding], on_copy: Callable[[Media, Card], Finding]) -> Stability:
    def ask(media: Media, cards: tuple[Card, ...]) -> tuple[Finding, ...]:
        return tuple(calibrate(on_copy(media, card), TABLE) for card in cards)

    drawn = decide(found, TABLE)
    return stability.check(plain(), found, drawn, TABLE, ask, time.monotonic() + 600)


def always(score: float) -> Callable[[Media, Card], Finding]:
    return lambda media, card: measured(card, score)


@pytest.mark.parametrize("detector", registry.ids())
def test_detectors_say_things_that_exist_about_themselves(detector: str) -> None:
    card = registry.card(detector)
    assert set(card.erased_by) <= {change.kind for change in stability.CHANGES}
    assert set(card.options) <= {field.name for field in fields(bonafide.Settings)}


def test_the_copies_are_what_they_say() -> None:
    found = {}
    for change in stability.CHANGES:
        copy = opened(change.apply(PIXELS))
        found[change.name] = copy.format, *size(copy)
    assert found == {
        "jpeg:90": ("JPEG", 130, 90),
        "jpeg:75": ("JPEG", 130, 90),
        "scale:1.25": ("BMP", 162, 112),
        "scale:0.75": ("BMP", 98, 68),
        "scale:0.5": ("BMP", 65, 45),
        "crop:1": ("BMP", 127, 85),
        "crop:0.75": ("BMP", 98, 68),
    }
    shifted = next(change for change in stability.CHANGES if change.name == "crop:1")
    copy = opened(shifted.apply(PIXELS)).image
    assert copy is not None and np.array_equal(copy.pixels, PIXELS[5:, 3:])


@pytest.mark.parametrize("side", [1, 2])
def test_the_smallest_pictures_have_copies_too(side: int) -> None:
    for change in stability.CHANGES:
        assert min(size(opened(change.apply(np.zeros((side, side, 3), np.uint8))))) >= 1


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
        small = media.format == "BMP" and min(size(media)) <= 45
        return measured(card, 0.0 if small else 9.0)

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
        return Finding.silent(card, "too small")

    found = [finding("copy_move", 10.0)]
    outcome = held(found, unreadable)
    assert outcome.variants == () and outcome.survived is None
    assert stability.withdraw(decide(found, TABLE), outcome).label is Label.MANIPULATED


def test_a_part_may_lie_in_what_a_crop_cut_away_but_a_whole_may_not() -> None:
    def only_off_the_middle(media: Media, card: Card) -> Finding:
        cut = media.format == "BMP" and size(media)[0] == 98
        return measured(card, 0.0 if cut else 9.0)

    edited = held([finding("copy_move", 10.0)], only_off_the_middle)
    assert "of 4 mildly" in edited.text
    synthetic = held([finding("spectral_peaks", 10.0)], only_off_the_middle)
    assert "of 3 mildly" in synthetic.text  # scales erase it, both crops and a save do not


def claim(carrier: Carrier) -> Finding:
    said = Measurement(summary="s.", claim=Claim(Label.AI_GENERATED, carrier))
    return Finding.of(registry.card("generator_metadata"), said)


def test_claims_are_not_put_to_the_test() -> None:
    found = [claim(Carrier.VALID_SIGNATURE), finding("spectral_peaks", 0.0)]
    outcome = held(found, always(0.0))
    assert outcome.accusation is None and outcome.survived is None
    assert outcome.text.endswith("the probability of generation is 5 %.")


def test_what_text_declares_stands_when_the_accusation_beside_it_falls() -> None:
    found = [claim(Carrier.UNSIGNED_TEXT), finding("spectral_peaks", 10.0)]
    drawn = decide(found, TABLE)
    assert drawn.label is Label.AI_GENERATED
    outcome = held(found, always(0.0))
    assert outcome.accusation is Label.AI_GENERATED and outcome.survived is False
    fallen = stability.withdraw(drawn, outcome, found)
    assert fallen.label is Label.DECLARED_AI
    assert [answer.decision for answer in fallen.answers] == [Decision.INCONCLUSIVE]


def test_nothing_weighed_is_nothing_to_ask() -> None:
    silent = Finding.silent(registry.card("copy_move"), "small", Status.NOT_APPLICABLE)
    outcome = held([silent], always(9.0))
    assert outcome.variants == () and outcome.text


def test_it_stops_when_the_time_is_up() -> None:
    found = [finding("copy_move", 10.0)]
    drawn = decide(found, TABLE)
    outcome = stability.check(
        plain(), found, drawn, TABLE, lambda media, cards: (), time.monotonic() - 1
    )
    assert outcome.variants == () and "--max-seconds" in outcome.skipped["jpeg:90"]


def test_copies_are_held_to_the_limits_of_the_settings() -> None:
    found = [finding("copy_move", 9.0)]
    drawn = decide(found, TABLE)
    seen: list[Limits] = []

    def ask(media: Media, cards: tuple[Card, ...]) -> tuple[Finding, ...]:
        assert media.image is not None
        seen.append(media.image.limits)
        return tuple(calibrate(always(9.0)(media, card), TABLE) for card in cards)

    limits = Limits(pixels=PIXELS.shape[0] * PIXELS.shape[1], frames=7)
    checked = stability.check(plain(), found, drawn, TABLE, ask, time.monotonic() + 600, limits)
    assert seen and all(one == limits for one in seen)
    assert "--max-pixels" in checked.skipped["scale:1.25"]
    assert "scale:0.75" not in checked.skipped


def test_no_copy_is_begun_that_would_take_too_long() -> None:
    found = [replace(finding("copy_move", 10.0), seconds=1000.0)]
    outcome = held(found, always(9.0))
    assert outcome.variants == () and len(outcome.skipped) == len(stability.CHANGES)


def test_the_whole_path_reports_it_and_leaves_the_rest_alone() -> None:
    only = ("clip_probe", "noise_level")
    media = opened(stability.CHANGES[0].apply(photographs.chelsea()[:200, :260]))
    once = bonafide.examine(media, bonafide.Settings(only=only))
    checked = bonafide.examine(media, bonafide.Settings(only=only, stability=True))
    assert once.stability is None
    assert checked.stability is not None and checked.stability.variants
    assert checked.stability.text in checked.explanation
    timeless = [[replace(f, seconds=0) for f in r.findings] for r in (once, checked)]
    assert timeless[0] == timeless[1]
    assert once.verdict == checked.verdict
