"""Random patch replacement: pictures of which part is real and part went through a decoder.

A network that is told "synthetic" about a whole picture learns the few patches that are easiest.
Where patches are exchanged with those of an aligned twin, content is the same everywhere and every
patch has a label of its own, so that each one counts. Patches are exchanged after a picture was
cut to its final size, since the grid is the network's.

Two variants, as the paper has two: its first version puts real patches into a synthetic picture,
the later one puts reconstructed patches into a real picture (there by inpainting at strength 0.25;
here from any twin).

Reference: Yang et al., "All Patches Matter, More Patches Better: Enhance AI-Generated Image
Detection via Panoptic Patch Learning", arXiv 2504.01396 version 1 (random patch replacement) and
ICLR 2026 (randomized patch reconstruction).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bonafide.errors import InvalidInput
from bonafide.train.augment import Pixels, Random


class Replaced(NamedTuple):
    """A picture of two origins.

    Attributes:
        pixels: uint8 H×W×3 RGB.
        synthetic: float32 (H/patch)×(W/patch) in [0, 1]: share of each patch that is synthetic.
    """

    pixels: Pixels
    synthetic: NDArray[np.float32]


def with_reconstructed_patches(
    original: Pixels, twin: Pixels, patch: int, share: float, random: Random
) -> Replaced:
    """The original with `share` of its patches taken from the twin (ICLR 2026).

    Args:
        original: uint8 H×W×3 RGB crop of a bona fide picture, sides multiples of `patch`.
        twin: its aligned twin, of the same shape.
        patch: side of a patch, pixels.
        share: of the patches that are taken over, in [0, 1]; rounded to whole patches.
        random: chooses the patches.

    Raises:
        InvalidInput: the shapes differ, or `patch` does not divide the sides.
    """
    taken = _chosen(original, twin, patch, share, random)
    return Replaced(_exchanged(original, twin, taken, patch), taken.astype(np.float32))


def with_real_patches(
    original: Pixels, twin: Pixels, patch: int, share: float, random: Random
) -> Replaced:
    """The twin with `share` of its patches taken from the original (arXiv version 1).

    Arguments and errors as for `with_reconstructed_patches`.
    """
    taken = _chosen(original, twin, patch, share, random)
    return Replaced(_exchanged(twin, original, taken, patch), (~taken).astype(np.float32))


def _chosen(
    original: Pixels, twin: Pixels, patch: int, share: float, random: Random
) -> NDArray[np.bool_]:
    height, width = original.shape[:2]
    if original.shape != twin.shape or height % patch or width % patch:
        raise InvalidInput(
            f"patches of {patch} pixels cannot be exchanged between pictures of shape "
            f"{original.shape} and {twin.shape}"
        )
    grid = (height // patch, width // patch)
    order = random.permutation(grid[0] * grid[1])
    return (order < round(share * order.size)).reshape(grid)


def _exchanged(base: Pixels, other: Pixels, taken: NDArray[np.bool_], patch: int) -> Pixels:
    mask = taken.repeat(patch, axis=0).repeat(patch, axis=1)
    return np.where(mask[..., None], other, base)
