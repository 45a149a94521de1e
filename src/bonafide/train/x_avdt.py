"""X-AVDT: where a network of lips and speech looks, as a cue of its own.

What it is
    An encoder of both sides is kept as it is. Every part of the mouth asks which of the sounds
    around its moment go with it; the answers, shares over the sounds, are a volume over time and
    space that a network along all three reads. Another such network reads the mouth itself and how
    it changes. Both look at each other by self-attention; the result is judged.

What the paper does
    A video generator that is driven by sound (Hallo) is run backwards; its cross-attention to the
    sound (320 channels) and twelve channels of frame, noise, reconstruction and their difference go
    into two three-dimensional ResNeXts, joined by self-attention. Cross-entropy weighs .7, a
    triplet loss .3. AdamW at 1e-4 with decay .05, batches of 8, 2 epochs.

What differs here
    No such generator can be had here: attention is that of the encoders of an `avff` training
    (`--set old=FOLDER`), which stay frozen, between their features as they are; without one they
    learn along. There is no reconstruction: the second network reads the mouth and its change from
    frame to frame. Both are small. Forged stretches are made of genuine ones too.

Reference
    Y. Kim, K. Yun, S. Hong, S. Cha, C. S. Koo, J. Noh, "X-AVDT: Audio-Visual Cross-Attention for
    Robust Deepfake Detection", CVPR 2026 (arXiv:2603.08483); S. Xie et al., "Aggregated Residual
    Transformations for Deep Neural Networks", CVPR 2017 (ResNeXt); A. Hermans, L. Beyer, B. Leibe,
    "In Defense of the Triplet Loss for Person Re-Identification", 2017 (the hardest of a batch).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from bonafide.errors import InvalidInput
from bonafide.train import speaking
from bonafide.train.recipe import Batch, Output
from bonafide.train.sequences import far_apart
from bonafide.train.speaking import GROUPS, Lips, SpeakingRecipe, Speech, taken_apart

CARDINALITY = 4  # groups of a grouped convolution
SHARPNESS = 10.0  # of the softmax over cosines


class Block(nn.Module):
    """A residual block over time and space whose middle convolution is grouped.

    Args:
        given, made: channels.
        stride: in space.
    """

    def __init__(self, given: int, made: int, stride: int) -> None:
        super().__init__()
        inner = made // 2
        self.layers = nn.Sequential(
            nn.Conv3d(given, inner, 1), nn.GroupNorm(GROUPS, inner), nn.ReLU(),
            nn.Conv3d(inner, inner, 3, (1, stride, stride), 1, groups=CARDINALITY),
            nn.GroupNorm(GROUPS, inner), nn.ReLU(), nn.Conv3d(inner, made, 1),
        )  # fmt: skip
        self.past = nn.Conv3d(given, made, 1, (1, stride, stride))

    def forward(self, volume: Tensor) -> Tensor:
        """(N, given, T, h, w) → (N, made, T, h / stride, w / stride)."""
        joined: Tensor = self.layers(volume) + self.past(volume)
        return functional.relu(joined)


def heard_by(places: Tensor, sounds: Tensor, far: Tensor, near: int) -> Tensor:
    """Which sounds around its moment go with each part of the mouth.

    Args:
        places: (N, T, C, h, w), features of the mouth.
        sounds: (N, T, C).
        far: bool (T, T), sounds that are too far to be looked at.
        near: frames to either side.

    Returns:
        (N, 2·near + 1, T, h, w), shares over the offsets −near … near, of sum 1; 0 where an offset
        leaves the stretch.
    """
    frames, height, width = places.shape[1], *places.shape[3:]
    asked = functional.normalize(places.flatten(3).mT, dim=3)  # N, T, h·w, C
    given = functional.normalize(sounds, dim=2)
    cosines = asked.flatten(1, 2) @ given.mT
    logits = cosines.reshape(len(places), frames, -1, frames) * SHARPNESS
    shares = logits.masked_fill(far[:, None], -torch.inf).softmax(3)  # N, T, h·w, T
    padded = functional.pad(shares, (near, near))
    moments = torch.arange(frames, device=places.device)
    window = moments[:, None] + torch.arange(2 * near + 1, device=places.device)
    window = window[None, :, None].expand(len(places), -1, shares.shape[2], -1)
    found = torch.gather(padded, 3, window)  # N, T, h·w, offsets
    return found.permute(0, 3, 1, 2).reshape(len(places), -1, frames, height, width)


def triplets(features: Tensor, label: Tensor, margin: float) -> Tensor:
    """Hinge between the farthest of the own class and the nearest of the other, mean over a batch.

    Args:
        features: (N, C).
        label: (N,) of 0 and 1.
        margin: by which the other class is to be farther.
    """
    unit = functional.normalize(features, dim=1)
    apart = (2 - 2 * unit @ unit.mT).clamp_min(1e-8).sqrt()
    same = label[:, None] == label[None]
    if same.all():
        return features.sum() * 0
    farthest = apart.masked_fill(~same, 0).amax(1)
    nearest = apart.masked_fill(same, torch.inf).amin(1)
    return functional.relu(farthest - nearest + margin).mean()


class Network(nn.Module):
    """Encoders, two networks over time and space, self-attention between them, a head."""

    far: Tensor

    def __init__(self, settings: Settings) -> None:
        super().__init__()
        width, wide = settings.width, settings.channels
        self.near = settings.near
        self.lips, self.speech = Lips(width), Speech(width)
        self.register_buffer("far", far_apart(settings.frames, self.near), persistent=False)
        self.cues = nn.Sequential(
            Block(2 * self.near + 1, wide, 1), Block(wide, wide, 1), Block(wide, wide, 1)
        )
        self.mouth = nn.Sequential(
            Block(2, wide // 2, 2), Block(wide // 2, wide, 2), Block(wide, wide, 2),
            Block(wide, wide, 2),
        )  # fmt: skip
        self.norm = nn.LayerNorm(wide)
        self.attention = nn.MultiheadAttention(wide, settings.heads, batch_first=True)
        self.head = nn.Linear(2 * wide, 1)

    def volume(self, frames: Tensor) -> Tensor:
        """float32 (N, T, 2944) → cues of cross-attention, (N, 2·near + 1, T, 3, 3)."""
        shown = taken_apart(frames)
        sounds = self.speech(self.speech.spectrum(shown.sound))
        return heard_by(self.lips.maps(shown.mouth), sounds, self.far, self.near)

    def features(self, frames: Tensor) -> Tensor:
        """float32 (N, T, 2944) → (N, 2·channels)."""
        shown = taken_apart(frames)
        cues = self.cues(self.volume(frames)).mean((3, 4)).mT
        # The first frame has none before it: it did not change.
        change = torch.cat([shown.mouth[:, :1], shown.mouth[:, :-1]], 1)
        seen = torch.stack([2 * shown.mouth - 1, shown.mouth - change], 1)
        mouth = self.mouth(seen).mean((3, 4)).mT
        tokens = self.norm(torch.cat([cues, mouth], 1))
        found, _ = self.attention(tokens, tokens, tokens, need_weights=False)
        one, other = (tokens + found).chunk(2, 1)
        return torch.cat([one.mean(1), other.mean(1)], 1)

    def forward(self, frames: Tensor) -> Output:
        """float32 (N, T, 2944), see `SpeakingRecipe` → `Output` without a map."""
        return Output(self.head(self.features(frames)).squeeze(1))


@dataclass(frozen=True)
class Settings(speaking.Settings):
    """The paper's weights, our sizes; see `bonafide.train.speaking.Settings` for shared ones.

    Attributes:
        near: frames to either side whose sounds are looked at.
        channels: of both networks; a multiple of 32.
        heads: of self-attention.
        cross_entropy, triplet: weights of both losses.
        margin: of the triplets.
        old: folder of an `avff` training whose encoders are taken and frozen; "" to learn them.
    """

    batch: int = 8
    weight_decay: float = 0.05
    frames: int = 32
    near: int = 5
    channels: int = 128
    heads: int = 4
    cross_entropy: float = 0.7
    triplet: float = 0.3
    margin: float = 0.3
    old: str = ""


class Method(SpeakingRecipe):
    """Cross-entropy and triplets on cues of cross-attention."""

    id = "x_avdt"
    title = "Lips and speech: cross-attention of their encoders as a cue, beside the mouth"
    paper = "Y. Kim et al., X-AVDT, CVPR 2026"
    Settings = Settings

    def network(self) -> Network:
        """A fresh network, or one on frozen encoders.

        Raises:
            InvalidInput: sizes do not fit, or `old` holds no encoders of this width.
        """
        wanted = self.settings
        if wanted.channels % 32 or wanted.channels % wanted.heads:
            raise InvalidInput(f"channels={wanted.channels} must be a multiple of 32 and of heads")
        if wanted.near >= wanted.frames:
            raise InvalidInput(f"near={wanted.near} must be less than frames={wanted.frames}")
        made = Network(wanted)
        if wanted.old:
            speaking.freeze_encoders(made, Path(wanted.old))
        return made

    def loss(self, network: nn.Module, batch: Batch) -> tuple[Tensor, dict[str, float]]:
        """The weighted terms."""
        tuned, wanted = cast(Network, network), self.settings
        features = tuned.features(batch.pixels)
        logit = tuned.head(features).squeeze(1)
        bce = functional.binary_cross_entropy_with_logits(logit, batch.label)
        terms = {
            "bce": wanted.cross_entropy * bce,
            "triplet": wanted.triplet * triplets(features, batch.label, wanted.margin),
        }
        total = torch.stack(list(terms.values())).sum()
        return total, {name: float(term.detach()) for name, term in terms.items()}

    def optimiser(self, network: nn.Module) -> torch.optim.Optimizer:
        """AdamW, as the paper trains."""
        trainable = [weight for weight in network.parameters() if weight.requires_grad]
        return torch.optim.AdamW(
            trainable, lr=self.settings.learning_rate, weight_decay=self.settings.weight_decay
        )
