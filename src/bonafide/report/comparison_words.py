"""What a comparison's names mean to a person, for the terminal and the page."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields

from bonafide.comparison.result import Change, Comparison, Evidence, Relation
from bonafide.languages.speak import gettext as _
from bonafide.languages.speak import told
from bonafide.report.wording import Words, number

RELATIONS: Mapping[Relation, Words] = {
    Relation.IDENTICAL_BYTES: Words(
        "Identical file", "Both are the same file, byte for byte.", "✔", "+", "green"
    ),
    Relation.IDENTICAL_PIXELS: Words(
        "Identical pixels",
        "Every pixel is the same; only the file around them differs.",
        "✔",
        "+",
        "green",
    ),
    Relation.REENCODED_COPY: Words(
        "Unchanged copy",
        "The suspect is a copy of the reference that was saved, resized, cropped or toned as a "
        "whole. No part of it was found changed.",
        "✔",
        "+",
        "green",
    ),
    Relation.EDITED_COPY: Words(
        "Edited copy",
        "The suspect is a copy of the reference, and parts of it were changed.",
        "▲",
        "!",
        "red",
    ),
    Relation.LOOK_ALIKE: Words(
        "Look-alike",
        "Both show the same scene or thing, captured separately. Neither is a copy of the other.",
        "◆",
        "*",
        "magenta",
    ),
    Relation.UNRELATED: Words(
        "Unrelated", "Nothing was found that both pictures share.", "○", "-", "cyan"
    ),
    Relation.INCONCLUSIVE: Words(
        "Inconclusive", "The evidence does not tell how they relate.", "◐", "?", "yellow"
    ),
}
CAVEAT = (
    "The reference is taken for granted: that a suspect differs from it does not say which of "
    "the two is genuine."
)
CAVEATS: Mapping[Relation, str] = {
    Relation.REENCODED_COPY: "Changes fainter or smaller than the noise of saving stay unseen.",
    Relation.LOOK_ALIKE: (
        "Marked differences lie on flat faces that both show. Light, dirt and depth mark places "
        "too: each needs a look."
    ),
}
# The tone and icon of the report's style sheet that each relation is shown in.
TONES: Mapping[Relation, str] = {
    Relation.IDENTICAL_BYTES: "authenticated",
    Relation.IDENTICAL_PIXELS: "authenticated",
    Relation.REENCODED_COPY: "authenticated",
    Relation.EDITED_COPY: "manipulated",
    Relation.LOOK_ALIKE: "ai_generated",
    Relation.UNRELATED: "no_trace_found",
    Relation.INCONCLUSIVE: "inconclusive",
}
_EVIDENCE = {
    "keypoints": "keypoints of reference and suspect",
    "matches": "keypoints that match",
    "inliers": "matches that agree on one place",
    "log10_false_alarms": "alignments that chance would explain, power of ten",
    "planes": "separate surfaces that matches agree on",
    "mirrored": "mirror image",
    "scale": "suspect pixels per reference pixel",
    "perspective": "departure from an affine map [pixels]",
    "coverage": "share of the suspect that the reference reaches",
    "used": "share of the reference that the suspect shows",
    "tightness": "share of nearby matches within a pixel",
    "shift": "shift left after alignment, median [pixels]",
    "shift_90": "shift left after alignment, 90th percentile [pixels]",
    "blocks": "textured blocks compared",
    "agreeing": "share of blocks whose detail agrees",
    "exact": "share of those that agree but for saving",
    "agreement": "correlation of detail, median of all blocks",
    "grain_pixels": "flat pixels whose noise was compared",
    "grain_reference": "noise of the reference there [grey levels]",
    "grain_suspect": "noise of the suspect there [grey levels]",
    "grain_slope": "share of that noise found in the suspect",
    "grain_significance": "the same, against wrong alignments [times]",
    "tone": "colours moved as a whole, median [grey levels]",
    "noise": "noise of the difference [grey levels]",
}


def caveats(comparison: Comparison) -> list[str]:
    """What a reader must know before relying on it."""
    own = CAVEATS.get(comparison.relation)
    return [CAVEAT] if own is None else [own, CAVEAT]


def measurements(evidence: Evidence) -> list[tuple[str, str]]:
    """(what, value) of everything that was measured."""
    rows = []
    for field in fields(evidence):
        value = getattr(evidence, field.name)
        if value is None:
            continue
        if isinstance(value, bool):
            text = told("yes" if value else "no")
        elif isinstance(value, tuple):
            text = told(" and ".join(str(part) for part in value))
        else:
            text = number(value)
        rows.append((told(_EVIDENCE[field.name]), text))
    return rows


def area(share: float) -> str:
    """A share of a picture, never rounded to nothing."""
    return told(f"{100 * share:.1f} %" if share >= 0.001 else f"{100 * share:.2g} %")


def change(found: Change) -> str:
    """One changed region in a sentence."""
    place = found.suspect
    most = _("8 times or more")
    if found.strength <= 7.9:
        most = _("%(ratio)s times", ratio=number(found.strength))
    kind = _("both are flat there")
    if found.kept_detail is not None:
        kind = (
            _("structure is kept, light or colour changed")
            if found.kept_detail > 0.9
            else _("structure is different")
            if found.kept_detail < 0.5
            else _("structure is partly kept")
        )
    return _(
        "%(width)s × %(height)s pixels at (%(x)s, %(y)s), %(share)s of the picture; %(most)s what "
        "counts; %(kind)s.",
        width=place.width,
        height=place.height,
        x=place.x,
        y=place.y,
        share=area(found.share),
        most=most,
        kind=kind,
    )
