"""The public names, and what importing costs."""

from __future__ import annotations

import ast
import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

import bonafide

HEAVY = (
    "numpy",
    "scipy",
    "cv2",
    "PIL",
    "av",
    "c2pa",
    "jpeglib",
    "onnxruntime",
    "torch",
    "skimage",
    "cryptography",
    "sqlalchemy",
    "jinja2",
)

PUBLIC = {
    "AudioTrack", "BonafideError", "Card", "Failure", "Finding", "Frame", "Image", "Kind", "Label",
    "Limits", "Media", "MediaError", "Needs", "Profile", "Question", "Reason", "Region", "Report",
    "Sampling", "Settings", "Status", "Verdict", "VideoTrack", "__version__", "examine",
    "open_media", "to_dict",
}  # fmt: skip


def loaded_after(code: str) -> set[str]:
    """Top-level packages that a fresh interpreter has loaded after running `code`."""
    script = f"import sys\n{code}\nprint(*{{name.split('.')[0] for name in sys.modules}})"
    result = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True
    )
    return set(result.stdout.split("\n")[-2].split())


def exists(module: str) -> bool:
    return importlib.util.find_spec(module) is not None


def test_importing_bonafide_loads_nothing_heavy() -> None:
    loaded = loaded_after("import bonafide")
    # Cards are read, so that those that pool frames are listed; what they compute with is not.
    assert not loaded & ({*HEAVY, "rich", "click"} - {"numpy", "PIL"})


def test_the_registry_lists_detectors_without_loading_them() -> None:
    loaded = loaded_after("from bonafide import registry\nassert registry.ids()")
    # Cards are read, so that those that pool frames are listed; what they compute with is not.
    assert not loaded & ({*HEAVY, "rich", "click"} - {"numpy", "PIL"})


@pytest.mark.skipif(not exists("bonafide.cli.main"), reason="there is no command line yet")
def test_help_loads_nothing_heavy() -> None:
    code = (
        "sys.argv = ['bonafide', '--help']\n"
        "from bonafide.cli.main import main\n"
        "try:\n    main()\nexcept SystemExit as end:\n    assert not end.code\n"
    )
    assert not loaded_after(code) & set(HEAVY)


@pytest.mark.skipif(not exists("bonafide.cli.main"), reason="there is no command line yet")
def test_the_command_line_starts_as_a_module() -> None:
    result = subprocess.run(
        [sys.executable, "-m", "bonafide.cli.main", "--help"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    assert "Usage" in result.stdout


def test_public_names_are_exactly_these() -> None:
    assert set(bonafide.__all__) == PUBLIC
    assert list(bonafide.__all__) == sorted(bonafide.__all__)
    assert dir(bonafide) == sorted(bonafide.__all__)
    assert set(bonafide._HOMES) == PUBLIC - {"__version__"}


@pytest.mark.parametrize("name", sorted(PUBLIC))
def test_public_name_resolves(name: str) -> None:
    home = bonafide._HOMES.get(name, "types")
    if not exists(f"bonafide.{home}"):
        pytest.skip(f"bonafide.{home} is not written yet")
    # A fresh interpreter, since what was imported before must not matter here.
    loaded_after(
        f"import bonafide\nvalue = bonafide.{name}\n"
        f"assert value is bonafide.{name}\nassert not isinstance(value, type(sys)), value\n"
    )


def test_no_module_has_the_name_of_a_public_function() -> None:
    # Importing a submodule binds its name in the package, over a function of the same name.
    modules = {path.stem for path in Path(bonafide.__file__).parent.iterdir()}
    assert not modules & set(bonafide.__all__)
    loaded_after("import bonafide\nbonafide.Settings\nassert callable(bonafide.examine)\n")


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = bonafide.nonsense


def test_type_checkers_see_every_public_name() -> None:
    tree = ast.parse(Path(bonafide.__file__).read_text("utf-8"))
    seen = {
        alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("bonafide.")
        for alias in node.names
    }
    assert seen == PUBLIC - {"__version__"}
