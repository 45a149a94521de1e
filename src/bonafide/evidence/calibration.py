"""From raw scores to evidence, with fitted numbers that know where they were fitted.

A score becomes a log-likelihood ratio by a monotone map. Where the file lies outside of what the
calibration files cover (too small, too large, too strongly compressed, unlike them in a fact that
the table names), the map was never checked: the finding says so, and its evidence counts half, for
and against. Where a detector says that the picture shows what its method was not made for, the
score does not vote.
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
from bonafide.evidence.reference import HEAD, Reference, Stratum, needed
from bonafide.types import Calibrated, Finding, Kind, Measurement, Question, Status

SCHEMA = 2
ANY = ""  # kind of media in the entry of a detector that was calibrated on several
OUTSIDE_SHARE = 0.5  # of the evidence that is left where the map was never checked
NOTHING_MEASURED: Mapping[str, float] = MappingProxyType({})
# Questions that detectors answer by the pictures of a video.
BY_PICTURES = (Question.SYNTHETIC, Question.FACE_FORGED, Question.SPOOFED)
_MEASURED = {"short_side": "shorter side in pixels", "jpeg_quality": "JPEG quality"}


@dataclass(frozen=True)
class Calibration:
    """Fitted numbers, written by `bonafide bench calibrate`.

    Attributes:
        detectors: id → {version, question, threshold, false_positive_rate, knots
            [[score, llr]…], range {measure or fact → [low, high]}, kind of media, …}; without
            knots a score is shown and not weighed.
        questions: value of a question → its weights and calibration files.
        source: what it was fitted on, for people.
        id: short content hash, named in every report; of two tables, both joined by "+".
        regions: how maps are read and joined, written by `bonafide bench regions`: {prior,
            detectors: id → {version, knots [[map value, llr]…], threshold, weight,
            weight_below}}.
    """

    detectors: Mapping[str, Mapping[str, Any]]
    questions: Mapping[str, Reference]
    source: str
    id: str
    regions: Mapping[str, Any] = field(default_factory=dict)

    def uncertified(self) -> dict[str, str]:
        """Question → why its table cannot accuse at the question's own bound; {} if all can."""
        found = {}
        for name, reference in self.questions.items():
            weighing = frozenset(name for name in reference.detectors if reference.weight(name))
            asked = Question(name)
            alpha = asked.alpha
            usual = Stratum() if Kind.IMAGE in asked.kinds else Stratum(asked.kinds[0].value)
            comparison = reference.compare(weighing, usual, alpha)
            if not comparison.certifies(alpha):
                found[name] = (
                    f"{comparison.pool.sources} bona fide sources cannot certify a bound of "
                    f"{100 * alpha:g} %; that takes {needed(alpha)}"
                )
        return found


@cache
def default_calibration() -> Calibration:
    """The calibration that ships with bonafide."""
    raw = resources.files("bonafide.evidence").joinpath("calibration.json").read_bytes()
    return _parse(raw)


def load_calibration(path: str | None) -> Calibration:
    """The shipped calibration, with the user's own laid over it.

    Entries of the user's table replace those of the same detector, and its weights and files those
    of the same question as a whole, since they belong together.

    Args:
        path: a file written by `bonafide bench calibrate`; None for the shipped table alone.

    Raises:
        InvalidInput: it cannot be read, is of an earlier schema, or is no calibration.
    """
    if path is None:
        return default_calibration()
    try:
        return _merged(Path(path).read_bytes())
    except OSError as error:
        raise InvalidInput(f"calibration {path} cannot be read: {error.strerror}") from None
    except _EarlierSchema:
        raise InvalidInput(
            f"{path} was written by an earlier version of bonafide; run `bonafide bench calibrate` "
            "again"
        ) from None
    except (ValueError, TypeError, KeyError, AttributeError, IndexError) as error:
        raise InvalidInput(
            f"{path} is no calibration as `bonafide bench calibrate` writes it ({error})"
        ) from None


def measures(media: Any) -> dict[str, float]:
    """What of a file itself is compared with the calibration files.

    Args:
        media: a `bonafide.media.media.Media`.

    Returns:
        `short_side` in pixels and `megapixels` of what can be seen; `jpeg` (1.0 or 0.0) for a
        picture, with `jpeg_quality` as the nearest IJG quality, 1 to 100; `seconds` for what
        lasts; `keyframe_bits`, `blockiness` and `detail` of a video, see
        `signals.video_quality`. {} for media that are not decoded.
    """
    image = getattr(media, "image", None)
    video, audio = getattr(media, "video", None), getattr(media, "audio", None)
    seen = image or video
    found: dict[str, float] = {}
    if seen is not None:
        found["short_side"] = float(min(seen.width, seen.height))
        found["megapixels"] = round(seen.width * seen.height / 1e6, 4)
    if image is not None:
        found["jpeg"] = float(image.jpeg is not None)
        if image.jpeg and image.jpeg.quantisation:
            from bonafide.signals.jpeg import estimate_quality

            found["jpeg_quality"] = float(estimate_quality(image.jpeg.quantisation[0]).quality)
    elif video is not None or audio is not None:
        found["seconds"] = float(getattr(video or audio, "duration", 0.0) or 0.0)
    if image is None and video is not None:
        from bonafide.media.video import VideoTrack
        from bonafide.signals.video_quality import quality_of

        quality = quality_of(video) if isinstance(video, VideoTrack) else None
        if quality is not None:
            found["keyframe_bits"] = round(quality.judged_bits, 4)
            found["blockiness"] = round(quality.blockiness, 3)
            found["detail"] = round(quality.detail, 3)
    return found


