"""The invisible mark that bonafide can hide in a picture (RivaGAN).

What it looks for
    Two patterns of 32 bits, "made by AI" and "changed by AI", hidden in the pixels by RivaGAN, a
    network that was published for marking pictures and film.

Why it works
    A network reads 32 numbers from the picture. In an unmarked picture their signs agree with a
    pattern by luck alone; the chance that they agree so well is bounded and multiplied by the
    number of patterns and scales that were tried. How often that fails was measured on unmarked
    pictures.

When it fails
    Turned and mirrored pictures are not read, nor those scaled to less than about two fifths of
    the size at which they were marked. Heavy compression, noise and a pass through a generator
    erase the mark. RivaGAN itself carries any 32 bits: marks of others, whose pattern nobody
    published, cannot be told from an unmarked picture and are not reported. Absence says nothing.

How to read it
    Somebody stated with this mark that a generator made or changed the picture. A mark can be
    planted on a photograph on purpose, and copied with the pixels that carry it.

Reference
    K. A. Zhang, L. Xu, A. Cuesta-Infante and K. Veeramachaneni, "Robust Invisible Video
    Watermarking with Attention", 2019; Q. Wang, `invisible-watermark`, 2021 (the weights).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from bonafide.errors import WeightsError
from bonafide.media.context import Context
from bonafide.networks.rivagan import BITS, DECODER, Payload, scales, soft_bits
from bonafide.signals.wavelet import log10_sign_tail
from bonafide.types import (
    Card,
    Carrier,
    Claim,
    Fact,
    Failed,
    Label,
    Measured,
    Measurement,
    Needs,
    NotApplicable,
    Question,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

CARD = Card(
    id="rivagan_watermark",
    version="1",
    question=Question.PROVENANCE,
    title="Invisible mark of bonafide",
    needs=Needs(min_side=64),
    networks=(DECODER,),
    facts={
        "mark": "the pattern that agrees best [name]",
        "bits_matched": "bits of the pattern that the picture agrees with [bits of 32]",
        "log10_false_alarms": "log10 of how many unmarked pictures' readings would agree as well, "
        "if their bits were fair coins [log10 count]",
        "scale": "factor to the size at which it was read [1 for the size of the picture]",
    },
    paper='K. A. Zhang et al., "Robust Invisible Video Watermarking with Attention", 2019',
    licence="MIT (weights, invisible-watermark 0.2.0)",
    limits="Of marks planted in 200 pictures of about 350 pixels, 99 % are read losslessly, 96 % "
    "after JPEG 90, 84 % after JPEG 70, 98 % at half size, 91 % from the middle half of each side; "
    "none is claimed in 10,000 unmarked pictures and cuts of 33 sources (under 0.04 %). "
    "docs/provenance.md has the intervals. Marks of others are not read; absence says nothing.",
)

_CLAIMS = {
    Payload.MADE_BY_AI: (Label.AI_GENERATED, "a generator made it"),
    Payload.CHANGED_BY_AI: (Label.MANIPULATED, "a generator changed it"),
}
# Sides of the square that is read, pixels: to look whether there is anything, and to decide.
_QUICK, _FULL = 160, 320
_WORTH = 0.4  # agreement in [-1, 1] from which on the larger square is read


class _Reading(NamedTuple):
    """One pattern at one scale; `values` are the bits as read, positive where they agree."""

    payload: Payload
    scale: float
    values: NDArray[np.float64]

    @property
    def agreement(self) -> float:
        """From -1, all bits differ, to 1, all agree; each counts as clearly as it was read."""
        return float(self.values.sum() / np.abs(self.values).sum())

    def log10_false_alarms(self, tests: int) -> float:
        """How many readings of fair coins would agree as well, among so many."""
        return math.log10(tests) + log10_sign_tail(self.values)


class Detector:
    """Best agreement of the bits that are read with one of the two patterns.

    Args:
        max_log10_false_alarms: a mark is claimed below this bound.
    """

    def __init__(self, max_log10_false_alarms: float = -4.0) -> None:
        self.max_log10_false_alarms = max_log10_false_alarms

    def measure(self, ctx: Context) -> Measured:
        """Return a finding that claims what the mark states, if it is there beyond chance."""
        # As stored: a mark is made before any orientation flag is followed.
        pixels = ctx.image.stored_pixels
        first, *others = scales(*pixels.shape[:2])
        tests = 2 * (1 + len(others))
        try:
            best = _best(_look(pixels, first, _FULL))
            if best is None:
                return NotApplicable("the picture has no content to hold a mark")
            if best.log10_false_alarms(tests) >= self.max_log10_false_alarms:
                best = min(best, *_elsewhere(pixels, others), key=_tail)
        except WeightsError as error:
            return Failed(error.why)
        return self._finding(best, best.log10_false_alarms(tests))

    def _finding(self, best: _Reading, log10: float) -> list[Measurement]:
        found = log10 < self.max_log10_false_alarms
        label, words = _CLAIMS[best.payload]
        matched = int((best.values > 0).sum())
        facts: dict[str, Fact] = {
            "mark": words,
            "bits_matched": matched,
            "log10_false_alarms": round(log10, 2),
            "scale": round(best.scale, 3),
        }
        if found:
            summary = (
                f"The picture carries bonafide's invisible mark, which says that {words}: "
                f"{matched} of {BITS} bits agree."
            )
        else:
            summary = (
                "The invisible mark of bonafide was not found, which says nothing about how the "
                "picture was made."
            )
        claim = Claim(label, Carrier.WATERMARK) if found else None
        return [Measurement(score=round(-log10, 3), claim=claim, facts=facts, summary=summary)]


def _elsewhere(pixels: NDArray[np.uint8], scales: list[float]) -> list[_Reading]:
    """The best reading at other scales; none where nothing can be read there."""
    best = _best([look for scale in scales for look in _look(pixels, scale, _QUICK)])
    if best is None:
        return []
    if best.agreement < _WORTH:
        return [best]
    return [one for one in _look(pixels, best.scale, _FULL) if one.payload is best.payload]


def _best(readings: list[_Reading]) -> _Reading | None:
    return max(readings, key=lambda one: one.agreement, default=None)


def _tail(reading: _Reading) -> float:
    return reading.log10_false_alarms(1)


def _look(pixels: NDArray[np.uint8], scale: float, side: int) -> list[_Reading]:
    """A reading for each pattern; none where the picture is too small or empty."""
    read = soft_bits(pixels, scale, side)
    if read is None:
        return []
    # What lifts all bits alike comes from the picture: both patterns have as many ones as zeros.
    read = read - np.median(read)
    if not np.abs(read).any():
        return []
    return [_Reading(one, scale, np.where(one.bits, read, -read)) for one in Payload]
