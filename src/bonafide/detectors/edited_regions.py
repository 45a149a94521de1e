"""Regions that differ from the rest of their picture, found by a small trained network.

What it looks for
    Places whose noise, sharpness, compression traces or colours do not belong to the picture
    around them: parts of another picture, copies, what was painted over or filled in, and parts
    that went through a generator.

Why it works
    A picture has one history: one sensor, one lens, one chain of processing. A part with another
    history stands out against the rest, hardly ever by itself. The network reads colours and
    noise residuals at native resolution, puts every place beside the mean of the whole picture,
    and says with each mark how far it trusts it.

When it fails
    On edits that later compression, shrinking or a screenshot evened out; on parts from the same
    camera at the same settings; on regions of a few hundred pixels. It was trained on edits that
    programs made, in small photographs. Sharp subjects before a blurred background, text, logos,
    skies and other flat areas may be marked in untouched pictures. Measured figures stand in its
    model card.

How to read it
    Pixels from half upwards are marked. When the picture as a whole gives too little evidence,
    the whole map is held below half, so that faint shades show where to look and nothing more. A
    mark is a reason to look closer, not proof of an edit; "reliability" is the share of it that
    the network expects to be right.

Reference
    This project, 2026. Parts: K. Triaridis, V. Mezaris, "Exploring Multi-Modal Fusion for Image
    Manipulation Detection and Localization", MMM 2024; X. Ma et al., "IML-ViT", 2023; W. Huang et
    al., "RelayFormer", 2025; F. Guillaro et al., "TruFor", CVPR 2023.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from bonafide import runtime
from bonafide.media.image import Image
from bonafide.signals.tiles import Mosaic, Tile, grid, spread
from bonafide.types import Card, Fact, Finding, Needs, Question, Region

CARD = Card(
    id="edited_regions",
    version="1",
    question=Question.EDITED,
    title="Regions unlike the rest",
    needs=Needs(min_side=64),
    facts={
        "tiles": "tiles that cover the picture [count]",
        "marked_share": "share of the picture that is marked [0–1]",
        "regions": "connected marked parts [count]",
        "reliability": "share of the marked parts that the network expects to be right [0–1]; "
        "null where nothing is marked",
        "most_suspicious": "largest local log-odds of an edit [natural log]",
    },
    paper="This project, 2026; see the model card of edited_regions in MODELS.md",
    training_data="940 bona fide pictures of 19 collections, edited anew for every sample; "
    "ImageNet at the outset",
    limits="See the model card in MODELS.md for measured figures.",
)

CELL = 4  # pixels a side that one value of the map stands for
SIDE = 512 // CELL  # of tiles, cells
OVERLAP = 64 // CELL
COARSEST = 32  # pixels; sides that it divides lose no edge inside the network
SUMMARISED = 24  # tiles at most that the picture is summarised from
MOST_REGIONS = 20
HELD = 0.499  # what must not be marked stays below half


@dataclass(frozen=True)
class Local:
    """What the network says, before anything is decided.

    Attributes:
        odds: float32 h×w, log-odds of an edit of each cell of `CELL`² pixels.
        trust: float32 h×w in [0, 1], probability that `odds` is on the right side.
        logit: log-odds that anything was edited: those of the most suspicious tile.
        tiles: their number.
    """

    odds: NDArray[np.float32]
    trust: NDArray[np.float32]
    logit: float
    tiles: int


@dataclass(frozen=True)
class Operating:
    """What counts as a mark, chosen on edits made from sources that were held out.

    Attributes:
        bias: log-odds from which a cell is marked.
        gate: `Local.logit` from which anything is.
        smallest: share of the picture below which a connected part is not marked.
    """

    bias: float = 0.0
    gate: float = 0.0
    smallest: float = 0.001

    @classmethod
    def of(cls, metadata: Mapping[str, Any]) -> Operating:
        """As the network's file says; defaults where it says nothing."""
        return cls(**{name: float(value) for name, value in metadata.get("operating", {}).items()})


class Detector:
    """Runs the network over the picture: at once if it is small, else in tiles with a summary."""

    def __init__(self) -> None:
        self._session = runtime.session(CARD.id)
        self._operating = Operating.of(self._session.weights.metadata)

    def __call__(self, media: Image) -> Finding:
        """Return a finding with score, map, regions and facts."""
        found = localise(self._session, media.pixels)
        cells, regions, reliability = decide(found, self._operating, media.height, media.width)
        marked = float((cells >= 0.5).mean())
        facts: dict[str, Fact] = {
            "tiles": found.tiles,
            "marked_share": round(marked, 4),
            "regions": len(regions),
            "reliability": reliability,
            "most_suspicious": round(float(found.odds.max()), 2),
        }
        return CARD.finding(
            score=round(found.logit, 4),
            heatmap=_enlarged(cells, media.height, media.width),
            regions=tuple(regions[:MOST_REGIONS]),
            facts=facts,
            summary=_summary(marked, len(regions), reliability),
        )


