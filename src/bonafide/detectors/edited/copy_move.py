"""Copy-move: parts of a picture that repeat another part, down to its light and fine detail.

What it looks for
    Two places in one picture that are the same pixels, perhaps moved, turned, scaled or mirrored.

Why it works
    Cloning hides or multiplies things with material from the same picture, so light and colour
    fit; but no second window, coin or leaf lies in light that equals that of the first to a
    fraction of a level, or repeats texture that varies in two directions. Lookalikes are proposed
    by correlating tiles with the whole picture (plain shifts, also of smooth parts) and by SIFT
    keypoints of which several agree on one map (turned, scaled and mirrored copies). Each map is
    sharpened, the part that obeys it is outlined, and five measurements of the part (agreement of
    light and of detail, detail in two directions, likeness to its own surroundings, size) are
    weighed into log odds.

When it fails
    It misses turned or scaled copies of smooth areas, where there are no keypoints, and parts
    smaller than about 20×20 pixels. Print, screens and computer graphics repeat themselves exactly
    without any forgery; areas drawn with flat colours are left out. Where the features of CLIP say
    that the picture is drawn, rendered, printed or a screen, repeated parts are shown and are no
    evidence of editing.

How to read it
    Equal `pair` numbers belong together. Where the copy was turned or scaled, the sharper side is
    named the source; where it was only moved, the picture does not say which side came first
    (`direction_known` is false) and the names are arbitrary. The score is the natural log of the
    odds of a copy against a lookalike, where both are as frequent as among the candidates that it
    was fitted on.

Reference
    I. Amerini, L. Ballan, R. Caldelli, A. Del Bimbo, G. Serra, "A SIFT-Based Forensic Method for
    Copy-Move Attack Detection and Transformation Recovery", IEEE TIFS, 2011; G. Evangelidis,
    E. Psarakis, "Parametric Image Alignment Using Enhanced Correlation Coefficient Maximization",
    IEEE TPAMI, 2008.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from bonafide.media.context import Context
from bonafide.media.image import Image
from bonafide.networks.clip import NETWORK as TOWER
from bonafide.networks.content import DRAWN as DRAWN_CONTENT
from bonafide.networks.content import NETWORK
from bonafide.signals.coincidence import EQUAL, NO_CLAIM, log10_coincidences
from bonafide.signals.copies import Proposal, directed, invert, rescale, verify
from bonafide.signals.heavy import cv2
from bonafide.signals.keypoints import keypoint_proposals
from bonafide.signals.lattice import sampled_map
from bonafide.signals.likeness import NOTHING, Match
from bonafide.signals.shifts import shift_proposals
from bonafide.types import (
    Card,
    EditKind,
    Fact,
    Measured,
    Measurement,
    Needs,
    NotApplicable,
    Question,
    Region,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

CARD = Card(
    id="copy_move",
    version="8",
    question=Question.EDITED,
    title="Copied and moved parts",
    cost=0.3,
    needs=Needs(min_side=64),
    facts={
        "maps_tried": "maps from one place to another that were tested [count]",
        "pair_count": "pairs of places found identical [count]",
        "marked_share": "share of the picture inside copies and their originals [0–1]",
        "pairs": "one entry per pair: matrix (2×3, carries the target to the source) [pixels], "
        "scale of the target relative to the source [ratio], rotation of the target [degrees], "
        "mirrored [yes/no], shift from source to target [pixels], area of the target [pixels], "
        "correlation of fine detail [-1–1], difference of fine detail [share of its energy], "
        "difference of light after a common offset [levels], "
        "log_odds of a copy against a lookalike [natural log], direction_known [yes/no]",
        "drawn": "probability that the picture is drawn, rendered, printed or a screen; nothing "
        "where no pair was found [0–1]",
        "nfa_log10": "log10 of the expected number of places that would be equal pixel by pixel by "
        "chance, at most 0; nothing for JPEG; see bonafide.signals.coincidence [log10 of a count]",
    },
    paper="I. Amerini et al., IEEE TIFS 2011; G. Evangelidis, E. Psarakis, IEEE TPAMI 2008",
    networks=(TOWER, NETWORK),
    limits="Of 9 CoMoFoD forgeries of 512² pixels 8 are found, mean pixel F1 0.78 over all 9; of 4 "
    "CASIA copies 3, of 2 PSCC copies none. Of 568 bona fide pictures 8 are marked: tiles of a "
    "game, lettering, ornament and packages that repeat exactly; of 46 authentic pictures beside "
    "forgeries 2. Exact repetition by print, screens or graphics cannot be told from cloning. "
    "Small copies are lost below JPEG 80. Large pictures are searched at 1.2 megapixels, so copies "
    "small in the frame are missed.",
)

VIEW_PIXELS = 1_200_000
MOST_PAIRS = 10
DECISION = 3.0  # log odds from which a pair is reported
SAME = 3.0  # pixels by which proposals of one copy differ at most
FLAT = 0.3  # share of exactly flat pixels from which a repeated part counts as drawn
DRAWN = 0.6  # the same for a whole picture
NO_TURN = 0.01  # change of scale or turn from which a copy cannot be equal pixel by pixel
AROUND = 1  # pixels around a shift at which the copy is compared pixel by pixel
PALETTE = 256  # colours of a picture that counts as drawn
SAMPLED = 65_536  # evenly spaced pixels whose colours are counted
GREY = 0.5  # mean difference between the channels of a grey picture, levels
STRIP = 256  # rows that are looked at together
UNLIKE = 0.75  # probability of drawn content from which repeated parts are no evidence
FEWEST_TILES, SMALLEST_TILE = 3, 8  # exact shifts on one grid, and its pixels, that tell tiles

_OUTSIDE = (
    "The picture looks drawn, rendered, printed or like a screen. Such pictures repeat parts "
    "exactly without any editing, so the repeated parts are shown and do not count as evidence."
)


@dataclass(frozen=True)
class _Pair:
    match: Match
    score: float
    direction_known: bool = False


class Detector:
    """Finds copies inside one picture.

    Args:
        decision: natural log odds from which a pair is reported.
    """

    def __init__(self, decision: float = DECISION) -> None:
        self.decision = decision

    def measure(self, ctx: Context) -> Measured:
        """Return pairs of regions, a map that marks both sides, and the best pair's log odds."""
        media = ctx.image
        if min(media.height, media.width) < 64:
            return NotApplicable("it needs 64 pixels on each side")
        luma = media.luma
        if (colours := _palette(media)) is not None:
            return NotApplicable(
                f"it has {colours} colours in all, as drawn graphics have, which repeat themselves "
                "exactly without forgery"
            )
        if (share := _flat_share(luma)) > DRAWN:
            return NotApplicable(
                f"{100 * share:.0f} % of it is exactly flat, as in drawn graphics, which repeat "
                "themselves without forgery"
            )
        view, scale = _reduce(luma)
        proposals = shift_proposals(view) + keypoint_proposals(view)
        pairs = _verified(view, proposals)
        if tile := _tile([pair.match for pair in pairs if pair.score >= self.decision]):
            return NotApplicable(
                f"its parts repeat on a grid of {tile[0]}×{tile[1]} pixels, as those of drawn "
                "graphics do without forgery"
            )
        marked = np.zeros(luma.shape, bool)
        kept: list[tuple[_Pair, Region, Region]] = []
        for pair in pairs:
            if pair.score < self.decision or len(kept) == MOST_PAIRS:
                break
            full = _enlarge(_directed(view, pair), 1 / scale)
            regions = _mark(marked, full, len(kept))
            if regions:
                kept.append((full, *regions))
        share = float(marked.mean())
        drawn = ctx.get(DRAWN_CONTENT) if kept else None
        facts: dict[str, Fact] = {
            "maps_tried": len(proposals),
            "pair_count": len(kept),
            "marked_share": round(share, 5),
            "pairs": [_describe(pair, target) for pair, target, _ in kept],
            "drawn": None if drawn is None else round(drawn, 4),
            "nfa_log10": None if media.jpeg else _coincidences(luma, [pair for pair, *_ in kept]),
        }
        score = round(max((pair.score for pair in pairs), default=NOTHING), 4)
        found = sampled_map(marked, max(1, math.ceil(1 / scale)))
        if not kept:
            return [
                Measurement(
                    score=score,
                    maps=(found,),
                    facts=facts,
                    summary=f"None of {len(proposals)} possible repetitions inside the picture "
                    "agrees in light and fine detail as a copy does.",
                )
            ]
        return [
            Measurement(
                score=score,
                maps=(found,),
                kind=EditKind.CLONE,
                regions=tuple(region for _, target, source in kept for region in (target, source)),
                facts=facts,
                summary=_sentence(len(kept), share, kept[0][0]),
                outside=_OUTSIDE if (drawn or 0.0) >= UNLIKE else "",
            )
        ]


