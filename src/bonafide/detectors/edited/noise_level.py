"""Noise level: parts that are quieter than the camera's noise elsewhere.

What it looks for
    Regions whose smooth parts carry clearly less noise than smooth parts of the same brightness
    in the rest of the picture.

Why it works
    Sensor noise depends on brightness, and otherwise covers a picture evenly. A part that was
    blurred, inpainted, generated or taken from a cleaner picture lacks it. Blocks of like
    brightness are compared with each other, the smoothest fifth of each, so that texture is not
    taken for noise; in a picture with one history, blocks quieter than the median lie among them
    as if thrown by chance. How often chance would gather as many in one place is computed (a
    contrario), and the gap must also be large: chance alone is too simple a model of a picture.

When it fails
    Compression and downscaling erase noise: most pictures from the web have none left that
    rises above rounding, and many edits are then not seen. Noise added afterwards, to hide an
    edit, covers it. Noisier parts are not reported, since texture looks the same. Out-of-focus
    backgrounds, skies and in-camera noise reduction can be quieter in genuine pictures. Parts
    without smooth blocks cannot be compared.

How to read it
    Look whether a marked part could be quiet for a reason: soft focus, smooth sky, night mode.
    An object marked within a scene that is noisy all around it is the strong case. Nothing
    marked means little unless the noise fact says that noise is visible.

Reference
    M. Gardella, P. Musé, J.-M. Morel, M. Colom, "Noisesniffer: a Fully Automatic Image Forgery
    Detector Based on Noise Analysis", IWBF 2021, and Image Processing On Line 14, 2024. Ours
    differs: square windows instead of region growing, the median as the bound of quiet, and two
    demands on the size of the gap.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bonafide.media.context import Context
from bonafide.media.image import Image
from bonafide.signals.heavy import scipy
from bonafide.signals.noise import (
    BLOCK,
    NOISE_BLOCKS,
    NoiseBlocks,
    concentrations,
)
from bonafide.types import (
    Card,
    Measured,
    Measurement,
    Needs,
    NotApplicable,
    Profile,
    Question,
    Region,
    ScoreMap,
)

CARD = Card(
    id="noise_level",
    version="1",
    question=Question.EDITED,
    title="Noise level inconsistency",
    needs=Needs(min_side=128),
    profile=Profile.THOROUGH,
    facts={
        "noise": "median noise of smooth blocks where noise is visible [8-bit levels]",
        "compared_blocks": "number of smooth blocks compared [blocks]",
        "quiet_regions": "number of regions that are too quiet [count]",
        "quiet_share": "share of the picture's area in those regions [0–1]",
        "noise_ratio": "noise of the strongest region over that elsewhere, same brightness [ratio]",
        "as_quiet_elsewhere": "share of compared blocks elsewhere that are as quiet [0–1]",
    },
    erased_by=("jpeg", "scale"),
    paper="Gardella, Musé, Morel, Colom, Noisesniffer, IWBF 2021; IPOL 14, 2024",
    limits="On 75 web edits it marked 2, hardly where the edit was (pixel F1 0.001 on 33 masks), "
    "against 16 of 646 untouched pictures (2.5 %): AUC 0.50. About 30 % of pictures have no "
    "measurable noise. In 100 genuine pictures that do, mostly small, it found 25 % to 28 % of "
    "squares filled by diffusion inpainting (18 % after JPEG 85), 28 % of blurred ones in lossless "
    "files (17 % after JPEG 95, 7 % after JPEG 85) and 3 % to 9 % of denoised ones; it marked 2 % "
    "to 3 % of them before editing. Noise above 6 levels is taken for texture and not judged. "
    "Parts that are noisier than the rest are not reported.",
)

QUIET = 0.5  # chance that a smooth block is quieter than the median of its brightness


@dataclass(frozen=True)
class _Smooth:
    """The blocks compared, one element each.

    Attributes:
        cell: number of the grid cell that the block's middle lies in.
        quiet: whether it is no noisier than the median of its brightness.
        relative: its noise over that median.
        level: median noise of all [8-bit levels].
    """

    cell: NDArray[np.int64]
    quiet: NDArray[np.bool_]
    relative: NDArray[np.float32]
    level: float


class Detector:
    """Compares smooth blocks of like brightness; windows of quiet ones are tested a contrario.

    Args:
        smooth_share: share of the blocks of one brightness that counts as smooth.
        visible: least median noise at a brightness for it to be compared [8-bit levels]; twice
            what rounding alone leaves.
        textured: median noise from which a brightness is skipped [8-bit levels]: that much in
            its smoothest blocks is texture, not a camera's noise.
        largest_ratio: a region's noise is at most this part of the noise elsewhere.
        largest_overlap: at most this share of blocks elsewhere is as quiet as the region.
        log10_threshold: log10 number of false alarms below which a region is considered.
    """

    def __init__(
        self,
        smooth_share: float = 0.2,
        visible: float = 0.6,
        textured: float = 6.0,
        largest_ratio: float = 0.7,
        largest_overlap: float = 0.05,
        log10_threshold: float = -2.0,
    ) -> None:
        self.smooth_share = smooth_share
        self.visible = visible
        self.textured = textured
        self.largest_ratio = largest_ratio
        self.largest_overlap = largest_overlap
        self.log10_threshold = log10_threshold

    def measure(self, ctx: Context) -> Measured:
        """Return a finding whose score is −log10 of the number of false alarms."""
        media = ctx.image
        blocks = ctx.get(NOISE_BLOCKS)
        if np.count_nonzero(blocks.usable) < 2000:
            return NotApplicable("it is too small, too flat or clipped to measure noise in")
        side = 16 * math.ceil(math.sqrt(media.height * media.width / 20000) / 16)
        grid = (math.ceil(media.height / side), math.ceil(media.width / side))
        smooth = self._smooth(blocks, side, grid)
        if smooth is None:
            return NotApplicable(
                "no noise can be measured: none rises above rounding, or texture covers it"
            )
        # Overlapping blocks share pixels: they count as the number that would lie side by side.
        overlap = (BLOCK / blocks.stride) ** 2
        trials = _count(smooth.cell, grid) / overlap
        successes = _count(smooth.cell[smooth.quiet], grid) / overlap
        strength = concentrations(successes, trials, QUIET, 1, self.log10_threshold)
        around = np.maximum(scipy.ndimage.uniform_filter(trials, 3), 1e-9)
        locally = scipy.ndimage.uniform_filter(successes, 3) / around
        labels, count = scipy.ndimage.label(
            scipy.ndimage.binary_opening((strength > 0) & (locally > 0.8), np.ones((2, 2)))
        )
        return self._report(media, smooth, side, strength, labels, count)

    def _smooth(self, blocks: NoiseBlocks, side: int, grid: tuple[int, int]) -> _Smooth | None:
        usable = np.flatnonzero(blocks.usable)
        order = usable[np.argsort(blocks.mean.ravel()[usable], kind="stable")]
        high = blocks.high.ravel()
        # A block's own noise adds to its low frequencies too; less that, noisy and quiet blocks
        # compete for smoothness by structure alone.
        structure = blocks.low.ravel() - np.square(high)
        chosen, ratios = [], []
        for bin_ in np.array_split(order, int(np.clip(order.size // 4000, 1, 20))):
            limit = np.quantile(structure[bin_], self.smooth_share)
            smooth = bin_[structure[bin_] <= limit]
            median = float(np.median(high[smooth]))
            if self.visible <= median <= self.textured:
                chosen.append(smooth)
                ratios.append(high[smooth] / np.float32(median))
        if not chosen:
            return None
        index, relative = np.concatenate(chosen), np.concatenate(ratios)
        rows, columns = np.divmod(index, blocks.mean.shape[1])
        middle = BLOCK // 2
        cell = (rows * blocks.stride + middle) // side * grid[1]
        cell += (columns * blocks.stride + middle) // side
        return _Smooth(cell, relative <= 1.0, relative, float(np.median(high[index])))

    def _report(
        self,
        media: Image,
        smooth: _Smooth,
        side: int,
        strength: NDArray[np.float32],
        labels: NDArray[np.int32],
        count: int,
    ) -> list[Measurement]:
        member = labels.ravel()[smooth.cell]
        elsewhere = smooth.relative[member == 0]
        kept: list[tuple[Region, float, float]] = []
        cells = np.zeros(strength.shape, np.float32)
        for number, box in enumerate(scipy.ndimage.find_objects(labels), start=1):
            inside = smooth.relative[member == number]
            if inside.size < 8 or elsewhere.size < 50:
                continue
            middle = float(np.median(inside))
            ratio = middle / float(np.median(elsewhere))
            overlap = float((elsewhere <= middle).mean())
            if ratio > self.largest_ratio or overlap > self.largest_overlap:
                continue
            part = labels == number
            top = float(strength[part].max())
            cells[part] = 0.5 + 0.5 * np.minimum(strength[part] / 20.0, 1.0)
            kept.append((_box(box, side, media, top), ratio, overlap))
        kept.sort(key=lambda found: -(found[0].score or 0.0))
        found = ScoreMap(cells, side, media.width, media.height)
        share = found.marked_share
        facts = {
            "noise": round(smooth.level, 2),
            "compared_blocks": int(smooth.relative.size),
            "quiet_regions": len(kept),
            "quiet_share": round(share, 4),
        }
        if kept:
            facts |= {
                "noise_ratio": round(kept[0][1], 3),
                "as_quiet_elsewhere": round(kept[0][2], 4),
            }
            summary = (
                f"{len(kept)} region(s), {100 * share:.1f} % of the picture, are quieter than "
                "smooth parts of the same brightness elsewhere; the strongest has "
                f"{100 * kept[0][1]:.0f} % of their noise."
            )
        else:
            summary = (
                f"Noise of about {smooth.level:.1f} levels is visible, and no region is clearly "
                "quieter than comparable parts of the picture."
            )
        return [
            Measurement(
                score=min(kept[0][0].score or 0.0, 300.0) if kept else 0.0,
                maps=(found,),
                regions=tuple(region for region, _, _ in kept[:20]),
                facts=facts,
                summary=summary,
            )
        ]


def _count(cell: NDArray[np.int64], grid: tuple[int, int]) -> NDArray[np.float64]:
    counts = np.bincount(cell, minlength=grid[0] * grid[1])
    return counts.reshape(grid).astype(np.float64)


def _box(box: tuple[slice, slice], side: int, media: Image, strength: float) -> Region:
    rows, columns = box
    x, y = columns.start * side, rows.start * side
    right, bottom = min(columns.stop * side, media.width), min(rows.stop * side, media.height)
    return Region(x, y, right - x, bottom - y, round(strength, 2))
