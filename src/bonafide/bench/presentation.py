"""Errors of presentation attack detection, at a threshold that was chosen on other files.

Terms of ISO/IEC 30107-3: an attack that is taken for a live face counts for APCER, by species of
attack instrument (print, replay, mask); a live face that is refused counts for BPCER. What papers
pool over species hides the one that passes: the worst is given beside the pooled one. ACER, gone
from the edition of 2023, is given for comparison with papers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bonafide.bench.kernels import check


@dataclass(frozen=True)
class PresentationErrors:
    """Shares in [0, 1], NaN where there are no files of the kind or no threshold.

    Attributes:
        apcer: species → share of its attacks that pass.
        count: species → number of its attacks.
        worst: the species with the largest share, "" without any.
        apcer_worst: its share.
        apcer_pooled: share of all attacks that pass.
        bpcer: share of live faces that are refused.
        acer: mean of `apcer_worst` and `bpcer`.
        hter: mean of `apcer_pooled` and `bpcer`.
    """

    apcer: Mapping[str, float]
    count: Mapping[str, int]
    worst: str
    apcer_worst: float
    apcer_pooled: float
    bpcer: float
    acer: float
    hter: float


def presentation_errors(
    truth: ArrayLike, scores: ArrayLike, species: ArrayLike, threshold: float
) -> PresentationErrors:
    """Errors at a threshold; a score at or above it is called an attack.

    Args:
        truth: (n,) bool, True for an attack.
        scores: (n,) finite floats, larger for an attack.
        species: (n,) names, read of attacks alone.
        threshold: chosen on *other* files; NaN where none could be chosen.

    Raises:
        ValueError: lengths differ, or a score is not finite.
    """
    attack, values = check(truth, scores)
    names = np.asarray(species, np.str_)
    if names.shape != attack.shape:
        raise ValueError(f"{len(names)} species for {len(attack)} files")
    passed = values < threshold
    kinds = sorted({str(name) for name in names[attack]})
    members = {kind: attack & (names == kind) for kind in kinds}
    apcer = {kind: _share(passed, which, threshold) for kind, which in members.items()}
    pooled, bpcer = _share(passed, attack, threshold), _share(~passed, ~attack, threshold)
    worst = max(kinds, key=lambda kind: apcer[kind], default="")
    highest = apcer.get(worst, np.nan)
    return PresentationErrors(
        apcer,
        {kind: int(which.sum()) for kind, which in members.items()},
        worst,
        highest,
        pooled,
        bpcer,
        (highest + bpcer) / 2,
        (pooled + bpcer) / 2,
    )


def _share(hit: NDArray[np.bool_], which: NDArray[np.bool_], threshold: float) -> float:
    return float(hit[which].mean()) if which.any() and not np.isnan(threshold) else float("nan")
