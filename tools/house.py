"""Print the house: folders, loose modules, lines, floors, and what breaks their rules.

    python tools/house.py

Exit status 1 if a rule is broken: an import that points up or in a circle, more than eight loose
modules, a file of more than 400 lines, a detector's id outside its own file. The source is read,
nothing of it is imported.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "src" / "bonafide"
MOST_LOOSE = 8
LONGEST_FILE = 400  # lines

# Lowest first. A file may import from its own floor, in its own folder, and from those below.
FLOORS = (
    ("errors", "questions", "regions", "cards", "types", "files"),
    ("languages", "telemetry"),
    ("media",),
    ("trust",),
    ("signals",),
    ("networks", "cameras", "persons"),
    ("subjects",),
    ("detectors",),
    ("registry",),
    ("evidence",),
    ("explain",),
    ("examination", "comparison", "search"),
    ("report", "custody"),
    ("store",),
    ("batch", "testing"),
    ("server",),
    ("bench",),
    ("train",),
    ("cli",),
)
RANK = {name: rank for rank, names in enumerate(FLOORS) for name in names}
# Training methods and published networks have the id of the detector that they are for, and a
# degradation of `bench` happens to have the name of the detector that looks for it.
SPEAKS_OF_DETECTORS = ("train/", "networks/catalogue.py", "bench/degrade.py")


# A report shows itself in a notebook; the method that does so imports the page when it is called.
EXCEPTIONS = {("bonafide.types", "bonafide.report.notebook")}


def module_name(path: Path) -> str:
    """Dotted name of a file of the package."""
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES: dict[str, Path] = {module_name(path): path for path in sorted(PACKAGE.rglob("*.py"))}
INNER = [name for name in MODULES if name not in ("bonafide", "bonafide.__main__")]


def floor(module: str) -> str:
    """Folder or loose module that a module belongs to."""
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


def homes() -> Mapping[str, str]:
    """Public name → the file that defines it, as the package's own table says."""
    for node in ast.parse(MODULES["bonafide"].read_text("utf-8")).body:
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "_HOMES":
            table: dict[str, str] = ast.literal_eval(node.value)
            return table
    return {}


def internal(module: str) -> set[str]:
    """Files of the package that `module` imports."""
    result = set()
    public = homes()
    for name in imports(module):
        parts = name.split(".")
        if parts[0] != "bonafide":
            continue
        if len(parts) == 2 and name not in MODULES and parts[1] in public:
            name = f"bonafide.{public[parts[1]]}"
        if name in ("bonafide", "bonafide.__version__"):
            continue
        result.add(resolve(name))
    allowed = {target for source, target in EXCEPTIONS if source == module}
    return result - {module, "bonafide"} - allowed


def upward() -> Iterator[str]:
    """Imports that point to a floor above."""
    for module in INNER:
        if floor(module) not in RANK:
            yield f"{module}: {floor(module)!r} has no floor"
            continue
        for target in sorted(internal(module)):
            if RANK.get(floor(target), -1) > RANK[floor(module)]:
                yield f"{module} imports {target}, which is above it"


def circles() -> Iterator[str]:
    """Imports that end where they began."""
    edges = {module: internal(module) for module in INNER}
    done: set[str] = set()

    def visit(module: str, path: tuple[str, ...]) -> Iterator[str]:
        if module in path:
            yield " → ".join([*path[path.index(module) :], module])
            return
        if module not in done:
            for target in sorted(edges.get(module, ())):
                yield from visit(target, (*path, module))
            done.add(module)

    for module in edges:
        yield from visit(module, ())


def loose() -> list[str]:
    """Modules that lie in no folder."""
    return sorted(path.stem for path in PACKAGE.glob("*.py") if not path.stem.startswith("__"))


def long_files() -> Iterator[str]:
    """Files over the limit of lines."""
    for module, path in MODULES.items():
        lines = len(path.read_text("utf-8").splitlines())
        if lines > LONGEST_FILE:
            yield f"{module} has {lines} lines"


def detector_ids() -> dict[str, Path]:
    """Id → file of every built-in detector."""
    found = {path.stem: path for path in PACKAGE.glob("detectors/*/*.py")}
    return {name: path for name, path in found.items() if not name.startswith("_")}


def named_elsewhere() -> Iterator[str]:
    """Code outside a detector's file that names its id in a string, docstrings aside."""
    known = detector_ids()
    for module, path in MODULES.items():
        place = path.relative_to(PACKAGE).as_posix()
        if place.startswith(SPEAKS_OF_DETECTORS):
            continue
        tree = ast.parse(path.read_text("utf-8"))
        spoken = {
            id(node.body[0].value)
            for node in ast.walk(tree)
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)
            and node.body
            and isinstance(node.body[0], ast.Expr)
        }
        for node in ast.walk(tree):
            if not isinstance(node, ast.Constant) or id(node) in spoken:
                continue
            if isinstance(node.value, str) and node.value in known and known[node.value] != path:
                yield f"{module}:{node.lineno} names {node.value}"


def main() -> None:
    """Print everything."""
    print(f"{'folder':14} {'files':>5} {'lines':>6}  first line of its docstring")
    for folder in sorted(path for path in PACKAGE.iterdir() if (path / "__init__.py").exists()):
        files = list(folder.rglob("*.py"))
        lines = sum(len(path.read_text("utf-8").splitlines()) for path in files)
        said = ast.get_docstring(ast.parse((folder / "__init__.py").read_text("utf-8"))) or ""
        print(f"{folder.name:14} {len(files):5} {lines:6}  {said.splitlines()[0] if said else ''}")
    print(f"\nloose modules ({len(loose())} of at most {MOST_LOOSE}): {', '.join(loose())}")
    print("\nfloors, the highest first:")
    for rank in reversed(range(len(FLOORS))):
        there = [name for name in FLOORS[rank] if (PACKAGE / name).exists() or name in loose()]
        if there:
            print(f"  {rank:2}  {', '.join(there)}")
    broken = {
        "imports that point up": [*upward()],
        "imports in a circle": [*circles()],
        "too many loose modules": loose() if len(loose()) > MOST_LOOSE else [],
        "files that are too long": [*long_files()],
        "ids of detectors outside their file": [*named_elsewhere()],
    }
    print()
    for rule, cases in broken.items():
        print(f"{rule}: {len(cases) or 'none'}")
        for case in cases:
            print(f"  {case}")
    sys.exit(1 if any(broken.values()) else 0)


if __name__ == "__main__":
    main()
