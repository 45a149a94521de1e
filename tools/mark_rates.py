"""How often invisible marks are found: on marked pictures after changes, and on unmarked ones.

    python tools/mark_rates.py run generated_images.csv --out rates.jsonl
    python tools/mark_rates.py report rates.jsonl

`run` takes the bona fide pictures of a table (columns path, label, source). It marks some of them,
changes them and reads them again; in between it reads unmarked ones: each picture as it is, then
random cuts of 128×128 pixels, turned and mirrored, in as many rounds over the pictures as are
needed. What is done already stands in the file and is not done again. Thresholds are those of the
detectors, which follow from their bounds and were fitted to nothing.
"""

from __future__ import annotations

import argparse
import csv
import io
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow
from scipy import special

from bonafide.detectors.provenance import rivagan_watermark, stable_diffusion_watermark
from bonafide.errors import MediaError
from bonafide.media.image import Image
from bonafide.networks.rivagan import Payload, mark
from bonafide.signals.wavelet import embed
from bonafide.testing import measure

Pixels = NDArray[np.uint8]
READERS = {
    "RivaGAN": (rivagan_watermark.Detector(), rivagan_watermark.CARD),
    "dwtDct": (stable_diffusion_watermark.Detector(), stable_diffusion_watermark.CARD),
}
SIDE = 128  # pixels


def _jpeg(pixels: Pixels, quality: int) -> bytes:
    buffer = io.BytesIO()
    Pillow.fromarray(pixels).save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()


def _png(pixels: Pixels) -> bytes:
    buffer = io.BytesIO()
    Pillow.fromarray(pixels).save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


def _centre(pixels: Pixels, share: float) -> bytes:
    height, width = (round(side * share) for side in pixels.shape[:2])
    top, left = (pixels.shape[0] - height) // 2, (pixels.shape[1] - width) // 2
    return _png(pixels[top : top + height, left : left + width])


def _scaled(pixels: Pixels, factor: float) -> bytes:
    size = [max(1, round(side * factor)) for side in pixels.shape[1::-1]]
    return _png(np.asarray(Pillow.fromarray(pixels).resize(size, Pillow.Resampling.BICUBIC)))


CHANGES: dict[str, Callable[[Pixels], bytes]] = {
    "none": _png,
    "JPEG 90": lambda pixels: _jpeg(pixels, 90),
    "JPEG 70": lambda pixels: _jpeg(pixels, 70),
    "centre 90 %": lambda pixels: _centre(pixels, 0.9),
    "centre 50 %": lambda pixels: _centre(pixels, 0.5),
    "size × 0.75": lambda pixels: _scaled(pixels, 0.75),
    "size × 0.5": lambda pixels: _scaled(pixels, 0.5),
    "longer side 512": lambda pixels: _scaled(pixels, 512 / max(pixels.shape[:2])),
}


def _marked(pixels: Pixels, reader: str, number: int) -> Pixels:
    if reader == "RivaGAN":
        return mark(pixels, list(Payload)[number % len(Payload)])
    marks = list(stable_diffusion_watermark.MARKS.values())
    return embed(pixels[..., ::-1], marks[number % len(marks)])[..., ::-1]


def _unmarked(pixels: Pixels, turn: int, random: np.random.Generator) -> Pixels:
    """A cut of the picture, turned by quarters and mirrored."""
    top, left = (int(random.integers(0, max(1, side - SIDE))) for side in pixels.shape[:2])
    cut = np.rot90(pixels[top : top + SIDE, left : left + SIDE], turn % 4)
    return np.ascontiguousarray(cut[:, ::-1] if turn % 2 else cut)


def _read(data: bytes, readers: list[str]) -> Iterator[dict[str, Any]]:
    for name in readers:
        detector, card = READERS[name]
        found = measure(detector, Image(data), card)
        yield {"mark": name, "score": found.score, "found": found.claim is not None}


