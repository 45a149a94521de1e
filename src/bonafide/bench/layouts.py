"""From the folders in which public sets ship to samples of a manifest. Nothing is downloaded."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from bonafide.bench.layouts_captions import CAPTIONS
from bonafide.bench.layouts_edited import EDITED
from bonafide.bench.layouts_faces import FACES
from bonafide.bench.layouts_synthetic import SYNTHETIC
from bonafide.bench.layouts_voices import VOICES
from bonafide.bench.samples import Sample
from bonafide.bench.tree import Layout
from bonafide.errors import InvalidInput

__all__ = ["LAYOUTS", "Layout", "index", "relative"]

LAYOUTS: dict[str, Layout] = {
    layout.name: layout
    for layout in sorted(
        (*SYNTHETIC, *EDITED, *FACES, *CAPTIONS, *VOICES), key=lambda one: one.name
    )
}


def index(folder: str | Path, layout: str) -> list[Sample]:
    """The samples of a set that lies in `folder`, sorted by path, paths relative to the folder.

    Raises:
        InvalidInput: there is no such layout or folder, or the folder holds nothing of it.
    """
    if layout not in LAYOUTS:
        raise InvalidInput(f"no layout is called {layout!r}; there are: {', '.join(LAYOUTS)}")
    place = Path(folder)
    if not place.is_dir():
        raise InvalidInput(f"{folder} is no folder")
    known = LAYOUTS[layout]
    samples = sorted(known.read(place), key=lambda sample: sample.path)
    if not samples:
        raise InvalidInput(
            f"{folder} holds nothing of {known.title}, which looks like {known.tree}"
        )
    return samples


def relative(samples: Iterable[Sample], folder: str | Path, beside: str | Path) -> list[Sample]:
    """The same samples for a manifest that lies in `beside` instead of `folder`."""
    here = Path(folder).absolute()

    def move(path: str) -> str:
        try:
            return Path(os.path.relpath(here / path, Path(beside).absolute())).as_posix()
        except ValueError:  # another drive of Windows
            return (here / path).as_posix()

    return [
        replace(sample, path=move(sample.path), mask=sample.mask and move(sample.mask))
        for sample in samples
    ]
