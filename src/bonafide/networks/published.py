"""Show a picture to a published network as its authors do, and make a finding of what it says."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image as Pillow

from bonafide.errors import MissingWeights, UnverifiedWeights, WeightsError
from bonafide.media.image import Image
from bonafide.networks import runtime
from bonafide.networks.catalogue import CATALOGUE, Reading
from bonafide.signals.tiles import Tile, covered, grid, spread
from bonafide.types import Card, Failed, Measured, Measurement, NotApplicable

if TYPE_CHECKING:
    from numpy.typing import NDArray

FACTS = {
    "logit": "the network's own log odds that the picture is generated, uncalibrated [nats]",
    "lowest": "the same of the least suspicious square [nats]",
    "highest": "the same of the most suspicious square [nats]",
    "squares": "squares of the picture that it read [count]",
    "covered": "share of the picture that lies in them [0–1]",
    "weights": "SHA-256 of the network's file, first 12 digits",
    "origin": "where the file comes from: pulled, or the user's own",
}
_BATCH = 4
_LONGEST = 4  # times the shorter side; what lies beyond is not in the central square anyway


@dataclass(frozen=True)
class Readout:
    """What a network said about one picture.

    Attributes:
        logits: one per square, natural log odds.
        covered: share of the picture that lies in the squares, in [0, 1].
    """

    logits: tuple[float, ...]
    covered: float

    @property
    def logit(self) -> float:
        """Mean over the squares."""
        return math.fsum(self.logits) / len(self.logits)


def read(opened: runtime.Session, reading: Reading, pixels: NDArray[np.uint8]) -> Readout:
    """Show a picture, uint8 H×W×3 RGB, to an open network."""
    if reading.shorter is None:
        height, width = pixels.shape[:2]
        tiles = spread(grid(height, width, reading.side), reading.most)
        share = covered(tiles, height, width)
    else:
        pixels, share = _resized(pixels, reading.shorter, reading.side)
        tiles = (Tile(0, 0, *pixels.shape[:2]),)
    results = runtime.over_tiles(opened, pixels, tiles, reading.side, _BATCH)
    return Readout(tuple(float(outputs["logit"]) for _, outputs in results), share)


def examine(card: Card, media: Image) -> Measured:
    """The finding of the detector that reads the published network with the card's id."""
    try:
        opened = runtime.session(card.id)
    except (MissingWeights, UnverifiedWeights) as error:
        return NotApplicable(error.why)
    except WeightsError as error:
        return Failed(error.why)
    found = read(opened, CATALOGUE[card.id].reading, media.pixels)
    if not all(map(math.isfinite, found.logits)):
        return Failed("the network's answer is not a number")
    squares = len(found.logits)
    return [
        Measurement(
            score=found.logit,
            facts={
                "logit": round(found.logit, 4),
                "lowest": round(min(found.logits), 4),
                "highest": round(max(found.logits), 4),
                "squares": squares,
                "covered": round(found.covered, 4),
                "weights": opened.weights.sha256[:12],
                "origin": opened.weights.origin,
            },
            summary=f"The network's own log odds that the picture is generated are "
            f"{found.logit:+.2f}, from {squares} {'square' if squares == 1 else 'squares'} "
            f"that {_shows(squares)} {100 * found.covered:.0f} % of it.",
        )
    ]


def _shows(squares: int) -> str:
    return "shows" if squares == 1 else "show"


def _resized(pixels: NDArray[np.uint8], shorter: int, side: int) -> tuple[NDArray[np.uint8], float]:
    """The central square after resizing, and the share of the picture that it shows."""
    height, width = pixels.shape[:2]
    pixels = _central(
        pixels, *(min(edge, _LONGEST * min(height, width)) for edge in (height, width))
    )
    edges = pixels.shape[:2]
    new = [shorter * edge // min(edges) for edge in edges]
    picture = Pillow.fromarray(pixels).resize((new[1], new[0]), Pillow.Resampling.BILINEAR)
    share = (side * min(height, width) / shorter) ** 2 / (height * width)
    return _central(np.asarray(picture), side, side), share


def _central(pixels: NDArray[np.uint8], height: int, width: int) -> NDArray[np.uint8]:
    top, left = round((pixels.shape[0] - height) / 2), round((pixels.shape[1] - width) / 2)
    return pixels[top : top + height, left : left + width]
