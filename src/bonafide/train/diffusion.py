"""Diffusion models as measuring instruments: what noise would they expect in this picture?

`dire` and `lare` need no samples from a generator, only its prediction of the noise in a picture
that is given. This file loads any diffusers model for that, and walks the deterministic DDIM path
between a picture and its noise in both directions (J. Song et al., "Denoising Diffusion Implicit
Models", ICLR 2021, equations 12 and 13).

A model is a folder as diffusers' pipelines save themselves, or its name on the hub; nothing is
downloaded unless it is asked for. Everything here is frozen and deterministic.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any, TypeVar

import diffusers
import torch
import transformers
from torch import Tensor, nn

from bonafide.errors import InvalidInput

Model = TypeVar("Model")

PREDICTIONS = ("epsilon", "v_prediction")


class NoisePredictor(nn.Module):
    """A frozen UNet with the noise schedule that it was trained on.

    Attributes:
        kept: float32 (T,): share of the signal's variance that is left at each time step, the
            cumulative product that papers write as a barred alpha.
    """

    kept: Tensor
    context: Tensor | None

    def __init__(self, unet: nn.Module, scheduler: Any, context: Tensor | None = None) -> None:
        """Wrap a diffusers UNet.

        Args:
            unet: `UNet2DModel` or `UNet2DConditionModel`.
            scheduler: a diffusers scheduler with `alphas_cumprod` and a `prediction_type`.
            context: float32 (1, tokens, width), the text embedding for a conditional UNet.

        Raises:
            InvalidInput: the UNet predicts neither noise nor velocity.
        """
        super().__init__()
        self.prediction = scheduler.config.prediction_type
        if self.prediction not in PREDICTIONS:
            raise InvalidInput(
                f"the diffusion model predicts {self.prediction!r}; "
                f"only {' and '.join(PREDICTIONS)} can be turned into noise"
            )
        self.unet = unet
        self.register_buffer("kept", scheduler.alphas_cumprod.to(torch.float32))
        self.register_buffer("context", context)
        freeze(self)

    def train(self, mode: bool = True) -> NoisePredictor:
        """Stay as it is: a measuring instrument has no training mode."""
        return super().train(False)

    def forward(self, noisy: Tensor, step: int) -> Tensor:
        """The noise expected in `noisy`.

        Args:
            noisy: float32 (N, C, H, W) at time step `step`, in the model's own range ([-1, 1]
                for pixels without noise).
            step: time step, 0 to T - 1.

        Returns:
            float32 (N, C, H, W).
        """
        times = torch.full((len(noisy),), step, dtype=torch.long, device=noisy.device)
        condition = {}
        if self.context is not None:
            condition["encoder_hidden_states"] = self.context.expand(len(noisy), -1, -1)
        predicted: Tensor = self.unet(noisy, times, **condition).sample
        # A model that learned its variance too (ADM) returns it in further channels.
        predicted = predicted[:, : noisy.shape[1]]
        if self.prediction == "epsilon":
            return predicted
        kept = self.kept[step]
        return kept.sqrt() * predicted + (1 - kept).sqrt() * noisy


class LatentDiffusion(nn.Module):
    """An encoder of pictures and the noise predictor of its latent space, both frozen."""

    def __init__(self, vae: Any, predictor: NoisePredictor) -> None:
        super().__init__()
        self.vae = vae
        self.predictor = predictor
        self.scale = float(vae.config.scaling_factor)
        freeze(self)

    def train(self, mode: bool = True) -> LatentDiffusion:
        """Stay as it is: a measuring instrument has no training mode."""
        return super().train(False)

    def encode(self, pixels: Tensor) -> Tensor:
        """The most likely latent: float32 (N, 3, H, W) in [0, 1] → (N, C, H / 8, W / 8).

        The mode rather than a sample, so that a picture always has the same latent.
        """
        latent: Tensor = self.vae.encode(pixels * 2 - 1).latent_dist.mode()
        return latent * self.scale


def freeze(module: nn.Module) -> None:
    """Switch off gradients, dropout and batch statistics of everything inside."""
    module.requires_grad_(False)
    module.eval()


def ddim_steps(total: int, count: int) -> list[int]:
    """`count` evenly spaced time steps of `total`, rising from 0.

    Raises:
        InvalidInput: fewer than two, or more than the model has.
    """
    if not 2 <= count <= total:
        raise InvalidInput(f"steps must lie between 2 and the model's {total}; got {count}")
    return list(range(0, total, total // count))[:count]


def invert(model: NoisePredictor, pixels: Tensor, count: int) -> Tensor:
    """Walk from a picture to the noise from which the model would generate it.

    Args:
        model: of pixels, not of latents.
        pixels: float32 (N, 3, H, W) in [0, 1].
        count: number of DDIM steps.

    Returns:
        float32 (N, 3, H, W), close to standard normal for a picture that the model knows.
    """
    steps = ddim_steps(len(model.kept), count)
    state = pixels * 2 - 1
    for here, there in pairwise(steps):
        state = _move(model, state, here, model.kept[there])
    return state


def reconstruct(model: NoisePredictor, noise: Tensor, count: int) -> Tensor:
    """Walk from noise to the picture that the model generates from it, without randomness.

    Args:
        model: of pixels, not of latents.
        noise: float32 (N, 3, H, W), as `invert` returns it.
        count: number of DDIM steps; the same as for `invert`.

    Returns:
        float32 (N, 3, H, W) in [0, 1].
    """
    steps = ddim_steps(len(model.kept), count)
    state = noise
    for here, there in pairwise(reversed(steps)):
        state = _move(model, state, here, model.kept[there])
    clean = _move(model, state, steps[0], torch.ones_like(model.kept[0]))
    return ((clean + 1) / 2).clamp(0, 1)


def _move(model: NoisePredictor, state: Tensor, here: int, kept_there: Tensor) -> Tensor:
    """One deterministic DDIM step from time `here` to where `kept_there` of the signal is left."""
    kept = model.kept[here]
    noise: Tensor = model(state, here)
    picture = ((state - (1 - kept).sqrt() * noise) / kept.sqrt()).clamp(-1, 1)
    # Clamping changed the picture; the noise must change with it, or the two no longer add up.
    noise = (state - kept.sqrt() * picture) / (1 - kept).sqrt()
    return kept_there.sqrt() * picture + (1 - kept_there).sqrt() * noise


def load_pixel_diffusion(name: str, download: bool = False) -> NoisePredictor:
    """An unconditional model of pixels (a DDPM or DDIM pipeline).

    Args:
        name: a folder, or its name on the hub.
        download: whether what is absent from the hub's cache may be fetched.

    Raises:
        InvalidInput: there is no such model here.
    """

    def load(**options: Any) -> NoisePredictor:
        kind: Any = diffusers.DDPMPipeline  # its loading is not typed
        pipeline = kind.from_pretrained(name, **options)
        return NoisePredictor(pipeline.unet, pipeline.scheduler)

    return _loaded(load, name, download)


def load_latent_diffusion(name: str, download: bool = False) -> LatentDiffusion:
    """A text-to-image model of latents (a Stable Diffusion pipeline), asked with an empty prompt.

    Any other prompt would have to say what the picture shows. LaRE's released extraction names
    the class of the picture, which the test set gives away and the world does not.

    Args:
        name: a folder, or its name on the hub.
        download: whether what is absent from the hub's cache may be fetched.

    Raises:
        InvalidInput: there is no such model here.
    """

    def load(**options: Any) -> LatentDiffusion:
        def part(kind: Any, folder: str) -> Any:
            return kind.from_pretrained(name, subfolder=folder, **options)

        context = _empty_prompt(
            part(transformers.CLIPTokenizer, "tokenizer"),
            part(transformers.CLIPTextModel, "text_encoder"),
        )
        predictor = NoisePredictor(
            part(diffusers.UNet2DConditionModel, "unet"),
            part(diffusers.DDIMScheduler, "scheduler"),
            context,
        )
        return LatentDiffusion(part(diffusers.AutoencoderKL, "vae"), predictor)

    return _loaded(load, name, download)


def _empty_prompt(tokenizer: Any, text_encoder: Any) -> Tensor:
    """float32 (1, tokens, width): what the text encoder makes of no text."""
    length = tokenizer.model_max_length
    tokens = tokenizer("", padding="max_length", max_length=length, return_tensors="pt")
    with torch.no_grad():
        embedding: Tensor = text_encoder(tokens.input_ids).last_hidden_state
    return embedding


def _loaded(load: Callable[..., Model], name: str, download: bool) -> Model:
    try:
        return load(local_files_only=not download)
    except (OSError, ValueError) as error:
        advice = "" if download else "; --set download=true allows fetching it from the hub"
        raise InvalidInput(f"diffusion model {name!r} cannot be loaded{advice}: {error}") from error
