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
from bonafide.explain.check import REASONS
from bonafide.explain.words import where
from bonafide.files import atomic_write
from bonafide.report import explained, preview, provenance, templates, wording
from bonafide.report.chart import HEIGHT, WIDTH
from bonafide.report.film import MOST_FRAMES, film
from bonafide.report.sound import sound
from bonafide.report.stage import MOST_LAYERS, stage
from bonafide.types import ACCUSATIONS, WHOLE, Failure, Label, Report, Status

if TYPE_CHECKING:
    from jinja2.environment import TemplateModule

    from bonafide.media.media import Media

_THUMBNAIL = 96
_FAILED = "not_examined"


@dataclass(frozen=True)
class Entry:
    """One line of the index, read back from the attributes of a section."""

    id: str
    verdict: str
    label: str
    name: str
    reason: str
    thumbnail: str


def render_section(report: Report, media: Media | None, longest: int = preview.LONGEST) -> str:
    """Render everything about one file.

    Args:
        report: with its maps.
        media: the file, for its picture or its frames; None to show words and numbers alone.
        longest: bound on both sides of the picture shown, in pixels.

    Returns:
        One HTML `<section>`, for `write_html`.

    Raises:
        DecodeError: the picture's pixels are damaged.
    """
    verdict = report.verdict
    told = {reason.text for reason in verdict.because}
    told |= {wording.VERDICTS[verdict.label].meaning, verdict.caveat}
    told |= set(where(report.edits))
    if report.stability:
        told.add(report.stability.text)
    picture, strip, thumbnail = None, None, ""
    if media is not None and media.image is not None:
        picture = stage(report, media.image, longest)
        thumbnail = preview.picture(media.image.pixels, _THUMBNAIL).uri
    else:
        strip = film(report, media)
        if strip and strip.frames:
            thumbnail = strip.frames[strip.shown - 1].thumbnail
    section = _render(
        "section",
        report=report,
        id=_identifier(report.media.name, report.media.path, report.media.sha256),
        words=wording.VERDICTS[verdict.label],
        reason=wording.headline(report),
        sentences=[text for text in report.explanation if text not in told],
        answers=wording.answers(report),
        stage=picture,
        film=strip,
        sound=sound(report, media),
        thumbnail=thumbnail,
        events=provenance.timeline(report.findings),
        nothing_proved=provenance.NOTHING_PROVED,
        standings=provenance.STANDINGS,
        findings=wording.ordered(report),
        moved={reason.detector for reason in verdict.because},
        untested=wording.untested(report),
        mark=Markup(explained.MARK),
    )
    return section if report.explained is None else with_explained(section, report)


def with_explained(section: str, report: Report) -> str:
    """A section rendered before a model was asked, with what the model added.

    Args:
        section: from `render_section`.
        report: the same, with what was added.
    """
    if report.explained is None:
        return section
    id_ = _identifier(report.media.name, report.media.path, report.media.sha256)
    block = _render(
        "added",
        id=id_,
        added=report.explained,
        rows=explained.rows(report, section, id_),
        tells=explained,
        reasons=REASONS,
    )
    return explained.insert(section, block)


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
    return _asset("template.css") + _rules()


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


def _render(macro: str, **values: Any) -> str:
    return str(getattr(_template(), macro)(**values)).strip() + "\n"


@cache
def _template() -> TemplateModule:
    environment = templates.environment(Path(__file__).parent)
    ramp = [f"#{r:02x}{g:02x}{b:02x}" for r, g, b in preview.colours(9).tolist()]
    environment.globals.update(
        say=wording,
        OK=Status.OK,
        WHOLE=WHOLE,
        version=__version__,
        ramp=ramp,
        chart_width=WIDTH,
        chart_height=HEIGHT,
        labels=[(label.value, wording.VERDICTS[label].symbol) for label in Label],
        drawn_icons=set(re.findall(r'id="icon-(\w+)"', _asset("template.html"))),
        style=Markup(style()),
        script=Markup(script()),
        policy=policy(),
    )
    return environment.get_template("template.html").module


def _asset(name: str) -> str:
    return (Path(__file__).parent / name).read_text("utf-8").replace("\r\n", "\n")


def _rules() -> str:
    """What depends on the vocabulary: colours of accusations, and rules for each choice.

    Radio button n shows layer n and caption n, or frame n: choosing needs no script.
    """
    colours = {label: asked.colour for label, asked in ACCUSATIONS.items()}
    tones, pale = (
        "".join(f".tone-{name}{{--tone:{shade(colour)}}}" for name, colour in colours.items())
        for shade in (str, _pale)
    )
    dark = f"@media screen and (prefers-color-scheme:dark){{{pale}}}"
    layers = _chosen("data-choice", "data-layer", MOST_LAYERS + 1, "{display:revert}")
    frames = _chosen("data-shot", "data-frame", MOST_FRAMES + 1, "{display:revert}")
    points = _chosen("data-shot", "data-point", MOST_FRAMES + 1, " .dot{stroke:var(--now)}")
    hidden = [
        f"body:has(#show-{name}:checked) .{row}:not([data-verdict='{name}'])"
        for row in ("file", "entry")
        for name, _ in _kinds()
    ]
    return f"{tones}\n{dark}\n{layers}{frames}{points}{','.join(hidden)}{{display:none}}\n"


def _chosen(choice: str, shown: str, count: int, rule: str) -> str:
    selectors = (f".viewer:has([{choice}='{n}']:checked) [{shown}='{n}']" for n in range(count))
    own, _, body = rule.partition("{")
    return ",".join(f"{selector}{own}" for selector in selectors) + "{" + body + "\n"


def _pale(colour: str) -> str:
    """A CSS colour #rrggbb mixed with white, to be read on a dark page."""
    parts = (int(colour[at : at + 2], 16) for at in (1, 3, 5))
    return "#" + "".join(f"{round(0.45 * part + 0.55 * 255):02x}" for part in parts)
