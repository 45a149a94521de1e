"""One file of a batch: what is asked of it, and what became of it."""

from __future__ import annotations

import base64
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bonafide.batch import workers
from bonafide.errors import InvalidInput, MediaError
from bonafide.examination import Settings, examine
from bonafide.explain.sending import Picture, Share
from bonafide.languages.current import ENGLISH, using
from bonafide.media.media import Media
from bonafide.media.source import open_media
from bonafide.media.sources import Source
from bonafide.report.from_dict import from_dict
from bonafide.report.to_dict import explained, to_dict
from bonafide.telemetry import steps
from bonafide.telemetry.steps import Step
from bonafide.types import Explained, Failure, Report

MOST_PICTURES = 8  # that a model may see of one file


@dataclass(frozen=True)
class Job:
    """One file to examine.

    Attributes:
        path: where it is, None if it has no place.
        source: its bytes, where they were read or opened before.
        name: how to call it.
        settings: how to examine it.
        maps: folder for heatmaps, None to write none.
        stem: what the names of its maps begin with.
        page: whether to render its section of the HTML report.
        hashed: whether to compute the perceptual hash.
        share: what a model may see of it, a `Share`; "" where none is asked.
        language: of the section, a key of `LANGUAGES` or `ANY`; the record is English.
        traced: whether to write down what was done when.
    """

    path: str | None
    source: bytes | Source | None
    name: str
    settings: Settings
    maps: str | None = None
    stem: str = ""
    page: bool = False
    hashed: bool = False
    share: str = ""
    language: str = ENGLISH
    traced: bool = False


@dataclass(frozen=True)
class Outcome:
    """What became of a job.

    Attributes:
        report: the report without its maps, or the failure.
        record: the same as JSON values, with `maps`: detector id → heatmap file, when written.
        section: HTML for this file, "" when no page was asked for.
        perceptual_hash: uint64, None where it was not asked for or the file shows nothing.
        pictures: what a model may see, where that was asked for.
        steps: what was done when, where that was asked for.
    """

    report: Report | Failure
    record: dict[str, Any]
    section: str = ""
    perceptual_hash: int | None = None
    pictures: tuple[Picture, ...] = ()
    steps: tuple[Step, ...] = ()


def told(outcome: Outcome) -> dict[str, Any]:
    """An outcome as JSON values, as it leaves the process that examined the file."""
    looks = outcome.perceptual_hash
    pictures = [
        {**vars(one), "data": base64.b64encode(one.data).decode("ascii")}
        for one in outcome.pictures
    ]
    values: dict[str, Any] = {
        "record": outcome.record,
        "section": outcome.section,
        "looks": looks,
    }
    values |= {"pictures": pictures} if pictures else {}
    return values | ({"steps": steps.told(outcome.steps)} if outcome.steps else {})


def heard(values: Any, name: str, path: str | None, sha256: str | None = None) -> Outcome:
    """The outcome that `told` wrote, from a process that a hostile file may have taken over.

    Args:
        values: what it said.
        name, path: of the file that it was given.
        sha256: of the file, None where only the process read it.

    Raises:
        InvalidInput: it is no outcome, or one of another file.
    """
    try:
        record, section, looks = values["record"], values["section"], values["looks"]
        media = record["media"]
        named = media["name"], media["path"], media["sha256"]
        failed = record["status"] == "failed"
        report = _failure(record) if failed else from_dict(record)
    except (KeyError, TypeError, AttributeError) as error:
        raise InvalidInput(f"this is no outcome: {type(error).__name__}") from None
    other = sha256 is not None and named[2] != sha256 and not (failed and named[2] is None)
    if other or named[:2] != (name, path):
        raise InvalidInput("this is the outcome of another file")
    hashed = looks is None or (type(looks) is int and 0 <= looks < 1 << 64)
    if not isinstance(section, str) or not hashed:
        raise InvalidInput("this is no outcome")
    pictures, done = _pictures(values.get("pictures", [])), steps.heard(values.get("steps", []))
    return Outcome(report, record, section, looks, pictures, done)


