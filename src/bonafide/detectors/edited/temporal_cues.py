"""What the order of a video's frames tells of its history, without training.

What it looks for
    Frames that are shown twice, left out or put in between, at a fixed distance or as a freeze;
    frames that stand out at a fixed distance which the file's own keyframes do not explain; noise
    that stays at fixed places of the picture while the scene moves; light and detail that jump from
    frame to frame.

Why it works
    Another frame rate is made by repeating, dropping or interpolating frames at a fixed distance.
    An earlier compression began each group of frames with one that was coded alone; after a second
    compression these frames still change more, and cost more bytes, than their neighbours. The
    pixels of a sensor differ a little, always in the same way.

When it fails
    Strong compression removes all of it: a heavily compressed clip has no fixed noise left, whether
    a camera made it or not. Groups are found where the first compression was the poorer one, had a
    fixed distance of keyframes of at least 9 frames, and four groups fit into what is read. Clips
    that were not edited but sent, shown on a site or taken by some telephones were compressed twice
    or given another frame rate as well. Noise can be told from a still scene only where all moves.

How to read it
    As facts of the file's history, each with its times. None says that a clip is generated or that
    anybody meant harm, and none has a vote. That something is not found shows nothing.

Reference
    W. Wang, H. Farid, ACM MM&Sec 2006 and 2007; P. Bestagini et al., ICASSP 2013; D. Vázquez-Padín
    et al., WIFS 2012; J. Lukáš, J. Fridrich, M. Goljan, IEEE TIFS 1(2), 2006; figures in
    docs/decisions/060-temporal-cues-are-facts.md.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from bonafide.media.context import Context
from bonafide.media.sampling import Sampling
from bonafide.media.video import VideoTrack
from bonafide.regions import Series, Span, Where
from bonafide.signals import fixed_noise, frame_steps
from bonafide.signals.earlier_groups import earlier_groups, kinds_of, matched
from bonafide.signals.periods import Period
from bonafide.types import (
    Card,
    Fact,
    Kind,
    Measured,
    Measurement,
    Needs,
    NotApplicable,
    Profile,
    Question,
)

MOST = 300  # frames that are read, from the start
LEAST = 24
SECONDS = 20.0  # of decoding
_NOISE_EVERY = 4  # frames
_MOST_FREEZES = 5
_POINTS = 250

CARD = Card(
    id="temporal_cues",
    version="1",
    question=Question.EDITED,
    title="Repeated frames and earlier compression",
    kinds=(Kind.VIDEO,),
    needs=Needs(min_side=64, min_seconds=1.0),
    profile=Profile.THOROUGH,
    cost=4.0,
    facts={
        "frames": "frames that were read, from the start [count]",
        "repeated": "frames that show the one before again, amid motion [percent]",
        "repeated_every": "distance of such frames, 0 where it is not regular [frames]",
        "missing_every": "distance of frames before which one is missing, 0 where it is not "
        "regular [frames]",
        "interpolated_every": "distance of frames that look put in between, 0 where none do "
        "[frames]",
        "freezes": "stretches that show one picture amid motion: starts and ends [s]",
        "keyframes_every": "median distance of the file's own keyframes, 0 for fewer than two "
        "[frames]",
        "earlier_groups": "distance at which frames stand out beside the keyframes, 0 where none "
        "do [frames]",
        "earlier_log10_alarms": "log10 of how many distances as regular chance would give, 0 where "
        "nothing stands out [log10 count]",
        "noise_fixed": "whether noise stays at its places: yes, not seen, or cannot be told",
        "noise_correlation": "of noise of the two halves of the clip, at the same places [-1 to 1]",
        "noise_deviations": "how far that stands above shifted frames [deviations]",
        "scene_correlation": "the same of the coarse structure; high where the scene stands still "
        "[-1 to 1]",
        "light_swing": "how far the mean light of a frame lies from its neighbours, median "
        "[percent]",
        "detail_swing": "the same of fine detail [percent]",
    },
    paper="W. Wang and H. Farid, ACM MM&Sec 2006 and 2007; see "
    "docs/decisions/060-temporal-cues-are-facts.md",
    limits="Without a vote: on 61 generated and 80 bona fide clips of 22 repositories no cue tells "
    "them apart (AUC 0.44 to 0.59, all intervals hold 0.5). On clips made for it: frames repeated, "
    "left out or interpolated 16 of 16, freezes 4 of 4, earlier groups of 12 frames 7 of 8, of 25 "
    "5 of 8, of 30 4 of 8, of 50 0 of 8, none in 28 others. Fixed noise was told in no clip of the "
    "web.",
)

_NOTHING = (
    "No repeated or missing frames, no earlier compression and no fixed noise stand out; "
    "that shows nothing."
)


@dataclass(frozen=True)
class _Found:
    """What is told, in the order of the sentences."""

    repeated: Period | None
    missing: Period | None
    interpolated: Period | None
    freezes: tuple[tuple[float, float], ...]
    earlier: Period | None
    pattern: fixed_noise.Pattern | None


class Detector:
    """Steps between frames, their periods, and noise at fixed places."""

    def measure(self, ctx: Context) -> Measured:
        """Return one measurement of the video, with one more for each freeze.

        Raises:
            MediaError: no frame can be decoded.
        """
        track = ctx.media.video
        if track is None:
            return NotApplicable("it has no video")
        packets = track.coded()
        steps, pattern = _read(track, bool(packets))
        count = len(steps.seconds)
        if count < LEAST:
            return NotApplicable(f"it has {count} frames, and {LEAST} are needed")
        coded = matched(steps.seconds, packets)
        keys = [number for number, one in enumerate(coded or ()) if one.keyframe]
        missing = frame_steps.missing_every(steps)
        repeated = frame_steps.repeats_every(steps)
        earlier = earlier_groups(steps, coded) if coded else None
        if earlier is not None and any(
            earlier.every % other.every == 0 for other in (missing, repeated) if other is not None
        ):
            earlier = None  # the frame rate that was converted explains it
        kinds = kinds_of(coded) if coded else None
        found = _Found(
            repeated,
            None if repeated is not None else missing,  # the step behind a repetition is larger too
            frame_steps.interpolated_every(steps, kinds)
            if repeated is None and missing is None
            else None,
            tuple(frame_steps.freezes(steps)[:_MOST_FREEZES]),
            earlier,
            pattern,
        )
        share = float(frame_steps.repeated(steps).mean())
        rate = (count - 1) / max(float(steps.seconds[-1] - steps.seconds[0]), 1e-6)
        each = -(-count // _POINTS)
        whole = Measurement(
            summary=" ".join(_told(found, share, rate)) or _NOTHING,
            series=(Series(steps.seconds[::each], np.asarray(steps.coarse[::each], np.float32)),),
            facts=_facts(found, steps, share, keys),
        )
        return [whole, *(_freeze(start, end) for start, end in found.freezes)]


def _read(
    track: VideoTrack, with_noise: bool
) -> tuple[frame_steps.Steps, fixed_noise.Pattern | None]:
    """Numbers of each frame; of animated pictures no noise, since dither stays at its places."""
    reader, noise = frame_steps.Reader(), fixed_noise.Reader()
    for frame in track.frames(Sampling(max_kept=MOST, max_decoded=MOST, max_seconds=SECONDS)):
        middle = reader.add(frame.seconds, frame.pixels)
        if with_noise and frame.index % _NOISE_EVERY == 0:
            noise.add(middle)
    return reader.steps(), noise.pattern()


def _told(found: _Found, share: float, rate: float) -> Iterable[str]:
    if found.repeated is not None:
        yield (
            f"One frame in {found.repeated.every} shows the one before again, as a converted "
            "frame rate leaves it."
        )
    elif share >= 0.02:
        yield f"{100 * share:.0f} % of the frames show the one before again, amid motion."
    if found.missing is not None:
        yield (
            f"After every {found.missing.every} frames one is missing, as a converted frame rate "
            "leaves it."
        )
    if found.interpolated is not None:
        yield (
            f"One frame in {found.interpolated.every} has less detail than its neighbours, as "
            "frames that were interpolated between them have."
        )
    for start, end in found.freezes:
        yield _frozen(start, end)
    if found.earlier is not None:
        yield (
            f"Frames stand out every {found.earlier.every} frames "
            f"({found.earlier.every / rate:.2f} s), apart from the keyframes: it was probably "
            "compressed before, in groups of that length."
        )
    if found.pattern is not None and found.pattern.fixed:
        yield (
            "Noise stays at fixed places while the scene moves, as that of a camera's sensor does."
        )


def _frozen(start: float, end: float) -> str:
    return f"From {start:.1f} s to {end:.1f} s one picture is shown, with motion before and after."


def _freeze(start: float, end: float) -> Measurement:
    return Measurement(summary=_frozen(start, end), where=Where("video", Span(start, end)))


def _facts(
    found: _Found, steps: frame_steps.Steps, share: float, keys: list[int]
) -> dict[str, Fact]:
    facts: dict[str, Fact] = {
        "frames": len(steps.seconds),
        "repeated": round(100 * share, 1),
        "repeated_every": found.repeated.every if found.repeated else 0,
        "missing_every": found.missing.every if found.missing else 0,
        "interpolated_every": found.interpolated.every if found.interpolated else 0,
        "freezes": [[round(start, 3), round(end, 3)] for start, end in found.freezes],
        "keyframes_every": int(np.median(np.diff(keys))) if len(keys) > 1 else 0,
        "earlier_groups": found.earlier.every if found.earlier else 0,
        "earlier_log10_alarms": round(found.earlier.log10_alarms, 1) if found.earlier else 0.0,
        "noise_fixed": _noise_word(found.pattern),
        "light_swing": round(frame_steps.swing(steps.light), 3),
        "detail_swing": round(frame_steps.swing(steps.detail), 2),
    }
    if found.pattern is not None:
        facts["noise_correlation"] = round(found.pattern.correlation, 4)
        facts["noise_deviations"] = round(found.pattern.deviations, 1)
        facts["scene_correlation"] = round(found.pattern.scene, 3)
    return facts


def _noise_word(pattern: fixed_noise.Pattern | None) -> str:
    if pattern is None or pattern.still:
        return "cannot be told"
    return "yes" if pattern.fixed else "not seen"
