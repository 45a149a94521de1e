"""Recognisers of speech that bonafide can fetch: Whisper, run by CTranslate2 (faster-whisper).

Nothing of them ships. `bonafide weights pull` fetches the four files of one into a folder, each
checked against the SHA-256 of `bonafide.networks.catalogue`. A folder of that
name in the folder that BONAFIDE_WEIGHTS names, or one with the id alone, comes first: the user's
own, which is not checked.

Source: A. Radford et al., "Robust Speech Recognition via Large-Scale Weak Supervision", ICML 2023
(weights: OpenAI, MIT licence; converted by SYSTRAN).
"""

from __future__ import annotations

import json
import os
import threading
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bonafide.errors import DamagedWeights, MissingExtra, MissingWeights
from bonafide.networks import runtime
from bonafide.networks.catalogue import MODEL, RECOGNISERS, Recogniser

SECONDS = 30.0  # that one call hears at most
# A line is dropped where the network doubts that anybody speaks and its own words, or repeats.
_SILENT, _DOUBTED, _REPEATED = 0.6, -1.0, 2.4


@dataclass(frozen=True)
class Line:
    """What was heard without a break.

    Attributes:
        start, end: seconds from the start of the samples.
        text: as the network wrote it; it is data of the file.
    """

    start: float
    end: float
    text: str


@dataclass(frozen=True)
class Heard:
    """What was heard in one piece of sound.

    Attributes:
        language: code of ISO 639, as "en".
        sure: P of that language in [0, 1]; 1 where it was given or the network knows but one.
        lines: in order of time.
    """

    language: str
    sure: float
    lines: tuple[Line, ...]


def folder_of(entry: Recogniser) -> Path:
    """Where `bonafide weights pull` puts it."""
    return runtime.user_folder() / f"{entry.id}-{entry.version}"


def record_of(folder: Path) -> Path:
    """The record of what was fetched into a folder."""
    return folder.with_name(f"{folder.name}.json")


def find() -> tuple[Recogniser, Path]:
    """The first recogniser on this machine, in the order of `RECOGNISERS`, and its folder.

    Raises:
        MissingWeights: there is none; the sentence says what to run.
    """
    own = os.environ.get("BONAFIDE_WEIGHTS")
    for entry in RECOGNISERS.values():
        places = [folder_of(entry)]
        if own:
            places[:0] = [Path(own) / f"{entry.id}-{entry.version}", Path(own) / entry.id]
        for place in places:
            if (place / MODEL).is_file():
                return entry, place
    first = next(iter(RECOGNISERS))
    raise MissingWeights(
        first, f"no recogniser of speech is on this machine; run: bonafide weights pull {first}"
    )


def title(entry: Recogniser, folder: Path) -> str:
    """What wrote it down; files of the user's own are called so, since nobody checked them."""
    return entry.title if folder == folder_of(entry) else f"{entry.title}, files of your own"


def ready() -> None:
    """Make sure that `hear` can be called, before the first file is opened.

    Raises:
        MissingWeights: no recogniser is on this machine; the sentence says what to run.
        MissingExtra: faster-whisper is not installed.
    """
    find()
    if find_spec("faster_whisper") is None:
        raise MissingExtra("transcript", "writing down speech")


def state(entry: Recogniser) -> str:
    """Where it stands, for people."""
    return "fetched" if (folder_of(entry) / MODEL).is_file() else "not fetched"


def ingredients() -> dict[str, str]:
    """SHA-256 of the weights that `hear` would use, by name; {} without any."""
    try:
        entry, folder = find()
    except MissingWeights:
        return {}
    return {f"weights.{entry.id}": _digest(folder)}


def hear(samples: NDArray[np.float32], language: str | None = None) -> Heard:
    """Write down a piece of sound.

    Args:
        samples: float32 (n,), 16,000 per second, at most `SECONDS` of them.
        language: code of ISO 639; None to have it found.

    Raises:
        MissingExtra: faster-whisper is not installed.
        MissingWeights: no recogniser is on this machine.
        DamagedWeights: its files are not those that were fetched, or cannot be opened.
    """
    entry, folder = find()
    with _lock:
        found, about = _opened(entry, folder).transcribe(
            samples,
            language=language,
            beam_size=1,
            temperature=0.0,  # no dice: the same sound gives the same words
            condition_on_previous_text=False,
        )
        lines = tuple(
            Line(float(one.start), float(one.end), str(one.text).strip())
            for one in found
            if str(one.text).strip() and not _doubtful(one)
        )
    return Heard(str(about.language), float(about.language_probability), lines)


_lock = threading.Lock()  # one piece at a time: memory, and the order of what is printed


def _doubtful(one: Any) -> bool:
    silent = one.no_speech_prob > _SILENT and one.avg_logprob < _DOUBTED
    return bool(silent or one.compression_ratio > _REPEATED)


@cache
def _opened(entry: Recogniser, folder: Path) -> Any:
    try:
        from faster_whisper import WhisperModel
    except ImportError:
        raise MissingExtra("transcript", "writing down speech") from None
    _check(entry, folder)
    try:
        return WhisperModel(
            str(folder), device="cpu", compute_type="int8", cpu_threads=runtime.threads(),
            local_files_only=True,
        )  # fmt: skip
    except Exception as error:  # CTranslate2 raises what it likes
        first = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise DamagedWeights(entry.id, f"{folder} cannot be opened: {first}") from error


def _check(entry: Recogniser, folder: Path) -> None:
    """Compare with what was fetched; the user's own files have no checksum."""
    if folder != folder_of(entry):
        return
    try:
        pinned = json.loads(record_of(folder).read_text())["sha256"]
    except (OSError, ValueError, KeyError, TypeError):
        pinned = next(file.sha256 for file in entry.files if file.path == MODEL)
    if _digest(folder) != pinned:
        raise DamagedWeights(entry.id, f"{folder / MODEL} is not what was fetched")


def _digest(folder: Path) -> str:
    known = (folder / MODEL).stat()
    return _unchanged(folder / MODEL, known.st_size, known.st_mtime_ns)


@lru_cache(maxsize=8)
def _unchanged(path: Path, _size: int, _modified: int) -> str:
    return runtime.sha256(path)
