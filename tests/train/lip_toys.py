"""Mouths that open with the sound, as rows, and as videos."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from bonafide.train import speaking
from bonafide.train.recipe import Batch


def rows(frames: int, random: np.random.Generator) -> NDArray[np.float32]:
    """A dark opening that is as high as noise is loud in the same frame, float32 (T, 2944)."""
    loud = random.uniform(0, 1, frames)
    loud = np.convolve(loud, [0.25, 0.5, 0.25], "same")
    loud = (loud - loud.min()) / max(float(np.ptp(loud)), 1e-6)
    mouth = np.full((frames, speaking.SIDE, speaking.SIDE), 0.6)
    down = np.abs(np.arange(speaking.SIDE) - 28)
    for number, level in enumerate(loud):
        mouth[number, down <= 2 + 14 * level, 12:36] = 0.1
    mouth += random.normal(0, 0.02, mouth.shape)
    sound = random.normal(0, 1, (frames, speaking.HEARD)) * (0.01 + 0.2 * loud[:, None])
    flat = mouth.reshape(frames, -1).clip(0, 1)
    return np.concatenate([flat, sound.clip(-1, 1)], axis=1).astype(np.float32)


def batch(recipe: speaking.SpeakingRecipe, count: int, seed: int) -> Batch:
    """Genuine stretches and forged ones made of them, in turn."""
    random = np.random.default_rng(seed)
    shown, shares = [], []
    for number in range(count):
        made, share = rows(recipe.length, random), np.zeros(recipe.length, np.float32)
        if number % 2:
            made, share = recipe.forge(made, random)
        shown.append(made)
        shares.append(share)
    forged = torch.from_numpy(np.stack(shares))[:, None]
    label = torch.arange(count) % 2.0
    pixels = torch.from_numpy(np.stack(shown))
    return Batch(pixels, label, torch.full((count,), -1), forged, {})


def trained(recipe: speaking.SpeakingRecipe, steps: int, size: int = 8) -> torch.nn.Module:
    """A network after so many steps."""
    torch.manual_seed(0)
    network = recipe.network().train()
    optimiser = recipe.optimiser(network)
    for step in range(steps):
        loss, _ = recipe.loss(network, batch(recipe, size, step))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return network.eval()


def share_right(recipe: speaking.SpeakingRecipe, network: torch.nn.Module) -> float:
    """Of fresh stretches that it tells apart."""
    shown = batch(recipe, 48, 999)
    with torch.inference_mode():
        right = (network(shown.pixels).logit > 0) == (shown.label > 0)
    return float(right.float().mean())
