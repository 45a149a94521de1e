"""Small stretches of sound in two classes, and recordings as files."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from bonafide.bench.protocol import Protocol
from bonafide.testing.sounds import babble, wav
from bonafide.train.recipe import Batch, Recipe

PROTOCOL = Protocol(
    "voices",
    question="voice_cloned",
    columns={"group": ("source",)},
    positive=("synthetic_speech",),
    negative=("bona_fide",),
)
ECHO = 16  # samples


def stretches(count: int, seed: int, samples: int) -> Batch:
    """Noise, and noise with an echo after 1 ms, as loud: its spectrum is a comb."""
    random = np.random.default_rng(seed)
    noise = random.standard_normal((count, samples + ECHO)).astype(np.float32)
    plain, echo = noise[:, ECHO:], noise[:, :-ECHO]
    label = np.arange(count) % 2
    sound = np.where(label[:, None] > 0, (plain + 0.9 * echo) / 1.345, plain)
    sound *= 0.2 * random.uniform(0.5, 1, (count, 1)).astype(np.float32)
    shown = torch.from_numpy(sound.astype(np.float32))
    return Batch(shown, torch.from_numpy(label).float(), torch.full((count,), -1), None, {})


def share_right(recipe: Recipe, steps: int, samples: int) -> float:
    """Share of fresh stretches that a network told after so many steps."""
    torch.manual_seed(0)
    network = recipe.network().train()
    optimiser = recipe.optimiser(network)
    for step in range(steps):
        loss, parts = recipe.loss(network, stretches(12, step, samples))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert set(parts) == {"bce"}
    network.eval()
    shown = stretches(40, 999, samples)
    with torch.inference_mode():
        right = (network(shown.pixels).logit > 0) == (shown.label > 0)
    return float(right.float().mean())


def write_recordings(folder: Path, seconds: float = 3.0, sources: int = 4) -> Path:
    """A machine that babbles at two pitches, in so many sources; and a file of silence."""
    rows = []
    for source in range(sources):
        for label, pitch in (("bona_fide", 105.0), ("synthetic_speech", 230.0)):
            name = f"{label}{source}.wav"
            (folder / name).write_bytes(wav(babble(seconds, seed=source, pitch=pitch)))
            rows.append((name, label, f"{label} {source}"))
    (folder / "silence.wav").write_bytes(wav(np.zeros(50_000, np.float32)))
    rows.append(("silence.wav", "bona_fide", "bona_fide 0"))
    path = folder / "manifest.csv"
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([("path", "label", "source"), *rows])
    return path


def tone(hertz: float, samples: int) -> NDArray[np.float32]:
    return np.sin(2 * np.pi * hertz * np.arange(samples) / 16_000).astype(np.float32)
