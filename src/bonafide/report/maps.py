"""Heatmaps as files, for other programs and for close inspection."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image as Pillow

from bonafide.types import Finding, Report

if TYPE_CHECKING:
    from numpy.typing import NDArray

EDITED = "edited"  # the map of all detectors together; no detector has this id


def write_maps(report: Report, stem: str, folder: Path) -> dict[str, Path]:
    """Write the heatmaps of all findings, and the fused one as `<stem>.edited.png`.

    Returns:
        Detector, or `EDITED`, → the path written.

    Raises:
        ValueError: a name would leave `folder`.
        OSError: a file cannot be written.
    """
    written = {
        finding.detector: write_map(finding, stem, folder)
        for finding in report.findings
        if finding.heatmap is not None
    }
    if report.edits is not None and report.edits.heatmap is not None:
        written[EDITED] = _write(report.edits.heatmap, stem, EDITED, folder)
    return written


def write_map(finding: Finding, stem: str, folder: Path) -> Path:
    """Write the heatmap of `finding` as an 8-bit grey PNG of the picture's own size.

    A grey level is round(255 · heatmap): 0 is no evidence, 128 and above is marked.

    Args:
        finding: with a heatmap, float32 H×W in [0, 1].
        stem: the file is named `<stem>.<detector>.png`; must be a bare name.
        folder: must exist.

    Returns:
        The path written.

    Raises:
        ValueError: the finding has no heatmap, or the name would leave `folder`.
        OSError: the file cannot be written.
    """
    if finding.heatmap is None:
        raise ValueError(f"the finding of {finding.detector} has no heatmap")
    return _write(finding.heatmap, stem, finding.detector, folder)


def _write(heatmap: NDArray[np.float32], stem: str, what: str, folder: Path) -> Path:
    name = f"{stem}.{what}.png"
    if not stem or Path(name).name != name or "\\" in name or "\0" in name:
        raise ValueError(f"not a bare file name: {name!r}")
    height, width = heatmap.shape
    grey = np.empty((height, width), np.uint8)
    for top in range(0, height, 512):  # strips keep the float copies small
        strip = np.nan_to_num(heatmap[top : top + 512], nan=0.0, posinf=1.0, neginf=0.0)
        grey[top : top + 512] = np.rint(255.0 * np.clip(strip, 0.0, 1.0))
    path = folder / name
    Pillow.fromarray(grey).save(path, "PNG")
    return path
