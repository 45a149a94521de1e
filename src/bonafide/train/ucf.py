"""UCF: what forgeries have in common, taken apart from content and from each single forgery.

What it is
    Two encoders, one for what a picture shows and one for how it was forged. The features of the
    second are split into a half that is specific to one kind of forgery and a half that all kinds
    share. A decoder has to paint the picture again from content and forgery, which keeps both
    apart. Only the shared half decides.

What the paper does
    Two pretrained Xceptions at 256 (it fails without pretraining), batches of 16, Adam at 2e-4
    with decay 5e-4, five epochs. A 1×1 convolution gives 256 specific and 256 common channels.
    The decoder takes forgery as style (adaptive instance normalisation at three scales) and
    content as content. A genuine picture and its forgery have one content, so four reconstructions
    are asked for: each picture from its own parts, and each from the content of the other. With
    probability 0.7 common halves are shuffled within a class before that. Loss: cross-entropy of
    the common half, 0.1 of the specific one over kinds of forgery, 0.3 L1, 0.05 contrast with a
    margin of 3.

What differs here
    Any convolutional backbone of transformers serves; the default is ResNet-50. Pairs are aligned
    twins from `--pairs`. The kinds of forgery are the sources of the training data. The contrast
    is the mean over all triplets of a batch.

Reference
    Z. Yan, Y. Zhang, Y. Fan, B. Wu, "UCF: Uncovering Common Features for Generalizable Deepfake
    Detection", ICCV 2023; X. Huang, S. Belongie, "Arbitrary Style Transfer in Real-time with
    Adaptive Instance Normalization", ICCV 2017.
"""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from bonafide.errors import InvalidInput
from bonafide.train import recipe
from bonafide.train.augment import Chain, Pixels, Step, crop, jpeg, turn
from bonafide.train.backbones import Backbone, load_backbone
from bonafide.train.recipe import Batch, Output, Recipe

STRIDE = 32  # pixels that one cell of the features stands for
STYLED = 3  # scales of the decoder at which forgery is added
MARGIN = 3.0


class Parts(NamedTuple):
    """A batch taken apart.

    Attributes:
        content: float (N, C, h, w).
        specific, common: float (N, C, h, w) of forgery.
    """

    content: Tensor
    specific: Tensor
    common: Tensor


class Styled(nn.Module):
    """A convolution whose result takes mean and spread from a style."""

    def __init__(self, inputs: int, outputs: int, style: int) -> None:
        super().__init__()
        self.layer = nn.Conv2d(inputs, outputs, 3, padding=1)
        self.style = nn.Linear(style, 2 * outputs)

    def forward(self, features: Tensor, style: Tensor) -> Tensor:
        """(N, inputs, h, w) and (N, style) → (N, outputs, h, w)."""
        plain = functional.instance_norm(self.layer(features))
        gain, offset = self.style(style)[..., None, None].chunk(2, 1)
        return functional.leaky_relu((1 + gain) * plain + offset, 0.2)


