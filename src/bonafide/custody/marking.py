"""A picture with an invisible mark, saved in its own format with its metadata."""

from __future__ import annotations

import io
from typing import Any

from bonafide.errors import InvalidInput
from bonafide.media.media import Media
from bonafide.networks.rivagan import Payload, mark

QUALITY = 95  # of JPEG and WebP; a mark that hides in two levels of 255 would suffer from less
_MODES = ("RGB", "RGBA", "L")


def marked(media: Media, payload: Payload) -> bytes:
    """The bytes of a copy whose pixels carry the mark.

    JPEG and WebP are saved at quality `QUALITY`; PNG loses nothing but the mark's two levels. EXIF,
    XMP, colour profile and transparency are kept. Grey pictures become RGB.

    Args:
        media: a JPEG, PNG or WebP picture of one frame and 8 bits.
        payload: what the mark says.

    Raises:
        InvalidInput: another format, several frames, other pixels, or a picture that is too small.
        WeightsError: the network cannot be opened.
    """
    import numpy as np
    from PIL import Image as Pillow

    image = media.image
    if image is None or media.format not in ("JPEG", "PNG", "WEBP"):
        raise InvalidInput(f"{media.name}: marks are written into JPEG, PNG and WebP pictures")
    with image.open_again() as picture:
        if getattr(picture, "n_frames", 1) > 1 or picture.mode not in _MODES:
            raise InvalidInput(f"{media.name}: marks are written into single 8-bit RGB pictures")
        kept = _kept(picture, media.format)
        alpha = picture.getchannel("A") if picture.mode == "RGBA" else None
        pixels = np.asarray(picture.convert("RGB"))
    copy = Pillow.fromarray(mark(pixels, payload))
    if alpha is not None:
        copy.putalpha(alpha)
    buffer = io.BytesIO()
    copy.save(buffer, media.format, **kept)
    return buffer.getvalue()


def _kept(picture: Any, form: str) -> dict[str, Any]:
    """Arguments of Pillow's `save` that carry metadata over."""
    from PIL.PngImagePlugin import PngInfo

    kept: dict[str, Any] = {
        name: picture.info[name] for name in ("exif", "icc_profile") if name in picture.info
    }
    if form == "PNG":
        texts = PngInfo()
        for name, text in getattr(picture, "text", {}).items():
            texts.add_itxt(name, str(text))
        return kept | {"pnginfo": texts}
    if picture.info.get("xmp"):
        kept["xmp"] = picture.info["xmp"]
    if form == "JPEG" and picture.info.get("comment"):
        kept["comment"] = picture.info["comment"]
    return kept | {"quality": QUALITY}
