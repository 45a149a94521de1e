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
from bonafide.report import chart, explained, film, preview, provenance, wording
from bonafide.report.from_dict import from_dict
from bonafide.report.pdf_sheet import GREY, INK, LINE, MARGIN, NEXT, WIDTH, Sheet
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


def write_pdf(record: Mapping[str, Any], path: Path, media: Media | None) -> None:
    """Write a report.

    Args:
        record: as stored.
        path: to write.
        media: the examined file, for its picture or its frames; None to leave them out.

    Raises:
        InvalidInput: `record` is no report.
        OSError: the file cannot be written.
    """
    report = from_dict(record)
    page = _Page(report)
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
    with atomic_write(path) as written:
        written.write_bytes(page.output())


class _Page(Sheet):
    """The document; each method adds one part of it."""

    def opening(self) -> None:
        """Verdict, what it means, and which file."""
        report, media = self.report, self.report.media
        words = wording.VERDICTS[report.verdict.label]
        self.ink(8, colour=GREY)
        self.write_line("bonafide: examination report")
        self.ink(15, bold=True)
        self.paragraph(wording.one_line(media.name, 160), 7)
        size = f"{media.width} × {media.height} pixels, " if media.width else ""
        self.ink(8, colour=GREY)
        self.paragraph(
            f"{media.format}, {size}{media.bytes:,} bytes, examined "
            f"{wording.moment(report.examined_at)}\nSHA-256 {media.sha256}"
        )
        self.ln(2)
        self.set_fill_color(*_colour(report.verdict.label))
        self.ink(13, bold=True, colour=(255, 255, 255))
        self.cell(WIDTH, 9, f"  {self.fit(words.name)}", fill=True, **NEXT)
        self.ln(1.5)
        self.ink(9)
        self.paragraph(words.meaning)
        if report.verdict.caveat != words.meaning:
            self.ink(9, bold=True)
            self.paragraph(report.verdict.caveat)

    def picture(self, media: Image) -> None:
        """The picture, with the regions that findings point at outlined and lettered."""
        small = preview.picture(media.pixels, 1200)
        width = min(WIDTH, _TALLEST * small.width / small.height)
        height = width * small.height / small.width
        self.ln(3)
        self.keep_together(height + 4)
        left, top = MARGIN + (WIDTH - width) / 2, self.get_y()
        self.image(io.BytesIO(small.data), left, top, width, height, alt_text="The examined file")
        marked = _marked(self.report)
        scale = width / media.width
        self.ink(7, bold=True)
        with self.rect_clip(left, top, width, height):
            for letter, colour, (_, regions) in zip("ABCDE", _OUTLINES, marked, strict=False):
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
        told = [
            f"{letter}: {name}, {_count(len(regions))}"
            for letter, (name, regions) in zip("ABCDE", marked, strict=False)
        ]
        if told:
            self.paragraph(f"Outlined: {'; '.join(told)}.")

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
            name = f"Frame at {wording.clock(seconds)}"
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
            points = [(left + WIDTH * x, top + height * y) for x, y, _, _ in line.points]
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
        self.heading("Probabilities")
        for question, answer in wording.answers(self.report):
            told = wording.strength(answer)
            value = answer.probability if answer and told.endswith("%") else None
            self.ink(9)
            self.cell(70, LINE + 1, self.fit(wording.asked_about(question, answer)))
            x, y = self.get_x(), self.get_y() + 1.4
            self.set_fill_color(232, 232, 232)
            self.rect(x, y, 70, 2.8, style="F")
            if value is not None:
                self.set_fill_color(*_colour(self.report.verdict.label))
                self.rect(x, y, 70 * min(max(value, 0.0), 1.0), 2.8, style="F")
            self.set_x(x + 74)
            self.cell(0, LINE + 1, self.fit(told), **NEXT)

    def reasons(self) -> None:
        """What moved the verdict, where, and how it held on changed copies."""
        because = self.report.verdict.because
        if because:
            self.heading("Why")
            self.rows_of(
                ("", "Reason", "Detector", "Weight"),
                (5, 107, 34, 32),
                [
                    (str(number), reason.text, reason.detector, wording.likelihood(reason.llr))
                    for number, reason in enumerate(because, 1)
                ],
            )
        places = where(self.report.edits)
        if places:
            self.heading("Where")
            self.ink(9)
            for sentence in places:
                self.paragraph(sentence)
        if self.report.stability:
            self.heading("On changed copies")
            self.ink(9)
            self.paragraph(self.report.stability.text)

    def added(self) -> None:
        """What a model added, where one was asked."""
        added = self.report.explained
        if added is None:
            return
        self.heading("In the words of a model")
        self.ink(8, colour=GREY)
        self.paragraph(explained.origin(added))
        for step in added.steps:
            self.paragraph(
                f"{explained.called(step)}: {step.summary[:120]} (SHA-256 {step.digest})"
            )
        self.ink(9)
        for statement in added.kept:
            self.paragraph(f"{statement.text} ({', '.join(statement.cites)})")
        self.ink(8, colour=GREY)
        failure = f" Nothing more came of it: {added.failure}." if added.failure else ""
        self.paragraph(f"{explained.counted(added)}{failure}")

    def findings(self) -> None:
        """Every detector that had something to say."""
        self.heading("Findings")
        rows = []
        for finding in wording.ordered(self.report):
            known = finding.calibrated
            outside = "".join(
                f"\nOutside the calibrated range: {sentence}"
                for sentence in (known.warnings if known else ())
            )
            score = "" if finding.score is None else wording.number(finding.score)
            rows.append(
                (
                    f"{finding.detector} {finding.version}",
                    wording.state(finding)[1],
                    score,
                    wording.limit(known.threshold) if known else "",
                    f"{finding.summary}{outside}",
                )
            )
        names = ("Detector", "Outcome", "Score", "Counts from", "What was measured")
        self.rows_of(names, (47, 27, 14, 20, 70), rows)

    def not_tested(self) -> None:
        """Every detector that gave no answer, and why."""
        rows = wording.untested(self.report)
        if rows:
            self.heading("Not tested")
            self.rows_of(("Detector", "What happened", "Why"), (42, 30, 106), rows)

    def history(self) -> None:
        """What the file says about itself."""
        self.heading("What the file says about its history")
        events = provenance.timeline(self.report.findings)
        if events:
            rows = [
                (event.when or "no date", event.what, event.detail, event.source, event.standing)
                for event in events
            ]
            names = ("When", "What", "Details", "Where it says so", "Standing")
            self.rows_of(names, (30, 42, 64, 24, 18), rows)
        self.ink(8, colour=GREY)
        self.paragraph(provenance.NOTHING_PROVED)

    def basis(self, signature: Any) -> None:
        """Everything that is needed to come to the same report again."""
        self.heading("How to reproduce this report")
        self.ink(8, colour=GREY)
        self.paragraph(
            "bonafide verify REPORT.json FILE examines the file again with these settings and "
            "compares. The SHA-256 of the file is at the foot of every page."
        )
        settings = self.report.settings
        rows = [(name, _setting(value)) for name, value in settings.items()]
        self.rows_of(("Setting", "Value"), (50, 128), rows)
        self.ln(2)
        rows = [(name, str(value)) for name, value in self.report.versions.items()]
        self.rows_of(("Part", "Version or SHA-256"), (50, 128), rows)
        self.heading("Signature")
        self.ink(8)
        if isinstance(signature, dict):
            self.paragraph(
                f"The report is signed ({signature.get('algorithm')} over its "
                f"{signature.get('form')} form, stated time {signature.get('signed_at')}). This "
                "page does not prove the signature: check the JSON report with bonafide verify and "
                f"the signer's public key.\nPublic key {signature.get('public_key')}\n"
                f"Signature {signature.get('value')}"
            )
        else:
            self.paragraph("The report is not signed.")


def _colour(label: Label) -> tuple[int, int, int]:
    if label in _COLOURS:
        return _COLOURS[label]
    red, green, blue = (int(ACCUSATIONS[label].colour[at : at + 2], 16) for at in (1, 3, 5))
    return red, green, blue


def _marked(report: Report) -> list[tuple[str, Sequence[Region | EditedRegion]]]:
    """What is outlined: all maps together first, then what single detectors point at."""
    found: list[tuple[str, Sequence[Region | EditedRegion]]] = []
    if report.edits and report.edits.regions:
        found.append(("all maps together", report.edits.regions))
    found += [(wording.title(f.detector), f.regions) for f in wording.ordered(report) if f.regions]
    return found[: len(_OUTLINES)]


def _setting(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {wording.fact_text(item)}" for name, item in value.items())
    return wording.fact_text(value, 400) or "none"


def _count(regions: int) -> str:
    shown = f", {_MOST_REGIONS} shown" if regions > _MOST_REGIONS else ""
    return f"{regions} region{'s' * (regions != 1)}{shown}"
