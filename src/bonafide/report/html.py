"""One self-contained page: no request leaves it, no text from a file can act in it.

A section is rendered where its media are at hand (in a worker process) and is a plain string;
`write_html` strings sections together on disk, so that memory stays flat over many files.
Everything is escaped by the template, unsafe characters are shown by their code, and a
Content-Security-Policy allows just the page's own style and script, by their hash.
"""

from __future__ import annotations

import hashlib
import html
import os
import re
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from bonafide import __version__
from bonafide.explain.words import where
from bonafide.files import atomic_write
from bonafide.media.image import Image
from bonafide.report import preview, provenance, regions, templates, wording
from bonafide.types import Edits, Failure, Finding, Label, Media, Region, Report, Status

if TYPE_CHECKING:
    from jinja2.environment import TemplateModule

MOST_LAYERS = 60  # of one picture; the style sheet has one rule for each
_THUMBNAIL = 96
_SMALL = 400  # a picture below this many pixels is shown enlarged, pixel by pixel
_FAILED = "not_examined"
_UNMARKED = "Nothing on this map reaches the level that counts as marked."


@dataclass(frozen=True)
class Layer:
    """What can be laid over the picture; sizes are those of the full picture.

    Attributes:
        detector: whose it is, "" for all of them together.
        title, text: its heading and caption.
        uri: the map, "" for none.
        boxes: rectangles.
        paths: outlines and arrows.
        arrows: whether there are arrows among them.
    """

    detector: str
    title: str
    text: str
    uri: str
    boxes: tuple[Region, ...]
    paths: tuple[str, ...]
    arrows: bool


@dataclass(frozen=True)
class Stage:
    """The picture and what can be laid over it."""

    uri: str
    width: int
    height: int
    preview_width: int
    preview_height: int
    shown_width: int
    layers: tuple[Layer, ...]
    chosen: int
    regions: tuple[regions.Shown, ...]


@dataclass(frozen=True)
class Entry:
    """One line of the index, read back from the attributes of a section."""

    id: str
    verdict: str
    label: str
    name: str
    reason: str
    thumbnail: str


def render_section(report: Report, media: Media, longest: int = preview.LONGEST) -> str:
    """Render everything about one file.

    Args:
        report: with its heatmaps.
        media: the file; a decodable `Image` is shown, of anything else only words.
        longest: bound on both sides of the picture shown, in pixels.

    Returns:
        One HTML `<section>`, for `write_html`.

    Raises:
        DecodeError: the picture's pixels are damaged.
    """
    because = report.verdict.because
    said = {reason.text for reason in because}
    said |= {wording.VERDICTS[report.verdict.label].meaning, report.verdict.caveat}
    said |= set(where(report.edits))
    if report.stability:
        said.add(report.stability.text)
    stage, thumbnail = None, ""
    if isinstance(media, Image):
        stage = _stage(report, media, longest)
        thumbnail = preview.picture(media.pixels, _THUMBNAIL).uri
    return _render(
        "section",
        report=report,
        id=_identifier(report.media.name, report.media.path, report.media.sha256),
        words=wording.VERDICTS[report.verdict.label],
        reason=wording.headline(report),
        sentences=[text for text in report.explanation if text not in said],
        questions=_questions(report),
        stage=stage,
        thumbnail=thumbnail,
        events=provenance.timeline(report.findings),
        nothing_proved=provenance.NOTHING_PROVED,
        findings=wording.ordered(report),
        moved={reason.detector for reason in because},
        untested=wording.untested(report),
    )


def render_failure(failure: Failure) -> str:
    """Render what is known about a file that could not be examined, for `write_html`."""
    return _render(
        "failure",
        failure=failure,
        id=_identifier(failure.name, failure.path, failure.sha256 or ""),
        words=wording.FAILURE,
        verdict=_FAILED,
    )


