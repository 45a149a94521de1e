"""CPL: which forger made a face, when some of the forgers have never been named.

What it is
    Forged faces of known forgers are labelled, others are not: they may come from known forgers or
    from new ones. A classifier with places for both learns from the labelled ones, and from what
    unlabelled ones say of each other: faces that are near in the whole and in their parts should
    get one answer, and a confident guess is learned as a soft label. New forgers become clusters.

What the paper does
    ResNet-50 at 256, Adam at 2e-4 with decay 1e-5, a fifth of the rate every 10 of 50 passes,
    batches of 128. Cross-entropy with a margin of 0.2 on labelled faces; half of global-local
    voting: the product of two faces' probabilities should be 1, for two of a known class, or for an
    unlabelled face and its nearest neighbour if local parts agree; half of soft pseudo-labels,
    drawn by Gumbel-softmax (temperature 1) and weighted by their probability; less the entropy of
    the mean prediction, so that places are used alike.

What differs here
    Class 0 is bona fide, so that the detector's logit is its odds. Logits are cosines times
    `scale`, as margins need. Local parts are the quarters of the feature map; they agree if half of
    them have the face among their `near` nearest. A source is unlabelled if its name begins with
    "unknown". Places beyond the known ones are for new forgers. `bonafide.bench.attribution` has
    the figures. The later stages of the paper (pretraining, iteration) are left out.

Reference
    Z. Sun, S. Chen, T. Yao et al., "Contrastive Pseudo Learning for Open-World DeepFake
    Attribution", ICCV 2023 (arXiv:2309.11132).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from bonafide.errors import InvalidInput
from bonafide.train import recipe
from bonafide.train.backbones import Backbone, load_backbone
from bonafide.train.data import TrainingData, source_numbers
from bonafide.train.recipe import Batch, Output, Recipe

UNKNOWN = "unknown"
UNLABELLED = -1
QUARTERS = 2  # parts a side


class Network(nn.Module):
    """A backbone and cosines to one direction for each class; class 0 is bona fide."""

    def __init__(self, backbone: Backbone, classes: int, scale: float) -> None:
        super().__init__()
        self.backbone, self.scale = backbone, scale
        self.classes = nn.Parameter(torch.randn(classes, backbone.width))

    def features(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """float32 (N, 3, H, W) in [0, 1] → (N, C) of the whole, (N, parts, C), of unit length."""
        seen = self.backbone(pixels)
        parts = functional.adaptive_avg_pool2d(seen.map, QUARTERS).flatten(2).mT
        return functional.normalize(seen.pooled, dim=1), functional.normalize(parts, dim=2)

    def cosines(self, whole: Tensor) -> Tensor:
        """(N, C) of unit length → (N, classes) in [−1, 1]."""
        return whole @ functional.normalize(self.classes, dim=1).mT

    def attribute(self, pixels: Tensor) -> Tensor:
        """float32 (N, 3, H, W) in [0, 1] → probabilities (N, classes)."""
        return (self.scale * self.cosines(self.features(pixels)[0])).softmax(1)

    def forward(self, pixels: Tensor) -> Output:
        """float32 (N, 3, H, W) in [0, 1] → `Output` without a map: odds of any forger."""
        whole = functional.normalize(self.backbone(pixels).pooled, dim=1)
        logits = self.scale * self.cosines(whole)
        return Output(logits[:, 1:].logsumexp(1) - logits[:, 0])


def voted(whole: Tensor, parts: Tensor, near: int) -> tuple[Tensor, Tensor]:
    """The nearest other face of each, and whether its parts agree.

    Args:
        whole: (N, C) of unit length.
        parts: (N, parts, C) of unit length.
        near: how many neighbours of a part count.

    Returns:
        int64 (N,); bool (N,).
    """
    own = torch.eye(len(whole), dtype=torch.bool, device=whole.device)
    nearest = (whole @ whole.mT).masked_fill(own, -2).argmax(1)
    alike = torch.einsum("ipc,jpc->pij", parts, parts).masked_fill(own, -2)
    best = alike.topk(min(near, len(whole) - 1), 2).indices  # (parts, N, near)
    votes = (best == nearest[None, :, None]).any(2).float().mean(0)
    return nearest, votes >= 0.5


def partners(target: Tensor, nearest: Tensor, agreed: Tensor) -> tuple[Tensor, Tensor]:
    """Pairs that should get one answer: rows, and the row that each is paired with.

    A labelled face is paired with the next one of its class, an unlabelled one with its neighbour
    if that was agreed on.
    """
    count = len(target)
    same = (target[:, None] == target[None]) & (target[:, None] >= 0)
    ahead = (torch.arange(count, device=target.device)[None] - 1
             - torch.arange(count, device=target.device)[:, None]) % count  # fmt: skip
    following = ahead.masked_fill(~same, count).argmin(1)
    labelled = target >= 0
    other = torch.where(labelled, following, nearest)
    rows = torch.arange(count, device=target.device)
    used = torch.where(labelled, other != rows, agreed)
    return rows[used], other[used]


@dataclass(frozen=True)
class Settings(recipe.Settings):
    """The paper's; see `bonafide.train.recipe.Settings` for the shared ones.

    Attributes:
        backbone: a folder with a vision model, or its name on the hub.
        download: whether the backbone may be fetched from the hub.
        classes: bona fide, known forgers, and places for new ones.
        scale: of cosines in the logits.
        margin: that a labelled face's cosine must exceed the others by.
        near: neighbours of a part among which an agreed face must be.
        voting, pseudo, spread: weights of the terms beside cross-entropy.
    """

    batch: int = 128
    crop: int = 256
    learning_rate: float = 2e-4
    weight_decay: float = 1e-5
    backbone: str = "microsoft/resnet-50"
    download: bool = False
    classes: int = 40
    scale: float = 10.0
    margin: float = 0.2
    near: int = 5
    voting: float = 0.5
    pseudo: float = 0.5
    spread: float = 1.0


class Method(Recipe):
    """Cross-entropy of the known, voting, soft pseudo-labels, spread predictions."""

    id = "cpl"
    title = "Attribution of forged faces to known and new forgers"
    paper = (
        "Z. Sun et al., Contrastive Pseudo Learning for Open-World DeepFake Attribution, ICCV 2023"
    )
    Settings = Settings
    _class_of: Mapping[int, int] = {}  # source number → class of a forged face of that source

    def read_data(self, data: TrainingData) -> None:
        """Give each named source of forged faces a class, in alphabetical order.

        Raises:
            InvalidInput: there are more of them than classes.
        """
        numbers = source_numbers(data)
        every = (*data.pictures, *(pair.twin for pair in data.pairs))
        named = sorted({one.source for one in every if one.positive})
        known = [name for name in named if not name.startswith(UNKNOWN)]
        if 1 + len(known) > self.settings.classes:
            raise InvalidInput(f"--set classes={1 + len(known)} or more is needed")
        self._class_of = {numbers[name]: place for place, name in enumerate(known, 1)}

    def target(self, batch: Batch) -> Tensor:
        """Classes of a batch, int64 (N,); `UNLABELLED` for faces of unknown forgers."""
        found = [
            self._class_of.get(source, UNLABELLED) if label > 0 else 0
            for source, label in zip(
                batch.extra["source"].tolist(), batch.label.tolist(), strict=True
            )
        ]
        return torch.tensor(found, device=batch.label.device)

    def network(self) -> Network:
        """The backbone with fresh classes.

        Raises:
            InvalidInput: the backbone is not on this machine.
        """
        wanted = self.settings
        backbone = load_backbone(wanted.backbone, wanted.download)
        return Network(backbone, wanted.classes, wanted.scale)

    def loss(self, network: nn.Module, batch: Batch) -> tuple[Tensor, Mapping[str, float]]:
        """The four terms of the paper."""
        tuned, wanted = cast(Network, network), self.settings
        target = self.target(batch)
        whole, parts = tuned.features(batch.pixels)
        cosines = tuned.cosines(whole)
        chance = (wanted.scale * cosines).softmax(1)
        labelled = target >= 0
        terms = {}
        if labelled.any():
            own = functional.one_hot(target[labelled], wanted.classes)
            logits = wanted.scale * (cosines[labelled] - wanted.margin * own)
            terms["known"] = functional.cross_entropy(logits, target[labelled])
        rows, others = partners(target, *voted(whole.detach(), parts.detach(), wanted.near))
        if wanted.voting and len(rows):
            agreement = (chance[rows] * chance[others]).sum(1).clamp(1e-6, 1)
            terms["voting"] = -wanted.voting * agreement.log().mean()
        if wanted.pseudo and not labelled.all():
            terms["pseudo"] = wanted.pseudo * pseudo(wanted.scale * cosines[~labelled])
        if wanted.spread:
            mean = chance.mean(0).clamp_min(1e-6)
            terms["spread"] = wanted.spread * (mean * mean.log()).sum()
        total = torch.stack(list(terms.values())).sum()
        return total, {name: float(term.detach()) for name, term in terms.items()}

    def rate(self, step: int) -> float:
        """A fifth of the rate after each fifth of the steps."""
        return float(0.2 ** (5 * step // self.settings.steps))

    def optimiser(self, network: nn.Module) -> torch.optim.Optimizer:
        """Adam with L2 decay in the gradient, as the paper trains."""
        return torch.optim.Adam(
            network.parameters(),
            lr=self.settings.learning_rate,
            weight_decay=self.settings.weight_decay,
        )


def pseudo(logits: Tensor) -> Tensor:
    """Cross-entropy of drawn labels, each weighted by its probability.

    Args:
        logits: (N, classes) of unlabelled faces.
    """
    drawn = functional.gumbel_softmax(logits.detach(), tau=1.0, hard=True)
    likelihood = (drawn * logits.log_softmax(1)).sum(1)
    return -(likelihood.detach().exp() * likelihood).mean()
