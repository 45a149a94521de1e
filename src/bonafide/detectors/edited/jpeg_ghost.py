"""JPEG ghosts: parts that fit another compression quality than the rest.

What it looks for
    Parts whose block coefficients are multiples of the steps of some JPEG quality while those of
    the rest are not, or the reverse.

Why it works
    Saving a picture again at the quality of an earlier save changes it least, since its
    coefficients already are multiples of those steps. Along a ladder of qualities each part
    thus shows a dip at its own past qualities. A part pasted from a file of another quality,
    or made new, dips elsewhere or nowhere.

When it fails
    When the part's own grid is not the one of the rest (see `jpeg_grid`), which happens 63 times
    in 64 by chance; when the last save was coarser than the earlier one; after resizing; for
    earlier qualities above about 93 or with tables unlike those of IJG software; on smooth or
    clipped areas, which are left out.

How to read it
    `ghost_quality` is the rung of the ladder at which a part differs most from the rest. In a
    picture that is not a JPEG file now, 'lacks' says that the rest was once a JPEG and the
    marked part was not saved with it.

Reference
    H. Farid, "Exposing Digital Forgeries from JPEG Ghosts", IEEE Transactions on Information
    Forensics and Security 4(1), 2009. The squared difference of the paper is replaced by the
    share of coefficients that a save leaves in place, so that windows can be tested a contrario.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from bonafide.media.context import Context
from bonafide.media.image import Image
from bonafide.media.jpeg import ZIGZAG
from bonafide.signals import jpeg
from bonafide.signals.grid_origin import main_origin
from bonafide.signals.lattice import marked_regions, upright_map
from bonafide.types import (
    Card,
    EditKind,
    Fact,
    Measured,
    Measurement,
    Needs,
    NotApplicable,
    Question,
    ScoreMap,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

CARD = Card(
    id="jpeg_ghost",
    version="1",
    question=Question.EDITED,
    title="JPEG ghosts",
    needs=Needs(min_side=128),
    facts={
        "grid_origin": "column and row where the examined grid starts [pixels, 0–7]",
        "ladder": "lowest and highest quality tried [1–100]",
        "ghost_quality": "quality at which a part differs most from the rest, null if none does "
        "[1–100]",
        "kind": "whether the marked part 'has' the ghost of that quality or 'lacks' it, null if "
        "nothing is marked",
        "earlier_quality": "highest quality at which most coefficients of the whole picture stay "
        "in place, null if there is none [1–100]",
        "log10_false_alarms": "log10 of the number of false alarms of the clearest window [log10 "
        "count]",
        "marked_share": "share of the picture that is marked [0–1]",
    },
    erased_by=("jpeg", "scale"),
    paper="H. Farid, IEEE TIFS 4(1), 2009",
    limits="Only IJG tables of quality 40 to 93, on one grid. It marked 13 of 75 edited pictures "
    "(AUC 0.59, mean pixel F1 0.11 over 33 masks; these were seen while it was designed) and 0 of "
    "294 untouched ones that were not. Smooth and clipped blocks are left out.",
)

# Steps follow the quality faster at the upper end.
LADDER = (*range(40, 70, 3), *range(70, 85, 2), *range(85, 94))
# Zigzag positions of the frequencies that textured blocks fill.
FREQUENCIES = tuple(int(position) for position in ZIGZAG[1:22])
SMALLEST_STEP = 4  # below, rounding of pixels hides the multiples
LARGEST_MULTIPLE = 5
TOLERANCE = 0.125  # of a step; a quarter of all values lie as near by chance
WINDOWS = (8, 16, 32)
STRIP = 32  # rows of blocks that are transformed together
LEAST_RATE = 0.5  # most coefficients of a ghost are in place, not a few more than elsewhere
# One false part in a hundred pictures, with every rung of the ladder counted as a test.
BOUND = -2 - math.log10(len(LADDER))


@dataclass(frozen=True)
class _Spoken:
    """Magnitudes of one frequency (n,) and the flat numbers of their blocks (n,)."""

    frequency: int
    places: NDArray[np.int32]
    values: NDArray[np.float32]


@dataclass(frozen=True)
class _Rung:
    quality: int
    rate: float  # share of coefficients in place
    kind: str
    test: jpeg.WindowTest


class Detector:
    """Climbs a ladder of qualities and tests windows of blocks for coefficients in place."""

    def measure(self, ctx: Context) -> Measured:
        """Return the score (−log10 false alarms of the clearest window), its map and facts."""
        media = ctx.image
        if min(media.width, media.height) < 128:
            return NotApplicable("the picture is too small to compare its parts")
        luma = media.stored_luma
        origin = (0, 0) if media.format == "JPEG" else main_origin(ctx)
        usable = ~jpeg.clipped_blocks(media.stored_pixels, origin)
        spoken = _spoken(luma, origin, usable)
        if usable.sum() < 100:
            return NotApplicable("too little of the picture is textured enough to compare")
        rungs = [
            rung for quality in _ladder(media) if (rung := _climb(spoken, usable.shape, quality))
        ]
        if not rungs:
            return NotApplicable("the picture is too smooth to compare its parts")
        penalty = math.log10(len(LADDER))
        best = min(rungs, key=lambda rung: rung.test.log10_false_alarms)
        alarms = best.test.log10_false_alarms + penalty
        hit = bool(best.test.marked.any())
        found = _draw(media, best, alarms, origin, hit)
        score = round(min(max(0.0, -alarms), 300.0), 3)
        earlier = [rung.quality for rung in rungs if rung.rate > 0.6]
        facts: dict[str, Fact] = {
            "grid_origin": list(origin),
            "ladder": [rungs[0].quality, rungs[-1].quality],
            "ghost_quality": best.quality if hit else None,
            "kind": best.kind if hit else None,
            "earlier_quality": max(earlier) if earlier else None,
            "log10_false_alarms": round(max(alarms, -300.0), 2),
            "marked_share": round(found.marked_share, 4),
        }
        return [
            Measurement(
                score=score,
                maps=(found,),
                kind=EditKind.SPLICE if hit and best.kind == "has" else EditKind.UNKNOWN,
                regions=marked_regions(found, round(score, 2)),
                facts=facts,
                summary=_summary(facts),
            )
        ]


def _ladder(media: Image) -> tuple[int, ...]:
    """Qualities to try: those under the file's own, which every coefficient fits anyway."""
    if media.jpeg is None:
        return LADDER
    own = jpeg.estimate_quality(media.jpeg.quantisation[0]).quality
    return tuple(quality for quality in LADDER if quality <= own - 4)


