"""AASIST: bands and moments of speech as two kinds of nodes of one graph that attend to each other.

What it is
    Sinc filters and residual blocks make a picture of bands by time out of samples. Its maxima
    along time are nodes that stand for bands, its maxima along bands nodes that stand for moments.
    Each kind is a graph of its own first; then both are stacked into one, in which a pair of nodes
    is weighed by other numbers where they are of one kind, of the other, or of both. A stack node
    gathers from all. Two such branches compete by their maximum.

What the paper does
    64,600 samples, 70 fixed sinc filters of 129 samples, six residual blocks of 32, 32 and 64
    channels, graphs of 64 and 32; half of the bands, 70 % of the moments and then half of both are
    kept by a learned score; softmax at temperature 2 and 100; mean and maximum of both kinds and
    the stack node are read out. Adam at 1e-4, falling to 5e-6 as a cosine, decay 1e-4, batches of
    24, 100 epochs. Cross-entropy weighs bona fide .9, spoofed .1. EER .83 % on ASVspoof 2019 LA,
    .99 % with 85 thousand parameters (AASIST-L).

What differs here
    Classes are drawn alike, so that no class is weighted: the paper's weights even out a set that
    has nine spoofed recordings for a genuine one. One output stands for two. The cosine ends at
    zero. Layouts of residual blocks and dropout are as recalled.

Reference
    J.-w. Jung, H.-S. Heo, H. Tak, H.-j. Shim, J. S. Chung, B.-J. Lee, H.-J. Yu, N. Evans, "AASIST:
    Audio Anti-Spoofing Using Integrated Spectro-Temporal Graph Attention Networks", ICASSP 2022.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from bonafide.errors import InvalidInput
from bonafide.train import sounds
from bonafide.train.recipe import Output
from bonafide.train.sound_front import Sinc
from bonafide.train.sounds import SoundRecipe

SHORTER = 3  # how many times, in the front and by each block
WARM, HOT = 2.0, 100.0  # temperatures of attention: graphs of one kind, of both kinds


class Block(nn.Module):
    """Two convolutions over bands and time beside a way past them; time is shortened."""

    def __init__(self, given: int, made: int, first: bool) -> None:
        super().__init__()
        self.before = nn.Identity() if first else nn.Sequential(nn.BatchNorm2d(given), nn.SELU())
        self.one = nn.Conv2d(given, made, (2, 3), padding=(1, 1))
        self.between = nn.Sequential(nn.BatchNorm2d(made), nn.SELU())
        self.two = nn.Conv2d(made, made, (2, 3), padding=(0, 1))
        self.past = (
            nn.Conv2d(given, made, (1, 3), padding=(0, 1)) if given != made else nn.Identity()
        )

    def forward(self, features: Tensor) -> Tensor:
        """(N, given, bands, time) → (N, made, bands, time // 3)."""
        hidden = self.two(self.between(self.one(self.before(features))))
        return functional.max_pool2d(hidden + self.past(features), (1, SHORTER))


class _Norm(nn.Module):
    """Batch norm over all nodes, and SELU."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(width)

    def forward(self, nodes: Tensor) -> Tensor:
        return functional.selu(self.norm(nodes.mT).mT)


class GraphAttention(nn.Module):
    """Nodes of one kind; each is seen by each, weighed by their product.

    Args:
        given, made: width of a node before and after.
        temperature: of the softmax.
        dropout: of what goes in.
    """

    def __init__(self, given: int, made: int, temperature: float, dropout: float) -> None:
        super().__init__()
        self.temperature = temperature
        self.dropout = nn.Dropout(dropout)
        self.pair = nn.Linear(given, made)
        self.weight = _weight(made)
        self.gathered, self.own = nn.Linear(given, made), nn.Linear(given, made)
        self.after = _Norm(made)

    def forward(self, nodes: Tensor) -> Tensor:
        """(N, nodes, given) → (N, nodes, made)."""
        nodes = self.dropout(nodes)
        pairs = self.pair(nodes[:, :, None] * nodes[:, None]).tanh() @ self.weight
        shares = (pairs / self.temperature).softmax(2)
        made: Tensor = self.after(self.gathered(shares @ nodes) + self.own(nodes))
        return made


class StackedAttention(nn.Module):
    """Nodes of two kinds in one graph, and a stack node that gathers from all.

    Args:
        given, made: width of a node before and after.
        dropout: of what goes in.
    """

    def __init__(self, given: int, made: int, dropout: float) -> None:
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.kinds = nn.ModuleList(nn.Linear(given, given) for _ in range(2))
        self.pair = nn.Linear(given, made)
        # Within the first kind, within the second, between both.
        self.weights = nn.ParameterList(_weight(made) for _ in range(3))
        self.gathered, self.own = nn.Linear(given, made), nn.Linear(given, made)
        self.stack_pair, self.stack_weight = nn.Linear(given, made), _weight(made)
        self.stack_gathered, self.stack_own = nn.Linear(given, made), nn.Linear(given, made)
        self.after = _Norm(made)

    def shares(self, nodes: Tensor, first: int) -> Tensor:
        """How much each node takes of each, (N, nodes, nodes), rows of sum 1.

        Args:
            nodes: (N, nodes, given), both kinds.
            first: how many of them are of the first kind.
        """
        pairs = self.pair(nodes[:, :, None] * nodes[:, None]).tanh()
        one, other, between = (pairs @ weight for weight in self.weights)
        of_first = torch.arange(nodes.shape[1], device=nodes.device) < first
        both = of_first[:, None] & of_first[None]
        neither = ~of_first[:, None] & ~of_first[None]
        logits = torch.where(both, one, torch.where(neither, other, between))
        return (logits / HOT).softmax(2)

    def forward(self, one: Tensor, other: Tensor, stack: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Nodes of both kinds (N, m, given), (N, n, given), and the stack node (N, 1, given).

        Returns:
            The same three, `made` wide.
        """
        first = one.shape[1]
        nodes = torch.cat([self.kinds[0](one), self.kinds[1](other)], 1)
        nodes = self.dropout(nodes)
        weighed = (self.stack_pair(nodes * stack).tanh() @ self.stack_weight / HOT).softmax(1)
        gathered = weighed[:, None] @ nodes
        stack = self.stack_gathered(gathered) + self.stack_own(stack)
        mixed = self.after(self.gathered(self.shares(nodes, first) @ nodes) + self.own(nodes))
        return mixed[:, :first], mixed[:, first:], stack


class Pool(nn.Module):
    """The nodes of the largest learned scores, times their scores.

    Args:
        width: of a node.
        kept: share of the nodes.
        dropout: of what the score is made of.
    """

    def __init__(self, width: int, kept: float, dropout: float) -> None:
        super().__init__()
        self.kept = kept
        self.dropout = nn.Dropout(dropout)
        self.score = nn.Linear(width, 1)

    def forward(self, nodes: Tensor) -> Tensor:
        """(N, nodes, width) → (N, kept × nodes, width), at least one node."""
        scores = self.score(self.dropout(nodes)).sigmoid()
        count = max(1, int(self.kept * nodes.shape[1]))
        best = scores.topk(count, 1).indices
        return torch.gather(nodes * scores, 1, best.expand(-1, -1, nodes.shape[2]))


class Branch(nn.Module):
    """Two stacked attentions with a pool between them."""

    def __init__(self, given: int, made: int, dropout: float) -> None:
        super().__init__()
        self.stack = nn.Parameter(torch.randn(1, 1, given))
        self.one = StackedAttention(given, made, dropout)
        self.pools = nn.ModuleList(Pool(made, 0.5, dropout) for _ in range(2))
        self.two = StackedAttention(made, made, dropout)

    def forward(self, moments: Tensor, bands: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(N, m, given), (N, n, given) → moments, bands and the stack node, `made` wide."""
        stack = self.stack.expand(len(moments), -1, -1)
        moments, bands, stack = self.one(moments, bands, stack)
        moments, bands = self.pools[0](moments), self.pools[1](bands)
        more = self.two(moments, bands, stack)
        return moments + more[0], bands + more[1], stack + more[2]


def _weight(width: int) -> nn.Parameter:
    return nn.Parameter(torch.randn(width) * width**-0.5)


class Network(nn.Module):
    """Encoder, graphs of bands and of moments, two branches over both, a linear head."""

    def __init__(self, settings: Settings) -> None:
        super().__init__()
        wanted = settings
        narrow, wide, made = wanted.width, 2 * wanted.width, wanted.nodes
        self.front = Sinc(wanted.filters, wanted.kernel)
        self.level = nn.Sequential(nn.BatchNorm2d(1), nn.SELU())
        sizes = (1, narrow, narrow, *[wide] * wanted.blocks)
        self.encoder = nn.Sequential(
            *(Block(given, out, not number) for number, (given, out) in enumerate(pairwise(sizes)))
        )
        self.places = nn.Parameter(torch.randn(1, wanted.filters // SHORTER, wide))
        self.bands, self.moments = (GraphAttention(wide, wide, WARM, 0.2) for _ in range(2))
        self.fewer_bands, self.fewer_moments = Pool(wide, 0.5, 0.3), Pool(wide, 0.7, 0.3)
        self.branches = nn.ModuleList(Branch(wide, made, 0.2) for _ in range(2))
        self.forget = nn.Dropout(0.5)
        self.head = nn.Linear(5 * made, 1)

    def nodes(self, sound: Tensor) -> tuple[Tensor, Tensor]:
        """(N, samples) → moments (N, T, width) and bands (N, B, width)."""
        filtered = self.front(sound).abs()[:, None]
        seen = self.encoder(self.level(functional.max_pool2d(filtered, SHORTER))).abs()
        return seen.amax(2).mT, seen.amax(3).mT + self.places

    def read(self, moments: Tensor, bands: Tensor) -> Tensor:
        """Nodes of both kinds → the logit, (N,)."""
        moments = self.fewer_moments(self.moments(moments))
        bands = self.fewer_bands(self.bands(bands))
        found = [branch(moments, bands) for branch in self.branches]
        moments, bands, stack = (torch.maximum(*both) for both in zip(*found, strict=True))
        parts = (moments.abs().amax(1), moments.mean(1), bands.abs().amax(1), bands.mean(1),
                 stack[:, 0])  # fmt: skip
        logit: Tensor = self.head(self.forget(torch.cat(parts, 1))).squeeze(1)
        return logit

    def forward(self, sound: Tensor) -> Output:
        """float32 (N, samples) in [-1, 1] → `Output` without a map."""
        return Output(self.read(*self.nodes(sound)))


@dataclass(frozen=True)
class Settings(sounds.Settings):
    """The paper's; see `bonafide.train.sounds.Settings` for the shared ones.

    Attributes:
        filters: of the first layer.
        kernel: length of each, samples.
        width: channels of the first two blocks; further ones have twice as many.
        blocks: further ones.
        nodes: width of a node in the graph of both kinds.
    """

    batch: int = 24
    schedule: str = "cosine"
    filters: int = 70
    kernel: int = 129
    width: int = 32
    blocks: int = 4
    nodes: int = 32


class Method(SoundRecipe):
    """Cross-entropy on graphs of bands and moments."""

    id = "aasist"
    title = "Voices: attention over a graph of bands and moments, on samples"
    paper = "J.-w. Jung et al., AASIST, ICASSP 2022"
    Settings = Settings

    def network(self) -> Network:
        """A fresh network.

        Raises:
            InvalidInput: a stretch is too short for its blocks.
        """
        wanted = self.settings
        if (wanted.samples - wanted.kernel) // SHORTER ** (3 + wanted.blocks) < 2:
            raise InvalidInput(
                f"samples={wanted.samples} are too few for {2 + wanted.blocks} blocks"
            )
        return Network(wanted)
