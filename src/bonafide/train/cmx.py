"""Two streams of features that correct each other, and then become one.

Both modules work on feature maps of equal shape, stage by stage of a two-branch encoder.

Source: J. Zhang et al., "CMX: Cross-Modal Fusion for RGB-X Semantic Segmentation with
Transformers", IEEE T-ITS 2023, sections III-B and III-C; reduction ratio 1.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

_SHARE = 0.5  # of the correction, for channels and for places alike


class Rectification(nn.Module):
    """Each stream takes over what the other knows better, by channel and by place.

    Args:
        channels: of either stream.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.of_channels = nn.Sequential(
            nn.Linear(4 * channels, 4 * channels),
            nn.ReLU(),
            nn.Linear(4 * channels, 2 * channels),
            nn.Sigmoid(),
        )
        self.of_places = nn.Sequential(
            nn.Conv2d(2 * channels, channels, 1), nn.ReLU(), nn.Conv2d(channels, 2, 1), nn.Sigmoid()
        )

    def forward(self, first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
        """Two of (N, C, h, w) → two of the same shape."""
        both = torch.cat([first, second], 1)
        pooled = torch.cat([both.mean((2, 3)), both.amax((2, 3))], 1)
        from_first, from_second = self.of_channels(pooled)[..., None, None].chunk(2, 1)
        at_first, at_second = self.of_places(both).chunk(2, 1)
        return (
            first + _SHARE * (from_second + at_second) * second,
            second + _SHARE * (from_first + at_first) * first,
        )


class Fusion(nn.Module):
    """Each stream asks the other's summary, and a small convolution makes one map of the two.

    The summary is keysᵀ·values, whose size does not depend on that of the picture.

    Args:
        channels: of either stream and of the result.
        heads: of the exchange; they divide the channels.
    """

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.enter = nn.ModuleList(nn.Linear(channels, 2 * channels) for _ in range(2))
        self.remember = nn.ModuleList(
            nn.Linear(channels, 2 * channels, bias=False) for _ in range(2)
        )
        self.leave = nn.ModuleList(nn.Linear(2 * channels, channels) for _ in range(2))
        self.norms = nn.ModuleList(nn.LayerNorm(channels) for _ in range(2))
        self.shortcut = nn.Conv2d(2 * channels, channels, 1, bias=False)
        self.mix = nn.Sequential(
            nn.Conv2d(2 * channels, channels, 1),
            nn.Conv2d(channels, channels, 3, padding=1, groups=channels),
            nn.ReLU(),
            nn.Conv2d(channels, channels, 1),
            nn.BatchNorm2d(channels),
        )
        self.norm = nn.BatchNorm2d(channels)

    def forward(self, first: Tensor, second: Tensor) -> Tensor:
        """Two of (N, C, h, w) → one of the same shape."""
        count, channels, height, width = first.shape
        streams = [part.flatten(2).transpose(1, 2) for part in (first, second)]
        entered = [
            torch.relu(enter(stream)).chunk(2, 2)
            for enter, stream in zip(self.enter, streams, strict=True)
        ]
        summaries = [
            self._summary(remember(asking))
            for remember, (_, asking) in zip(self.remember, entered, strict=True)
        ]
        answers = [
            (self._by_head(asking) @ summary).transpose(1, 2).flatten(2)
            for (_, asking), summary in zip(entered, reversed(summaries), strict=True)
        ]
        left = [
            norm(stream + leave(torch.cat([kept, answer], 2)))
            for norm, stream, leave, (kept, _), answer in zip(
                self.norms, streams, self.leave, entered, answers, strict=True
            )
        ]
        both = torch.cat(left, 2).transpose(1, 2).reshape(count, 2 * channels, height, width)
        fused: Tensor = self.norm(self.shortcut(both) + self.mix(both))
        return fused

    def _summary(self, remembered: Tensor) -> Tensor:
        """(N, places, 2 C) → (N, heads, C / heads, C / heads)."""
        keys, values = (self._by_head(part) for part in remembered.chunk(2, 2))
        scale = keys.shape[-1] ** -0.5
        summary: Tensor = ((keys.transpose(2, 3) @ values) * scale).softmax(2)
        return summary

    def _by_head(self, stream: Tensor) -> Tensor:
        count, places, channels = stream.shape
        split: Tensor = stream.reshape(count, places, self.heads, channels // self.heads)
        return split.transpose(1, 2)
