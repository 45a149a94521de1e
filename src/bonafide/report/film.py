"""A video on a page: a strip of frames, each with what was found in it, above scores along time."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from bonafide.errors import MediaError
from bonafide.languages.speak import gettext as _
from bonafide.report import chart, preview, wording
from bonafide.report.stage import Layer, drawn, first_that_moved
from bonafide.report.templates import said, titled
from bonafide.types import Finding, Measurement, Report

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from bonafide.media.media import Media

MOST_FRAMES = 12
LONGEST = 960  # side of a frame that is shown large, pixels
_THUMBNAIL = 160
_SPREAD = 6  # frames of a video in which nothing points at any

Told = tuple[Finding, Measurement]


@dataclass(frozen=True)
class Frame:
    """One frame of the strip.

    Attributes:
        seconds: its time.
        time: the same for people.
        score: of the finding that comes first, with its digits, "" for none.
        hit: whether that score reaches the threshold of its detector.
        uri, thumbnail: the frame, large and small.
        width, height: of the frame, pixels.
        preview_width, preview_height: of `uri`.
        layers: one for each of `Film.layers`, some of them empty.
    """

    seconds: float
    time: str
    score: str
    hit: bool
    uri: str
    thumbnail: str
    width: int
    height: int
    preview_width: int
    preview_height: int
    layers: tuple[Layer, ...]


@dataclass(frozen=True)
class Film:
    """What is shown of a video or a sound.

    Attributes:
        frames: in the order of time; () for a sound, or where the file is not at hand.
        shown: which frame is large at first, from 1.
        layers: heading and caption of what can be laid over the frames.
        chosen: which of them is at first, 0 for none.
        charts: each with the points that open a frame: (x, y, number of the frame, words).
    """

    frames: tuple[Frame, ...]
    shown: int
    layers: tuple[Layer, ...]
    chosen: int
    charts: tuple[tuple[chart.Chart, tuple[tuple[float, float, int, str], ...]], ...]


def film(report: Report, media: Media | None) -> Film | None:
    """What is shown of a video or a sound; None where there is nothing to show.

    Args:
        report: with its maps.
        media: the file; None to draw the scores along time alone.
    """
    told = _by_time(report)
    detectors = list(dict.fromkeys(f.detector for pairs in told.values() for f, _ in pairs))
    layers = tuple(
        Layer(detector, titled(detector), _caption(report, detector)) for detector in detectors
    )
    decoded = decode(media, pick(report, MOST_FRAMES)) if media is not None else []
    frames = tuple(
        _frame(seconds, pixels, told.get(seconds, ()), detectors) for seconds, pixels in decoded
    )
    lines = chart.charts(report)
    if not frames and not lines:
        return None
    strongest = pick(report, 1)
    shown = next((n for n, f in enumerate(frames, 1) if [f.seconds] == strongest), 1)
    chosen = first_that_moved(report, detectors)
    return Film(
        frames,
        shown,
        layers,
        chosen or (1 if layers else 0),
        tuple((line, tuple(_links(line, frames))) for line in lines),
    )


def pick(report: Report, most: int) -> list[float]:
    """Times of the frames to show, rising: the strongest of the finding that comes first.

    Where there are more than `most`, half of them are the strongest and the others are spread over
    the length.
    """
    told = _by_time(report)
    if len(told) <= most:
        return sorted(told)
    first = next(iter(told.values()))[0][0].detector

    def strength(seconds: float) -> float:
        scores = [m.score for f, m in told[seconds] if f.detector == first and m.score is not None]
        return max(scores, default=float("-inf"))

    ranked = sorted(told, key=lambda seconds: (-strength(seconds), seconds))
    chosen = set(ranked[: -(-most // 2)])
    rest = sorted(set(told) - chosen)
    room = most - len(chosen)
    chosen |= {rest[(2 * step + 1) * len(rest) // (2 * room)] for step in range(room)}
    return sorted(chosen)


def decode(media: Media, times: Sequence[float]) -> list[tuple[float, NDArray[np.uint8]]]:
    """Frames at these times, or some spread over the length, as (seconds, uint8 H×W×3).

    A video that cannot be decoded any more gives none: the scores are shown without.
    """
    track = media.video
    if track is None:
        return []
    from bonafide.media.video import Sampling

    wanted = Sampling(times=tuple(times)) if times else Sampling.spread(track.duration, _SPREAD)
    found: dict[float, NDArray[np.uint8]] = {}
    try:
        for frame in track.frames(wanted):
            at = min(times, key=lambda t: abs(t - frame.seconds)) if times else frame.seconds
            found[at] = frame.pixels
    except MediaError:
        pass
    return sorted(found.items(), key=lambda pair: pair[0])


def _by_time(report: Report) -> Mapping[float, Sequence[Told]]:
    """Time of a frame → what was measured in it, the finding that comes first at the front."""
    told: dict[float, list[Told]] = {}
    for finding in wording.ordered(report):
        for measured, _known in finding.parts[1:]:
            where = measured.where
            if where.track == "video" and where.span is not None:
                told.setdefault(where.span.start, []).append((finding, measured))
    return told


def _caption(report: Report, detector: str) -> str:
    return said(next(f.summary for f in report.findings if f.detector == detector))


def _frame(
    seconds: float, pixels: NDArray[np.uint8], told: Iterable[Told], detectors: Sequence[str]
) -> Frame:
    height, width = pixels.shape[:2]
    large = preview.picture(pixels, LONGEST)
    measured: dict[str, list[Told]] = {}
    for finding, one in told:
        measured.setdefault(finding.detector, []).append((finding, one))
    empty = Layer("", "", "")
    layers = [
        _together([one for _, one in measured[name]], max(width, height))
        if name in measured
        else empty
        for name in detectors
    ]
    score, hit = "", False
    for parts in measured.values():  # of several faces in a frame, the highest score
        scored = [(one.score, finding) for finding, one in parts if one.score is not None]
        if scored:
            value, finding = max(scored, key=lambda pair: pair[0])
            score = f"{value:.2f}"
            hit = finding.calibrated is not None and value >= finding.calibrated.threshold
            break
    return Frame(
        seconds,
        wording.clock(seconds),
        score,
        hit,
        large.uri,
        preview.picture(pixels, _THUMBNAIL).uri,
        width,
        height,
        large.width,
        large.height,
        tuple(
            replace(layer, title=titled(name))
            for layer, name in zip(layers, detectors, strict=True)
        ),
    )


def _together(measured: Sequence[Measurement], side: int) -> Layer:
    """What can be laid over a frame in which a detector measured several places."""
    layers = [drawn(one, side, LONGEST) for one in measured]
    boxes = tuple(box for layer in layers for box in layer.boxes)
    paths = tuple(path for layer in layers for path in layer.paths)
    uri = next((layer.uri for layer in layers if layer.uri), "")
    return Layer("", "", "", uri, boxes, paths, bool(paths))


def _links(line: chart.Chart, frames: Sequence[Frame]) -> Iterable[tuple[float, float, int, str]]:
    """The points of a line at which a frame is shown."""
    numbers = {round(frame.seconds, 3): n for n, frame in enumerate(frames, 1)}
    for x, y, seconds, value in line.points:
        shown = numbers.get(round(seconds, 3))
        if shown is not None:
            score = wording.number(value)
            yield (
                x,
                y,
                shown,
                _("%(time)s, score %(score)s", time=wording.clock(seconds), score=score),
            )
