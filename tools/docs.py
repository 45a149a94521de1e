"""Write the pages of the documentation that are made from code, before mkdocs builds the site.

    python tools/docs.py          # into docs/detectors and docs/reference, which git ignores

One page per detector from its card and docstring, the options of every verb, the public names, the
keys of the report schema, and copies of MODELS.md and CHANGELOG.md. mkdocs loads this file as a
hook as well: `on_config` adds the detectors and the decisions to the navigation.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
_PROFILE = {
    "triage": "every profile",
    "standard": "`standard`, `thorough`",
    "thorough": "`thorough`",
}


def main() -> None:
    """Write all pages, and remove those of detectors that are gone."""
    pages = {f"detectors/{name}.md": text for name, text in detectors()}
    pages["reference/options.md"] = options()
    pages["reference/names.md"] = names()
    pages["reference/schema.md"] = schema()
    for name in ("MODELS", "CHANGELOG"):
        pages[f"reference/{name.lower()}.md"] = moved((ROOT / f"{name}.md").read_text("utf-8"))
    for folder in ("detectors", "reference"):
        (DOCS / folder).mkdir(parents=True, exist_ok=True)
        for old in (DOCS / folder).glob("*.md"):
            if f"{folder}/{old.name}" not in pages:
                old.unlink()
    for place, text in pages.items():
        (DOCS / place).write_text(f"{text.rstrip()}\n", "utf-8")


def on_config(config: Any) -> Any:
    """Called by mkdocs: add one entry per detector and per decision to the navigation."""
    cards = [{path.stem: f"detectors/{path.name}"} for path in sorted(DOCS.glob("detectors/*.md"))]
    decisions = [
        {_heading(path): f"decisions/{path.name}"} for path in sorted(DOCS.glob("decisions/*.md"))
    ]
    config.nav = [*config.nav, {"Cards of detectors": cards}, {"Decisions": decisions}]
    return config


def detectors() -> Iterator[tuple[str, str]]:
    """Id and page of every detector that is a file, in alphabetical order."""
    import inspect

    from bonafide import registry

    for detector in registry.usable():
        if "." in detector:  # the same detector, asked about frames
            continue
        card = registry.card(detector)
        docstring = inspect.cleandoc(registry.module(detector).__doc__ or "")
        first, _, rest = docstring.partition("\n")
        rows = {
            "id, version": f"`{card.id}` {card.version}",
            "question": card.question.words,
            "reads": ", ".join(kind.value for kind in card.kinds),
            "needs": _needs(card.needs),
            "runs in": _PROFILE[card.profile.value],
            "frames of videos": f"pooled by their {card.pool}" if card.pool else "not asked",
            "erased by": ", ".join(card.erased_by) or "–",
            "trained on": card.training_data,
            "paper": card.paper,
            "licence": card.licence,
        }
        facts = _table(("fact", "meaning"), ((f"`{k}`", v) for k, v in card.facts.items()))
        parts = [
            f"# {card.title}",
            _text(first),
            _table(("property", "value"), rows.items()),
            _sections(rest),
            f"## Measured limits\n\n{_text(card.limits)}",
            f"## Facts that it reports\n\n{facts}" if card.facts else "",
        ]
        yield detector, "\n\n".join(part for part in parts if part)


def options() -> str:
    """Usage, text and options of every verb."""
    import click

    from bonafide.cli.main import bonafide

    lines = [
        "# Options",
        "Every verb with its options, as `bonafide VERB --help` prints them.",
    ]

    def add(command: click.Command, name: str, level: int, parent: click.Context | None) -> None:
        # Verbs of other files are imported when they are made.
        ctx = command.make_context(name.rpartition(" ")[2], [], parent, resilient_parsing=True)
        found = ctx.command
        ctx.info_name = name if parent is None else name.rpartition(" ")[2]
        if name != "bonafide":
            lines.append(f"{'#' * level} {name}")
            lines.append(f"```text\n{found.get_help(ctx)}\n```")
        if isinstance(found, click.Group):
            for verb in found.list_commands(ctx):
                below = found.get_command(ctx, verb)
                assert below is not None
                add(below, f"{name} {verb}", min(level + (name != "bonafide"), 3), ctx)

    add(bonafide, "bonafide", 2, None)
    return "\n\n".join(lines)


def names() -> str:
    """The public names and what their docstrings begin with."""
    import bonafide

    rows = []
    for name in sorted(bonafide.__all__):
        value = getattr(bonafide, name)
        known = (getattr(value, "__doc__", None) or "").strip()
        text = "the version" if name == "__version__" else known.split("\n\n")[0]
        rows.append((f"`bonafide.{name}`", " ".join(text.split())))
    return f"# Public names\n\nSee [Python](../python.md).\n\n{_table(('name', 'what'), rows)}"


def schema() -> str:
    """The keys of a report, from its JSON schema."""
    whole = json.loads((DOCS / "report.schema.json").read_text("utf-8"))
    parts = [
        "# Report schema",
        _text(whole.get("description", "")),
        "The schema itself: [report.schema.json](../report.schema.json). Others: "
        + ", ".join(
            f"[{path.name}](../{path.name})"
            for path in sorted(DOCS.glob("*.schema*.json"))
            if path.name != "report.schema.json"
        )
        + ".",
    ]
    for name, found in whole["$defs"].items():
        rows = list(_keys(found))
        told = _text(found.get("description", "")) or ("" if rows else _kind(found))
        parts.append(f"## {name}\n\n{told}".rstrip())
        if rows:
            parts.append(_table(("key", "type", "meaning"), rows))
    return "\n\n".join(parts)


def moved(text: str) -> str:
    """A Markdown file of the repository's root, with links that work from docs/reference."""
    text = re.sub(r"\]\(docs/([^)]+)\)", r"](../\1)", text)
    text = re.sub(r"\]\((MODELS|CHANGELOG)\.md", lambda m: f"]({m[1].lower()}.md", text)
    return re.sub(r"\[([^]]+)\]\(CONTRIBUTING\.md[^)]*\)", r"\1", text)


