"""Small autoencoders that differ in the ways in which real ones do.

A detector that learns from one decoder learns that decoder. What leaves a trace is how a decoder
enlarges (nearest or bilinear followed by a convolution, transposed convolution, pixel shuffle),
how often, through which bottleneck, normalisation and nonlinearity, and whether a discriminator
sharpened it; so each is an axis here.

Reference: the family is that of latent diffusion's first stage (Rombach et al., "High-Resolution
Image Synthesis with Latent Diffusion Models", CVPR 2022, section 3.1), at a hundredth of its size.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from bonafide.errors import InvalidInput
from bonafide.files import atomic_write

FACTORS = (4, 8, 16)
ENLARGERS = ("nearest", "transposed", "shuffle", "bilinear")
BOTTLENECKS = ("plain", "kl", "vq")
NORMS = ("group", "none")
ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "silu": nn.SiLU,
    "relu": nn.ReLU,
    "leaky": lambda: nn.LeakyReLU(0.2),
}
_GROUPS = 8
_WIDEST = 3  # levels after which the width grows no more
_REVIVE_BELOW = 0.01  # picks per step, averaged, under which a code is replaced


@dataclass(frozen=True)
class Member:
    """One autoencoder of the zoo.

    Attributes:
        name: of its files.
        factor: pixels per latent along each side: 4, 8 or 16.
        latent: channels of the latent.
        enlarge: how the decoder doubles its grid: one of `ENLARGERS`.
        bottleneck: "plain", "kl" (Gaussian latent) or "vq" (nearest of `codes` vectors).
        codes: size of the codebook; read only where the bottleneck is "vq".
        width: channels at full resolution; a multiple of 8.
        norm: "group" or "none".
        activation: "silu", "relu" or "leaky".
        adversarial: whether a patch discriminator takes part in its training.
    """

    name: str
    factor: int = 8
    latent: int = 16
    enlarge: str = "nearest"
    bottleneck: str = "kl"
    codes: int = 2048
    width: int = 32
    norm: str = "group"
    activation: str = "silu"
    adversarial: bool = False

    def __post_init__(self) -> None:
        for value, known in (
            (self.factor, FACTORS),
            (self.enlarge, ENLARGERS),
            (self.bottleneck, BOTTLENECKS),
            (self.norm, NORMS),
            (self.activation, tuple(ACTIVATIONS)),
        ):
            if value not in known:
                raise InvalidInput(f"autoencoder {self.name}: {value!r} is none of {known}")
        if self.width % _GROUPS or self.width < _GROUPS:
            raise InvalidInput(f"autoencoder {self.name}: width must be a multiple of {_GROUPS}")


class Reconstruction(NamedTuple):
    """What comes out of an autoencoder.

    Attributes:
        pixels: float32 (N, 3, H, W), around [0, 1] but not clipped to it.
        penalty: scalar that the bottleneck adds to the loss, already weighted; 0 for "plain".
    """

    pixels: Tensor
    penalty: Tensor


class Autoencoder(nn.Module):
    """Encoder, bottleneck, decoder: float32 RGB (N, 3, H, W) in [0, 1] → `Reconstruction`.

    H and W must be multiples of `member.factor`. In evaluation mode it is deterministic.
    """

    def __init__(self, member: Member) -> None:
        super().__init__()
        self.member = member
        self.encoder = _encoder(member)
        self.bottleneck: nn.Module = {"plain": _Plain, "kl": _Gaussian, "vq": _Quantiser}[
            member.bottleneck
        ](member)
        self.decoder = _decoder(member)
        # The latent starts as the lowest frequencies of every block, and their means go past the
        # decoder: a few minutes of training then suffice, and colour never tells a twin.
        basis = _lowest_frequencies(member.factor, member.latent)
        self.coarse = nn.Conv2d(3, _channels_out(member), member.factor, member.factor, bias=False)
        self.colour = nn.Conv2d(member.latent, 3, 1, bias=False)
        for layer in (self.coarse, self.colour):
            nn.init.zeros_(layer.weight)
        self.coarse.weight.data[: member.latent] = basis
        self.colour.weight.data[:, :3, 0, 0] = basis[:3].sum(dim=(2, 3)).T

    def forward(self, pixels: Tensor) -> Reconstruction:
        """Encode, squeeze and decode."""
        scaled = pixels * 2 - 1
        latent, penalty = self.bottleneck(self.encoder(scaled) + self.coarse(scaled))
        colour = functional.interpolate(
            self.colour(latent).float(), scale_factor=float(self.member.factor), mode="bilinear"
        )
        return Reconstruction((self.decoder(latent).float() + colour + 1) / 2, penalty)


class Discriminator(nn.Module):
    """Patch discriminator: float32 (N, 3, H, W) in [0, 1] → logits (N, 1, H/8, W/8) of being real.

    Isola et al., "Image-to-Image Translation with Conditional Adversarial Networks", CVPR 2017,
    section 3.2.2, without normalisation, which would see through batches of crops.
    """

    def __init__(self, width: int = 32) -> None:
        super().__init__()
        sizes = (3, width, 2 * width, 3 * width)
        layers: list[nn.Module] = []
        for before, after in itertools.pairwise(sizes):
            layers += [nn.Conv2d(before, after, 4, 2, 1), nn.LeakyReLU(0.2)]
        self.layers = nn.Sequential(*layers, nn.Conv2d(sizes[-1], 1, 3, padding=1))

    def forward(self, pixels: Tensor) -> Tensor:
        """Score every patch."""
        return cast(Tensor, self.layers(pixels * 2 - 1)).float()


def save(autoencoder: Autoencoder, path: Path, facts: dict[str, Any]) -> None:
    """Write an autoencoder with its description to one file, whole or not at all.

    Args:
        autoencoder: what is written.
        path: the file, by custom ending in ".pt".
        facts: numbers and strings about its training that are kept beside the weights.
    """
    weights = {name: value.detach().cpu() for name, value in autoencoder.state_dict().items()}
    contents = {"member": asdict(autoencoder.member), "weights": weights, "facts": facts}
    with atomic_write(path) as partial:
        torch.save(contents, partial)


def load(path: Path) -> Autoencoder:
    """Read an autoencoder that `save` wrote, in evaluation mode, on the CPU.

    Raises:
        InvalidInput: the file is missing or holds something else.
    """
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
        autoencoder = Autoencoder(Member(**content["member"]))
        autoencoder.load_state_dict(content["weights"])
    except Exception as error:  # torch raises nearly anything on a foreign file
        raise InvalidInput(f"{path} holds no autoencoder of the zoo: {error}") from None
    return autoencoder.eval()


class _Plain(nn.Module):
    """No bottleneck beyond the number of channels."""

    def __init__(self, member: Member) -> None:
        super().__init__()

    def forward(self, latent: Tensor) -> tuple[Tensor, Tensor]:
        return latent, latent.new_zeros((), dtype=torch.float32)


class _Gaussian(nn.Module):
    """Diagonal Gaussian, sampled in training, its mean in evaluation; weak pull to the normal."""

    WEIGHT = 1e-6
    QUIET = -6.0  # log-variance of an untrained encoder; noise of size one would drown the latent

    def __init__(self, member: Member) -> None:
        super().__init__()

    def forward(self, latent: Tensor) -> tuple[Tensor, Tensor]:
        mean, log_variance = latent.float().chunk(2, dim=1)
        if not self.training:
            return mean, mean.new_zeros(())
        log_variance = (log_variance + self.QUIET).clamp(-30, 20)
        divergence = (mean**2 + log_variance.exp() - 1 - log_variance).sum() / (2 * len(mean))
        sample = mean + torch.exp(log_variance / 2) * torch.randn_like(mean)
        return sample, self.WEIGHT * divergence


class _Quantiser(nn.Module):
    """Nearest vector of a learned codebook, with the gradient passed straight through.

    Van den Oord et al., "Neural Discrete Representation Learning", NeurIPS 2017, equations 1–3.
    Codes that are hardly picked are replaced by latents of the batch, since a codebook that
    starts far from the latents would otherwise stay unused.
    """

    COMMITMENT = 0.25

    codes: Tensor
    picks: Tensor

    def __init__(self, member: Member) -> None:
        super().__init__()
        self.codes = nn.Parameter(torch.randn(member.codes, member.latent))
        self.register_buffer("picks", torch.zeros(member.codes))

    def forward(self, latent: Tensor) -> tuple[Tensor, Tensor]:
        vectors = latent.float().movedim(1, -1)
        flat = vectors.reshape(-1, vectors.shape[-1])
        with torch.no_grad(), torch.autocast(latent.device.type, enabled=False):
            distances = self.codes.square().sum(1) - 2 * flat @ self.codes.T
            nearest = distances.argmin(1)
        if self.training:
            self._revive(flat.detach(), nearest)
        chosen = self.codes[nearest].view_as(vectors)
        penalty = functional.mse_loss(chosen, vectors.detach())
        penalty = penalty + self.COMMITMENT * functional.mse_loss(vectors, chosen.detach())
        through = vectors + (chosen - vectors).detach()
        return through.movedim(-1, 1), penalty

    @torch.no_grad()
    def _revive(self, flat: Tensor, nearest: Tensor) -> None:
        counts = torch.bincount(nearest, minlength=len(self.codes)).float()
        self.picks.lerp_(counts, 0.05)
        idle = (self.picks < _REVIVE_BELOW).nonzero().flatten()[: len(flat)]
        if len(idle):
            self.codes[idle] = flat[torch.randperm(len(flat), device=flat.device)[: len(idle)]]
            self.picks[idle] = 1.0


class _Residual(nn.Module):
    """Two convolutions beside an identity; the second starts at zero, so depth is no obstacle."""

    def __init__(self, channels: int, member: Member) -> None:
        super().__init__()
        last = nn.Conv2d(channels, channels, 3, padding=1)
        nn.init.zeros_(last.weight)
        self.layers = nn.Sequential(
            *_activated(channels, member),
            nn.Conv2d(channels, channels, 3, padding=1),
            ACTIVATIONS[member.activation](),
            last,
        )

    def forward(self, features: Tensor) -> Tensor:
        return features + cast(Tensor, self.layers(features))


def _activated(channels: int, member: Member) -> list[nn.Module]:
    norm = [nn.GroupNorm(_GROUPS, channels)] if member.norm == "group" else []
    return [*norm, ACTIVATIONS[member.activation]()]


def _lowest_frequencies(factor: int, count: int) -> Tensor:
    """Cosine basis of a block, lowest frequencies and lightness first.

    Returns:
        float32 (count, 3, factor, factor); the first three give the means of lightness and of two
        colour differences, the others twice their coefficient, since those are small.
    """
    colours = torch.tensor([[1.0, 1, 1], [1, 0, -1], [1, -2, 1]])
    colours = colours / colours.norm(dim=1, keepdim=True)
    order, place = torch.arange(factor)[:, None], torch.arange(factor)[None]
    waves = torch.cos(order * (2 * place + 1) * torch.pi / (2 * factor))
    frequencies = sorted(
        ((3 if colour else 1) * (row + column), colour, row, column)
        for colour in range(3)
        for row in range(factor)
        for column in range(factor)
    )
    kernels = [
        (2 if rank else 1) * torch.einsum("c,y,x->cyx", colours[colour], waves[row], waves[column])
        for rank, colour, row, column in frequencies[:count]
    ]
    return torch.stack(kernels) / factor**2


def _widths(member: Member) -> list[int]:
    """Channels per level, from full resolution to the latent's."""
    levels = member.factor.bit_length()
    return [member.width * min(level + 1, _WIDEST) for level in range(levels)]


