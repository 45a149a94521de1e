"""Forged clips made from genuine ones: features of a face that drift from frame to frame.

Forgeries of video are made frame by frame, so that eyes, nose and mouth move against the head a
little in each. Here one region of a face is warped anew in every frame and blended back. Outline,
softness, strength and colours of the region are those of the clip: only its shape drifts.

Reference
    Z. Yan, Y. Zhao, S. Chen et al., "Generalizing Deepfake Video Detection with Plug-and-Play:
    Video-Level Blending and Spatiotemporal Adapter Tuning", CVPR 2025, of which the abstract could
    be read. It has landmarks of each frame; here faces come aligned, so that the five points lie in
    standard places. Warps, strengths and how much a warp keeps of that of the frame before are our
    own choice.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from bonafide.errors import InvalidInput
from bonafide.networks.faces import TEMPLATE
from bonafide.train.augment import Pixels, framewise
from bonafide.train.self_blended import STRENGTHS, bent, outline, restyled, softened

Random = np.random.Generator
REACH = 0.12  # of what a landmark takes along, as a share of the side
DRIFTS = (0.008, 0.03)  # deviation of a landmark's shift, as a share of the side


def video_blended(
    clip: Pixels, margin: float, random: Random
) -> tuple[Pixels, NDArray[np.float32]]:
    """A forged clip.

    Args:
        clip: uint8 n×n×3T, aligned with this margin.
        margin: see `networks.faces.align`.
        random: for every choice.

    Returns:
        uint8 n×n×3T; float32 n×n in [0, 1], how much of each pixel is forged.

    Raises:
        InvalidInput: the frames are not square.
    """
    if clip.shape[0] != clip.shape[1]:
        raise InvalidInput("clips of aligned faces are square; make them with `probe crops`")
    side, frames = len(clip), clip.shape[2] // 3
    mask = softened(bent(outline(side, margin, random), random), random)
    mask = mask * float(random.choice(STRENGTHS))
    styled = framewise(restyled)(clip, random) if random.random() < 0.5 else clip
    weight = mask[..., None]
    made = []
    for number, (across, down) in enumerate(drifts(side, margin, frames, random)):
        frame = styled[..., 3 * number : 3 * number + 3]
        warped = cv2.remap(
            np.ascontiguousarray(frame),
            across,
            down,
            cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_REFLECT,
        )
        blend = weight * warped + (1 - weight) * clip[..., 3 * number : 3 * number + 3]
        made.append(np.clip(np.rint(blend), 0, 255).astype(np.uint8))
    return np.concatenate(made, axis=2), mask


def drifts(
    side: int, margin: float, frames: int, random: Random
) -> list[tuple[NDArray[np.float32], NDArray[np.float32]]]:
    """For each frame, from which column and row each pixel comes, float32 side×side each.

    Each landmark is shifted a little, and what lies around it with it. A shift keeps a share, the
    same for the clip, of the one in the frame before.
    """
    points = ((TEMPLATE - 0.5) / margin + 0.5) * side
    rows, columns = np.mgrid[:side, :side].astype(np.float32)
    away = np.stack([(columns - x) ** 2 + (rows - y) ** 2 for x, y in points])
    influence = np.exp(-away / (2 * (REACH * side) ** 2)).astype(np.float32)
    deviation = random.uniform(*DRIFTS) * side
    kept = random.uniform(0, 0.8)
    shift = random.normal(0, deviation, (len(points), 2))
    found = []
    for _ in range(frames):
        fresh = random.normal(0, deviation, (len(points), 2))
        shift = kept * shift + np.sqrt(1 - kept**2) * fresh
        moved = np.tensordot(shift.astype(np.float32), influence, ((0,), (0,)))
        found.append((columns + moved[0], rows + moved[1]))
    return found
