"""A stretch of time in which a score differs from the rest.

The stretch is the one whose mean lies farthest above the mean of the rest, measured in standard
errors (the scan statistic of one change and its return). Scores of frames are noisy and often
drift, so a stretch counts only if that distance is large.

Source: A. B. Olshen, E. S. Venkatraman, R. Lucito, M. Wigler, "Circular binary segmentation for the
analysis of array-based DNA copy number data", Biostatistics 5, 2004.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

LEAST = 4  # values inside, and outside, of a stretch
DISTINCT = 6.0  # standard errors from which a stretch is told


@dataclass(frozen=True)
class Stretch:
    """A stretch of higher values.

    Attributes:
        start, end: seconds; each lies half way between the values on its two sides.
        inside, outside: mean values.
        distance: between them, in standard errors.
    """

    start: float
    end: float
    inside: float
    outside: float
    distance: float


def highest_stretch(
    times: NDArray[np.float64],
    values: NDArray[np.float64],
    distinct: float = DISTINCT,
    least_noise: float = 1e-6,
) -> Stretch | None:
    """The stretch that stands out most; None where none does.

    Args:
        times: (n,) seconds, rising.
        values: (n,) finite.
        distinct: standard errors from which a stretch is told.
        least_noise: deviation of neighbours that is assumed at least.
    """
    count = len(values)
    if count < 2 * LEAST:
        return None
    sums = np.concatenate([[0.0], np.cumsum(values)])
    # From the first value of a stretch to the one after its last.
    first, last = np.triu_indices(count + 1, LEAST)
    length = last - first
    kept = length <= count - LEAST
    first, last, length = first[kept], last[kept], length[kept]
    inside = (sums[last] - sums[first]) / length
    outside = (sums[-1] - sums[last] + sums[first]) / (count - length)
    # Noise from neighbours, so that the stretch itself does not count as noise.
    noise = max(float(np.median(np.abs(np.diff(values)))) / 0.954, least_noise)
    error = noise * np.sqrt(1.0 / length + 1.0 / (count - length))
    distance = (inside - outside) / error
    best = int(np.argmax(distance))
    if distance[best] < distinct:
        return None
    edges = np.concatenate([[times[0]], (times[1:] + times[:-1]) / 2, [times[-1]]])
    return Stretch(
        float(edges[first[best]]),
        float(edges[last[best]]),
        float(inside[best]),
        float(outside[best]),
        float(distance[best]),
    )
