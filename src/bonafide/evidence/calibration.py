"""From raw scores to evidence, with fitted numbers that know where they were fitted.

A score becomes a log-likelihood ratio by a monotone map. Where the file lies outside of what the
calibration pictures cover (too small, too strongly compressed, unlike them in a fact that the
detector names), the map was never checked: the finding says so, and its evidence counts half. A
picture larger than all of them is said to be so and counts in full: it has more of the same to
look at, and a detector that minds names the fact by which it does.
"""

from __future__ import annotations

import bisect
import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache, lru_cache
from importlib import resources
from pathlib import Path
from types import MappingProxyType
from typing import Any

from bonafide.errors import InvalidInput
from bonafide.media.image import Image
from bonafide.signals.jpeg import estimate_quality
from bonafide.types import Finding, Label, Media, Question, Status

OUTSIDE_SHARE = 0.5  # of the evidence that is left where the map was never checked
CLAIM_QUESTION: Mapping[Label | None, Question] = {
    Label.AI_GENERATED: Question.SYNTHETIC,
    Label.MANIPULATED: Question.EDITED,
}
_MEASURED = {"short_side": "shorter side in pixels", "jpeg_quality": "JPEG quality"}


@dataclass(frozen=True)
class Calibration:
    """Fitted numbers, written by `tools/calibrate.py` and `bonafide bench calibrate`.

    Attributes:
        detectors: id → {version, knots [[score, llr]…], threshold, false_positive_rate,
            range {measure or fact → [low, high]}, …}.
        claims: id → {llr, …}: how much a claim of this detector weighs.
        fusion: question → {weights, bona_fide: sorted evidence, miss_rate, source}; without
            `source` that of the whole counts.
        source: what it was fitted on, for people.
        id: short content hash, named in every report; of two tables, both joined by "+".
        regions: how maps are read and joined, written by `tools/fit_regions.py`: {prior, detectors:
            id → {version, knots [[map value, llr]…], threshold, weight, weight_below}}.
    """

    detectors: Mapping[str, Mapping[str, Any]]
    claims: Mapping[str, Mapping[str, Any]]
    fusion: Mapping[str, Mapping[str, Any]]
    source: str
    id: str
    regions: Mapping[str, Any] = field(default_factory=dict)


@cache
def default_calibration() -> Calibration:
    """The calibration that ships with bonafide."""
    raw = resources.files("bonafide.evidence").joinpath("calibration.json").read_bytes()
    return _parse(raw)


def load_calibration(path: str | None) -> Calibration:
    """The shipped calibration, with the user's own laid over it.

    Entries of the user's table replace those of the same detector, and its fusion that of the
    same question as a whole, since weights and bounds belong together.

    Args:
        path: a file written by `bonafide bench calibrate`; None for the shipped table alone.

    Raises:
        InvalidInput: it cannot be read, or is no calibration.
    """
    if path is None:
        return default_calibration()
    try:
        return _merged(Path(path).read_bytes())
    except OSError as error:
        raise InvalidInput(f"calibration {path} cannot be read: {error.strerror}") from None
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise InvalidInput(
            f"{path} is no calibration as `bonafide bench calibrate` writes it ({error})"
        ) from None


def measures(media: Media) -> dict[str, float]:
    """What of a file itself is compared with the calibration pictures.

    Returns:
        `short_side` in pixels and, for a JPEG, `jpeg_quality` as the nearest IJG quality, 1 to
        100; {} for media without pixels of their own.
    """
    if not isinstance(media, Image):
        return {}
    found = {"short_side": float(min(media.width, media.height))}
    if media.jpeg and media.jpeg.quantisation:
        found["jpeg_quality"] = float(estimate_quality(media.jpeg.quantisation[0]).quality)
    return found