def _reduce(luma: NDArray[np.float32]) -> tuple[NDArray[np.float32], float]:
    height, width = luma.shape
    scale = min(1.0, math.sqrt(VIEW_PIXELS / (height * width)))
    if scale == 1.0:
        return luma, 1.0
    size = (max(64, round(width * scale)), max(64, round(height * scale)))
    return np.asarray(cv2.resize(luma, size, interpolation=cv2.INTER_AREA), np.float32), scale


def _verified(luma: NDArray[np.float32], proposals: list[Proposal]) -> list[_Pair]:
    """What became of the proposals, strongest first; drawn parts are left out."""
    pairs: list[_Pair] = []
    for proposal in proposals:
        if any(pair.score > DECISION and _same(pair.match, proposal) for pair in pairs):
            continue
        match = verify(luma, proposal)
        if match is not None and not _drawn(luma, match):
            pairs.append(_Pair(match, match.log_odds))
    return sorted(pairs, key=lambda pair: -pair.score)


def _tile(matches: list[Match]) -> tuple[int, int] | None:
    """Width and height of the tiles that a picture is laid out in, if it is."""
    shifts = []
    for match in matches:
        y, x = (axis.mean() for axis in np.nonzero(match.mask))
        centre = np.array([[x + match.left, y + match.top]])
        shift = (match.carry(centre) - centre)[0]
        turned = np.abs(match.matrix[:, :2] - np.eye(2)).max() > 1e-3
        if not turned and np.abs(shift - np.round(shift)).max() < 0.1:
            shifts.append(np.round(shift).astype(int))
    if len(shifts) < FEWEST_TILES:
        return None
    width, height = (int(value) for value in np.gcd.reduce(np.array(shifts), axis=0))
    return (width, height) if min(width, height) >= SMALLEST_TILE else None


