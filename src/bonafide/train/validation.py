"""How well a network answers on pictures of groups that it was not trained on."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional
from torch.utils.data import Dataset

from bonafide.bench.metrics import roc_auc
from bonafide.bench.pixel_metrics import PixelScores, score_picture, summarise
from bonafide.errors import BonafideError
from bonafide.train.batches import (
    Example,
    collate,
    passes,
    validation_batches,
)
from bonafide.train.data import Picture, TrainingData
from bonafide.train.processes import Precision, Processes
from bonafide.train.recipe import Output, Settings


@dataclass(frozen=True)
class Validated:
    """What a validation found.

    Attributes:
        auc: by which the best weights are chosen.
        by_source: of each source, or kind of edit, alone.
        figures: further ones by name.
    """

    auc: float
    by_source: Mapping[str, float]
    figures: Mapping[str, float] = field(default_factory=dict)


class Validation:
    """Tells synthetic and bona fide pictures of held-out groups apart."""

    def __init__(
        self,
        data: TrainingData,
        settings: Settings,
        processes: Processes,
        precision: Precision,
        workers: int,
        views: Callable[[Sequence[int]], Dataset[Example]],
    ) -> None:
        """Take the data, and what shows the network those of given places in `data.validation`."""
        self._pictures = data.validation
        self._views = views(range(processes.rank, len(data.validation), processes.world))
        self._batch, self._workers = _per_pass(settings, processes), workers
        self._processes, self._precision = processes, precision

    def __call__(self, network: nn.Module) -> Validated:
        """The same in every process.

        Raises:
            BonafideError: a logit is not finite.
        """
        scores = self._scores(network)
        return Validated(macro_auc(self._pictures, scores), auc_by_source(self._pictures, scores))

    def _scores(self, network: nn.Module) -> list[float]:
        """One logit for each picture, in order."""
        self._processes.share_weights(network)  # averages of running statistics differ
        network.eval()
        own: list[float] = []
        with torch.inference_mode(), self._precision.autocast():
            for batch in validation_batches(self._views, self._batch, self._workers):
                output: Output = network(batch.pixels.to(self._processes.device))
                own += output.logit.float().cpu().tolist()
        return _finite(_in_order(self._processes.gather(own)))


class MaskValidation:
    """Finds what was edited in samples made of held-out pictures.

    Weights are chosen by the mean pixel AUC of edited samples; every picture counts alike.
    """

    def __init__(
        self,
        samples: Sequence[tuple[Example, str]],
        settings: Settings,
        processes: Processes,
        precision: Precision,
    ) -> None:
        """Take the samples with their kinds."""
        self._samples, self._batch = samples, _per_pass(settings, processes)
        self._processes, self._precision = processes, precision

    def __call__(self, network: nn.Module) -> Validated:
        """The same in every process.

        Raises:
            BonafideError: a logit is not finite.
        """
        self._processes.share_weights(network)
        network.eval()
        own = list(self._outcomes(network))
        outcomes = _in_order(self._processes.gather(own))
        logits = _finite([logit for logit, _ in outcomes])
        scores = [score for _, score in outcomes]
        kinds: dict[str, list[float]] = defaultdict(list)
        for (_, kind), score in zip(self._samples, scores, strict=True):
            if not math.isnan(score.auc):
                kinds[kind].append(score.auc)
        whole = summarise(scores)
        labels = [example.label > 0 for example, _ in self._samples]
        figures = {
            "pixel_f1": whole.f1,
            "pixel_iou": whole.iou,
            "pixel_auc": whole.auc,
            "false_region_rate": whole.false_region_rate,
            "image_auc": roc_auc(labels, logits) if len(set(labels)) == 2 else math.nan,
        }
        by_kind = {kind: float(np.mean(values)) for kind, values in sorted(kinds.items())}
        return Validated(whole.auc, by_kind, figures)

    def _outcomes(self, network: nn.Module) -> Iterator[tuple[float, PixelScores]]:
        """Image logit and pixel scores of this process's share of the samples."""
        own = self._samples[self._processes.rank :: self._processes.world]
        for first in range(0, len(own), self._batch):
            examples = [example for example, _ in own[first : first + self._batch]]
            batch = collate([[example] for example in examples])
            with torch.inference_mode(), self._precision.autocast():
                output: Output = network(batch.pixels.to(self._processes.device))
            assert output.map is not None
            maps = functional.interpolate(
                output.map.float()[:, None], batch.pixels.shape[2:], mode="bilinear"
            )
            shown = maps[:, 0].sigmoid().cpu().numpy()
            for example, logit, heatmap in zip(
                examples, output.logit.float().tolist(), shown, strict=True
            ):
                assert example.mask is not None
                yield logit, score_picture(example.mask, heatmap)


def _per_pass(settings: Settings, processes: Processes) -> int:
    """Pictures that training passes at once, so that validation needs no more memory."""
    return max(1, settings.batch // passes(settings.accumulate, processes.world))


def _in_order(parts: Sequence[Sequence[Any]]) -> list[Any]:
    """What the processes hold of things that were dealt out to them in turn."""
    whole: list[Any] = [None] * sum(len(part) for part in parts)
    for rank, part in enumerate(parts):
        whole[rank :: len(parts)] = part
    return whole


def _finite(scores: list[float]) -> list[float]:
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
