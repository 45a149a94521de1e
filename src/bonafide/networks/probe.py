"""Linear probes on features: a plane, and how far a view lies from those it was fitted on.

`bonafide probe fit` makes the files.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bonafide.networks import runtime

# Distance from the training pictures, 1 for a typical one, beyond which a probe is not asked,
# unless its file says another.
FAR = 2.0


def read(
    weights: str, tokens: NDArray[np.float32]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Log-odds and distances of views.

    Args:
        weights: id of the probe.
        tokens: float32 N×L×D, of the blocks that it was fitted on.

    Returns:
        (N,) log-odds, and (N,) distances from the training pictures, 1 for a typical one.

    Raises:
        WeightsError: the probe cannot be opened.
    """
    found = runtime.session(weights).run(tokens=np.ascontiguousarray(tokens, np.float32))
    return found["logit"].astype(np.float64), found["distance"].astype(np.float64)


def blocks(weights: str) -> tuple[str, ...]:
    """The blocks whose class tokens a probe reads, in the order of its input.

    Raises:
        WeightsError: the probe cannot be opened.
    """
    return tuple(runtime.session(weights).weights.metadata["settings"]["blocks"])


def far(weights: str) -> float:
    """The distance beyond which a probe is not asked.

    Raises:
        WeightsError: the probe cannot be opened.
    """
    return float(runtime.session(weights).weights.metadata["settings"].get("far", FAR))