def _same(match: Match, proposal: Proposal) -> bool:
    """Whether `match` already carries the proposal's points, at either end, where it does."""
    here = proposal.points
    there = here @ proposal.matrix[:, :2].T + proposal.matrix[:, 2]
    return any(
        float(np.median(np.hypot(*(match.carry(start) - end).T))) < SAME
        and float(match.holds(start).mean()) > 0.5
        for start, end in ((here, there), (there, here))
    )


def _directed(luma: NDArray[np.float32], pair: _Pair) -> _Pair:
    """The pair with the copy as its marked side, where resampling tells which one that is."""
    match, known = directed(luma, pair.match)
    return replace(pair, match=match, direction_known=known)


def _enlarge(pair: _Pair, factor: float) -> _Pair:
    """The pair in a picture `factor` times as large."""
    if factor == 1:
        return pair
    match = pair.match
    height, width = match.mask.shape
    left, top = round(match.left * factor), round(match.top * factor)
    size = (max(1, round(width * factor)), max(1, round(height * factor)))
    mask = cv2.resize(match.mask.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST) > 0
    matrix = rescale(match.matrix, factor)
    return replace(pair, match=replace(match, matrix=matrix, left=left, top=top, mask=mask))


def _drawn(luma: NDArray[np.float32], match: Match) -> bool:
    """Whether the place is drawn rather than photographed: much of it is exactly flat.

    Overexposed and black areas are flat in photographs too, and do not count.
    """
    height, width = match.mask.shape
    place = luma[match.top : match.top + height, match.left : match.left + width]
    exposed = match.mask[: place.shape[0], : place.shape[1]] & (place > 1) & (place < 254)
    count = int(exposed[1:, 1:].sum())
    return int((_flat(place) & exposed[1:, 1:]).sum()) > FLAT * count


