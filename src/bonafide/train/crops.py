"""What a probe of faces, of their surroundings or of frames reads, cut out of labelled files.

Each crop is one PNG; `manifest.csv` beside them has a row per crop with the label and the source of
its file, so that the crops are labelled pictures for every other verb. The column `file` names the
file, and with it what is pooled to one score.
"""

from __future__ import annotations

import csv
import hashlib
import math
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow

from bonafide.bench.labelled import Labelled
from bonafide.errors import InvalidInput, MediaError
from bonafide.media.context import Context
from bonafide.media.limits import Limits
from bonafide.media.media import Media
from bonafide.media.sampling import Sampling
from bonafide.media.source import open_media
from bonafide.networks.clip import SIDE, central_square
from bonafide.subjects.faces import face_crop, faces_of, scene
from bonafide.types import Question

MANIFEST = "manifest.csv"
COLUMNS = ("path", "label", "question", "origin", "generator", "kind", "file", "subject",
           "seconds", "side", "turned", "sharpness", "why")  # fmt: skip
LABELS = {
    Question.SYNTHETIC: "generated",
    Question.FACE_FORGED: "face_forged",
    Question.SPOOFED: "spoofed",
}
_LEAST_SEEN = 0.25  # share of the frames in which a person must be seen

Row = dict[str, str]
Part = tuple[int, float]  # frames, and seconds from the start
Cut = tuple[NDArray[np.uint8], Row]
Progress = Callable[[int, int, int], None]


def collect(
    files: Sequence[Labelled],
    out: Path,
    question: Question,
    reads: str,
    frames: int,
    seconds: float = math.inf,
    progress: Progress | None = None,
) -> int:
    """Cut what is missing in `out`; a run that was stopped goes on where it was.

    Args:
        files: labelled media; those that leave the question open are passed over.
        out: folder, made by an earlier call or not there yet.
        question: whose labels count.
        reads: a key of `READINGS`.
        frames: of a video, at most.
        seconds: length of the part of a video that is looked at, from its start.
        progress: called with (done, total, failed).

    Returns:
        How many files gave no crop.

    Raises:
        InvalidInput: there is no such reading.
        WeightsError: a network cannot be opened.
    """
    if reads not in READINGS:
        raise InvalidInput(f"crops are made of {', '.join(READINGS)}, not of {reads}")
    out.mkdir(parents=True, exist_ok=True)
    table = out / MANIFEST
    there = _done(table)
    missing = [one for one in files if question in one.answers and one.path not in there]
    failed = 0
    with table.open("a", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, COLUMNS, restval="", lineterminator="\n")
        if not there:
            writer.writeheader()
        for done, one in enumerate(missing, 1):
            rows = list(_rows(one, out, question, reads, (frames, seconds)))
            failed += not rows[0]["path"]
            writer.writerows(rows)
            stream.flush()
            if progress:
                progress(done, len(missing), failed)
    return failed


def _done(table: Path) -> set[str]:
    if not table.exists():
        return set()
    with table.open(newline="", encoding="utf-8") as stream:
        return {row["file"] for row in csv.DictReader(stream)}


def _rows(one: Labelled, out: Path, question: Question, reads: str, part: Part) -> Iterator[Row]:
    """The rows of one file; one row without a path where nothing could be cut."""
    about = {
        "label": LABELS[question] if one.answers[question] else "bona_fide",
        "question": question.value,
        "origin": one.source,
        "generator": one.made if one.answers[question] else "",
        "kind": one.kind,
        "file": one.path,
    }
    stem = hashlib.sha256(one.path.encode("utf-8", "surrogateescape")).hexdigest()[:16]
    why = "there is nothing of the kind in it"
    found = 0
    try:
        for pixels, row in READINGS[reads](open_media(one.path, limits=Limits()), part):
            name = f"{stem}-{found:03d}.png"
            Pillow.fromarray(pixels).save(out / name, compress_level=1)
            yield {"path": name, **about, **row}
            found += 1
    except MediaError as error:
        why = error.why
    if not found:
        yield {"path": "", **about, "why": why}


def _faces(media: Media, part: Part) -> Iterator[Cut]:
    """Aligned faces of every person who is seen long enough."""
    found = faces_of(Context(media), *part)
    for track in found.tracks:
        if len(track.faces) < _LEAST_SEEN * len(found.times):
            continue
        for face in track.faces:
            yield (
                face_crop(face),
                {
                    "subject": track.subject,
                    "seconds": f"{face.seconds:.3f}",
                    "side": str(face.side),
                    "turned": f"{face.turned:.3f}",
                    "sharpness": f"{face.sharpness:.2f}",
                },
            )


def _scenes(media: Media, part: Part) -> Iterator[Cut]:
    """Of every frame, what lies around the largest face."""
    found = faces_of(Context(media), *part)
    by_time = {time: [face for t in found.tracks for face in t.faces if face.seconds == time]
               for time in found.times}  # fmt: skip
    for time, faces in by_time.items():
        if faces:
            face = max(faces, key=lambda one: one.side)
            yield scene(face, SIDE), {"seconds": f"{time:.3f}", "side": str(face.side)}


def _frames(media: Media, part: Part) -> Iterator[Cut]:
    """The central squares of frames, at the size that CLIP reads."""
    track = media.video
    if track is None:
        return
    frames, seconds = part
    wanted = Sampling(fps=1.0, max_kept=frames)
    if track.duration > 0:
        wanted = Sampling.spread(min(track.duration, seconds), frames)
    for frame in track.frames(wanted):
        yield central_square(frame.pixels), {"seconds": f"{frame.seconds:.3f}"}


READINGS: dict[str, Callable[[Media, Part], Iterator[Cut]]] = {
    "faces": _faces,
    "scenes": _scenes,
    "frames": _frames,
}
