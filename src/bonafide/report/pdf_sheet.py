"""Paper for a report in print: pages, fonts, headings and tables that hostile text cannot leave.

Text is set character by character: what could steer a reader, and what the font does not have, is
shown by its code.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bonafide.errors import MissingExtra
from bonafide.report import wording
from bonafide.types import Report

try:
    from fpdf import FPDF
    from fpdf.enums import XPos, YPos
    from fpdf.fonts import FontFace, TTFFont
except ModuleNotFoundError:
    raise MissingExtra("custody", "writing PDF") from None

if TYPE_CHECKING:
    from collections.abc import Callable

MARGIN, WIDTH, LINE = 16.0, 178.0, 4.6  # of an A4 page and its text, mm
GREY, INK, RULE = (96, 96, 96), (24, 24, 24), (200, 200, 200)
NEXT: dict[str, Any] = {"new_x": XPos.LMARGIN, "new_y": YPos.NEXT}
_FONTS = (
    ("/usr/share/fonts/truetype/dejavu", "DejaVuSans.ttf", "DejaVuSans-Bold.ttf"),
    ("/usr/share/fonts/TTF", "DejaVuSans.ttf", "DejaVuSans-Bold.ttf"),
    ("/usr/share/fonts/dejavu-sans-fonts", "DejaVuSans.ttf", "DejaVuSans-Bold.ttf"),
    ("/System/Library/Fonts/Supplemental", "Arial.ttf", "Arial Bold.ttf"),
    ("C:/Windows/Fonts", "arial.ttf", "arialbd.ttf"),
)


class Sheet(FPDF):
    """An A4 document about one file, with its hash and page numbers at the foot."""

    def __init__(self, report: Report) -> None:
        super().__init__(format="A4")
        self.report = report
        self.family, self.has = self._load_font()
        self.set_margins(MARGIN, 14, MARGIN)
        self.set_auto_page_break(True, 18)
        self.set_title(self.fit(f"bonafide report: {report.media.name}"))
        self.set_creator(f"bonafide {report.versions.get('bonafide', '')}")
        self.set_lang("en")
        try:  # the same record gives the same file
            self.set_creation_date(datetime.fromisoformat(report.examined_at))
        except ValueError:
            pass
        self.add_page()

    def footer(self) -> None:
        """Which file this is about, and the page's number, on every page."""
        self.set_y(-13)
        self.ink(7, colour=GREY)
        self.cell(WIDTH - 24, 5, f"SHA-256 {self.report.media.sha256}")
        self.cell(24, 5, f"page {self.page_no()} of {{nb}}", align="R")

    def _load_font(self) -> tuple[str, Callable[[str], bool]]:
        """A font of this machine with many scripts, else the one that every reader has."""
        for folder, regular, bold in _FONTS:
            files = Path(folder) / regular, Path(folder) / bold
            if all(file.is_file() for file in files):
                self.add_font("text", "", files[0])
                self.add_font("text", "B", files[1])
                return "text", self._has_glyph
        self.core_fonts_encoding = "windows-1252"
        return "helvetica", _in_windows_1252

    def _has_glyph(self, character: str) -> bool:
        font = self.fonts["text"]
        return isinstance(font, TTFFont) and ord(character) in font.cmap

    def ink(self, size: float, bold: bool = False, colour: tuple[int, int, int] = INK) -> None:
        """Set size in points, weight and colour of what is written next."""
        self.set_font(self.family, "B" if bold else "", size)
        self.set_text_color(*colour)

    def fit(self, text: str) -> str:
        """`text` in characters that the font has; others by their code."""
        return "".join(
            character if character == "\n" or self.has(character) else f"\\u{ord(character):04x}"
            for character in wording.clean(text).replace("\t", " ")
        )

    def write_line(self, text: str) -> None:
        """Write a short text on one line."""
        self.cell(WIDTH, LINE, self.fit(text), **NEXT)

    def paragraph(self, text: str, line: float = LINE) -> None:
        """Write a text over the whole width; `line` is the height of a line, mm."""
        self.multi_cell(WIDTH, line, self.fit(text), align="L", **NEXT)

    def heading(self, text: str) -> None:
        """Begin a section."""
        self.keep_together(22)
        self.ln(3.5)
        self.ink(11, bold=True)
        self.write_line(text)
        self.ln(1)

    def keep_together(self, height: float) -> None:
        """Begin a page if less than `height` mm are left on this one."""
        if self.will_page_break(height):
            self.add_page()

    def rows_of(
        self, names: Sequence[str], widths: Sequence[int], rows: Iterable[Sequence[str]]
    ) -> None:
        """Write a table; `widths` of the columns in mm, together `WIDTH`."""
        self.ink(7.5)
        self.set_draw_color(*RULE)
        self.set_fill_color(255, 255, 255)
        with self.table(
            width=int(WIDTH),
            col_widths=tuple(widths),
            line_height=3.8,
            padding=(0.8, 1),
            align="L",
            text_align="LEFT",
            v_align="TOP",
            borders_layout="HORIZONTAL_LINES",
            headings_style=FontFace(emphasis="BOLD", color=INK, fill_color=(240, 240, 240)),
        ) as table:
            for row in (names, *rows):
                line = table.row()
                for cell, width in zip(row, widths, strict=True):
                    line.cell(self.fit(_bounded(cell, 12 * width)))


def _in_windows_1252(character: str) -> bool:
    return bool(character.encode("windows-1252", "ignore"))


def _bounded(text: str, longest: int) -> str:
    """`text`, cut so that a row of a table fits on a page."""
    text = "\n".join(text[: longest + 1].split("\n")[:12])
    return text if len(text) <= longest else f"{text[:longest]} …"
