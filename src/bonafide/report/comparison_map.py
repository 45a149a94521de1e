"""What differs between two pictures as a grey picture, read like the maps of detectors."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image as Pillow

from bonafide.comparison.result import Comparison
from bonafide.report.preview import MARKED

if TYPE_CHECKING:
    from numpy.typing import NDArray

_COUNTS = 32  # of `Comparison.strength`: what counts as a difference
_FAINT = 0.45


def heatmap(comparison: Comparison) -> NDArray[np.float32] | None:
    """float32 H×W in [0, 1]: at or above a half where the suspect was changed; None if unknown."""
    if comparison.strength is None or comparison.mask is None:
        return None
    marked, faint = _tables()
    return np.asarray(
        np.where(comparison.mask, marked[comparison.strength], faint[comparison.strength]),
        np.float32,
    )


def _tables() -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """What a strength is worth inside the mask, and outside."""
    multiple = np.minimum(np.arange(256, dtype=np.float32) / _COUNTS, 8.0)
    marked = MARKED + (1 - MARKED) * multiple / 8
    return marked.astype(np.float32), np.minimum(_FAINT * multiple, _FAINT).astype(np.float32)


def write_changed(comparison: Comparison, stem: str, folder: Path) -> Path | None:
    """Write `<stem>.changed.png`, 8-bit grey, of the suspect's size: 128 and above was changed.

    Args:
        comparison: with its mask, else nothing is written.
        stem: a bare name.
        folder: made if it is missing.

    Returns:
        The path written, or None.

    Raises:
        OSError: it cannot be written.
    """
    if comparison.strength is None or comparison.mask is None:
        return None
    marked, faint = (np.rint(255 * table).astype(np.uint8) for table in _tables())
    marked = np.maximum(marked, 128)
    grey = np.where(comparison.mask, marked[comparison.strength], faint[comparison.strength])
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{stem}.changed.png"
    Pillow.fromarray(grey).save(path, "PNG")
    return path
