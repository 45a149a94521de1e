"""`bonafide train` runs the recipes for faces and liveness, from a manifest to an ONNX file."""

from __future__ import annotations

from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("onnxscript")
pytest.importorskip("transformers")
pytest.importorskip("peft")

import localisers
import toys
from click.testing import CliRunner

from bonafide.cli.main import bonafide
from bonafide.train import export

RECIPES = {
    "rebalanced": ("backbone", "projected=8", "memory=16"),
    "sri": ("backbone", "width=8", "heads=2"),
    "cpl": ("backbone", "classes=4"),
    "amel": ("width=4", "sources=6"),
    "gda": ("width=4",),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("toys")
    toys.write_manifest(folder)
    return folder


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_is_trained_and_exported(name: str, folder: Path, tmp_path: Path) -> None:
    backbone = f"backbone={localisers.resnet(tmp_path)}"
    own = [backbone if text == "backbone" else text for text in RECIPES[name]]
    given = ["crop=32", "batch=4", "steps=2", "validate_every=2", *own]
    done = CliRunner().invoke(
        bonafide,
        ["train", name, "--data", str(folder / "manifest.csv"), "--out", str(tmp_path / "out"),
         "--protocol", "generated-native", "--threads", "1", "--quiet",
         *[f"--set={text}" for text in given]],
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    card = export.read_card(tmp_path / "out" / f"{name}.onnx")
    assert card["settings"]["steps"] == 2