def calibrate(
    finding: Finding,
    calibration: Calibration,
    measured: Mapping[str, float] = MappingProxyType({}),
) -> Finding:
    """Fill `llr`, `probability`, `threshold`, `false_positive_rate` and `outside` where known.

    A score of a detector version that was never calibrated is returned unchanged: it is shown
    and does not vote.

    Args:
        finding: as the detector returned it.
        calibration: the tables.
        measured: of the file, from `measures`.
    """
    if finding.status is not Status.OK:
        return finding
    if finding.claim in CLAIM_QUESTION and finding.detector in calibration.claims:
        llr = float(calibration.claims[finding.detector]["llr"])
        return replace(finding, llr=llr, probability=probability(llr))
    entry = calibration.detectors.get(finding.detector)
    if entry is None or entry["version"] != finding.version or finding.score is None:
        return finding
    known = replace(
        finding,
        threshold=entry["threshold"],
        false_positive_rate=entry["false_positive_rate"],
    )
    if "knots" not in entry:  # it counts contradictions, which are shown and not weighed
        return known
    outside, unchecked = beyond(entry.get("range", {}), {**measured, **finding.facts})
    llr = interpolate(finding.score, entry["knots"]) * (OUTSIDE_SHARE if unchecked else 1.0)
    return replace(known, llr=round(llr, 4), probability=probability(llr), outside=outside)


def beyond(
    ranges: Mapping[str, Sequence[float]], values: Mapping[str, Any]
) -> tuple[tuple[str, ...], bool]:
    """What lies outside of its range; a missing value is inside.

    Returns:
        A sentence for each, and whether evidence counts half because of them.
    """
    sentences, unchecked = [], False
    for name, (low, high) in ranges.items():
        value = values.get(name)
        if not isinstance(value, int | float) or low <= value <= high:
            continue
        halved = value < low or limits_above(name)
        unchecked |= halved
        sentences.append(
            f"Its {_MEASURED.get(name, name.replace('_', ' '))} is {_plain(value)}, where 98 % of "
            f"the calibration pictures have {_plain(low)} to {_plain(high)}"
            + (", so its evidence counts half." if halved else ".")
        )
    return tuple(sentences), unchecked


def limits_above(name: str) -> bool:
    """Whether a value over the range of a measure or fact leaves the map unchecked."""
    return name != "short_side"


def interpolate(score: float, knots: Sequence[Sequence[float]]) -> float:
    """Linear between knots, constant beyond them: evidence never grows past what was seen."""
    scores = [knot[0] for knot in knots]
    index = bisect.bisect_right(scores, score)
    if index == 0:
        return float(knots[0][1])
    if index == len(knots):
        return float(knots[-1][1])
    (left, low), (right, high) = knots[index - 1], knots[index]
    return float(low + (high - low) * (score - left) / (right - left))


def probability(llr: float) -> float:
    """P at even prior odds, in [0, 1]."""
    return round(1.0 / (1.0 + math.exp(-max(min(llr, 50.0), -50.0))), 4)


def _parse(raw: bytes) -> Calibration:
    table = json.loads(raw)
    return Calibration(
        detectors=table["detectors"],
        claims=table["claims"],
        fusion=table["fusion"],
        source=table["source"],
        id=hashlib.sha256(raw).hexdigest()[:12],
        regions=table.get("regions", {}),
    )


@lru_cache(maxsize=4)
def _merged(raw: bytes) -> Calibration:
    shipped, own = default_calibration(), _parse(raw)
    _check(own)
    fusion = {question: {"source": own.source, **fused} for question, fused in own.fusion.items()}
    return Calibration(
        detectors={**shipped.detectors, **own.detectors},
        claims={**shipped.claims, **own.claims},
        fusion={**shipped.fusion, **fusion},
        source=shipped.source,
        id=f"{shipped.id}+{own.id}",
        regions=own.regions or shipped.regions,
    )


def _check(own: Calibration) -> None:
    """Find out now, not in the middle of a verdict, what a hand-edited table lacks."""
    for name, entry in own.detectors.items():
        _ = entry["version"], float(entry["threshold"]), float(entry["false_positive_rate"])
        scores = [float(score) for score, _ in entry["knots"]]
        if not scores or scores != sorted(set(scores)):
            raise ValueError(f"the knots of {name} do not rise")
        if not all(low <= high for low, high in entry.get("range", {}).values()):
            raise ValueError(f"a range of {name} ends before it begins")
    for question, fused in own.fusion.items():
        _ = Question(question), fused["weights"].items(), float(fused["miss_rate"])
        if not fused["bona_fide"] or fused["bona_fide"] != sorted(fused["bona_fide"]):
            raise ValueError(f"the evidence of bona fide pictures ({question}) is not in order")


def _plain(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