def _keys(found: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str, str]]:
    """Key, type and meaning of the properties of an object, those inside of them included."""
    for key, value in found.get("properties", {}).items():
        yield f"`{prefix}{key}`", _kind(value), _text(value.get("description", ""))
        inner = value.get("items", value)
        mark = "[]." if "items" in value else "."
        yield from _keys(inner, f"{prefix}{key}{mark}")


def _kind(value: Mapping[str, Any]) -> str:
    if "$ref" in value:
        return f"[{value['$ref'].rpartition('/')[2]}](#{value['$ref'].rpartition('/')[2].lower()})"
    if "const" in value:
        return f"`{json.dumps(value['const'])}`"
    if "enum" in value:
        return ", ".join(f"`{json.dumps(one)}`" for one in value["enum"])
    for key in ("oneOf", "anyOf"):
        if key in value:
            return " or ".join(_kind(one) for one in value[key])
    kinds = value.get("type", "any")
    text = kinds if isinstance(kinds, str) else " or ".join(kinds)
    return f"{text} of {_kind(value['items'])}" if value.get("items") else text


def _sections(docstring: str) -> str:
    """The fixed headings of a detector's docstring as Markdown."""
    parts: list[str] = []
    for line in docstring.splitlines():
        if line and not line[0].isspace():
            parts.append(f"## {line}\n")
        else:
            parts.append(_text(line.removeprefix("    ")))
    return "\n".join(parts).strip()


def _needs(needs: Any) -> str:
    told = [
        "a JPEG file" if needs.jpeg else "",
        f"{needs.min_side} pixels on each side" if needs.min_side > 1 else "",
        f"{needs.min_faces} faces" if needs.min_faces else "",
        f"{needs.min_seconds:g} seconds" if needs.min_seconds else "",
    ]
    return ", ".join(filter(None, told)) or "–"


def _table(head: tuple[str, ...], rows: Any) -> str:
    lines = [head, ("---",) * len(head), *rows]
    return "\n".join(f"| {' | '.join(_cell(cell) for cell in row)} |" for row in lines)


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "\\|").split())


def _text(text: str) -> str:
    """Plain text as Markdown: what would be read as HTML is escaped, code stays code."""
    parts = re.split(r"(`[^`]*`)", text)
    return "".join(
        part if part.startswith("`") else re.sub(r"([<>*_\[\]])", r"\\\1", part) for part in parts
    )


def _heading(path: Path) -> str:
    """The first heading of a page, without its mark."""
    return path.read_text("utf-8").splitlines()[0].lstrip("# ").strip()


if __name__ == "__main__":
    sys.exit(main())
