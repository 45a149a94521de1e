"""What one file may cost. Every byte that comes in is treated as hostile."""

from __future__ import annotations

from dataclasses import dataclass

from bonafide.errors import LimitExceeded


@dataclass(frozen=True)
class Limits:
    """Bounds on one file; the flag that changes each is its name with `--max-`.

    Attributes:
        file_bytes: size of a picture or document, bytes.
        media_bytes: size of a video or sound file, bytes; they are never read whole into memory.
        pixels: width × height of the picture or of one video frame.
        frames: frames that are kept of a video or animation in one pass.
        sound_seconds: sound that is decoded of one track in one pass, seconds.
        seconds: wall time for one file, seconds; enforced by the command line, which examines
            each file in a process that it can stop.
        metadata_bytes: size of any one metadata block (EXIF, XMP, text chunk), bytes.
        nesting: depth of folders, and of structured metadata.
    """

    file_bytes: int = 256 * 1024**2
    media_bytes: int = 16 * 1024**3
    pixels: int = 64_000_000
    frames: int = 1_000
    sound_seconds: float = 14_400.0
    seconds: float = 120.0
    metadata_bytes: int = 4 * 1024**2
    nesting: int = 32

    def check(self, name: str, limit: str, value: float) -> None:
        """Raise `LimitExceeded` for the file `name` if `value` is above the limit `limit`."""
        allowed = getattr(self, limit)
        if value > allowed:
            flag = f"--max-{limit.replace('_', '-')}"
            raise LimitExceeded(
                name,
                f"{limit.replace('_', ' ')}: {value:,.0f} is over the limit of {allowed:,.0f}"
                f" (raise it with {flag})",
            )
