"""Filters that show what editing leaves behind, and bands along the borders of masks.

SRM
    High-pass residuals of J. Fridrich, J. Kodovský, "Rich Models for Steganalysis of Digital
    Images", IEEE TIFS 7(3), 2012. The thirty linear ones as a bank: J. Ye, J. Ni, Y. Yi, "Deep
    Learning Hierarchical Representations for Image Steganalysis", IEEE TIFS 12(11), 2017. The
    three that forensic networks use: P. Zhou et al., "Learning Rich Features for Image
    Manipulation Detection", CVPR 2018.
Bayar
    B. Bayar, M. Stamm, "Constrained Convolutional Neural Networks", IEEE TIFS 13(11), 2018.
Bands
    X. Ma et al., "IML-ViT: Benchmarking Image Manipulation Localization by Vision Transformer",
    arXiv:2307.14863, 2023.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from bonafide.errors import InvalidInput

Kernel = NDArray[np.float32]
_FIRST = ((0, 0, 0), (0, -1, 1), (0, 0, 0))
_FIRST_DIAGONAL = ((0, 0, 1), (0, -1, 0), (0, 0, 0))
_SECOND = ((0, 0, 0), (1, -2, 1), (0, 0, 0))
_SECOND_DIAGONAL = ((0, 0, 1), (0, -2, 0), (1, 0, 0))
_THIRD = ((0,) * 5, (0,) * 5, (0, 1, -3, 3, -1), (0,) * 5, (0,) * 5)
_THIRD_DIAGONAL = (
    (0, 0, 0, 0, -1), (0, 0, 0, 3, 0), (0, 0, -3, 0, 0), (0, 1, 0, 0, 0), (0, 0, 0, 0, 0),
)  # fmt: skip
_SQUARE_3 = ((-1, 2, -1), (2, -4, 2), (-1, 2, -1))
_EDGE_3 = ((-1, 2, -1), (2, -4, 2), (0, 0, 0))
_SQUARE_5 = (
    (-1, 2, -2, 2, -1), (2, -6, 8, -6, 2), (-2, 8, -12, 8, -2), (2, -6, 8, -6, 2),
    (-1, 2, -2, 2, -1),
)  # fmt: skip
_EDGE_5 = (*_SQUARE_5[:3], (0,) * 5, (0,) * 5)
_BANK = (  # kernel, and how many quarter turns of it differ
    (_FIRST, 4), (_FIRST_DIAGONAL, 4), (_SECOND, 2), (_SECOND_DIAGONAL, 2), (_THIRD, 4),
    (_THIRD_DIAGONAL, 4), (_SQUARE_3, 1), (_EDGE_3, 4), (_SQUARE_5, 1), (_EDGE_5, 4),
)  # fmt: skip
_THREE = (_SQUARE_3, _SQUARE_5, _SECOND)


def srm_kernels(count: int = 30) -> Kernel:
    """High-pass kernels, each divided by the size of its centre weight.

    Args:
        count: 30 for first, second and third differences, squares and edges in all directions,
            or 3 for the two squares and the horizontal second difference.

    Returns:
        float32 (count, 5, 5); every kernel sums to zero.

    Raises:
        InvalidInput: any other count.
    """
    if count not in (3, 30):
        raise InvalidInput(f"there are 3 or 30 SRM kernels, not {count}")
    chosen = _BANK if count == 30 else tuple((one, 1) for one in _THREE)
    return np.stack(
        [np.rot90(_framed(one), turn) for one, turns in chosen for turn in range(turns)]
    )


def _framed(values: tuple[tuple[int, ...], ...]) -> Kernel:
    kernel = np.array(values, np.float32)
    kernel /= -kernel[len(kernel) // 2, len(kernel) // 2]
    return np.pad(kernel, (5 - len(kernel)) // 2)


class SrmFilters(nn.Module):
    """Fixed high-pass residuals of a picture.

    Args:
        count: 3 or 30, see `srm_kernels`.
        limit: residuals are cut off at ± this, in the unit of the pixels; None for no limit.
            Zhou et al. cut at two grey levels: 2 / 255 for pixels in [0, 1].
        colours: False sums every residual over the three channels, as Zhou et al. do; True keeps
            those of red, then of green, then of blue.

    Attributes:
        channels: of the result: `count`, or three times as many with `colours`.
    """

    kernels: Tensor

    def __init__(self, count: int = 3, limit: float | None = None, colours: bool = False) -> None:
        super().__init__()
        self.limit = limit
        self.colours = colours
        self.channels = 3 * count if colours else count
        kernels = torch.from_numpy(srm_kernels(count)).unsqueeze(1)
        repeats = (3, 1, 1, 1) if colours else (1, 3, 1, 1)
        self.register_buffer("kernels", kernels.repeat(repeats), persistent=False)

    def forward(self, pixels: Tensor) -> Tensor:
        """float32 (N, 3, H, W) → (N, channels, H, W); borders are continued outwards."""
        padded = functional.pad(pixels, (2, 2, 2, 2), mode="replicate")
        residuals = functional.conv2d(padded, self.kernels, groups=3 if self.colours else 1)
        return residuals if self.limit is None else residuals.clamp(-self.limit, self.limit)


class BayarConv(nn.Module):
    """A convolution that can only predict a pixel from its neighbours and take the difference.

    Every kernel from one channel to another has −1 in its centre and other weights that sum to 1.
    The paper restores this after each step by dividing by the sum, which explodes where the sum
    passes through zero. Here each pass takes the nearest kernel that meets the constraint, so that
    gradients, averaged weights and exported files all see the kernel that is used; a fresh layer
    is the same either way.

    Args:
        inputs, outputs: channels.
        size: side of the kernels, odd.
    """

    def __init__(self, inputs: int = 3, outputs: int = 3, size: int = 5) -> None:
        super().__init__()
        self.size = size
        weights = torch.rand(outputs, inputs, size * size - 1)
        self.weights = nn.Parameter(weights / weights.sum(2, keepdim=True))

    def kernels(self) -> Tensor:
        """The constrained kernels, (outputs, inputs, size, size)."""
        weights, half = self.weights, self.weights.shape[2] // 2
        around = weights + (1 - weights.sum(2, keepdim=True)) / weights.shape[2]
        centre = torch.full_like(around[..., :1], -1.0)
        kernels = torch.cat([around[..., :half], centre, around[..., half:]], 2)
        return kernels.reshape(*weights.shape[:2], self.size, self.size)

    def forward(self, pixels: Tensor) -> Tensor:
        """float32 (N, inputs, H, W) → (N, outputs, H, W); borders are continued outwards."""
        reach = self.size // 2
        padded = functional.pad(pixels, (reach,) * 4, mode="replicate")
        return functional.conv2d(padded, self.kernels())


def edge_band(mask: Tensor, width: int = 7) -> Tensor:
    """Pixels from which the other side of a mask's border lies straight across, close by.

    A pixel is in the band where the upright cross of `width` pixels around it holds both values.
    The border of the picture is none of the mask.

    Args:
        mask: float32 (N, H, W) in {0, 1}.
        width: of the cross, odd: the band is `width` - 1 pixels across.

    Returns:
        float32 (N, H, W) in {0, 1}.
    """
    both = torch.stack([mask, 1 - mask], 1)
    reach = width // 2
    across = functional.max_pool2d(both, (1, width), 1, (0, reach))
    down = functional.max_pool2d(both, (width, 1), 1, (reach, 0))
    return torch.maximum(across, down).prod(1)
