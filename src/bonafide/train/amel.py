"""AMEL: an expert for each source of faces, and for a new source a mixture of those that fit.

What it is
    A network that all sources share, and beside it one small expert per source, which keeps what is
    particular to it. A picture of a source that was never seen is described by a mixture of the
    experts, weighted by how much it resembles their sources. Training plays this: one source is
    treated as new, its own expert is left out, and the mixture of the others has to do.

What the paper does
    Its abstract could be read, and that its losses are cross-entropy, depth and a consistency of
    features, on the depth network of face anti-spoofing. Domain-specific experts complement common
    features; dynamic expert aggregation weights them by the relevance of their domain; both are
    trained together by meta-learning. Weights and the inner step are not given there.

What differs here
    Layers and weights are our own. An expert is a bottleneck of two convolutions, added to the
    common features. Relevance is a linear layer on the mean of the common features, also asked to
    name the source. The meta-step is of first order: weights are moved against the loss of the
    other sources, and the loss of the new source there gives its gradient to the weights as they
    are. The mixture of a source that is treated as new is asked to be what its own expert gives.
    The relief of a live face is half an ellipsoid (`bonafide.train.depth_net`).

Reference
    Q. Zhou, K.-Y. Zhang, T. Yao, R. Yi, S. Ding, L. Ma, "Adaptive Mixture of Experts Learning for
    Generalizable Face Anti-Spoofing", ACM MM 2022 (arXiv:2207.09868); C. Finn, P. Abbeel,
    S. Levine, "Model-Agnostic Meta-Learning", ICML 2017.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional

from bonafide.errors import InvalidInput
from bonafide.train import recipe
from bonafide.train.augment import Chain, Pixels, Step, crop, light, mirror
from bonafide.train.depth_net import WIDTH, Heads, Trunk, depth_loss
from bonafide.train.recipe import Batch, Output, Recipe


class Taken(NamedTuple):
    """What the network makes of a batch.

    Attributes:
        common: float (N, C, h, w), what all sources share.
        experts: float (N, K, C, h, w), what each expert adds.
        relevance: float (N, K) logits; −inf for an expert whose source was never seen.
    """

    common: Tensor
    experts: Tensor
    relevance: Tensor


class Network(nn.Module):
    """A trunk, an expert per source, their relevance, and heads.

    Args:
        width: channels of each scale of the trunk.
        sources: experts.

    Attributes:
        seen: bool (sources,), whether there were pictures of a source.
    """

    seen: Tensor

    def __init__(self, width: int, sources: int) -> None:
        super().__init__()
        self.trunk = Trunk(width)
        channels = self.trunk.width
        self.experts = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(channels, width, 3, padding=1),
                nn.ReLU(),
                nn.Conv2d(width, channels, 3, padding=1),
            )
            for _ in range(sources)
        )
        self.relevance = nn.Linear(channels, sources)
        self.heads = Heads(channels, width)
        self.register_buffer("seen", torch.zeros(sources, dtype=torch.bool))

    def taken(self, pixels: Tensor) -> Taken:
        """float32 (N, 3, H, W) in [0, 1] → `Taken`."""
        common = self.trunk(pixels)
        added = torch.stack([expert(common) for expert in self.experts], 1)
        near = self.relevance(common.mean((2, 3)))
        # Before any training all experts count.
        known = self.seen | ~self.seen.any()
        return Taken(common, added, near.masked_fill(~known, -torch.inf))

    def forward(self, pixels: Tensor) -> Output:
        """float32 (N, 3, H, W) in [0, 1] → `Output` without a map."""
        taken = self.taken(pixels)
        return Output(self.heads.logit(taken.common + mixture(taken.experts, taken.relevance)))


class _Taken(nn.Module):
    """What a network takes, as a call, so that its weights can be replaced for it."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network

    def forward(self, pixels: Tensor) -> Taken:
        return self.network.taken(pixels)


def mixture(experts: Tensor, relevance: Tensor) -> Tensor:
    """Experts (N, K, C, h, w) weighted by the softmax of their relevance (N, K) → (N, C, h, w)."""
    weights = relevance.softmax(1)
    return (weights[:, :, None, None, None] * experts).sum(1)


def without(relevance: Tensor, source: int) -> Tensor:
    """Relevance (N, K) in which one source has no expert."""
    own = functional.one_hot(torch.tensor(source), relevance.shape[1]).bool()
    return relevance.masked_fill(own.to(relevance.device), -torch.inf)


def own_expert(experts: Tensor, source: Tensor) -> Tensor:
    """What the expert of its own source adds to each picture: (N, C, h, w)."""
    return experts[torch.arange(len(source), device=source.device), source]


