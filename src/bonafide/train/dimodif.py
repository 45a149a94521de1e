"""DiMoDif: from when to when speech and lips disagree.

What it is
    Features of the mouth and of the sound, frame by frame, look at each other within a short time.
    What each finds on the other side is compared with itself; this disagreement goes into a
    pyramid along time. Its finest level says of each frame whether it is forged; every level
    proposes intervals, one around each of its frames.

What the paper does
    Known here from notes: features of frozen networks that read lips and recognise speech, local
    attention between both, a layer of discrepancy, a pyramid, losses of frames and of intervals.
    On AV-Deepfake1M 30.5 points of AUC and 47.9 of AP at .75 more than before it.

What differs here
    Such networks cannot be had here: encoders are small and learn along, or are those of an `avff`
    training (`--set old=FOLDER`) and stay frozen. Sizes, levels and weights are our own. What
    networks for speech have in common without being told is learned here: the sound of a genuine
    moment is to be found among those of its stretch. An interval is learned on the level of its
    length, by distance IoU. A labelled forged video counts as forged throughout; forged stretches
    are made of genuine ones too (`bonafide.train.speaking`).

Reference
    C. Koutlis, S. Papadopoulos, "DiMoDif: Discourse Modality-information Differentiation for
    Audio-visual Deepfake Detection and Localization", 2024 (arXiv:2411.10193).
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
from bonafide.train.intervals import bounds, distance_overlap, stretches
from bonafide.train.recipe import Batch, Output
from bonafide.train.sequences import far_apart
from bonafide.train.speaking import Lips, SpeakingRecipe, Speech, taken_apart


class Disagreement(nn.Module):
    """How far both sides are from what they find on the other within a short time.

    Args:
        width: of the features.
        heads: of attention.
        frames: of a stretch.
        near: frames to either side that are looked at.
    """

    far: Tensor

    def __init__(self, width: int, heads: int, frames: int, near: int) -> None:
        super().__init__()
        self.joint = nn.ModuleList(
            nn.Sequential(nn.LayerNorm(width), nn.Linear(width, width)) for _ in range(2)
        )
        self.attention = nn.ModuleList(
            nn.MultiheadAttention(width, heads, batch_first=True) for _ in range(2)
        )
        self.mapping = nn.ModuleList(nn.Linear(3 * width, width) for _ in range(2))
        self.register_buffer("far", far_apart(frames, near), persistent=False)

    def contrast(self, video: Tensor, audio: Tensor, fits: Tensor, temperature: float) -> Tensor:
        """Cross-entropy of finding the sound of each moment among those of its stretch.

        Args:
            video, audio: (N, T, width).
            fits: bool (N, T), the moments that count.
            temperature: of the softmax over cosines.
        """
        sides = (self.joint[0](video), self.joint[1](audio))
        own, other = (functional.normalize(side, dim=2) for side in sides)
        near = (own @ other.mT / temperature).log_softmax(2).diagonal(dim1=1, dim2=2)
        return -(near * fits).sum() / fits.sum().clamp_min(1)

    def forward(self, video: Tensor, audio: Tensor) -> Tensor:
        """(N, T, width) twice → (N, T, 2·width + 1)."""
        sides = self.joint[0](video), self.joint[1](audio)
        parts = [functional.cosine_similarity(*sides, 2)[:, :, None]]
        for number, (own, other) in enumerate((sides, sides[::-1])):
            found, _ = self.attention[number](
                own, other, other, attn_mask=self.far, need_weights=False
            )
            pair = torch.cat([own, found, (own - found).abs()], 2)
            parts.append(functional.gelu(self.mapping[number](pair)))
        return torch.cat(parts, 2)


class Network(nn.Module):
    """Encoders of both sides, their disagreement, a pyramid along time, heads.

    Raises:
        InvalidInput: `width` is no multiple of `heads`, or `frames` cannot be halved often enough.
    """

    def __init__(self, settings: Settings) -> None:
        super().__init__()
        width, frames = settings.width, settings.frames
        if width % settings.heads:
            raise InvalidInput(f"width={width} must be a multiple of heads={settings.heads}")
        if frames % 2 ** (settings.levels - 1):
            raise InvalidInput(f"frames={frames} cannot be halved {settings.levels - 1} times")
        self.lips, self.speech = Lips(width), Speech(width)
        self.apart = Disagreement(width, settings.heads, frames, settings.near)
        self.first = nn.Sequential(nn.Conv1d(2 * width + 1, width, 3, padding=1), nn.GELU())
        self.pyramid = nn.ModuleList(
            nn.Sequential(
                nn.Conv1d(width, width, 3, 2 if level else 1, padding=1),
                nn.GELU(),
            )
            for level in range(settings.levels)
        )
        self.frame = nn.Conv1d(width, 1, 1)
        self.sure = nn.Conv1d(width, 1, 3, padding=1)
        self.reach = nn.Conv1d(width, 2, 3, padding=1)
        self.head = nn.Linear(2 * width, 1)

    def sides(self, frames: Tensor) -> tuple[Tensor, Tensor]:
        """float32 (N, T, 2944) → features of the mouth and of the sound, (N, T, width) each."""
        shown = taken_apart(frames)
        return self.lips(shown.mouth), self.speech(self.speech.spectrum(shown.sound))

    def levels(self, video: Tensor, audio: Tensor) -> list[Tensor]:
        """What `sides` gives → (N, width, T), (N, width, T/2), …"""
        seen = self.first(self.apart(video, audio).mT)
        found = []
        for layer in self.pyramid:
            seen = layer(seen)
            found.append(seen)
        return found

    def proposals(self, levels: list[Tensor]) -> tuple[Tensor, Tensor]:
        """One interval around each frame of each level.

        Returns:
            (N, Q, 2) of middle and width, shares of the stretch; logits (N, Q).
        """
        intervals, logits = [], []
        for seen in levels:
            count = seen.shape[2]
            middle = (torch.arange(count, device=seen.device) + 0.5) / count
            reach = functional.softplus(self.reach(seen)) / count
            before, after = reach.unbind(1)
            intervals.append(torch.stack([middle + (after - before) / 2, before + after], 2))
            logits.append(self.sure(seen).squeeze(1))
        return torch.cat(intervals, 1), torch.cat(logits, 1)

    def judge(self, finest: Tensor) -> tuple[Tensor, Tensor]:
        """Finest level (N, width, T) → logits of the stretch (N,) and of its frames (N, T)."""
        summary = torch.cat([finest.mean(2), finest.amax(2)], 1)
        return self.head(summary).squeeze(1), self.frame(finest).squeeze(1)

    def forward(self, frames: Tensor) -> Output:
        """float32 (N, T, 2944), see `SpeakingRecipe` → `Output` with intervals: (N, Q, 3) of begin
        and end, as shares of the stretch, and the logit of being forged."""
        levels = self.levels(*self.sides(frames))
        logit, _ = self.judge(levels[0])
        intervals, sure = self.proposals(levels)
        ends = bounds(intervals).clamp(0, 1)
        return Output(logit, segments=torch.cat([ends, sure[..., None]], 2))


def level_of(width: Tensor, levels: int, frames: int) -> Tensor:
    """The level on which an interval of a width (M,), a share of the stretch, spans 4 to 8 frames.

    Shorter ones are of the finest level 0, longer ones of the coarsest.
    """
    spans = (width * frames / 4).clamp_min(1)
    return spans.log2().floor().long().clamp_max(levels - 1)


@dataclass(frozen=True)
class Settings(speaking.Settings):
    """Our own choice; see `bonafide.train.speaking.Settings` for the shared ones.

    Attributes:
        heads: of attention.
        near: frames to either side in which the sides look at each other.
        levels: of the pyramid.
        frame, sure, interval: weights of frames, of which proposals are right, of distance IoU.
        align: weight of finding the sound of each genuine moment among those of its stretch.
        temperature: of that.
        old: folder of an `avff` training whose encoders are taken and frozen; "" to learn them.
    """

    batch: int = 16
    heads: int = 4
    near: int = 5
    levels: int = 4
    throughout: float = 0.2
    frame: float = 1.0
    sure: float = 1.0
    interval: float = 1.0
    align: float = 1.0
    temperature: float = 0.1
    old: str = ""


class Method(SpeakingRecipe):
    """Cross-entropy of stretches, frames and proposals, distance IoU of intervals."""

    id = "dimodif"
    title = "Lips and speech: when they disagree, frame by frame and as intervals"
    paper = "C. Koutlis and S. Papadopoulos, DiMoDif, 2024 (arXiv:2411.10193)"
    Settings = Settings

    def network(self) -> Network:
        """A fresh network, or one on frozen encoders.

        Raises:
            InvalidInput: sizes do not fit, or `old` holds no encoders of this width.
        """
        made = Network(self.settings)
        if self.settings.old:
            speaking.freeze_encoders(made, Path(self.settings.old))
        return made

    def loss(self, network: nn.Module, batch: Batch) -> tuple[Tensor, dict[str, float]]:
        """The weighted terms."""
        tuned, wanted = cast(Network, network), self.settings
        shares = batch.label[:, None].expand(-1, wanted.frames)
        if batch.replaced is not None:
            shares = batch.replaced[:, 0]
        sides = tuned.sides(batch.pixels)
        levels = tuned.levels(*sides)
        logit, frames = tuned.judge(levels[0])
        intervals, sure = tuned.proposals(levels)
        right, true = self.wanted_proposals(shares, [seen.shape[2] for seen in levels])
        count = right.sum().clamp_min(1)
        surely = functional.binary_cross_entropy_with_logits(sure, right, reduction="none")
        agree = distance_overlap(intervals, true)
        terms = {
            "bce": functional.binary_cross_entropy_with_logits(logit, batch.label),
            "frame": wanted.frame
            * functional.binary_cross_entropy_with_logits(frames, shares.float()),
            # Few proposals are right: each side counts for a half.
            "sure": wanted.sure
            * ((surely * right).sum() / count + (surely * (1 - right)).mean())
            / 2,
            "interval": wanted.interval * ((1 - agree) * right).sum() / count,
            "near": wanted.align * tuned.apart.contrast(*sides, shares < 0.5, wanted.temperature),
        }
        total = torch.stack(list(terms.values())).sum()
        return total, {name: float(term.detach()) for name, term in terms.items()}

    def wanted_proposals(self, shares: Tensor, counts: list[int]) -> tuple[Tensor, Tensor]:
        """Which proposals are right, and the interval that each should be.

        Args:
            shares: (N, T) of each frame that is forged.
            counts: frames of each level.

        Returns:
            (N, Q) of 0 and 1: inside an interval, on the level of its length; and (N, Q, 2) of
            middle and width, where right.
        """
        middles = torch.cat([(torch.arange(count) + 0.5) / count for count in counts])
        numbers = torch.cat([torch.full((count,), level) for level, count in enumerate(counts)])
        middles, numbers = middles.to(shares.device), numbers.to(shares.device)
        right = shares.new_zeros(len(shares), len(middles))
        true = shares.new_full((len(shares), len(middles), 2), 0.5)
        for row, found in enumerate(stretches(shares)):
            levels = level_of(found[:, 1], len(counts), shares.shape[1])
            for interval, ends, level in zip(found, bounds(found), levels, strict=True):
                inside = (middles > ends[0]) & (middles < ends[1]) & (numbers == level)
                right[row, inside] = 1
                true[row, inside] = interval
        return right, true
