"""Files on which every detector is tried: made on the spot, the same every time."""

from __future__ import annotations

import io
import struct
import wave
import zlib
from collections.abc import Mapping
from functools import cache
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image as Pillow
from PIL import features

if TYPE_CHECKING:
    from numpy.typing import NDArray


def photograph(width: int = 288, height: int = 264, seed: int = 0) -> NDArray[np.uint8]:
    """A procedural picture with what photographs have: smooth sky, texture, edges, sensor noise.

    Returns:
        uint8 height×width×3 RGB in [0, 255].
    """
    generator = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width].astype(np.float64)
    u, v = x / max(width, 1), y / max(height, 1)
    picture = np.stack([90 + 80 * v, 130 + 50 * v, 220 - 60 * v], axis=2)
    horizon = 0.55 + 0.04 * np.sin(9 * u) + 0.02 * np.sin(31 * u)
    texture = np.zeros((height, width))
    for step in (16, 8, 4, 2, 1):
        grid = generator.normal(0, step, (height // step + 2, width // step + 2))
        texture += np.kron(grid, np.ones((step, step)))[:height, :width]
    ground = np.stack([95 + 0.9 * texture, 105 + texture, 60 + 0.6 * texture], axis=2)
    picture = np.where((v > horizon)[..., None], ground, picture)
    disc = (u - 0.3) ** 2 + (v - 0.35) ** 2 < 0.02
    picture = np.where(disc[..., None], [205, 90, 70] * (0.8 + 0.4 * u[..., None]), picture)
    wall = (np.abs(u - 0.72) < 0.13) & (np.abs(v - 0.55) < 0.22)
    stripes = 150 + 50 * (np.sin(x / 2.3) > 0) + 10 * np.cos(y / 3.1)
    picture = np.where(wall[..., None], stripes[..., None] * [1.0, 0.95, 0.85], picture)
    picture += (
        generator.normal(0, 2.0, picture.shape) * np.sqrt(np.clip(picture, 20, 255) / 128)[..., :1]
    )
    return np.clip(picture + 0.5, 0, 255).astype(np.uint8)


def _encode(picture: Pillow.Image, container: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, container, **options)
    return buffer.getvalue()


def _png_chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def _clip(picture: Pillow.Image) -> bytes:
    import av

    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mp4") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width, stream.height = picture.size
        for _ in range(5):
            frame: Any = av.VideoFrame.from_ndarray(np.asarray(picture), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return buffer.getvalue()


def _turned(clip: bytes) -> bytes:
    """The same clip with a header that says that its frames are stored sideways."""
    matrix = clip.index(b"tkhd") + 44  # ISO/IEC 14496-12, 8.3.2, version 0
    quarter = struct.pack(">9i", 0, 1 << 16, 0, -1 << 16, 0, 0, 0, 0, 1 << 30)
    return clip[:matrix] + quarter + clip[matrix + 36 :]


def _silence() -> bytes:
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16_000)
        file.writeframes(bytes(2 * 16_000))
    return buffer.getvalue()


@cache
def sample_files() -> Mapping[str, bytes]:
    """Name → bytes of the files of the contract: ordinary, unusual, damaged and hostile ones."""
    wide = Pillow.fromarray(photograph(640, 480))
    small = Pillow.fromarray(photograph())
    grey, alpha = small.convert("L"), small.convert("RGBA")
    frames: dict[str, Any] = {"save_all": True, "append_images": [small.rotate(180)], "loop": 0}
    deep = Pillow.fromarray(np.asarray(grey, np.uint16) * 257)
    clip = _clip(wide.resize((320, 240)))
    files = {
        "photo.jpg": _encode(wide, "JPEG", quality=92),
        "photo.png": _encode(wide, "PNG"),
        "clip.mp4": clip,
        "turned.mp4": _turned(clip),
        "truncated.mp4": clip[: len(clip) // 2],
        "silence.wav": _silence(),
        "drawing.svg": b'<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"></svg>',
        "page.pdf": b"%PDF-1.4\n1 0 obj<<>>endobj\ntrailer<<>>\n%%EOF\n",
        "grey.png": _encode(grey, "PNG"),
        "grey_16_bit.png": _encode(deep, "PNG"),
        "alpha.png": _encode(alpha, "PNG"),
        "palette.png": _encode(small.quantize(64), "PNG"),
        "one_bit.png": _encode(small.convert("1"), "PNG"),
        "animated.png": _encode(small, "PNG", **frames),
        "animated.gif": _encode(small, "GIF", **frames),
        "animated.webp": _encode(small, "WEBP", **frames),
        "lossless.webp": _encode(alpha, "WEBP", lossless=True),
        "plain.tiff": _encode(small, "TIFF"),
        "jpeg_inside.tiff": _encode(small, "TIFF", compression="jpeg"),
        "float.tiff": _encode(grey.convert("F"), "TIFF"),
        "plain.bmp": _encode(small, "BMP"),
        "grey.jpg": _encode(grey, "JPEG"),
        "cmyk.jpg": _encode(small.convert("CMYK"), "JPEG"),
        "progressive.jpg": _encode(small, "JPEG", progressive=True, quality=85),
        "chroma_420.jpg": _encode(small, "JPEG", subsampling="4:2:0", quality=60),
        "chroma_422.jpg": _encode(small, "JPEG", subsampling="4:2:2"),
        "restart.jpg": _encode(small, "JPEG", restart_marker_blocks=4),
        "odd_size.jpg": _encode(small.crop((0, 0, 277, 259)), "JPEG"),
        "text.png": b"This is a text file with the name of a picture.\n",
        "empty.jpg": b"",
        "only_magic.jpg": b"\xff\xd8\xff",
    }
    if features.check("avif"):
        files["plain.avif"] = _encode(small, "AVIF", speed=10)
    exif = Pillow.Exif()
    for orientation in range(1, 9):
        exif[0x0112] = orientation
        picture = small.crop((0, 0, 280, 200))
        files[f"orientation_{orientation}.jpg"] = _encode(picture, "JPEG", exif=exif)
    for width, height in ((1, 1), (1, 300), (300, 1), (7, 9), (2000, 16)):
        sliver = Pillow.fromarray(photograph(width, height))
        files[f"{width}x{height}.png"] = _encode(sliver, "PNG")
        files[f"{width}x{height}.jpg"] = _encode(sliver, "JPEG")
    for name in ("black", "white", "grey"):
        flat = Pillow.new("RGB", small.size, name)
        files[f"flat_{name}.png"] = _encode(flat, "PNG")
        files[f"flat_{name}.jpg"] = _encode(flat, "JPEG")
    for name in ("photo.jpg", "photo.png", "progressive.jpg", "animated.gif"):
        files[f"truncated_{name}"] = files[name][: len(files[name]) // 2]
    damaged = bytearray(files["chroma_420.jpg"])
    damaged[len(damaged) // 2 : len(damaged) // 2 + 40] = b"\x55" * 40
    files["damaged.jpg"] = bytes(damaged)
    header = struct.pack(">IIBBBBB", 100_000, 100_000, 8, 2, 0, 0, 0)
    body = _png_chunk(b"IDAT", zlib.compress(bytes(300_000))) + _png_chunk(b"IEND", b"")
    files["bomb.png"] = b"\x89PNG\r\n\x1a\n" + _png_chunk(b"IHDR", header) + body
    bomb = bytearray(files["grey.jpg"])
    frame = bomb.index(b"\xff\xc0")
    bomb[frame + 5 : frame + 9] = b"\xff\xff\xff\xff"
    files["bomb.jpg"] = bytes(bomb)
    return MappingProxyType(files)