@dataclass(frozen=True)
class Settings(recipe.Settings):
    """Our own choice; see `bonafide.train.recipe.Settings` for the shared ones.

    Attributes:
        width: channels of each scale of the trunk.
        sources: experts; sources of the training data, at least 2.
        inner: how far weights are moved against the loss of the other sources.
        depth: weight of the depth.
        naming: weight of the cross-entropy of the source's number.
        consistency: weight of the distance between the mixture and the own expert.
    """

    batch: int = 24
    steps: int = 20_000
    crop: int = 256
    learning_rate: float = 1e-4
    width: int = WIDTH
    sources: int = 3
    inner: float = 1e-3
    depth: float = 0.1
    naming: float = 0.1
    consistency: float = 0.1


class Method(Recipe):
    """Every source by its own expert; one of them, played as new, by the others."""

    id = "amel"
    title = "Liveness: an expert for each source, mixed for a new one"
    paper = "Q. Zhou et al., Adaptive Mixture of Experts Learning for Face Anti-Spoofing, MM 2022"
    Settings = Settings

    def network(self) -> Network:
        """A fresh network.

        Raises:
            InvalidInput: fewer than two experts, or too narrow a trunk.
        """
        wanted = self.settings
        if wanted.sources < 2 or wanted.width < 4:
            raise InvalidInput(
                f"amel needs sources=2 and width=4 or more, not {wanted.sources} and {wanted.width}"
            )
        return Network(wanted.width, wanted.sources)

    def loss(self, network: nn.Module, batch: Batch) -> tuple[Tensor, Mapping[str, float]]:
        """The sources by their experts, then one of them as if it were new."""
        tuned, wanted = cast(Network, network), self.settings
        source = batch.extra["source"]
        if int(source.max()) >= wanted.sources:
            raise InvalidInput(f"--set sources={int(source.max()) + 1} or more is needed")
        present = sorted(set(source.tolist()))
        if tuned.training:
            tuned.seen[present] = True
        new = present[int(torch.randint(len(present), ()))] if len(present) > 1 else -1
        known = source != new
        seen = _Taken(tuned)
        terms = self.by_own(tuned, seen(batch.pixels), batch, known)
        if new >= 0:
            inner = torch.stack(list(terms.values())).sum()
            moved = self.moved(seen, inner)
            taken = functional_call(seen, moved, (batch.pixels[~known],))
            terms |= self.by_others(tuned, taken, batch.label[~known], new)
        total = torch.stack(list(terms.values())).sum()
        return total, {name: float(term.detach()) for name, term in terms.items()}

    def by_own(
        self, network: Network, taken: Taken, batch: Batch, known: Tensor
    ) -> dict[str, Tensor]:
        """Losses of the pictures in `known` (N,), each by the expert of its source."""
        source, label = batch.extra["source"], batch.label[known]
        joint = (taken.common + own_expert(taken.experts, source))[known]
        naming = functional.cross_entropy(taken.relevance, source)
        return {
            "bce": _bce(network.heads.logit(joint), label),
            "depth": self.settings.depth * depth_loss(network.heads.relief(joint), label),
            "naming": self.settings.naming * naming,
        }

    def by_others(
        self, network: Network, taken: Taken, label: Tensor, new: int
    ) -> dict[str, Tensor]:
        """Losses of the pictures of one source by the experts of the others."""
        mixed = mixture(taken.experts, without(taken.relevance, new))
        joint = taken.common + mixed
        own = taken.experts[:, new].detach()
        return {
            "new bce": _bce(network.heads.logit(joint), label),
            "new depth": self.settings.depth * depth_loss(network.heads.relief(joint), label),
            "consistency": self.settings.consistency * functional.mse_loss(mixed, own),
        }

    def moved(self, seen: nn.Module, loss: Tensor) -> dict[str, Tensor]:
        """Weights one step down `loss`; gradients there reach the originals."""
        weights = dict(seen.named_parameters())
        slopes = torch.autograd.grad(
            loss, list(weights.values()), retain_graph=True, allow_unused=True
        )
        return {
            name: weight if slope is None else weight - self.settings.inner * slope
            for (name, weight), slope in zip(weights.items(), slopes, strict=True)
        }

    def optimiser(self, network: nn.Module) -> torch.optim.Optimizer:
        """Adam with L2 decay in the gradient."""
        return torch.optim.Adam(
            network.parameters(),
            lr=self.settings.learning_rate,
            weight_decay=self.settings.weight_decay,
        )

    def augment(self) -> Chain[Pixels]:
        """Mirroring, crops and light."""
        return Chain(
            (
                Step("mirror", 0.5, mirror),
                Step("crop", 1.0, partial(crop, side=self.settings.crop)),
                Step("light", 0.5, partial(light, strength=0.1)),
            )
        )


def _bce(logit: Tensor, label: Tensor) -> Tensor:
    return functional.binary_cross_entropy_with_logits(logit, label)
