"""IADG: features of a face that do not depend on the style of each single picture.

What it is
    A network of face anti-spoofing that takes no label of a domain. Half of its last kernels are
    made anew from each picture. Features are painted with styles of other pictures of the same
    class, and those products of two channels that change most between a picture and its re-styled
    copy are pushed to zero: they carry style, not class.

What the paper does
    Faces at 256 with a margin of 0.7. Depth of 32² is asked for beside the class, zero for an
    attack. Features of three scales are pooled to 32² and joined to 384 channels. Dynamic kernel
    generator: half of the channels meet a depthwise kernel made from the picture, half a static
    3×3. Categorical style assembly: 128 styles per class, chosen by farthest-point sampling and
    chosen again in each epoch, are mixed with weights of Dirichlet(1/128, …), in two residual
    re-stylings. Asymmetric instance adaptive whitening: of the covariances of each picture the
    0.3 % (live) and 0.06 % (attack) that vary most between both views are suppressed.
    Cross-entropy + 0.1 depth + whitening, on both views. Adam at 1e-4 with L2 decay 1e-5, times
    0.1 every ten epochs, batches of five of each class and domain.

What differs here
    The relief of a live face is half an ellipsoid, since there is no network for dense landmarks
    here (`bonafide.train.depth_net`). Styles are chosen again after `refresh` steps, from the last
    `pool` of each class, since a step knows no epoch. The rate stays constant unless
    `--set schedule=cosine`. One logit instead of two. A batch is balanced by class and drawn over
    sources, not five of each. Weights of the authors, chosen on the target, are not used.

Reference
    Q. Zhou, K.-Y. Zhang, T. Yao, X. Lu, R. Yi, S. Ding, L. Ma, "Instance-Aware Domain
    Generalization for Face Anti-Spoofing", CVPR 2023 (arXiv:2304.05640).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import ClassVar, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from bonafide.errors import InvalidInput
from bonafide.train import recipe
from bonafide.train.augment import Chain, Pixels, Step, crop, light, mirror
from bonafide.train.depth_net import WIDTH, Heads, Trunk, depth_loss
from bonafide.train.recipe import Batch, Output, Recipe

TINY = 1e-5  # added to a variance under its root


class DynamicKernel(nn.Module):
    """Half of the channels through a kernel made from the picture, half through a static one.

    Args:
        channels: of features before and after; even.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        half = channels // 2
        self.static = nn.Conv2d(half, half, 3, padding=1)
        self.maker = nn.Sequential(nn.Linear(half, half), nn.ReLU(), nn.Linear(half, 9 * half))
        self.after = nn.Sequential(nn.BatchNorm2d(channels), nn.ReLU())

    def kernels(self, dynamic: Tensor) -> Tensor:
        """(N, half, h, w) → depthwise kernels (N, half, 3, 3), one set per picture."""
        made: Tensor = self.maker(dynamic.mean((2, 3)))
        return made.reshape(-1, dynamic.shape[1], 3, 3)

    def forward(self, features: Tensor) -> Tensor:
        """(N, channels, h, w) → the same shape."""
        dynamic, static = features.chunk(2, 1)
        kernels = self.kernels(dynamic)
        height, width = dynamic.shape[2:]
        padded = functional.pad(dynamic, (1, 1, 1, 1))
        # Nine shifted products: groups that depend on the batch cannot be exported.
        products = [
            padded[:, :, y : y + height, x : x + width] * kernels[:, :, y, x, None, None]
            for y in range(3)
            for x in range(3)
        ]
        joined = torch.cat([torch.stack(products).sum(0), self.static(static)], 1)
        found: Tensor = self.after(joined)
        return found


