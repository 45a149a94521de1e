"""The settings of an examination, from the options of a verb."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from bonafide.cli.judge import judge_of
from bonafide.cli.options import limits_of
from bonafide.types import Profile, Question

if TYPE_CHECKING:
    from bonafide.examination import Settings

LONGEST_CAPTION = 2_000  # characters


def settings_of(options: dict[str, Any]) -> Settings:
    """How files are examined, as the options say.

    Raises:
        UsageError: an option cannot be followed.
        InvalidInput: the calibration is none.
        UnknownDetector: `--only` names a detector that does not exist.
        MissingWeights: a transcript is asked for, and nothing here can write one.
        MissingExtra: likewise.
    """
    from bonafide.evidence.calibration import load_calibration
    from bonafide.examination import Settings, select

    only = options.get("only") or ""
    if options.get("trust"):
        _check_trust(options["trust"])
    settings = Settings(
        profile=Profile(options["profile"]),
        only=tuple(part.strip() for part in only.split(",") if part.strip()),
        limits=limits_of(options),
        false_accusation_rate=options["false_accusation_rate"],
        trust=options.get("trust"),
        network=bool(options.get("network")),
        stability=bool(options.get("stability")),
        calibration=options.get("calibration"),
        asked=(Question.SPOOFED,) if options.get("liveness") else (),
        caption=_caption(options.get("caption")),
        transcript=bool(options.get("transcript")),
        judge=judge_of(options, bool(options.get("quiet"))),
    )
    # A bad table or an unknown id is a usage error now, not a failure per file.
    load_calibration(settings.calibration)
    if settings.only:
        select(settings)
    if settings.transcript:
        from bonafide.networks import recognisers

        recognisers.ready()
    return settings


def _caption(text: str | None) -> str | None:
    """A caption that can be compared; None where none was given."""
    if text is None:
        return None
    if not text.strip():
        raise click.UsageError("--caption: the caption is empty")
    if len(text) > LONGEST_CAPTION:
        raise click.UsageError(f"--caption: more than {LONGEST_CAPTION:,} characters")
    return text


def _check_trust(path: str) -> None:
    """Refuse a trust list without certificates before the first file is examined."""
    from pathlib import Path

    given = Path(path)
    files = [file for file in given.iterdir() if file.is_file()] if given.is_dir() else [given]
    if not any(b"-----BEGIN CERTIFICATE" in file.read_bytes() for file in files):
        raise click.UsageError(f"--trust: {path} holds no PEM certificate")


def warn_of_old_lists(settings: Settings) -> None:
    """Say which trust lists are past their own date of replacement.

    Raises:
        InvalidInput: a list that the user added or updated is damaged.
    """
    from bonafide.trust.user import in_use

    if settings.trust is None:
        for warning in in_use().warnings:
            click.echo(f"warning: {warning}", err=True)
