"""Imports point down only; the source is read, nothing is imported."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

TOOLS = Path(__file__).resolve().parent.parent / "tools"
sys.path.insert(0, str(TOOLS))

import house
from house import INNER, MODULES, RANK, floor, imports, internal


@pytest.mark.parametrize("module", INNER)
def test_every_file_has_a_floor(module: str) -> None:
    assert floor(module) in RANK, f"add {floor(module)!r} to FLOORS of this test, where it belongs"


@pytest.mark.parametrize("module", INNER)
def test_imports_point_down(module: str) -> None:
    for target in internal(module):
        upward = RANK[floor(target)] > RANK[floor(module)]
        assert not upward, f"{module} imports {target}, which is above it"


def test_vocabulary_stands_alone() -> None:
    words = {f"bonafide.{name}" for name in ("questions", "regions", "cards")}
    assert internal("bonafide.types") == words
    assert internal("bonafide.regions") == internal("bonafide.errors") == set()
    assert internal("bonafide.questions") == {"bonafide.regions"}
    assert internal("bonafide.cards") == {"bonafide.questions"}


def test_registry_names_no_detector() -> None:
    allowed = {"bonafide.types", "bonafide.errors", "bonafide.detectors.lift"}
    assert internal("bonafide.registry") <= allowed


@pytest.mark.parametrize("module", [m for m in INNER if m.startswith("bonafide.detectors.")])
def test_detectors_do_not_import_each_other(module: str) -> None:
    others = {
        target
        for target in internal(module)
        if target.startswith("bonafide.detectors.")
        and ".detectors.lift" not in target
        # A file that begins with an underscore is the second half of a detector beside it.
        and not target.rpartition(".")[2].startswith("_")
    }
    assert not others, f"{module} imports {others}; shared maths belongs in bonafide.signals"
    assert floor(module) == "detectors"


def test_the_house_breaks_none_of_its_rules() -> None:
    assert [*house.circles()] == []
    assert [*house.named_elsewhere()] == []
    assert len(house.loose()) <= house.MOST_LOOSE


def test_the_house_can_be_printed() -> None:
    done = subprocess.run(
        [sys.executable, str(TOOLS / "house.py")], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout
    assert "imports that point up: none" in done.stdout


def test_the_package_itself_imports_only_for_type_checkers() -> None:
    tree = ast.parse(MODULES["bonafide"].read_text("utf-8"))
    eager = [node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)]
    names = {
        alias.name if isinstance(node, ast.Import) else str(node.module)
        for node in eager
        for alias in node.names
    }
    assert names <= {"__future__", "importlib", "typing"}


@pytest.mark.parametrize("module", MODULES)
def test_files_stay_short(module: str) -> None:
    lines = len(MODULES[module].read_text("utf-8").splitlines())
    assert lines <= house.LONGEST_FILE, f"{module} has {lines} lines; split it"


@pytest.mark.parametrize("module", MODULES)
def test_only_training_imports_torch(module: str) -> None:
    heavy = {name.split(".")[0] for name in imports(module)} & {"torch", "torchvision", "timm"}
    assert not heavy or module.startswith(("bonafide.train", "bonafide.cli")), (
        f"{module} imports {heavy}"
    )


@pytest.mark.parametrize("module", MODULES)
def test_nothing_imports_everything(module: str) -> None:
    assert not any(name.endswith(".*") for name in imports(module))


def test_the_reader_of_imports_sees_what_it_should(tmp_path: Path) -> None:
    file = tmp_path / "probe.py"
    file.write_text(
        "import bonafide.media.jpeg\n"
        "from bonafide import examine, __version__, Finding\n"
        "def late():\n    from bonafide.signals import acontrario\n"
    )
    MODULES["bonafide.detectors._probe"] = file
    try:
        found = internal("bonafide.detectors._probe")
    finally:
        del MODULES["bonafide.detectors._probe"]
    assert {"bonafide.media.jpeg", "bonafide.types", "bonafide.signals.acontrario"} <= found
