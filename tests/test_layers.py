"""Imports point down only; the source is read, nothing is imported."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import bonafide

PACKAGE = Path(bonafide.__file__).parent
LONGEST_FILE = 400  # lines

# Lowest first. A file may import from its own floor (in its own folder) and from those below.
FLOORS = (
    ("types", "regions", "questions", "errors", "files"),
    ("media",),
    ("signals",),
    ("networks",),
    ("subjects",),
    ("detectors",),
    ("registry",),
    ("evidence",),
    ("explain",),
    ("examination", "comparison"),
    ("report", "custody"),
    ("store", "workers"),
    ("batch", "server", "testing"),
    ("bench",),
    ("train",),
    ("cli",),
)
RANK = {name: rank for rank, names in enumerate(FLOORS) for name in names}


def module_name(path: Path) -> str:
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_name(path): path for path in sorted(PACKAGE.rglob("*.py"))}


def floor(module: str) -> str:
    return module.split(".")[1]


def resolve(module: str) -> str:
    """The longest prefix of `module` that is a file of the package."""
    while module not in MODULES:
        module = module.rpartition(".")[0]
    return module


def imports(module: str) -> list[str]:
    """Absolute names that `module` imports, also inside functions and under TYPE_CHECKING."""
    package = module if MODULES[module].name == "__init__.py" else module.rpartition(".")[0]
    found = []
    for node in ast.walk(ast.parse(MODULES[module].read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                above = package.split(".")[: len(package.split(".")) - node.level + 1]
                base = ".".join([*above, *filter(None, [base])])
            found += [f"{base}.{alias.name}" for alias in node.names]
    return found


def internal(module: str) -> set[str]:
    """Files of the package that `module` imports."""
    result = set()
    for name in imports(module):
        if name.split(".")[0] != "bonafide":
            continue
        parts = name.split(".")
        # A public name taken from the package itself comes from the file that defines it.
        if len(parts) == 2 and name not in MODULES and parts[1] in bonafide._HOMES:
            name = f"bonafide.{bonafide._HOMES[parts[1]]}"
        if name in ("bonafide", "bonafide.__version__"):
            continue
        result.add(resolve(name))
    return result - {module, "bonafide"}


INNER = [module for module in MODULES if module not in ("bonafide", "bonafide.__main__")]


@pytest.mark.parametrize("module", INNER)
def test_every_file_has_a_floor(module: str) -> None:
    assert floor(module) in RANK, f"add {floor(module)!r} to FLOORS of this test, where it belongs"


@pytest.mark.parametrize("module", INNER)
def test_imports_point_down(module: str) -> None:
    for target in internal(module):
        upward = RANK[floor(target)] > RANK[floor(module)]
        assert not upward, f"{module} imports {target}, which is above it"


def test_vocabulary_stands_alone() -> None:
    assert internal("bonafide.types") == {"bonafide.regions"}
    assert internal("bonafide.regions") == set()
    assert internal("bonafide.errors") == set()


def test_registry_names_no_detector() -> None:
    assert internal("bonafide.registry") <= {"bonafide.types", "bonafide.errors"}


@pytest.mark.parametrize("module", [m for m in INNER if m.startswith("bonafide.detectors.")])
def test_detectors_do_not_import_each_other(module: str) -> None:
    others = {target for target in internal(module) if target.startswith("bonafide.detectors.")}
    assert not others, f"{module} imports {others}; shared maths belongs in bonafide.signals"
    assert floor(module) == "detectors"


def test_nothing_imports_in_a_circle() -> None:
    edges = {module: internal(module) for module in INNER}
    done: set[str] = set()

    def visit(module: str, path: tuple[str, ...]) -> None:
        assert module not in path, " → ".join([*path[path.index(module) :], module])
        if module not in done:
            for target in sorted(edges.get(module, ())):
                visit(target, (*path, module))
            done.add(module)

    for module in edges:
        visit(module, ())


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
    assert lines <= LONGEST_FILE, f"{module} has {lines} lines; split it"


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
