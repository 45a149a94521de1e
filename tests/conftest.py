"""Fixtures that several test files share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


def data_folder() -> Path | None:
    """Where labelled real media lie, None if there are none on this machine."""
    named = os.environ.get("BONAFIDE_DATA")
    folder = Path(named) if named else Path(__file__).parents[2] / "shared" / "data"
    return folder if (folder / "forensic_media.csv").is_file() else None


@pytest.fixture(scope="session")
def data() -> Path:
    """The folder of labelled media; tests that ask for it are skipped where it is absent."""
    folder = data_folder()
    if folder is None:
        pytest.skip("labelled media are absent: set BONAFIDE_DATA to their folder")
    return folder
