"""Re-balanced contrast: live faces, of which there are few, against attacks, of which many.

What it is
    A classifier whose features are also compared with each other: those of one class should lie
    together and apart from the other's, over the batch and a memory of the last batches. Live faces
    are drawn as often as attacks, however few they are, and count for more in the comparison, where
    two pictures of one source count for less, since they are alike for other reasons.

What the paper does
    The winner of a contest on HySpeFAS, pictures of 30 spectral bands beside red, green and blue:
    copies of live faces until the classes are balanced, mixup within a class, random masks, a
    network of several attention maps with weights for the bands, focal loss + 10 times supervised
    contrast (temperature 0.07) with a memory across batches, live faces weighted. Its error on that
    set is 0.0000, so that the set says no more.

What differs here
    Red, green and blue alone: spectral bands cannot be read from a manifest, and a plain ResNet-50
    stands in for the attention network. The weights of live faces are our own: `live` for a live
    anchor, and `same` for a live companion from the anchor's source. Copies are made by the loader,
    which draws both classes alike. `part` is the largest side of the mask.

Reference
    C. Song, Y. Hong, J. Lan, H. Zhu, W. Wang, J. Zhang, "Supervised Contrastive Learning for
    Snapshot Spectral Imaging Face Anti-Spoofing", CVPR Workshops 2024 (arXiv:2405.18853);
    P. Khosla et al., "Supervised Contrastive Learning", NeurIPS 2020; X. Wang et al., "Cross-Batch
    Memory for Embedding Learning", CVPR 2020; T.-Y. Lin et al., "Focal Loss", ICCV 2017.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from bonafide.errors import InvalidInput
from bonafide.train import recipe
from bonafide.train.augment import Chain, Pixels, Random, Step, crop, mirror
from bonafide.train.backbones import Backbone, load_backbone
from bonafide.train.recipe import Batch, Output, Recipe

FOCUS = 2.0  # power of the focal loss


class Memory(nn.Module):
    """Features of the last batches, the oldest overwritten first.

    Args:
        size: rows.
        width: of a row.

    Attributes:
        rows: float32 (size, width) of unit length.
        label: float32 (size,); source: int64 (size,); of a row that was never written −1.
        place: int64, where the next one goes.
    """

    rows: Tensor
    label: Tensor
    source: Tensor
    place: Tensor

    def __init__(self, size: int, width: int) -> None:
        super().__init__()
        self.register_buffer("rows", torch.zeros(size, width))
        self.register_buffer("label", torch.full((size,), -1.0))
        self.register_buffer("source", torch.full((size,), -1))
        self.register_buffer("place", torch.zeros((), dtype=torch.int64))

    @torch.no_grad()
    def note(self, rows: Tensor, label: Tensor, source: Tensor) -> None:
        """Write (N, width), (N,) and (N,)."""
        size = len(self.rows)
        kept = slice(max(0, len(rows) - size), None)
        places = (self.place + torch.arange(len(rows[kept]), device=rows.device)) % size
        self.rows[places] = rows[kept].float()
        self.label[places] = label[kept]
        self.source[places] = source[kept]
        self.place.copy_((self.place + len(places)) % size)


class Network(nn.Module):
    """A backbone, a linear head, a projection that is compared, and the memory."""

    def __init__(self, backbone: Backbone, projected: int, memory: int) -> None:
        super().__init__()
        self.backbone = backbone
        self.head = nn.Linear(backbone.width, 1)
        self.projection = nn.Sequential(
            nn.Linear(backbone.width, backbone.width),
            nn.ReLU(),
            nn.Linear(backbone.width, projected),
        )
        self.memory = Memory(memory, projected)

    def embed(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """float32 (N, 3, H, W) in [0, 1] → logits (N,), and (N, projected) of unit length."""
        features = self.backbone(pixels).pooled
        return self.head(features).squeeze(1), functional.normalize(
            self.projection(features), dim=1
        )

    def forward(self, pixels: Tensor) -> Output:
        """float32 (N, 3, H, W) in [0, 1] → `Output` without a map."""
        return Output(self.head(self.backbone(pixels).pooled).squeeze(1))


def focal(logit: Tensor, label: Tensor) -> Tensor:
    """Mean of (1 − p)² · cross-entropy, p the probability of the true class; (N,) and (N,)."""
    lost = functional.binary_cross_entropy_with_logits(logit, label, reduction="none")
    return ((1 - torch.exp(-lost)) ** FOCUS * lost).mean()


def contrast(
    rows: Tensor,
    label: Tensor,
    source: Tensor,
    memory: Memory,
    temperature: float,
    live: float,
    same: float,
) -> Tensor:
    """Supervised contrast of a batch against itself and the memory, live anchors weighted.

    For each anchor: −Σ w_p log softmax(⟨a, p⟩ / temperature) / Σ w_p over companions p of its
    class, w_p = `same` for a live one of the anchor's source, else 1. The mean over anchors has
    weight `live` for live ones. 0 without companions.

    Args:
        rows: float (N, width) of unit length.
        label, source: (N,).
        memory: what to compare with besides.
        temperature: of the softmax.
        live, same: weights.
    """
    others = torch.cat([rows, memory.rows.to(rows.dtype)])
    labels = torch.cat([label, memory.label])
    sources = torch.cat([source, memory.source])
    itself = torch.zeros(len(rows), len(others), dtype=torch.bool, device=rows.device)
    itself.fill_diagonal_(True)
    there = (labels >= 0)[None] & ~itself
    near = (rows @ others.mT / temperature).masked_fill(~there, -torch.inf)
    logs = near - near.logsumexp(1, keepdim=True)
    companions = there & (labels[None] == label[:, None])
    alike = (source[:, None] == sources[None]) & (label[:, None] < 0.5)
    weights = companions.to(rows.dtype) * torch.where(alike, same, 1.0)
    total = weights.sum(1)
    anchors = total > 0
    if not anchors.any():
        return rows.sum() * 0
    lost = -(weights * logs.masked_fill(~companions, 0)).sum(1)[anchors] / total[anchors]
    importance = torch.where(label < 0.5, live, 1.0)[anchors]
    return (importance * lost).sum() / importance.sum()


def mixed_within(pixels: Tensor, label: Tensor, most: float) -> Tensor:
    """Each picture mixed with another of its class, at most `most` of it.

    Args:
        pixels: float (N, C, H, W).
        label: (N,).
        most: in [0, 1].
    """
    place = torch.arange(len(label), device=label.device)
    for value in sorted(set(label.tolist())):
        own = (label == value).nonzero()[:, 0]
        place[own] = own[torch.randperm(len(own), device=label.device)]
    share = most * torch.rand(len(label), 1, 1, 1, device=pixels.device)
    return (1 - share) * pixels + share * pixels[place]


def masked(pixels: Pixels, random: Random, part: float) -> Pixels:
    """A rectangle of at most `part` of each side made black."""
    height, width = pixels.shape[:2]
    high, wide = (max(1, int(part * random.random() * side)) for side in (height, width))
    top, left = int(random.random() * (height - high)), int(random.random() * (width - wide))
    found = np.array(pixels)
    found[top : top + high, left : left + wide] = 0
    return found


@dataclass(frozen=True)
class Settings(recipe.Settings):
    """The paper's where it gives them; see `bonafide.train.recipe.Settings` for the shared ones.

    Attributes:
        backbone: a folder with a vision model, or its name on the hub.
        download: whether the backbone may be fetched from the hub.
        projected: width of the features that are compared.
        memory: features of earlier batches.
        temperature: of the contrast.
        contrast: weight of the contrast.
        live: weight of live anchors.
        same: weight of a live companion of the anchor's own source.
        mix: largest share of another picture of the class.
        part: largest side of the mask, as a share of the crop.
    """

    batch: int = 64
    steps: int = 20_000
    learning_rate: float = 1e-4
    backbone: str = "microsoft/resnet-50"
    download: bool = False
    projected: int = 128
    memory: int = 1024
    temperature: float = 0.07
    contrast: float = 10.0
    live: float = 2.0
    same: float = 0.5
    mix: float = 0.3
    part: float = 0.4


class Method(Recipe):
    """Focal loss, and contrast over batch and memory in which live faces weigh more."""

    id = "rebalanced"
    title = "Liveness: supervised contrast with a memory, live faces weighted"
    paper = "C. Song et al., Supervised Contrastive Learning for Snapshot Spectral Imaging, 2024"
    Settings = Settings

    def network(self) -> Network:
        """The backbone with fresh heads and an empty memory.

        Raises:
            InvalidInput: the backbone is not on this machine; or there is no memory or temperature.
        """
        wanted = self.settings
        if wanted.memory < 1 or wanted.temperature <= 0:
            raise InvalidInput("memory must be at least 1 and temperature more than 0")
        backbone = load_backbone(wanted.backbone, wanted.download)
        return Network(backbone, wanted.projected, wanted.memory)

    def loss(self, network: nn.Module, batch: Batch) -> tuple[Tensor, Mapping[str, float]]:
        """Focal loss and the weighted contrast."""
        tuned, wanted = cast(Network, network), self.settings
        source = batch.extra["source"]
        pixels = mixed_within(batch.pixels, batch.label, wanted.mix)
        logit, rows = tuned.embed(pixels)
        with torch.autocast(rows.device.type, enabled=False):
            near = contrast(
                rows.float(), batch.label, source, tuned.memory,
                wanted.temperature, wanted.live, wanted.same,
            )  # fmt: skip
        if tuned.training:
            tuned.memory.note(rows, batch.label, source)
        terms = {"focal": focal(logit, batch.label), "contrast": wanted.contrast * near}
        total = torch.stack(list(terms.values())).sum()
        return total, {name: float(term.detach()) for name, term in terms.items()}

    def augment(self) -> Chain[Pixels]:
        """Mirroring, crops and a mask."""
        return Chain(
            (
                Step("mirror", 0.5, mirror),
                Step("crop", 1.0, partial(crop, side=self.settings.crop)),
                Step("mask", 0.5, partial(masked, part=self.settings.part)),
            )
        )
