"""What a model added to an explanation, for the page; and the pictures that may be sent to one.

A section is rendered where the file is at hand, often before a model was asked. It holds a mark,
and `insert` puts the block in its place.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

from markupsafe import Markup

from bonafide.explain.citable import Citable, citables
from bonafide.explain.sending import Picture, Share
from bonafide.languages.speak import gettext as _
from bonafide.languages.speak import ngettext, noop, sentence, told
from bonafide.report import preview, wording
from bonafide.types import EditedRegion, Explained, Report, Statement, Step

if TYPE_CHECKING:
    from bonafide.media.image import Image

MARK = "<!-- explained -->"
LONGEST = 1024  # of a picture that is sent, pixels
MOST_CUTOUTS = 4
MARGIN = 16  # around a region that is cut out, pixels

_NAMES: Mapping[str, str] = {
    "verdict": sentence("verdict"),
    "stability": sentence("changed copies"),
}


def pictures(report: Report, image: Image | None, share: Share) -> tuple[Picture, ...]:
    """The pictures that a model may see, re-encoded without metadata.

    Args:
        report: with the regions that are marked.
        image: the picture; None for files without one.
        share: what may be sent.

    Returns:
        Nothing for findings alone; else cut-outs of the largest regions, the picture before them
        where that is allowed, each at most `LONGEST` pixels a side.
    """
    if image is None or share is Share.FINDINGS:
        return ()
    found = []
    if share is Share.PICTURE:
        found.append(_sent("picture", preview.picture(image.pixels, LONGEST)))
    regions = report.edits.regions if report.edits else ()
    for number, region in enumerate(regions[:MOST_CUTOUTS], 1):
        found.append(_sent(f"region.{number}", _cutout(image, region)))
    return tuple(found)


def _cutout(image: Image, region: EditedRegion) -> preview.Preview:
    top, left = max(0, region.y - MARGIN), max(0, region.x - MARGIN)
    bottom, right = region.y + region.height + MARGIN, region.x + region.width + MARGIN
    return preview.picture(image.pixels[top:bottom, left:right], LONGEST)


def _sent(name: str, made: preview.Preview) -> Picture:
    return Picture(name, made.data, made.mime, made.width, made.height)


def insert(section: str, block: str) -> str:
    """A section with the block of a model's statements at its place."""
    return section.replace(MARK, block, 1)


def links(report: Report, section: str, id_: str) -> dict[str, str]:
    """Id of what is cited → anchor in a section, for everything that has one there.

    Args:
        report: of the section.
        section: as rendered.
        id_: of the section.
    """
    anchors = set(re.findall(r' id="([^"]+)"', section))
    frames = {
        time: f"{id_}-frame-{number}"
        for number, time in re.findall(
            rf'id="{re.escape(id_)}-frame-(\d+)".*?<b>([\d:.]+)</b>', section
        )
    }
    found = {}
    for cite, one in citables(report).items():
        target = _anchor(cite, one, id_, frames)
        if target not in anchors:  # regions that are not shown, tests that did not run
            detector = one.groups[0] if one.groups else ""
            target = f"{id_}-{detector}" if f"{id_}-{detector}" in anchors else id_
        found[cite] = target
    return found


def _anchor(cite: str, one: Citable, id_: str, frames: Mapping[str, str]) -> str:
    kind, _, rest = cite.partition(".")
    if kind == "time" and one.spans:
        return frames.get(wording.clock(one.spans[0].start), "")
    if kind in ("finding", "fact", "untested"):
        return f"{id_}-{one.groups[0]}"
    if kind == "file":
        return f"{id_}-record"
    return f"{id_}-{kind}-{rest}" if kind in ("region", "answer") else id_


def name(report: Report, cite: str) -> str:
    """What is cited, in a few words."""
    known = citables(report).get(cite)
    return _NAMES.get(cite) or (known.label if known else cite)


