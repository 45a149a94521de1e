"""The contract that every detector keeps, ours or a plugin's.

A broken rule raises AssertionError with the detector, the file and the rule in its message.
"""

from __future__ import annotations

import hashlib
import inspect
import json
import math
import pickle
import random
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from types import ModuleType
from typing import Any

import numpy as np

from bonafide import registry
from bonafide.errors import BonafideError, MediaError
from bonafide.media.context import Context
from bonafide.media.image import Image
from bonafide.media.media import Media
from bonafide.media.source import open_media
from bonafide.testing.samples import sample_files
from bonafide.types import (
    Card,
    Claim,
    Failed,
    Finding,
    Kind,
    Measurement,
    NotApplicable,
    Question,
    Region,
    ScoreMap,
    Series,
    Status,
)

_ORDER = "What it looks for · Why it works · When it fails · How to read it · Reference"
HEADINGS = tuple(_ORDER.split(" · "))
MAX_REGIONS = 20

# Files on which a detector is run three times; once is enough for the others.
_REPEATED = (
    "photo.jpg",
    "photo.png",
    "orientation_6.jpg",
    "clip.mp4",
    "turned.mp4",
    "silence.wav",
    "drawing.svg",
)


def check_detector(detector: str | ModuleType, **options: Any) -> None:
    """Run the whole contract on one detector.

    Args:
        detector: the id of a registered detector, also one of frames, or a detector module.
        options: passed to its constructor.

    Raises:
        AssertionError: a rule is broken; the message says which, by whom and on which file.
    """
    if isinstance(detector, str) and detector.endswith(registry.FRAMES):
        card, make = registry.card(detector), partial(registry.load, detector, **options)
    else:
        module = registry.module(detector) if isinstance(detector, str) else detector
        card = check_card(module)
        check_constructor(module)
        make = partial(module.Detector, **options)
    for name, data in sample_files().items():
        check_file(make, card, name, data)


def check_card(module: ModuleType) -> Card:
    """Check `CARD` and the docstring of a detector module; return the card."""
    name = module.__name__.rsplit(".", 1)[-1]
    card = getattr(module, "CARD", None)
    assert isinstance(card, Card), f"{name}: the module must define CARD, a bonafide.Card"
    assert card.id == name, f"{name}: CARD.id is {card.id!r}; it must equal the module's name"
    for attribute in ("version", "title", "paper", "licence", "training_data", "limits"):
        value = getattr(card, attribute)
        assert isinstance(value, str) and value.strip(), f"{name}: CARD.{attribute} is empty"
    assert isinstance(card.question, Question), f"{name}: CARD.question is no Question"
    assert card.kinds, f"{name}: CARD.kinds is empty"
    assert all(isinstance(kind, Kind) for kind in card.kinds), f"{name}: CARD.kinds holds no Kind"
    assert re.search(r"\b(1[89]|20)\d\d\b", card.paper), f"{name}: CARD.paper names no year"
    for fact, meaning in card.facts.items():
        assert re.fullmatch(r"[a-z][a-z0-9_]*", fact), f"{name}: fact {fact!r} is not snake_case"
        assert isinstance(meaning, str) and meaning.strip(), f"{name}: fact {fact} has no meaning"
    _check_docstring(name, module.__doc__)
    return card


def check_constructor(module: ModuleType) -> None:
    """Check that `Detector` can be built with no arguments and takes only named options."""
    name = module.__name__.rsplit(".", 1)[-1]
    kind = getattr(module, "Detector", None)
    assert inspect.isclass(kind), f"{name}: the module must define a class Detector"
    for parameter in inspect.signature(kind).parameters.values():
        assert parameter.default is not parameter.empty, (
            f"{name}: option {parameter.name!r} of the constructor has no default"
        )
    assert callable(getattr(kind(), "measure", None)), f"{name}: Detector() has no measure()"


def measure(detector: Any, media: Media | Image, card: Card) -> Finding:
    """Let one detector measure a media, as an examination does, without calibration.

    Raises:
        MediaError: as the detector does.
    """
    opened = Media.of_image(media) if isinstance(media, Image) else media
    found = detector.measure(Context(opened))
    if isinstance(found, NotApplicable):
        return Finding.silent(card, found.why)
    if isinstance(found, Failed):
        return Finding.silent(card, found.why, Status.FAILED)
    return Finding.of(card, *found)


