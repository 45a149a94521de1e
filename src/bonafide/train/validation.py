"""How well a network tells pictures of sources apart that it was not trained on."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence

import numpy as np
import torch
from torch import nn

from bonafide.bench.metrics import roc_auc
from bonafide.errors import BonafideError
from bonafide.train.batches import Views, histories, validation_batches
from bonafide.train.data import Picture, TrainingData
from bonafide.train.processes import Precision, Processes
from bonafide.train.recipe import Output, Settings


class Validation:
    """Scores of the held-out pictures, divided among processes."""

    def __init__(
        self,
        data: TrainingData,
        settings: Settings,
        processes: Processes,
        precision: Precision,
        workers: int,
    ) -> None:
        own = range(processes.rank, len(data.validation), processes.world)
        self._views = Views(data.validation, own, settings.crop, histories(data), settings.seed)
        self._count, self._batch, self._workers = len(data.validation), settings.batch, workers
        self._processes, self._precision = processes, precision

    def __call__(self, network: nn.Module) -> list[float]:
        """One logit for each picture, in order, from every process alike.

        Raises:
            BonafideError: a logit is not finite.
        """
        self._processes.share_weights(network)  # averages of running statistics differ
        network.eval()
        own: list[float] = []
        with torch.inference_mode(), self._precision.autocast():
            for batch in validation_batches(self._views, self._batch, self._workers):
                output: Output = network(batch.pixels.to(self._processes.device))
                own += output.logit.float().cpu().tolist()
        scores = [math.nan] * self._count
        for rank, part in enumerate(self._processes.gather(own)):
            scores[rank :: self._processes.world] = part
        if not np.isfinite(scores).all():
            raise BonafideError("a logit of the validation is not finite; lower learning_rate")
        return scores


def macro_auc(pictures: Sequence[Picture], scores: Sequence[float]) -> float:
    """Mean AUC over all pairs of a synthetic and a bona fide source, so that each counts alike."""
    return float(np.mean(list(_between(pictures, scores).values())))


def auc_by_source(pictures: Sequence[Picture], scores: Sequence[float]) -> dict[str, float]:
    """Mean AUC of each source against each source of the other class."""
    against: dict[str, list[float]] = defaultdict(list)
    for sources, auc in _between(pictures, scores).items():
        for source in sources:
            against[source].append(auc)
    return {source: float(np.mean(values)) for source, values in sorted(against.items())}


def _between(pictures: Sequence[Picture], scores: Sequence[float]) -> dict[tuple[str, str], float]:
    """(synthetic source, bona fide source) → AUC."""
    by_source: dict[tuple[bool, str], list[float]] = defaultdict(list)
    for picture, value in zip(pictures, scores, strict=True):
        by_source[picture.positive, picture.source].append(value)
    sides = {side: [key for key in sorted(by_source) if key[0] is side] for side in (True, False)}
    return {
        (made[1], real[1]): roc_auc(
            [True] * len(by_source[made]) + [False] * len(by_source[real]),
            [*by_source[made], *by_source[real]],
        )
        for made in sides[True]
        for real in sides[False]
    }
