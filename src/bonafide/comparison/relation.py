"""The rule that names how a suspect relates to a reference, with its reasons in words.

In order, the first that applies:

1. Equal bytes, or equal pixels.
2. No alignment. Both pictures have at least `ENOUGH_KEYPOINTS` keypoints: unrelated, since a copy
   would share many. Otherwise inconclusive.
3. One exposure, if all of these hold where detail agrees: patches lie within `STILL` of a pixel
   and nine in ten within `STILL_90`; half of the agreeing blocks agree to `EXACT`; matches are
   tight; at most two homographies are needed; and no noise speaks against it. Then the suspect is
   an edited copy if a changed region was found, a re-encoded copy otherwise.
4. Another exposure (look-alike), if patches stay shifted by more than `ADRIFT`, or hardly any
   detail agrees exactly and matches are loose: depth and light differ. Or if both have noise of
   like strength and none of it in common, or several surfaces are each seen in perspective.
5. Between the two: inconclusive. A still camera and heavy degradation both end here.

The limits lie between what copies and other captures measured (see the tests); they were set on
few scenes. A picture photographed from a screen or print is another exposure to this rule.
"""

from __future__ import annotations

from bonafide.comparison.alignment import SURE
from bonafide.comparison.result import Change, Evidence, Relation

ENOUGH_KEYPOINTS = 150
STILL, STILL_90 = 0.25, 0.55  # pixels, at working size
ADRIFT = 0.35
EXACT = 0.95  # correlation of a block that is the same but for saving
MOST_PLANES = 2
_FEWEST_BLOCKS = 6
_BENT = 5.0  # pixels of perspective that editors leave a copy without
_GRAIN_PIXELS = 5000


def decide(evidence: Evidence, changes: tuple[Change, ...]) -> tuple[Relation, tuple[str, ...]]:
    """Name the relation of two pictures whose pixels differ.

    Returns:
        The relation, and sentences that say why, the deciding one first.
    """
    if evidence.scale is None:
        return _unaligned(evidence)
    where = _alignment_words(evidence)
    grain = _grain_words(evidence)
    if _one_exposure(evidence):
        why = (
            f"Detail is the same: {_percent(evidence.exact)} of the blocks that agree do so but "
            f"for saving, and they lie within {evidence.shift:.2f} pixels of where they should."
        )
        if changes:
            share = sum(change.share for change in changes)
            what = _count(len(changes), "region differs", "regions differ")
            edited = f"{what} by more than saving explains, {_percent(share)} of the picture."
            return Relation.EDITED_COPY, (edited, why, where, *grain, *_tone_words(evidence))
        nothing = "No region differs by more than saving, resizing and toning the whole explain."
        return Relation.REENCODED_COPY, (nothing, why, where, *grain, *_tone_words(evidence))
    if _other_exposure(evidence):
        if _turned(evidence):
            apart = (
                f"{evidence.planes} surfaces are each seen in a perspective of their own: the "
                "camera stood elsewhere."
            )
        else:
            apart = (
                "The same things are seen, yet not as in a copy: after alignment, places are "
                f"still {_pixels(evidence.shift)} apart, and {_percent(evidence.agreeing)} of the "
                "textured blocks agree."
            )
        return Relation.LOOK_ALIKE, (apart, where, *grain)
    between = (
        "What agrees is too exact for chance and not exact enough for a copy: another picture "
        "from the same place, or a copy that was degraded or moved about."
    )
    return Relation.INCONCLUSIVE, (between, where, *grain)


def _unaligned(evidence: Evidence) -> tuple[Relation, tuple[str, ...]]:
    first, second = evidence.keypoints
    if min(first, second) < ENOUGH_KEYPOINTS or evidence.log10_false_alarms < SURE / 2:
        why = (
            f"Too little to go by: {first} and {second} keypoints, {evidence.matches} matches, "
            "and no alignment that chance could not explain."
        )
        return Relation.INCONCLUSIVE, (why,)
    why = (
        f"Of {first} and {second} keypoints {evidence.matches} match, and no more of those agree "
        "on one place than chance explains."
    )
    return Relation.UNRELATED, (why,)


def _one_exposure(evidence: Evidence) -> bool:
    if evidence.shift is None or evidence.shift_90 is None or evidence.exact is None:
        return False
    return (
        evidence.blocks >= _FEWEST_BLOCKS
        and evidence.shift <= STILL
        and evidence.shift_90 <= STILL_90
        and evidence.exact >= 0.5
        and (evidence.tightness is None or evidence.tightness >= 0.75)
        and evidence.planes <= MOST_PLANES
        and not _own_grain(evidence)
    )


def _other_exposure(evidence: Evidence) -> bool:
    if evidence.blocks < _FEWEST_BLOCKS:
        return False
    loose = evidence.tightness is not None and evidence.tightness < 0.75
    adrift = evidence.shift is None or evidence.shift > ADRIFT
    inexact = evidence.exact is None or evidence.exact < 0.35
    apart = adrift and (loose or inexact or evidence.planes > 1)
    return apart or _turned(evidence) or (loose and inexact) or _own_grain(evidence)


def _turned(evidence: Evidence) -> bool:
    return evidence.planes > 1 and (evidence.perspective or 0.0) > _BENT


def _own_grain(evidence: Evidence) -> bool:
    """Whether both have noise of like strength and none of it is common."""
    if evidence.grain_pixels < _GRAIN_PIXELS or not evidence.grain_reference:
        return False
    assert evidence.grain_suspect is not None and evidence.grain_slope is not None
    # Saving takes noise away; turning and scaling the reference has taken some of its own.
    alike = 0.7 < evidence.grain_suspect / evidence.grain_reference < 2.5
    strong = min(evidence.grain_reference, evidence.grain_suspect) > 0.8
    return alike and strong and abs(evidence.grain_slope) < 0.05


def _grain_words(evidence: Evidence) -> tuple[str, ...]:
    if evidence.grain_slope is None or evidence.grain_significance is None:
        return ()
    if evidence.grain_slope > 0.2 and evidence.grain_significance > 8:
        return (
            f"{_percent(min(evidence.grain_slope, 1.0))} of the reference's noise is found in the "
            "suspect: they come from one exposure.",
        )
    if _own_grain(evidence):
        return ("Each has noise of its own, of like strength: they speak of two exposures.",)
    return ()


def _alignment_words(evidence: Evidence) -> str:
    assert evidence.scale is not None
    mirrored = "mirrored and " if evidence.mirrored else ""
    how = (
        f"{evidence.inliers} of {evidence.matches} keypoint matches agree on one place"
        if evidence.inliers
        else "The frames lie over each other"
    )
    return (
        f"{how}: the reference is {mirrored}scaled to {_percent(evidence.scale)} and covers "
        f"{_percent(evidence.coverage)} of the suspect, which shows {_percent(evidence.used)} "
        "of it."
    )


def _tone_words(evidence: Evidence) -> tuple[str, ...]:
    if not evidence.tone:
        return ()
    return (
        f"Colours of the whole were moved, by {evidence.tone:.0f} of 255 levels at the median.",
    )


def _percent(share: float | None) -> str:
    if share is None:
        return "an unknown part"
    return f"{100 * share:.0f} %" if share >= 0.01 or share == 0 else f"{100 * share:.2g} %"


def _pixels(distance: float | None) -> str:
    return "too far" if distance is None else f"{distance:.1f} pixels"


def _count(number: int, one: str, many: str) -> str:
    return f"{number} {one if number == 1 else many}"
