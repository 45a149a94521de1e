"""Which frames of a video are decoded, and which of those are kept."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_SAME = 1e-6  # seconds that are no difference
_FAR = 1.0  # seconds over which a seek is tried where the keyframes are not known


@dataclass(frozen=True)
class Frame:
    """One frame of a video.

    Attributes:
        index: its place among the frames that were asked for, from 0.
        seconds: when it is shown, from the start of the file, by its own time stamp.
        pixels: uint8 H×W×3 RGB in [0, 255], upright.
    """

    index: int
    seconds: float
    pixels: NDArray[np.uint8]


@dataclass(frozen=True)
class Sampling:
    """Which frames are wanted, and how much may be decoded for them.

    Without `times` and `fps`, every frame is wanted.

    Attributes:
        times: the frames shown at these times, seconds from the start; a time after the end
            means the last frame. Each frame comes once.
        fps: so many frames per second, the one shown at each multiple of 1/fps.
        keyframes: only keyframes, which are decoded without the others.
        max_kept: frames that are returned; `Limits.frames` bounds them too.
        max_decoded: frames that are decoded.
        max_seconds: time spent on reading and decoding, not on what the caller does in between.
    """

    times: tuple[float, ...] | None = None
    fps: float | None = None
    keyframes: bool = False
    max_kept: int = 1_000
    max_decoded: int = 20_000
    max_seconds: float = 60.0

    def __post_init__(self) -> None:
        if self.times is not None and self.fps is not None:
            raise ValueError("a sampling has either times or a rate")
        if self.fps is not None and not 0 < self.fps < math.inf:
            raise ValueError(f"a rate of {self.fps} frames per second is not possible")
        if self.times is not None and not all(map(math.isfinite, self.times)):
            raise ValueError("times are finite numbers of seconds")

    @classmethod
    def spread(cls, duration: float, count: int, max_decoded: int = 20_000) -> Sampling:
        """`count` frames at the middles of equal parts of a duration in seconds."""
        times = tuple(duration * (number + 0.5) / count for number in range(count))
        return cls(times=times, max_kept=max(count, 1_000), max_decoded=max_decoded)


class Decoded(Protocol):
    """A frame that was decoded, its pixels not yet converted."""

    @property
    def seconds(self) -> float:
        """When it is shown, from the start of the file."""
        ...

    @property
    def until(self) -> float:
        """When it is shown no more, by its own duration; `seconds` where that is unknown."""
        ...

    def pixels(self) -> NDArray[np.uint8]:
        """uint8 H×W×3 RGB in [0, 255], upright."""
        ...


class Reader(Protocol):
    """One pass over a video."""

    @property
    def damaged(self) -> bool:
        """Whether something could not be decoded since the last seek."""
        ...

    def next(self) -> Decoded | None:
        """The next frame, None at the end."""
        ...

    def seek(self, seconds: float) -> None:
        """Go on from the last keyframe at or before a time, where that is possible."""
        ...

    def is_keyframe_ahead(self, seconds: float, position: float) -> bool | None:
        """Whether a keyframe lies after `position` and not after `seconds`; None if unknown."""
        ...


class Frames(Iterator[Frame]):
    """The frames that a sampling asks for, in order of time.

    Attributes:
        decoded: frames that were decoded so far.
        kept: frames that were returned so far.
        stopped: which bound of the sampling ended it, "" if none did.
    """

    def __init__(
        self,
        open_reader: Callable[[], AbstractContextManager[Reader]],
        sampling: Sampling,
        most: int,
        at_end: Callable[[Frames], None],
    ) -> None:
        """Prepare a pass; nothing is opened before the first frame is asked for.

        Args:
            open_reader: opens the video for this pass.
            sampling: which frames.
            most: frames that may be returned, besides the sampling's own bound.
            at_end: called when no more frames come, whatever the reason.
        """
        self.decoded = self.kept = 0
        self.stopped = ""
        self._sampling = sampling
        self._most = min(most, sampling.max_kept)
        self._spent = 0.0
        self._far = _FAR
        self._steps = self._run(open_reader, at_end)

    def __iter__(self) -> Frames:
        return self

    def __next__(self) -> Frame:
        return next(self._steps)

    def close(self) -> None:
        """Close the file before the last frame."""
        self._steps.close()  # type: ignore[attr-defined]

    def _run(
        self,
        open_reader: Callable[[], AbstractContextManager[Reader]],
        at_end: Callable[[Frames], None],
    ) -> Iterator[Frame]:
        wanted = self._sampling
        with open_reader() as reader:
            if wanted.times is not None:
                chosen = self._at_times(reader, wanted.times)
            elif wanted.fps is not None:
                chosen = self._at_rate(reader, wanted.fps)
            else:
                chosen = self._all(reader)
            for one in chosen:
                self.kept += 1
                yield Frame(self.kept - 1, one.seconds, one.pixels())
                if self.kept >= self._most:
                    self.stopped = self.stopped or f"after {self.kept} frames that were kept"
                    return
        at_end(self)

    def _all(self, reader: Reader) -> Iterator[Decoded]:
        while (one := self._decode(reader)) is not None:
            yield one

    def _at_times(self, reader: Reader, times: tuple[float, ...]) -> Iterator[Decoded]:
        shown: Decoded | None = None
        ahead = self._decode(reader)
        last: Decoded | None = None
        for target in sorted(times):
            shown, ahead = self._advance(reader, target, shown, ahead)
            found = shown or ahead  # before the first frame, the first frame
            if found is None:
                return
            if last is None or found.seconds != last.seconds:
                yield found
                last = found
            if self.stopped or (ahead is None and not reader.damaged):
                return

    def _at_rate(self, reader: Reader, fps: float) -> Iterator[Decoded]:
        shown: Decoded | None = None
        ahead = self._decode(reader)
        if ahead is None:
            return
        number = max(0, math.floor(ahead.seconds * fps + _SAME))
        last: Decoded | None = None
        while True:
            target = number / fps
            shown, ahead = self._advance(reader, target, shown, ahead)
            found = shown or ahead
            if found is None:
                return
            if ahead is None and max(found.until - _SAME, found.seconds + _SAME) < target:
                return  # the video is over at that time
            if last is None or found.seconds != last.seconds:
                yield found
                last = found
            if ahead is None:
                return
            number = max(number + 1, math.ceil(ahead.seconds * fps - _SAME))

    def _advance(
        self, reader: Reader, target: float, shown: Decoded | None, ahead: Decoded | None
    ) -> tuple[Decoded | None, Decoded | None]:
        """The frame shown at `target`, and the one that follows it."""
        position = ahead or shown
        if position is not None and position.seconds + _SAME < target:
            near = reader.is_keyframe_ahead(target, position.seconds)
            far = target - position.seconds > self._far
            if near or (near is None and far) or (ahead is None and reader.damaged):
                ahead = self._jump(reader, target, position.seconds) or ahead
                if ahead is not None and ahead.seconds <= position.seconds:
                    self._far = max(self._far, 2 * (target - ahead.seconds))  # it was in vain
        while ahead is not None and ahead.seconds <= target + _SAME:
            shown, ahead = ahead, self._decode(reader)
        return shown, ahead

    def _jump(self, reader: Reader, target: float, position: float) -> Decoded | None:
        """The first frame after a seek to `target`, from before it; None where nothing is left."""
        back = 0.0
        while True:
            start = max(target - back, position)
            reader.seek(start)
            found = self._decode(reader)
            if (found is not None and found.seconds <= target + _SAME) or self.stopped:
                return found
            if start <= position:
                return found
            # The file is cut there, or its index is by the time of decoding, not of showing.
            back = max(0.5, 4 * back)

    def _decode(self, reader: Reader) -> Decoded | None:
        wanted = self._sampling
        if self.decoded >= wanted.max_decoded:
            self.stopped = f"after {self.decoded} frames that were decoded"
        elif self._spent > wanted.max_seconds:
            self.stopped = f"after {wanted.max_seconds:g} s of decoding"
        if self.stopped:
            return None
        began = time.monotonic()
        found = reader.next()
        self._spent += time.monotonic() - began
        self.decoded += found is not None
        return found
