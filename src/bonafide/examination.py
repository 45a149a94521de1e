"""The one path that everybody takes: media → detectors → calibration → verdict → report.

`examine` answers for one file. An `Examiner` keeps what is expensive to make (detectors and their
networks) and examines any number of files with the same settings:

1. `open_media` opens the file into tracks.
2. Every detector that the settings choose measures it, in parallel; each gets the same `Context`,
   so that decoding and shared signals are computed once.
3. `calibrate` says what each score is worth, from tables fitted on held-out sources.
4. `verdict.decide` gives one answer per question, from these findings alone.
5. Maps are joined, sentences are made, and everything goes into one `Report`.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import sys
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import lru_cache

from bonafide import __version__, registry
from bonafide.errors import BonafideError, InvalidDetector, MediaError
from bonafide.evidence import stability, verdict
from bonafide.evidence.calibration import calibrate, load_calibration, measures
from bonafide.evidence.edited_regions import fuse_maps, regard
from bonafide.explain import words
from bonafide.explain.judge import Judge
from bonafide.media.context import Context
from bonafide.media.facts import media_facts
from bonafide.media.limits import Limits
from bonafide.media.media import Media
from bonafide.media.source import Source, open_media
from bonafide.networks.environment import versions
from bonafide.networks.ingredients import ingredients
from bonafide.telemetry.steps import current, step
from bonafide.types import (
    Card,
    Detector,
    Fact,
    Failed,
    Finding,
    Kind,
    NotApplicable,
    Profile,
    Question,
    Report,
    Status,
)

_log = logging.getLogger("bonafide")
STABILITY_SHARE = 0.8  # of the time that a file may take, by which changed copies are done
# Pixels from which detectors run one after the other: their working memory grows with the picture.
LARGE = 30_000_000


@dataclass(frozen=True)
class Settings:
    """Everything that can change the outcome.

    Attributes:
        profile: how much time may be spent.
        only: ask just these detectors, whatever their profile; empty for all.
        limits: what one file may cost.
        false_accusation_rate: bound on bona fide files accused by measurements, in (0, 1), for
            every question; None for each question's own.
        trust: PEM file, or folder, of certificate authorities whose content credentials count as
            trusted, in place of all other lists; None for the shipped lists and the user's own.
        network: whether content credentials stored elsewhere may be fetched.
        threads: detectors run at the same time; 0 for one per core.
        stability: whether changed copies are asked about too, see `evidence.stability`.
        calibration: file written by `bonafide bench calibrate`, laid over the shipped calibration.
        asked: questions that are asked beside those that are always asked.
        caption: that came with the picture; with one it is asked whether it fits.
        judge: a model that is asked about every picture, over the network; None for none.
        transcript: whether what is said is written down.
    """

    profile: Profile = Profile.STANDARD
    only: tuple[str, ...] = ()
    limits: Limits = field(default_factory=Limits)
    false_accusation_rate: float | None = None
    trust: str | None = None
    network: bool = False
    threads: int = 0
    stability: bool = False
    calibration: str | None = None
    asked: tuple[Question, ...] = ()
    caption: str | None = None
    judge: Judge | None = None
    transcript: bool = False


class Examiner:
    """Examines files, one after the other or from several threads, with the same settings.

    Detectors are constructed at their first use and kept; networks stay open.

    Args:
        settings: defaults to `Settings()`.

    Raises:
        UnknownDetector: `settings.only` names a detector that does not exist.
        InvalidInput: `settings.calibration` is no calibration.
    """

    def __init__(self, settings: Settings | None = None) -> None:
        self.settings = settings or Settings()
        self.chosen, self.untested = select(self.settings)
        self.calibration = load_calibration(self.settings.calibration)
        self._detectors: dict[str, Detector] = {}
        self._locks = {card.id: threading.Lock() for card in self.chosen}
        self._seconds: dict[str, float] = {}

    def examine(self, source: Source | Media) -> Report:
        """Examine one file.

        Args:
            source: a path, bytes, a binary stream, or media that were opened before.

        Returns:
            The report; maps are on the lattices on which they were measured.

        Raises:
            MediaError: the file cannot be read, see `bonafide.errors`.
        """
        began = time.monotonic()
        settings = self.settings
        media = source if isinstance(source, Media) else open_media(source, limits=settings.limits)
        if media.image is not None:
            with step("decode"):
                _ = media.image.pixels  # what cannot be decoded is a failure, not a set of findings
        chosen, untested = self._of_kind(media)
        measured = measures(media)
        findings = self.ask(media, chosen, measured)
        drawn = verdict.decide(findings, self.calibration, measured, settings.false_accusation_rate)
        edits = fuse_maps(findings, self.calibration)
        drawn = regard(drawn, edits, findings)
        held = None
        if settings.stability and media.kind is Kind.IMAGE:
            deadline = began + STABILITY_SHARE * settings.limits.seconds
            held = stability.check(
                media, findings, drawn, self.calibration, self.ask, deadline, settings.limits
            )
            drawn = stability.withdraw(drawn, held, findings)
        facts = media_facts(media)
        return Report(
            media=facts,
            findings=findings,
            verdict=drawn,
            explanation=words.explain(facts, findings, drawn, held, edits),
            untested=untested,
            settings=describe(settings),
            versions=versions(self.calibration.id) | ingredients(self.chosen, settings.trust),
            examined_at=datetime.now(UTC).isoformat(timespec="seconds"),
            stability=held,
            edits=edits,
        )

    def _of_kind(self, media: Media) -> tuple[tuple[Card, ...], dict[str, str]]:
        """Detectors that are asked: not those that read other kinds of media.

        A detector that was asked for by name is asked all the same, and says why it cannot tell.
        """
        other = {
            card.id: (
                f"it reads the frames of videos, not {media.kind.plural}"
                if card.id.endswith(registry.FRAMES)
                else _reads(card, media.kind)
            )
            for card in self.chosen
            if media.kind not in card.kinds and card.id not in self.settings.only
        }
        return tuple(card for card in self.chosen if card.id not in other), self.untested | other

    def ask(
        self, media: Media, cards: Iterable[Card], measured: Mapping[str, float] | None = None
    ) -> tuple[Finding, ...]:
        """Let detectors measure a media, in parallel, and calibrate what they found.

        Args:
            media: an opened file.
            cards: of the detectors that are asked.
            measured: `measures(media)`, where the caller has it already.

        Returns:
            One finding per card, in the order of `cards`.
        """
        ctx, steps = Context(media), current()
        known = measures(media) if measured is None else measured
        ordered = tuple(cards)

        def one(card: Card) -> Finding:
            began = time.time_ns()
            found = self._ask_one(ctx, card)
            if steps is not None and found.seconds:
                steps.add_detector(card.id, began, found.status.value)
            return calibrate(found, self.calibration, known)

        # The slowest first, so that no core idles at the end.
        by_time = sorted(ordered, key=lambda card: -self._seconds.get(card.id, card.cost))
        threads = self.settings.threads or os.cpu_count() or 1
        large = media.image is not None and media.image.width * media.image.height > LARGE
        with ThreadPoolExecutor(1 if large else threads) as pool:
            answers = pool.map(_released(one) if large else one, by_time)
            found = dict(zip((card.id for card in by_time), answers, strict=True))
        return tuple(found[card.id] for card in ordered)

    def _ask_one(self, ctx: Context, card: Card) -> Finding:
        if (why := registry.broken(card.id)) is not None:
            return Finding.silent(card, why, Status.FAILED)
        if (unmet := self._unmet(ctx.media, card)) is not None:
            return Finding.silent(card, unmet)
        began = time.perf_counter()
        try:
            found = self._detector(card).measure(ctx)
        except MediaError as error:
            found = Failed(error.why)
        except BonafideError as error:  # a network that is missing, a setting that cannot be used
            found = Failed(str(error))
        except Exception as error:  # one detector's bug must not cost the others' findings
            _log.exception("detector %s failed on %s", card.id, ctx.media.name)
            found = Failed(f"internal error, please report it: {type(error).__name__}: {error}")
        self._seconds[card.id] = seconds = round(time.perf_counter() - began, 4)
        if isinstance(found, NotApplicable | Failed):
            status = Status.FAILED if isinstance(found, Failed) else Status.NOT_APPLICABLE
            return replace(Finding.silent(card, found.why, status), seconds=seconds)
        return Finding.of(card, *found, seconds=seconds)

    def _unmet(self, media: Media, card: Card) -> str | None:
        """Why a media does not meet the needs of a card, or None if it does."""
        asked_for = card.id in self.settings.only and media.video is not None
        if media.kind not in card.kinds and not (asked_for and Kind.VIDEO in card.kinds):
            return _reads(card, media.kind)
        needs = card.needs
        if needs.jpeg and media.format != "JPEG":
            return f"it reads JPEG compression history; this file is {media.format}"
        track = media.image or media.video
        if track is not None and min(track.width, track.height) < needs.min_side:
            size = f"{track.width}×{track.height}"
            return f"it needs {needs.min_side} pixels on each side; this is {size}"
        return None

    def _detector(self, card: Card) -> Detector:
        with self._locks.setdefault(card.id, threading.Lock()):
            if card.id not in self._detectors:
                options = {name: getattr(self.settings, name) for name in card.options}
                self._detectors[card.id] = registry.load(card.id, **options)
            return self._detectors[card.id]


def examine(source: Source | Media, settings: Settings | None = None) -> Report:
    """Examine one file.

    Calls with equal settings share one `Examiner`.

    Args:
        source: a path, bytes, a binary stream, or media that were opened before.
        settings: defaults to `Settings()`.

    Returns:
        The report.

    Raises:
        MediaError: the file cannot be read, see `bonafide.errors`.
        UnknownDetector: `settings.only` names a detector that does not exist.
        InvalidInput: `settings.calibration` is no calibration.
    """
    settings = settings or Settings()
    media = source if isinstance(source, Media) else open_media(source, limits=settings.limits)
    decoding = threading.Thread(target=_decode, args=(media,))
    decoding.start()  # while the cards of the detectors are read, the first time
    try:
        examiner = _examiner(settings, _content(settings), os.environ.get("BONAFIDE_WEIGHTS"))
    finally:
        decoding.join()
    return examiner.examine(media)


def _decode(media: Media) -> None:
    """Decode the picture, if it is one; what cannot be decoded is reported by who asks for it."""
    if media.image is not None:
        with suppress(MediaError):
            _ = media.image.pixels


@lru_cache(maxsize=4)
def _examiner(settings: Settings, _content: str, _weights: str | None) -> Examiner:
    return Examiner(settings)


def _content(settings: Settings) -> str:
    """What tells whether the user's own calibration is still the same file."""
    if settings.calibration is None:
        return ""
    try:
        state = os.stat(settings.calibration)  # noqa: PTH116, any path that the user wrote
    except OSError:
        return "missing"
    return f"{state.st_size} {state.st_mtime_ns}"


