"""A sentence that a machine speaks, made on the spot by a voice that is installed here."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from bonafide.cli.demo import DemoFile

NAME = "13-synthetic-speech.wav"
TEXT = (
    "Good afternoon. This is the accounts department. Your invoice has not been paid, and the "
    "service will be stopped tomorrow unless you call us back today."
)
_SECONDS = 30.0  # that a program may take
# Program, and its arguments; "{out}" and "{text}" are filled in.
_VOICES: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("espeak-ng", ("-v", "en-us", "-w", "{out}", "{text}")),
    ("flite", ("-voice", "slt", "-t", "{text}", "-o", "{out}")),
    ("pico2wave", ("-l", "en-GB", "-w", "{out}", "{text}")),
)


def make_speech(folder: str | Path) -> list[DemoFile] | str:
    """Let the first voice that is installed speak a sentence into `folder`.

    No genuine sentence goes with it: no package that bonafide needs brings speech.

    Args:
        folder: exists.

    Returns:
        What was made, or why nothing was, one sentence.
    """
    path = Path(folder) / NAME
    for program, given in _VOICES:
        found = shutil.which(program)
        if found is None:
            continue
        arguments = [one.format(out=path, text=TEXT) for one in given]
        try:
            subprocess.run([found, *arguments], check=True, capture_output=True, timeout=_SECONDS)
        except (OSError, subprocess.SubprocessError):
            continue
        if path.is_file() and path.stat().st_size > 1000:
            made = DemoFile(
                path,
                f"A sentence that {program} spoke.",
                "Whether a machine speaks is weak evidence at best: the answer can be inconclusive "
                "and is never an accusation.",
            )
            return [made]
    path.unlink(missing_ok=True)
    names = ", ".join(program for program, _ in _VOICES)
    return f"No synthetic sentence was made: none of {names} is installed."
