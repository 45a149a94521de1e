"""Shapes of masks, bool H×W: holes, specks, connected parts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from bonafide.signals.heavy import cv2

if TYPE_CHECKING:
    from numpy.typing import NDArray


def filled(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """`mask` without its holes: smooth patches inside a copy carry no detail."""
    filled = mask.astype(np.uint8)
    outlines, _ = cv2.findContours(filled, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(filled, outlines, -1, 1, -1)
    return np.asarray(filled, bool)


def tidy(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Drop specks and close gaps."""
    tidy = cv2.morphologyEx(mask.astype(np.uint8), cv2.MORPH_OPEN, np.ones((5, 5), np.uint8))
    tidy = cv2.morphologyEx(tidy, cv2.MORPH_CLOSE, np.ones((11, 11), np.uint8))
    return np.asarray(tidy, bool)


def touching(mask: NDArray[np.bool_], seeds: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The connected parts of `mask` that touch `seeds`."""
    count, labels = cv2.connectedComponents(mask.astype(np.uint8))
    touched = labels[seeds & mask]
    if count <= 2:
        return mask if touched.size else np.zeros(mask.shape, bool)
    chosen = np.zeros(count, bool)
    chosen[touched] = True
    return np.asarray(np.take(chosen, labels), bool)
