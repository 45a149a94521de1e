"""Forged faces made from genuine ones: self-blended images.

A copy of a face is changed a little (colour, sharpness, place, shape) and blended back into the
face through a soft mask inside its outline. What such a picture shows is what face swaps leave:
two sources of pixels, and a border between them. No forged face is needed, and nothing else tells
the two classes apart.

Faces come aligned, so the outline of the face follows from five landmarks in standard places.

Reference
    K. Shiohara, T. Yamasaki, "Detecting Deepfakes with Self-Blended Images", CVPR 2022. The outline
    is a polygon around the five points, where the paper has 68 or 81 landmarks; further masks are
    the mouth alone and single parts, since forgeries of the lips change nothing else.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from bonafide.networks.faces import TEMPLATE

Pixels = NDArray[np.uint8]
Random = np.random.Generator
STRENGTHS = (0.25, 0.5, 0.75, 1.0, 1.0, 1.0)  # of the mask


def self_blended(face: Pixels, margin: float, random: Random) -> tuple[Pixels, Pixels]:
    """A forged face and the genuine one that it is to be told from.

    Args:
        face: uint8 n×n×3, aligned with this margin.
        margin: see `networks.faces.align`.
        random: for every choice.

    Returns:
        uint8 n×n×3 each: forged, genuine. The genuine one is changed half of the time, so that
        the change itself gives nothing away.
    """
    mask = outline(len(face), margin, random)
    changed = restyled(face, random)
    source, target = (changed, face) if random.random() < 0.5 else (face, changed)
    source, mask = _moved(source, mask, random)
    mask = bent(mask, random)
    soft = softened(mask, random) * float(random.choice(STRENGTHS))
    blend = soft[..., None] * source + (1 - soft[..., None]) * target
    return np.clip(np.rint(blend), 0, 255).astype(np.uint8), target


def outline(side: int, margin: float, random: Random) -> NDArray[np.float32]:
    """A mask of the face or of a part of it, float32 side×side of 0 and 1."""
    points = ((TEMPLATE - 0.5) / margin + 0.5) * side
    eyes, mouth = points[:2].mean(0), points[3:].mean(0)
    apart, down = points[1, 0] - points[0, 0], mouth[1] - eyes[1]
    way = random.random()
    if way < 0.2:  # the mouth and the chin
        middle, reach = mouth + np.array([0, 0.15 * down]), np.array([0.75 * apart, 0.75 * down])
    elif way < 0.3:  # eyes and nose
        middle, reach = eyes + np.array([0, 0.2 * down]), np.array([1.05 * apart, 0.75 * down])
    elif way < 0.4:  # the inner face
        middle, reach = (eyes + mouth) / 2, np.array([0.85 * apart, 0.95 * down])
    else:  # brows to chin, or with the forehead
        high = random.choice([0.0, 0.0, 0.35])
        middle = (eyes + mouth) / 2 + np.array([0, (0.1 - high) * down])
        reach = np.array([1.1 * apart, (1.35 + high) * down])
    reach = reach * random.uniform(0.85, 1.15, 2)
    angles = np.linspace(0, 2 * np.pi, 16, endpoint=False)
    power = random.uniform(0.7, 1.0)  # between an ellipse and a box
    ring = np.stack([_power(np.cos(angles), power), _power(np.sin(angles), power)], 1)
    polygon = middle + ring * reach * random.uniform(0.9, 1.1, (16, 1))
    mask = np.zeros((side, side), np.float32)
    cv2.fillPoly(mask, [np.rint(polygon).astype(np.int32)], 1.0)
    return mask


def _power(values: NDArray[np.float64], power: float) -> NDArray[np.float64]:
    found: NDArray[np.float64] = np.sign(values) * np.abs(values) ** power
    return found


def restyled(face: Pixels, random: Random) -> Pixels:
    """Colours, light and sharpness changed as the paper changes them: uint8 n×n×3 → the same."""
    values = face.astype(np.float32)
    if random.random() < 0.5:
        values = values + random.uniform(-20, 20, 3).astype(np.float32)
    if random.random() < 0.5:
        contrast, light = 1 + random.uniform(-0.15, 0.15), random.uniform(-0.1, 0.1) * 255
        values = (values - values.mean()) * contrast + values.mean() + light
    if random.random() < 0.4:
        grey = values.mean(2, keepdims=True)
        values = grey + (values - grey) * (1 + random.uniform(-0.3, 0.3))
    found = np.clip(values, 0, 255).astype(np.uint8)
    way = random.random()
    side = len(face)
    if way < 0.35:  # fewer pixels: a generator of low resolution
        small = max(8, int(side / random.uniform(1.3, 4)))
        found = cv2.resize(found, (small, small), interpolation=cv2.INTER_AREA)
        found = cv2.resize(found, (side, side), interpolation=cv2.INTER_LINEAR)
    elif way < 0.6:
        found = cv2.GaussianBlur(found, (0, 0), float(random.uniform(0.4, 1.6)))
    elif way < 0.85:
        soft = cv2.GaussianBlur(found, (0, 0), 1.2).astype(np.float32)
        amount = random.uniform(0.3, 1.2)
        found = np.clip(found + amount * (found - soft), 0, 255).astype(np.uint8)
    if random.random() < 0.3:  # saved once more than its surroundings
        found = _jpeg(found, int(random.integers(40, 95)))
    return np.asarray(found, np.uint8)


def _moved(
    source: Pixels, mask: NDArray[np.float32], random: Random
) -> tuple[Pixels, NDArray[np.float32]]:
    """Both shifted by up to 3 % and scaled by up to 5 %."""
    side = len(source)
    scale, (x, y) = random.uniform(0.95, 1 / 0.95), random.uniform(-0.03, 0.03, 2) * side
    turn = random.uniform(-2, 2)
    matrix = cv2.getRotationMatrix2D((side / 2, side / 2), turn, scale)
    matrix[:, 2] += x, y / 2
    options = {"flags": cv2.INTER_LINEAR, "borderMode": cv2.BORDER_REFLECT}
    moved = cv2.warpAffine(source, matrix, (side, side), **options)
    return np.asarray(moved, np.uint8), np.asarray(
        cv2.warpAffine(mask, matrix, (side, side)), np.float32
    )


def bent(mask: NDArray[np.float32], random: Random) -> NDArray[np.float32]:
    """Elastic deformation of the mask alone."""
    side = len(mask)
    field = random.uniform(-1, 1, (2, side, side)).astype(np.float32)
    sigma = side / 24
    shift = [cv2.GaussianBlur(one, (0, 0), sigma) for one in field]
    strength = side * random.uniform(0.1, 0.5)
    rows, columns = np.mgrid[:side, :side].astype(np.float32)
    found = cv2.remap(
        mask, columns + shift[0] * strength, rows + shift[1] * strength, cv2.INTER_LINEAR
    )
    return np.asarray(found, np.float32)


def softened(mask: NDArray[np.float32], random: Random) -> NDArray[np.float32]:
    """Blur, keep what stays near the maximum, blur again: a border of random width."""
    first = cv2.GaussianBlur(mask, (0, 0), float(random.uniform(1, 5)))
    inner = (first > 0.9 * first.max()).astype(np.float32) if first.max() > 0 else first
    soft = cv2.GaussianBlur(inner, (0, 0), float(random.uniform(1, 9)))
    return np.asarray(soft / max(float(soft.max()), 1e-6), np.float32)


def _jpeg(pixels: Pixels, quality: int) -> Pixels:
    _, data = cv2.imencode(".jpg", pixels[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
    return np.ascontiguousarray(np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR))[:, :, ::-1])


def published(pixels: Pixels, random: Random) -> Pixels:
    """What happens to a face on its way, alike for both classes: uint8 n×n×3 → the same.

    Light, a loss of resolution, blur, noise, JPEG of quality 30 to 95.
    """
    side = len(pixels)
    values = pixels
    if random.random() < 0.3:
        contrast, light = 1 + random.uniform(-0.2, 0.2), random.uniform(-25, 25)
        changed = (values.astype(np.float32) - 128) * contrast + 128 + light
        changed = changed + random.uniform(-10, 10, 3)
        values = np.clip(changed, 0, 255).astype(np.uint8)
    if random.random() < 0.4:
        small = max(16, int(side * random.uniform(0.35, 0.9)))
        values = cv2.resize(values, (small, small), interpolation=cv2.INTER_AREA)
        if random.random() < 0.5:
            values = _jpeg(values, int(random.integers(40, 95)))
        values = cv2.resize(values, (side, side), interpolation=cv2.INTER_LINEAR)
    if random.random() < 0.15:
        values = cv2.GaussianBlur(values, (0, 0), float(random.uniform(0.3, 1.2)))
    if random.random() < 0.15:
        noise = random.normal(0, random.uniform(1, 6), values.shape)
        values = np.clip(values + noise, 0, 255).astype(np.uint8)
    if random.random() < 0.7:
        values = _jpeg(np.asarray(values, np.uint8), int(random.integers(30, 95)))
    return np.ascontiguousarray(values, np.uint8)
