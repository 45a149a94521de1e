"""Templates that treat every value as hostile."""

from __future__ import annotations

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