def localise(session: runtime.Session, pixels: NDArray[np.uint8]) -> Local:
    """Run the network over a picture.

    Args:
        session: the open network.
        pixels: uint8 H×W×3 RGB, at least 64 pixels a side.
    """
    height, width = pixels.shape[:2]
    rows, columns = -(-height // CELL), -(-width // CELL)
    if max(rows, columns) <= SIDE:
        after = [(0, -side % COARSEST) for side in (height, width)]
        whole = np.pad(pixels, (*after, (0, 0)), mode="reflect")
        read = np.ascontiguousarray(whole.transpose(2, 0, 1)[None], np.float32) / np.float32(255)
        said = session.run(read)
        local, trusted = (said[name][0, :rows, :columns] for name in ("map", "reliability"))
        return Local(local, _sigmoid(trusted), float(said["logit"][0]), 1)
    cells = grid(rows, columns, SIDE, OVERLAP)
    tiles = {_in_pixels(cell, height, width): cell for cell in cells}
    side = SIDE * CELL
    summaries = [
        said["summary"]
        for _, said in runtime.over_tiles(
            session, pixels, spread(list(tiles), SUMMARISED), side, batch=1
        )
    ]
    context = np.asarray(np.mean(summaries, axis=0), np.float32)
    odds, trust = (Mosaic(rows, columns, SIDE, OVERLAP) for _ in range(2))
    logit = -np.inf
    for tile, said in runtime.over_tiles(session, pixels, list(tiles), side, 1, context):
        odds.paste(tiles[tile], said["map"])
        trust.paste(tiles[tile], said["reliability"])
        logit = max(logit, float(said["logit"]))
    return Local(odds.mean(), _sigmoid(trust.mean()), logit, len(tiles))


def decide(
    found: Local, operating: Operating, height: int, width: int
) -> tuple[NDArray[np.float32], list[Region], float | None]:
    """What is marked, at the operating point of the network.

    Args:
        found: what the network says.
        operating: from its file.
        height, width: of the picture, pixels.

    Returns:
        float32 h×w of the cells, marked from 0.5; the marked parts, the strongest first; and the
        mean trust in them, None without any.
    """
    cells = _sigmoid(found.odds - np.float32(operating.bias))
    if found.logit < operating.gate:
        strongest = float(cells.max())
        return (cells * np.float32(HELD / strongest) if strongest > HELD else cells), [], None
    marked = (cells >= 0.5).astype(np.uint8)
    count, labels, boxes, _ = cv2.connectedComponentsWithStats(marked, connectivity=8)
    large = boxes[:, cv2.CC_STAT_AREA] >= operating.smallest * cells.size
    large[0] = True  # what is not marked
    np.minimum(cells, HELD, out=cells, where=~large[labels])
    regions = []
    for label in range(1, count):
        if large[label]:
            strength = float(found.odds[labels == label].mean())
            regions.append(_region(boxes[label], strength, height, width))
    regions.sort(key=lambda region: -(region.score or 0.0))
    trusted = found.trust[cells >= 0.5]
    return cells, regions, round(float(trusted.mean()), 3) if trusted.size else None


def _region(box: NDArray[np.int32], strength: float, height: int, width: int) -> Region:
    left, top, columns, rows = (CELL * int(value) for value in box[:4])
    return Region(
        left, top, min(columns, width - left), min(rows, height - top), round(strength, 2)
    )


def _in_pixels(cell: Tile, height: int, width: int) -> Tile:
    top, left = CELL * cell.top, CELL * cell.left
    rows, columns = CELL * cell.height, CELL * cell.width
    return Tile(top, left, min(rows, height - top), min(columns, width - left))


def _enlarged(cells: NDArray[np.float32], height: int, width: int) -> NDArray[np.float32]:
    """To the size of the picture; between values below half nothing reaches half."""
    size = (CELL * cells.shape[1], CELL * cells.shape[0])
    large = cv2.resize(cells, size, interpolation=cv2.INTER_LINEAR)
    return np.ascontiguousarray(np.clip(large[:height, :width], 0, 1, out=large[:height, :width]))


def _sigmoid(odds: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.asarray(1 / (1 + np.exp(-np.clip(odds, -30, 30))), np.float32)


def _summary(marked: float, regions: int, reliability: float | None) -> str:
    if reliability is None:
        return "No part differs from the rest of the picture enough to be marked."
    parts = "1 part differs" if regions == 1 else f"{regions} parts differ"
    return (
        f"{parts} from the rest of the picture, {100 * marked:.1f} % of it; the network expects "
        f"{100 * reliability:.0f} % of what it marked to be right."
    )
