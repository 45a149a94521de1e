"""From scores of single faces to persons, and to the media: what every detector of faces returns.

The score of a person is the mean over the frames in which he or she is seen; that of the media is
the highest of a person, since one forged face is enough. Frames of one person are not independent,
so a person is one measurement. Persons who are seen in few frames are measured and named, and do
not count for the media.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from bonafide.networks import probe
from bonafide.regions import Region, Series, Span, Where
from bonafide.signals.stretches import highest_stretch
from bonafide.subjects.changes import Change
from bonafide.subjects.faces import Face, Faces, FaceTrack
from bonafide.types import Fact, Measurement, NotApplicable

Changes = Callable[[Faces, Sequence[Face], NDArray[np.float32]], Change | None]
MOST_SCORED = 72  # faces of one media that a network reads
LEAST_SEEN = 0.25  # share of the frames that were looked at
SMALL = 48  # pixels of a face; smaller ones are said to be small
FACTS: Mapping[str, str] = {
    "persons": "persons who were measured [count]",
    "faces": "faces that were measured [count]",
    "highest_person": "the person with the highest score",
    "person_scores": "score of each person [the detector's own scale]",
    "least_side": "shorter side of the smallest face that was measured [pixels]",
    "sharpness": "median sharpness of the faces [8-bit levels]",
    "passed_over": "why faces were not measured, and how many",
    "shots": "shots of the video [count]",
    "seen": "in how many frames the person is seen [count]",
    "side": "shorter side of the person's face, median over the frames [pixels]",
    "face_sharpness": "sharpness of the person's face, median over the frames [8-bit levels]",
    "stretch": "from when to when the person differs from the rest of the track [s]",
    "stretch_of": "what differs there: identity, texture or scores",
    "stretch_errors": "how far it stands above the rest [standard errors]",
}


def probed(
    faces: Faces,
    weights: str,
    read: Callable[[Face], NDArray[np.float32]],
    what: str,
    changes: Changes | None = None,
) -> list[Measurement] | NotApplicable:
    """Measure every face with a linear probe.

    Args:
        faces: of the media; of more than `MOST_SCORED`, as many are read, evenly over each track.
        weights: id of the probe.
        read: features of a face, float32 1×L×D, as the probe takes them.
        what: as for `measurements`.
        changes: from faces of a track and their features, n×1×L×D, to a stretch of it that is
            another; by default one in which the scores are higher.

    Raises:
        WeightsError: a network cannot be opened.
    """
    if not faces.tracks:
        return NotApplicable(faces.why_none)
    far = probe.far(weights)
    scores: dict[str, NDArray[np.float64]] = {}
    found_changes: dict[str, Change | None] = {}
    kept: list[FaceTrack] = []
    each = max(1, MOST_SCORED // len(faces.tracks))
    for track in faces.tracks[:MOST_SCORED]:
        chosen = thinned(track.faces, each)
        features = [read(face) for face in chosen]
        found = [probe.read(weights, one) for one in features]
        near = [number for number, (_, distance) in enumerate(found) if distance[0] <= far]
        if near:
            kept.append(FaceTrack(track.subject, tuple(chosen[number] for number in near)))
            scores[track.subject] = np.array([found[number][0][0] for number in near])
            if changes is not None and faces.shots:
                found_changes[track.subject] = changes(faces, chosen, np.concatenate(features))
    if not kept:
        return NotApplicable(
            "its faces resemble none of those that the probe was fitted on, as drawings and "
            "statues do"
        )
    return measurements(faces, kept, scores, what, None if changes is None else found_changes)


def thinned(faces: Sequence[Face], most: int) -> Sequence[Face]:
    """At most so many faces, evenly spread."""
    if len(faces) <= most:
        return faces
    return [faces[(2 * number + 1) * len(faces) // (2 * most)] for number in range(most)]


def measurements(
    faces: Faces,
    tracks: Sequence[FaceTrack],
    scores: Mapping[str, NDArray[np.float64]],
    what: str,
    changes: Mapping[str, Change | None] | None = None,
) -> list[Measurement]:
    """The measurements of a detector that scored faces.

    Args:
        faces: of the media.
        tracks: persons with the faces that were scored, at least one.
        scores: subject → (n,) score of each face of the track, larger for what is looked for.
        what: names the score in sentences: "log-odds of a forged face".
        changes: subject → the stretch in which it is another; by default, in a video, the one in
            which its scores are higher.

    Returns:
        That of the media, one of each person, then, in a video, one of each face.
    """
    video = bool(faces.shots)
    told = {track.subject: float(np.mean(scores[track.subject])) for track in tracks}
    if changes is None:
        changes = {
            track.subject: _higher(track, scores[track.subject]) for track in tracks if video
        }
    least = LEAST_SEEN * len(faces.times)
    often = {track.subject for track in faces.tracks if len(track.faces) >= least}
    counted = [track for track in tracks if track.subject in often]
    highest = max(counted or tracks, key=lambda track: told[track.subject]).subject
    every = [face for track in tracks for face in track.faces]
    facts: dict[str, Fact] = {
        "persons": len(tracks),
        "faces": len(every),
        "highest_person": highest,
        "person_scores": {name: round(value, 3) for name, value in told.items()},
        "least_side": min(face.side for face in every),
        "sharpness": round(float(np.median([face.sharpness for face in every])), 2),
        "passed_over": dict(faces.passed_over),
    }
    if video:
        facts["shots"] = len(faces.shots)
    whole = Measurement(
        score=round(told[highest], 4),
        summary=_summary(told, highest, changes, what),
        regions=() if video else tuple(_region(t, t.faces[0], told[t.subject]) for t in tracks),
        series=tuple(_series(track, scores[track.subject], len(tracks)) for track in tracks)
        if video
        else (),
        facts=facts,
        contradiction=any(map(_disagrees, changes.values())),
    )
    persons = [
        _person(track, told[track.subject], changes.get(track.subject), video, what)
        for track in tracks
    ]
    frames = [
        _frame(track, face, float(score))
        for track in tracks
        for face, score in zip(track.faces, scores[track.subject], strict=True)
        if video
    ]
    return [whole, *persons, *frames]


def _summary(
    told: Mapping[str, float],
    highest: str,
    changes: Mapping[str, Change | None],
    what: str,
) -> str:
    if len(told) == 1:
        text = f"The {what} is {told[highest]:+.2f}."
    else:
        others = ", ".join(
            f"{name} {value:+.2f}" for name, value in told.items() if name != highest
        )
        text = f"The {what} is highest for {highest}, {told[highest]:+.2f} ({others})."
    stretches = [found.sentence(name) for name, found in changes.items() if found is not None]
    return " ".join([text, *stretches])


def _higher(track: FaceTrack, scores: NDArray[np.float64]) -> Change | None:
    times = np.array([face.seconds for face in track.faces])
    found = highest_stretch(times, scores)
    return None if found is None else Change("scores", found)


def _person(
    track: FaceTrack, score: float, change: Change | None, video: bool, what: str
) -> Measurement:
    side = float(np.median([face.side for face in track.faces]))
    facts: dict[str, Fact] = {
        "seen": len(track.faces),
        "side": round(side),
        "face_sharpness": round(float(np.median([face.sharpness for face in track.faces])), 2),
    }
    text = f"The {what} of {track.subject} is {score:+.2f}."
    if side < SMALL:
        text = f"{text} The face measures {side:.0f} pixels, in which little can be seen."
    if change is not None:
        facts["stretch"] = [round(change.stretch.start, 3), round(change.stretch.end, 3)]
        facts["stretch_of"] = change.what
        facts["stretch_errors"] = round(change.stretch.distance, 1)
        text = f"{text} {change.sentence(track.subject)}"
    best = track.best
    return Measurement(
        score=round(score, 4),
        summary=text,
        where=Where("video" if video else "image", subject=track.subject),
        regions=(_region(track, best, score),),
        facts=facts,
        contradiction=_disagrees(change),
    )


def _disagrees(change: Change | None) -> bool:
    """Whether a track contradicts itself: another face, or a face of another origin, for a time."""
    return change is not None and change.what != "scores"


def _frame(track: FaceTrack, face: Face, score: float) -> Measurement:
    return Measurement(
        score=round(score, 4),
        summary=f"{track.subject} at {face.seconds:.2f} s: {score:+.2f}.",
        where=Where("video", Span(face.seconds, face.seconds), face.box, track.subject),
        regions=(_region(track, face, score),),
    )


def _region(track: FaceTrack, face: Face, score: float) -> Region:
    box = face.box
    return Region(box.x, box.y, box.width, box.height, round(score, 3), name=track.subject)


def _series(
    track: FaceTrack, scores: Sequence[float] | NDArray[np.float64], persons: int
) -> Series:
    times = np.array([face.seconds for face in track.faces], np.float64)
    name = "" if persons == 1 else track.subject
    return Series(times, np.asarray(scores, np.float32), name)
