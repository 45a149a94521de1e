"""The recipes of CONTRIBUTING.md, followed literally on a copy of the source."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image as Pillow
from skimage import data

ROOT = Path(__file__).resolve().parent.parent
TEXT = (ROOT / "CONTRIBUTING.md").read_text("utf-8")


def recipe(heading: str) -> list[str]:
    """The Python blocks below a heading."""
    section = TEXT.split(f"## {heading}\n")[1].split("\n## ")[0]
    return re.findall(r"```python\n(.*?)```", section, re.DOTALL)


def follow(blocks: list[str], tree: Path) -> None:
    """Do what each block says: write a file, or insert lines before a member of a class."""
    for block in blocks:
        first, _, body = block.partition("\n")
        told = re.fullmatch(r"# (src/\S+\.py)(?:, before (\w+))?", first)
        assert told, f"this block does not name its file: {first}"
        path = tree / told[1]
        if told[2] is None:
            path.parent.mkdir(exist_ok=True)
            path.write_text(body, "utf-8")
            continue
        lines = path.read_text("utf-8").splitlines(keepends=True)
        (place,) = [n for n, line in enumerate(lines) if line.startswith(f"    {told[2]} = ")]
        path.write_text("".join([*lines[:place], body, *lines[place:]]), "utf-8")


@pytest.fixture
def tree(tmp_path: Path) -> Iterator[Path]:
    shutil.copytree(ROOT / "src", tmp_path / "src", ignore=shutil.ignore_patterns("__pycache__"))
    Pillow.fromarray(data.astronaut()).save(tmp_path / "photo.jpg")
    yield tmp_path


def python(tree: Path, *arguments: str) -> str:
    """Output of Python with the copied source."""
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=tree,
        env={**os.environ, "PYTHONPATH": str(tree / "src")},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def examined(tree: Path, detector: str) -> dict:
    """The report on a photograph by one detector."""
    return json.loads(
        python(tree, "-m", "bonafide", "photo.jpg", "--only", detector, "--json", "--quiet")
    )


def keeps_the_contract(tree: Path, detector: str) -> None:
    python(tree, "-c", f"from bonafide.testing import check_detector; check_detector({detector!r})")


def test_a_detector_is_one_file(tree: Path) -> None:
    blocks = recipe("Add a detector")
    assert len(blocks) == 1
    follow(blocks, tree)
    report = examined(tree, "brightness")
    (finding,) = report["findings"]
    assert (finding["detector"], finding["status"]) == ("brightness", "ok")
    assert 0 < finding["parts"][0]["facts"]["mean"] < 255
    keeps_the_contract(tree, "brightness")


def test_a_question_is_a_label_a_row_and_a_detector(tree: Path) -> None:
    before = examined(tree, "jpeg_grid")
    follow(recipe("Add a question"), tree)
    report = examined(tree, "screen_size")
    (finding,) = report["findings"]
    assert (finding["question"], finding["status"]) == ("screenshot", "ok")
    assert report["probabilities"]["screenshot"] is None
    (answer,) = report["answers"]
    assert (answer["question"], answer["decision"]) == ("screenshot", "not_assessed")
    keeps_the_contract(tree, "screen_size")
    card = python(tree, "-m", "bonafide", "photo.jpg", "--only", "screen_size")
    assert "A screenshot" in card  # the words of the row
    # What was answered before is answered as before.
    after = examined(tree, "jpeg_grid")
    assert (after["verdict"], after["answers"]) == (before["verdict"], before["answers"])
    assert after["probabilities"].items() > before["probabilities"].items()
