"""A manifest of the files that people say were judged wrongly, to measure against later."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path, PurePath

from bonafide.bench.samples import Sample
from bonafide.questions import ACCUSATIONS, Label
from bonafide.store.feedback import BONA_FIDE
from bonafide.store.rows import Feedback

_LABELS = {Label.AI_GENERATED.value: "generated"}  # as protocols call it
_QUESTIONS = {label.value: question.value for label, question in ACCUSATIONS.items()}


@dataclass(frozen=True)
class Collected:
    """The samples, and how many files are none: hashes → why."""

    samples: tuple[Sample, ...]
    left_out: dict[str, str]


def collect(
    said: Iterable[Feedback], find: Callable[[Feedback], Path | None], folder: Path | None = None
) -> Collected:
    """Samples of what people said, one for each file; the last word of several counts.

    Args:
        said: oldest first.
        find: where a file may lie now, None where nobody knows.
        folder: copy files there under their hashes, and only those with consent; None leaves all
            where they are.
    """
    latest = {one.sha256: one for one in said}
    samples, left_out = [], {}
    for sha256, one in latest.items():
        place = find(one)
        if folder is not None and not one.consent:
            left_out[sha256] = "nobody consented"
        elif place is None or not _is(place, sha256):
            left_out[sha256] = "the file is no longer there, or was changed"
        else:
            if folder is not None:
                copy = folder / f"{sha256}{PurePath(one.name).suffix.lower()[:8]}"
                shutil.copyfile(place, copy)
                place = copy
            samples.append(_sample(one, place))
    return Collected(tuple(samples), left_out)


def _sample(one: Feedback, place: Path) -> Sample:
    return Sample(
        path=str(place.absolute()),
        label=BONA_FIDE if one.truth == BONA_FIDE else _LABELS.get(one.truth, one.truth),
        question=_QUESTIONS.get(one.truth, ""),
        group=one.sha256,
        date=one.created_at.date().isoformat(),
        extra={"sha256": one.sha256, "verdict": one.verdict, "report": str(one.report)},
    )


def _is(place: Path, sha256: str) -> bool:
    try:
        with place.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest() == sha256
    except OSError:
        return False
