"""GDA: restyle the faces of a new camera so that a detector of others, left as it is, reads them.

What it is
    Adaptation without labels of the target. A detector trained on labelled sources is frozen. A
    generator before it restyles pictures of the target until the statistics inside of the detector
    are those of its training, while what the picture shows has to stay.

What the paper does
    Its abstract could be read, and the names of its losses: cross-entropy and depth for the source
    model, a depth network; then inter-domain consistency of neural statistics, semantic
    consistency at two levels (phase of the spectrum, perceptual), and a mixup of spectra within
    the target. Weights and the generator are not given there.

What differs here
    Generator and weights are our own. Statistics are the means and variances that batch norm keeps,
    compared by L1 over all its layers, in units of the deviations that it keeps. The perceptual
    distance is that of the frozen trunk's own features, since no other network is here: restyled
    pictures against the same pictures with no more than light and contrast of the restyled batch,
    each channel brought to mean 0 and deviation 1. Of two target pictures amplitudes are mixed and
    the phase of the first is kept; verdict and depth of both versions are asked to agree.

    Two trainings, one after the other: of the detector on the sources, then with `--set old=FOLDER`
    (the folder of the first) of the generator, with `--data` naming the target. Its labels do not
    enter the loss. They would enter the choice of the best weights, so `held_out=0` is demanded;
    and they balance what is drawn, so give a target without labels both labels at random. The
    exported file holds generator and detector.

Reference
    Q. Zhou, K.-Y. Zhang, T. Yao, R. Yi, K. Sheng, S. Ding, L. Ma, "Generative Domain Adaptation
    for Face Anti-Spoofing", ECCV 2022 (arXiv:2207.10015).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from bonafide.errors import InvalidInput
from bonafide.train import recipe
from bonafide.train.augment import Chain, Pixels, Step, crop, light, mirror
from bonafide.train.checkpoints import part_of
from bonafide.train.depth_net import WIDTH, Heads, Trunk, depth_loss
from bonafide.train.recipe import Batch, Output, Recipe

TINY = 1e-6
STRONGEST = 2.0  # natural log of the largest gain of the generator
Statistics = list[tuple[Tensor, Tensor]]


class Judged(NamedTuple):
    """What a detector says of a batch.

    Attributes:
        features: float (N, C, h, w).
        logit: float (N,).
        relief: float (N, h, w).
    """

    features: Tensor
    logit: Tensor
    relief: Tensor


class Detector(nn.Module):
    """The depth network with both heads."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.trunk = Trunk(width)
        self.heads = Heads(self.trunk.width, width)

    def forward(self, pixels: Tensor) -> Judged:
        """float32 (N, 3, H, W) in [0, 1] → `Judged`."""
        features = self.trunk(pixels)
        return Judged(features, self.heads.logit(features), self.heads.relief(features))