def run(options: argparse.Namespace) -> None:
    """Measure what is not in the file yet."""
    with options.table.open(newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["label"] == "bona_fide"]
    np.random.default_rng(options.seed).shuffle(rows)  # type: ignore[arg-type]
    done = {(line["path"], line["view"]) for line in _lines(options.out)}
    with options.out.open("a", encoding="utf-8") as out:
        each = max(1, options.unmarked // max(1, options.marked))
        for count in range(options.unmarked):
            number, rest = divmod(count, each)
            if rest == 0 and number < min(options.marked, len(rows)):
                _measure_marked(options.table.parent, rows[number], number, done, out)
            _measure_unmarked(options.table.parent, rows, count, options.seed, done, out)


def _measure_marked(
    folder: Path, row: dict[str, str], number: int, done: set[Any], out: Any
) -> None:
    if (row["path"], "marked") in done:
        return
    pixels = _open(folder / row["path"])
    if pixels is None:
        return
    lines = [
        {"change": name, **answer}
        for reader in READERS
        for marked in [_marked(pixels, reader, number)]
        for name, change in CHANGES.items()
        for answer in _read(change(marked), [reader])
    ]
    _keep(out, row, "marked", lines)


def _measure_unmarked(
    folder: Path, rows: list[dict[str, str]], count: int, seed: int, done: set[Any], out: Any
) -> None:
    turn, index = divmod(count, len(rows))
    row, view = rows[index], f"unmarked {turn}"
    if (row["path"], view) in done:
        return
    if turn == 0:
        data: bytes | None = (folder / row["path"]).read_bytes()
    else:
        pixels = _open(folder / row["path"])
        random = np.random.default_rng([seed, count])
        data = None if pixels is None else _png(_unmarked(pixels, turn, random))
    if data is not None:
        try:
            _keep(out, row, view, list(_read(data, list(READERS))))
        except MediaError as error:
            print(f"{row['path']}: {error}", file=sys.stderr)


def _open(path: Path) -> Pixels | None:
    try:
        return np.asarray(Image(path.read_bytes()).stored_pixels)
    except MediaError as error:
        print(f"{path}: {error}", file=sys.stderr)
        return None


def _keep(out: Any, row: dict[str, str], view: str, lines: list[dict[str, Any]]) -> None:
    line = {"path": row["path"], "source": row["source"], "view": view, "answers": lines}
    out.write(json.dumps(line) + "\n")
    out.flush()


def _lines(path: Path) -> list[dict[str, Any]]:
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_text("utf-8").splitlines() if line]


def report(options: argparse.Namespace) -> None:
    """Print the tables."""
    lines = _lines(options.out)
    marked = [line for line in lines if line["view"] == "marked"]
    print(f"| change | {' | '.join(READERS)} |\n|---|{'---|' * len(READERS)}")
    for change in CHANGES:
        cells = [_share(marked, name, change) for name in READERS]
        print(f"| {change} | {' | '.join(cells)} |")
    unmarked = [line for line in lines if line["view"] != "marked"]
    sources = {line["source"] for line in unmarked}
    print(f"\n{len(unmarked)} unmarked pictures of {len(sources)} sources")
    print("\n| mark | false alarms | rate (95 %) | sources with one | largest score |")
    print("|---|---|---|---|---|")
    for name in READERS:
        print(_false_alarms(unmarked, name))


def _share(lines: list[dict[str, Any]], name: str, change: str) -> str:
    found = [
        answer["found"]
        for line in lines
        for answer in line["answers"]
        if answer["mark"] == name and answer["change"] == change
    ]
    low, high = clopper_pearson(sum(found), len(found))
    return f"{np.mean(found):.3f} ({low:.3f}–{high:.3f}) of {len(found)}"


def _false_alarms(lines: list[dict[str, Any]], name: str) -> str:
    answers = [(line["source"], a) for line in lines for a in line["answers"] if a["mark"] == name]
    false = [source for source, answer in answers if answer["found"]]
    low, high = clopper_pearson(len(false), len(answers))
    largest = max(answer["score"] or 0 for _, answer in answers)
    rate = f"{len(false) / len(answers):.5f} ({low:.5f}–{high:.5f})"
    return f"| {name} | {len(false)} of {len(answers)} | {rate} | {len(set(false))} | {largest} |"


def clopper_pearson(successes: int, trials: int, level: float = 0.95) -> tuple[float, float]:
    """Exact interval of a share (C. Clopper and E. Pearson, Biometrika 26, 1934)."""
    tail = (1 - level) / 2
    low = special.betaincinv(successes, trials - successes + 1, tail) if successes else 0.0
    missed = trials - successes
    high = special.betaincinv(successes + 1, missed, 1 - tail) if missed else 1.0
    return float(low), float(high)


def main() -> None:
    """See the head of this file."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    verbs = parser.add_subparsers(required=True)
    runs = verbs.add_parser("run")
    runs.add_argument("table", type=Path)
    runs.add_argument("--out", type=Path, required=True)
    runs.add_argument("--marked", type=int, default=200)
    runs.add_argument("--unmarked", type=int, default=10_000)
    runs.add_argument("--seed", type=int, default=1)
    runs.set_defaults(verb=run)
    reports = verbs.add_parser("report")
    reports.add_argument("out", type=Path)
    reports.set_defaults(verb=report)
    options = parser.parse_args()
    options.verb(options)


if __name__ == "__main__":
    main()