class Decoder(nn.Module):
    """Content and forgery → the picture, float (N, 3, 32·h, 32·w) in [0, 1]."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        widths = [max(4, channels >> step) for step in range(6)]
        self.styled = nn.ModuleList(
            Styled(inputs, outputs, 2 * channels)
            for inputs, outputs in pairwise(widths[: STYLED + 1])
        )
        self.plain = nn.ModuleList(
            nn.Conv2d(inputs, outputs, 3, padding=1)
            for inputs, outputs in pairwise(widths[STYLED:])
        )
        self.last = nn.Conv2d(widths[-1], 3, 3, padding=1)

    def forward(self, content: Tensor, forgery: Tensor) -> Tensor:
        """(N, C, h, w) of content and (N, 2C, h, w) of forgery → pictures."""
        features, style = content, forgery.mean((2, 3))
        for layer in self.styled:
            features = functional.interpolate(layer(features, style), scale_factor=2.0)
        for layer in self.plain:
            features = functional.leaky_relu(layer(features), 0.2)
            features = functional.interpolate(features, scale_factor=2.0)
        return torch.sigmoid(self.last(features))


class Network(nn.Module):
    """Two encoders, a decoder and two heads; what decides reads the common half alone.

    Args:
        backbone: a convolutional network that shrinks by 32; copied for the second encoder.
        channels: of content, and of each half of forgery.
        sources: kinds that the specific head tells apart.

    Raises:
        InvalidInput: the backbone is a vision transformer.
    """

    def __init__(self, backbone: Backbone, channels: int, sources: int) -> None:
        super().__init__()
        if backbone.patch != 1:
            raise InvalidInput("ucf needs a convolutional backbone, such as microsoft/resnet-50")
        self.shown, self.forgery = backbone, deepcopy(backbone)
        self.content = nn.Conv2d(backbone.width, channels, 1)
        self.split = nn.Conv2d(backbone.width, 2 * channels, 1)
        self.decoder = Decoder(channels)
        self.common = _head(channels, 1)
        self.specific = _head(channels, sources)

    def parts(self, pixels: Tensor) -> Parts:
        """float32 (N, 3, H, W) in [0, 1] → its parts."""
        specific, common = self.split(self.forgery(pixels).map).chunk(2, 1)
        return Parts(self.content(self.shown(pixels).map), specific, common)

    def forward(self, pixels: Tensor) -> Output:
        """float32 (N, 3, H, W) in [0, 1] → `Output` without a map."""
        common = self.split(self.forgery(pixels).map).chunk(2, 1)[1]
        return Output(self.common(common.mean((2, 3))).squeeze(1))


def _head(inputs: int, outputs: int) -> nn.Module:
    return nn.Sequential(nn.Linear(inputs, inputs), nn.LeakyReLU(0.2), nn.Linear(inputs, outputs))


def contrast(features: Tensor, kind: Tensor) -> Tensor:
    """Mean over triplets of max(0, ‖a − p‖ − ‖a − n‖ + `MARGIN`); 0 without one.

    Args:
        features: float (N, C).
        kind: (N,): p is another of the kind of a, n of another kind.
    """
    apart = torch.cdist(features.float(), features.float())
    same = kind[:, None] == kind[None]
    others = same & ~torch.eye(len(kind), dtype=torch.bool, device=kind.device)
    triplets = others[:, :, None] & ~same[:, None, :]
    if not triplets.any():
        return features.sum() * 0
    return functional.relu(apart[:, :, None] - apart[:, None, :] + MARGIN)[triplets].mean()


def shuffled(common: Tensor, label: Tensor) -> Tensor:
    """Rows exchanged at random among those of one class: (N, …) → the same shape."""
    place = torch.arange(len(label), device=label.device)
    for value in sorted(set(label.tolist())):
        own = (label == value).nonzero()[:, 0]
        place[own] = own[torch.randperm(len(own), device=label.device)]
    return common[place]


@dataclass(frozen=True)
class Settings(recipe.Settings):
    """The paper's; see `bonafide.train.recipe.Settings` for the shared ones.

    Attributes:
        backbone: a folder with a convolutional network, or its name on the hub.
        download: whether the backbone may be fetched from the hub.
        channels: of content, and of each half of forgery.
        sources: how many sources of training pictures the specific head can tell apart.
        shuffle: how often common halves are exchanged within a class before decoding.
        specific, reconstruction, contrast: weights of the terms beside cross-entropy.
    """

    batch: int = 16
    steps: int = 36_000
    crop: int = 256
    learning_rate: float = 2e-4
    weight_decay: float = 5e-4
    backbone: str = "microsoft/resnet-50"
    download: bool = False
    channels: int = 256
    sources: int = 64
    shuffle: float = 0.7
    specific: float = 0.1
    reconstruction: float = 0.3
    contrast: float = 0.05


class Method(Recipe):
    """Content, specific and common forgery, taken apart by reconstruction."""

    id = "ucf"
    title = "Common features of forgeries, apart from content and single forgeries"
    paper = "Z. Yan et al., UCF: Uncovering Common Features, ICCV 2023"
    needs_pairs = True
    Settings = Settings

    def network(self) -> Network:
        """The backbone twice, with a fresh decoder and fresh heads.

        Raises:
            InvalidInput: the backbone is not on this machine or not convolutional; or `crop` is
                no multiple of 32, or too small for normalised styles.
        """
        wanted = self.settings
        if wanted.crop % STRIDE or wanted.crop < 2 * STRIDE:
            raise InvalidInput(
                f"crop must be a multiple of {STRIDE}, at least {2 * STRIDE}, not {wanted.crop}"
            )
        backbone = load_backbone(wanted.backbone, wanted.download)
        return Network(backbone, wanted.channels, wanted.sources)

    def loss(self, network: nn.Module, batch: Batch) -> tuple[Tensor, Mapping[str, float]]:
        """Both cross-entropies, four reconstructions, and the contrast of both halves."""
        tuned, wanted = cast(Network, network), self.settings
        source = batch.extra["source"]
        if int(source.max()) >= wanted.sources:
            raise InvalidInput(f"--set sources={int(source.max()) + 1} or more is needed")
        parts = tuned.parts(batch.pixels)
        specific, common = parts.specific.mean((2, 3)), parts.common.mean((2, 3))
        logits = tuned.common(common).squeeze(1)
        terms = {
            "bce": functional.binary_cross_entropy_with_logits(logits, batch.label),
            "specific": wanted.specific
            * functional.cross_entropy(tuned.specific(specific), source),
            "reconstruction": wanted.reconstruction * self.repainted(tuned, parts, batch),
            "contrast": wanted.contrast
            * (contrast(common, batch.label) + contrast(specific, source)),
        }
        total = torch.stack(list(terms.values())).sum()
        return total, {name: float(term.detach()) for name, term in terms.items()}

    def repainted(self, network: Network, parts: Parts, batch: Batch) -> Tensor:
        """Mean L1 of each picture painted from its own content and from its twin's."""
        common = parts.common
        if network.training and float(torch.rand(())) < self.settings.shuffle:
            common = shuffled(common, batch.label)
        forgery = torch.cat([parts.specific, common], 1)
        own = functional.l1_loss(network.decoder(parts.content, forgery), batch.pixels)
        real, fake = _twins(batch)
        if not len(real):
            return own
        crossed = parts.content.clone()
        crossed[real], crossed[fake] = parts.content[fake], parts.content[real]
        both = torch.cat([real, fake])
        other = network.decoder(crossed[both], forgery[both])
        return own + functional.l1_loss(other, batch.pixels[both])

    def optimiser(self, network: nn.Module) -> torch.optim.Optimizer:
        """Adam with L2 decay in the gradient, as the paper trains."""
        return torch.optim.Adam(
            network.parameters(),
            lr=self.settings.learning_rate,
            weight_decay=self.settings.weight_decay,
        )

    def augment(self) -> Chain[Pixels]:
        """Turns, crops and JPEG, alike for both sides of a pair."""
        side = self.settings.crop
        return Chain(
            (
                Step("turn", 1.0, turn),
                Step("crop", 1.0, partial(crop, side=side)),
                Step("jpeg", 0.5, partial(jpeg, low=40, high=100)),
            )
        )


def _twins(batch: Batch) -> tuple[Tensor, Tensor]:
    """Rows of genuine pictures that have a twin in the batch, and the rows of those."""
    genuine = (batch.label < 0.5)[:, None] & (batch.label > 0.5)[None]
    paired = (batch.pair[:, None] == batch.pair[None]) & (batch.pair >= 0)[:, None]
    rows = (paired & genuine).nonzero()
    return rows[:, 0], rows[:, 1]