class Styles(nn.Module):
    """The styles of both classes: those seen last, and those that span them.

    Args:
        channels: of the features.
        kept: styles per class that are mixed.
        pool: styles per class that they are chosen from.

    Attributes:
        seen: float32 (2, pool, 2·channels): means and deviations, the oldest overwritten first.
        base: float32 (2, kept, 2·channels).
        count: int64 (2,) styles of each class that were ever seen.
        steps: since `base` was chosen.
    """

    seen: Tensor
    base: Tensor
    count: Tensor
    steps: Tensor

    def __init__(self, channels: int, kept: int, pool: int) -> None:
        super().__init__()
        self.register_buffer("seen", torch.zeros(2, pool, 2 * channels))
        self.register_buffer("base", torch.zeros(2, kept, 2 * channels))
        self.register_buffer("count", torch.zeros(2, dtype=torch.int64))
        self.register_buffer("steps", torch.zeros((), dtype=torch.int64))

    @torch.no_grad()
    def note(self, features: Tensor, label: Tensor, refresh: int) -> None:
        """Keep the styles of a batch, and choose those that are mixed when it is time."""
        style = torch.cat(statistics(features), 1)[:, :, 0, 0].float()
        new = False
        for side in (0, 1):
            own = style[(label > 0.5) == bool(side)]
            size = self.seen.shape[1]
            before = int(self.count[side])
            places = (before + torch.arange(len(own), device=own.device)) % size
            self.seen[side, places] = own
            self.count[side] += len(own)
            new = new or (before < self.base.shape[1] and len(own) > 0)
        self.steps += 1
        if new or int(self.steps) >= refresh:
            self.choose()

    @torch.no_grad()
    def choose(self) -> None:
        """The styles farthest from each other; of few, all of them in turn."""
        self.steps.zero_()
        for side in (0, 1):
            there = min(int(self.count[side]), self.seen.shape[1])
            if there:
                known = self.seen[side, :there]
                order = farthest(known, min(there, self.base.shape[1]))
                turns = torch.arange(self.base.shape[1], device=known.device) % len(order)
                self.base[side] = known[order[turns]]

    def mixed(self, label: Tensor) -> tuple[Tensor, Tensor]:
        """A style of its own class for each of (N,): means and deviations, (N, channels, 1, 1)."""
        kept = self.base.shape[1]
        share = torch.full((kept,), 1 / kept, device=label.device)
        weights = torch.distributions.Dirichlet(share).sample((len(label),))
        own = self.base[(label > 0.5).long()]
        style = (weights[:, :, None] * own).sum(1)[..., None, None]
        mean, deviation = style.chunk(2, 1)
        return mean, deviation


