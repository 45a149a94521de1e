"""Trains small autoencoders on bona fide pictures, one file each.

The members differ along every axis of `autoencoders.Member`. They are trained with an L1 loss on
pixels, on their differences and on spectral magnitudes, so that a reconstruction is not told by
blur, and some of them against a patch discriminator. The command

    bonafide align MANIFEST --train-zoo zoo

trains those of `MEMBERS`; a member whose file exists is left alone, one that was interrupted goes
on from its checkpoint, with the same result as if it had not been.

References: Rombach et al., "High-Resolution Image Synthesis with Latent Diffusion Models", CVPR
2022, appendix G (hinge loss, discriminator from a later step on); Esser et al., "Taming
Transformers for High-Resolution Image Synthesis", CVPR 2021, equation 7 (its adaptive weight).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from bonafide.files import atomic_write
from bonafide.train import autoencoders
from bonafide.train.autoencoders import Autoencoder, Discriminator, Member

Pixels = NDArray[np.uint8]
Network = TypeVar("Network", bound=nn.Module)

MEMBERS = (
    Member("nearest-x8-kl", 8, 16, "nearest", "kl"),
    Member("transposed-x4-vq", 4, 8, "transposed", "vq", norm="none", activation="leaky"),
    Member("shuffle-x8-plain-gan", 8, 16, "shuffle", "plain", activation="relu", adversarial=True),
    Member("bilinear-x4-kl-gan", 4, 4, "bilinear", "kl", adversarial=True),
    Member("nearest-x16-plain", 16, 64, "nearest", "plain", norm="none", activation="relu"),
    Member("transposed-x8-kl-gan", 8, 16, "transposed", "kl", norm="none", adversarial=True),
    Member("nearest-x4-vq-gan", 4, 4, "nearest", "vq", activation="silu", adversarial=True),
    Member("shuffle-x4-kl", 4, 4, "shuffle", "kl", width=24, norm="none", activation="leaky"),
    Member("bilinear-x16-kl-gan", 16, 64, "bilinear", "kl", activation="leaky", adversarial=True),
    Member("transposed-x16-plain", 16, 64, "transposed", "plain", activation="relu"),
)


@dataclass(frozen=True)
class Schedule:
    """How a member is trained.

    Attributes:
        seed: of weights, crops and noise.
        steps: optimiser steps.
        batch: crops per step.
        crop: their side, pixels; a multiple of 32.
        learning_rate: its peak; it falls to zero along a cosine.
        warmup: steps of linear rise.
        difference: weight of the L1 loss on differences of neighbouring pixels.
        spectrum: weight of the L1 loss on magnitudes of the orthonormal Fourier transform.
        adversarial: weight of the hinge loss, relative to the gradients of the other losses.
        adversarial_from: share of the steps after which the discriminator takes part.
        checkpoint_every: steps between checkpoints.
        half: whether convolutions run in bfloat16; twice as fast on processors built for it.
    """

    seed: int = 0
    steps: int = 2500
    batch: int = 8
    crop: int = 64
    learning_rate: float = 2e-3
    warmup: int = 100
    difference: float = 1.0
    spectrum: float = 0.1
    adversarial: float = 0.3
    adversarial_from: float = 0.5
    checkpoint_every: int = 500
    half: bool = False


@dataclass(frozen=True)
class Trained:
    """What became of a member.

    Attributes:
        path: its file.
        psnr: mean over held-out crops of the peak signal-to-noise ratio at eight bits, decibels.
    """

    path: Path
    psnr: float


def train(
    member: Member,
    crops: Sequence[Pixels],
    held_out: Sequence[Pixels],
    folder: Path,
    schedule: Schedule,
    tick: Callable[[int, float], None] = lambda step, loss: None,
) -> Trained:
    """Train one member and write `folder`/`member.name`.pt, going on from a checkpoint if any.

    Args:
        member: what is trained.
        crops: uint8 H×W×3 RGB, sides of at least `schedule.crop`.
        held_out: uint8 H×W×3 RGB of other sources, sides multiples of 16; measured at the end.
        folder: where the file goes.
        schedule: how.
        tick: called with the number of finished steps and the reconstruction loss.

    Raises:
        InvalidInput: the file exists and is no autoencoder.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{member.name}.pt"
    if not path.exists():
        with torch.random.fork_rng():
            run = _Run(member, schedule, folder / f"{member.name}.checkpoint")
            while run.step < schedule.steps:
                tick(run.step, run.advance(crops))
        psnr = measure(run.autoencoder, held_out)
        autoencoders.save(run.autoencoder, path, {"psnr": psnr, "steps": schedule.steps})
        run.checkpoint.unlink(missing_ok=True)
        return Trained(path, psnr)
    return Trained(path, measure(autoencoders.load(path), held_out))


