"""The one path that everybody takes: media → detectors → findings → verdict → report."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cache
from importlib import metadata
from pathlib import Path

from bonafide import __version__, registry, runtime, stability, verdict
from bonafide.calibration import calibrate, default_calibration, load_calibration, measures
from bonafide.edits import fuse_maps, regard
from bonafide.errors import MediaError
from bonafide.explain import words
from bonafide.media.image import Image
from bonafide.media.limits import Limits
from bonafide.media.source import Source, open_media
from bonafide.media.video import Video
from bonafide.types import Card, Fact, Finding, Media, MediaFacts, Profile, Report

_log = logging.getLogger("bonafide")

STABILITY_SHARE = 0.8  # of the time that a file may take, by which changed copies are done

_LIBRARIES = (
    "numpy",
    "scipy",
    "pillow",
    "opencv-python-headless",
    "jpeglib",
    "c2pa-python",
    "av",
    "onnxruntime",
)


@dataclass(frozen=True)
class Settings:
    """Everything that can change the outcome.

    Attributes:
        profile: how much time may be spent.
        only: ask just these detectors, whatever their profile; empty for all.
        limits: what one file may cost.
        false_accusation_rate: bound on bona fide pictures accused by pixel evidence, in (0, 1).
        trust: PEM file, or folder, of certificate authorities whose content credentials count as
            trusted; None trusts nobody.
        network: whether content credentials stored elsewhere may be fetched.
        threads: detectors run at the same time; 0 for one per core.
        stability: whether changed copies are asked about too, see `bonafide.stability`.
        calibration: file written by `bonafide bench calibrate`, laid over the shipped calibration.
    """

    profile: Profile = Profile.STANDARD
    only: tuple[str, ...] = ()
    limits: Limits = field(default_factory=Limits)
    false_accusation_rate: float = verdict.FALSE_ACCUSATION_RATE
    trust: str | None = None
    network: bool = False
    threads: int = 0
    stability: bool = False
    calibration: str | None = None


def examine(source: Source | Media, settings: Settings | None = None) -> Report:
    """Examine one file.

    Args:
        source: a path, bytes, a binary stream, or media that were opened before.
        settings: defaults to `Settings()`.

    Returns:
        The report; heatmaps of its findings are float32 of the upright picture's size.

    Raises:
        MediaError: the file cannot be read, see `bonafide.errors`.
        UnknownDetector: `settings.only` names a detector that does not exist.
        InvalidInput: `settings.calibration` is no calibration.
    """
    began = time.monotonic()
    settings = settings or Settings()
    media = source if isinstance(source, Media) else open_media(source, limits=settings.limits)
    if isinstance(media, Image):
        _ = media.pixels  # a picture that cannot be decoded is a failure, not a set of findings
    chosen, untested = select(settings)
    calibration = load_calibration(settings.calibration)

    def ask(media: Media, cards: tuple[Card, ...]) -> tuple[Finding, ...]:
        measured = measures(media)
        asked = _ask(media, cards, settings)
        return tuple(calibrate(finding, calibration, measured) for finding in asked)

    findings = ask(media, chosen)
    drawn = verdict.decide(findings, calibration, settings.false_accusation_rate)
    edits = fuse_maps(findings, calibration)
    drawn = regard(drawn, edits, findings)
    held = None
    if settings.stability and isinstance(media, Image):
        deadline = began + STABILITY_SHARE * settings.limits.seconds
        held = stability.check(
            media.pixels, findings, drawn, calibration, ask, deadline, settings.limits
        )
        drawn = stability.withdraw(drawn, held)
    facts = media_facts(media)
    return Report(
        media=facts,
        findings=findings,
        verdict=drawn,
        explanation=words.explain(facts, findings, drawn, held, edits),
        untested=untested,
        settings=describe(settings),
        versions=versions(calibration.id) | ingredients(chosen, settings),
        examined_at=datetime.now(UTC).isoformat(timespec="seconds"),
        stability=held,
        edits=edits,
    )


def select(settings: Settings) -> tuple[tuple[Card, ...], dict[str, str]]:
    """Which detectors the settings ask, and why the others are not asked.

    Raises:
        UnknownDetector: `settings.only` names a detector that does not exist.
    """
    if settings.only:
        chosen = tuple(registry.card(detector) for detector in dict.fromkeys(settings.only))
        names = {card.id for card in chosen}
        return chosen, {
            detector: "not selected" for detector in registry.ids() if detector not in names
        }
    cards = [registry.card(detector) for detector in registry.ids()]
    untested = {
        card.id: f"runs from profile {card.profile} on"
        for card in cards
        if not settings.profile.includes(card.profile)
    }
    return tuple(card for card in cards if card.id not in untested), untested


def _ask(media: Media, cards: tuple[Card, ...], settings: Settings) -> Iterator[Finding]:
    threads = settings.threads or os.cpu_count() or 1
    if threads == 1 or len(cards) == 1:
        yield from (_ask_one(media, card, settings) for card in cards)
        return
    with ThreadPoolExecutor(threads) as pool:
        yield from pool.map(lambda card: _ask_one(media, card, settings), cards)


def _ask_one(media: Media, card: Card, settings: Settings) -> Finding:
    if media.kind not in card.kinds:
        kinds = " and ".join(f"{kind}s" for kind in card.kinds)
        return card.not_applicable(f"it reads {kinds}, not {media.kind}s")
    unmet = card.needs.unmet(media)
    if unmet:
        return card.not_applicable(unmet)
    began = time.perf_counter()
    try:
        wanted = getattr(registry.module(card.id).Detector, "options", ())
        options = {name: getattr(settings, name) for name in wanted}
        finding = registry.load(card.id, **options)(media)
    except MediaError as error:
        finding = card.failed(error.why)
    except Exception as error:  # one detector's bug must not cost the others' findings
        _log.exception("detector %s failed on %s", card.id, media.name)
        finding = card.failed(f"internal error, please report it: {type(error).__name__}: {error}")
    return replace(finding, seconds=round(time.perf_counter() - began, 4))


def media_facts(media: Media) -> MediaFacts:
    """What the report says about the file itself."""
    width = height = None
    details: dict[str, Fact] = {}
    if isinstance(media, Image):
        width, height = media.width, media.height
        details = {
            "mode": media.mode,
            "frames": media.frames,
            "orientation": media.orientation,
            "metadata_defects": list(media.metadata.defects),
        }
        if media.jpeg:
            details |= {
                "subsampling": media.jpeg.subsampling,
                "progressive": media.jpeg.progressive,
                "trailing_bytes": media.jpeg.trailing_bytes,
            }
    elif isinstance(media, Video):
        width, height = media.width, media.height
        details = {
            "duration_seconds": round(media.duration, 3),
            "frame_rate": round(media.frame_rate, 3),
            "codec": media.codec,
            "has_audio": media.has_audio,
        }
    return MediaFacts(
        name=media.name,
        path=media.path,
        sha256=media.sha256,
        bytes=len(media.data),
        kind=media.kind,
        format=media.format,
        width=width,
        height=height,
        details=details,
    )


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
        "limits": dict(vars(settings.limits)),
    }


def versions(calibration: str | None = None) -> dict[str, str]:
    """Versions of bonafide, its calibration, and the libraries that decode and compute.

    Args:
        calibration: id of the one that was used; by default the shipped one's.
    """
    return {
        "bonafide": __version__,
        "calibration": calibration or default_calibration().id,
        **_library_versions(),
    }


def ingredients(cards: tuple[Card, ...], settings: Settings) -> dict[str, str]:
    """Hexadecimal SHA-256 of every file besides the program that an examination rests on.

    Args:
        cards: of the detectors that are asked; a network has the id of its detector.
        settings: which name the trust list.

    Returns:
        `weights.<id>` for each network that is on this machine, and `trust` if there is a list.
    """
    found = {}
    for card in cards:
        network = runtime.checksum(card.id)
        if network is not None:
            found[f"weights.{card.id}"] = network
    if settings.trust is not None:
        found["trust"] = _digest_of_all(Path(settings.trust))
    return found


def key(settings: Settings) -> str:
    """What besides the file decides a report, as 64 hexadecimal digits.

    A file whose report was made under the same key need not be examined again. The key is the
    SHA-256 of the versions of bonafide and of the detectors that would be asked, the calibration,
    the networks, the trust list and the settings.
    """
    cards, _ = select(settings)
    parts = {
        "bonafide": __version__,
        "calibration": load_calibration(settings.calibration).id,
        "detectors": {card.id: card.version for card in cards},
        "ingredients": ingredients(cards, settings),
        "settings": describe(settings),
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def _digest_of_all(path: Path) -> str:
    """SHA-256 of a file, or of the checksums of the files in a folder, in the order of names."""
    if not path.is_dir():
        return runtime.sha256(path)
    files = sorted(file for file in path.iterdir() if file.is_file())
    sums = "".join(f"{runtime.sha256(file)}  {file.name}\n" for file in files)
    return hashlib.sha256(sums.encode("utf-8", "surrogateescape")).hexdigest()


@cache
def _library_versions() -> dict[str, str]:
    """Read once: parsing the metadata of seven packages takes longer than some detectors."""
    found = {}
    for library in _LIBRARIES:
        try:
            found[library] = metadata.version(library)
        except metadata.PackageNotFoundError:
            continue
    return found
