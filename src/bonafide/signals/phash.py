"""Perceptual hashes, and near-duplicates found by them without comparing all pairs.

A hash survives another size, another quality, another format and mild retouching. It does not
survive cropping, mirroring or turning; duplicates of that kind are not found.

Source: C. Zauner, "Implementation and Benchmarking of Perceptual Image Hash Functions", 2010, for
the hash over the lowest frequencies of the DCT; the search is the pigeonhole principle.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from itertools import combinations

import numpy as np
from numpy.typing import NDArray
from scipy.fft import dctn

from bonafide.signals.heavy import cv2

SIDE = 32  # of the thumbnail that is hashed
DISTANCE = 6  # bits of 64 in which hashes of one picture may differ
LIKENESS = (
    0.99  # correlation of thumbnails that confirms a pair; saved at half size and quality 30:
)
# 0.993 and more over 150 pictures, where different pictures of one prompt reach 0.989
_FLATTEST = 2.0  # 8-bit levels; below this deviation a hash is noise
_BANDS = 8  # of 8 bits; with 6 differing bits at least two bands agree

# The 64 lowest frequencies without the mean, in the order of their diagonals.
_LOWEST = sorted(
    ((row, column) for row in range(12) for column in range(12) if row + column),
    key=lambda at: (at[0] + at[1], at[0]),
)[:64]
_ROWS, _COLUMNS = (np.array(axis) for axis in zip(*_LOWEST, strict=True))


def thumbnail(luma: NDArray[np.generic]) -> NDArray[np.uint8]:
    """Mean brightness of 32×32 cells of a picture H×W, uint8 in [0, 255]; aspect is given up."""
    small = cv2.resize(np.asarray(luma, np.float32), (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    rounded: NDArray[np.uint8] = np.clip(small + 0.5, 0, 255).astype(np.uint8)
    return rounded


def phash(small: NDArray[np.uint8]) -> int | None:
    """64-bit hash of a thumbnail; None for one so flat that its hash would be noise.

    Bit k says whether the k-th lowest frequency of the DCT is above the median of the 64.
    """
    values = small.astype(np.float64)
    if values.std() < _FLATTEST:
        return None
    lowest = dctn(values, norm="ortho")[_ROWS, _COLUMNS]
    bits = lowest > np.median(lowest)
    return int.from_bytes(np.packbits(bits).tobytes(), "big")


def distance(first: int, second: int) -> int:
    """Number of bits in which two hashes differ, 0 to 64."""
    return (first ^ second).bit_count()


def near_pairs(hashes: NDArray[np.uint64], at_most: int = DISTANCE) -> NDArray[np.int64]:
    """Pairs (i, j), i < j, of different hashes at most `at_most` ≤ 6 bits apart.

    Of two hashes that differ in 6 bits, at least two of their 8 bytes are equal; so only those are
    compared that share a pair of bytes, which for a million hashes are a few per hash and pair.

    Args:
        hashes: (n,) uint64 without repetitions.
        at_most: largest distance.

    Returns:
        int64 (k, 2), sorted, each pair once.

    Raises:
        ValueError: a larger distance is asked for than the bands guarantee.
    """
    if not 0 <= at_most <= _BANDS - 2:
        raise ValueError(f"distances up to {_BANDS - 2} can be searched, not {at_most}")
    octets = hashes.astype(">u8").view(np.uint8).reshape(-1, _BANDS).astype(np.int64)
    found: set[tuple[int, int]] = set()
    for one, two in combinations(range(_BANDS), 2):
        key = octets[:, one] << 8 | octets[:, two]
        order = np.argsort(key, kind="stable")
        ordered = key[order]
        # Compare each hash with the one `step` places further on, as long as both share a key; who
        # has no such neighbour at one step has none at the next.
        place = np.arange(len(order) - 1)
        step = 1
        while len(place := place[place + step < len(order)]):
            place = place[ordered[place] == ordered[place + step]]
            left, right = order[place], order[place + step]
            close = _ones(hashes[left] ^ hashes[right]) <= at_most
            found.update(
                (int(min(pair)), int(max(pair)))
                for pair in zip(left[close], right[close], strict=True)
            )
            step += 1
    return np.array(sorted(found), np.int64).reshape(-1, 2)


def _ones(values: NDArray[np.uint64]) -> NDArray[np.int64]:
    """Number of bits that are set in each value."""
    bits = np.unpackbits(values.view(np.uint8).reshape(-1, 8), axis=1)
    count: NDArray[np.int64] = bits.sum(axis=1, dtype=np.int64)
    return count


def alike(first: NDArray[np.uint8], second: NDArray[np.uint8]) -> float:
    """Correlation of two thumbnails in [-1, 1], 0 if one is flat."""
    one, two = (image.astype(np.float64).ravel() - image.mean() for image in (first, second))
    norm = float(np.sqrt((one @ one) * (two @ two)))
    return float(one @ two) / norm if norm > 0 else 0.0


def clusters(
    hashes: list[int | None], thumbnails: list[NDArray[np.uint8]], same: Iterable[tuple[int, int]]
) -> list[list[int]]:
    """Files that show the same picture, as lists of indices, largest first.

    Args:
        hashes: one per file, None where there is none.
        thumbnails: one per file; those of files without a hash are not looked at.
        same: pairs that are known to be equal, such as files with equal bytes.
    """
    parent = list(range(len(hashes)))

    def root(index: int) -> int:
        while parent[index] != index:
            parent[index] = parent[parent[index]]
            index = parent[index]
        return index

    def join(one: int, two: int) -> None:
        first, second = sorted((root(one), root(two)))
        parent[second] = first

    for one, two in same:
        join(one, two)
    holders: dict[int, list[int]] = defaultdict(list)
    for index, value in enumerate(hashes):
        if value is not None:
            holders[value].append(index)
    for members in holders.values():
        for other in members[1:]:
            if alike(thumbnails[members[0]], thumbnails[other]) >= LIKENESS:
                join(members[0], other)
    distinct = np.array(list(holders), np.uint64)
    first_of = [members[0] for members in holders.values()]
    for left, right in near_pairs(distinct):
        one, two = first_of[left], first_of[right]
        if root(one) != root(two) and alike(thumbnails[one], thumbnails[two]) >= LIKENESS:
            join(one, two)
    together: dict[int, list[int]] = defaultdict(list)
    for index in range(len(parent)):
        together[root(index)].append(index)
    return sorted((one for one in together.values() if len(one) > 1), key=lambda c: (-len(c), c))
