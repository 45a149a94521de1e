"""Parts of a JPEG with another compression history, found by a small trained network.

What it looks for
    Blocks of 8×8 pixels that were not saved the way the rest of the picture was before it was
    edited: pasted from elsewhere, painted over, filled in, moved off the block grid.

Why it works
    Each save as JPEG rounds the coefficients of every block to multiples of its own steps. In a
    picture that was saved, edited and saved again, most blocks show the gaps of the earlier save;
    the edited ones do not, or show other gaps. The network reads the lowest frequencies of every
    block and the table that they were rounded with, no pixels, weighs them by the histograms of
    the whole picture, and looks at neighbourhoods of blocks.

When it fails
    On anything but a JPEG as it was saved last; after shrinking, screenshots and messengers, which
    start a history of their own; where the last save was much coarser than the one before; where
    the whole picture was edited; on regions under some six blocks a side. Flat areas carry no
    history. A caption or frame that an editor of a newspaper added is an edit too.

How to read it
    Blocks from half upwards are marked. When the picture as a whole gives too little evidence, the
    whole map is held below half, so that faint shades show where to look and nothing more. The
    score is the network's own log-odds that anything was edited.

Reference
    This project, 2026, after M.-J. Kwon et al., "Learning JPEG Compression Artifacts for Image
    Manipulation Detection and Localization" (CAT-Net), IJCV 2022; T. Bianchi, A. Piva, "Image
    Forgery Localization via Block-Grained Analysis of JPEG Artifacts", IEEE TIFS, 2012.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from bonafide.errors import WeightsError
from bonafide.media.context import Context
from bonafide.media.image import Image
from bonafide.networks import runtime
from bonafide.signals.heavy import cv2
from bonafide.signals.lattice import marked_regions, upright_map
from bonafide.signals.quantised import planes
from bonafide.types import Card, Fact, Failed, Measured, Measurement, Needs, NotApplicable, Question

if TYPE_CHECKING:
    from numpy.typing import NDArray

CARD = Card(
    id="jpeg_history",
    version="1",
    question=Question.EDITED,
    title="Another compression history",
    needs=Needs(jpeg=True, min_side=64),
    facts={
        "marked_share": "share of the picture that is marked [0–1]",
        "regions": "connected marked parts [count]",
        "strongest": "largest log-odds of any block [natural log]",
    },
    paper="This project, 2026; after M.-J. Kwon et al. (CAT-Net), IJCV 2022",
    training_data="870 bona fide pictures of public collections, edited anew for every sample",
    limits="Of 51 edited JPEGs 17 are marked, of 35 authentic ones 1; where a mask is known, mean "
    "pixel F1 is 0.75 on those that are marked and 0.25 on all 18. What it does not mark it cannot "
    "judge. PNG, shrunk and re-shared pictures carry nothing that it reads.",
)

BLOCK = 8
SIDE = 384  # blocks; larger pictures are read in overlapping parts of at most this side
OVERLAP = 32
HELD = 0.499  # what must not be marked stays below half


@dataclass(frozen=True)
class Local:
    """What the network says, before anything is decided.

    Attributes:
        odds: float32 h×w, log-odds of an edit of each block, in stored orientation.
        logit: log-odds that anything was edited; of several squares, those of the most suspicious.
    """

    odds: NDArray[np.float32]
    logit: float


@dataclass(frozen=True)
class Operating:
    """What counts as a mark, chosen on edits made from sources that were held out.

    Attributes:
        bias: log-odds from which a block is marked.
        gate: `Local.logit` from which anything is.
        smallest: blocks below which a connected part is not marked.
    """

    bias: float = 0.0
    gate: float = 0.0
    smallest: int = 6

    @classmethod
    def of(cls, metadata: Mapping[str, Any]) -> Operating:
        """As the network's file says; defaults where it says nothing."""
        return cls(**metadata.get("operating", {}))


class Detector:
    """Runs the network over the quantised coefficients of brightness."""

    def measure(self, ctx: Context) -> Measured:
        """Return a finding with score, map, regions and facts."""
        media = ctx.image
        try:
            session = runtime.session(CARD.id)
        except WeightsError as error:
            return Failed(error.why)
        found = localise(session, media)
        if found is None:
            return NotApplicable("it reads JPEG compression history; this is no JPEG")
        blocks = decide(found, Operating.of(session.weights.metadata))
        marked = upright_map(media, blocks, BLOCK)
        score = round(found.logit, 4)
        regions = marked_regions(marked, score)
        facts: dict[str, Fact] = {
            "marked_share": round(marked.marked_share, 4),
            "regions": len(regions),
            "strongest": round(float(found.odds.max()), 2),
        }
        return [
            Measurement(
                score=score, maps=(marked,), regions=regions, facts=facts, summary=_summary(facts)
            )
        ]


def localise(session: runtime.Session, media: Image) -> Local | None:
    """Run the network over a picture; None if it has no JPEG coefficients of brightness."""
    if media.jpeg is None or not media.coefficients:
        return None
    height, width = media.stored_pixels.shape[:2]
    rows, columns = -(-height // BLOCK), -(-width // BLOCK)
    # Sampling of colours can leave a row or column of blocks that shows nothing of the picture.
    seen = planes(media.coefficients[0][:rows, :columns], media.jpeg.quantisation[0])
    if max(rows, columns) <= SIDE:
        said = session.run(_read(seen))
        return Local(said["map"][0], float(said["logit"][0]))
    odds, counts = (np.zeros((rows, columns), np.float32) for _ in range(2))
    logit = -np.inf
    for down in _parts(rows):
        for across in _parts(columns):
            said = session.run(_read(seen[down, across]))
            odds[down, across] += said["map"][0]
            counts[down, across] += 1
            logit = max(logit, float(said["logit"][0]))
    odds /= counts
    return Local(odds, logit)


def _parts(length: int) -> list[slice]:
    """The fewest equal parts of at most `SIDE` that cover `length` and share about `OVERLAP`."""
    count = max(1, -(-(length - OVERLAP) // (SIDE - OVERLAP)))
    side = min(length, -(-(length + (count - 1) * OVERLAP) // count))
    starts = np.linspace(0, length - side, count).round().astype(int)
    return [slice(int(start), int(start) + side) for start in starts]


def decide(found: Local, operating: Operating) -> NDArray[np.float32]:
    """What is marked, at the operating point of the network: float32 h×w in [0, 1], from 0.5."""
    odds = np.clip(found.odds - np.float32(operating.bias), -30, 30)
    blocks = np.asarray(1 / (1 + np.exp(-odds)), np.float32)
    if found.logit < operating.gate:
        strongest = float(blocks.max())
        return blocks * np.float32(HELD / strongest) if strongest > HELD else blocks
    marked = (blocks >= 0.5).astype(np.uint8)
    _, labels, boxes, _ = cv2.connectedComponentsWithStats(marked, connectivity=8)
    large = boxes[:, cv2.CC_STAT_AREA] >= operating.smallest
    large[0] = True  # what is not marked
    np.minimum(blocks, HELD, out=blocks, where=~large[labels])
    return blocks


def _read(seen: NDArray[np.uint8]) -> NDArray[np.float32]:
    return np.ascontiguousarray(seen.transpose(2, 0, 1)[None], np.float32) / np.float32(255)


def _summary(facts: Mapping[str, Any]) -> str:
    count = facts["regions"]
    if not count:
        return "No part has a compression history unlike the rest's clearly enough to be marked."
    parts = "1 part has" if count == 1 else f"{count} parts have"
    return (
        f"{parts} another compression history than the rest of the picture, "
        f"{100 * facts['marked_share']:.1f} % of it."
    )
