"""How good the pictures of a video are, without a reference, in numbers and words.

Nothing is learned from the opinions of viewers, as KVQ or MaxVQA do: what is asked here is whether
anything can be left of the traces that detectors read.

Sources: Z. Wang, A. C. Bovik, B. L. Evans, "Blind Measurement of Blocking Artifacts in Images",
ICIP 2000 (blockiness, here against the other phases); J. Immerkær, "Fast Noise Variance
Estimation", CVIU 64(2), 1996.
"""

from __future__ import annotations

import threading
import weakref
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bonafide.errors import MediaError
from bonafide.media.sampling import Sampling
from bonafide.media.video import VideoTrack
from bonafide.signals.heavy import cv2

FRAMES = 6  # spread over the length
LEAST_LINES = 180  # of the shorter side, below which nothing is decided
FEW_BITS = 0.1  # bits per pixel of a keyframe, and
BLOCKY = 1.5  # blockiness, which together say that little is left; or
SPARING = 0.105  # bits per pixel of a keyframe and level of detail
# Codecs for which these limits were chosen; later ones need fewer bits for the same picture.
CODECS = ("h264", "mpeg4", "mpeg2video", "mpeg1video", "h263", "vp8")
SOFT = 0.3  # sharpness of edges
NOISY = 4.0  # deviation of the noise [8-bit levels]
_PACKETS = 3_000
_LONGEST = 1280  # pixels of the middle that is measured
_FLAT = 0.2  # share of the blocks, the flattest, in which noise is measured

_known: weakref.WeakKeyDictionary[VideoTrack, Quality | None] = weakref.WeakKeyDictionary()
_guard = threading.Lock()


@dataclass(frozen=True)
class Quality:
    """What was measured.

    Attributes:
        width, height: of a frame, pixels.
        bits: per pixel, mean over frames; 0.0 where the container does not say.
        keyframe_bits: per pixel of a keyframe, median; 0.0 likewise.
        blockiness: step over borders of 8×8 blocks beside the step elsewhere; 1 for none [ratio].
        sharpness: of edges, about 0.4 to 0.7 of a camera in focus [ratio].
        noise: deviation in flat places [8-bit levels].
        detail: mean of what a small blur removes, absolute [8-bit levels].
        codec: name of it.
    """

    width: int
    height: int
    bits: float
    keyframe_bits: float
    blockiness: float
    sharpness: float
    noise: float
    detail: float
    codec: str

    @property
    def too_poor(self) -> str:
        """Why it can have no verdict on its pictures, one sentence; "" where it can."""
        lines = min(self.width, self.height)
        return too_poor(lines, self.judged_bits, self.blockiness, self.detail)

    @property
    def judged_bits(self) -> float:
        """`keyframe_bits` where limits are known for the codec, else 0.0."""
        return self.keyframe_bits if self.codec in CODECS else 0.0


def quality_of(track: VideoTrack) -> Quality | None:
    """Measure a video, once; None where no frame can be decoded."""
    with _guard:
        if track not in _known:
            try:
                _known[track] = _measured(track)
            except MediaError:
                _known[track] = None
        return _known[track]


def too_poor(lines: float, keyframe_bits: float, blockiness: float, detail: float) -> str:
    """Why a video can have no verdict on its pictures, one sentence; "" where it can.

    Args:
        lines: pixels of its shorter side.
        keyframe_bits: see `Quality.judged_bits`; 0.0 where it is not known.
        blockiness, detail: see `Quality`.
    """
    if lines < LEAST_LINES:
        return (
            f"With {lines:.0f} pixels on its shorter side the video is too small for a verdict on "
            f"its pictures; that takes {LEAST_LINES}."
        )
    blocks = keyframe_bits < FEW_BITS and blockiness >= BLOCKY
    if keyframe_bits > 0 and (blocks or keyframe_bits < SPARING * detail):
        return (
            f"With {keyframe_bits:.3f} bits per pixel in keyframes the video is compressed too "
            "strongly for a verdict on its pictures."
        )
    return ""


def _measured(track: VideoTrack) -> Quality | None:
    found = [_of_frame(frame.pixels) for frame in track.frames(_sampling(track))]
    if not found:
        return None
    blockiness, sharpness, noise, detail = np.median(np.array(found, np.float64), axis=0).tolist()
    area = max(1, track.width * track.height)
    packets = track.coded(_PACKETS)
    keys = [one.size for one in packets if one.keyframe]
    bits = 8 * float(np.mean([one.size for one in packets])) / area if packets else 0.0
    return Quality(
        track.width,
        track.height,
        bits,
        8 * float(np.median(keys)) / area if keys else 0.0,
        blockiness,
        sharpness,
        noise,
        detail,
        track.codec,
    )


def _sampling(track: VideoTrack) -> Sampling:
    if track.duration <= 0:
        return Sampling(fps=1.0, max_kept=FRAMES)
    return Sampling.spread(track.duration, FRAMES)


def _of_frame(pixels: NDArray[np.uint8]) -> tuple[float, float, float, float]:
    """Blockiness, sharpness, noise and detail of a frame, uint8 H×W×3; of large ones the middle."""
    height, width = pixels.shape[:2]
    # A multiple of 8 from the corner, so that borders of blocks stay where they are.
    top, left = (max(0, (side - _LONGEST) // 16 * 8) for side in (height, width))
    part = pixels[top : top + _LONGEST, left : left + _LONGEST]
    luma = cv2.cvtColor(np.ascontiguousarray(part), cv2.COLOR_RGB2GRAY).astype(np.float32)
    if min(luma.shape) < 24:
        return 1.0, 0.0, 0.0, 0.0
    across = np.abs(np.diff(luma, axis=1)).mean(0)
    down = np.abs(np.diff(luma, axis=0)).mean(1)
    detail = float(np.abs(luma - cv2.GaussianBlur(luma, (0, 0), 1.0)).mean())
    return max(_blocks(across), _blocks(down)), _edges(luma), _noise(luma), detail


def _blocks(steps: NDArray[np.float32]) -> float:
    """Step over the borders of blocks, beside the median of the seven other phases."""
    phases = [float(steps[phase::8].mean()) for phase in range(8)]
    return phases[7] / max(float(np.median(phases[:7])), 0.05)


def _edges(luma: NDArray[np.float32]) -> float:
    """Second derivative beside the first, at the strongest tenth of the edges."""
    across, down = cv2.Sobel(luma, cv2.CV_32F, 1, 0), cv2.Sobel(luma, cv2.CV_32F, 0, 1)
    slope = across * across + down * down
    strong = slope >= max(float(np.percentile(slope, 90)), 1.0)
    if not strong.any():
        return 0.0
    bend = cv2.Laplacian(luma, cv2.CV_32F, ksize=3)
    return float(np.sqrt((bend[strong] ** 2).mean() / slope[strong].mean()))


def _noise(luma: NDArray[np.float32]) -> float:
    """Deviation of the noise in the flattest blocks that are not clipped."""
    kernel = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], np.float32)
    size = (luma.shape[1] // 8, luma.shape[0] // 8)
    bend = np.abs(cv2.filter2D(luma, cv2.CV_32F, kernel))
    energy = cv2.resize(bend, size, interpolation=cv2.INTER_AREA)
    light = cv2.resize(luma, size, interpolation=cv2.INTER_AREA)
    inside = np.sort(energy[(light > 16) & (light < 240)])
    if not inside.size:
        return 0.0
    return float(inside[: max(1, round(_FLAT * inside.size))].mean() * np.sqrt(np.pi / 2) / 6)