def statistics(features: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and deviation of each channel over space, (N, C, 1, 1)."""
    variance, mean = torch.var_mean(features, (2, 3), keepdim=True, unbiased=False)
    return mean, (variance + TINY).sqrt()


def restyled(features: Tensor, style: tuple[Tensor, Tensor]) -> Tensor:
    """Features (N, C, h, w) with the means and deviations of a style."""
    mean, deviation = statistics(features)
    return (features - mean) / deviation * style[1] + style[0]


def farthest(rows: Tensor, count: int) -> Tensor:
    """Places of `count` rows of (N, C), each the farthest from those before; the first is row 0."""
    chosen = [0]
    near = torch.full((len(rows),), torch.inf, device=rows.device)
    while len(chosen) < count:
        near = torch.minimum(near, (rows - rows[chosen[-1]]).square().sum(1))
        near[chosen[-1]] = -1  # equal rows are taken once each
        chosen.append(int(near.argmax()))
    return torch.tensor(chosen, device=rows.device)


def covariances(features: Tensor) -> Tensor:
    """Upper triangle of the covariances of channels of each picture, without the diagonal.

    Args:
        features: float (N, C, h, w); brought to mean 0 and deviation 1 first.

    Returns:
        (N, C·(C − 1)/2) in [−1, 1].
    """
    mean, deviation = statistics(features)
    flat = ((features - mean) / deviation).flatten(2)
    products = flat @ flat.mT / flat.shape[2]
    upper = torch.triu_indices(flat.shape[1], flat.shape[1], 1, device=flat.device)
    return products[:, upper[0], upper[1]]


def whitening(first: Tensor, second: Tensor, label: Tensor, shares: tuple[float, float]) -> Tensor:
    """Mean size of the covariances that vary most between two views of each picture.

    Args:
        first, second: (N, pairs) of `covariances`.
        label: (N,), 1 for an attack.
        shares: of the pairs that are suppressed in live pictures and in attacks, in [0, 1].

    Returns:
        The sum of both views' means over pictures, at least 0.
    """
    with torch.no_grad():
        varied = (first - second).square() / 4  # the variance of two values
        counts = [max(1, round(share * varied.shape[1])) for share in shares]
        order = varied.argsort(1, descending=True)[:, : max(counts)]
        allowed = torch.where(label > 0.5, counts[1], counts[0])[:, None]
        used = torch.arange(order.shape[1], device=order.device)[None] < allowed
    total = first.new_zeros(())
    for view in (first, second):
        sizes = view.gather(1, order).abs() * used
        total = total + (sizes.sum(1) / used.sum(1)).mean()
    return total


class Network(nn.Module):
    """Trunk, dynamic kernel, re-styling, heads.

    Args:
        width: channels of each scale of the trunk, even.
        kept, pool: see `Styles`.
    """

    def __init__(self, width: int, kept: int, pool: int) -> None:
        super().__init__()
        self.trunk = Trunk(width)
        channels = self.trunk.width
        self.dynamic = DynamicKernel(channels)
        self.styles = Styles(channels, kept, pool)
        self.between = nn.ModuleList(nn.Conv2d(channels, channels, 3, padding=1) for _ in range(2))
        self.heads = Heads(channels, width)

    def features(self, pixels: Tensor) -> Tensor:
        """float32 (N, 3, H, W) in [0, 1] → (N, channels, H/8, W/8)."""
        found: Tensor = self.dynamic(self.trunk(pixels))
        return found

    def assembled(self, features: Tensor, style: tuple[Tensor, Tensor] | None) -> Tensor:
        """A residual block whose convolutions are re-styled twice; `None` keeps the own style."""
        first, second = self.between
        inner = first(features)
        inner = functional.relu(inner if style is None else restyled(inner, style))
        inner = second(inner)
        return features + (inner if style is None else restyled(inner, style))

    def forward(self, pixels: Tensor) -> Output:
        """float32 (N, 3, H, W) in [0, 1] → `Output` without a map."""
        return Output(self.heads.logit(self.assembled(self.features(pixels), None)))


@dataclass(frozen=True)
class Settings(recipe.Settings):
    """The paper's; see `bonafide.train.recipe.Settings` for the shared ones.

    Attributes:
        width: channels of each scale of the trunk, even.
        styles: per class that are mixed.
        pool: styles per class that they are chosen from.
        refresh: steps after which they are chosen again.
        depth: weight of the depth.
        whitening: weight of the covariances.
    """

    batch: int = 30
    steps: int = 20_000
    crop: int = 256
    learning_rate: float = 1e-4
    weight_decay: float = 1e-5
    width: int = WIDTH
    styles: int = 128
    pool: int = 1024
    refresh: int = 200
    depth: float = 0.1
    whitening: float = 1.0


class Method(Recipe):
    """Class and depth of both views, and covariances that carry style suppressed."""

    id = "iadg"
    title = "Liveness: dynamic kernels, assembled styles, whitening per picture"
    paper = "Q. Zhou et al., Instance-Aware Domain Generalization for Face Anti-Spoofing, CVPR 2023"
    Settings = Settings
    shares: ClassVar[tuple[float, float]] = (0.003, 0.0006)  # of covariances: live, attack

    def network(self) -> Network:
        """A fresh network.

        Raises:
            InvalidInput: the width is odd, or the pool smaller than what is chosen from it.
        """
        wanted = self.settings
        if wanted.width % 2 or wanted.width < 4:
            raise InvalidInput(f"width must be even and at least 4, not {wanted.width}")
        if not 1 <= wanted.styles <= wanted.pool:
            raise InvalidInput(f"styles must be in 1 to pool={wanted.pool}, not {wanted.styles}")
        return Network(wanted.width, wanted.styles, wanted.pool)

    def loss(self, network: nn.Module, batch: Batch) -> tuple[Tensor, Mapping[str, float]]:
        """Both views' cross-entropy and depth, and the covariances that vary."""
        tuned, wanted = cast(Network, network), self.settings
        features = tuned.features(batch.pixels)
        if tuned.training:
            tuned.styles.note(features, batch.label, wanted.refresh)
        views = [
            tuned.assembled(features, None),
            tuned.assembled(features, tuned.styles.mixed(batch.label)),
        ]
        bce = features.new_zeros(())
        depth = features.new_zeros(())
        for view in views:
            logit = tuned.heads.logit(view)
            bce = bce + functional.binary_cross_entropy_with_logits(logit, batch.label)
            depth = depth + depth_loss(tuned.heads.relief(view), batch.label)
        first, second = (covariances(view.float()) for view in views)
        terms = {
            "bce": bce,
            "depth": wanted.depth * depth,
            "whitening": wanted.whitening * whitening(first, second, batch.label, self.shares),
        }
        total = torch.stack(list(terms.values())).sum()
        return total, {name: float(term.detach()) for name, term in terms.items()}

    def optimiser(self, network: nn.Module) -> torch.optim.Optimizer:
        """Adam with L2 decay in the gradient, as the paper trains."""
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
