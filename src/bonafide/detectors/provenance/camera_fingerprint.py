"""Camera fingerprint: was it taken by a camera that was enrolled?

What it looks for
    The pattern of an enrolled camera's sensor in the noise of the picture, and places where the
    pattern is missing although it should be visible.

Why it works
    Every pixel of a sensor is a little more or less sensitive than its neighbours. This multiplies
    each picture by a fixed pattern, which no two sensors share, and which survives JPEG
    compression and moderate scaling. A part that was pasted, generated or retouched has another
    pattern or none.

When it fails
    Without an enrolled camera it says nothing. Dark, strongly textured, burnt-out, strongly
    compressed or small pictures carry too little of the pattern. Correction of lenses, digital
    zoom, stabilisation, panoramas, portrait and night modes of phones move pixels, so that the
    pattern no longer lies where it was learnt. Mirrored pictures are not searched, nor crops that
    were scaled by any but a round factor (and those from profile thorough on only).

How to read it
    PCE (peak-to-correlation energy) says how far the agreement stands out; 60 and more counts,
    where the chance of a false match, given all places that were tried, is also below one in a
    million. A match is evidence of the camera, not of an honest picture: edited pictures match as
    well, and somebody who has pictures of a camera can plant its pattern. No match does not mean
    another camera. A marked part should be looked at: deep shadow, burnt-out light and fine texture
    are left out as far as the picture tells, but not always.

Reference
    M. Chen, J. Fridrich, M. Goljan, J. Lukáš, "Determining Image Origin and Integrity Using Sensor
    Noise", IEEE Transactions on Information Forensics and Security 3(1), 2008; J. Lukáš, J.
    Fridrich, M. Goljan, "Digital Camera Identification from Sensor Pattern Noise", 1(2), 2006;
    M. Goljan, J. Fridrich, "Camera Identification from Cropped and Scaled Images", SPIE 6819, 2008.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from bonafide.cameras import store
from bonafide.media.context import Context
from bonafide.signals.heavy import scipy
from bonafide.signals.prnu import METHOD, log10_false_match
from bonafide.signals.prnu_missing import Missing, missing
from bonafide.signals.prnu_search import MATCH_PCE, Placement, Probe, describe, find, is_match
from bonafide.types import (
    Card,
    Event,
    Fact,
    Measured,
    Measurement,
    Needs,
    NotApplicable,
    Profile,
    Question,
    Region,
    ScoreMap,
)


def history(facts: Mapping[str, Fact]) -> Iterator[Event]:
    """The capture, where an enrolled camera matches."""
    if facts.get("camera"):
        detail = f"PCE {facts.get('pce')}, {facts.get('placement')}"
        yield Event("", f"Taken by “{facts['camera']}”", detail, "sensor noise", "measured")


CARD = Card(
    id="camera_fingerprint",
    version="1",
    question=Question.PROVENANCE,
    title="Fingerprint of an enrolled camera",
    needs=Needs(min_side=128),
    cost=0.2,
    facts={
        "compared": "enrolled cameras that it was compared with [count]",
        "camera": "the enrolled camera that matches best",
        "pce": "peak-to-correlation energy of the best camera [ratio]",
        "false_match_rate": "chance that a picture of another camera agrees as well with any of "
        "them, given all trials [0–1]",
        "trials": "places, scales, turns and cameras that were tried [count]",
        "matches": "every camera that matches, with its PCE [list]",
        "placement": "how the picture lies on the sensor, in words",
        "nearest": "the camera that agrees best, where none matches",
        "searched": "what was searched, in words",
        "missing_share": "share of the picture where the fingerprint is missing [0–1]",
        "judged_share": "share of the picture where that could be seen [0–1]",
        "window": "side of the windows that were compared [pixels]",
        "outdated": "cameras that have to be enrolled again [list of names]",
    },
    options=("profile",),
    ingredients=store.checksums,
    history=history,
    erased_by=("jpeg", "scale", "crop"),
    paper="Chen, Fridrich, Goljan, Lukáš, TIFS 3(1), 2008; Goljan, Fridrich, SPIE 6819, 2008",
    limits="On the middle 1.5 megapixels of pictures of three cameras, 49 of 85 matched (11 of 11 "
    "of a phone at full size, 8 of 23 of a camera in dark scenes); none of 3,291 comparisons with "
    "other cameras did. docs/camera.md has the table. Dark pictures of a camera with strong noise "
    "reduction do not match. Pictures of other cameras of the same model were not tested. The map "
    "is careful: a part pasted into a textured picture may stay unmarked.",
)
_MOST_REGIONS = 20
_SEARCHED = {
    False: "the whole sensor, also scaled down, and crops along one axis",
    True: "the whole sensor and crops anywhere, also scaled down by round factors",
}


@dataclass(frozen=True)
class _Compared:
    camera: store.Camera
    placement: Placement
    trials: int


class Detector:
    """Compares a picture with every enrolled camera.

    Args:
        profile: from `thorough` on, crops anywhere are searched.
    """

    def __init__(self, profile: Profile = Profile.STANDARD) -> None:
        self.profile = profile

    def measure(self, ctx: Context) -> Measured:
        """Return a finding whose score is the PCE of the best camera, at least 0."""
        known = store.enrolled()
        if not known:
            return NotApplicable("no camera is enrolled: see bonafide camera --help")
        thorough = self.profile.includes(Profile.THOROUGH)
        current = [camera for camera in known if camera.method == METHOD]
        outdated = [camera.name for camera in known if camera.method != METHOD]
        probe = Probe(ctx.image.luma)
        compared: list[_Compared] = []
        for camera in current:
            placement, tried = find(probe, store.fingerprint(camera), thorough)
            if placement is not None:
                compared.append(_Compared(camera, placement, tried))
        if not compared:
            return NotApplicable(
                "the picture's size fits no enrolled camera"
                if current
                else "the enrolled cameras have to be enrolled again: their method is outdated"
            )
        compared.sort(key=lambda one: -one.placement.pce)
        trials = sum(one.trials for one in compared)
        best = compared[0]
        matching = [one for one in compared if is_match(one.placement.pce, trials)]
        rate = log10_false_match(best.placement.pce, trials)
        facts: dict[str, Fact] = {
            "compared": len(compared),
            "pce": round(best.placement.pce, 1),
            "false_match_rate": float(f"{10 ** max(rate, -300.0):.2g}"),
            "trials": trials,
            "searched": _SEARCHED[thorough],
        }
        if outdated:
            facts["outdated"] = outdated
        score = max(round(best.placement.pce, 2), 0.0)
        if not matching:
            facts["nearest"] = best.camera.name
            return [Measurement(score=score, facts=facts, summary=_no_match(best, len(compared)))]
        facts |= {
            "camera": best.camera.name,
            "matches": [
                {"camera": one.camera.name, "pce": round(one.placement.pce, 1)} for one in matching
            ],
            "placement": describe(best.placement),
        }
        lacking = None
        if best.placement.pattern is not None:
            lacking = missing(probe.luma, probe.whole, best.placement.pattern)
        return [_match(ctx, best, facts, score, rate, lacking)]


def _no_match(best: _Compared, count: int) -> str:
    among = "The enrolled camera" if count == 1 else f"None of the {count} enrolled cameras"
    does = "does not match" if count == 1 else "matches"
    return (
        f"{among} {does} (PCE {best.placement.pce:.0f}, {MATCH_PCE:.0f} is needed), which does not "
        "prove another camera."
    )


def _match(
    ctx: Context,
    best: _Compared,
    facts: dict[str, Fact],
    score: float,
    rate: float,
    lacking: Missing | None,
) -> Measurement:
    chance = f"1 in 10^{-rate:.0f}" if rate > -15 else "less than 1 in 10^15"
    told = (
        f"The noise of the picture has the fingerprint of the enrolled camera “{best.camera.name}” "
        f"(PCE {best.placement.pce:,.0f}, {describe(best.placement)}; chance of a false match: "
        f"{chance})."
    )
    if lacking is None:
        told += " It is too faint to look for parts that lack it."
        return Measurement(score=score, facts=facts, summary=told)
    found = ScoreMap(lacking.values, lacking.cell, ctx.image.width, ctx.image.height)
    share = found.marked_share
    regions = _regions(found)
    facts |= {
        "missing_share": round(share, 4),
        "judged_share": round(lacking.judged, 3),
        "window": lacking.window,
    }
    if regions:
        parts = "1 part" if len(regions) == 1 else f"{len(regions)} parts"
        told += f" In {parts}, {100 * share:.1f} % of the picture, it is missing: look there."
    else:
        told += " No part was found to lack it."
    return Measurement(score=score, facts=facts, summary=told, maps=(found,), regions=regions)


def _regions(found: ScoreMap) -> tuple[Region, ...]:
    labels, _ = scipy.ndimage.label(found.values >= 0.5)
    regions = []
    for number, (rows, columns) in enumerate(scipy.ndimage.find_objects(labels), start=1):
        x, y = columns.start * found.cell, rows.start * found.cell
        right = min(columns.stop * found.cell, found.width)
        bottom = min(rows.stop * found.cell, found.height)
        strength = float(found.values[labels == number].max())
        regions.append(Region(x, y, right - x, bottom - y, round(strength, 3)))
    regions.sort(key=lambda one: -one.width * one.height)
    return tuple(regions[:_MOST_REGIONS])