def rows(report: Report, section: str, id_: str) -> list[tuple[Statement, list[tuple[str, str]]]]:
    """Each kept statement with (what it cites in words, anchor) of everything that it cites."""
    assert report.explained is not None
    known, anchors = citables(report), links(report, section, id_)
    return [
        (
            statement,
            [
                (_NAMES.get(cite) or known[cite].label, anchors[cite])
                for cite in statement.cites
                if cite in known
            ],
        )
        for statement in report.explained.kept
    ]


def counted(explained: Explained) -> str:
    """How many statements were made and kept, and why the others were dropped, one sentence."""
    if not explained.made:
        return _("No statement was made.")
    counts = {"made": explained.made, "kept": len(explained.kept)}
    dropped = len(explained.dropped)
    why = told(", ".join(f"{count} {reason}" for reason, count in explained.reasons.items()))
    if dropped:
        counted = noop("%(made)s made, %(kept)s kept, %(dropped)s dropped (%(why)s).")
        return _(counted, dropped=dropped, why=why, **counts)
    return _("%(made)s made, %(kept)s kept, %(dropped)s dropped.", dropped=dropped, **counts)


def origin(explained: Explained) -> str:
    """Who wrote it, from what, and that it moved nothing, for people."""
    seen = {
        "findings": _("the findings, without the picture"),
        "regions": _("the findings and cut-outs of the marked regions"),
        "picture": _("the findings and the picture"),
    }.get(explained.share, explained.share)
    return _(
        "Written by the model %(model)s at %(endpoint)s from %(seen)s. Every sentence was checked "
        "against the findings. The model had no part in the verdict.",
        model=explained.model,
        endpoint=explained.endpoint,
        seen=seen,
    )


def effort(explained: Explained) -> str:
    """What it took: requests, tokens, cost."""
    asked = ngettext("%(n)s request", "%(n)s requests", explained.requests)
    parts = [asked] + ([_("from the cache")] if explained.cached else [])
    tokens = {"into": told(f"{explained.tokens_in:,}"), "out": told(f"{explained.tokens_out:,}")}
    parts.append(_("%(into)s tokens in, %(out)s out", **tokens))
    if explained.cost is not None:
        parts.append(_("cost %(cost)s", cost=told(f"{explained.cost:.4g}")))
    return Markup(", ").join(parts) if isinstance(asked, Markup) else ", ".join(parts)


def tools(explained: Explained) -> str:
    """How many tools the model called and why it ended, one sentence; "" where it called none."""
    count = len(explained.steps)
    if not count and not explained.stopped:
        return ""
    ends = {
        "finished": _("it had seen enough"),
        "steps": _("that was all it was allowed"),
        "seconds": _("the time was over"),
        "bytes": _("the results were too large"),
    }
    return ngettext(
        "Before it wrote, it called %(n)s tool; %(why)s.",
        "Before it wrote, it called %(n)s tools; %(why)s.",
        count,
        why=ends.get(explained.stopped, explained.stopped),
    )


def roles(explained: Explained) -> list[tuple[str, str, str]]:
    """(question, claim of the caption, what the model holds against it) of each 5W answer."""
    names = {
        "who": _("who"), "what": _("what"), "when": _("when"), "where": _("where"),
        "why": _("why"),
    }  # fmt: skip
    found = []
    for one in explained.roles:
        against = f"“{one.evidence}”" if one.evidence else ""
        cites = ", ".join(one.cites)
        told_relation = {
            "supported": _("supported by %(evidence)s (%(cites)s)", evidence=against, cites=cites),
            "refuted": _("refuted by %(evidence)s (%(cites)s)", evidence=against, cites=cites),
        }.get(one.relation, told("no evidence"))
        found.append((names.get(one.role, one.role), f"“{one.claim}”", told_relation))
    return found


def roles_note() -> str:
    """What the 5W answers are, and are not."""
    return _(
        "The model holds the caption against the report. What it quotes is there; what it makes of "
        "it is its own judgement, and no part of any answer."
    )


def called(step: Step) -> str:
    """A call as it would be written: "zoom(x=1, y=2)"."""
    given = ", ".join(f"{name}={value}" for name, value in step.arguments.items())
    return f"{step.tool}({given})"
