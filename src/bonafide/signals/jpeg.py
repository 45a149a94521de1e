"""What JPEG compression leaves behind: tables, block transforms, grid votes, window tests.

Pictures here are float32 H×W luma in [0, 255], in stored orientation, since the 8×8 grid is laid
before a viewer turns the picture. A grid origin (x, y) with 0 ≤ x, y < 8 says that blocks begin
at columns x + 8i and rows y + 8j.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from bonafide.media.context import Signal
from bonafide.signals.heavy import cv2
from bonafide.signals.products import BLOCKS, multiply

if TYPE_CHECKING:
    from numpy.typing import NDArray

NO_VOTE = 255
SMALLEST_PART = 9  # blocks that a part found by windows must hold together

# ITU-T T.81, tables K.1 and K.2: the tables that the IJG library scales by its quality number.
_LUMA_BASE = (
    "16 11 10 16 24 40 51 61 12 12 14 19 26 58 60 55 14 13 16 24 40 57 69 56 14 17 22 29 51 87 80 "
    "62 18 22 37 56 68 109 103 77 24 35 55 64 81 104 113 92 49 64 78 87 103 121 120 101 72 92 95 "
    "98 112 100 103 99"
)
_CHROMA_BASE = (
    "17 18 24 47 99 99 99 99 18 21 26 66 99 99 99 99 24 26 56 99 99 99 99 99 47 66 99 99 99 99 99 "
    "99 " + "99 " * 32
)


@dataclass(frozen=True)
class QualityEstimate:
    """The IJG quality that comes nearest to a quantisation table.

    Attributes:
        quality: 1 to 100.
        exact: whether the table is exactly the one that IJG software writes at that quality.
        distance: mean absolute difference of the entries.
    """

    quality: int
    exact: bool
    distance: float


@cache
def standard_table(quality: int, chroma: bool = False) -> NDArray[np.int32]:
    """The IJG quantisation table of `quality` (1–100), int32 8×8 row-major, read-only.

    Entries are limited to 255 as in baseline files.
    """
    quality = min(max(int(quality), 1), 100)
    base = np.array((_CHROMA_BASE if chroma else _LUMA_BASE).split(), np.int32).reshape(8, 8)
    scale = 5000 // quality if quality < 50 else 200 - 2 * quality
    table: NDArray[np.int32] = np.clip((base * scale + 50) // 100, 1, 255).astype(np.int32)
    table.flags.writeable = False
    return table


def estimate_quality(table: NDArray[np.int32], chroma: bool = False) -> QualityEstimate:
    """Find the IJG quality whose table is nearest to `table` (8×8) in mean absolute difference."""
    values = np.asarray(table, np.int64).reshape(8, 8)
    distances = [
        float(np.abs(values - standard_table(quality, chroma)).mean()) for quality in range(1, 101)
    ]
    best = int(np.argmin(distances))
    return QualityEstimate(best + 1, distances[best] == 0, round(distances[best], 3))


@cache
def dct_matrix() -> NDArray[np.float32]:
    """Orthonormal 8-point DCT-II, float32 8×8; row = frequency, column = sample."""
    k, n = np.mgrid[0:8, 0:8]
    matrix = np.cos((2 * n + 1) * k * np.pi / 16) * np.where(k == 0, np.sqrt(1 / 8), 0.5)
    result: NDArray[np.float32] = matrix.astype(np.float32)
    result.flags.writeable = False
    return result


def block_dct(luma: NDArray[np.float32], origin: tuple[int, int] = (0, 0)) -> NDArray[np.float32]:
    """Unquantised DCT of every whole 8×8 block of the grid at `origin` (x, y).

    Args:
        luma: float32 H×W in [0, 255]; the level shift by 128 is applied as in JPEG.
        origin: first column and row of the grid.

    Returns:
        float32 (block rows, block columns, 8, 8), rows of a block = vertical frequency; the
        first two sizes are 0 where no whole block fits.
    """
    x, y = origin
    rows, columns = max(luma.shape[0] - y, 0) // 8, max(luma.shape[1] - x, 0) // 8
    matrix = dct_matrix()
    result = np.empty((rows, columns, 8, 8), np.float32)
    for row in range(rows):  # one row of blocks at a time stays in the cache
        strip = luma[y + 8 * row : y + 8 * row + 8, x : x + 8 * columns] - np.float32(128)
        # Two products of large matrices are much faster than two for each block.
        for left in range(0, columns, BLOCKS):
            part = (matrix @ strip[:, 8 * left : 8 * (left + BLOCKS)]).reshape(-1, 8) @ matrix.T
            result[row, left : left + BLOCKS] = part.reshape(8, -1, 8).swapaxes(0, 1)
    return result


def inverse_block_dct(coefficients: NDArray[np.float32]) -> NDArray[np.float32]:
    """Luma in levels, float32 (8·rows)×(8·columns), neither rounded nor clipped.

    Args:
        coefficients: float32 (rows, columns, 8, 8), dequantised.
    """
    rows, columns = coefficients.shape[:2]
    matrix = dct_matrix()
    result = np.empty((8 * rows, 8 * columns), np.float32)
    for row in range(rows):
        blocks = matrix.T @ coefficients[row] @ matrix
        result[8 * row : 8 * row + 8] = blocks.swapaxes(0, 1).reshape(8, 8 * columns)
    result += 128
    return result


def clipped_blocks(
    pixels: NDArray[np.uint8], origin: tuple[int, int] = (0, 0)
) -> NDArray[np.bool_]:
    """Blocks with a value of 0 or 255, where saving again follows other rules, bool rows×columns.

    Args:
        pixels: uint8 H×W×3.
        origin: first column and row of the grid.
    """
    pixels = pixels[origin[1] :, origin[0] :]
    rows, columns = pixels.shape[0] // 8, pixels.shape[1] // 8
    result = np.zeros((rows, columns), bool)
    for row in range(rows):
        strip = pixels[8 * row : 8 * row + 8, : 8 * columns].reshape(8, columns * 24)
        least = strip.min(axis=0).reshape(columns, 24).min(axis=1)
        most = strip.max(axis=0).reshape(columns, 24).max(axis=1)
        result[row] = (least == 0) | (most == 255)
    return result


ZERO_BELOW = np.float32(0.4999)


def zero_counts(luma: NDArray[np.float32]) -> NDArray[np.uint8]:
    """How many of the 64 DCT coefficients are zero, for the 8×8 window at every position.

    A coefficient counts as zero below half a level, less a margin: in grey pictures many are a half
    exactly, and which side of it rounding puts them on differs between processors. A window
    without any change along one axis counts 0, since it would look compressed at every origin.

    Args:
        luma: float32 H×W in [0, 255], H and W at least 8.

    Returns:
        uint8 (H−7)×(W−7) in [0, 64]; entry (y, x) is the window whose top left pixel is (y, x).

    Source:
        Nikoukhah et al., ZERO, IPOL 2021, section 2.
    """
    height, width = luma.shape[0] - 7, luma.shape[1] - 7
    counts = np.zeros((height, width), np.uint8)
    # Eight neighbouring windows share 15 samples: one 64×15 matrix yields all their frequencies,
    # which keeps the work inside matrix products.
    band = np.zeros((8, 8, 15), np.float32)  # frequency, shift, sample
    for shift in range(8):
        band[:, shift, shift : shift + 8] = dct_matrix()
    matrix = band.reshape(64, 15)
    tile = 512
    groups = tile // 8
    padded = np.empty((15, tile + 7), np.float32)
    vertical = np.empty((64, tile + 7), np.float32)  # (frequency, shift) × column
    shared = np.lib.stride_tricks.sliding_window_view(vertical, 15, axis=1)[:, ::8]
    samples = np.empty((64, groups, 15), np.float32)
    both = np.empty((64 * groups, 64), np.float32)  # last axis: frequency, shift
    zeros = np.empty(both.shape, bool)
    for top in range(0, height, 8):
        rows = min(8, height - top)
        for left in range(0, width, tile):
            part = luma[top : top + 15, left : left + tile + 7]
            if part.shape == padded.shape:
                source = part
            else:  # the last row and column of tiles
                padded[...] = 0
                padded[: part.shape[0], : part.shape[1]] = part
                source = padded
            multiply(matrix, source, vertical)
            np.copyto(samples, shared)
            multiply(samples.reshape(-1, 15), matrix.T, both)
            np.less(np.abs(both, out=both), ZERO_BELOW, out=zeros)
            # Each byte of a word holds one window; sums reach 64, so that no byte overflows.
            words = zeros.view(np.uint64).reshape(8, 8 * groups, 8)
            summed = words.sum(axis=0, dtype=np.uint64).sum(axis=1, dtype=np.uint64)
            window = summed.view(np.uint8).reshape(8, tile)
            columns = min(tile, width - left)
            counts[top : top + rows, left : left + columns] = window[:rows, :columns]
    for top in range(0, height, 256):
        bottom = min(top + 256, height)
        counts[top:bottom][_unchanging(luma, top, bottom)] = 0
    return counts


def _unchanging(luma: NDArray[np.float32], top: int, bottom: int) -> NDArray[np.bool_]:
    """Windows of the rows `top` to `bottom` that are constant along rows or along columns.

    Returns:
        bool (bottom − top)×(W−7).
    """
    part = luma[top : bottom + 7]
    result = np.zeros((bottom - top, luma.shape[1] - 7), bool)
    for one, other, size in (
        (part[:, 1:], part[:, :-1], (7, 8)),
        (part[1:], part[:-1], (8, 7)),
    ):
        changes = (one != other).view(np.uint8)
        any_change = cv2.dilate(changes, np.ones(size[::-1], np.uint8), anchor=(0, 0))
        result |= any_change[: result.shape[0], : result.shape[1]] == 0
    return result


def vote_totals(votes: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Pixels that vote for each of the 64 origins, int64 (64,), from `grid_votes`."""
    # In strips, since `bincount` makes eight bytes of each.
    strips = (votes[top : top + 256].ravel() for top in range(0, len(votes), 256))
    total = np.zeros(256, np.int64)
    for strip in strips:
        total += np.bincount(strip, minlength=256)
    return total[:64]


