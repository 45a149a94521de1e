"""Video-level blending: features drift from frame to frame, the rest of the clip stays."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("torch")
import skimage.data

from bonafide.errors import InvalidInput
from bonafide.train.video_blending import DRIFTS, drifts, video_blended

FACE = np.ascontiguousarray(skimage.data.astronaut()[60:188, 160:288])  # 128×128
CLIP = np.concatenate([FACE] * 6, axis=2)


def test_only_the_region_is_forged_and_it_differs_in_every_frame() -> None:
    for seed in range(6):
        made, mask = video_blended(CLIP, 1.7, np.random.default_rng(seed))
        frames = made.reshape(128, 128, 6, 3).astype(int)
        assert made.shape == CLIP.shape and made.dtype == np.uint8
        outside = mask < 1e-3
        assert outside.mean() > 0.2
        assert np.array_equal(frames[outside], CLIP.reshape(128, 128, 6, 3)[outside])
        inside = mask > 0.5 * mask.max()
        apart = np.abs(np.diff(frames[inside], axis=1)).mean((0, 2))
        assert bool((apart > 0.3).all())  # the still picture moves from each frame to the next


def test_only_shape_flickers() -> None:
    """Where there is no shape, the colours of the region change alike in all frames."""
    plain = np.full((64, 64, 18), (150, 120, 90) * 6, np.uint8)
    for seed in range(6):
        made, _ = video_blended(plain, 1.7, np.random.default_rng(seed))
        frames = made.reshape(64, 64, 6, 3).astype(int)
        assert int(np.abs(frames - frames[:, :, :1]).max()) <= 1


def test_landmarks_drift_by_a_little_and_corners_stay() -> None:
    rows, columns = np.mgrid[:128, :128].astype(np.float32)
    found = drifts(128, 1.7, 40, np.random.default_rng(3))
    shift = np.stack([(across - columns, down - rows) for across, down in found])
    assert float(np.abs(shift[:, :, :4, :4]).max()) < 0.5
    nose = shift[:, :, 64:72, 60:68].mean((2, 3))
    deviation = nose.std(0) / 128
    assert 0.3 * DRIFTS[0] < float(deviation.min()) and float(deviation.max()) < 3 * DRIFTS[1]


def test_frames_must_be_square() -> None:
    with pytest.raises(InvalidInput, match="square"):
        video_blended(CLIP[:100], 1.7, np.random.default_rng(0))
