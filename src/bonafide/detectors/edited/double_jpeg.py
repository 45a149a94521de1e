"""Double JPEG compression: parts whose coefficients were rounded a different number of times.

What it looks for
    Parts of a JPEG that lack the traces of an earlier JPEG save which the rest shows, or that
    show such traces alone, on the same block grid or on a shifted one.

Why it works
    A save rounds every DCT coefficient to multiples of a step. Rounding to one step after another
    leaves gaps and peaks at regular distances in the histogram of the coefficients. Something
    pasted in before the last save went through that last rounding only, so its coefficients
    also fall into the gaps.

When it fails
    When the last save was coarser than the one before; when the earlier step divides the later
    one or both are equal; when the whole picture was resized before the last save; on smooth
    parts, whose coefficients are all zero; on parts under about 50×50 pixels. Being saved twice
    as a whole is ordinary and is reported as a fact, never as evidence of editing.

How to read it
    `double_share` near 1 with nothing marked: saved twice as a whole, as by most web sites. A
    marked part in such a picture did not take part in the first save. The first quality is an
    estimate on the scale of IJG software.

Reference
    T. Bianchi, A. Piva, "Image Forgery Localization via Block-Grained Analysis of JPEG
    Artifacts", IEEE Transactions on Information Forensics and Security 7(3), 2012. The block
    map here is validated by windows a contrario instead of a threshold on the likelihood.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from bonafide.media.context import Context
from bonafide.media.image import Image
from bonafide.signals import jpeg, quantised
from bonafide.signals.heavy import cv2
from bonafide.signals.lattice import marked_regions, upright_map
from bonafide.signals.requantised import LARGEST, ROUNDING, single, twice
from bonafide.types import (
    Card,
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
    id="double_jpeg",
    version="1",
    question=Question.EDITED,
    title="Double JPEG compression",
    needs=Needs(jpeg=True, min_side=128),
    facts={
        "file_quality": "IJG quality nearest to the luma table of the file [1–100]",
        "file_table_standard": "whether that table is exactly the IJG one [yes/no]",
        "double_compressed": "whether an earlier save on the same grid was found [yes/no]",
        "double_share": "estimated share of coefficients that went through it [0–1]",
        "first_quality": "IJG quality nearest to the estimated steps of the earlier save, null if "
        "none was found or the steps do not tell [1–100]",
        "evidence_per_coefficient": "mean gain in log-likelihood over a single save [nats]",
        "shifted_origin": "origin of the grid of an earlier save on another grid, null if none "
        "[pixels, 0–7]",
        "shifted_step": "rounding step of block means in that save, null if none [levels × 8]",
        "kind": "what sets the marked part apart: 'lacks' or 'has' the earlier save on the file's "
        "grid, 'shifted' for one on another grid, null if nothing is marked",
        "log10_false_alarms": "log10 of the number of false alarms of the clearest window [log10 "
        "count]",
        "marked_share": "share of the picture that is marked [0–1]",
    },
    paper="T. Bianchi, A. Piva, IEEE TIFS 7(3), 2012",
    limits="Needs a last save finer than the one before. It marked 15 of 51 edited JPEG files (AUC "
    "0.64, mean pixel F1 0.17 over 18 masks; these were seen while it was designed) and 3 of 283 "
    "untouched ones that were not. Smooth and clipped blocks are left out. Of parts from another "
    "grid it rarely outlines any.",
)

FREQUENCIES = quantised.FREQUENCIES[1:]  # without the mean of a block, whose histogram has no model
STEPS = range(2, 64)
SHARES = np.array([0.0, 0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98])
# Single saves gain under 0.015 nats per coefficient, a double one 0.5 and more.
MIN_GAIN = 0.03


TILE = 40  # blocks; shifted grids are looked for tile by tile, since a pasted part is local
STRIP = 256  # rows of pixels that are read at a time, a multiple of 8
LEAST_CONTRAST = 6.0  # robust standard deviations from the other shifts


@dataclass(frozen=True)
class _Frequency:
    position: tuple[int, int]
    step: int
    count: float
    gains: NDArray[np.float64]  # step × share, nats
    ratios: dict[int, NDArray[np.float64]]  # step → log-likelihood ratio of |c| = 1…LARGEST


@dataclass(frozen=True)
class _Result:
    kind: str
    test: jpeg.WindowTest
    origin: tuple[int, int]


class Detector:
    """Models coefficient histograms and tests windows of blocks for another history."""

    def measure(self, ctx: Context) -> Measured:
        """Return the score (−log10 false alarms of the clearest window), its map and facts."""
        media = ctx.image
        structure = media.jpeg
        if structure is None or not media.coefficients:
            return NotApplicable("it reads JPEG compression history; this is no JPEG")
        if min(media.width, media.height) < 128:
            return NotApplicable("the picture is too small for histograms of coefficients")
        luma = media.stored_luma
        coefficients, table = media.coefficients[0], structure.quantisation[0]
        rows, columns = luma.shape[0] // 8, luma.shape[1] // 8
        coefficients = coefficients[:rows, :columns]
        models = _models(coefficients, table, luma)
        total = sum(model.count for model in models)
        if total < 500:
            return NotApplicable("the picture is too flat: its coefficients are nearly all 0")
        gains = sum((model.gains.max(axis=0) for model in models), np.zeros(len(SHARES)))
        chosen = int(np.argmax(gains))
        share, gain = float(SHARES[chosen]), float(gains[chosen]) / total
        informative = [
            model for model in models if model.gains[:, chosen].max() > MIN_GAIN * model.count
        ]
        double = len(informative) >= 3 and gain > MIN_GAIN / 2
        results = []
        if double:
            usable = ~jpeg.clipped_blocks(media.stored_pixels)[:rows, :columns] & _textured(
                coefficients
            )
            results.append(_aligned(coefficients, informative, chosen, usable))
        shifted = _shifted_grid(luma)
        if shifted is not None:
            results.append(_shifted_windows(*shifted[:2]))
        estimate = jpeg.estimate_quality(table)
        best = min(results, key=lambda result: result.test.log10_false_alarms, default=None)
        alarms = best.test.log10_false_alarms if best else 0.0
        found = _draw(media, best)
        facts: dict[str, Fact] = {
            "file_quality": estimate.quality,
            "file_table_standard": estimate.exact,
            "double_compressed": double,
            "double_share": round(share, 3) if double else 0.0,
            "first_quality": _first_quality(informative, chosen) if double else None,
            "evidence_per_coefficient": round(max(gain, 0.0), 4),
            "shifted_origin": list(shifted[1]) if shifted else None,
            "shifted_step": shifted[2] if shifted else None,
            "kind": best.kind if best and best.test.marked.any() else None,
            "log10_false_alarms": round(max(alarms, -300.0), 2),
            "marked_share": round(found.marked_share, 4),
        }
        return [
            Measurement(
                score=round(min(max(0.0, -alarms), 300.0), 3),
                maps=(found,),
                regions=marked_regions(found, round(min(max(0.0, -alarms), 300.0), 2)),
                facts=facts,
                summary=_summary(facts),
            )
        ]


def _models(
    coefficients: NDArray[np.int16], table: NDArray[np.int32], luma: NDArray[np.float32]
) -> list[_Frequency]:
    """Log-likelihood gain of every earlier step and share over a single save, per frequency.

    Source:
        Bianchi and Piva 2012, section III: a histogram is a mixture of a singly and a doubly
        quantised one; the unquantised one is read at a grid shifted by (4, 4).
    """
    models = []
    for (row, column), below in zip(FREQUENCIES, _unquantised(luma), strict=True):
        step = int(table[row, column])
        values = np.abs(coefficients[:, :, row, column].astype(np.int32)).ravel()
        histogram = np.bincount(values, minlength=LARGEST + 1)[1 : LARGEST + 1].astype(np.float64)
        if histogram.sum() < 100:
            continue
        once = single(below, step)
        gains = np.zeros((STEPS.stop, len(SHARES)))
        ratios = {}
        for earlier in STEPS:
            if step % earlier == 0:  # no trace is left
                continue
            ratio = twice(below, earlier, step) / once
            mixtures = np.log1p(SHARES[:, None] * (ratio - 1)[None, :])
            gains[earlier] = mixtures @ histogram
            ratios[earlier] = np.log(ratio)
        models.append(_Frequency((row, column), step, float(histogram.sum()), gains, ratios))
    return models


def _unquantised(luma: NDArray[np.float32]) -> list[NDArray[np.float64]]:
    """Cumulative counts of |coefficient| in half levels, at a grid shifted by (4, 4)."""
    counts = np.zeros((len(FREQUENCIES), 4202), np.int64)
    for top in range(4, luma.shape[0], STRIP):  # strips, to hold few of the coefficients at a time
        blocks = jpeg.block_dct(luma[top : top + STRIP], (4, 0))
        for count, (row, column) in zip(counts, FREQUENCIES, strict=True):
            halves = np.rint(2 * np.abs(blocks[:, :, row, column])).astype(np.int32).ravel()
            count += np.bincount(np.minimum(halves, 4200), minlength=4202)
    return list(np.cumsum(counts, axis=1).astype(np.float64))


def _aligned(
    coefficients: NDArray[np.int16],
    models: list[_Frequency],
    chosen: int,
    usable: NDArray[np.bool_],
) -> _Result:
    """Windows that lack (or alone have) the earlier save on the file's own grid."""
    shape = coefficients.shape[:2]
    misses, trials, expected = (np.zeros(shape, np.float32) for _ in range(3))
    for model in models:
        ratio = model.ratios[int(np.argmax(model.gains[:, chosen]))]
        against = np.zeros(LARGEST + 2, np.float32)
        against[1 : LARGEST + 1] = ratio < 0
        counted = np.ones(LARGEST + 2, np.float32)
        # In smooth parts the values next to zero are rounding noise of the pixels, not content.
        counted[(np.arange(LARGEST + 2) - 0.5) * model.step < 3 * ROUNDING] = 0
        counted[LARGEST + 1] = 0
        against *= counted
        row, column = model.position
        values = np.minimum(np.abs(coefficients[:, :, row, column].astype(np.int32)), LARGEST + 1)
        miss, trial = against[values] * usable, counted[values] * usable
        misses += miss
        trials += trial
        expected += trial * np.float32(miss.sum() / max(float(trial.sum()), 1.0))
    if SHARES[chosen] >= 0.5:
        return _Result("lacks", jpeg.excess_windows(misses, trials, expected), (0, 0))
    test = jpeg.excess_windows(trials - misses, trials, trials - expected)
    return _Result("has", test, (0, 0))


