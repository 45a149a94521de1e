"""Every detector keeps the contract, and the contract notices those that do not."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from bonafide import registry
from bonafide.errors import MediaError
from bonafide.media.context import Context
from bonafide.media.image import Image
from bonafide.media.source import open_media
from bonafide.testing import HEADINGS, check_detector, check_finding, sample_files
from bonafide.types import (
    Box,
    Card,
    Carrier,
    Claim,
    Failed,
    Finding,
    Label,
    Measured,
    Measurement,
    NotApplicable,
    Question,
    Region,
    ScoreMap,
    Series,
    Span,
    Status,
    Where,
)


@pytest.mark.parametrize("detector", registry.ids())
def test_detector_keeps_the_contract(detector: str) -> None:
    """In a process of its own: threads that servers of other tests left draw random numbers."""
    code = f"from bonafide.testing import check_detector; check_detector({detector!r})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_sample_files_are_the_same_every_time_and_most_of_them_open() -> None:
    first = dict(sample_files())
    sample_files.cache_clear()
    again = dict(sample_files())
    # FFmpeg stamps nothing random into this clip, and Pillow nothing into pictures.
    assert first == again
    refused = set()
    for name, data in first.items():
        try:
            media = open_media(data, name)
            if (image := media.image) is not None:
                assert image.pixels.shape == (image.height, image.width, 3)
        except MediaError:
            refused.add(name)
    assert {"empty.jpg", "text.png", "only_magic.jpg", "bomb.png", "bomb.jpg"} <= refused
    assert len(refused) <= 10


# ---- detectors that break one rule each ----

CARD = Card(
    id="probe",
    version="1",
    question=Question.EDITED,
    title="Probe",
    facts={"level": "mean level [8-bit levels]"},
    paper="A. Author, 2020",
    limits="It is a test.",
)
DOCSTRING = "One line.\n\n" + "\n\n".join(f"{heading}\n    Words." for heading in HEADINGS)


def make_module(behave: Any, card: Card = CARD, docstring: str | None = DOCSTRING) -> ModuleType:
    class Detector:
        def measure(self, ctx: Context) -> Measured:
            return behave(ctx.image)

    module = ModuleType("probe", docstring)
    module.CARD, module.Detector = card, Detector
    return module


def even(image: Image, level: float = 0.0, **changes: Any) -> ScoreMap:
    """A map of cells of 8 pixels that all have one value."""
    shape = (-(-image.height // 8), -(-image.width // 8))
    values = np.full(shape, level, np.float32)
    return replace(ScoreMap(values, 8, image.width, image.height), **changes)


def good(image: Image, **changes: Any) -> list[Measurement]:
    fields: dict[str, Any] = {
        "summary": "The mean level is 3.",
        "score": 1.0,
        "facts": {"level": 3.0},
        "maps": (even(image),),
        "series": (Series(np.array([0.0, 1.0]), np.array([2.0, 1.0], np.float32)),),
        "regions": (Region(0, 0, 1, 1, 2.0),),
    }
    return [Measurement(**(fields | changes))]


def mapped(image: Image, **changes: Any) -> list[Measurement]:
    return good(image, maps=(even(image, **changes),))


def along(image: Image, times: list[float], values: list[float]) -> list[Measurement]:
    return good(image, series=(Series(np.array(times), np.array(values, np.float32)),))


def test_a_good_detector_passes() -> None:
    check_detector(make_module(good))


def test_a_detector_with_parts_passes() -> None:
    spot = Where("image", box=Box(0, 0, 1, 1))
    check_detector(make_module(lambda image: [*good(image), *good(image, where=spot, maps=())]))


@pytest.mark.parametrize("silent", [NotApplicable("it has nothing to say"), Failed("it is broken")])
def test_a_detector_that_never_measures_passes(silent: NotApplicable | Failed) -> None:
    check_detector(make_module(lambda image: silent))


def test_a_lattice_that_begins_before_the_picture_passes() -> None:
    def behave(image: Image) -> list[Measurement]:
        return mapped(image, values=np.zeros((300, 300), np.float32), left=-3, top=-7)

    check_detector(make_module(behave))


BROKEN = {
    "raised TypeError": lambda image: None,
    "nothing was measured": lambda image: [],
    "returned str, no Measurement": lambda image: ["a sentence"],
    "is more than one sentence": lambda image: good(image, summary="It is 3. It is large."),
    "has no full stop": lambda image: good(image, summary="It is 3"),
    "`summary` is empty": lambda image: good(image, summary=""),
    "not declared": lambda image: good(image, facts={"other": 1}),
    "no JSON value": lambda image: good(image, facts={"level": np.float32(1)}),
    "not JSON-safe": lambda image: good(image, facts={"level": float("nan")}),
    "finite Python number": lambda image: good(image, score=float("inf")),
    "score is np": lambda image: good(image, score=np.float64(1)),
    "laundered is np": lambda image: good(image, laundered=np.float32(0.5)),
    "outside [0, 1]": lambda image: good(image, laundered=1.5),
    "not inside the picture": lambda image: good(
        image, regions=(Region(0, 0, image.width + 1, 1),)
    ),
    "not strongest first": lambda image: good(
        image, regions=(Region(0, 0, 1, 1, 1.0), Region(0, 0, 1, 1, 2.0))
    ),
    "over 20": lambda image: good(image, regions=(Region(0, 0, 1, 1),) * 21),
    "has no ints": lambda image: good(image, regions=(Region(0, 0, np.int64(1), 1),)),
    "ndarray, no ScoreMap": lambda image: good(
        image, maps=(np.zeros((image.height, image.width), np.float32),)
    ),
    "not float32": lambda image: mapped(image, values=np.zeros((300, 300))),
    "the picture": lambda image: mapped(image, width=image.width + 1),
    "miss part of the picture": lambda image: mapped(image, values=np.zeros((1, 1), np.float32)),
    "of 8 pixels miss": lambda image: mapped(
        image, values=np.zeros((300, 300), np.float32), left=1
    ),
    "not [0, 1]": lambda image: mapped(image, level=1.5),
    "values that are not finite": lambda image: mapped(image, level=np.nan),
    "a series has gaps": lambda image: along(image, [0.0, 1.0], [1.0]),
    "a series runs backwards": lambda image: along(image, [1.0, 0.0], [1.0, 1.0]),
    "a series has values": lambda image: along(image, [0.0, 1.0], [1.0, np.inf]),
    "runs backwards": lambda image: good(image, where=Where("video", Span(2.0, 1.0))),
    "the claim is no Claim": lambda image: good(image, claim=Label.MANIPULATED),
    "may set `claim`": lambda image: good(
        image, claim=Claim(Label.MANIPULATED, Carrier.UNSIGNED_TEXT)
    ),
    "`why` is empty": lambda image: NotApplicable(""),
    "raised ValueError": lambda image: (_ for _ in ()).throw(ValueError("oops")),
    "global random generator": lambda image: good(image, score=float(np.random.rand())),
    "differs from the first": lambda image: good(
        image, score=float(np.random.default_rng().random())
    ),
    "another map": lambda image: mapped(image, level=np.random.default_rng().random()),
}


@pytest.mark.parametrize("message", BROKEN)
def test_a_broken_rule_is_named(message: str) -> None:
    with pytest.raises(AssertionError) as caught:
        check_detector(make_module(BROKEN[message]))
    assert message in str(caught.value)
    assert "probe" in str(caught.value)


def test_a_detector_that_writes_to_pixels_is_caught() -> None:
    def scribble(image: Image) -> list[Measurement]:
        image.stored_pixels.flags.writeable = True
        image.stored_pixels[0, 0, 0] ^= 1
        return good(image)

    with pytest.raises(AssertionError, match="pixels of the media were changed"):
        check_detector(make_module(scribble))


@pytest.mark.parametrize(
    ("finding", "message"),
    [
        (Finding.of(replace(CARD, version="2")), "finding.version"),
        (replace(Finding.silent(CARD, "no"), status=Status.OK), "`why` is for findings"),
        (Finding.of(CARD), "nothing was measured"),
        (
            replace(Finding.of(CARD, Measurement(1.0, "It is 1.")), status=Status.FAILED, why="no"),
            "but something was measured",
        ),
    ],
)
def test_a_finding_that_contradicts_itself_is_named(finding: Finding, message: str) -> None:
    media = open_media(sample_files()["photo.jpg"])
    with pytest.raises(AssertionError, match=message):
        check_finding("probe", CARD, media, finding)


def test_a_detector_without_measure_is_named() -> None:
    module = make_module(good)
    module.Detector = type("Detector", (), {"__call__": lambda self, media: None})
    with pytest.raises(AssertionError, match="has no measure"):
        check_detector(module)


@pytest.mark.parametrize(
    ("card", "docstring", "message"),
    [
        (replace(CARD, id="other"), DOCSTRING, "must equal the module's name"),
        (replace(CARD, limits=""), DOCSTRING, "CARD.limits is empty"),
        (replace(CARD, paper="unpublished"), DOCSTRING, "names no year"),
        (replace(CARD, facts={"Level": "x"}), DOCSTRING, "not snake_case"),
        (CARD, None, "no docstring"),
        (CARD, "One line.\n\nReference\n    Words.", "headings"),
    ],
)
def test_a_bad_card_is_named(card: Card, docstring: str | None, message: str) -> None:
    with pytest.raises(AssertionError, match=message):
        check_detector(make_module(good, card, docstring))


def test_a_constructor_that_needs_something_is_named() -> None:
    module = make_module(good)

    class Needy:
        def __init__(self, threshold: float) -> None:
            self.threshold = threshold

    module.Detector = Needy
    with pytest.raises(AssertionError, match="'threshold' of the constructor has no default"):
        check_detector(module)
