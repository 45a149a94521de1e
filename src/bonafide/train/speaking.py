"""What a method that compares lips and speech is trained on: frames of a mouth, and its sound.

A row is one frame of 40 ms: 48×48 grey pixels of the mouth from nose to chin (as
`bonafide.subjects.mouths` finds it) and the 640 samples that sound meanwhile. Of a video the mouth
that is in view longest without a break is kept, at most a minute. Pauses stay: a mouth that
rests while nobody speaks fits, too.

Forged stretches are made of genuine ones: in a stretch of time, or throughout, the sound is that
of another moment. Its level is kept, and it fades over 10 ms, so that neither tells.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from bonafide.errors import InvalidInput, MediaError
from bonafide.media.audio import AudioTrack
from bonafide.media.source import open_media
from bonafide.signals.speech import HOP, RATE, band_limited
from bonafide.subjects.mouths import FPS, SIDE, mouths_of
from bonafide.train import recipe
from bonafide.train.augment import Chain, Step
from bonafide.train.augment_sound import Sound, levelled, noisy
from bonafide.train.checkpoints import part_of
from bonafide.train.pictures import Picture, Wanted, keep
from bonafide.train.recipe import Augment
from bonafide.train.sound_front import LogMel
from bonafide.train.sounds import FULL, LONGEST, SoundRecipe

PIXELS = SIDE * SIDE
HEARD = int(RATE / FPS)  # samples of a row
WIDTH = PIXELS + HEARD  # of a row
WINDOWS = HEARD // HOP  # of the spectrum, in a row
FADE = 160  # samples
GROUPS = 4  # of channels that are normalised together, in each stretch by itself


class Shown(NamedTuple):
    """Rows, taken apart.

    Attributes:
        mouth: float (N, T, 48, 48) in [0, 1].
        sound: float (N, 640·T) in [-1, 1].
    """

    mouth: Tensor
    sound: Tensor


def taken_apart(rows: Tensor) -> Shown:
    """float32 (N, T, WIDTH) → its mouth and its sound."""
    mouth, sound = rows[:, :, :PIXELS], rows[:, :, PIXELS:]
    return Shown(mouth.reshape(*rows.shape[:2], SIDE, SIDE), sound.flatten(1))


def put_together(mouth: Tensor, sound: Tensor) -> Tensor:
    """The reverse of `taken_apart`."""
    frames = mouth.shape[1]
    return torch.cat([mouth.flatten(2), sound.reshape(-1, frames, HEARD)], 2)


class Lips(nn.Module):
    """A mouth as features of each frame: one convolution over time, the others over space.

    Args:
        width: of the features; a multiple of 16.

    Raises:
        InvalidInput: it is not.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        if width < 16 or width % 16:
            raise InvalidInput(f"width must be a multiple of 16, not {width}")
        quarter, half = width // 4, width // 2
        self.front = nn.Sequential(
            nn.Conv3d(1, quarter, (5, 5, 5), (1, 2, 2), (2, 2, 2)),
            nn.GroupNorm(GROUPS, quarter),
            nn.ReLU(),
        )
        self.layers = nn.Sequential(
            *_halving(quarter, half), *_halving(half, width), *_halving(width, width)
        )

    def maps(self, mouth: Tensor) -> Tensor:
        """float (N, T, 48, 48) in [0, 1] → (N, T, width, 3, 3)."""
        seen = self.front(2 * mouth[:, None] - 1)
        found: Tensor = self.layers(seen)
        return found.transpose(1, 2)

    def forward(self, mouth: Tensor) -> Tensor:
        """float (N, T, 48, 48) in [0, 1] → (N, T, width)."""
        return self.maps(mouth).mean((3, 4))