def _textured(coefficients: NDArray[np.int16]) -> NDArray[np.bool_]:
    """Blocks that change along both axes.

    Where all columns (or rows) of a block are alike, pixels round alike, and their errors add up
    in one coefficient instead of cancelling out.
    """
    across = np.count_nonzero(coefficients[..., 1:], axis=(2, 3))
    down = np.count_nonzero(coefficients[..., 1:, :], axis=(2, 3))
    textured: NDArray[np.bool_] = (across >= 2) & (down >= 2)
    return textured


def _first_quality(models: list[_Frequency], chosen: int) -> int | None:
    """The IJG quality whose steps explain the histograms best; None if they do not fit."""
    free = sum(float(model.gains[:, chosen].max()) for model in models)
    fits = []
    for quality in range(20, 100):
        table = jpeg.standard_table(quality)
        steps = [int(table[model.position]) for model in models]
        fits.append(
            sum(
                float(model.gains[step, chosen]) if step in STEPS else 0.0
                for model, step in zip(models, steps, strict=True)
            )
        )
    best = int(np.argmax(fits))
    return 20 + best if fits[best] > 0.9 * free else None


def _shifted_grid(
    luma: NDArray[np.float32],
) -> tuple[NDArray[np.float32], tuple[int, int], int] | None:
    """An earlier save on another grid, seen as a period of block means.

    Returns:
        Cosine of the phase per block of that grid (NaN in smooth parts), its origin and step;
        None if no grid stands out from the others.

    Source:
        T. Bianchi, A. Piva, "Detection of Nonaligned Double JPEG Compression Based on Integer
        Periodicity Maps", IEEE TIFS 7(2), 2012: the DC coefficient alone, all 64 shifts.
    """
    levels = np.empty(luma.shape, np.int16)
    for top in range(0, len(luma), STRIP):
        means = _block_means(luma[top : top + STRIP + 8])[:STRIP]
        levels[top : top + STRIP] = np.clip(np.rint(means), 0, 2047)
    rows, columns = luma.shape[0] // 8 - 1, luma.shape[1] // 8 - 1
    steps = np.arange(3, 33)
    # Block means are multiples of the step away from 1024, the level shift of 128.
    waves = np.cos(2 * np.pi * (np.arange(2048.0) - 1024)[:, None] / steps[None, :])
    found = (LEAST_CONTRAST, 0, 0)
    side = TILE if min(rows, columns) >= TILE else max(rows, columns)
    for top in range(0, max(rows - side // 2, 1), side):
        for left in range(0, max(columns - side // 2, 1), side):
            tile = levels[8 * top : 8 * (top + side), 8 * left : 8 * (left + side)]
            best = _strongest_shift(tile, waves)
            found = max(found, best)
    if found[0] <= LEAST_CONTRAST:
        return None
    shift, step = found[1], int(steps[found[2]])
    part = _block_means(luma)[shift // 8 :: 8, shift % 8 :: 8][:rows, :columns].copy()
    # Neighbours in a smooth part share their phase and would count as one; leave them out.
    change = np.abs(part - cv2.blur(part, (3, 3)))
    phase = np.cos((part - 1024) * np.float32(2 * np.pi / step))
    phase[change < step / 4] = np.nan
    return phase.astype(np.float32), (shift % 8, shift // 8), step


def _block_means(luma: NDArray[np.float32]) -> NDArray[np.float32]:
    """Eight times the mean of the 8×8 pixels that begin at each pixel, as the DC coefficient is."""
    sums = cv2.boxFilter(luma, cv2.CV_32F, (8, 8), anchor=(0, 0), normalize=False)
    sums *= np.float32(1 / 8)
    return np.asarray(sums, np.float32)


def _strongest_shift(
    levels: NDArray[np.int16], waves: NDArray[np.float64]
) -> tuple[float, int, int]:
    """How far the best of 63 shifts stands out from the others, that shift, and the step index."""
    # Levels beyond those of the tile count nothing; the margin is half of the blur below.
    lowest, highest = int(levels.min()), int(levels.max())
    first, last = max(lowest - 32, 0), min(highest + 33, len(waves))
    width = last - first
    rows, columns = (np.arange(length) % 8 for length in levels.shape)
    shifts = 8 * rows[:, None] + columns
    histogram = np.bincount((shifts * width + (levels - first)).ravel(), minlength=64 * width)
    histogram = histogram.reshape(64, width)
    # A flat area fills one bin; the cap keeps it from speaking for the picture.
    around = cv2.blur(histogram.astype(np.float64), (65, 1))
    capped = np.minimum(histogram, 4 * around + 2)
    weights = np.sqrt(np.maximum(capped.sum(axis=1), 1.0) / 2)
    strengths = (capped @ waves[first:last]) / weights[:, None]
    others = strengths[1:]
    middle = np.median(others, axis=0)
    spread = 1.4826 * np.median(np.abs(others - middle), axis=0) + 0.5
    scores = (others - middle) / spread
    # Shifts along one axis still share block edges with the file's own grid.
    one_axis = [shift % 8 == 0 or shift < 8 for shift in range(1, 64)]
    scores[one_axis] /= 2
    shift, index = divmod(int(np.argmax(scores)), waves.shape[1])
    return float(scores[shift, index]), shift + 1, index


def _shifted_windows(phase: NDArray[np.float32], origin: tuple[int, int]) -> _Result:
    """Windows in which block means keep the period of a shifted grid while the rest does not."""
    hits = (phase > 0.5).astype(np.float32)  # one third of all phases by chance
    trials = np.isfinite(phase).astype(np.float32)
    expected = trials * np.float32(hits.sum() / max(float(trials.sum()), 1.0))
    return _Result("shifted", jpeg.excess_windows(hits, trials, expected, (10, 20, 40)), origin)


def _draw(media: Image, result: _Result | None) -> ScoreMap:
    """The marked blocks as a map of the upright picture."""
    if result is None or not result.test.marked.any():
        return upright_map(media, np.zeros((1, 1), np.float32), 8)
    level = 0.5 + 0.5 * min(-result.test.log10_false_alarms / 30, 1.0)
    blocks = result.test.marked.astype(np.float32) * np.float32(level)
    return upright_map(media, blocks, 8, *result.origin)


def _summary(facts: Mapping[str, Any]) -> str:
    if facts["kind"] is not None and facts["marked_share"]:
        what = {
            "lacks": "lacks the traces of an earlier JPEG save that the rest shows",
            "has": "shows the traces of an earlier JPEG save that the rest lacks",
            "shifted": "shows the traces of an earlier JPEG save on another block grid",
        }[str(facts["kind"])]
        return f"A part covering {100 * facts['marked_share']:.1f} % of the picture {what}."
    if facts["double_compressed"]:
        quality = facts["first_quality"]
        first = f" at about quality {quality}" if quality else ""
        return (
            f"The picture was saved as JPEG{first} before its last save at about quality "
            f"{facts['file_quality']}; no part stands out."
        )
    return (
        f"The coefficients look as after one save at about quality {facts['file_quality']}, or "
        "after an earlier one that left no trace."
    )