def measure(autoencoder: Autoencoder, crops: Sequence[Pixels]) -> float:
    """Mean peak signal-to-noise ratio of eight-bit reconstructions, decibels."""
    return float(np.mean([_psnr(crop, reconstruct(autoencoder, crop)) for crop in crops]))


@torch.no_grad()
def reconstruct(autoencoder: Autoencoder, pixels: Pixels) -> Pixels:
    """Encode and decode one picture: uint8 H×W×3 → the same, sides multiples of the factor."""
    autoencoder.eval()
    device = next(autoencoder.parameters()).device
    result = autoencoder(_tensor([pixels]).to(device)).pixels
    levels = result[0].clamp(0, 1).mul(255).round().byte().permute(1, 2, 0)
    return np.ascontiguousarray(levels.cpu().numpy())


class _Run:
    """A member in training; everything random depends on the seed and the step alone."""

    def __init__(self, member: Member, schedule: Schedule, checkpoint: Path) -> None:
        self.schedule = schedule
        self.checkpoint = checkpoint
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        torch.manual_seed(schedule.seed)
        self.step = 0
        self.autoencoder = self._placed(Autoencoder(member))
        self.discriminator = self._placed(Discriminator())
        self.builder = self._optimiser(self.autoencoder)
        self.critic = self._optimiser(self.discriminator)
        if checkpoint.exists():
            self._restore()

    def _placed(self, network: Network) -> Network:
        network.to(self.device)
        for weight in network.parameters():
            if weight.ndim == 4:  # the order in which pictures come, and the faster one
                weight.data = weight.data.contiguous(memory_format=torch.channels_last)
        return network

    def _optimiser(self, network: nn.Module) -> torch.optim.Optimizer:
        rate = self.schedule.learning_rate
        return torch.optim.AdamW(network.parameters(), rate, (0.9, 0.99), weight_decay=0.0)

    def advance(self, crops: Sequence[Pixels]) -> float:
        """One step; returns the reconstruction loss."""
        schedule = self.schedule
        # Noise and revived codes must not depend on where an interrupted run was taken up again.
        torch.manual_seed(schedule.seed * 1_000_003 + self.step)
        pixels = _tensor(_drawn(crops, schedule, self.step)).to(self.device)
        adversarial = self.autoencoder.member.adversarial and (
            self.step >= schedule.adversarial_from * schedule.steps
        )
        for optimiser in (self.builder, self.critic):
            for group in optimiser.param_groups:
                group["lr"] = schedule.learning_rate * _rate(self.step, schedule)
        self.autoencoder.train()
        with self._precision():
            result = self.autoencoder(pixels)
        error = _error(result.pixels, pixels, schedule)
        loss = error + result.penalty
        if adversarial:
            with self._precision():
                realism = -self.discriminator(result.pixels).mean()
            loss = loss + schedule.adversarial * self._balance(error, realism) * realism
        _descend(self.builder, loss, self.autoencoder)
        if adversarial:
            with self._precision():
                real = self.discriminator(pixels)
                fake = self.discriminator(result.pixels.detach())
            hinge = functional.relu(1 - real).mean() + functional.relu(1 + fake).mean()
            _descend(self.critic, hinge, self.discriminator)
        self.step += 1
        if self.step % schedule.checkpoint_every == 0 and self.step < schedule.steps:
            self._save()
        return float(error.detach())

    def _precision(self) -> torch.autocast:
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.schedule.half)

    def _balance(self, error: Tensor, realism: Tensor) -> float:
        """Esser et al., equation 7: ratio of the gradients at the last layer."""
        last = list(self.autoencoder.decoder.parameters())[-2]
        wanted, unbalanced = (
            float(torch.autograd.grad(loss, last, retain_graph=True)[0].norm())
            for loss in (error, realism)
        )
        return min(wanted / (unbalanced + 1e-4), 100.0)

    def _parts(self) -> dict[str, nn.Module | torch.optim.Optimizer]:
        return {
            "autoencoder": self.autoencoder,
            "discriminator": self.discriminator,
            "builder": self.builder,
            "critic": self.critic,
        }

    def _save(self) -> None:
        states = {name: part.state_dict() for name, part in self._parts().items()}
        with atomic_write(self.checkpoint) as partial:
            torch.save({"step": self.step, "states": states}, partial)

    def _restore(self) -> None:
        content = torch.load(self.checkpoint, map_location=self.device, weights_only=True)
        self.step = content["step"]
        for name, part in self._parts().items():
            part.load_state_dict(content["states"][name])


