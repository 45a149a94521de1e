"""Signals that come straight from a file; those that are computed from pixels lie in `signals`."""

from __future__ import annotations

from bonafide.media.context import Signal
from bonafide.media.xmp import Property, read_xmp

XMP: Signal[tuple[Property, ...]] = Signal("xmp", "1", lambda ctx: read_xmp(ctx.image.metadata.xmp))
"""The properties of the XMP packet of a picture, () where there is none."""
