"""AVFF: what lips show is guessed from what is heard, and the other way round; then judged.

What it is
    First stage, on genuine stretches alone: time is cut into eight slices. The mouth is seen in
    four of them, and heard exactly in the other four. From what is heard the features of the mouth
    are guessed where it is hidden, from what is seen those of the sound; both are drawn again.
    Means of both over time are drawn together within a stretch and apart between stretches. Second
    stage: with nothing hidden, features and the guesses from the other side go into a classifier.

What the paper does
    16 frames of 224×224 and a spectrum of 1024×128, two ViT-B. Contrast (temperature .05, weight
    .01 to .05), reconstruction and an adversarial loss on genuine videos, rate 1e-4, 25 epochs;
    then rate 1e-5, the head's 50 times that. FakeAVCeleb: accuracy 98.6, AUC 99.1. Known here from
    notes on an unofficial implementation.

What differs here
    The mouth alone at 48×48 and 25 frames per second, small encoders that start from nothing, no
    adversarial loss. The mouth is drawn at half its size. The first stage also fits the head, on
    features that it does not move, so that its weights can be chosen by an AUC; the second stage
    is `--set old=FOLDER --set learning_rate=1e-5`. Forged stretches are made of genuine ones too
    (`bonafide.train.speaking`).

Reference
    T. Oorloff, S. Koppisetti, N. Bonettini et al., "AVFF: Audio-Visual Feature Fusion for Video
    Deepfake Detection", CVPR 2024.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from bonafide.errors import InvalidInput
from bonafide.train import speaking
from bonafide.train.checkpoints import part_of
from bonafide.train.recipe import Batch, Output
from bonafide.train.sequences import places
from bonafide.train.speaking import (
    HEARD,
    PIXELS,
    WINDOWS,
    Lips,
    Shown,
    SpeakingRecipe,
    Speech,
    taken_apart,
)

DRAWN = PIXELS // 4  # pixels of a mouth that is drawn
HEAD_FASTER = 50  # times, in the second stage


class Guess(nn.Module):
    """Features of one side at given moments, from those of the other at others.

    Args:
        width: of the features.
        heads: of attention.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.asked = nn.Parameter(torch.randn(width) * 0.02)
        self.norm = nn.LayerNorm(width)
        self.attention = nn.MultiheadAttention(width, heads, batch_first=True)
        self.after = nn.Sequential(
            nn.LayerNorm(width), nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width)
        )

    def forward(self, given: Tensor, moments: Tensor) -> Tensor:
        """Features (N, M, width), and the places (N, K, width) of what is asked → (N, K, width)."""
        asked = moments + self.asked
        given = self.norm(given)
        found, _ = self.attention(asked, given, given, need_weights=False)
        guessed = asked + found
        whole: Tensor = guessed + self.after(guessed)
        return whole


class Guessed(NamedTuple):
    """What a stretch with complementary masks gives.

    Attributes:
        video, audio: float (N, width), means of what was seen and heard.
        mouth: float (N, T, DRAWN), drawn.
        spectrum: float (N, T, 80·4), drawn.
    """

    video: Tensor
    audio: Tensor
    mouth: Tensor
    spectrum: Tensor


