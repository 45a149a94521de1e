"""Make the pictures of the documentation from the demonstration: a report page, a terminal card.

    python tools/pictures.py          # writes docs/pictures/report.png and terminal.png

The demonstration's splice is examined as `bonafide scan --html` does it. A headless Chromium draws
the page, and the card, which rich exports as SVG. Pictures are stored with at most 256 colours, and
refused at 200 kB and more.
"""

from __future__ import annotations

import io
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from PIL import Image as Pillow

ROOT = Path(__file__).resolve().parent.parent
PICTURES = ROOT / "docs" / "pictures"
CHROMIUM = "/usr/bin/chromium"
SHOWN = "03-splice.jpg"  # of `bonafide demo`
MOST_BYTES = 200_000
PAGE = (1100, 1000)  # pixels of the browser's window
COLUMNS = 112  # of the terminal


def main() -> None:
    """Examine one picture of the demonstration and write both pictures."""
    from playwright.sync_api import sync_playwright

    from bonafide.cli.demo import make_demo

    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        shown = next(made.path for made in make_demo(folder) if made.path.name == SHOWN)
        page = Path(folder) / "report.html"
        card = Path(folder) / "card.html"
        command = [sys.executable, "-m", "bonafide", "scan", str(shown), "--html", str(page)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        card.write_text(f"<body style='margin:0'>{terminal(shown)}", "utf-8")
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM if Path(CHROMIUM).exists() else None
        )
        tab = browser.new_page(viewport={"width": PAGE[0], "height": PAGE[1]})
        tab.goto(page.as_uri())
        tab.wait_for_load_state("networkidle")
        box = tab.locator("figure.viewer").first.bounding_box()
        assert box is not None, "the page shows no picture"
        shown_until = {"x": 0, "y": 0, "width": PAGE[0], "height": box["y"] + box["height"] + 24}
        write("report.png", tab.screenshot(full_page=True, clip=shown_until))
        tab.goto(card.as_uri())
        write("terminal.png", tab.locator("svg").first.screenshot())
        browser.close()


def terminal(path: Path) -> str:
    """The card that a terminal shows, as SVG without fonts from elsewhere."""
    from rich.console import Console

    import bonafide
    from bonafide.report.terminal import print_card

    console = Console(
        record=True,
        width=COLUMNS,
        file=io.StringIO(),
        force_terminal=True,
        color_system="truecolor",
    )
    console.print(f"[bold]$[/] bonafide {path.name}")
    print_card(bonafide.examine(path), console)
    drawn = console.export_svg(title="bonafide")
    drawn = re.sub(r"@font-face\s*\{.*?\}", "", drawn, flags=re.DOTALL)
    return drawn.replace("Fira Code", "DejaVu Sans Mono")


def write(name: str, png: bytes) -> None:
    """Store one picture with few colours.

    Raises:
        SystemExit: it is too large to be committed.
    """
    picture: Any = Pillow.open(io.BytesIO(png)).convert("RGB")
    for colours in (256, 128, 64):
        stored = io.BytesIO()
        few = picture.quantize(colours, Pillow.Quantize.MEDIANCUT, dither=Pillow.Dither.NONE)
        few.save(stored, "PNG", optimize=True)
        if stored.tell() < MOST_BYTES:
            break
    else:
        raise SystemExit(f"{name} has {stored.tell():,} bytes; {MOST_BYTES:,} are too many")
    PICTURES.mkdir(parents=True, exist_ok=True)
    (PICTURES / name).write_bytes(stored.getvalue())
    print(f"{name}: {picture.width}×{picture.height}, {stored.tell():,} bytes")


if __name__ == "__main__":
    main()
