"""Local traces of generators, found by a small trained network at native resolution.

What it looks for
    The marks that decoders, up-samplers and denoisers of image generators leave in small
    neighbourhoods of pixels: too smooth here, too regular there, colours tied together as no
    sensor and no camera pipeline ties them.

Why it works
    A picture made by a network went through its last layers everywhere, so the marks are
    everywhere, and many of them outlive a JPEG save and a resize. The network judges every patch
    on its own; the score is the mean of the local log-odds, and the map shows them.

When it fails
    On generators unlike those it was trained on, on heavy compression and strong shrinking, on
    drawings, paintings, renderings and screenshots, on scans, and on photographs that were
    denoised, enhanced or enlarged by software. Numbers by source stand in its model card.

How to read it
    The probability, not the map, is the answer: single bright patches mean nothing, flat areas
    carry little. "Laundered" means that the picture looks more like a photograph that went
    through an autoencoder, an up-scaler or an enhancer than like one made from nothing. It says
    nothing about which part of a picture was made: that is another question.

Reference
    This project, 2026. Parts: L. Chai et al., "What Makes Fake Images Detectable?", ECCV 2020;
    B. Cavia et al., "Real-Time Deepfake Detection in the Real-World", 2024; R. Chen et al., "Dual
    Data Alignment Makes AI-Generated Image Detector Easier Generalizable", 2025; S. Mandelli et
    al., "When Synthetic Traces Hide Real Content", 2024; backbone: M. Tan, Q. V. Le, ICML 2019.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bonafide.errors import WeightsError
from bonafide.media.context import Context
from bonafide.networks import runtime
from bonafide.signals.lattice import sampled_map
from bonafide.signals.tiles import Mosaic, Tile, grid, spread
from bonafide.types import (
    Card,
    Fact,
    Failed,
    Measured,
    Measurement,
    Needs,
    Profile,
    Question,
    ScoreMap,
)

CARD = Card(
    id="synthetic_traces",
    version="1",
    question=Question.SYNTHETIC,
    title="Traces of image generators",
    needs=Needs(min_side=64),
    facts={
        "tiles": "tiles that were read [count]",
        "tiles_of": "tiles that cover the picture; fewer are read of a large picture unless the "
        "profile is thorough, and the map is 0 where none was read [count]",
        "median_patch": "median of the local log-odds [natural log]",
        "marked_share": "share of the picture whose local log-odds favour a generator [0–1]",
        "laundered_share": "given that it is synthetic: probability of a photograph that went "
        "through a decoder or an enlarger, at even odds [0–1]",
    },
    pool="mean",
    options=("profile",),
    paper="This project, 2026; see the model card of synthetic_traces in MODELS.md",
    training_data="1,153 generated pictures of 38 sources, 1,232 bona fide ones of 35, 846 pairs "
    "of the latter with reconstructions by three small autoencoders; ImageNet at the outset",
    limits="On generators left out of training the AUC is 0.76 (0.73–0.79, mean over generators, "
    "both classes saved alike): 0.89 for DALL-E 3, 0.51 for illustrations by Stable Diffusion 1.4; "
    "0.49 for StyleGAN2 faces against portraits. JPEG 75 costs 0.01, half size 0.03. Most "
    "generated pictures are not recognised at a false-accusation rate of 1 %. Of pictures over "
    "about 2.4 megapixels only 36 tiles are read, unless the profile is thorough.",
)

LARGEST_TILE = 512
# Of pictures of more than MOST small tiles, MOST small ones spread evenly are read. Many small ones
# tell the mean of a picture better than few large ones do.
SMALL_TILE = 256
MOST = 36
RIM = 32  # pixels of a small tile's border that are not counted: padding shifts the odds there
PATCH = 8  # pixels a side that one value of the map stands for
COARSEST = 32  # pixels; sides that it divides lose no edge inside the network
EVEN_ODDS = math.log(15)  # of the synthetic pictures in training, one in sixteen was laundered


@dataclass(frozen=True)
class _Read:
    """What the network says of the tiles that were read.

    Attributes:
        score: mean log-odds of a generator.
        laundered: mean log-odds of laundering.
        patches: float32, log-odds of the patches that were read, any shape.
        values: float32 (rows, columns) in [0, 1], the map of the picture in patches.
        tiles, tiles_of: how many were read, and how many cover the picture.
    """

    score: float
    laundered: float
    patches: NDArray[np.float32]
    values: NDArray[np.float32]
    tiles: int
    tiles_of: int


class Detector:
    """Runs the network over tiles of native resolution.

    Args:
        profile: `THOROUGH` covers every pixel; others read `MOST` tiles of a large picture.
    """

    def __init__(self, profile: Profile = Profile.STANDARD) -> None:
        self.profile = profile

    def measure(self, ctx: Context) -> Measured:
        """Return a finding with score, map and facts."""
        try:
            session = runtime.session(CARD.id)
        except WeightsError as error:
            return Failed(error.why)
        pixels = ctx.image.pixels
        height, width = pixels.shape[:2]
        small = grid(height, width, SMALL_TILE)
        if self.profile is Profile.THOROUGH or len(small) <= MOST:
            read = _cover(session, pixels)
        else:
            read = _sample(session, pixels, spread(small, MOST), len(small))
        score, marked = read.score, float((read.patches > 0).mean())
        launder = _share(read.laundered + EVEN_ODDS)
        facts: dict[str, Fact] = {
            "tiles": read.tiles,
            "tiles_of": read.tiles_of,
            "median_patch": round(float(np.median(read.patches)), 3),
            "marked_share": round(marked, 3),
            "laundered_share": round(launder, 3),
        }
        what = "the picture" if read.tiles == read.tiles_of else "what was read of the picture"
        return [
            Measurement(
                score=round(score, 4),
                maps=(ScoreMap(read.values, PATCH, width, height),),
                laundered=round(launder, 3),
                facts=facts,
                summary=f"{100 * marked:.0f} % of {what} looks more like the generated than like "
                f"the bona fide pictures of its training; mean local log-odds {score:+.2f}.",
            )
        ]


def _cover(session: runtime.Session, pixels: NDArray[np.uint8]) -> _Read:
    height, width = pixels.shape[:2]
    side = min(LARGEST_TILE, -(-max(height, width) // COARSEST) * COARSEST)
    tiles = grid(height, width, side)
    mosaic = Mosaic(height, width, side)
    laundered = weight = 0.0
    for tile, outputs in runtime.over_tiles(session, pixels, tiles, side, batch=1):
        mosaic.paste(tile, outputs["map"])
        area = tile.height * tile.width
        laundered += area * float(outputs["laundered"])
        weight += area
    local = mosaic.mean()
    patches = sampled_map(local, PATCH).values
    count = len(tiles)
    return _Read(
        float(local.mean()), laundered / weight, patches, _probability(patches), count, count
    )


def _sample(
    session: runtime.Session, pixels: NDArray[np.uint8], tiles: Sequence[Tile], tiles_of: int
) -> _Read:
    height, width = pixels.shape[:2]
    values = np.zeros((-(-height // PATCH), -(-width // PATCH)), np.float32)
    rim = RIM // PATCH
    read, laundered = [], []
    for tile, outputs in runtime.over_tiles(session, pixels, tiles, SMALL_TILE, batch=1):
        odds = outputs["map"][: -(-tile.height // PATCH), : -(-tile.width // PATCH)]
        inner = odds[_within(len(odds), rim), _within(odds.shape[1], rim)]
        read.append(inner.ravel())
        laundered.append(float(outputs["laundered"]))
        # The last tiles of a row or column are flush with the border, not with the patches.
        top, left = -(-tile.top // PATCH), -(-tile.left // PATCH)
        top += _within(len(odds), rim).start or 0
        left += _within(odds.shape[1], rim).start or 0
        place = values[top : top + len(inner), left : left + inner.shape[1]]
        place[...] = _probability(inner)[: place.shape[0], : place.shape[1]]
    patches = np.concatenate(read)
    score = float(patches.mean())
    return _Read(score, float(np.mean(laundered)), patches, values, len(tiles), tiles_of)


def _share(odds: float) -> float:
    return 1 / (1 + math.exp(-min(max(odds, -30.0), 30.0)))


def _within(length: int, rim: int) -> slice:
    """What lies between two rims; all of a length that has no more than the rims."""
    return slice(rim, length - rim) if length > 2 * rim else slice(None)


def _probability(odds: NDArray[np.float32]) -> NDArray[np.float32]:
    """Of log-odds, which are not changed."""
    return np.asarray(1 / (1 + np.exp(-np.clip(odds, -30, 30))), np.float32)