def _textured(blocks: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Blocks that change along both axes.

    Where all rows or columns of a block are alike, rounding errors add up in one value.
    """
    textured = np.empty(blocks.shape[:2], bool)
    for row, strip in enumerate(blocks):
        # Eight flags are one word; in a sum of eight words no byte overflows.
        flags = (np.abs(strip) >= 2).view(np.uint64)[..., 0]
        below = flags[:, 1:].sum(axis=1, dtype=np.uint64)
        across = (flags[:, 0] + below).view(np.uint8).reshape(-1, 8)[:, 1:].sum(axis=1)
        down = below.view(np.uint8).reshape(-1, 8).sum(axis=1)
        textured[row] = (across >= 2) & (down >= 2)
    return textured


def _spoken(
    luma: NDArray[np.float32], origin: tuple[int, int], usable: NDArray[np.bool_]
) -> list[_Spoken]:
    """Coefficients of usable blocks that reach half of the smallest step, per frequency.

    Blocks without texture are taken out of `usable`. Rows of blocks are transformed in strips, so
    that the coefficients of a large picture need not all lie in memory.
    """
    found: list[list[tuple[NDArray[np.int32], NDArray[np.float32]]]] = [[] for _ in FREQUENCIES]
    for top in range(0, len(usable), STRIP):
        part = usable[top : top + STRIP]
        first = origin[1] + 8 * top
        blocks = jpeg.block_dct(luma[first : first + 8 * len(part)], (origin[0], 0))
        part &= _textured(blocks)
        inside = np.flatnonzero(part).astype(np.int32)
        flat = blocks.reshape(-1, 64)
        for values_of, frequency in zip(found, FREQUENCIES, strict=True):
            values = np.abs(flat[inside, frequency])
            large = np.flatnonzero(values >= SMALLEST_STEP / 2)
            values_of.append((inside[large] + np.int32(top * usable.shape[1]), values[large]))
    return [
        _Spoken(frequency, *(np.concatenate(parts) for parts in zip(*values_of, strict=True)))
        for values_of, frequency in zip(found, FREQUENCIES, strict=True)
    ]


def _climb(spoken: Sequence[_Spoken], shape: tuple[int, ...], quality: int) -> _Rung | None:
    """Test one quality.

    A coefficient speaks when a save at `quality` would keep it as 1 to 5 steps. Its chance to be
    in place is read off the whole picture, per frequency and number of steps, so that textured
    and smooth parts have the same expectation.
    """
    places, kept, chances = [], [], []
    table = jpeg.standard_table(quality).ravel()
    for coefficients in spoken:
        step = int(table[coefficients.frequency])
        if step < SMALLEST_STEP:
            continue
        large = np.flatnonzero(coefficients.values >= step / 2)
        steps = coefficients.values[large] / np.float32(step)
        nearest = np.rint(steps)
        multiple = np.minimum(nearest, LARGEST_MULTIPLE + 1).astype(np.intp)
        in_place = np.abs(steps - nearest) < TOLERANCE
        counts = np.bincount(multiple, minlength=LARGEST_MULTIPLE + 2)
        often = counts >= 50
        often[[0, LARGEST_MULTIPLE + 1]] = False
        chance = np.bincount(multiple, in_place, LARGEST_MULTIPLE + 2) / np.maximum(counts, 1)
        chosen = often[multiple]
        places.append(coefficients.places[large[chosen]])
        kept.append(in_place[chosen])
        chances.append(chance[multiple[chosen]])
    if not places:
        return None
    where, blocks = np.concatenate(places), math.prod(shape)
    if where.size < 500:
        return None

    def per_block(weights: NDArray[Any] | None) -> NDArray[np.float32]:
        return np.bincount(where, weights, blocks).astype(np.float32).reshape(shape)

    trials = per_block(None)
    hits, expected = per_block(np.concatenate(kept)), per_block(np.concatenate(chances))
    rate = float(hits.sum(dtype=np.float64)) / where.size
    if rate > 0.5:
        hits, expected, kind = trials - hits, trials - expected, "lacks"
    else:
        kind = "has"
    test = jpeg.excess_windows(hits, trials, expected, WINDOWS, BOUND, LEAST_RATE)
    return _Rung(quality, rate, kind, test)


def _draw(media: Image, rung: _Rung, alarms: float, origin: tuple[int, int], hit: bool) -> ScoreMap:
    """The marked blocks as a map of the upright picture."""
    level = np.float32(0.5 + 0.5 * min(-alarms / 30, 1.0)) if hit else np.float32(0)
    return upright_map(media, rung.test.marked.astype(np.float32) * level, 8, *origin)


def _summary(facts: Mapping[str, Any]) -> str:
    share, quality = 100 * facts["marked_share"], facts["ghost_quality"]
    if facts["kind"] == "has":
        return (
            f"A part covering {share:.1f} % of the picture looks as if it had once been saved as "
            f"JPEG at about quality {quality}, unlike the rest."
        )
    if facts["kind"] == "lacks":
        return (
            f"Most of the picture looks as if it had once been saved as JPEG at about quality "
            f"{quality}; a part covering {share:.1f} % of it does not."
        )
    return "No part of the picture fits another JPEG quality than the rest."