def check_file(make: Callable[[], Any], card: Card, name: str, data: bytes) -> None:
    """Check one detector on one file, unless the file does not meet the card's needs.

    Args:
        make: constructs the detector.
        card: the detector's.
        name, data: of the file.

    Raises:
        AssertionError: as `check_detector` does.
    """
    where = f"{card.id} on {name}"
    media = _open(where, name, data)
    if media is None or media.kind not in card.kinds or _unmet(card, media):
        return
    before, random_before = _fingerprint(media), _random_states()
    detector = make()
    finding = _call(where, detector, media, card)
    assert _fingerprint(media) == before, f"{where}: the pixels of the media were changed"
    assert _random_states() == random_before, (
        f"{where}: a global random generator was used; make a local one with a fixed seed"
    )
    if isinstance(finding, MediaError):
        return
    check_finding(where, card, media, finding)
    if name in _REPEATED:
        _check_same(where, "a second call", finding, _call(where, detector, media, card))
        fresh = open_media(data, name)
        again = _call(where, make(), fresh, card)
        _check_same(where, "a new detector on the same bytes", finding, again)


def check_finding(where: str, card: Card, media: Media, finding: Finding) -> None:
    """Check that `finding` is what a detector with `card` may say about `media`."""
    assert isinstance(finding, Finding), f"{where}: {type(finding).__name__} is no Finding"
    identity = {"detector": card.id, "version": card.version, "question": card.question}
    for attribute, expected in identity.items():
        value = getattr(finding, attribute)
        assert value == expected, f"{where}: finding.{attribute} is {value!r}, not {expected!r}"
    if finding.status is not Status.OK:
        _check_sentence(where, "why", finding.why)
        assert not finding.parts, f"{where}: {finding.status} but something was measured"
        return
    assert finding.why == "", f"{where}: `why` is for findings that are not OK"
    assert finding.parts, f"{where}: nothing was measured, and no reason given"
    for measured, _ in finding.parts:
        _check_measurement(where, card, media, measured)


def _check_measurement(where: str, card: Card, media: Media, measured: Measurement) -> None:
    assert isinstance(measured, Measurement), (
        f"{where}: returned {type(measured).__name__}, no Measurement"
    )
    _check_sentence(where, "summary", measured.summary)
    for attribute in ("score", "laundered"):
        value = getattr(measured, attribute)
        assert value is None or (_is_plain(value) and math.isfinite(value)), (
            f"{where}: {attribute} is {value!r}, neither None nor a finite Python number"
        )
    if measured.laundered is not None:
        assert 0 <= measured.laundered <= 1, (
            f"{where}: laundered {measured.laundered} is outside [0, 1]"
        )
    if measured.claim is not None:
        assert isinstance(measured.claim, Claim), f"{where}: the claim is no Claim"
        assert card.question is Question.PROVENANCE, (
            f"{where}: only a provenance detector may set `claim`"
        )
    track = media.image or media.video
    width, height = (track.width, track.height) if track else (0, 0)
    for found in measured.maps:
        _check_map(where, found, width, height)
    for series in measured.series:
        _check_series(where, series)
    _check_regions(where, measured.regions, width, height)
    span = measured.where.span
    assert span is None or 0 <= span.start <= span.end, f"{where}: {span} runs backwards"
    _check_facts(where, card, measured.facts)


def _check_docstring(name: str, docstring: str | None) -> None:
    lines = inspect.cleandoc(docstring or "").splitlines()
    assert lines and lines[0].strip(), f"{name}: the module has no docstring"
    found = [line for line in lines[1:] if line and not line[0].isspace()]
    assert tuple(found) == HEADINGS, (
        f"{name}: the docstring's headings are {found}; they must be {list(HEADINGS)}"
    )
    for heading in HEADINGS:
        following = lines[lines.index(heading) + 1 :]
        assert following and following[0].strip(), f"{name}: nothing under {heading!r}"


def _check_sentence(where: str, field: str, text: object) -> None:
    assert isinstance(text, str) and text.strip(), f"{where}: `{field}` is empty"
    assert "\n" not in text, f"{where}: `{field}` has a line break: {text!r}"
    if field == "summary":
        unquoted = re.sub(r"“[^”]*”|\"[^\"]*\"|‘[^’]*’|'[^']*'", "", text)
        assert unquoted[-1:] in (".", "!", "?"), f"{where}: `{field}` has no full stop: {text!r}"
        assert not re.search(r"[a-z0-9)%][.!?] +[A-Z]", unquoted), (
            f"{where}: `{field}` is more than one sentence: {text!r}"
        )


def _check_map(where: str, found: ScoreMap, width: int, height: int) -> None:
    assert isinstance(found, ScoreMap), f"{where}: a map is a {type(found).__name__}, no ScoreMap"
    values = found.values
    assert isinstance(values, np.ndarray), f"{where}: the map is no array"
    assert values.dtype == np.float32, f"{where}: the map is {values.dtype}, not float32"
    assert (found.width, found.height) == (width, height), (
        f"{where}: the map is of {found.width}×{found.height} pixels, the picture {width}×{height}"
    )
    covers = (
        found.left <= 0
        and found.top <= 0
        and found.left + values.shape[1] * found.cell > width - found.cell
        and found.top + values.shape[0] * found.cell > height - found.cell
    )
    assert covers, f"{where}: {values.shape} cells of {found.cell} pixels miss part of the picture"
    assert np.isfinite(values).all(), f"{where}: the map has values that are not finite"
    low, high = float(values.min(initial=0)), float(values.max(initial=0))
    assert low >= 0 and high <= 1, f"{where}: the map spans [{low}, {high}], not [0, 1]"


