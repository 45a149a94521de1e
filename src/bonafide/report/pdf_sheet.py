"""Paper for a report in print: pages, fonts, headings and tables that hostile text cannot leave.

Text is set character by character: what could steer a reader, and what the font does not have, is
shown by its code.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bonafide.errors import MissingExtra
from bonafide.languages.current import LANGUAGES, current, direction
from bonafide.languages.speak import gettext as _
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


# Fonts whose glyphs European ones lack; a font of one file serves for bold too.
_SCRIPTS = {
    "zh": (
        ("/usr/share/fonts/opentype/noto", "NotoSansCJK-Regular.ttc", "NotoSansCJK-Bold.ttc"),
        ("/usr/share/fonts/truetype/wqy", "wqy-microhei.ttc", "wqy-microhei.ttc"),
        ("/System/Library/Fonts/Supplemental", "Arial Unicode.ttf", "Arial Unicode.ttf"),
        ("C:/Windows/Fonts", "simhei.ttf", "simhei.ttf"),
    ),
    "hi": (
        ("/usr/share/fonts/truetype/freefont", "FreeSans.ttf", "FreeSansBold.ttf"),
        ("/System/Library/Fonts/Supplemental", "Arial Unicode.ttf", "Arial Unicode.ttf"),
        ("C:/Windows/Fonts", "Nirmala.ttf", "NirmalaB.ttf"),
    ),
}
_JOINED = frozenset({"ar", "hi"})  # scripts whose letters change with their neighbours


def writable(language: str) -> bool:
    """Whether a font of this machine has the script of a language, and its letters can be joined.

    A page of boxes or of letters that stand apart is worse than one in English.
    """
    if language in _JOINED and find_spec("uharfbuzz") is None:
        return False
    if language not in (*_JOINED, *_SCRIPTS):
        return True
    files = _files(language)
    if files is None:
        return False
    from fontTools.ttLib import TTFont

    with TTFont(files[0], fontNumber=0, lazy=True) as font:
        glyphs = font.getBestCmap()
    return all(ord(one) in glyphs for one in f"{LANGUAGES[language]}A0")


def _files(language: str) -> tuple[Path, Path] | None:
    for folder, regular, bold in _SCRIPTS.get(language, _FONTS):
        files = Path(folder) / regular, Path(folder) / bold
        if all(file.is_file() for file in files):
            return files
    return None


class Sheet(FPDF):
    """An A4 document about one file, with its hash and page numbers at the foot."""

    def __init__(self, report: Report) -> None:
        super().__init__(format="A4")
        self.report = report
        self.start = "R" if direction() == "rtl" else "L"  # where lines begin
        self.family, self.has = self._load_font()
        self.set_margins(MARGIN, 14, MARGIN)
        self.set_auto_page_break(True, 18)
        self.set_title(self.fit(_("bonafide report: %(name)s", name=report.media.name)))
        self.set_creator(f"bonafide {report.versions.get('bonafide', '')}")
        self.set_lang(current())
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
        self.cell(
            24, 5, self.fit(_("page %(n)s of %(all)s", n=self.page_no(), all="{nb}")), align="R"
        )

    def _load_font(self) -> tuple[str, Callable[[str], bool]]:
        """A font of this machine with many scripts, else the one that every reader has."""
        files = _files(current())
        if files is not None:
            self.add_font("text", "", files[0])
            self.add_font("text", "B", files[1])
            if current() in _JOINED:
                self.set_text_shaping(True, direction=direction(), language=current())
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
        self.cell(WIDTH, LINE, self.fit(text), align=self.start, **NEXT)

    def name(self, text: str, line: float) -> None:
        """Write a name from a file, from left to right whatever the script around it."""
        if current() in _JOINED:
            self.set_text_shaping(True, direction="ltr", language=current())
        self.paragraph(text, line)
        if current() in _JOINED:
            self.set_text_shaping(True, direction=direction(), language=current())

    def paragraph(self, text: str, line: float = LINE) -> None:
        """Write a text over the whole width; `line` is the height of a line, mm."""
        self.multi_cell(WIDTH, line, self.fit(text), align=self.start, **NEXT)

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
            text_align="RIGHT" if self.start == "R" else "LEFT",
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
