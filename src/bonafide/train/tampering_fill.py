"""Holes filled by a network in an ONNX file, as a `Filler` of the tampering maker.

The network takes float32 (1, 4, H, W): RGB in [0, 1], zero in the hole, and the hole as ones; and
gives RGB of that size.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np

from bonafide.errors import InvalidInput
from bonafide.networks.onnx_runtime import library
from bonafide.train.augment import Pixels
from bonafide.train.tampering_edits import Mask

MULTIPLE = 16  # of the sides that networks get, pixels
_CONTEXT = 48  # pixels around a hole that are shown


class OnnxFiller:
    """Fills holes by a network; travels to other processes as the path of its file.

    Args:
        path: the file.

    Raises:
        InvalidInput: the file holds no network.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.name = path.stem
        self._session = self._opened()

    def fill(self, pixels: Pixels, mask: Mask) -> Pixels:
        """The picture with its hole filled.

        Args:
            pixels: uint8 H×W×3 RGB; what lies in the hole is not looked at.
            mask: bool H×W, the hole.

        Raises:
            InvalidInput: the network does not take, or give, what the head of this file says.
        """
        if not mask.any():
            return pixels
        left, top, width, height = cv2.boundingRect(mask.astype(np.uint8))
        around = np.s_[
            max(0, top - _CONTEXT) : top + height + _CONTEXT,
            max(0, left - _CONTEXT) : left + width + _CONTEXT,
        ]
        hole = mask[around]
        shown = np.where(hole[..., None], 0, pixels[around])
        stacked = np.dstack([shown.astype(np.float32) / 255, hole.astype(np.float32)])
        rows, columns = hole.shape
        padding = ((0, -rows % MULTIPLE), (0, -columns % MULTIPLE), (0, 0))
        padded = np.pad(stacked, padding, "edge").transpose(2, 0, 1)[None]
        try:
            (given,) = self._session.run(
                None, {self._session.get_inputs()[0].name: np.ascontiguousarray(padded)}
            )
            levels = np.clip(np.rint(given[0].transpose(1, 2, 0) * 255), 0, 255)[:rows, :columns]
            filled = pixels.copy()
            filled[around] = np.where(hole[..., None], levels, pixels[around])
        except Exception as error:  # ONNX Runtime has no common error class
            raise InvalidInput(f"{self.path} does not fill holes: {error}") from None
        return filled

    def _opened(self) -> Any:
        onnxruntime = library()
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1  # many processes make pictures at once
        try:
            return onnxruntime.InferenceSession(
                str(self.path), options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:
            raise InvalidInput(f"{self.path} cannot be opened: {error}") from None

    def __reduce__(self) -> tuple[type[OnnxFiller], tuple[Path]]:
        return OnnxFiller, (self.path,)
