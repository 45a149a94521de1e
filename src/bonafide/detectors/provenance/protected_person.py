"""A face that looks like a person whom the user enrolled.

What it looks for
    Faces whose recognition vector is near that of an enrolled person.

Why it works
    A network that was trained to recognise faces gives pictures of one person similar vectors,
    whatever the light, the age and the camera.

When it fails
    On siblings and doubles, on faces that are small, blurred, masked or turned, and wherever the
    network was trained on few people of a kind. A good face swap looks like the person in identity:
    that is what it is made for.

How to read it
    As "looks like NAME in identity", with the rate at which faces of other persons are as alike.
    It says nothing of whether the picture is genuine. Read it together with the answer about a
    forged face of the same person.

Reference
    Y. Zhong, W. Deng et al., "SFace: Sigmoid-Constrained Hypersphere Loss for Robust Face
    Recognition", IEEE TIP 30, 2021; templates: Z. Zhong et al., "SlerpFace", AAAI 2025.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bonafide.errors import InvalidInput, WeightsError
from bonafide.media.context import Context
from bonafide.networks.faces import FINDER, RECOGNISER
from bonafide.persons import protect, store
from bonafide.regions import Region
from bonafide.subjects.faces import FACES, FaceTrack
from bonafide.types import (
    Card,
    Fact,
    Failed,
    Kind,
    Measured,
    Measurement,
    Needs,
    NotApplicable,
    Question,
    Where,
)

# Likeness → share of faces of other persons that are at least as alike, see docs/person.md.
RATES = (
    (0.36, 0.016),
    (0.40, 0.0068),
    (0.45, 0.0021),
    (0.50, 0.00056),
    (0.55, 0.00025),
    (0.60, 0.00019),
)
MATCH = 0.5

CARD = Card(
    id="protected_person",
    version="1",
    question=Question.PROVENANCE,
    title="Faces of enrolled persons",
    kinds=(Kind.IMAGE, Kind.VIDEO),
    needs=Needs(min_side=64, min_faces=1),
    cost=0.1,
    facts={
        "compared": "enrolled persons that faces were compared with [count]",
        "name": "the enrolled person that a face is most like, where one is alike enough",
        "likeness": "cosine of the protected vectors of the nearest pair [-1 to 1]",
        "false_match_rate": "share of faces of other persons that are at least as alike, times the "
        "comparisons that were made [0–1]",
        "comparisons": "faces times enrolled persons [count]",
        "matches": "person of the report, enrolled name and likeness of each match [list]",
        "left_out": "enrolled persons whose key is missing or outdated [list of names]",
    },
    networks=(FINDER, RECOGNISER),
    ingredients=store.checksums,
    paper="Zhong, Deng et al., IEEE TIP 30, 2021; Z. Zhong et al., AAAI 2025",
    limits="Of 15,794 pairs of different persons (149 portraits of one collection, 106 of others), "
    "with six keys, 0.022 % were taken for one person; all of 8 pairs of one person were, with any "
    "key. The rates that are shown are upper 95 % bounds of such counts. Siblings, children and "
    "disguises were not tested; the recogniser does worse on persons unlike those that it was "
    "trained on.",
)


@dataclass(frozen=True)
class _Match:
    track: FaceTrack
    name: str
    likeness: float


class Detector:
    """Compares each person of a media with each enrolled person, behind their keys."""

    def measure(self, ctx: Context) -> Measured:
        """Return the nearest pair, then a measurement of each person that matches."""
        try:
            known = store.enrolled()
            if not known:
                return NotApplicable("nobody is enrolled: see bonafide person --help")
            faces = ctx.get(FACES)
        except (InvalidInput, WeightsError) as error:
            return Failed(getattr(error, "why", str(error)))
        if not faces.tracks:
            return NotApplicable(faces.why_none)
        pairs, left_out, compared = [], [], 0
        for one in known:
            try:
                key = store.key_of(one)
            except InvalidInput:
                left_out.append(one.name)
                continue
            if one.method != protect.METHOD:
                left_out.append(one.name)
                continue
            compared += 1
            template = np.array(one.template, np.float32)
            pairs += [
                _Match(
                    track, one.name, protect.likeness(protect.protect(track.vector, key), template)
                )
                for track in faces.tracks
            ]
        if not pairs:
            return NotApplicable(f"the keys of {', '.join(left_out)} are missing or outdated")
        best = max(pairs, key=lambda pair: pair.likeness)
        matches = _matches(pairs)
        facts: dict[str, Fact] = {
            "compared": compared,
            "comparisons": len(pairs),
            "likeness": round(best.likeness, 3),
            "false_match_rate": false_match_rate(best.likeness, len(pairs)),
        }
        if left_out:
            facts["left_out"] = list(left_out)
        if not matches:
            people = "the enrolled person" if compared == 1 else f"any of {compared} persons"
            text = f"No face looks like {people} (likeness {best.likeness:.2f} of {MATCH:.2f})."
            return [Measurement(score=round(best.likeness, 4), summary=text, facts=facts)]
        facts["name"] = matches[0].name
        facts["matches"] = [
            [match.track.subject, match.name, round(match.likeness, 3)] for match in matches
        ]
        video = bool(faces.shots)
        told = " ".join(_sentence(match, len(pairs)) for match in matches)
        whole = Measurement(
            score=round(best.likeness, 4),
            summary=f"{told} That says nothing of whether it is genuine.",
            facts=facts,
            regions=() if video else tuple(map(_region, matches)),
        )
        return [whole, *(_person(match, len(pairs), video) for match in matches)]


def false_match_rate(likeness: float, comparisons: int) -> float:
    """Bound on the chance that a face of another person is as alike in one of some comparisons."""
    rate = next((rate for least, rate in reversed(RATES) if likeness >= least), 1.0)
    return float(f"{min(1.0, rate * comparisons):.2g}")


def _matches(pairs: list[_Match]) -> list[_Match]:
    """Those that are alike enough; of each person the nearest, and each name once."""
    found: list[_Match] = []
    for pair in sorted(pairs, key=lambda pair: -pair.likeness):
        persons, names = {one.track.subject for one in found}, {one.name for one in found}
        free = pair.track.subject not in persons and pair.name not in names
        if free and pair.likeness >= MATCH:
            found.append(pair)
    return found


def _sentence(match: _Match, comparisons: int) -> str:
    rate = 100 * false_match_rate(match.likeness, comparisons)
    return (
        f"{match.track.subject.capitalize()} looks like “{match.name}” in identity (likeness "
        f"{match.likeness:.2f}; a face of somebody else is as alike in at most {rate:.2g} % of "
        "files like this)."
    )


def _person(match: _Match, comparisons: int, video: bool) -> Measurement:
    return Measurement(
        score=round(match.likeness, 4),
        summary=_sentence(match, comparisons),
        where=Where("video" if video else "image", subject=match.track.subject),
        regions=(_region(match),),
        facts={
            "name": match.name,
            "likeness": round(match.likeness, 3),
            "false_match_rate": false_match_rate(match.likeness, comparisons),
        },
    )


def _region(match: _Match) -> Region:
    box = match.track.best.box
    label = f"{match.track.subject}: {match.name}"
    return Region(box.x, box.y, box.width, box.height, round(match.likeness, 3), name=label)
