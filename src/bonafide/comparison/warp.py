"""One picture seen in the frame of another, a tile at a time."""

from __future__ import annotations

from collections.abc import Iterator

import cv2
import numpy as np
from numpy.typing import NDArray

from bonafide.comparison.registration import Homography, magnification, project, scaling

_SHRINK = 0.8  # below this scale, pixels are averaged first or they would alias
_MARGIN = 4


class Warp:
    """A reference in the frame of a suspect.

    Attributes:
        size: (width, height) of the suspect, pixels.
        homography: from `pixels` to the suspect.
        magnification: suspect pixels per original reference pixel at the centre.
    """

    def __init__(
        self, pixels: NDArray[np.uint8], homography: Homography, size: tuple[int, int]
    ) -> None:
        """Shrink the reference to the suspect's resolution where it has more.

        Args:
            pixels: uint8 H×W×3 of the reference.
            homography: reference → suspect.
            size: (width, height) of the suspect.
        """
        height, width = pixels.shape[:2]
        self.size = size
        self.magnification = magnification(homography, (width, height))
        if self.magnification < _SHRINK:
            shrunk = (
                max(1, round(width * self.magnification)),
                max(1, round(height * self.magnification)),
            )
            factors = shrunk[0] / width, shrunk[1] / height
            pixels = np.asarray(cv2.resize(pixels, shrunk, interpolation=cv2.INTER_AREA), np.uint8)
            homography = homography @ np.linalg.inv(scaling(*factors))
        self.pixels = pixels
        self.homography = homography

    def tile(
        self, left: int, top: int, width: int, height: int
    ) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
        """The part of the frame that starts at (left, top).

        Returns:
            uint8 height×width×3, and bool height×width: where the reference reaches.
        """
        corners = np.array(
            [[left, top], [left + width, top], [left + width, top + height], [left, top + height]],
            np.float64,
        )
        inverse = np.linalg.inv(self.homography)
        depth = corners @ inverse[2, :2] + inverse[2, 2]
        empty = np.zeros((height, width, 3), np.uint8), np.zeros((height, width), np.bool_)
        rows, columns = self.pixels.shape[:2]
        if (depth > 0).all() or (depth < 0).all():
            source = project(inverse, corners)
            low = np.floor(np.clip(source.min(axis=0) - _MARGIN, 0, [columns, rows])).astype(int)
            high = np.ceil(np.clip(source.max(axis=0) + _MARGIN, 0, [columns, rows])).astype(int)
        else:  # the tile reaches past the horizon of a steep plane
            low, high = np.array([0, 0]), np.array([columns, rows])
        if (high - low < 2).any():
            return empty
        # Cut out first: OpenCV addresses at most 32767 pixels along a side.
        piece = self.pixels[low[1] : high[1], low[0] : high[0]]
        if max(piece.shape[:2]) > 32_000:
            return empty
        shift = np.array([[1, 0, low[0]], [0, 1, low[1]], [0, 0, 1]], np.float64)
        back = np.array([[1, 0, -left], [0, 1, -top], [0, 0, 1]], np.float64)
        matrix = back @ self.homography @ shift
        warped = cv2.warpPerspective(
            piece, matrix, (width, height), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE
        )
        full = np.full(piece.shape[:2], 255, np.uint8)
        cover = cv2.warpPerspective(
            full, matrix, (width, height), flags=cv2.INTER_LINEAR, borderValue=0
        )
        return np.asarray(warped, np.uint8), cover > 250

    def whole(self) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
        """The whole frame at once; for pictures of a few megapixels."""
        return self.tile(0, 0, *self.size)


def tiles(width: int, height: int, side: int) -> Iterator[tuple[int, int, int, int]]:
    """Cover a frame: (left, top, width, height) of each tile."""
    for top in range(0, height, side):
        for left in range(0, width, side):
            yield left, top, min(side, width - left), min(side, height - top)