def write_html(path: str | os.PathLike[str], sections: Iterable[str], title: str) -> Path:
    """Write sections to one page, with an index when there is more than one.

    The page replaces `path` only when it is complete.

    Args:
        path: of the page.
        sections: from `render_section` and `render_failure`; consumed one at a time.
        title: shown above and in the window's title.

    Returns:
        The path written.

    Raises:
        OSError: the page cannot be written.
    """
    target = Path(path)
    entries: list[Entry] = []
    with tempfile.TemporaryFile("w+", encoding="utf-8", newline="\n") as body:
        for section in _unique(sections):
            entries.append(_entry(section))
            body.write(section)
        body.seek(0)
        with atomic_write(target) as draft, draft.open("w", encoding="utf-8", newline="\n") as page:
            page.write(_head(title, entries))
            while piece := body.read(1 << 20):
                page.write(piece)
            page.write(_render("tail"))
    return target


def page_of(section: str, title: str) -> str:
    """The page that `write_html` would write for one section."""
    return _head(title, [_entry(section)]) + section + _render("tail")


def _head(title: str, entries: Sequence[Entry]) -> str:
    counts = Counter(entry.verdict for entry in entries)
    kinds = [(name, label, counts[name]) for name, label in _kinds() if counts[name]]
    return _render("head", title=title, entries=entries, kinds=kinds)


@cache
def style() -> str:
    """The style sheet of the page, for whoever shows sections in a page of their own."""
    return _asset("template.css") + _layer_rules()


@cache
def script() -> str:
    """The script of the page; sections are whole without it."""
    return _asset("template.js")


def policy() -> str:
    """The content security policy under which the page works."""
    return templates.policy(style(), script())


def sprite() -> str:
    """The symbols and colours that sections refer to; once per page."""
    return _render("sprite")


def _kinds() -> list[tuple[str, str]]:
    kinds = [(label.value, wording.VERDICTS[label].name) for label in Label]
    return [*kinds, (_FAILED, wording.FAILURE.name)]


def _identifier(name: str, path: str | None, sha256: str) -> str:
    text = "\0".join((path or "", name, sha256))
    return "f-" + hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def _unique(sections: Iterable[str]) -> Iterator[str]:
    # The same file given twice must not share anchors and groups of buttons.
    seen: Counter[str] = Counter()
    for section in sections:
        found = re.search(r'<section id="(f-[0-9a-f]{16})"', section)
        if not found:
            raise ValueError("not a section made by render_section or render_failure")
        name = found.group(1)
        seen[name] += 1
        yield section if seen[name] == 1 else section.replace(name, f"{name}-{seen[name]}")


def _entry(section: str) -> Entry:
    # The opening tag is ours and escaped, so that no attribute can hold a quote or a bracket.
    opening = re.search(r"<section[^>]*>", section)
    assert opening is not None
    values = dict(re.findall(r'([\w-]+)="([^"]*)"', opening.group()))
    return Entry(
        values["id"],
        *(
            html.unescape(values[f"data-{name}"])
            for name in ("verdict", "label", "name", "reason", "thumbnail")
        ),
    )


def _questions(report: Report) -> list[tuple[str, float | None]]:
    asked = report.verdict.probabilities
    return [(wording.question(question), asked.get(question)) for question in wording.asked(report)]