def grid_votes(luma: NDArray[np.float32]) -> NDArray[np.uint8]:
    """For every pixel, the grid origin of the window around it with most zero coefficients.

    Args:
        luma: float32 H×W in [0, 255].

    Returns:
        uint8 H×W: x + 8·y of the origin, or `NO_VOTE` where two origins are equally good.

    Source:
        Nikoukhah et al., ZERO, IPOL 2021, algorithm 1.
    """
    votes = np.full(luma.shape, NO_VOTE, np.uint8)
    if min(luma.shape) < 8:
        return votes
    counts = zero_counts(luma)
    kernel = np.ones((8, 8), np.uint8)
    height, width = luma.shape
    columns = (np.arange(width) % 8).astype(np.uint16)
    step = 1024  # strips of 16-bit keys stay small; multiples of 8 keep the origins aligned
    for top in range(0, height, step):
        bottom = min(top + step, height)
        first = max(top - 8, 0)
        keys = np.zeros((bottom - first, width), np.uint16)
        inside = counts[first:bottom].astype(np.uint16)
        keys[: inside.shape[0], : inside.shape[1]] = inside * 64
        names = columns[None, :] + 8 * (np.arange(first, bottom) % 8).astype(np.uint16)[:, None]
        # The largest and the smallest winner by name differ exactly where there is a tie.
        winner = cv2.dilate(keys + names, kernel, anchor=(7, 7))
        largest = winner & 63
        smallest = 63 - (cv2.dilate(keys + (63 - names), kernel, anchor=(7, 7)) & 63)
        single = (largest == smallest) & (winner >= 64)
        chosen = np.where(single, largest, NO_VOTE).astype(np.uint8)
        votes[top:bottom] = chosen[top - first :]
    return votes