def _palette(media: Image) -> int | None:
    """The number of colours of a picture that has no more than a palette holds, None for others.

    Grey pictures have few values whatever they show; compression makes new ones.
    """
    if media.jpeg is not None:
        return None
    step = max(1, math.isqrt(media.width * media.height // SAMPLED))
    sample = media.pixels[::step, ::step].reshape(-1, 3).astype(np.int32)
    if np.abs(np.diff(sample, axis=1)).mean() < GREY:
        return None
    count = len(np.unique(sample @ np.array([65536, 256, 1])))
    return count if count <= PALETTE else None


def _flat(luma: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Pixels equal to the ones above and to the left, (H − 1)×(W − 1)."""
    inner = luma[1:, 1:]
    above, left = (np.abs(inner - other) < EQUAL for other in (luma[:-1, 1:], luma[1:, :-1]))
    return np.asarray(above & left, bool)


def _flat_share(luma: NDArray[np.float32]) -> float:
    """Share of the pixels that are flat, counted in strips to save memory."""
    strips = range(0, luma.shape[0] - 1, STRIP)
    count = sum(int(np.count_nonzero(_flat(luma[top : top + STRIP + 1]))) for top in strips)
    return float(count / ((luma.shape[0] - 1) * (luma.shape[1] - 1)))


def _coincidences(luma: NDArray[np.float32], pairs: list[_Pair]) -> float:
    """The least log10 of the expected number of chance coincidences over all pairs."""
    found = [NO_CLAIM]
    for pair in pairs:
        match = pair.match
        if np.abs(match.matrix[:, :2] - np.eye(2)).max() > NO_TURN:
            continue
        mask = np.zeros(luma.shape, bool)
        rows = slice(match.top, match.top + match.mask.shape[0])
        place = mask[rows, match.left : match.left + match.mask.shape[1]]
        place[:] = match.mask[: place.shape[0], : place.shape[1]]
        centre = np.array([match.left, match.top]) + np.array(match.mask.shape[::-1]) / 2
        right, down = np.round(match.carry(centre[None])[0] - centre).astype(int)
        found += [
            log10_coincidences(luma, mask, (int(down) + y, int(right) + x))
            for y in range(-AROUND, AROUND + 1)
            for x in range(-AROUND, AROUND + 1)
        ]
    return round(min(found), 1)


def _mark(marked: NDArray[np.bool_], pair: _Pair, number: int) -> tuple[Region, Region] | None:
    """Add both sides of `pair` to `marked`, unless an earlier pair covers them."""
    match = pair.match
    height, width = marked.shape
    here = np.zeros(marked.shape, np.uint8)
    rows = slice(match.top, match.top + match.mask.shape[0])
    place = here[rows, match.left : match.left + match.mask.shape[1]]
    place[:] = match.mask[: place.shape[0], : place.shape[1]]
    there = cv2.warpAffine(here, match.matrix, (width, height), flags=cv2.INTER_NEAREST)
    so_far = marked.view(np.uint8)  # without copies, since a picture may be large
    if not there.any() or all(cv2.mean(so_far, side)[0] > 0.5 for side in (here, there)):
        return None
    for side in (here, there):
        np.bitwise_or(so_far, side, out=so_far)
    boxes = [cv2.boundingRect(side) for side in (here, there)]
    roles = ("target", "source") if pair.direction_known else ("", "")
    target, source = (
        Region(int(x), int(y), int(w), int(h), round(pair.score, 2), role, number)
        for (x, y, w, h), role in zip(boxes, roles, strict=True)
    )
    return target, source


def _describe(pair: _Pair, target: Region) -> dict[str, Fact]:
    match = pair.match
    linear = match.matrix[:, :2]
    back = invert(match.matrix)
    mirrored = bool(np.linalg.det(linear) < 0)
    turn = back[:, :2] @ np.diag([-1.0, 1.0]) if mirrored else back[:, :2]
    centre = np.array([target.x + target.width / 2, target.y + target.height / 2])
    shift = centre - (linear @ centre + match.matrix[:, 2])
    angle = math.degrees(math.atan2(turn[1, 0] - turn[0, 1], turn[0, 0] + turn[1, 1]))
    return {
        "matrix": [[round(float(value), 5) for value in row] for row in match.matrix],
        "scale": round(math.sqrt(abs(float(np.linalg.det(back[:, :2])))), 4),
        "rotation": round(angle, 2),
        "mirrored": mirrored,
        "shift": [round(float(value), 1) for value in shift],
        "area": int(match.mask.sum()),
        "correlation": round(match.correlation, 4),
        "difference": round(match.difference, 4),
        "light": round(match.light, 3),
        "log_odds": round(pair.score, 2),
        "direction_known": pair.direction_known,
    }


def _sentence(count: int, share: float, best: _Pair) -> str:
    places = "One part" if count == 1 else f"{count} parts"
    verb = "repeats" if count == 1 else "repeat"
    return (
        f"{places} of the picture {verb} another part down to its fine detail "
        f"(correlation {best.match.correlation:.3f}); copies and originals together cover "
        f"{100 * share:.1f} % of it."
    )