def _encoder(member: Member) -> nn.Module:
    widths = _widths(member)
    layers: list[nn.Module] = []
    channels = 3  # nothing is computed at full resolution: the decoder's trace is what matters
    for width in widths[1:]:
        layers += [nn.Conv2d(channels, width, 4, 2, 1), _Residual(width, member)]
        channels = width
    last = nn.Conv2d(channels, _channels_out(member), 1)
    nn.init.zeros_(last.weight)
    return nn.Sequential(*layers, *_activated(channels, member), last)


def _channels_out(member: Member) -> int:
    """Channels between encoder and bottleneck: a Gaussian needs means and variances."""
    return member.latent * (2 if member.bottleneck == "kl" else 1)


def _decoder(member: Member) -> nn.Module:
    widths = _widths(member)[::-1]
    layers: list[nn.Module] = [nn.Conv2d(member.latent, widths[0], 3, padding=1)]
    for before, after in itertools.pairwise(widths):
        layers += [_Residual(before, member), *_doubled(before, after, member.enlarge)]
    width = widths[-1]
    last = nn.Conv2d(width, 3, 3, padding=1)
    nn.init.zeros_(last.weight)
    return nn.Sequential(*layers, _Residual(width, member), *_activated(width, member), last)


def _doubled(before: int, after: int, enlarge: str) -> list[nn.Module]:
    """Layers from `before` channels to `after` channels on a grid twice as fine."""
    if enlarge == "transposed":
        return [nn.ConvTranspose2d(before, after, 4, 2, 1)]
    if enlarge == "shuffle":
        return [nn.Conv2d(before, 4 * after, 3, padding=1), nn.PixelShuffle(2)]
    finer = nn.Upsample(scale_factor=2, mode=enlarge)
    return [finer, nn.Conv2d(before, after, 3, padding=1)]