def log10_chernoff(
    successes: NDArray[np.floating], trials: NDArray[np.floating], rate: NDArray[np.floating]
) -> NDArray[np.float64]:
    """Upper bound of log10 P[B(trials, rate) ≥ successes], elementwise; 0 at or below the mean.

    Source:
        Chernoff's bound, exp(−n·KL(k/n ‖ p)); Desolneux, Moisan and Morel, 2008, chapter 4.
    """
    n = np.maximum(np.asarray(trials, np.float64), 1e-9)
    p = np.clip(np.asarray(rate, np.float64), 1e-6, 1 - 1e-6)
    observed = np.clip(np.asarray(successes, np.float64) / n, 0.0, 1.0)
    result = np.zeros(np.broadcast_shapes(n.shape, p.shape, observed.shape))
    more = observed > p  # elsewhere the bound is 1, and logarithms are what takes time here
    n, p, observed = (np.broadcast_to(a, result.shape)[more] for a in (n, p, observed))
    safe = np.clip(observed, 1e-12, 1 - 1e-12)
    divergence = safe * np.log(safe / p) + (1 - safe) * np.log((1 - safe) / (1 - p))
    result[more] = -n * divergence / np.log(10)
    return result


@dataclass(frozen=True)
class WindowTest:
    """Where something happens more often than in the rest of the picture.

    Attributes:
        log10_false_alarms: of the most meaningful window.
        window: that window as x, y, width, height in blocks.
        marked: blocks that belong to meaningful windows, bool rows×columns.
    """

    log10_false_alarms: float
    window: tuple[int, int, int, int]
    marked: NDArray[np.bool_]


