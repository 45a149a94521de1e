"""The only serialiser of comparisons: a `Comparison` as JSON values.

The keys are those of `docs/comparison.schema.json`. Keys may be added; none changes its meaning.
"""

from __future__ import annotations

from typing import Any

from bonafide.comparison.result import Change, Comparison
from bonafide.report.comparison_words import RELATIONS, caveats
from bonafide.report.to_dict import to_dict
from bonafide.types import Failure, MediaFacts, Region


def comparison_dict(comparison: Comparison | Failure) -> dict[str, Any]:
    """Return a dict of JSON values only; masks are pictures, and written by `--maps`."""
    if isinstance(comparison, Failure):
        failed = to_dict(comparison)
        return {key: failed[key] for key in ("schema", "media", "status", "error", "why")} | {
            "relation": None,
            "changes": [],
        }
    return {
        "schema": comparison.schema,
        "reference": _media(comparison.reference),
        "suspect": _media(comparison.suspect),
        "status": "ok",
        "relation": comparison.relation.value,
        "relation_words": RELATIONS[comparison.relation].name,
        "meaning": RELATIONS[comparison.relation].meaning,
        "because": list(comparison.because),
        "caveats": caveats(comparison),
        "changed_share": comparison.changed_share,
        "changes": [_change(change) for change in comparison.changes],
        "homographies": [list(homography) for homography in comparison.homographies],
        "evidence": vars(comparison.evidence) | {"keypoints": list(comparison.evidence.keypoints)},
        "settings": dict(comparison.settings),
        "versions": dict(comparison.versions),
        "compared_at": comparison.compared_at,
        "seconds": comparison.seconds,
    }


def _media(media: MediaFacts) -> dict[str, Any]:
    return {
        "path": media.path,
        "name": media.name,
        "sha256": media.sha256,
        "bytes": media.bytes,
        "format": media.format,
        "width": media.width,
        "height": media.height,
    }


def _change(change: Change) -> dict[str, Any]:
    return {
        "suspect": _box(change.suspect),
        "reference": None if change.reference is None else _box(change.reference),
        "share": round(change.share, 6),
        "strength": change.strength,
        "levels": list(change.levels),
        "kept_detail": change.kept_detail,
    }


def _box(region: Region) -> dict[str, int]:
    return {"x": region.x, "y": region.y, "width": region.width, "height": region.height}