def _pictures(values: Any) -> tuple[Picture, ...]:
    """The pictures that `told` wrote.

    Raises:
        InvalidInput: they are none.
    """
    try:
        return tuple(
            Picture(
                str(one["name"]),
                base64.b64decode(one["data"], validate=True),
                {"image/png": "image/png"}.get(one["mime"], "image/jpeg"),
                int(one["width"]),
                int(one["height"]),
            )
            for one in values[:MOST_PICTURES]
        )
    except (KeyError, TypeError, ValueError) as error:
        raise InvalidInput(f"these are no pictures: {type(error).__name__}") from None


def _failure(record: dict[str, Any]) -> Failure:
    media, words = record["media"], (record["error"], record["why"])
    if not all(isinstance(word, str) for word in words):
        raise InvalidInput("this is no failure")
    return Failure(media["name"], media["path"], *words, media["sha256"])


def perform(job: Job) -> Outcome:
    """Examine one file in this process."""
    if not job.traced:
        return _perform(job)
    with steps.recorded() as done:
        outcome = _perform(job)
    return replace(outcome, steps=tuple(done.done))


def _perform(job: Job) -> Outcome:
    digest = None
    try:
        source = job.source if job.source is not None else job.path
        assert source is not None
        media = open_media(source, job.name, job.settings.limits)
        media.path = job.path
        digest = media.sha256
        report = examine(media, job.settings)
    except MediaError as error:
        failure = Failure(job.name, job.path, type(error).__name__, error.why, digest)
        return _failed(job, failure)
    record = to_dict(report)
    if job.maps is not None:
        from bonafide.report.maps import write_maps

        written = write_maps(report, job.stem, Path(job.maps))
        record["maps"] = {name: str(path) for name, path in written.items()}
    section = ""
    if job.page:
        from bonafide.report.html import render_section

        with using(job.language), steps.step("page"):
            section = render_section(report, media)
    looks = perceptual_hash(media) if job.hashed else None
    pictures: tuple[Picture, ...] = ()
    if job.share:
        from bonafide.report.explained import pictures as shared

        pictures = shared(report, media.image, Share(job.share))
    return Outcome(_without_maps(report), record, section, looks, pictures)


def with_explained(outcome: Outcome, added: Explained) -> Outcome:
    """An outcome with what a model added: in the report, the record and the page."""
    if isinstance(outcome.report, Failure):
        return outcome
    report = replace(outcome.report, explained=added)
    record = outcome.record | {"explained": explained(added)}
    section = outcome.section
    if section:
        from bonafide.report.html import with_explained as inserted

        section = inserted(section, report)
    return replace(outcome, report=report, record=record, section=section)


def lost(job: Job, how: workers.Lost) -> Outcome:
    """The outcome of a job whose process gave no answer."""
    if how.timed_out:
        why = (
            f"seconds: stopped after {how.seconds:.0f}, the limit is "
            f"{job.settings.limits.seconds:g} (raise it with --max-seconds)"
        )
        return _failed(job, Failure(job.name, job.path, "LimitExceeded", why))
    code = how.exit_code
    if code is None:
        why = "the process that examined it gave no answer that can be read"
        return _failed(job, Failure(job.name, job.path, "DecodeError", why))
    end = f"signal {-code}" if code < 0 else f"exit code {code}"
    why = f"the process that examined it died ({end}); the file may be built to crash decoders"
    if how.killed:
        why = f"the process that examined it was killed ({end}) by a person, or for want of memory"
    return _failed(job, Failure(job.name, job.path, "DecodeError", why))


def perceptual_hash(media: Media) -> int | None:
    """The hash by which near-duplicates are found, uint64; None but for pictures with content."""
    if media.image is None:
        return None
    import cv2

    from bonafide.signals import phash

    return phash.phash(phash.thumbnail(cv2.cvtColor(media.image.pixels, cv2.COLOR_RGB2GRAY)))


def _failed(job: Job, failure: Failure) -> Outcome:
    section = ""
    if job.page:
        from bonafide.report.html import render_failure

        with using(job.language):
            section = render_failure(failure)
    return Outcome(failure, to_dict(failure), section)


def _without_maps(report: Report) -> Report:
    """Maps stay in the worker that made them."""
    findings = tuple(
        replace(
            finding,
            parts=tuple((replace(found, maps=()), known) for found, known in finding.parts),
        )
        for finding in report.findings
    )
    return replace(
        report, findings=findings, edits=report.edits and replace(report.edits, map=None)
    )