def excess_windows(
    successes: NDArray[np.float32],
    trials: NDArray[np.float32],
    expected: NDArray[np.float32],
    sizes: tuple[int, ...] = (6, 12, 24, 48),
    log10_bound: float = -2.0,
    least_rate: float = 0.0,
) -> WindowTest:
    """Find square windows with more successes than chance allows, a contrario.

    Natural pictures vary more from window to window than coin tosses do, so counts are divided
    by the spread that the median window shows over the binomial one (quasi-binomial model).

    Args:
        successes: float32 rows×columns ≥ 0, at most `trials`.
        trials: float32 rows×columns, how often it could have happened per block.
        expected: float32 rows×columns, mean successes in the background.
        sizes: window sides, blocks.
        log10_bound: windows count below this log10 number of false alarms; −2 is one false
            window in a hundred pictures.
        least_rate: share of trials that must succeed in a window, however rare the background.

    Returns:
        The most meaningful window and the blocks to mark: those near which the rate is past
        the middle between the background and the best window.
    """
    rows, columns = trials.shape
    usable = [
        size for size in sizes if 2 * size <= max(rows, columns) and size <= min(rows, columns)
    ]
    log10_tests = float(np.log10(max(rows * columns, 1) * max(len(usable), 1)))
    best, where, growth = np.inf, (0, 0, 0, 0), np.inf
    cover = np.zeros((rows, columns), bool)
    counted = {}
    for size in usable:
        k, n = _window_sums(successes, size), _window_sums(trials, size)
        counted[size] = (k, n, (n >= 20) & (k >= least_rate * n))
    if not any(possible.any() for _, _, possible in counted.values()):
        return WindowTest(log10_tests, where, cover)
    for size, (k, n, possible) in counted.items():
        enough = n >= 20
        if not enough.any():
            continue
        e = _window_sums(expected, size)
        # A large part lifts the mean of the whole picture; the median window tells its background.
        e *= float(np.clip(np.median(k[enough] / np.maximum(e[enough], 1e-6)), 0.2, 1.0))
        rate = np.clip(e / np.maximum(n, 1e-6), 1e-3, 1 - 1e-3)
        square = (k - e) ** 2 / (n * rate * (1 - rate) + 1e-6)
        # 0.455 is the median of a chi-square variable with one degree of freedom. Most large
        # windows may touch the part that is looked for, hence the bound from smaller ones.
        spread = max(1.0, float(np.median(square[enough])) / 0.455)
        growth = min(growth, spread / size**1.5)
        spread = max(1.0, growth * size**1.5)
        alarms: NDArray[np.float64] = np.full_like(k, np.inf)
        alarms[possible] = log10_tests + log10_chernoff(
            k[possible] / spread, n[possible] / spread, rate[possible]
        )
        y, x = divmod(int(np.argmin(alarms)), alarms.shape[1])
        if alarms[y, x] < best:
            best, where = float(alarms[y, x]), (x, y, size, size)
        hit = np.zeros((rows, columns), np.uint8)
        hit[: alarms.shape[0], : alarms.shape[1]] = alarms < log10_bound
        cover |= cv2.dilate(hit, np.ones((size, size), np.uint8), anchor=(size - 1, size - 1)) > 0
    if not best < log10_bound:
        return WindowTest(min(best, log10_tests), where, np.zeros((rows, columns), bool))
    x, y, size, _ = where
    inside = (slice(y, y + size), slice(x, x + size))
    n, k, e = (cv2.boxFilter(a, -1, (5, 5), normalize=False) for a in (trials, successes, expected))
    total = max(float(trials[inside].sum()), 1e-6)
    gap = float(successes[inside].sum() - expected[inside].sum()) / total
    marked = cover & (k - e > 0.5 * gap * np.maximum(n, 1.0))
    # Blocks without trials, such as flat ones, belong to what surrounds them.
    padded = np.pad(marked, 4).view(np.uint8)
    marked = cv2.morphologyEx(padded, cv2.MORPH_CLOSE, np.ones((7, 7), np.uint8))[4:-4, 4:-4]
    _, labels, boxes, _ = cv2.connectedComponentsWithStats(marked, connectivity=8)
    small = boxes[:, 4] < SMALLEST_PART
    small[0] = True
    kept = ~small[labels]
    # A window that holds no connected part is scatter.
    return WindowTest(best if kept.any() else 0.0, where, kept)


def _window_sums(array: NDArray[np.float32], size: int) -> NDArray[np.float64]:
    """Sums over all size×size windows that fit, float64."""
    table = cv2.integral(array, sdepth=cv2.CV_64F)
    sums: NDArray[np.float64] = (
        table[size:, size:] - table[:-size, size:] - table[size:, :-size] + table[:-size, :-size]
    )
    return sums


GRID_VOTES = Signal("jpeg.grid_votes", "2", lambda ctx: grid_votes(ctx.image.stored_luma))
