"""Whisper's features of labelled speech, kept in one file: what a voice probe is fitted on.

Of each recording at most two stretches of 4 s of speech are read, in three views. `native` is what
the detector reads. `degraded` is the same after what happens to speech on its way (a room, noise, a
smaller band, codecs), at random and alike for both classes. `telephone` is the first stretch after
a telephone's band and Opus at 16 kbit/s; a probe is only scored on it. Chance comes from the file's
bytes, so the same files give the same features everywhere.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bonafide.bench.labelled import Labelled
from bonafide.errors import InvalidInput, MediaError, UnsupportedFormat
from bonafide.files import atomic_write
from bonafide.media.limits import Limits
from bonafide.media.source import open_media
from bonafide.networks.whisper import SAMPLES, SECONDS, features_of
from bonafide.subjects.speech import find_speech, stretches
from bonafide.train.augment_sound import WAY, Sound, levelled, telephone_opus
from bonafide.train.probe_features import DEGRADED, WHOLE, Features
from bonafide.types import Question

TELEPHONE = "telephone"
MOST = 2  # stretches of a file: further ones of one speaker add little
QUESTION = Question.VOICE_CLONED
_SAVE_EVERY = 100  # files
Progress = Callable[[int, int, int], None]
Row = tuple[str, str, NDArray[np.float16]]  # path, view, features


def views(path: Path, limits: Limits) -> dict[str, list[Sound]]:
    """The stretches of a file in each view, levelled, in steps of 16 bits.

    Raises:
        MediaError: it cannot be read, or nobody speaks in it for long enough.
    """
    media = open_media(path, limits=limits)
    if media.audio is None:
        raise UnsupportedFormat(str(path), "it has no sound")
    speech = find_speech(media.audio)
    if speech.out_of_scope is not None:
        raise UnsupportedFormat(str(path), speech.out_of_scope)
    spoken = [levelled(one.samples) for one in stretches(media.audio, speech, SECONDS, MOST)]
    random = np.random.default_rng(zlib.crc32(path.read_bytes()))
    return {
        WHOLE: [_rounded(one) for one in spoken],
        DEGRADED: [_rounded(levelled(WAY(one, random))) for one in spoken],
        TELEPHONE: [_rounded(levelled(telephone_opus(spoken[0])))],
    }


def collect(
    files: Sequence[Labelled], out: Path, limits: Limits, progress: Progress | None = None
) -> int:
    """Add what is missing in `out`; a run that was stopped goes on where it was.

    Args:
        files: labelled recordings; those that leave the question open are passed over.
        out: an .npz, made by an earlier call or not there yet.
        limits: of a file.
        progress: called with (done, total, failed).

    Returns:
        How many files could not be used.

    Raises:
        WeightsError: a network cannot be opened.
    """
    rows = read(out)
    there = {path for path, _, _ in rows}
    missing = [one.path for one in files if QUESTION in one.answers and one.path not in there]
    failed = 0
    for done, path in enumerate(missing, 1):
        try:
            for view, sounds in views(Path(path), limits).items():
                rows += [(path, view, found) for found in features_of(sounds).astype(np.float16)]
        except MediaError:
            failed += 1
        if done % _SAVE_EVERY == 0 or done == len(missing):
            write(out, rows)
        if progress:
            progress(done, len(missing), failed)
    return failed


def load(out: Path, files: Sequence[Labelled]) -> Features:
    """What `collect` wrote of these files: a row for each stretch in each view.

    Raises:
        InvalidInput: nothing of them is there.
    """
    asked = {one.path: one for one in files if QUESTION in one.answers}
    rows = [(asked[path], view, found) for path, view, found in read(out) if path in asked]
    if not rows:
        raise InvalidInput(f"{out} holds none of these files")
    return Features(
        np.stack([found for _, _, found in rows]),
        np.array([view for _, view, _ in rows]),
        np.array([one.path for one, _, _ in rows]),
        np.array([one.source for one, _, _ in rows]),
        np.array([one.made for one, _, _ in rows]),
        np.array([one.kind for one, _, _ in rows]),
        np.array([one.answers[QUESTION] for one, _, _ in rows]),
    )


def read(out: Path) -> list[Row]:
    """Rows of a file that `write` wrote; [] where there is none.

    Raises:
        InvalidInput: it is another file.
    """
    if not out.exists():
        return []
    try:
        with np.load(out) as kept:
            columns = (kept["path"].tolist(), kept["view"].tolist(), kept["features"])
            return list(zip(*columns, strict=True))
    except (OSError, ValueError, KeyError) as error:
        raise InvalidInput(f"{out} holds no features: {error}") from error


def write(out: Path, rows: Sequence[Row]) -> None:
    """Write rows; the file appears whole or not at all."""
    with atomic_write(out) as partial, partial.open("wb") as file:
        np.savez(
            file,
            path=np.array([path for path, _, _ in rows], np.str_),
            view=np.array([view for _, view, _ in rows], np.str_),
            features=np.array([found for _, _, found in rows], np.float16),
        )


def _rounded(samples: Sound) -> Sound:
    return np.asarray(np.rint(np.clip(samples[:SAMPLES], -1, 1) * 32767) / 32767, np.float32)
