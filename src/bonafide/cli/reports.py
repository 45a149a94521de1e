"""Reports in files: read one, sign one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from bonafide.errors import InvalidInput


def sign_report(report: str, key: str, output: str | None) -> None:
    """Sign a report: add an Ed25519 signature over its RFC 8785 form.

    Args:
        report: path of the report, JSON.
        key: path of the private key.
        output: path to write to; None for standard output.
    """
    from bonafide.cli.report_sink import read_key

    opened = read_key(key)
    from bonafide.custody import signing
    from bonafide.custody.canonical import json_text
    from bonafide.files import atomic_write

    signed = signing.sign(read_report(report), opened)
    text = json_text(signed, indent=2)
    if output is None:
        click.echo(text)
    else:
        with atomic_write(Path(output)) as path:
            path.write_text(f"{text}\n", encoding="utf-8")


def read_report(path: str) -> dict[str, Any]:
    """A report from a file.

    Raises:
        InvalidInput: it is none, or that of a failure.
    """
    from bonafide.custody.canonical import read_json

    found = read_json(path)
    if not isinstance(found, dict) or found.get("status") not in ("ok", "failed"):
        raise InvalidInput(f"{path} is not a report of bonafide")
    if found["status"] == "failed":
        raise InvalidInput(f"{path} reports that the file could not be examined")
    return found
