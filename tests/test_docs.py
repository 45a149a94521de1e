"""What is written is true: commands run, examples work, nothing is left undocumented."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import click
import numpy as np
import pytest
from PIL import Image as Pillow
from skimage import data

from bonafide import registry
from bonafide.cli.main import bonafide as command
from bonafide.testing import check_detector

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text()
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text()


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


def readme_commands() -> list[str]:
    lines = "\n".join(blocks(README, "sh")).splitlines()
    return [line.split("  #")[0].strip() for line in lines if line.startswith("bonafide ")]


@pytest.fixture(scope="module")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("readme")
    noise = np.random.default_rng(0).normal(120, 20, (128, 160, 3)).clip(0, 255).astype(np.uint8)
    (folder / "folder").mkdir()
    for path in (folder / "photo.jpg", folder / "folder" / "other.jpg"):
        Pillow.fromarray(noise).save(path)
    (folder / "photos").mkdir()
    photograph = Pillow.fromarray(data.astronaut())
    for name in ("original.jpg", "suspect.jpg", "photos/one.jpg", "photos/two.jpg"):
        photograph.save(folder / name, quality=85 if name == "suspect.jpg" else 95)
    rows = ["path,label"]  # commands run in any order, so what one writes is there for the others
    for number in range(8):
        path = folder / "set" / ("real" if number % 2 else "fake") / f"{number}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        Pillow.fromarray(np.tile(np.roll(noise, number), (2, 2, 1))).save(path)
        rows.append(f"{path.relative_to(folder)},{'bona_fide' if number % 2 else 'generated'}")
    (folder / "manifest.csv").write_text("\n".join(rows))
    return folder


@pytest.mark.parametrize("line", readme_commands())
def test_readme_command_runs(line: str, workplace: Path) -> None:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        line,
        shell=True,
        cwd=workplace,
        env={**os.environ, "PATH": path},
        capture_output=True,
        timeout=300,
        check=False,
    )
    assert done.returncode in ((0, 3) if "--fail-on" in line else (0,)), done.stderr.decode()


def test_readme_python_runs(workplace: Path) -> None:
    (example,) = blocks(README, "python")
    done = subprocess.run(
        [sys.executable, "-c", example],
        cwd=workplace,
        capture_output=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()


def test_readme_names_every_detector_and_verdict() -> None:
    from bonafide.types import Label

    for detector in registry.ids():
        assert f"`{detector}`" in README, f"README.md does not name {detector}"
    for label in Label:
        assert f"`{label}`" in README, f"README.md does not explain {label}"


def test_links_lead_somewhere() -> None:
    for document in ROOT.glob("*.md"):
        for target in re.findall(r"\]\(([^)#:]+)\)", document.read_text()):
            assert (ROOT / target).exists(), f"{document.name} links to {target}"


def test_every_option_explains_itself() -> None:
    for verb in command.commands.values():
        assert verb.help, verb.name
        for parameter in verb.params:
            if isinstance(parameter, click.Option):
                assert parameter.help, f"{verb.name} {parameter.opts}"


def test_the_contributing_example_keeps_the_contract(tmp_path: Path) -> None:
    (example,) = blocks(CONTRIBUTING, "python")
    path = tmp_path / "brightness.py"
    path.write_text(example)
    spec = importlib.util.spec_from_file_location("brightness", path)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules["brightness"] = module
    try:
        spec.loader.exec_module(module)
        check_detector(module)
    finally:
        del sys.modules["brightness"]


def test_the_schema_describes_every_key_that_is_written() -> None:
    import json

    from bonafide.report import to_dict

    schema = json.loads((ROOT / "docs" / "report.schema.json").read_text())
    source = Path(to_dict.__file__ or "").read_text()
    finding = schema["$defs"]["finding"]["properties"]
    for key in re.findall(r'^        "(\w+)":', source.split("def _finding")[1], re.MULTILINE):
        assert key in finding, f"docs/report.schema.json does not describe findings[].{key}"


def test_decisions_have_their_three_parts() -> None:
    pages = sorted((ROOT / "docs" / "decisions").glob("*.md"))
    assert pages
    for page in pages:
        for part in ("**Context.**", "**Choice.**", "**Cost.**"):
            assert part in page.read_text(), f"{page.name} lacks {part}"
