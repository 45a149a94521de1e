"""MS-DETR: from when to when a clip is forged.

What it is
    A frozen network reads every frame. What frames show (the semantic stream) and how that changes
    from frame to frame (the motion stream) look at each other; an encoder looks along the clip. Ten
    queries then ask for forged intervals; each answers with a middle, a width and how sure it is.

What the paper does
    Only its abstract could be read: a detection transformer on frame features with a motion and a
    semantic stream, and contrastive denoising queries. The rest follows Moment-DETR: ten queries of
    (middle, width), one-to-one matching, ten times L1, once generalised IoU, four times
    cross-entropy, in which "nothing" counts a tenth.

What differs here
    Sizes, and the noise of denoising queries, are our own choice. Each true interval is shown to
    the decoder twice, shifted a little (to be restored) and a lot (to be refused); these queries
    and the free ones do not see each other. Clips with a forged interval are made of genuine ones
    by video-level blending (`bonafide.train.video_blending`) in some frames; labelled forged clips
    count as forged throughout. The clip's logit is that of its surest query. Scored by
    `bonafide.bench.segments`.

Reference
    J. Lei, T. Berg, M. Bansal, "Detecting Moments and Highlights in Videos via Natural Language
    Queries", NeurIPS 2021 (Moment-DETR); N. Carion et al., "End-to-End Object Detection with
    Transformers", ECCV 2020; H. Zhang et al., "DINO: DETR with Improved DeNoising Anchor Boxes",
    ICLR 2023.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from torch import Tensor, nn
from torch.nn import functional

from bonafide.errors import InvalidInput
from bonafide.subjects.faces import CROP_MARGIN
from bonafide.train import clips
from bonafide.train.augment import Pixels
from bonafide.train.backbones import Backbone, load_backbone
from bonafide.train.clips import ClipRecipe, frames_of
from bonafide.train.intervals import bounds, overlap, stretches
from bonafide.train.recipe import Batch, Output
from bonafide.train.sequences import places
from bonafide.train.video_blending import video_blended

SHORTEST = 0.1  # forged share of a clip that is made, at least
LONGEST = 0.6  # at most
NEAR, FAR = 0.2, 1.0  # noise of denoising queries, in widths of their interval


class Network(nn.Module):
    """A frozen encoder of frames, two streams, an encoder along time, and queries.

    Raises:
        InvalidInput: `width` is no multiple of `heads`.
    """

    place: Tensor

    def __init__(self, backbone: Backbone, settings: Settings) -> None:
        super().__init__()
        width, heads = settings.width, settings.heads
        if width % heads:
            raise InvalidInput(f"width={width} must be a multiple of heads={heads}")
        self.frames = settings.frames
        self.backbone = backbone.requires_grad_(False)
        self.semantic, self.motion = (
            nn.Sequential(nn.LayerNorm(backbone.width), nn.Linear(backbone.width, width))
            for _ in range(2)
        )
        self.register_buffer("place", places(settings.frames, width), persistent=False)
        self.streams = nn.ModuleList(
            nn.MultiheadAttention(width, heads, batch_first=True) for _ in range(2)
        )
        layer = nn.TransformerEncoderLayer(
            width, heads, 4 * width, settings.dropout, "gelu", batch_first=True, norm_first=True
        )
        self.encoder = nn.TransformerEncoder(
            layer, settings.layers, nn.LayerNorm(width), enable_nested_tensor=False
        )
        behind = nn.TransformerDecoderLayer(
            width, heads, 4 * width, settings.dropout, "gelu", batch_first=True, norm_first=True
        )
        self.decoder = nn.TransformerDecoder(behind, settings.layers, nn.LayerNorm(width))
        self.queries = nn.Parameter(torch.randn(settings.queries, width))
        self.asked = nn.Sequential(nn.Linear(2, width), nn.GELU(), nn.Linear(width, width))
        self.interval = nn.Sequential(nn.Linear(width, width), nn.GELU(), nn.Linear(width, 2))
        self.forged = nn.Linear(width, 1)

    def memory(self, pixels: Tensor) -> Tensor:
        """float32 (N, 3T, H, H) in [0, 1] → (N, T, width)."""
        with torch.no_grad():
            pooled = self.backbone(frames_of(pixels, self.frames)).pooled
        seen = pooled.reshape(-1, self.frames, pooled.shape[1])
        # The first frame has none before it: its motion is that of the second.
        moved = torch.cat([seen[:, 1:2] - seen[:, :1], seen[:, 1:] - seen[:, :-1]], 1)
        semantic, motion = self.semantic(seen) + self.place, self.motion(moved) + self.place
        first, _ = self.streams[0](semantic, motion, motion, need_weights=False)
        second, _ = self.streams[1](motion, semantic, semantic, need_weights=False)
        found: Tensor = self.encoder(semantic + motion + first + second)
        return found

    def decode(self, memory: Tensor, noised: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Answers of all queries, those to `noised` intervals behind the free ones.

        Args:
            memory: (N, T, width).
            noised: (N, M, 2) of middle and width in [0, 1], or None.

        Returns:
            Intervals (N, Q, 2) of middle and width in (0, 1); logits (N, Q).
        """
        asked = self.queries.expand(len(memory), -1, -1)
        hidden = None
        if noised is not None:
            free = asked.shape[1]
            asked = torch.cat([asked, self.asked(noised)], 1)
            group = torch.arange(asked.shape[1], device=memory.device)
            group = torch.where(group < free, -1, group)  # each noised query is on its own
            hidden = group[:, None] != group[None]
        answers = self.decoder(asked, memory, tgt_mask=hidden)
        return self.interval(answers).sigmoid(), self.forged(answers).squeeze(2)

    def forward(self, pixels: Tensor) -> Output:
        """float32 (N, 3T, H, H) in [0, 1] → `Output` with intervals: (N, Q, 3) of begin and end, as
        shares of the clip, and the logit of being forged."""
        intervals, logits = self.decode(self.memory(pixels))
        ends = bounds(intervals).clamp(0, 1)
        segments = torch.cat([ends, logits[..., None]], 2)
        return Output(logits.amax(1), segments=segments)


