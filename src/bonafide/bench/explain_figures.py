"""Figures of explanations: pure functions on counts, answers and maps.

Sources: Rohrbach et al., "Object Hallucination in Image Captioning", EMNLP 2018 (CHAIR); Li et al.,
"Evaluating Object Hallucination in Large Vision-Language Models", EMNLP 2023 (POPE); Ye-Bin et al.,
"BEAF: Observing BEfore-AFter Changes to Evaluate Hallucination", ECCV 2024; Zhang et al., "Top-down
Neural Attention by Excitation Backprop", ECCV 2016 (pointing game); DeYoung et al., "ERASER",
ACL 2020 (sufficiency, comprehensiveness). Objects in a picture are replaced by findings of a
report: what may be hallucinated here is a test that found something.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from itertools import combinations

import numpy as np

from bonafide.types import Box, ScoreMap

REACH = 15  # by which the pointing game enlarges a region, pixels


def chair(told: Sequence[bool]) -> tuple[float | None, float]:
    """CHAIR of one explanation.

    Args:
        told: of every mention, whether it is true.

    Returns:
        (share of the mentions that are wrong, None without a mention; 1.0 if any is wrong, else
        0.0). Means over explanations are CHAIRi and CHAIRs.
    """
    wrong = sum(not true for true in told)
    return (wrong / len(told) if told else None), float(wrong > 0)


def cover(mentioned: Collection[str], present: Collection[str]) -> float | None:
    """Share of what was found that an explanation mentions; None where nothing was found."""
    there = set(present)
    return len(there & set(mentioned)) / len(there) if there else None


def pope(answers: Sequence[bool], truth: Sequence[bool]) -> dict[str, float | None]:
    """Accuracy, precision, recall, F1 of *yes*, and the share of yes.

    Args:
        answers: whether each question was answered yes.
        truth: whether yes is right.
    """
    n = len(answers)
    if n != len(truth):
        raise ValueError("one truth per answer")
    both = sum(a and t for a, t in zip(answers, truth, strict=True))
    said, right = sum(answers), sum(truth)
    return {
        "accuracy": _over(sum(a == t for a, t in zip(answers, truth, strict=True)), n),
        "precision": _over(both, said),
        "recall": _over(both, right),
        "f1": _over(2 * both, said + right),
        "yes": _over(said, n),
    }


def beaf(before: Sequence[bool], after: Sequence[bool]) -> dict[str, float | None]:
    """Shares of pairs of answers about what was erased; the four sum to one.

    Args:
        before, after: whether yes was said to "is it there?", before and after it was erased.

    Returns:
        TU (yes → no, true understanding), IG (no → yes, ignorance), SBp (yes → yes) and SBn
        (no → no, stubbornness).
    """
    n = len(before)
    if n != len(after):
        raise ValueError("one answer after for each before")
    both = [*zip(before, after, strict=True)]
    return {
        "TU": _over(sum(b and not a for b, a in both), n),
        "IG": _over(sum(a and not b for b, a in both), n),
        "SBp": _over(sum(b and a for b, a in both), n),
        "SBn": _over(sum(not b and not a for b, a in both), n),
    }


def indecision(before: Sequence[bool], after: Sequence[bool]) -> float | None:
    """BEAF's ID: share of the answers about everything else that changed."""
    if len(before) != len(after):
        raise ValueError("one answer after for each before")
    return _over(sum(b != a for b, a in zip(before, after, strict=True)), len(before))


def consistency(told: Sequence[Collection[str]]) -> float | None:
    """Mean Jaccard index of all pairs of explanations of one report; None for fewer than two.

    Args:
        told: what each explanation cites. Two that cite nothing agree.
    """
    pairs = [*combinations([set(one) for one in told], 2)]
    if not pairs:
        return None
    return sum(len(a & b) / len(a | b) if a | b else 1.0 for a, b in pairs) / len(pairs)


def points(one: ScoreMap, boxes: Sequence[Box]) -> bool | None:
    """The pointing game: whether the maximum of a map lies in a cited region.

    Args:
        one: the map; the first of equal maxima counts, by its cell's centre.
        boxes: that are cited, in pixels; each is enlarged by `REACH`.

    Returns:
        None without a region, or where the map is flat.
    """
    values = one.values
    if not boxes or values.size == 0 or float(values.max()) <= float(values.min()):
        return None
    row, column = np.unravel_index(int(values.argmax()), values.shape)
    y = (float(row) + 0.5) * one.cell + one.top
    x = (float(column) + 0.5) * one.cell + one.left
    return any(
        box.x - REACH <= x < box.x + box.width + REACH
        and box.y - REACH <= y < box.y + box.height + REACH
        for box in boxes
    )


def _over(part: float, total: float) -> float | None:
    return part / total if total else None