class Network(nn.Module):
    """Encoders of both sides, guesses between them, two that draw, a head."""

    place: Tensor

    def __init__(self, settings: Settings) -> None:
        super().__init__()
        width, heads = settings.width, settings.heads
        self.lips, self.speech = Lips(width), Speech(width)
        self.register_buffer("place", places(settings.frames, width), persistent=False)
        self.video, self.audio = (_encoder(width, heads, settings.layers) for _ in range(2))
        self.to_video, self.to_audio = Guess(width, heads), Guess(width, heads)
        self.draw_mouth = nn.Sequential(_encoder(width, heads, 1), nn.Linear(width, DRAWN))
        self.draw_sound = nn.Sequential(_encoder(width, heads, 1), nn.Linear(width, 80 * WINDOWS))
        self.head = nn.Sequential(
            nn.LayerNorm(4 * width), nn.Linear(4 * width, width), nn.GELU(), nn.Linear(width, 1)
        )

    def features(self, shown: Shown) -> Tensor:
        """With nothing hidden: both sides and their guesses, (N, T, 4·width)."""
        video = self.video(self.lips(shown.mouth) + self.place)
        audio = self.audio(self.speech(self.speech.spectrum(shown.sound)) + self.place)
        moments = self.place.expand(len(video), -1, -1)
        sides = (video, self.to_video(audio, moments), audio, self.to_audio(video, moments))
        return torch.cat(sides, 2)

    def judge(self, features: Tensor) -> Tensor:
        """(N, T, 4·width) → logits (N,)."""
        logit: Tensor = self.head(features).mean(1).squeeze(1)
        return logit

    def hidden(self, shown: Shown, seen: Tensor) -> tuple[Tensor, Tensor]:
        """What the encoders make of a stretch that is hidden in part.

        Args:
            shown: the whole stretch.
            seen: bool (N, T), as many in each row: where the mouth is seen and the sound hidden.

        Returns:
            Features of the mouth where it is seen, and of the sound elsewhere, in order of time.
        """
        mouth = self.lips(shown.mouth * seen[:, :, None, None])
        heard = shown.sound * (~seen).repeat_interleave(HEARD, 1)
        sound = self.speech(self.speech.spectrum(heard))
        video = self.video(_at(mouth + self.place, seen))
        audio = self.audio(_at(sound + self.place, ~seen))
        return video, audio

    def guessed(self, shown: Shown, seen: Tensor) -> Guessed:
        """A stretch that is hidden in part, as in `hidden`, and drawn whole."""
        video, audio = self.hidden(shown, seen)
        moments = self.place.expand(len(video), -1, -1)
        more_video = self.to_video(audio, _at(moments, ~seen))
        more_audio = self.to_audio(video, _at(moments, seen))
        return Guessed(
            video.mean(1), audio.mean(1),
            self.draw_mouth(_whole(video, more_video, seen)),
            self.draw_sound(_whole(more_audio, audio, seen)),
        )  # fmt: skip

    def forward(self, frames: Tensor) -> Output:
        """float32 (N, T, 2944), see `SpeakingRecipe` → `Output` without a map."""
        return Output(self.judge(self.features(taken_apart(frames))))