def poor_pictures(measured: Mapping[str, float]) -> str:
    """Why nothing can be decided by the pictures of a video, one sentence; "" where it can.

    Args:
        measured: of the file, from `measures`.
    """
    if "seconds" not in measured or "short_side" not in measured:
        return ""
    from bonafide.signals.video_quality import too_poor

    known = [measured.get(name, 0.0) for name in ("keyframe_bits", "blockiness", "detail")]
    return too_poor(measured["short_side"], *known)


def calibrate(
    finding: Finding,
    calibration: Calibration,
    measured: Mapping[str, float] = NOTHING_MEASURED,
) -> Finding:
    """The finding with what calibration knows of each of its measurements.

    A score of a detector version that was never calibrated is returned as it is: it is shown and
    does not vote.

    Args:
        finding: as the detector returned it.
        calibration: the tables.
        measured: of the file, from `measures`.
    """
    if finding.status is not Status.OK:
        return finding
    stratum = Stratum.of(measured)
    entry = calibration.detectors.get(finding.detector)
    if entry is None or entry["version"] != finding.version:
        return finding
    poor = poor_pictures(measured) if finding.question in BY_PICTURES else ""
    kinds = (ANY, stratum.kind)
    foreign = bool(stratum.kind) and entry.get("kind", Kind.IMAGE.value) not in kinds
    return replace(
        finding,
        parts=tuple(
            (told, _calibrated(told, entry, measured, stratum.words, foreign))
            for told in (
                replace(part, outside=part.outside or poor) if part.score is not None else part
                for part, _ in finding.parts
            )
        ),
    )


def _calibrated(
    part: Measurement,
    entry: Mapping[str, Any],
    measured: Mapping[str, float],
    stratum: str,
    foreign: bool,
) -> Calibrated | None:
    if part.score is None:
        return None
    limit, rate = float(entry["threshold"]), float(entry["false_positive_rate"])
    if "knots" not in entry or part.claim is not None:  # shown, and not weighed
        return Calibrated(None, None, limit, rate, stratum)
    if part.outside:
        return Calibrated(None, None, limit, rate, stratum, (part.outside,))
    warnings = out_of_range(entry.get("range", {}), {**measured, **part.facts})
    if foreign:
        known = f"It was calibrated on {entry.get('kind', Kind.IMAGE.value)}s alone"
        warnings = (*warnings, f"{known}, so its evidence counts half.")
    llr = interpolate(part.score, entry["knots"]) * (OUTSIDE_SHARE if warnings else 1.0)
    return Calibrated(round(llr, 4), probability(llr), limit, rate, stratum, warnings)


def out_of_range(
    ranges: Mapping[str, Sequence[float]], values: Mapping[str, Any]
) -> tuple[str, ...]:
    """A sentence for each value that lies outside of its range; a missing value is inside."""
    return tuple(
        f"Its {_MEASURED.get(name, name.replace('_', ' '))} is {_plain(values[name])}, where 98 % "
        f"of the calibration files have {_plain(low)} to {_plain(high)}, so its evidence counts "
        "half."
        for name, (low, high) in ranges.items()
        if isinstance(values.get(name), int | float) and not low <= values[name] <= high
    )


def interpolate(score: float, knots: Sequence[Sequence[float]]) -> float:
    """Linear between knots, constant beyond them: evidence never grows past what was seen."""
    index = bisect.bisect_right(knots, score, key=lambda knot: knot[0])
    if index == 0:
        return float(knots[0][1])
    if index == len(knots):
        return float(knots[-1][1])
    (left, low), (right, high) = knots[index - 1], knots[index]
    return float(low + (high - low) * (score - left) / (right - left))


def probability(llr: float) -> float:
    """P at even prior odds, in [0, 1]."""
    return round(1.0 / (1.0 + math.exp(-max(min(llr, 50.0), -50.0))), 4)


class _EarlierSchema(Exception):
    """The table is of a schema that is not read any more."""


def _parse(raw: bytes) -> Calibration:
    table = json.loads(raw)
    if table["schema"] != SCHEMA:
        raise _EarlierSchema
    return Calibration(
        detectors=table["detectors"],
        questions={name: Reference(one) for name, one in table["questions"].items()},
        source=table["source"],
        id=hashlib.sha256(raw).hexdigest()[:12],
        regions=table.get("regions", {}),
    )


@lru_cache(maxsize=4)
def _merged(raw: bytes) -> Calibration:
    shipped, own = default_calibration(), _parse(raw)
    _check(own)
    for reference in own.questions.values():
        reference.source = reference.source or own.source
    return Calibration(
        detectors={**shipped.detectors, **own.detectors},
        questions={**shipped.questions, **own.questions},
        source=shipped.source,
        id=f"{shipped.id}+{own.id}",
        regions=own.regions or shipped.regions,
    )


def _check(own: Calibration) -> None:
    """Find out now, not in the middle of a verdict, what a hand-edited table lacks."""
    for name, entry in own.detectors.items():
        _ = entry["version"], float(entry["threshold"]), float(entry["false_positive_rate"])
        scores = [float(score) for score, _ in entry.get("knots", [[0.0, 0.0]])]
        if not scores or scores != sorted(set(scores)):
            raise ValueError(f"the knots of {name} do not rise")
        if not all(low <= high for low, high in entry.get("range", {}).values()):
            raise ValueError(f"a range of {name} ends before it begins")
    for question, reference in own.questions.items():
        _ = Question(question), reference.weights.items()
        width = len(HEAD) + len(reference.detectors)
        if not reference.rows or any(len(row) != width for row in reference.rows):
            raise ValueError(f"a file of {question} has not {width} columns")
        _ = reference.compare(frozenset(reference.detectors), Stratum(), Question(question).alpha)


def _plain(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
