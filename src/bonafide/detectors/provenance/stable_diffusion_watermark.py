"""The invisible watermark that Stable Diffusion and FLUX reference code writes.

What it looks for
    Six fixed bit patterns, hidden in colour by the programs that were published with the models
    and by InvokeAI: "StableDiffusionV1" and its inpainting variant, "SDV2", the 48-bit (46-bit)
    constants of Stable Diffusion XL and FLUX, and "InvokeAI", what that program writes unless its
    user chooses another text.

Why it works
    The pattern is repeated hundreds of times over the picture, one bit in each 8×8 block. Votes
    of all blocks are added up for each bit. In an unmarked picture each sum is as likely to agree
    with a pattern as not; the chance that sums of this size agree so well by luck is bounded and
    multiplied by the number of patterns, channel orders, rules and crop positions that were tried.
    A crop is read too as long as it was cut on multiples of eight pixels.

When it fails
    Resizing, turning, cutting off the 8-pixel grid and strong compression erase the mark. Most
    programs (web interfaces, ComfyUI, hosted services) never write it. A person can write it
    into a photograph on purpose. Absence says nothing.

How to read it
    A hit means that the picture went through one of these programs, unless the mark was planted.
    It may be the whole picture or a real one that was partly repainted.

Reference
    Q. Wang, `invisible-watermark`, 2021 (method dwtDct); R. Rombach et al., "High-Resolution
    Image Synthesis with Latent Diffusion Models", CVPR 2022 (the scripts that apply it).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from bonafide.media.context import Context
from bonafide.signals.wavelet import (
    BLOCK,
    NEUTRAL_8BIT,
    NEUTRAL_FLOAT,
    fold_all,
    haar_chroma,
    log10_sign_tail,
    read_votes,
)
from bonafide.types import (
    Card,
    Carrier,
    Claim,
    Fact,
    Label,
    Measured,
    Measurement,
    Needs,
    NotApplicable,
    Profile,
    Question,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

CARD = Card(
    id="stable_diffusion_watermark",
    version="2",
    question=Question.PROVENANCE,
    title="Stable Diffusion watermark",
    needs=Needs(min_side=64),
    profile=Profile.TRIAGE,
    facts={
        "mark": "the pattern that agrees best [name]",
        "bits_matched": "bits of the pattern that the picture agrees with [bits]",
        "bits_read": "bits of the pattern that could be read [bits]",
        "blocks": "8×8 blocks that voted [count]",
        "log10_false_alarms": "log10 of how many unmarked pictures' readings would agree as well "
        "[log10 count]",
        "cropped": "whether the pattern starts elsewhere than in the first block [yes or no]",
        "channel_order": "order in which the embedder took the channels [BGR or RGB]",
        "embedder_arithmetic": "number type that the embedder worked in [8-bit or float]",
    },
    paper="Q. Wang, invisible-watermark (method dwtDct), 2021",
    limits="Erased by resizing, by cuts off the 8-pixel grid and by JPEG with halved chroma at "
    "quality 90 and below: of 30 marks planted, 27 are read losslessly, 24 after JPEG 95 and none "
    "after JPEG 90 (29 with full-size chroma); 19 in a cut of 472×244 pixels. Most generators "
    "never write it, so absence says nothing: no mark was claimed on 1,219 generated test "
    "pictures, two of which (cuts of 320×320) probably carry one. None claimed on 1,128 bona fide "
    "colour pictures. These figures are of version 1, without InvokeAI's mark; docs/provenance.md "
    "has those of this version.",
)


def _text_bits(text: str) -> NDArray[np.bool_]:
    return np.unpackbits(np.frombuffer(text.encode(), np.uint8)).astype(bool)


def _digit_bits(digits: str) -> NDArray[np.bool_]:
    return np.array([digit == "1" for digit in digits])


# The FLUX constant has two more zeros in front in its source, which the embedder drops.
MARKS: dict[str, NDArray[np.bool_]] = {
    "Stable Diffusion 1": _text_bits("StableDiffusionV1"),
    "Stable Diffusion 1 inpainting": _text_bits("StableDiffusionV1-Inpainting"),
    "Stable Diffusion 2": _text_bits("SDV2"),
    "Stable Diffusion XL": _digit_bits("101100111110110010010000011110111011000110011110"),
    "FLUX": _digit_bits("1010101111111010000111100111001111010100101110"),
    "InvokeAI": _text_bits("InvokeAI"),
}


class _Reading(NamedTuple):
    log10_false_alarms: float
    mark: str
    matched: int
    read: int
    variant: int
    cropped: bool


# Marks that are searched for in crops. "SDV2" is too short to stand out among so many trials, and
# the inpainting mark, seven times as long, would be taken for it.
_CROP_MARKS = ("Stable Diffusion 1", "Stable Diffusion XL", "FLUX", "InvokeAI")

_CANDIDATES = 16

_VARIANTS = (
    ("BGR", NEUTRAL_8BIT),
    ("BGR", NEUTRAL_FLOAT),
    ("RGB", NEUTRAL_8BIT),
    ("RGB", NEUTRAL_FLOAT),
)


class Detector:
    """Best agreement of the picture's blocks with any of the known marks.

    Args:
        max_blocks: blocks that are read, in rows spread evenly over the picture.
        crop_rows: rows of blocks used in the search for cropped marks; 0 leaves it out.
        max_log10_false_alarms: a mark is claimed below this bound.
    """

    def __init__(
        self,
        max_blocks: int = 16_384,
        crop_rows: int = 48,
        max_log10_false_alarms: float = -6.0,
    ) -> None:
        self.max_blocks = max_blocks
        self.crop_rows = crop_rows
        self.max_log10_false_alarms = max_log10_false_alarms

    def measure(self, ctx: Context) -> Measured:
        """Return a finding that claims AI generation if a mark is there beyond chance."""
        media = ctx.image
        # As stored: the embedder ran before any orientation flag could be set.
        pixels = media.stored_pixels
        height, width = pixels.shape[0] // BLOCK, pixels.shape[1] // BLOCK
        if height * width < min(map(len, MARKS.values())):
            return NotApplicable("the picture is too small to hold a mark")
        rows = _spread(height, max(1, self.max_blocks // width))
        halved = media.jpeg is not None and media.jpeg.subsampling == "4:2:0"
        true_order = haar_chroma(pixels[..., ::-1], rows, halved)
        if not np.abs(true_order).max() > 0.5:
            return NotApplicable("the mark is hidden in colour, and the picture has none")
        swapped = haar_chroma(pixels, rows, halved)
        votes = np.stack(
            [
                read_votes(true_order if order == "BGR" else swapped, neutral)
                for order, neutral in _VARIANTS
            ]
        )
        best = _read_aligned(votes, rows, width)
        if self.crop_rows and best.log10_false_alarms > self.max_log10_false_alarms:
            keep = _spread(len(rows), self.crop_rows)
            best = min(best, _read_crop(votes[:, keep], rows[keep]))
        return self._finding(best, int(votes[0].size))

    def _finding(self, best: _Reading, blocks: int) -> list[Measurement]:
        found = best.log10_false_alarms < self.max_log10_false_alarms
        order, neutral = _VARIANTS[best.variant]
        facts: dict[str, Fact] = {
            "mark": best.mark,
            "bits_matched": best.matched,
            "bits_read": best.read,
            "blocks": blocks,
            "log10_false_alarms": round(best.log10_false_alarms, 2),
            "cropped": best.cropped,
            "channel_order": order,
            "embedder_arithmetic": "8-bit" if neutral == NEUTRAL_8BIT else "float",
        }
        if found:
            summary = (
                f"The picture carries the invisible mark that {best.mark} programs write: "
                f"{best.matched} of {best.read} bits agree."
            )
        else:
            summary = (
                "None of the invisible marks of Stable Diffusion and FLUX programs was found, "
                "which says nothing about how the picture was made."
            )
        return [
            Measurement(
                score=round(min(-best.log10_false_alarms, 300.0), 3),
                claim=Claim(Label.AI_GENERATED, Carrier.WATERMARK) if found else None,
                facts=facts,
                summary=summary,
            )
        ]


def _spread(count: int, wanted: int) -> NDArray[np.intp]:
    """At most `wanted` different indices below `count`, evenly spread."""
    if count <= wanted:
        return np.arange(count)
    return np.linspace(0, count - 1, wanted).round().astype(np.intp)


def _centred(sums: NDArray[Any]) -> NDArray[np.float32]:
    """Two readings of vote sums: as they are, and less their median.

    A carrier that leans to one value as a whole (flat colour) is read right only by the second.
    Shape (…, bits) → (2, …, bits).
    """
    median = np.median(sums, axis=-1, keepdims=True)
    return np.stack([sums, sums - median]).astype(np.float32)


def _read_aligned(votes: NDArray[np.float32], rows: NDArray[np.intp], width: int) -> _Reading:
    """Best reading if the mark starts in the first block."""
    # Half of the budget of false alarms for this search, half for the search in crops.
    log10_tests = math.log10(2 * 2 * len(_VARIANTS) * len(MARKS))
    best = _Reading(log10_tests, next(iter(MARKS)), 0, 0, 0, False)
    for mark, bits in MARKS.items():
        length = len(bits)
        start = (rows * width)[:, None] + np.arange(width)
        index = (start % length).ravel()
        if len(np.unique(index)) < length:
            continue
        expected = np.where(bits, 1.0, -1.0)
        for variant in range(len(_VARIANTS)):
            sums = np.bincount(index, votes[variant].ravel(), length)
            for values in _centred(sums):
                matched = int((values * expected > 0).sum())
                tail = log10_sign_tail(values * expected)
                reading = _Reading(log10_tests + tail, mark, matched, length, variant, False)
                best = min(best, reading)
    return best


def _read_crop(votes: NDArray[np.float32], rows: NDArray[np.intp]) -> _Reading:
    """Best reading over all widths of the original and all starting blocks."""
    positions = sum(len(MARKS[mark]) ** 2 for mark in _CROP_MARKS)
    log10_tests = math.log10(2 * 2 * len(_VARIANTS) * positions)
    best = _Reading(log10_tests, _CROP_MARKS[0], 0, 0, 0, True)
    for mark in _CROP_MARKS:
        bits = MARKS[mark]
        length = len(bits)
        if votes[0].size < length:
            continue
        sums = fold_all(votes, rows, length)
        values = _centred(sums)
        values /= np.linalg.norm(values, axis=-1, keepdims=True) + np.float32(1e-6)
        expected = np.where(bits, 1.0, -1.0)
        spectrum = np.fft.rfft(expected).astype(np.complex64)
        agreement = np.fft.irfft(np.fft.rfft(values) * spectrum.conj(), length)
        # The bound is computed for the few most promising positions only.
        for flat in np.argsort(agreement, axis=None)[-_CANDIDATES:]:
            rule, variant, stride, start = np.unravel_index(int(flat), agreement.shape)
            agreeing = values[rule, variant, stride] * np.roll(expected, start)
            alarms = log10_tests + log10_sign_tail(agreeing)
            matched = int((agreeing > 0).sum())
            best = min(best, _Reading(alarms, mark, matched, length, int(variant), True))
    return best
