"""Against localisers: what was edited is concealed, and the trace of concealing rebuilt.

Inside of the edit the noise is replaced by noise like that outside, the border is smoothed, and the
whole is saved as one JPEG, so that inside and outside share their last history. A few strengths of
each are tried, and the one whose fused map marks least of the edit is kept.
"""

from __future__ import annotations

import io
import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow

from bonafide.bench.attacks.attack import Aim, Attack, Budget, Pixels
from bonafide.bench.attacks.target import Answered, Target

_BLURS = (0.0, 0.7)  # of the inside, pixels
_GAINS = (1.0, 0.5)  # of the noise outside
_QUALITIES = (90, 75, 60)
_FEATHER = 3.0  # pixels over which inside and outside are mixed


@dataclass(frozen=True)
class Localiser(Attack):
    """Concealing and rebuilding by search."""

    def run(
        self,
        target: Target,
        aim: Aim,
        budget: Budget,
        strength: float,
        random: np.random.Generator,
    ) -> Iterator[Pixels]:
        """Pictures whose edit is marked less and less; see `Attack`."""
        if aim.mask is None or aim.mask.all() or not aim.mask.any():
            return
        best = marked_inside(target.ask(aim.pixels), aim.mask)
        for quality, gain, blur in itertools.product(_QUALITIES, _GAINS, _BLURS):
            shown = concealed(aim.pixels, aim.mask, gain, blur, quality, random)
            left = marked_inside(target.ask(shown), aim.mask)
            if left < best:
                best = left
                yield shown


def concealed(
    pixels: Pixels,
    mask: NDArray[np.bool_],
    gain: float,
    blur: float,
    quality: int,
    random: np.random.Generator,
) -> Pixels:
    """The picture with an inside whose noise is like that outside, saved once.

    Args:
        pixels: uint8 H×W×3.
        mask: bool H×W, True inside.
        gain: of the noise that is added, as a multiple of what is missing inside.
        blur: sigma of the inside's smoothing, pixels; 0 for none.
        quality: of the JPEG.
        random: of the noise.
    """
    levels = pixels.astype(np.float32)
    residual = levels - cv2.medianBlur(pixels, 3).astype(np.float32)
    inside = cv2.GaussianBlur(levels, (0, 0), blur) if blur else levels.copy()
    after = inside - cv2.medianBlur(np.clip(np.rint(inside), 0, 255).astype(np.uint8), 3).astype(
        np.float32
    )
    missing = np.sqrt(max(0.0, float(residual[~mask].var() - after[mask].var())))
    inside += random.normal(0, 1, levels.shape).astype(np.float32) * gain * missing
    share = cv2.GaussianBlur(mask.astype(np.float32), (0, 0), _FEATHER)[..., None]
    mixed = share * inside + (1 - share) * levels
    stream = io.BytesIO()
    shown = np.clip(np.rint(mixed), 0, 255).astype(np.uint8)
    Pillow.fromarray(shown).save(stream, "JPEG", quality=quality)
    return np.asarray(Pillow.open(stream).convert("RGB"))


def marked_inside(answered: Answered, mask: NDArray[np.bool_]) -> float:
    """Mean of the fused map inside of the edit; 0 without a map."""
    edits = answered.report.edits
    if edits is None or edits.map is None:
        return 0.0
    shown = edits.map.enlarge()
    return float(shown[mask].mean()) if shown.shape == mask.shape else 0.0


ATTACK = Localiser(
    "Concealing an edit from localisers",
    "After SEAR (concealing and reconstruction against localisation), by search, without a network",
    "scores",
    costly=True,
    needs_mask=True,
)
