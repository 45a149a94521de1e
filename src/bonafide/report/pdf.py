"""One stored report for print: verdict, picture, reasons, findings, history, and what it rests on.

Text from a file is set as text, character by character: what could steer a reader, and what the
font does not have, is shown by its code.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bonafide.explain.words import where
from bonafide.files import atomic_write
from bonafide.languages.current import ENGLISH, current, using
from bonafide.languages.speak import gettext as _
from bonafide.languages.speak import ngettext, told
from bonafide.report import chart, explained, film, preview, provenance, wording
from bonafide.report.from_dict import from_dict
from bonafide.report.pdf_sheet import GREY, INK, LINE, MARGIN, NEXT, WIDTH, Sheet, writable
from bonafide.types import ACCUSATIONS, EditedRegion, Label, Region, Report

if TYPE_CHECKING:
    from bonafide.media.image import Image
    from bonafide.media.media import Media

_TALLEST = 92.0  # of the picture, mm
_MOST_REGIONS = 12  # outlined per detector; further ones are weaker
_COLOURS: Mapping[Label, tuple[int, int, int]] = {
    Label.AUTHENTICATED: (0, 104, 55),
    Label.DECLARED_AI: (90, 42, 156),
    Label.NO_TRACE_FOUND: (0, 92, 128),
    Label.INCONCLUSIVE: (120, 84, 0),
}
_MOST_FRAMES = 4  # of a video, in one row
# Told apart by a colour-blind reader, and by their letters in print without colour.
_OUTLINES = ((230, 97, 1), (0, 114, 178), (0, 158, 115), (204, 121, 167), (86, 60, 140))


def write_pdf(record: Mapping[str, Any], path: Path, media: Media | None) -> str:
    """Write a report, in the language in use where a font of this machine has its script.

    Args:
        record: as stored.
        path: to write.
        media: the examined file, for its picture or its frames; None to leave them out.

    Returns:
        The language that it was written in: the one in use, or "en".

    Raises:
        InvalidInput: `record` is no report.
        OSError: the file cannot be written.
    """
    language = current() if writable(current()) else ENGLISH
    with using(language):
        page = _page(record, media)
        with atomic_write(path) as written:
            written.write_bytes(page.output())
    return language


def _page(record: Mapping[str, Any], media: Media | None) -> _Page:
    page = _Page(from_dict(record))
    page.opening()
    if media is not None and media.image is not None:
        page.picture(media.image)
    elif media is not None:
        page.frames(media)
    page.along_time()
    page.probabilities()
    page.reasons()
    page.added()
    page.findings()
    page.not_tested()
    page.history()
    page.basis(record.get("signature"))
    return page


class _Page(Sheet):
    """The document; each method adds one part of it."""

    def opening(self) -> None:
        """Verdict, what it means, and which file."""
        report, media = self.report, self.report.media
        words = wording.VERDICTS[report.verdict.label]
        self.ink(8, colour=GREY)
        self.write_line(_("bonafide: examination report"))
        self.ink(15, bold=True)
        self.name(wording.one_line(media.name, 160), 7)
        facts = [media.format]
        if media.width:
            size = {"width": media.width, "height": media.height}
            facts.append(_("%(width)s × %(height)s pixels", **size))
        facts.append(_("%(count)s bytes", count=told(f"{media.bytes:,}")))
        facts.append(_("examined %(when)s", when=wording.moment(report.examined_at)))
        self.ink(8, colour=GREY)
        self.paragraph(f"{', '.join(facts)}\nSHA-256 {media.sha256}")
        self.ln(2)
        self.set_fill_color(*_colour(report.verdict.label))
        self.ink(13, bold=True, colour=(255, 255, 255))
        self.cell(WIDTH, 9, f"  {self.fit(told(words.name))}", fill=True, **NEXT)
        self.ln(1.5)
        self.ink(9)
        self.paragraph(told(words.meaning))
        if report.verdict.caveat != words.meaning:
            self.ink(9, bold=True)
            self.paragraph(told(report.verdict.caveat))

    def picture(self, media: Image) -> None:
        """The picture, with the regions that findings point at outlined and lettered."""
        small = preview.picture(media.pixels, 1200)
        width = min(WIDTH, _TALLEST * small.width / small.height)
        height = width * small.height / small.width
        self.ln(3)
        self.keep_together(height + 4)
        left, top = MARGIN + (WIDTH - width) / 2, self.get_y()
        self.image(
            io.BytesIO(small.data), left, top, width, height, alt_text=_("The examined file")
        )
        marked = _marked(self.report)
        scale = width / media.width
        self.ink(7, bold=True)
        with self.rect_clip(left, top, width, height):
            for letter, colour, (_name, regions) in zip("ABCDE", _OUTLINES, marked, strict=False):
                self.set_draw_color(*colour)
                self.set_line_width(0.5)
                for region in regions[:_MOST_REGIONS]:
                    x, y = left + region.x * scale, top + region.y * scale
                    self.rect(x, y, region.width * scale, region.height * scale)
                    self.set_fill_color(*colour)
                    self.set_text_color(255, 255, 255)
                    self.rect(x, y, 3.4, 3.4, style="F")
                    self.text(x + 0.9, y + 2.6, letter)
        self.set_line_width(0.2)
        self.set_y(top + height + 1.5)
        self.ink(7.5, colour=GREY)
        named = [
            f"{letter}: {name}, {_count(len(regions))}"
            for letter, (name, regions) in zip("ABCDE", marked, strict=False)
        ]
        if named:
            self.paragraph(_("Outlined: %(names)s.", names="; ".join(named)))

    def frames(self, media: Media) -> None:
        """The frames of a video in which most was found, in a row."""
        shown = film.decode(media, film.pick(self.report, _MOST_FRAMES))[:_MOST_FRAMES]
        if not shown:
            return
        self.ln(3)
        room, gap = (WIDTH - 3 * (_MOST_FRAMES - 1)) / _MOST_FRAMES, 3
        heights = [room * pixels.shape[0] / pixels.shape[1] for _, pixels in shown]
        height = min(max(heights), _TALLEST)
        self.keep_together(height + 8)
        top = self.get_y()
        self.ink(7.5, colour=GREY)
        for number, (seconds, pixels) in enumerate(shown):
            small = preview.picture(pixels, 480)
            width = min(room, height * small.width / small.height)
            left = MARGIN + number * (room + gap)
            name = _("Frame at %(time)s", time=wording.clock(seconds))
            tall = width * small.height / small.width
            self.image(io.BytesIO(small.data), left, top, width, tall, alt_text=name)
            self.text(left, top + height + 3.4, name)
        self.set_y(top + height + 5)

    def along_time(self) -> None:
        """A line for each score along time, with its threshold and a time axis."""
        for line in chart.charts(self.report):
            self.keep_together(38)
            self.ln(3)
            self.ink(8, bold=True)
            self.write_line(line.title)
            self.ink(8, colour=GREY)
            self.paragraph(line.summary)
            left, top, height = MARGIN, self.get_y() + 1, 20.0
            self.set_fill_color(246, 246, 246)
            self.rect(left, top, WIDTH, height, style="F")
            if line.threshold is not None:
                self.set_draw_color(*GREY)
                self.set_dash_pattern(1.2, 1.2)
                y = top + height * line.y(line.threshold)
                self.line(left, y, left + WIDTH, y)
                self.set_dash_pattern()
            self.set_draw_color(*INK)
            self.set_line_width(0.4)
            points = [(left + WIDTH * x, top + height * y) for x, y, *_rest in line.points]
            self.polyline(points)
            if len(points) <= 60:
                self.set_fill_color(*INK)
                for x, y in points:
                    self.circle(x, y, 0.7, style="F")
            self.set_line_width(0.2)
            self.ink(7, colour=GREY)
            for number, tick in enumerate(line.ticks):
                at = left + WIDTH * number / 4
                width = self.get_string_width(tick)
                self.text(min(max(at - width / 2, left), left + WIDTH - width), top + 23, tick)
            self.set_y(top + height + 5)

    def probabilities(self) -> None:
        """A bar for each question."""
        self.heading(_("Probabilities"))
        for question, answer in wording.answers(self.report):
            shown = wording.strength(answer)
            value = answer.probability if answer and wording.stated(answer) else None
            self.ink(9)
            self.cell(70, LINE + 1, self.fit(wording.asked_about(question, answer)))
            x, y = self.get_x(), self.get_y() + 1.4
            self.set_fill_color(232, 232, 232)
            self.rect(x, y, 70, 2.8, style="F")
            if value is not None:
                self.set_fill_color(*_colour(self.report.verdict.label))
                self.rect(x, y, 70 * min(max(value, 0.0), 1.0), 2.8, style="F")
            self.set_x(x + 74)
            self.cell(0, LINE + 1, self.fit(shown), **NEXT)

    def reasons(self) -> None:
        """What moved the verdict, where, and how it held on changed copies."""
        because = self.report.verdict.because
        if because:
            self.heading(_("Why"))
            self.rows_of(
                ("", _("Reason"), _("Detector"), _("Weight")),
                (5, 107, 34, 32),
                [
                    (
                        str(number),
                        told(reason.text),
                        reason.detector,
                        wording.likelihood(reason.llr),
                    )
                    for number, reason in enumerate(because, 1)
                ],
            )
        places = where(self.report.edits)
        if places:
            self.heading(_("Where"))
            self.ink(9)
            for sentence in places:
                self.paragraph(told(sentence))
        if self.report.stability:
            self.heading(_("On changed copies"))
            self.ink(9)
            self.paragraph(told(self.report.stability.text))

    def added(self) -> None:
        """What a model added, where one was asked."""
        added = self.report.explained
        if added is None:
            return
        self.heading(_("In the words of a model"))
        self.ink(8, colour=GREY)
        self.paragraph(explained.origin(added))
        for step in added.steps:
            self.paragraph(
                f"{explained.called(step)}: {step.summary[:120]} (SHA-256 {step.digest})"
            )
        self.ink(9)
        for statement in added.kept:
            self.paragraph(f"{statement.text} ({', '.join(statement.cites)})")
        for name, claim, against in explained.roles(added):
            self.paragraph(f"{name}: {claim}: {against}")
        self.ink(8, colour=GREY)
        if added.roles:
            self.paragraph(explained.roles_note())
        failure = ""
        if added.failure:
            failure = " " + _("Nothing more came of it: %(why)s.", why=told(added.failure))
        self.paragraph(f"{explained.counted(added)}{failure}")

    def findings(self) -> None:
        """Every detector that had something to say."""
        self.heading(_("Findings"))
        rows = []
        for finding in wording.ordered(self.report):
            known = finding.calibrated
            outside = "".join(
                "\n" + _("Outside the calibrated range: %(why)s", why=told(sentence))
                for sentence in (known.warnings if known else ())
            )
            score = "" if finding.score is None else wording.number(finding.score)
            rows.append(
                (
                    f"{finding.detector} {finding.version}",
                    wording.state(finding)[1],
                    score,
                    wording.limit(known.threshold) if known else "",
                    f"{told(finding.summary)}{outside}",
                )
            )
        names = (_("Detector"), _("Outcome"), _("Score"), _("Counts from"))
        self.rows_of((*names, _("What was measured")), (47, 27, 14, 20, 70), rows)

    def not_tested(self) -> None:
        """Every detector that gave no answer, and why."""
        rows = [(one, came, told(why)) for one, came, why in wording.untested(self.report)]
        if rows:
            self.heading(_("Not tested"))
            names = (_("Detector"), _("What happened"), _("Why"))
            self.rows_of(names, (42, 30, 106), rows)

    def history(self) -> None:
        """What the file says about itself."""
        self.heading(_("What the file says about its history"))
        events = provenance.timeline(self.report.findings)
        if events:
            rows = [
                (
                    event.when or _("no date"),
                    told(event.what),
                    "\n".join(told(line) for line in event.detail.split("\n")),
                    told(event.source),
                    told(event.standing),
                )
                for event in events
            ]
            names = (_("When"), _("What"), _("Details"), _("Where it says so"), _("Standing"))
            self.rows_of(names, (30, 42, 64, 24, 18), rows)
        self.ink(8, colour=GREY)
        self.paragraph(_(provenance.NOTHING_PROVED))

    def basis(self, signature: Any) -> None:
        """Everything that is needed to come to the same report again."""
        self.heading(_("How to reproduce this report"))
        self.ink(8, colour=GREY)
        self.paragraph(
            _(
                "bonafide verify REPORT.json FILE examines the file again with these settings and "
                "compares. The SHA-256 of the file is at the foot of every page."
            )
        )
        settings = self.report.settings
        rows = [(name, _setting(value)) for name, value in settings.items()]
        self.rows_of((_("Setting"), _("Value")), (50, 128), rows)
        self.ln(2)
        rows = [(name, str(value)) for name, value in self.report.versions.items()]
        self.rows_of((_("Part"), _("Version or SHA-256")), (50, 128), rows)
        self.heading(_("Signature"))
        self.ink(8)
        if isinstance(signature, dict):
            self.paragraph(
                _(
                    "The report is signed (%(algorithm)s over its %(form)s form, stated time "
                    "%(time)s). This page does not prove the signature: check the JSON report with "
                    "bonafide verify and the signer's public key.",
                    algorithm=signature.get("algorithm"),
                    form=signature.get("form"),
                    time=signature.get("signed_at"),
                )
                + "\n"
                + _("Public key %(key)s", key=signature.get("public_key"))
                + "\n"
                + _("Signature %(value)s", value=signature.get("value"))
            )
        else:
            self.paragraph(_("The report is not signed."))


def _colour(label: Label) -> tuple[int, int, int]:
    if label in _COLOURS:
        return _COLOURS[label]
    red, green, blue = (int(ACCUSATIONS[label].colour[at : at + 2], 16) for at in (1, 3, 5))
    return red, green, blue


def _marked(report: Report) -> list[tuple[str, Sequence[Region | EditedRegion]]]:
    """What is outlined: all maps together first, then what single detectors point at."""
    found: list[tuple[str, Sequence[Region | EditedRegion]]] = []
    if report.edits and report.edits.regions:
        found.append((_("all maps together"), report.edits.regions))
    found += [(wording.title(f.detector), f.regions) for f in wording.ordered(report) if f.regions]
    return found[: len(_OUTLINES)]


def _setting(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {wording.fact_text(item)}" for name, item in value.items())
    return wording.fact_text(value, 400) or "none"


def _count(regions: int) -> str:
    told_of = ngettext("%(n)s region", "%(n)s regions", regions)
    if regions <= _MOST_REGIONS:
        return told_of
    return _("%(regions)s, %(n)s shown", regions=told_of, n=_MOST_REGIONS)
