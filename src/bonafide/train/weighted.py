"""Drawing pictures by source, so that large sources do not drown small ones."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np


class Weighted:
    """Pictures of one class, or pairs, drawn by source."""

    def __init__(self, sources: Sequence[str], exponent: float) -> None:
        members: dict[str, list[int]] = defaultdict(list)
        for index, source in enumerate(sources):
            members[source].append(index)
        self._members = [members[source] for source in sorted(members)]
        weights = np.array([len(group) for group in self._members], np.float64) ** exponent
        self._bounds = np.cumsum(weights) / weights.sum()

    def draw(self, random: np.random.Generator) -> int:
        """An index into the sources given."""
        chance, place = random.random(2)
        group = self._members[int(np.searchsorted(self._bounds[:-1], chance, "right"))]
        return group[int(place * len(group))]