def _check_series(where: str, series: Series) -> None:
    assert series.times.shape == series.values.shape, f"{where}: a series has gaps"
    assert (np.diff(series.times) >= 0).all(), f"{where}: a series runs backwards"
    assert np.isfinite(series.values).all(), f"{where}: a series has values that are not finite"


def _check_regions(where: str, regions: tuple[Region, ...], width: int, height: int) -> None:
    assert isinstance(regions, tuple), f"{where}: regions is a {type(regions).__name__}, no tuple"
    assert len(regions) <= MAX_REGIONS, f"{where}: {len(regions)} regions, over {MAX_REGIONS}"
    for region in regions:
        numbers = (region.x, region.y, region.width, region.height, region.pair)
        assert all(type(number) is int for number in numbers), f"{where}: {region} has no ints"
        inside = (
            0 <= region.x < region.x + region.width <= width
            and 0 <= region.y < region.y + region.height <= height
        )
        assert inside, f"{where}: {region} is not inside the picture of {width}×{height}"
        assert region.score is None or (_is_plain(region.score) and math.isfinite(region.score)), (
            f"{where}: {region} has a score that is no finite Python number"
        )
    scores = [region.score for region in regions if region.score is not None]
    assert scores == sorted(scores, reverse=True), f"{where}: regions are not strongest first"


def _check_facts(where: str, card: Card, facts: Mapping[str, Any]) -> None:
    undeclared = sorted(set(facts) - set(card.facts))
    assert not undeclared, f"{where}: facts {undeclared} are not declared in the card"
    for name, value in facts.items():
        assert _is_plain(value), f"{where}: fact {name} holds something that is no JSON value"
        try:
            json.dumps(value, allow_nan=False)
        except (TypeError, ValueError) as error:
            raise AssertionError(f"{where}: fact {name} is not JSON-safe: {error}") from error


def _is_plain(value: object) -> bool:
    """Whether `value` is made of JSON types only; NumPy's float64 is a float, yet not plain."""
    if isinstance(value, list):
        return all(_is_plain(item) for item in value)
    if isinstance(value, dict):
        return all(isinstance(key, str) and _is_plain(item) for key, item in value.items())
    return value is None or (
        isinstance(value, str | int | float) and type(value).__module__ != "numpy"
    )


def _check_same(where: str, what: str, first: Finding, second: Finding | MediaError) -> None:
    assert isinstance(second, Finding), f"{where}: {what} gives {second!r}, the first a finding"
    one, two = replace(first, seconds=0.0), replace(second, seconds=0.0)
    assert _comparable(one) == _comparable(two), (
        f"{where}: {what} differs from the first:\n{one}\n{two}"
    )
    assert _arrays(one) == _arrays(two), f"{where}: {what} gives another map"


def _comparable(finding: Finding) -> Finding:
    parts = tuple((replace(m, maps=(), series=()), known) for m, known in finding.parts)
    return replace(finding, parts=parts)


def _arrays(finding: Finding) -> list[bytes]:
    found = []
    for measured, _ in finding.parts:
        found += [one.values.tobytes() for one in measured.maps]
        found += [one.times.tobytes() + one.values.tobytes() for one in measured.series]
    return found


def _unmet(card: Card, media: Media) -> bool:
    track = media.image or media.video
    small = track is not None and min(track.width, track.height) < card.needs.min_side
    return small or (card.needs.jpeg and media.format != "JPEG")


def _open(where: str, name: str, data: bytes) -> Media | None:
    try:
        return open_media(data, name)
    except BonafideError:
        return None
    except Exception as error:
        raise AssertionError(f"{where}: opening raised {type(error).__name__}: {error}") from error


def _call(where: str, detector: Any, media: Media, card: Card) -> Finding | MediaError:
    try:
        return measure(detector, media, card)
    except MediaError as error:
        return error
    except Exception as error:
        raise AssertionError(f"{where}: raised {type(error).__name__}: {error}") from error


def _fingerprint(media: Media) -> str:
    digest = hashlib.sha256(media.head(1 << 20))
    if (image := media.image) is not None:
        for read in (lambda: image.stored_pixels, lambda: image.pixels, lambda: image.luma):
            try:
                digest.update(read().tobytes())
            except MediaError:
                digest.update(b"unreadable")
    return digest.hexdigest()


def _random_states() -> bytes:
    return pickle.dumps((random.getstate(), np.random.get_state()))
