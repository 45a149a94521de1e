"""Options that several verbs have: `--max-…` and `--language`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from bonafide.media.limits import Limits

F = TypeVar("F", bound=Callable[..., Any])

# One per field of `Limits`; spelt out, since 0.15 s of start-up buy no import.
_HELPS = {
    "file_bytes": "Bytes a picture or document may have.  [default: 256 MiB]",
    "media_bytes": "Bytes a video or sound file may have.  [default: 16 GiB]",
    "pixels": "Width × height of a picture.  [default: 64,000,000]",
    "frames": "Frames kept of a video.  [default: 1,000]",
    "sound_seconds": "Seconds of sound decoded.  [default: 14,400]",
    "seconds": "Wall time one file may take.  [default: 120]",
    "metadata_bytes": "Bytes of one metadata block.  [default: 4 MiB]",
    "nesting": "Depth of folders and structures.  [default: 32]",
}


def limit_options(function: F) -> F:
    """Add one `--max-…` option per field of `Limits` to a click command."""
    for name in reversed(_HELPS):
        function = limit_option(name)(function)
    return function


def limit_option(name: str) -> Callable[[F], F]:
    """The `--max-…` option of one field of `Limits`."""
    kind = click.FLOAT if name.endswith("seconds") else click.INT
    flag = f"--max-{name.replace('_', '-')}"
    return click.option(flag, f"max_{name}", type=kind, metavar="N", help=_HELPS[name])


def limits_of(options: Mapping[str, Any]) -> Limits:
    """The limits that a verb's options ask for; what was not given keeps its default."""
    from bonafide.media.limits import Limits

    given = {
        name.removeprefix("max_"): value
        for name, value in options.items()
        if name.startswith("max_") and value is not None
    }
    return Limits(**given)


def language_option(function: F) -> F:
    """The `--language` option of verbs that write for people."""
    return click.option(
        "--language",
        metavar="CODE",
        envvar="BONAFIDE_LANGUAGE",
        expose_value=False,
        is_eager=True,
        callback=_speak,
        help="Language of text, page and PDF: de, ar, …; JSON stays English.  "
        "[default: $BONAFIDE_LANGUAGE, else en]",
    )(function)


def _speak(ctx: click.Context, _: click.Parameter, language: str | None) -> None:
    if not language or ctx.resilient_parsing:
        return
    from bonafide.languages.catalogue import catalogue
    from bonafide.languages.current import LANGUAGES, known, using

    found = known(language)
    if found is None:
        raise click.BadParameter(f"there is no {language}; there are {', '.join(LANGUAGES)}")
    catalogue(found)  # a missing extra is said before the first file is examined
    ctx.with_resource(using(found))
