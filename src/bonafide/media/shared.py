"""Signals that come straight from a file; those that are computed from pixels lie in `signals`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bonafide.media.context import Signal
from bonafide.media.xmp import Property, read_xmp

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

LUMA: Signal[NDArray[np.float32]] = Signal("luma", "1", lambda ctx: ctx.image.luma)
"""float32 H×W luma in [0, 255], upright; see `Image.luma`."""

STORED_LUMA: Signal[NDArray[np.float32]] = Signal(
    "jpeg.stored_luma", "1", lambda ctx: ctx.image.stored_luma
)
"""float32 H×W luma in [0, 255] as stored, where the grid of a JPEG starts at (0, 0)."""

XMP: Signal[tuple[Property, ...]] = Signal("xmp", "1", lambda ctx: read_xmp(ctx.image.metadata.xmp))
"""The properties of the XMP packet of a picture, () where there is none."""