@dataclass(frozen=True)
class Settings(clips.Settings):
    """Our own choice but for the weights; see `bonafide.train.recipe.Settings` for the shared ones.

    Attributes:
        backbone: a folder with a vision model, or its name on the hub.
        download: whether the backbone may be fetched from the hub.
        width: channels of a token.
        heads: of each attention.
        layers: of the encoder, and of the decoder.
        queries: intervals that a clip can have, at most.
        dropout: in both.
        blended: share of the forged clips that are made of genuine ones.
        distance, iou, kind: weights of L1, generalised IoU and cross-entropy.
        nothing: weight of queries without an interval in the cross-entropy.
        denoising: weight of the terms of denoising queries; 0 for none.
    """

    frames: int = 64
    batch: int = 16
    learning_rate: float = 1e-4
    weight_decay: float = 1e-4
    backbone: str = "openai/clip-vit-base-patch16"
    download: bool = False
    width: int = 256
    heads: int = 8
    layers: int = 2
    queries: int = 10
    dropout: float = 0.1
    blended: float = 0.5
    distance: float = 10.0
    iou: float = 1.0
    kind: float = 4.0
    nothing: float = 0.1
    denoising: float = 1.0


class Method(ClipRecipe):
    """Intervals matched one to one, and restored from noise."""

    id = "ms_detr"
    title = "Forged intervals of a clip, from motion and content of its frames"
    paper = "J. Lei et al., Detecting Moments and Highlights in Videos, NeurIPS 2021"
    Settings = Settings

    @property
    def blended(self) -> float:
        """See `clips.OwnForgeries`."""
        return float(self.settings.blended)

    def network(self) -> Network:
        """The frozen backbone with fresh streams and queries.

        Raises:
            InvalidInput: the backbone is not on this machine, or the width does not fit.
        """
        return Network(load_backbone(self.settings.backbone, self.settings.download), self.settings)

    def forge(
        self, clip: Pixels, random: np.random.Generator
    ) -> tuple[Pixels, NDArray[np.float32]]:
        """A clip of aligned faces of which a stretch was blended."""
        frames = self.settings.frames
        length = max(2, round(frames * random.uniform(SHORTEST, LONGEST)))
        begin = int(random.integers(frames - length + 1))
        made = clip.copy()
        inside = slice(3 * begin, 3 * (begin + length))
        made[..., inside], _ = video_blended(clip[..., inside], CROP_MARGIN, random)
        share = np.zeros(frames, np.float32)
        share[begin : begin + length] = 1
        return made, share

    def loss(self, network: nn.Module, batch: Batch) -> tuple[Tensor, Mapping[str, float]]:
        """The weighted terms of free and of denoising queries."""
        tuned = cast(Network, network)
        frames = self.settings.frames
        shares = batch.label[:, None].expand(-1, frames)
        if batch.replaced is not None:
            shares = batch.replaced[:, 0]
        truths = stretches(shares)
        noised = self.noised(truths) if self.settings.denoising else None
        intervals, logits = tuned.decode(tuned.memory(batch.pixels), noised)
        free = self.settings.queries
        drawn = zip(intervals.detach(), logits.detach(), truths, strict=True)
        rows = [self.matched(one[:free], kind[:free], truth) for one, kind, truth in drawn]
        parts = self.terms(intervals[:, :free], logits[:, :free], truths, rows)
        if noised is not None:
            # Of each true interval the near query is its own, the far one nobody's.
            own = [(2 * np.arange(len(truth)), np.arange(len(truth))) for truth in truths]
            there = torch.zeros_like(logits[:, free:], dtype=torch.bool)
            for number, truth in enumerate(truths):
                there[number, : 2 * len(truth)] = True
            extra = self.terms(intervals[:, free:], logits[:, free:], truths, own, there)
            parts |= {
                f"noised_{name}": self.settings.denoising * one for name, one in extra.items()
            }
        total = torch.stack(list(parts.values())).sum()
        return total, {name: float(part.detach()) for name, part in parts.items()}

    def noised(self, truths: Sequence[Tensor]) -> Tensor | None:
        """True intervals, each shifted a little and then a lot: (N, 2M, 2); None without any."""
        most = max(len(truth) for truth in truths)
        if not most:
            return None
        made = truths[0].new_full((len(truths), 2 * most, 2), 0.5)
        for number, truth in enumerate(truths):
            for place, strength in ((0, NEAR), (1, FAR)):
                sign = torch.randn_like(truth).sign()
                least = 0.0 if place == 0 else NEAR
                amount = least + (strength - least) * torch.rand_like(truth)
                moved = truth + sign * amount * truth[:, 1:]
                made[number, place : 2 * len(truth) : 2] = moved.clamp(0.01, 1)
        return made

    def matched(
        self, intervals: Tensor, logits: Tensor, truth: Tensor
    ) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Queries and true intervals that belong together, at the least cost."""
        wanted = self.settings
        apart = torch.cdist(intervals.float(), truth.float(), p=1)
        cost = wanted.distance * apart - wanted.kind * logits.float().sigmoid()[:, None]
        cost = cost - wanted.iou * overlap(intervals.float()[:, None], truth[None].float())
        return cast(
            tuple[NDArray[np.intp], NDArray[np.intp]], linear_sum_assignment(cost.cpu().numpy())
        )

    def terms(
        self,
        intervals: Tensor,
        logits: Tensor,
        truths: Sequence[Tensor],
        rows: Sequence[tuple[NDArray[np.intp], NDArray[np.intp]]],
        there: Tensor | None = None,
    ) -> dict[str, Tensor]:
        """L1, generalised IoU and cross-entropy of queries that were given their intervals.

        Args:
            intervals: (N, Q, 2); logits: (N, Q).
            truths: (M, 2) of each clip.
            rows: queries of each clip and their intervals, as `matched` gives them.
            there: bool (N, Q), queries that count; all where None.
        """
        wanted = self.settings
        label = torch.zeros_like(logits)
        found, right = [], []
        for number, (own, true) in enumerate(rows):
            label[number, own] = 1
            found.append(intervals[number, own])
            right.append(truths[number][true])
        weight = torch.where(label > 0, 1.0, wanted.nothing)
        if there is not None:
            weight = weight * there
        kind = functional.binary_cross_entropy_with_logits(logits, label, reduction="none")
        parts = {"kind": wanted.kind * (weight * kind).sum() / weight.sum().clamp_min(1e-6)}
        given, true_ones = torch.cat(found), torch.cat(right)
        if len(given):
            parts["distance"] = wanted.distance * functional.l1_loss(given, true_ones)
            parts["iou"] = wanted.iou * (1 - overlap(given, true_ones)).mean()
        return parts
