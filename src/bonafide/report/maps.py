"""Maps as files, for other programs and for close inspection."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image as Pillow

from bonafide.types import Finding, Report, ScoreMap

if TYPE_CHECKING:
    from numpy.typing import NDArray

EDITED = "edited"  # the map of all detectors together; no detector has this id
MOST_PIXELS = 20_000_000  # of a map file; a larger picture gets a map of fewer


def write_maps(report: Report, stem: str, folder: Path) -> dict[str, Path]:
    """Write the maps of all findings, and the fused one as `<stem>.edited.png`.

    Returns:
        Detector, or `EDITED`, → the path written.

    Raises:
        ValueError: a name would leave `folder`.
        OSError: a file cannot be written.
    """
    written = {
        finding.detector: write_map(finding, stem, folder)
        for finding in report.findings
        if finding.map is not None
    }
    if report.edits is not None and report.edits.map is not None:
        written[EDITED] = _write(report.edits.map, stem, EDITED, folder)
    return written


def write_map(finding: Finding, stem: str, folder: Path) -> Path:
    """Write the map of `finding` as an 8-bit grey PNG.

    It has the size of the picture up to `MOST_PIXELS`. For a larger picture each pixel of the file
    stands for the smallest whole number of pixels a side with which the file stays below that.
    A grey level is round(255 · value): 0 is no evidence, 128 and above is marked.

    Args:
        finding: with a map.
        stem: the file is named `<stem>.<detector>.png`; must be a bare name.
        folder: must exist.

    Returns:
        The path written.

    Raises:
        ValueError: the finding has no map, or the name would leave `folder`.
        OSError: the file cannot be written.
    """
    if finding.map is None:
        raise ValueError(f"the finding of {finding.detector} has no map")
    return _write(finding.map, stem, finding.detector, folder)


def _write(score_map: ScoreMap, stem: str, what: str, folder: Path) -> Path:
    name = f"{stem}.{what}.png"
    if not stem or Path(name).name != name or "\\" in name or "\0" in name:
        raise ValueError(f"not a bare file name: {name!r}")
    path = folder / name
    Pillow.fromarray(_grey(score_map)).save(path, "PNG")
    return path


def _grey(score_map: ScoreMap) -> NDArray[np.uint8]:
    """The grey levels of the file; they are enlarged as bytes, never as floats."""
    cell = max(1, math.ceil(math.sqrt(score_map.width * score_map.height / MOST_PIXELS)))
    values = score_map.values
    if cell > score_map.cell:
        values, own, left, top = score_map.resample(cell), cell, 0, 0
    else:
        own, left, top = score_map.cell, score_map.left, score_map.top
    clipped = np.clip(np.nan_to_num(values, nan=0.0, posinf=1.0, neginf=0.0), 0.0, 1.0)
    grey = np.rint(255.0 * clipped).astype(np.uint8)
    rows = (np.arange(-(-score_map.height // cell)) * cell - top) // own
    columns = (np.arange(-(-score_map.width // cell)) * cell - left) // own
    most_row, most_column = grey.shape[0] - 1, grey.shape[1] - 1
    return np.asarray(grey[np.ix_(np.minimum(rows, most_row), np.minimum(columns, most_column))])
