"""Templates that treat every value as hostile."""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from bonafide.report import wording


def environment(folder: Path) -> Environment:
    """Templates of a folder: values are escaped, steering characters shown, names checked."""
    return Environment(
        loader=FileSystemLoader(folder),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=lambda value: (
            wording.clean(value)
            if isinstance(value, str) and not isinstance(value, Markup)
            else value
        ),
    )


def policy(style: str, script: str | None = None) -> str:
    """A content security policy: this style, this script, data: pictures and sounds, no more."""
    allowed = f"style-src 'sha256-{_digest(style)}'"
    if script is not None:
        allowed += f"; script-src 'sha256-{_digest(script)}'"
    own = "default-src 'none'; img-src data:; media-src data:"
    return f"{own}; base-uri 'none'; form-action 'none'; {allowed}"


def _digest(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode("ascii")
