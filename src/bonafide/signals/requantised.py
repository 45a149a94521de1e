"""What a histogram of quantised JPEG coefficients looks like after one save, and after two.

Source: T. Bianchi, A. Piva, "Image Forgery Localization via Block-Grained Analysis of JPEG
Artifacts", IEEE TIFS 7(3), 2012, equation 7.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from bonafide.signals.heavy import scipy

if TYPE_CHECKING:
    from numpy.typing import NDArray

LARGEST = 32  # quantised values beyond are too rare to count
# Standard deviation of what rounding pixels between two saves does to a coefficient.
ROUNDING = 0.5


def _mass(
    below: NDArray[np.float64], start: NDArray[np.float64], stop: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Mass of |coefficient| in [start, stop) under cumulative half-level counts."""
    edges = (np.arange(len(below)) + 0.5) / 2
    upper = np.interp(stop, edges, below, left=0.0)
    mass: NDArray[np.float64] = upper - np.interp(np.maximum(start, 0), edges, below, left=0.0)
    return mass


def _normalised(mass: NDArray[np.float64]) -> NDArray[np.float64]:
    floored: NDArray[np.float64] = mass + 1e-5 * mass.sum() + 1e-12
    floored /= floored.sum()
    return floored


def single(below: NDArray[np.float64], step: int) -> NDArray[np.float64]:
    """Probability of |c| = 1…LARGEST after one save, given c ≠ 0."""
    values = np.arange(1.0, LARGEST + 1)
    return _normalised(_mass(below, (values - 0.5) * step, (values + 0.5) * step))


def twice(below: NDArray[np.float64], earlier: int, step: int) -> NDArray[np.float64]:
    """The same after a save with `earlier` and one with `step` (Bianchi and Piva 2012, eq. 7)."""
    transfer, multiples = _transfer(earlier, step)
    weights = _mass(below, (multiples - 0.5) * earlier, (multiples + 0.5) * earlier)
    return _normalised(transfer @ weights)


@lru_cache(maxsize=2048)  # few pairs of steps recur in all pictures
def _transfer(earlier: int, step: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Chance that the k-th multiple of `earlier` is saved as 1…LARGEST times `step`; all k."""
    values = np.arange(1, LARGEST + 1)[:, None]
    multiples = np.arange(float(int((LARGEST + 1) * step / earlier) + 2))
    centres = multiples * float(earlier)
    upper = scipy.special.ndtr(((values + 0.5) * step - centres) / ROUNDING)
    lower = scipy.special.ndtr(((values - 0.5) * step - centres) / ROUNDING)
    transfer = upper - lower
    transfer[:, 0] /= 2  # the zero bin holds both signs
    transfer.flags.writeable = multiples.flags.writeable = False
    return transfer, multiples