def _stage(report: Report, media: Image, longest: int) -> Stage:
    shown = preview.picture(media.pixels, longest)
    layers = [] if report.edits is None else [_fused(report.edits, media, longest)]
    layers += [
        _layer(finding, media, longest)
        for finding in wording.ordered(report)[:MOST_LAYERS]
        if finding.heatmap is not None or finding.regions
    ]
    del layers[MOST_LAYERS:]
    moved = [reason.detector for reason in report.verdict.because if (reason.llr or 1.0) > 0]
    moved += [""] if report.edits and report.edits.regions else []
    chosen = next((n for n, layer in enumerate(layers, 1) if layer.detector in moved), 0)
    enlarge = max(1, _SMALL // max(shown.width, shown.height))
    return Stage(
        shown.uri,
        media.width,
        media.height,
        shown.width,
        shown.height,
        shown.width * enlarge,
        tuple(layers),
        chosen,
        regions.shown(report.edits, media.pixels) if report.edits else (),
    )


def _layer(finding: Finding, media: Image, longest: int) -> Layer:
    arrows = tuple(_arrows(finding.regions[:20], max(media.width, media.height)))
    return Layer(
        finding.detector,
        wording.title(finding.detector),
        finding.summary + (f" {_UNMARKED}" if _empty(finding) else ""),
        "" if finding.heatmap is None else preview.overlay(finding.heatmap, longest).uri,
        finding.regions[:20],
        arrows,
        bool(arrows),
    )


def _fused(edits: Edits, media: Image, longest: int) -> Layer:
    """All maps together, the answer to where it was changed."""
    uri = outline = ""
    if edits.heatmap is not None:
        uri = preview.overlay(edits.heatmap, longest).uri
        outline = regions.outlines(edits.heatmap, longest)
    count = len(edits.regions)
    said = f"{count} marked region{'s' if count > 1 else ''}." if count else _UNMARKED
    pairs = regions.arrows(edits)
    arrows = tuple(_arrows(pairs, max(media.width, media.height)))
    sources = tuple(region for region in pairs if region.role == "source")
    text = f"Every map that counts here, weighed and joined. {said}"
    paths = tuple(filter(None, (outline, *arrows)))
    return Layer("", "All maps together", text, uri, sources, paths, bool(arrows))


def _empty(finding: Finding) -> bool:
    """Whether a map that votes marks no pixel; a map for the eye alone has no mark to reach."""
    heatmap = finding.heatmap
    if finding.regions or finding.score is None or heatmap is None:
        return False
    return not bool((heatmap >= preview.MARKED).any())


def _arrows(regions: tuple[Region, ...], side: int) -> Iterator[str]:
    """SVG path data from each copy-move source to its target, with a head."""
    sources = {region.pair: region for region in regions if region.role == "source"}
    for target in regions:
        source = sources.get(target.pair)
        if target.role != "target" or target.pair < 0 or source is None:
            continue
        x0, y0 = source.x + source.width / 2, source.y + source.height / 2
        x1, y1 = target.x + target.width / 2, target.y + target.height / 2
        length = ((x1 - x0) ** 2 + (y1 - y0) ** 2) ** 0.5
        if length < 1:
            continue
        head = min(0.025 * side, length / 2)
        ux, uy = (x1 - x0) / length * head, (y1 - y0) / length * head
        wings = [
            (x1 - ux - 0.6 * uy, y1 - uy + 0.6 * ux),
            (x1 - ux + 0.6 * uy, y1 - uy - 0.6 * ux),
        ]
        (ax, ay), (bx, by) = wings
        tip = f"L{x1:.1f} {y1:.1f}"
        yield f"M{x0:.1f} {y0:.1f}{tip}M{ax:.1f} {ay:.1f}{tip}L{bx:.1f} {by:.1f}"


def _render(macro: str, **values: Any) -> str:
    return str(getattr(_template(), macro)(**values)).strip() + "\n"


@cache
def _template() -> TemplateModule:
    environment = templates.environment(Path(__file__).parent)
    ramp = [f"#{r:02x}{g:02x}{b:02x}" for r, g, b in preview.colours(9).tolist()]
    environment.globals.update(
        say=wording,
        OK=Status.OK,
        version=__version__,
        ramp=ramp,
        style=Markup(style()),
        script=Markup(script()),
        policy=policy(),
    )
    return environment.get_template("template.html").module


def _asset(name: str) -> str:
    return (Path(__file__).parent / name).read_text("utf-8").replace("\r\n", "\n")


def _layer_rules() -> str:
    """Radio button n shows layer n and caption n: choosing a map needs no script."""
    numbers = range(MOST_LAYERS + 1)
    shown = ",".join(
        f".viewer:has([data-choice='{n}']:checked) [data-layer='{n}']" for n in numbers
    )
    hidden = [
        f"body:has(#show-{name}:checked) .file:not([data-verdict='{name}'])" for name, _ in _kinds()
    ]
    rows = [
        f"body:has(#show-{name}:checked) .entry:not([data-verdict='{name}'])"
        for name, _ in _kinds()
    ]
    return f"{shown}{{display:revert}}\n{','.join(hidden + rows)}{{display:none}}\n"