def select(settings: Settings) -> tuple[tuple[Card, ...], dict[str, str]]:
    """Which detectors the settings ask, and why the others are not asked.

    Raises:
        UnknownDetector: `settings.only` names a detector that does not exist.
    """
    if settings.only:
        chosen = tuple(_card(detector) for detector in dict.fromkeys(settings.only))
        names = {card.id for card in chosen}
        return chosen, {
            detector: "not selected" for detector in registry.ids() if detector not in names
        }
    cards = [_card(detector) for detector in registry.ids()]
    untested = {card.id: why for card in cards if (why := _unasked(card, settings))}
    return tuple(card for card in cards if card.id not in untested), untested


def _unasked(card: Card, settings: Settings) -> str:
    """Why a detector is not asked, "" if it is."""
    if card.requires and not getattr(settings, card.requires):
        return f"it needs --{card.requires}"
    if not (card.question.asked or card.requires or card.question in settings.asked):
        return "its question has to be asked for"
    return "" if settings.profile.includes(card.profile) else f"runs from profile {card.profile} on"


def _released(one: Callable[[Card], Finding]) -> Callable[[Card], Finding]:
    """The same function, which returns freed memory to the system after each call.

    The allocator of Linux keeps what large arrays leave behind, more than a picture takes.
    """
    if sys.platform != "linux":
        return one
    import ctypes

    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc has it, musl does not

    def then_released(card: Card) -> Finding:
        found = one(card)
        if trim is not None:
            trim(0)
        return found

    return then_released


