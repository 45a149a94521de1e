"""What is written is true: commands run, links lead somewhere, nothing is left undocumented."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from importlib import import_module
from pathlib import Path
from urllib.parse import unquote, urlsplit

import click
import numpy as np
import pytest
from PIL import Image as Pillow
from skimage import data

from bonafide import registry
from bonafide.cli.main import bonafide as command
from bonafide.cli.verbs import SECTIONS
from bonafide.types import Label

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
EXECUTED = ("README.md", "docs/command-line.md", "docs/bench.md", "docs/train.md")
PYTHON = ("README.md", "docs/python.md")


def read(name: str) -> str:
    return (ROOT / name).read_text("utf-8")


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


def commands() -> list[str]:
    """Every command of the pages that are executed, each once."""
    lines = [line for name in EXECUTED for block in blocks(read(name), "sh")
             for line in block.splitlines()]  # fmt: skip
    told = [line.split("  #")[0].strip() for line in lines if line.startswith("bonafide ")]
    return list(dict.fromkeys(told))


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
    origins = [f"{row},{'origin' if number == 0 else number}" for number, row in enumerate(rows)]
    (folder / "sources.csv").write_text("\n".join(origins))
    (folder / "npr").mkdir()
    told = "method: npr\ndata: ../manifest.csv\nset: {steps: 2, batch: 4}\n"
    (folder / "npr" / "run.yaml").write_text(told)
    return folder


def environment(folder: Path) -> dict[str, str]:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return {**os.environ, "PATH": path, "BONAFIDE_STORE": str(folder / "store.db")}


@pytest.mark.parametrize("line", commands())
def test_a_written_command_runs(line: str, workplace: Path) -> None:
    if line.startswith(("bonafide serve", "bonafide demo")):  # tests of their own run these
        line += " --help"  # which refuses unknown options, and ends
    done = subprocess.run(
        line,
        shell=True,
        cwd=workplace,
        env=environment(workplace),
        capture_output=True,
        timeout=300,
        check=False,
    )
    assert done.returncode in ((0, 3) if "--fail-on" in line else (0,)), done.stderr.decode()


@pytest.mark.parametrize(
    "example", [block for name in PYTHON for block in blocks(read(name), "python")]
)
def test_written_python_runs(example: str, workplace: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", example],
        cwd=workplace,
        capture_output=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()


def test_every_detector_verdict_and_verb_is_documented() -> None:
    for detector in registry.ids():
        assert f"`{detector}`" in read("docs/detectors.md"), detector
    for label in Label:
        assert f"`{label}`" in read("docs/verdicts.md"), label
    for verb in command.commands:
        assert f"`{verb}`" in read("docs/command-line.md"), verb


def test_the_readme_shows_three_ways_in_before_anything_else() -> None:
    first, ways, *_ = read("README.md").split("\n## ")
    assert first.count("](docs/pictures/") == 2
    assert len([line for line in first.splitlines() if line[:1].isalpha()]) == 4
    assert ways.startswith("Three ways in")
    assert ways.count("```sh") == 3 and "bonafide serve" in ways


def test_links_of_files_lead_somewhere() -> None:
    for document in (*ROOT.glob("*.md"), *DOCS.glob("*.md"), *DOCS.glob("decisions/*.md")):
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", document.read_text("utf-8")):
            assert (document.parent / target).exists(), f"{document.name} links to {target}"


def test_pictures_are_small_and_the_only_ones() -> None:
    pictures = sorted(DOCS.rglob("*.png"))
    assert [path.name for path in pictures] == ["report.png", "terminal.png"]
    assert all(path.stat().st_size < 200_000 for path in pictures)


def loaded(verb: click.Command) -> click.Command:
    """The verb itself, where it is imported when it is asked for."""
    module = getattr(verb, "module", None)
    return verb if module is None else getattr(import_module(module), str(verb.name))


def verbs(group: click.Group, name: str = "bonafide") -> Iterator[tuple[str, click.Command]]:
    for verb in map(loaded, group.commands.values()):
        yield f"{name} {verb.name}", verb
        if isinstance(verb, click.Group):
            yield from verbs(verb, f"{name} {verb.name}")


def test_every_option_explains_itself() -> None:
    for name, verb in verbs(command):
        assert verb.help, name
        for parameter in verb.params:
            if isinstance(parameter, click.Option):
                assert parameter.help, f"{name} {parameter.opts}"


def test_every_verb_has_its_section_in_the_help() -> None:
    assert {name for verbs in SECTIONS.values() for name in verbs} == set(command.commands)


def test_bonafide_alone_says_what_to_type() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "bonafide"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2 and not done.stdout
    lines = done.stderr.splitlines()
    assert len(lines) == 3 and all(line.startswith("bonafide ") for line in lines)


def test_decisions_have_their_three_parts() -> None:
    pages = sorted((DOCS / "decisions").glob("*.md"))
    assert pages
    for page in pages:
        for part in ("**Context.**", "**Choice.**", "**Cost.**"):
            assert part in page.read_text("utf-8"), f"{page.name} lacks {part}"


# ---- the site ----


class Page(HTMLParser):
    """Anchors of a page, where it links to, and what it loads."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.anchors: set[str] = set()
        self.links: list[str] = []
        self.loads: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if "id" in given:
            self.anchors.add(given["id"])
        if tag == "a" and "href" in given:
            self.links.append(given["href"])
        elif tag == "link" and given.get("rel") not in ("canonical", "prev", "next"):
            self.loads.append(given.get("href", ""))
        elif "src" in given:
            self.loads.append(given["src"])
        self.loads += re.findall(r"url\(([^)]+)\)", given.get("style", ""))


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Page]:
    """The site by address, built in a folder of its own."""
    pytest.importorskip("mkdocs")
    pytest.importorskip("material")
    tree = tmp_path_factory.mktemp("site")
    written = shutil.ignore_patterns("detectors", "reference")
    shutil.copytree(DOCS, tree / "docs", ignore=written)
    (tree / "tools").mkdir()
    for name in ("tools/docs.py", "mkdocs.yml", "MODELS.md", "CHANGELOG.md"):
        shutil.copy(ROOT / name, tree / name)
    build = [sys.executable, "-m", "mkdocs", "build", "--quiet", "--strict"]
    for step in ([sys.executable, "tools/docs.py"], build):
        done = subprocess.run(
            step,
            cwd=tree,
            env={**os.environ, "PYTHONPATH": str(ROOT / "src"), "NO_MKDOCS_2_WARNING": "1"},
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
    root = tree / "site"
    pages = {str(path.relative_to(root)): Page(path.read_text("utf-8"))
             for path in root.rglob("*.html")}  # fmt: skip
    others = {str(path.relative_to(root)): Page("") for path in root.rglob("*") if path.is_file()}
    for path in root.rglob("*.css"):
        style = path.read_text("utf-8")
        others[str(path.relative_to(root))].loads = re.findall(r"url\(([^)]+)\)", style)
        others[str(path.relative_to(root))].loads += re.findall(r"@import\s+([^;]+)", style)
    return {**others, **pages}


def test_the_site_has_a_page_per_detector_and_decision(site: dict[str, Page]) -> None:
    for detector in registry.ids():
        assert "." in detector or f"detectors/{detector}.html" in site
    for decision in (DOCS / "decisions").glob("*.md"):
        assert f"decisions/{decision.stem}.html" in site
    start = site["index.html"]
    assert f"detectors/{registry.ids()[0]}.html" in start.links
    assert {"pictures/report.png", "pictures/terminal.png"} <= {*start.loads}


def test_links_and_anchors_of_the_site_lead_somewhere(site: dict[str, Page]) -> None:
    wrong = []
    for place, page in site.items():
        if place == "404.html":  # is shown at any address, so its links begin at the root
            continue
        for link in page.links + page.loads:
            parts = urlsplit(link.strip("'\" "))
            if parts.scheme or parts.netloc:
                continue
            target = os.path.normpath(Path(place).parent / unquote(parts.path))
            target = place if not parts.path else target
            target = f"{target}/index.html" if f"{target}/index.html" in site else target
            target = "index.html" if target == "." else target
            if target not in site:
                wrong.append(f"{place}: {link}")
            anchor = unquote(parts.fragment)
            if target in site and anchor and not anchor.startswith("__"):
                wrong += [] if anchor in site[target].anchors else [f"{place}: {link} (anchor)"]
    assert not wrong


def test_no_page_loads_anything_from_another_host(site: dict[str, Page]) -> None:
    for place, page in site.items():
        for address in page.loads:
            parts = urlsplit(address.strip("'\" "))
            assert parts.scheme in ("", "data"), f"{place} loads {address}"
            assert not parts.netloc, f"{place} loads {address}"