class Generator(nn.Module):
    """A picture in another style, of the same size; at first the picture itself.

    Args:
        width: channels at full size, twice and four times as many at half and a quarter.
        blocks: residual blocks at a quarter of the size.
    """

    def __init__(self, width: int, blocks: int) -> None:
        super().__init__()
        self.down = nn.Sequential(
            *_styled(3, width), *_styled(width, 2 * width, 2), *_styled(2 * width, 4 * width, 2)
        )
        self.blocks = nn.ModuleList(
            nn.Sequential(*_styled(4 * width, 4 * width)) for _ in range(blocks)
        )
        self.wide = nn.Sequential(*_styled(4 * width, 2 * width))
        self.full = nn.Sequential(*_styled(2 * width, width))
        self.gain = nn.Conv2d(width, 3, 3, padding=1)
        self.offset = nn.Conv2d(width, 3, 3, padding=1)
        for last in (self.gain, self.offset):
            nn.init.zeros_(last.weight)
            nn.init.zeros_(cast(Tensor, last.bias))

    def forward(self, pixels: Tensor) -> Tensor:
        """float32 (N, 3, H, W) in [0, 1] → the same shape, near that range."""
        features = self.down(2 * pixels - 1)
        for block in self.blocks:
            features = features + block(features)
        height, width = pixels.shape[2:]
        half = ((height + 1) // 2, (width + 1) // 2)
        features = self.wide(functional.interpolate(features, half))
        features = self.full(functional.interpolate(features, (height, width)))
        gain, offset = self.gain(features).tanh(), self.offset(features).tanh()
        styled: Tensor = pixels * torch.exp(STRONGEST * gain) + offset
        return styled


class Network(nn.Module):
    """The detector, and before it a generator where a target is adapted to."""

    def __init__(self, detector: Detector, generator: Generator | None) -> None:
        super().__init__()
        self.detector = detector
        self.generator = generator
        if generator is not None:
            detector.requires_grad_(False).eval()

    def train(self, mode: bool = True) -> Network:
        """A frozen detector stays as it was."""
        super().train(mode)
        if self.generator is not None:
            self.detector.eval()
        return self

    def forward(self, pixels: Tensor) -> Output:
        """float32 (N, 3, H, W) in [0, 1] → `Output` without a map."""
        shown = pixels if self.generator is None else self.generator(pixels)
        return Output(self.detector(shown).logit)


@contextmanager
def watched(detector: nn.Module) -> Iterator[Statistics]:
    """Mean and variance, over batch and space, of what goes into each batch norm."""
    found: Statistics = []

    def note(_: nn.Module, given: tuple[Tensor, ...]) -> None:
        variance, mean = torch.var_mean(given[0].float(), (0, 2, 3), unbiased=False)
        found.append((mean, variance))

    hooks = [layer.register_forward_pre_hook(note) for layer in norms(detector)]
    try:
        yield found
    finally:
        for hook in hooks:
            hook.remove()


def norms(detector: nn.Module) -> list[nn.BatchNorm2d]:
    """The layers of batch norm, in order."""
    return [layer for layer in detector.modules() if isinstance(layer, nn.BatchNorm2d)]


def statistic_gap(detector: nn.Module, found: Statistics) -> Tensor:
    """Mean L1 between statistics that were watched and those that batch norm keeps."""
    gaps = []
    for layer, (mean, variance) in zip(norms(detector), found, strict=True):
        kept: tuple[Any, Any] = (layer.running_mean, layer.running_var)
        # In units of the kept deviation, or the last layers would count for nothing.
        deviation = (kept[1] + TINY).sqrt()
        gaps.append(((mean - kept[0]) / deviation).abs().mean())
        gaps.append(((variance + TINY).sqrt() / deviation - 1).abs().mean())
    return torch.stack(gaps).mean()


def phase_gap(first: Tensor, second: Tensor) -> Tensor:
    """1 − the mean cosine of the difference in phase of all frequencies: 0 for equal phases.

    Args:
        first, second: float (N, C, H, W).
    """
    spectra = [torch.fft.rfft2(pixels.float()) for pixels in (first, second)]
    # Where an amplitude is 0 there is no phase, which counts as another one.
    product = spectra[0] * spectra[1].conj()
    alike: Tensor = (product.real / (product.abs() + TINY)).mean()
    return 1 - alike


def spectrum_mix(pixels: Tensor, others: Tensor, share: Tensor) -> Tensor:
    """The phase of `pixels` with amplitudes of both, in [0, 1].

    Args:
        pixels, others: float (N, C, H, W).
        share: float (N,) in [0, 1] of the amplitude that is the others'.
    """
    own, other = (torch.fft.rfft2(one.float()) for one in (pixels, others))
    part = share.view(-1, 1, 1, 1)
    amplitude = (1 - part) * own.abs() + part * other.abs()
    mixed = torch.polar(amplitude, own.angle())
    found: Tensor = torch.fft.irfft2(mixed, s=pixels.shape[2:])
    return found.clamp(0, 1)


def levelled(pixels: Tensor, wanted: Tensor) -> Tensor:
    """Pictures (N, C, H, W) with the mean and deviation of each channel of a whole other batch."""
    own, other = (torch.var_mean(one, (0, 2, 3), keepdim=True) for one in (pixels, wanted))
    return (pixels - own[1]) / (own[0] + TINY).sqrt() * (other[0] + TINY).sqrt() + other[1]


def content_gap(first: Tensor, second: Tensor) -> Tensor:
    """Mean squared distance of features (N, C, h, w) without the style of each channel."""
    return functional.mse_loss(functional.instance_norm(first), functional.instance_norm(second))


@dataclass(frozen=True)
class Settings(recipe.Settings):
    """Our own choice; see `bonafide.train.recipe.Settings` for the shared ones.

    Attributes:
        width: channels of each scale of the detector's trunk.
        old: folder of the training of the detector; "" to train it.
        styled: channels of the generator at full size.
        blocks: residual blocks of the generator.
        mix: largest share of another picture's amplitudes.
        depth: weight of the depth, for the detector.
        statistics, phase, content, agreement: weights of the terms of the generator.
    """

    batch: int = 24
    steps: int = 10_000
    crop: int = 256
    learning_rate: float = 1e-4
    width: int = WIDTH
    old: str = ""
    styled: int = 32
    blocks: int = 4
    mix: float = 0.5
    depth: float = 0.1
    statistics: float = 1.0
    phase: float = 0.1
    content: float = 0.5
    agreement: float = 0.1


class Method(Recipe):
    """The detector of the sources; then the generator before it."""

    id = "gda"
    title = "Liveness: faces of a new camera restyled for a frozen detector, without labels"
    paper = "Q. Zhou et al., Generative Domain Adaptation for Face Anti-Spoofing, ECCV 2022"
    Settings = Settings

    def network(self) -> Network:
        """A fresh detector, or the old one behind a fresh generator.

        Raises:
            InvalidInput: `old` holds no training of this method with this width; or a generator is
                to be chosen by labels of the target.
        """
        wanted = self.settings
        detector = Detector(wanted.width)
        if not wanted.old:
            return Network(detector, None)
        if wanted.held_out:
            raise InvalidInput("a target has no labels to choose by: --set held_out=0")
        detector.load_state_dict(part_of(Path(wanted.old), "detector.", detector, self.id))
        return Network(detector, Generator(wanted.styled, wanted.blocks))

    def loss(self, network: nn.Module, batch: Batch) -> tuple[Tensor, Mapping[str, float]]:
        """Class and depth for the detector; what makes the target familiar for the generator."""
        tuned = cast(Network, network)
        if tuned.generator is None:
            judged = tuned.detector(batch.pixels)
            relief = depth_loss(judged.relief, batch.label)
            terms = {
                "bce": functional.binary_cross_entropy_with_logits(judged.logit, batch.label),
                "depth": self.settings.depth * relief,
            }
        else:
            terms = self.adapted(tuned.detector, tuned.generator, batch.pixels)
        total = torch.stack(list(terms.values())).sum()
        return total, {name: float(term.detach()) for name, term in terms.items()}

    def adapted(
        self, detector: Detector, generator: Generator, pixels: Tensor
    ) -> dict[str, Tensor]:
        """Terms of the generator, of target pictures alone."""
        wanted = self.settings
        others = pixels[torch.randperm(len(pixels), device=pixels.device)]
        share = wanted.mix * torch.rand(len(pixels), device=pixels.device)
        mixed = spectrum_mix(pixels, others, share)
        styled = generator(torch.cat([pixels, mixed]))
        with watched(detector) as found:
            judged = detector(styled)
        plain, varied = ([part.chunk(2)[side] for part in judged] for side in (0, 1))
        with torch.no_grad():
            content = detector.trunk(levelled(pixels, styled[: len(pixels)]))
        agreement = functional.mse_loss(varied[1].sigmoid(), plain[1].sigmoid())
        return {
            "statistics": wanted.statistics * statistic_gap(detector, found),
            "phase": wanted.phase * phase_gap(pixels, styled[: len(pixels)]),
            "content": wanted.content * content_gap(plain[0], content),
            "agreement": wanted.agreement * (agreement + functional.mse_loss(varied[2], plain[2])),
        }

    def optimiser(self, network: nn.Module) -> torch.optim.Optimizer:
        """Adam with L2 decay in the gradient, over what is not frozen."""
        return torch.optim.Adam(
            [weight for weight in network.parameters() if weight.requires_grad],
            lr=self.settings.learning_rate,
            weight_decay=self.settings.weight_decay,
        )

    def augment(self) -> Chain[Pixels]:
        """Mirroring and crops; for the detector light as well."""
        side = self.settings.crop
        steps = [Step("mirror", 0.5, mirror), Step("crop", 1.0, partial(crop, side=side))]
        if not self.settings.old:  # the style of the target is what is learned
            steps.append(Step("light", 0.5, partial(light, strength=0.1)))
        return Chain(tuple(steps))


def _styled(inputs: int, outputs: int, stride: int = 1) -> list[nn.Module]:
    return [nn.Conv2d(inputs, outputs, 3, stride, 1), nn.LeakyReLU(0.2)]
