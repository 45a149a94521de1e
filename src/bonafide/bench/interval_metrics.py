"""How well forged stretches of clips are found: average precision and recall at an overlap.

A proposal is a stretch with a score. Over all clips, genuine ones included, proposals are taken in
falling order of their scores; one is right where its overlap with a stretch of the same clip that
nobody found before is larger than a bound. Overlap is the intersection over the union.

Source: the protocols of LAV-DF (Z. Cai et al., 2022) and AV-Deepfake1M (Z. Cai et al., 2024).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

Interval = tuple[float, float]
"""Begin and end, seconds."""
Proposal = tuple[float, float, float]
"""Begin and end in seconds, score."""

OVERLAPS = tuple(round(0.5 + 0.05 * step, 2) for step in range(10))
"""At which recall is averaged: 0.5, 0.55, … 0.95."""


def written(intervals: Sequence[Interval]) -> str:
    """Intervals as a column of a manifest: "1.5-2.25 7-8"; "" for none."""
    return " ".join(f"{begin:g}-{end:g}" for begin, end in intervals)


def read(text: str) -> list[Interval]:
    """Intervals from a column of a manifest.

    Raises:
        ValueError: it is not written so, or a stretch ends before it begins.
    """
    found = []
    for word in text.split():
        begin, end = (float(part) for part in word.split("-"))
        if end < begin:
            raise ValueError(f"{word} ends before it begins")
        found.append((begin, end))
    return found


def overlap(one: Sequence[float], other: Sequence[float]) -> float:
    """Intersection over union of two stretches, in [0, 1]; 0 for stretches without length."""
    shared = max(0.0, min(one[1], other[1]) - max(one[0], other[0]))
    union = (one[1] - one[0]) + (other[1] - other[0]) - shared
    return shared / union if union > 0 else 0.0


def average_precision(
    truth: Mapping[str, Sequence[Interval]],
    proposals: Mapping[str, Sequence[Proposal]],
    least: float,
) -> float:
    """Area under precision over recall, precision made monotone, of all clips pooled.

    Args:
        truth: clip → its forged stretches, none for a genuine clip.
        proposals: clip → what was proposed; clips that `truth` does not name are an error.
        least: overlap that has to be exceeded, in [0, 1].

    Returns:
        In [0, 1]; NaN where nothing is forged.

    Raises:
        ValueError: a clip is unknown.
    """
    total = sum(map(len, truth.values()))
    if unknown := sorted(set(proposals) - set(truth)):
        raise ValueError(f"no truth for {unknown[0]}")
    if not total:
        return float("nan")
    ranked = sorted(
        ((clip, one) for clip, given in proposals.items() for one in given),
        key=lambda pair: -pair[1][2],
    )
    left = {clip: list(spans) for clip, spans in truth.items()}
    right = np.zeros(len(ranked))
    for index, (clip, one) in enumerate(ranked):
        overlaps = [overlap(one, span) for span in left[clip]]
        if overlaps and max(overlaps) > least:
            right[index] = 1
            left[clip].pop(int(np.argmax(overlaps)))
    if not len(right):
        return 0.0
    hits = np.cumsum(right)
    precision = hits / np.arange(1, len(hits) + 1)
    precision = np.maximum.accumulate(precision[::-1])[::-1]
    return float((precision * right).sum() / total)


def average_recall(
    truth: Mapping[str, Sequence[Interval]],
    proposals: Mapping[str, Sequence[Proposal]],
    most: int,
    overlaps: Sequence[float] = OVERLAPS,
) -> float:
    """Share of the forged stretches that are found, mean over overlaps.

    Args:
        truth, proposals: as for `average_precision`.
        most: proposals of a clip that count, those with the highest scores.
        overlaps: that have to be exceeded.

    Returns:
        In [0, 1]; NaN where nothing is forged.
    """
    total = sum(map(len, truth.values()))
    if not total:
        return float("nan")
    found = 0
    for least in overlaps:
        for clip, spans in truth.items():
            left = list(spans)
            for one in sorted(proposals.get(clip, ()), key=lambda given: -given[2])[:most]:
                shared = [overlap(one, span) for span in left]
                if shared and max(shared) > least:
                    left.pop(int(np.argmax(shared)))
                    found += 1
    return found / (total * len(overlaps))