class Speech(nn.Module):
    """Sound as features of each frame of 40 ms, from four windows of a log-mel spectrum each.

    Args:
        width: of the features.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.front = LogMel()
        self.layers = nn.Sequential(
            nn.Conv1d(80, width, 5, padding=2), nn.GroupNorm(GROUPS, width), nn.ReLU(),
            nn.Conv1d(width, width, WINDOWS, WINDOWS), nn.GroupNorm(GROUPS, width), nn.ReLU(),
            nn.Conv1d(width, width, 3, padding=1), nn.GroupNorm(GROUPS, width), nn.ReLU(),
        )  # fmt: skip

    def spectrum(self, sound: Tensor) -> Tensor:
        """float (N, 640·T) → (N, 80, 4·T)."""
        found: Tensor = self.front(sound)
        return found[:, :, : sound.shape[1] // HOP]

    def forward(self, spectrum: Tensor) -> Tensor:
        """(N, 80, 4·T) → (N, T, width)."""
        found: Tensor = self.layers(spectrum).mT
        return found


def freeze_encoders(network: nn.Module, old: Path) -> None:
    """Give a network's `lips` and `speech` the weights of an `avff` training, and freeze them.

    Raises:
        InvalidInput: `old` holds none of this width.
    """
    for name in ("lips", "speech"):
        part = network.get_submodule(name)
        part.load_state_dict(part_of(old, f"{name}.", part, "avff"))
        part.requires_grad_(False)


def _halving(given: int, made: int) -> list[nn.Module]:
    # Each frame by itself; norms of the whole stretch keep what changes from frame to frame.
    return [
        nn.Conv3d(given, made, (1, 3, 3), (1, 2, 2), (0, 1, 1)),
        nn.GroupNorm(GROUPS, made),
        nn.ReLU(),
    ]


@dataclass(frozen=True)
class Settings(recipe.Settings):
    """What every method of lips and speech can be told; see `bonafide.train.recipe.Settings`.

    Attributes:
        frames: of a stretch, 25 per second.
        width: of the features of a frame; a multiple of 16.
        made: share of the forged stretches that are made of genuine ones; all where data have none.
        throughout: share of those in which all of the sound is of another moment.
        degraded: share of the stretches whose sound gets noise.
    """

    frames: int = 64
    width: int = 256
    made: float = 0.5
    throughout: float = 0.5
    degraded: float = 0.5
    learning_rate: float = 1e-4


class SpeakingRecipe(SoundRecipe):
    """A method whose network takes float32 (N, T, WIDTH): pixels in [0, 1], samples in [-1, 1]."""

    Settings: ClassVar[type[recipe.Settings]] = Settings
    input = "frames"
    layout: ClassVar[str] = (
        "float32 (N, T, 2944), 25 frames per second: 48×48 grey pixels in [0, 1] of the mouth, "
        "then the 640 samples in [-1, 1] at 16 kHz that sound meanwhile"
    )

    @property
    def length(self) -> int:
        """Frames of a stretch."""
        return int(self.settings.frames)

    @property
    def shape(self) -> tuple[int, ...]:
        """Of a stretch."""
        return (self.length, WIDTH)

    @property
    def blended(self) -> float:
        """See `bonafide.train.clips.OwnForgeries`."""
        return float(self.settings.made)

    def floats(self, rows: NDArray[np.int16]) -> Sound:
        """Rows as they are kept → as the network is given them."""
        found = rows.astype(np.float32)
        found[:, :PIXELS] /= 255
        found[:, PIXELS:] /= np.float32(FULL)
        return found

    def augment(self) -> Augment:
        """Mirroring and light of the mouth, noise in the sound."""
        return Chain(
            (
                Step("mirror", 0.5, _mirrored),
                Step("light", 0.5, _lit),
                Step("noise", self.settings.degraded, _noisy),
            )
        )

    def forge(
        self, clip: NDArray[np.float32], random: np.random.Generator
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """A stretch in which part of the sound, or all of it, is of another moment."""
        frames = len(clip)
        whole = random.random() < self.settings.throughout
        count = frames if whole else max(4, round(frames * random.uniform(0.15, 0.6)))
        begin = int(random.integers(frames - count + 1))
        return moved(clip, begin, count, random)


def moved(
    clip: NDArray[np.float32], begin: int, count: int, random: np.random.Generator
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Sound from another moment under some frames of a stretch.

    Args:
        clip: float32 (T, WIDTH).
        begin: first frame that is changed.
        count: frames that are changed.
        random: says from where: at least a quarter of a second, or of the stretch, away.

    Returns:
        The changed stretch, and 1 for each frame that was changed, 0 for the others, (T,).
    """
    frames = len(clip)
    least = min(round(FPS / 4), frames // 4)
    shift = int(random.integers(max(1, least), frames - least + 1))
    sound = clip[:, PIXELS:].reshape(-1)
    other = np.roll(sound, shift * HEARD)
    first, last = begin * HEARD, (begin + count) * HEARD
    part, there = other[first:last], sound[first:last]
    gain = np.sqrt((there**2).mean() / max(float((part**2).mean()), 1e-10))
    share = np.zeros(len(sound), np.float32)
    share[first:last] = 1
    if count < frames:
        share = np.convolve(share, np.full(FADE, 1 / FADE), "same").astype(np.float32)
    made = clip.copy()
    mixed = (1 - share) * sound + share * np.float32(min(gain, 10.0)) * other
    made[:, PIXELS:] = mixed.clip(-1, 1).reshape(frames, HEARD)
    changed = np.zeros(frames, np.float32)
    changed[begin : begin + count] = 1
    return made, changed


def read_speaking(wanted: Wanted) -> Picture | str:
    """Keep the mouth of a video and its sound: int16 (n, WIDTH)."""
    try:
        media = open_media(wanted.place.read(), wanted.name)
        if media.video is None or media.audio is None:
            return "it has no picture that moves, or no sound"
        found = mouths_of(media.video, 0.0, min(media.video.duration, LONGEST))
        if not found:
            return "no face from the front is seen for long enough"
        mouth = max(found, key=lambda one: len(one.times))
        sound = _under(media.audio, mouth.times)
    except MediaError as error:
        return error.why
    except OSError as error:
        return f"it cannot be read: {error.strerror}"
    if not sound.any():
        return "there is no sound while a mouth is seen"
    target = wanted.cache / f"{media.sha256}-speaking.npy"
    rows = np.concatenate(
        [mouth.crops.reshape(-1, PIXELS).astype(np.int16), np.rint(sound * FULL).astype(np.int16)],
        axis=1,
    )
    keep(target, rows)
    return Picture(wanted.name, wanted.positive, wanted.source, wanted.group, target)


SpeakingRecipe.reader = staticmethod(read_speaking)


def _under(track: AudioTrack, times: NDArray[np.float64]) -> Sound:
    """The samples under each frame, float32 (n, 640), levelled; silence where there is none."""
    parts: list[Sound] = []
    begun = 0.0
    for window in track.windows(RATE, 2.0):
        if not parts:
            begun = window.start
        parts.append(window.samples)
        if window.start > times[-1] + 1:
            break
    whole = np.concatenate(parts) if parts else np.zeros(1, np.float32)
    if len(whole) > HEARD:
        whole = band_limited(whole)
    first = np.rint((times - begun) * RATE).astype(int)
    places = first[:, None] + np.arange(HEARD)
    inside = (places >= 0) & (places < len(whole))
    return levelled(np.where(inside, whole[places.clip(0, len(whole) - 1)], 0).astype(np.float32))


def _mirrored(rows: Sound, _: np.random.Generator) -> Sound:
    made = rows.copy()
    mouth = rows[:, :PIXELS].reshape(-1, SIDE, SIDE)
    made[:, :PIXELS] = mouth[:, :, ::-1].reshape(len(rows), PIXELS)
    return made


def _lit(rows: Sound, random: np.random.Generator) -> Sound:
    made = rows.copy()
    gain, offset = random.uniform(0.7, 1.3), random.uniform(-0.1, 0.1)
    made[:, :PIXELS] = (made[:, :PIXELS] * gain + offset).clip(0, 1)
    return made


def _noisy(rows: Sound, random: np.random.Generator) -> Sound:
    made = rows.copy()
    sound = np.ascontiguousarray(rows[:, PIXELS:]).reshape(-1)
    made[:, PIXELS:] = levelled(noisy(sound, random)).reshape(len(rows), HEARD)
    return made
