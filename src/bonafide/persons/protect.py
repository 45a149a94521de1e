"""Templates of faces that show no face without their key, and how two of them are compared.

A vector of unit length is turned by a secret rotation. Then each group of its values is moved on
the sphere towards a secret direction, as SlerpFace does, and half of the values of each group are
dropped for good, drawn without replacement. The secrets are drawn from a key of 32 bytes. A vector
that is compared goes through the same, so that nothing is ever turned back.

SlerpFace keeps its key beside the template and has no other secret: the way back is then exact,
since the angle between result and key is a known share of the angle before. Here the key lies
elsewhere, and the rotation makes groups and directions useless without it. With template *and* key,
the values that were not dropped can be computed: half of what the network knows of the face.

Source: Z. Zhong et al., "SlerpFace: Face Template Protection via Spherical Linear Interpolation",
AAAI 2025 (arXiv:2407.03043).
"""

from __future__ import annotations

import hashlib
import secrets

import numpy as np
from numpy.typing import NDArray

METHOD = "rotated-slerp-dropout-1"
SIZE = 128  # values of a vector
GROUP = 16
KEPT = 8  # values of a group that are not dropped
SHARE = 0.5  # of the way towards the secret direction
KEY_BYTES = 32

Values = NDArray[np.float32]


def new_key() -> bytes:
    """A key of 32 random bytes."""
    return secrets.token_bytes(KEY_BYTES)


def key_id(key: bytes) -> str:
    """What a template may say of its key: 16 hexadecimal digits that do not tell it."""
    return hashlib.sha256(b"bonafide person key" + key).hexdigest()[:16]


def protect(vector: Values, key: bytes) -> Values:
    """A vector as it is kept, and as it is compared.

    Args:
        vector: float32 (128,) of unit length.
        key: of 32 bytes.

    Returns:
        float32 (64,) of unit length.

    Raises:
        ValueError: the key has another length.
    """
    rotation, directions, kept = _secrets(key)
    groups = (rotation @ vector.astype(np.float64)).reshape(-1, GROUP)
    groups = groups / np.maximum(np.linalg.norm(groups, axis=1, keepdims=True), 1e-12)
    moved = _towards(groups, directions)
    # Where every vector has gone the same way, that way tells nothing of any of them.
    centred = (moved - _towards_mean(directions))[np.arange(len(groups))[:, None], kept].ravel()
    found: Values = (centred / max(float(np.linalg.norm(centred)), 1e-12)).astype(np.float32)
    return found


def likeness(one: Values, other: Values) -> float:
    """Cosine of two protected vectors of one key, in [-1, 1]."""
    return float(one.astype(np.float64) @ other.astype(np.float64))


def _towards(groups: NDArray[np.float64], directions: NDArray[np.float64]) -> NDArray[np.float64]:
    """Spherical interpolation of unit rows by `SHARE`."""
    angle = np.arccos(np.clip((groups * directions).sum(1, keepdims=True), -1, 1))
    sine = np.maximum(np.sin(angle), 1e-6)
    moved: NDArray[np.float64] = (
        np.sin((1 - SHARE) * angle) * groups + np.sin(SHARE * angle) * directions
    ) / sine
    return moved


def _towards_mean(directions: NDArray[np.float64]) -> NDArray[np.float64]:
    """Where vectors at right angles to the directions go in the mean."""
    mean: NDArray[np.float64] = np.sin(SHARE * np.pi / 2) * directions
    return mean


def _secrets(
    key: bytes,
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int64]]:
    """Rotation 128×128, a unit direction for each group, and which values of each are kept."""
    if len(key) != KEY_BYTES:
        raise ValueError(f"a key has {KEY_BYTES} bytes, not {len(key)}")
    square, upper = np.linalg.qr(_normal(key, b"rotation", SIZE * SIZE).reshape(SIZE, SIZE))
    rotation = square * np.sign(np.diag(upper))  # uniform over all rotations
    directions = _normal(key, b"directions", SIZE).reshape(-1, GROUP)
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    chances = _uniform(key, b"kept", SIZE).reshape(-1, GROUP)
    kept = np.sort(np.argsort(chances, axis=1, kind="stable")[:, :KEPT], axis=1)
    return rotation, directions, kept


def _normal(key: bytes, what: bytes, count: int) -> NDArray[np.float64]:
    """Normal values that follow from a key alone, for an even count."""
    first, second = _uniform(key, what, count).reshape(2, -1)
    length = np.sqrt(-2 * np.log(first))
    turns = 2 * np.pi * second
    return np.concatenate([length * np.cos(turns), length * np.sin(turns)])


def _uniform(key: bytes, what: bytes, count: int) -> NDArray[np.float64]:
    """Values in (0, 1) that follow from a key alone, the same with every version of NumPy."""
    stream = hashlib.shake_256(b"|".join((METHOD.encode(), what, key))).digest(8 * count)
    found: NDArray[np.float64] = (np.frombuffer(stream, "<u8") >> np.uint64(11)).astype(np.float64)
    return (found + 0.5) / 2.0**53
