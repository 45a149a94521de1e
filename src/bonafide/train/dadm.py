"""DADM: colour, depth and infrared of one face, as far as they are given, read together.

What it is
    One vision transformer reads each modality of a face. Small adapters in its blocks let every
    modality take from the others what agrees with it, so that one that says nothing about an attack
    (depth of a mask) does little harm. Two alignments keep sources and modalities together: each
    source has a hyperplane of its own, and these are pulled to one; the angle between live faces
    and attacks is asked to be wide and alike in all modalities.

What the paper does
    A frozen ViT with adapters of 8 channels on colour, depth and infrared; a mask from the mutual
    information between modalities; alignment of the hyperplanes of domains and of the angles of
    modalities. Adam at 5e-5 with decay 5e-5, batches of 16. One of WMCA, CASIA-SURF, CeFA and
    PADISI is left out.

What differs here
    Formulas and weights are our own, from the paper's description. The mask of a token is how much
    its adapter's channels agree with the mean of the other modalities' (cosine, 0 to 1). A bound on
    mutual information (contrast of the class tokens of one face against those of the others in
    the batch) is raised. Angles are those between the mean directions of both classes. Modalities
    beside colour are left out at random in training, so that any may be absent later. The verdict
    is that of the mean hyperplane.

    A picture holds one face in four equal squares: colour, depth to its right, infrared below,
    the fourth unused. What is absent is black; `sheet` makes one. Such a picture is never cut: its
    side is `crop`.

Reference
    J. Yang, X. Lin, Z. Yu, L. Zhang, X. Liu, H. Li, X. Yuan, X. Cao, "DADM: Dual Alignment of
    Domain and Modality for Face Anti-spoofing", ICCV 2025 (arXiv:2503.00429); A. van den Oord,
    Y. Li, O. Vinyals, "Representation Learning with Contrastive Predictive Coding", 2018.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import Any, NamedTuple, cast

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from bonafide.errors import InvalidInput
from bonafide.train import recipe
from bonafide.train.augment import Chain, Pixels, Random, Step
from bonafide.train.backbones import Backbone, load_backbone
from bonafide.train.recipe import Batch, Output, Recipe

MODALITIES = ("colour", "depth", "infrared")
DARKEST = 2 / 255  # mean of a square that is there
TEMPERATURE = 0.1


def sheet(
    colour: Pixels | None, depth: Pixels | None, infrared: Pixels | None, side: int
) -> NDArray[np.uint8]:
    """One picture of the modalities of a face.

    Args:
        colour, depth, infrared: uint8 H×W×3 or H×W, alike aligned; None for what is absent.
        side: of the picture, even; each modality is resized to half of it.
    """
    half = side // 2
    found = np.zeros((side, side, 3), np.uint8)
    for place, pixels in zip(
        ((0, 0), (0, half), (half, 0)), (colour, depth, infrared), strict=True
    ):
        if pixels is not None:
            small = cv2.resize(pixels, (half, half), interpolation=cv2.INTER_AREA)
            whole = small if small.ndim == 3 else small[..., None].repeat(3, 2)
            found[place[0] : place[0] + half, place[1] : place[1] + half] = whole
    return found


def taken_apart(pixels: Tensor) -> tuple[Tensor, Tensor]:
    """Sheets (N, 3, S, S) → modalities (3, N, 3, S/2, S/2), and float (3, N), 1 where given."""
    half = pixels.shape[2] // 2
    found = torch.stack(
        [pixels[:, :, :half, :half], pixels[:, :, :half, half:], pixels[:, :, half:, :half]]
    )
    return found, (found.mean((2, 3, 4)) > DARKEST).float()


class Given:
    """Which modalities of a batch are there, for all adapters: float (3, N)."""

    def __init__(self) -> None:
        self.now = torch.ones(len(MODALITIES), 1)


class Adapter(nn.Module):
    """A block of the transformer, and what its tokens take from their own and other modalities."""

    def __init__(self, block: nn.Module, width: int, channels: int, given: Given) -> None:
        super().__init__()
        self.block = block
        self.down = nn.ModuleList(nn.Linear(width, channels) for _ in MODALITIES)
        self.up = nn.ModuleList(nn.Linear(channels, width) for _ in MODALITIES)
        for weight in self.up.parameters():
            nn.init.zeros_(weight)  # at first the block is what it was
        self.given = given

    def forward(self, tokens: Tensor, *rest: Any, **more: Any) -> Any:
        """Tokens (3·N, T, width), one modality after the other → the same shape."""
        out = self.block(tokens, *rest, **more)
        found = out[0] if isinstance(out, tuple) else out
        parts = found.reshape(len(MODALITIES), -1, *found.shape[1:])
        small = torch.stack([down(part) for down, part in zip(self.down, parts, strict=True)])
        joined = small + exchanged(small, self.given.now)
        back = torch.stack(
            [up(functional.gelu(part)) for up, part in zip(self.up, joined, strict=True)]
        )
        changed = (parts + back).reshape(found.shape)
        return (changed, *out[1:]) if isinstance(out, tuple) else changed


def exchanged(small: Tensor, given: Tensor) -> Tensor:
    """What each token takes: the mean of the other given modalities, by how much both agree.

    Args:
        small: float (3, N, T, C).
        given: float (3, N).
    """
    there = given[:, :, None, None]
    others = (small * there).sum(0, keepdim=True) - small * there
    count = (there.sum(0, keepdim=True) - there).clamp_min(1)
    mean = others / count
    mask = functional.cosine_similarity(small, mean, dim=-1, eps=1e-6).add(1).div(2)
    taken: Tensor = mask[..., None] * mean
    return taken


class Seen(NamedTuple):
    """What the network makes of a batch.

    Attributes:
        tokens: float (3, N, width), the class token of each modality, of unit length.
        joint: float (N, width), mean over those that are given.
        given: float (3, N).
    """

    tokens: Tensor
    joint: Tensor
    given: Tensor


class Network(nn.Module):
    """A frozen transformer with adapters, and a hyperplane for each source.

    Args:
        backbone: a plain vision transformer.
        channels: of the adapters.
        sources: hyperplanes.

    Attributes:
        seen: bool (sources,), whether there were pictures of a source.

    Raises:
        InvalidInput: the backbone has no blocks.
    """

    seen: Tensor

    def __init__(self, backbone: Backbone, channels: int, sources: int) -> None:
        super().__init__()
        lists = [part for part in backbone.model.modules() if isinstance(part, nn.ModuleList)]
        if backbone.patch == 1 or not lists:
            raise InvalidInput(
                "dadm needs a vision transformer, such as google/vit-base-patch16-224"
            )
        backbone.model.requires_grad_(False)
        self.given = Given()
        blocks = max(lists, key=len)
        for place, block in enumerate(blocks):
            blocks[place] = Adapter(block, backbone.width, channels, self.given)
        self.backbone = backbone
        self.planes = nn.Linear(backbone.width, sources)
        self.register_buffer("seen", torch.zeros(sources, dtype=torch.bool))

    def read(self, pixels: Tensor, left_out: Tensor | None = None) -> Seen:
        """Sheets float32 (N, 3, S, S) in [0, 1] → `Seen`; `left_out` is float (3, N) of 0 and 1."""
        parts, given = taken_apart(pixels)
        if left_out is not None:
            given = given * left_out
            parts = parts * given[:, :, None, None, None]
        self.given.now = given
        pooled = self.backbone(parts.flatten(0, 1)).pooled
        tokens = functional.normalize(pooled, dim=1).reshape(len(MODALITIES), -1, pooled.shape[1])
        there = given[..., None]
        joint = (tokens * there).sum(0) / there.sum(0).clamp_min(1)
        return Seen(tokens, joint, given)

    def logits(self, joint: Tensor) -> Tensor:
        """(N, width) → (N, sources), by the hyperplane of each source."""
        found: Tensor = self.planes(joint)
        return found

    def forward(self, pixels: Tensor) -> Output:
        """Sheets float32 (N, 3, S, S) in [0, 1] → `Output` without a map, of the mean plane."""
        known = (self.seen | ~self.seen.any()).to(pixels.dtype)
        logits = self.logits(self.read(pixels).joint)
        return Output((logits * known).sum(1) / known.sum())


def agreement(seen: Seen) -> Tensor:
    """A bound on the mutual information of the modalities, in nats: at most log N.

    Mean over pairs of modalities of log N − the cross-entropy of finding, from one modality of a
    face, the other of the same face among all of the batch that have both.
    """
    bounds = []
    for first, second in combinations(range(len(MODALITIES)), 2):
        both = (seen.given[first] * seen.given[second]) > 0
        count = int(both.sum())
        if count > 1:
            near = seen.tokens[first][both] @ seen.tokens[second][both].mT / TEMPERATURE
            own = torch.arange(count, device=near.device)
            lost = functional.cross_entropy(near, own) + functional.cross_entropy(near.mT, own)
            bounds.append(torch.log(near.new_tensor(count)) - lost / 2)
    return torch.stack(bounds).mean() if bounds else seen.joint.sum() * 0


def plane_gap(weights: Tensor) -> Tensor:
    """Mean of 1 − cosine between the hyperplanes of sources (K, width) and their mean."""
    mean = weights.mean(0, keepdim=True)
    return 1 - functional.cosine_similarity(weights, mean, dim=1).mean()


def angles(seen: Seen, label: Tensor) -> Tensor:
    """Angle between live faces and attacks in each modality that shows both, radians: (≤ 3,)."""
    found = []
    for tokens, given in zip(seen.tokens, seen.given, strict=True):
        sides = [(given > 0) & ((label > 0.5) == wanted) for wanted in (False, True)]
        if all(bool(side.any()) for side in sides):
            live, attack = (tokens[side].mean(0) for side in sides)
            cosine = functional.cosine_similarity(live, attack, dim=0)
            found.append(torch.acos(cosine.clamp(-1 + 1e-6, 1 - 1e-6)))
    return torch.stack(found) if found else label.new_zeros(0)


def angle_gap(found: Tensor, margin: float) -> Tensor:
    """How far angles (m,) fall short of a margin, and their variance between modalities."""
    short = functional.relu(margin - found).square().mean()
    return short + found.var(unbiased=False)


@dataclass(frozen=True)
class Settings(recipe.Settings):
    """The paper's where it gives them; see `bonafide.train.recipe.Settings` for the shared ones.

    Attributes:
        crop: side of a sheet, twice that of a modality, pixels.
        backbone: a folder with a vision transformer, or its name on the hub.
        download: whether the backbone may be fetched from the hub.
        channels: of the adapters.
        sources: hyperplanes; sources of the training data.
        absent: how often depth or infrared is left out in training.
        margin: angle between live faces and attacks, radians.
        information, planes, angle: weights of the terms beside cross-entropy.
    """

    batch: int = 16
    steps: int = 20_000
    crop: int = 448
    learning_rate: float = 5e-5
    weight_decay: float = 5e-5
    backbone: str = "google/vit-base-patch16-224-in21k"
    download: bool = False
    channels: int = 8
    sources: int = 3
    absent: float = 0.2
    margin: float = 1.0
    information: float = 0.1
    planes: float = 0.1
    angle: float = 0.1


class Method(Recipe):
    """Cross-entropy of each source by its plane, and what keeps planes and modalities together."""

    id = "dadm"
    title = "Liveness from colour, depth and infrared, sources and modalities aligned"
    paper = "J. Yang et al., DADM: Dual Alignment of Domain and Modality, ICCV 2025"
    layout = (
        "float32 (N, 3, S, S), RGB in [0, 1]: four squares, colour top left, depth top right, "
        "infrared bottom left, black where absent"
    )
    any_size = False
    Settings = Settings

    def network(self) -> Network:
        """The backbone with fresh adapters and planes.

        Raises:
            InvalidInput: the backbone is not on this machine, or no vision transformer; or `crop`
                is odd.
        """
        wanted = self.settings
        if wanted.crop % 2:
            raise InvalidInput(f"crop must be even, since it holds four squares, not {wanted.crop}")
        backbone = load_backbone(wanted.backbone, wanted.download)
        return Network(backbone, wanted.channels, wanted.sources)

    def loss(self, network: nn.Module, batch: Batch) -> tuple[Tensor, Mapping[str, float]]:
        """Cross-entropy, less mutual information, and both alignments."""
        tuned, wanted = cast(Network, network), self.settings
        source = batch.extra["source"]
        if int(source.max()) >= wanted.sources:
            raise InvalidInput(f"--set sources={int(source.max()) + 1} or more is needed")
        left_out = torch.ones(len(MODALITIES), len(source), device=source.device)
        if tuned.training:
            tuned.seen[source] = True
            left_out[1:] = (torch.rand_like(left_out[1:]) >= wanted.absent).float()
        seen = tuned.read(batch.pixels, left_out)
        own = tuned.logits(seen.joint).gather(1, source[:, None]).squeeze(1)
        wide = angles(seen, batch.label)
        terms = {"bce": functional.binary_cross_entropy_with_logits(own, batch.label)}
        terms["information"] = -wanted.information * agreement(seen)
        terms["planes"] = wanted.planes * plane_gap(
            tuned.planes.weight[sorted(set(source.tolist()))]
        )
        if len(wide):
            terms["angle"] = wanted.angle * angle_gap(wide, wanted.margin)
        total = torch.stack(list(terms.values())).sum()
        return total, {name: float(term.detach()) for name, term in terms.items()}

    def optimiser(self, network: nn.Module) -> torch.optim.Optimizer:
        """Adam with L2 decay in the gradient, as the paper trains."""
        return torch.optim.Adam(
            [weight for weight in network.parameters() if weight.requires_grad],
            lr=self.settings.learning_rate,
            weight_decay=self.settings.weight_decay,
        )

    def augment(self) -> Chain[Pixels]:
        """Each modality mirrored alike; nothing is cut."""
        return Chain((Step("whole", 1.0, self.whole), Step("mirror", 0.5, mirrored)))

    def whole(self, pixels: Pixels, random: Random) -> Pixels:
        """The sheet, unless it has another size.

        Raises:
            InvalidInput: it is no square of `crop` pixels.
        """
        side = self.settings.crop
        if pixels.shape[:2] != (side, side):
            raise InvalidInput(f"a sheet must have {side}×{side} pixels, not {pixels.shape[1]}×"
                               f"{pixels.shape[0]}")  # fmt: skip
        return pixels


def mirrored(pixels: Pixels, random: Random) -> Pixels:
    """Left and right swapped within each half."""
    half = pixels.shape[1] // 2
    return np.concatenate([pixels[:, half - 1 :: -1], pixels[:, : half - 1 : -1]], 1)
