"""Networks of the user's own that make a picture of a picture: autoencoders, upscalers."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bonafide.errors import InvalidInput, MissingExtra
from bonafide.networks.onnx_runtime import library

Pixels = NDArray[np.uint8]


@lru_cache(maxsize=1)
def picture_network(path: Path, factor: int = 1) -> Callable[[Pixels], Pixels]:
    """Open a network: float32 (1, 3, h, w) in [0, 1] → (1, 3, factor·h, factor·w).

    Args:
        path: of the ONNX file.
        factor: by which it enlarges.

    Returns:
        uint8 H×W×3 → uint8 factor·H×factor·W×3; raises `InvalidInput` where the network does not
        take the picture or gives one of another size.

    Raises:
        InvalidInput: the file cannot be opened.
        MissingExtra: ONNX Runtime is not installed.
    """
    try:
        session = library().InferenceSession(str(path), providers=["CPUExecutionProvider"])
    except ImportError:
        raise MissingExtra("train", f"sending pictures through {path}") from None
    except Exception as error:  # ONNX Runtime has no common error class
        raise InvalidInput(f"{path} cannot be opened: {error}") from None

    def send(pixels: Pixels) -> Pixels:
        batch = np.ascontiguousarray(pixels.transpose(2, 0, 1)[None], np.float32) / 255
        try:
            (result,) = session.run(None, {session.get_inputs()[0].name: batch})
        except Exception as error:
            raise InvalidInput(f"{path} does not take RGB pictures of any size: {error}") from None
        height, width = pixels.shape[:2]
        if result.shape != (1, 3, factor * height, factor * width):
            raise InvalidInput(
                f"{path} does not enlarge by {factor}"
                if factor > 1
                else f"{path} does not give back a picture of the size it takes"
            )
        levels = np.clip(np.rint(result[0].transpose(1, 2, 0) * 255), 0, 255)
        return np.ascontiguousarray(levels.astype(np.uint8))

    return send
