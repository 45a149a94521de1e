"""Reports to explain, and a cache that is thrown away."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import openai
import pytest
import skimage.data
from tests.report.conftest import found, make_image, make_report

from bonafide.types import Calibrated, EditedRegion, EditKind, Edits, Question, Region, Report

WIDTH, HEIGHT = 600, 400
REGIONS = (
    EditedRegion(40, 60, 120, 80, 9000, 0.0375, 0.93, ("copy_move",), EditKind.CLONE,
                 Region(400, 260, 120, 80, None, "source", 0)),
    EditedRegion(380, 240, 100, 90, 8000, 0.0333, 0.8, ("jpeg_ghost",), EditKind.UNKNOWN),
)  # fmt: skip


@pytest.fixture(scope="session")
def report() -> Report:
    """A made report with every kind of finding; its verdict is "manipulated"."""
    image = make_image(skimage.data.coffee())
    made = make_report(image)
    quiet = found(
        "jpeg_grid", Question.EDITED, Calibrated(-0.4, 0.4, 11.3, 0.0096, "JPEG"),
        summary="One JPEG grid runs through the picture; no part has a grid of its own.",
        score=0.2, facts={"voting_share": 0.9197},
    )  # fmt: skip
    weak = found(
        "resampling", Question.EDITED, Calibrated(0.9, 0.71, 4.37, 0.01, "JPEG"),
        summary="A part of the picture shows a trace of enlarging.",
        score=3.2, facts={"tiles": 96},
    )  # fmt: skip
    edits = Edits(None, REGIONS, 0.0708, {"copy_move": 0.9, "jpeg_ghost": 0.3})
    return replace(made, findings=(*made.findings, quiet, weak), edits=edits)


@pytest.fixture(autouse=True)
def no_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of answers of its own, for each test; retries without pauses."""
    folder = tmp_path / "answers"
    monkeypatch.setenv("BONAFIDE_EXPLAIN_CACHE", str(folder))
    monkeypatch.setattr(openai._base_client, "INITIAL_RETRY_DELAY", 0.01)
    monkeypatch.setattr(openai._base_client, "MAX_RETRY_DELAY", 0.02)
    return folder
