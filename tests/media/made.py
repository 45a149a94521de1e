"""Videos and sounds that tests make for themselves."""

from __future__ import annotations

import io
import struct
import tempfile
import wave
from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

CORNER = 8  # pixels: the side of the white square at the upper left of stored frames
IDENTITY = (1, 0, 0, 1)


def clip(
    count: int = 20,
    size: tuple[int, int] = (64, 48),
    container: str = "mp4",
    codec: str = "mpeg4",
    rate: int = 10,
    keyframe_every: int = 12,
    times: Iterable[int] | None = None,
    sound: float = 0.0,
    header_first: bool = False,
) -> bytes:
    """Grey frames, frame k of level 10·k modulo 200, with a white square at the upper left.

    Args:
        count: frames.
        size: of a frame.
        container: FFmpeg's name of it.
        codec: FFmpeg's name of the encoder.
        rate: frames per second.
        keyframe_every: frames between two keyframes.
        times: time stamps in units of 1/rate, for a variable frame rate.
        sound: seconds of a tone beside it.
        header_first: whether an MP4 has its header before its frames.
    """
    # To put the header first, FFmpeg reads back what it wrote, for which it needs a path.
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/clip"
        _write_clip(
            path, header_first, count, size, container, codec, rate, keyframe_every, times, sound
        )
        return Path(path).read_bytes()


def _write_clip(
    path: str,
    header_first: bool,
    count: int,
    size: tuple[int, int],
    container: str,
    codec: str,
    rate: int,
    keyframe_every: int,
    times: Iterable[int] | None,
    sound: float,
) -> None:
    options = {"movflags": "faststart"} if header_first else {}
    with av.open(path, "w", format=container, options=options) as output:
        stream: Any = output.add_stream(codec, rate=rate)
        stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
        stream.codec_context.gop_size = keyframe_every
        track: Any = output.add_stream("aac", rate=8000) if sound else None
        stamps = list(times) if times is not None else range(count)
        frames: dict[int, av.VideoFrame] = {}
        for number, stamp in enumerate(stamps):
            level = 10 * number % 200
            if level not in frames:
                pixels = np.full((size[1], size[0], 3), level, np.uint8)
                pixels[:CORNER, :CORNER] = 255
                frames[level] = av.VideoFrame.from_ndarray(pixels, format="rgb24").reformat(
                    format="yuv420p"
                )
            frame = frames[level]
            frame.pts, frame.time_base = stamp, Fraction(1, rate)
            output.mux(stream.encode(frame))
        output.mux(stream.encode())
        if track is not None:
            _encode(output, track, wave_of(sound, 8000)[None], 8000)


def turned(data: bytes, a: int, b: int, c: int, d: int) -> bytes:
    """An MP4 whose first track is shown with x' = a·x + c·y and y' = b·x + d·y."""
    start = data.index(b"tkhd") + 44
    one = 1 << 16
    matrix = struct.pack(">9i", a * one, b * one, 0, c * one, d * one, 0, 0, 0, 1 << 30)
    return data[:start] + matrix + data[start + 36 :]


def wave_of(seconds: float, rate: int) -> NDArray[np.float32]:
    """A tone of 440 Hz and amplitude 0.5, float32 (n,)."""
    times = np.arange(round(seconds * rate)) / rate
    return (0.5 * np.sin(2 * np.pi * 440 * times)).astype(np.float32)


def sound(
    container: str, codec: str, seconds: float = 3.0, rate: int = 48000, layout: str = "stereo"
) -> bytes:
    """A tone in every channel."""
    buffer = io.BytesIO()
    with av.open(buffer, "w", format=container) as output:
        stream: Any = output.add_stream(codec, rate=rate)
        stream.layout = layout
        channels = len(stream.layout.channels)
        _encode(output, stream, np.repeat(wave_of(seconds, rate)[None], channels, 0), rate)
    return buffer.getvalue()


def _encode(output: Any, stream: Any, samples: NDArray[np.float32], rate: int) -> None:
    resampler = av.AudioResampler(
        stream.format, stream.layout, rate, frame_size=stream.frame_size or None
    )
    layout = "mono" if len(samples) == 1 else stream.layout
    frame = av.AudioFrame.from_ndarray(samples, format="fltp", layout=layout)
    frame.sample_rate, frame.pts = rate, 0
    for part in (*resampler.resample(frame), *resampler.resample(None)):
        output.mux(stream.encode(part))
    output.mux(stream.encode(None))


def wav(samples: bytes, rate: int = 8000, width: int = 2, channels: int = 1) -> bytes:
    """A WAV file of PCM samples."""
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(width)
        file.setframerate(rate)
        file.writeframes(samples)
    return buffer.getvalue()