def _descend(optimiser: torch.optim.Optimizer, loss: Tensor, network: nn.Module) -> None:
    optimiser.zero_grad()
    # Also clears what the loss of one network left in the other.
    torch.autograd.backward(loss, inputs=list(network.parameters()))
    nn.utils.clip_grad_norm_(network.parameters(), 1.0)
    optimiser.step()


def _rate(step: int, schedule: Schedule) -> float:
    """Share of the peak learning rate at a step: linear rise, then a cosine to zero."""
    rise = min(1.0, (step + 1) / max(1, schedule.warmup))
    return rise * 0.5 * (1 + float(np.cos(np.pi * step / schedule.steps)))


def _error(result: Tensor, pixels: Tensor, schedule: Schedule) -> Tensor:
    """How far a reconstruction lies from its original, in levels of [0, 1]."""
    off = result - pixels
    loss = off.abs().mean()
    steps = off.diff(dim=2).abs().mean() + off.diff(dim=3).abs().mean()
    spectra = [torch.fft.rfft2(side, norm="ortho").abs() for side in (result, pixels)]
    return (
        loss
        + schedule.difference / 2 * steps
        + schedule.spectrum * functional.l1_loss(spectra[0], spectra[1])
    )


def _drawn(crops: Sequence[Pixels], schedule: Schedule, step: int) -> list[Pixels]:
    """The crops of a step: a pure function of seed and step."""
    random = np.random.default_rng((schedule.seed, step))
    drawn = []
    for index in random.integers(len(crops), size=schedule.batch):
        height, width = crops[index].shape[:2]
        top, left = (int(random.integers(side - schedule.crop + 1)) for side in (height, width))
        crop = crops[index][top : top + schedule.crop, left : left + schedule.crop]
        drawn.append(crop[:, ::-1] if random.random() < 0.5 else crop)
    return drawn


def _tensor(pictures: Sequence[Pixels]) -> Tensor:
    """uint8 H×W×3 pictures of one size as float32 (N, 3, H, W) in [0, 1]."""
    levels = torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2)  # channels stay last
    return levels.float() / 255


def _psnr(first: Pixels, second: Pixels) -> float:
    error = float(np.mean((first.astype(np.float32) - second.astype(np.float32)) ** 2))
    return float(10 * np.log10(255**2 / max(error, 1e-6)))