def complementary(count: int, frames: int, slices: int) -> Tensor:
    """Where the mouth is seen, bool (count, frames): half of the slices, at random in each row."""
    order = torch.rand(count, slices).argsort(1)
    return (order < slices // 2).repeat_interleave(frames // slices, 1)


def contrast(one: Tensor, other: Tensor, temperature: float) -> Tensor:
    """Cross-entropy of finding the other side of a stretch among those of all, (N, width) each."""
    one, other = functional.normalize(one, dim=1), functional.normalize(other, dim=1)
    near = one @ other.mT / temperature
    right = torch.arange(len(one), device=one.device)
    return (functional.cross_entropy(near, right) + functional.cross_entropy(near.mT, right)) / 2


def _encoder(width: int, heads: int, layers: int) -> nn.TransformerEncoder:
    layer = nn.TransformerEncoderLayer(
        width, heads, 2 * width, 0.0, "gelu", batch_first=True, norm_first=True
    )
    return nn.TransformerEncoder(layer, layers, nn.LayerNorm(width), enable_nested_tensor=False)


def _at(tokens: Tensor, chosen: Tensor) -> Tensor:
    """The chosen tokens of each row, as many in each: (N, T, width) → (N, K, width)."""
    return tokens[chosen].reshape(len(tokens), -1, tokens.shape[2])


def _whole(seen: Tensor, hidden: Tensor, where: Tensor) -> Tensor:
    """Tokens put back in order of time: (N, T, width)."""
    whole = seen.new_zeros(*where.shape, seen.shape[2])
    whole[where] = seen.flatten(0, 1)
    whole[~where] = hidden.flatten(0, 1)
    return whole


@dataclass(frozen=True)
class Settings(speaking.Settings):
    """The paper's weights, our sizes; see `bonafide.train.speaking.Settings` for shared ones.

    Attributes:
        heads: of attention.
        layers: of each encoder.
        slices: of a stretch; even.
        temperature: of the contrast.
        contrast: its weight.
        old: folder of the first stage; "" for that stage itself.
    """

    heads: int = 4
    layers: int = 4
    slices: int = 8
    temperature: float = 0.05
    contrast: float = 0.01
    old: str = ""


class Method(SpeakingRecipe):
    """Guessing what is hidden, then cross-entropy."""

    id = "avff"
    title = "Lips and speech: each guessed from the other, complementary masks, then judged"
    paper = "T. Oorloff et al., AVFF, CVPR 2024"
    Settings = Settings

    def network(self) -> Network:
        """A fresh network, or that of the first stage.

        Raises:
            InvalidInput: sizes do not fit, or `old` holds no first stage of these sizes.
        """
        wanted = self.settings
        if wanted.slices % 2 or wanted.frames % wanted.slices:
            raise InvalidInput(
                f"slices={wanted.slices} must be even and divide frames={wanted.frames}"
            )
        if wanted.width % wanted.heads:
            raise InvalidInput(f"width={wanted.width} must be a multiple of heads={wanted.heads}")
        made = Network(wanted)
        if wanted.old:
            made.load_state_dict(part_of(Path(wanted.old), "", made, self.id))
        return made

    def loss(self, network: nn.Module, batch: Batch) -> tuple[Tensor, dict[str, float]]:
        """The second stage's cross-entropy; or the first stage's terms, and that of its head."""
        tuned = cast(Network, network)
        shown = taken_apart(batch.pixels)
        if self.settings.old:
            terms = {"bce": _bce(tuned.judge(tuned.features(shown)), batch.label)}
        else:
            with torch.no_grad():
                features = tuned.features(shown)
            terms = {"head": _bce(tuned.judge(features), batch.label)}
            genuine = batch.label < 0.5
            if genuine.any():
                terms |= self.first_stage(tuned, Shown(*(part[genuine] for part in shown)))
        total = torch.stack(list(terms.values())).sum()
        return total, {name: float(term.detach()) for name, term in terms.items()}

    def first_stage(self, network: Network, shown: Shown) -> Mapping[str, Tensor]:
        """Contrast, and what is drawn where it was hidden, of genuine stretches."""
        wanted = self.settings
        seen = complementary(len(shown.mouth), wanted.frames, wanted.slices).to(shown.mouth.device)
        guessed = network.guessed(shown, seen)
        mouth = functional.avg_pool2d(shown.mouth, 2).flatten(2)
        spectrum = network.speech.spectrum(shown.sound).mT
        spectrum = spectrum.reshape(len(spectrum), wanted.frames, -1)
        near = contrast(guessed.video, guessed.audio, wanted.temperature)
        return {
            "contrast": wanted.contrast * near,
            "mouth": functional.mse_loss(guessed.mouth[~seen], mouth[~seen]),
            "sound": functional.mse_loss(guessed.spectrum[seen], spectrum[seen]),
        }

    def optimiser(self, network: nn.Module) -> torch.optim.Optimizer:
        """AdamW; in the second stage the head learns faster."""
        tuned, wanted = cast(Network, network), self.settings
        head = list(tuned.head.parameters())
        held = {id(weight) for weight in head}
        rest = [weight for weight in tuned.parameters() if id(weight) not in held]
        faster = HEAD_FASTER if wanted.old else 1
        groups = [
            {"params": rest, "lr": wanted.learning_rate},
            {"params": head, "lr": faster * wanted.learning_rate},
        ]
        return torch.optim.AdamW(groups, weight_decay=wanted.weight_decay)


def _bce(logit: Tensor, label: Tensor) -> Tensor:
    return functional.binary_cross_entropy_with_logits(logit, label)