def _reads(card: Card, kind: Kind) -> str:
    return f"it reads {' and '.join(one.plural for one in card.kinds)}, not {kind.plural}"


def _card(detector: str) -> Card:
    """The card of a detector, or a stand-in for one that is broken."""
    try:
        return registry.card(detector)
    except InvalidDetector:
        return registry.stub(detector)


def describe(settings: Settings) -> dict[str, Fact]:
    """The settings as JSON values, as reports record them."""
    return {
        "profile": settings.profile.value,
        "only": list(settings.only),
        "false_accusation_rate": settings.false_accusation_rate,
        "trust": settings.trust,
        "network": settings.network,
        "stability": settings.stability,
        "calibration": settings.calibration,
        "asked": [question.value for question in settings.asked],
        "caption": settings.caption,
        "judge": None if settings.judge is None else settings.judge.describe(),
        "transcript": settings.transcript,
        "limits": dict(vars(settings.limits)),
    }


def key(settings: Settings) -> str:
    """What besides the file decides a report, as 64 hexadecimal digits: of two files alike in
    content and key, one need not be examined. It is the SHA-256 of the versions of bonafide and of
    the detectors, the calibration, the networks, the trust list and the settings.
    """
    cards, _ = select(settings)
    parts = {
        "bonafide": __version__,
        "calibration": load_calibration(settings.calibration).id,
        "detectors": {card.id: card.version for card in cards},
        "ingredients": ingredients(cards, settings.trust),
        "settings": describe(settings),
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
