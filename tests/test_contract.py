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
from bonafide.media.source import open_media
from bonafide.testing import HEADINGS, check_detector, sample_files
from bonafide.types import Card, Finding, Label, Question, Region


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
            if media.kind == "image":
                assert media.pixels.shape == (media.height, media.width, 3)
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
        def __call__(self, media: Any) -> Finding:
            return behave(media)

    module = ModuleType("probe", docstring)
    module.CARD, module.Detector = card, Detector
    return module


def good(media: Any, **changes: Any) -> Finding:
    fields: dict[str, Any] = {
        "summary": "The mean level is 3.",
        "score": 1.0,
        "facts": {"level": 3.0},
        "heatmap": np.zeros((media.height, media.width), np.float32),
        "regions": (Region(0, 0, 1, 1, 2.0),),
    }
    return CARD.finding(**(fields | changes))


def test_a_good_detector_passes() -> None:
    check_detector(make_module(good))


def test_a_detector_that_is_never_applicable_passes() -> None:
    check_detector(make_module(lambda media: CARD.not_applicable("it has nothing to say")))


BROKEN = {
    "returned NoneType": lambda media: None,
    "is more than one sentence": lambda media: good(media, summary="It is 3. It is large."),
    "has no full stop": lambda media: good(media, summary="It is 3"),
    "`summary` is empty": lambda media: good(media, summary=""),
    "not declared": lambda media: good(media, facts={"other": 1}),
    "no JSON value": lambda media: good(media, facts={"level": np.float32(1)}),
    "not JSON-safe": lambda media: good(media, facts={"level": float("nan")}),
    "finite Python number": lambda media: good(media, score=float("inf")),
    "score is np": lambda media: good(media, score=np.float64(1)),
    "outside [0, 1]": lambda media: good(media, probability=1.5),
    "not inside the picture": lambda media: good(
        media, regions=(Region(0, 0, media.width + 1, 1),)
    ),
    "not strongest first": lambda media: good(
        media, regions=(Region(0, 0, 1, 1, 1.0), Region(0, 0, 1, 1, 2.0))
    ),
    "over 20": lambda media: good(media, regions=(Region(0, 0, 1, 1),) * 21),
    "not float32": lambda media: good(media, heatmap=np.zeros((media.height, media.width))),
    "the heatmap is (1, 1)": lambda media: good(media, heatmap=np.zeros((1, 1), np.float32)),
    "not [0, 1]": lambda media: good(
        media, heatmap=np.full((media.height, media.width), 1.5, np.float32)
    ),
    "not finite": lambda media: good(
        media, heatmap=np.full((media.height, media.width), np.nan, np.float32)
    ),
    "may set `claim`": lambda media: good(media, claim=Label.MANIPULATED),
    "finding.version": lambda media: replace(good(media), version="2"),
    "`why` is empty": lambda media: CARD.not_applicable(""),
    "is set": lambda media: replace(CARD.not_applicable("no"), score=1.0),
    "raised ValueError": lambda media: (_ for _ in ()).throw(ValueError("oops")),
    "global random generator": lambda media: good(media, score=float(np.random.rand())),
    "differs from the first": lambda media: good(
        media, score=float(np.random.default_rng().random())
    ),
    "another heatmap": lambda media: good(
        media,
        heatmap=np.random.default_rng().random((media.height, media.width), np.float32),
    ),
}


@pytest.mark.parametrize("message", BROKEN)
def test_a_broken_rule_is_named(message: str) -> None:
    with pytest.raises(AssertionError) as caught:
        check_detector(make_module(BROKEN[message]))
    assert message in str(caught.value)
    assert "probe" in str(caught.value)


def test_a_detector_that_writes_to_pixels_is_caught() -> None:
    def scribble(media: Any) -> Finding:
        media.stored_pixels.flags.writeable = True
        media.stored_pixels[0, 0, 0] ^= 1
        return good(media)

    with pytest.raises(AssertionError, match="pixels of the media were changed"):
        check_detector(make_module(scribble))


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
