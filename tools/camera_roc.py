"""Measure how well pictures of a camera are told from all others by the sensor's fingerprint.

    python tools/camera_roc.py --camera sony='sony/*.JPG' --camera phone='phone/*.JPG' \\
        --others pictures.csv --cache work

Of each camera's pictures (in the order of their names, equal files once) every other one makes the
fingerprint, and the rest is tested: as they are, and saved, scaled and cropped. `--others` names
manifests (columns `path`, relative to the manifest, `label`, and `origin` or `source`) or folders;
bona fide pictures of them must match no camera. They are also laid on the corner of each
fingerprint at full size, since block grids would coincide there; `--crops N` searches every crop
of N of them. `--middle N` takes only the middle N pixels of the longer side, and two thirds of
that of the other, of the cameras' pictures.

Fingerprints and PCEs are kept in `--cache`, so that an interrupted run continues.
"""

from __future__ import annotations

import argparse
import csv
import glob
import hashlib
import io
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow

from bonafide.errors import MediaError
from bonafide.media.image import Image
from bonafide.signals.heavy import cv2, scipy
from bonafide.signals.prnu import Estimate, aligned, log10_false_match
from bonafide.signals.prnu_search import Probe, find, is_match
from bonafide.signals.residual import spun_residual

Luma = NDArray[np.float32]
Pixels = NDArray[np.uint8]
EXAMPLE: Pixels = np.empty((700, 700, 3), np.uint8)  # to ask for the names of the changes


def main() -> None:
    """Measure everything and print two tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--camera", action="append", required=True, metavar="NAME=GLOB")
    parser.add_argument("--others", action="append", default=[], metavar="CSV|FOLDER")
    parser.add_argument("--cache", type=Path, required=True, metavar="DIR")
    parser.add_argument("--crops", type=int, default=0, metavar="N")
    parser.add_argument("--tested", type=int, default=1000, metavar="N", help="most per camera")
    parser.add_argument("--middle", type=int, default=10**6, metavar="N")
    options = parser.parse_args()
    options.cache.mkdir(parents=True, exist_ok=True)
    cv2.setNumThreads(1)
    cameras = dict(one.split("=", 1) for one in options.camera)
    halves = {name: split(pattern) for name, pattern in cameras.items()}
    patterns = {
        name: learnt(name, half[0], options.cache, options.middle) for name, half in halves.items()
    }
    known = Known(options.cache / "pce.jsonl")
    own = {
        name: own_camera(name, half[1][: options.tested], patterns[name], known, options.middle)
        for name, half in halves.items()
    }
    foreign = [(f"camera {name}", path) for name, half in halves.items() for path in half[1]]
    strangers = [pair for place in options.others for pair in listed(Path(place))]
    taken = {Path(path).resolve() for half in halves.values() for part in half for path in part}
    strangers = [pair for pair in strangers if Path(pair[1]).resolve() not in taken]
    scores = {
        name: strange(
            name,
            [pair for pair in foreign if pair[0] != f"camera {name}"] + strangers,
            patterns[name],
            known,
            options.crops,
        )
        for name in cameras
    }
    report(halves, own, scores)


def split(pattern: str) -> tuple[list[str], list[str]]:
    """Every other picture to learn from, and the rest; equal files once."""
    seen: dict[str, str] = {}
    for path in sorted(glob.glob(pattern, recursive=True)):
        seen.setdefault(hashlib.sha256(Path(path).read_bytes()).hexdigest(), path)
    files = list(seen.values())
    return files[::2], files[1::2]


def stored(file: str, most: int) -> Pixels:
    """The middle of a picture as the camera stores it, on the grid of its blocks."""
    pixels = Image(Path(file).read_bytes()).stored_pixels
    height, width = pixels.shape[:2]
    sides = (most * 2 // 3, most) if width >= height else (most, most * 2 // 3)
    top, left = (
        max(0, length - side) // 32 * 16
        for length, side in zip((height, width), sides, strict=True)
    )
    return np.ascontiguousarray(pixels[top : top + sides[0], left : left + sides[1]])


def learnt(name: str, files: list[str], cache: Path, most: int) -> Luma:
    """The fingerprint of a camera from its first half."""
    path = cache / f"{name}.npy"
    if not path.exists():
        sizes = [Image(Path(file).read_bytes()).open_again().size for file in files]
        usual = max(set(sizes), key=sizes.count)
        alike = [file for file, size in zip(files, sizes, strict=True) if size == usual]
        estimate = Estimate(*stored(alike[0], most).shape[:2])
        for file in alike:
            luma = luma_of(stored(file, most))
            estimate.add(luma, spun_residual(luma))
        print(f"{name}: learnt from {estimate.count} pictures of {usual}", flush=True)
        np.save(path, estimate.fingerprint().astype(np.float16))
    return np.load(path).astype(np.float32)


class Known:
    """PCEs that were measured already."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.values: dict[str, tuple[float, int]] = {}
        if path.exists():
            for line in path.read_text("utf-8").splitlines():
                key, pce, trials = json.loads(line)
                self.values[key] = (pce, trials)

    def __call__(self, key: str, compute: Callable[[], tuple[float, int]]) -> tuple[float, int]:
        """PCE and trials under a key, measured at most once."""
        if key not in self.values:
            self.values[key] = compute()
            with self.path.open("a", encoding="utf-8") as file:
                file.write(json.dumps([key, *self.values[key]]) + "\n")
        return self.values[key]


def changes(pixels: Pixels) -> Iterator[tuple[str, bool, Callable[[], Pixels]]]:
    """Name, whether crops anywhere have to be searched, and the changed picture."""
    height, width = pixels.shape[:2]
    yield "as it is", False, lambda: pixels
    for quality in (90, 75):
        yield f"JPEG {quality}", False, lambda q=quality: saved(pixels, q)
    for scale in (0.9, 0.7, 0.5):
        size = round(width * scale), round(height * scale)
        yield (
            f"scaled to {scale:.0%}, JPEG 90", False,
            lambda s=size: saved(cv2.resize(pixels, s, interpolation=cv2.INTER_AREA), 90),
        )  # fmt: skip
    top, left = height // 7 + 3, width // 5 + 1
    rows = slice(top, top + height * 3 // 4)
    yield "cropped to 75 % of the height, JPEG 90", False, lambda: saved(pixels[rows], 90)
    part = pixels[top : top + height // 2, left : left + width // 2]
    yield "cropped to a quarter, JPEG 90", True, lambda: saved(part, 90)


def saved(pixels: Pixels, quality: int) -> Pixels:
    """A picture after saving as JPEG."""
    buffer = io.BytesIO()
    Pillow.fromarray(pixels).save(buffer, "JPEG", quality=quality)
    return np.asarray(Pillow.open(buffer).convert("RGB"))


def luma_of(pixels: Pixels) -> Luma:
    """float32 H×W luma in [0, 255]."""
    return cv2.cvtColor(pixels.astype(np.float32), cv2.COLOR_RGB2GRAY)


def compared(luma: Luma, pattern: Luma, thorough: bool = False) -> tuple[float, int]:
    """PCE of the best placement and the number of trials."""
    found, trials = find(Probe(luma), pattern, thorough)
    return (found.pce if found else 0.0), trials


def own_camera(
    name: str, files: list[str], pattern: Luma, known: Known, most: int
) -> dict[str, list[tuple[float, int]]]:
    """PCEs of a camera's own pictures by change."""
    found: dict[str, list[tuple[float, int]]] = {}
    for file in files:
        pixels = None
        for change, thorough, make in changes(EXAMPLE):
            key = f"{name}|{file}|{change}"
            if key not in known.values:
                if pixels is None:
                    pixels = stored(file, most)
                make = next(one[2] for one in changes(pixels) if one[0] == change)
                known(key, lambda: compared(luma_of(make()), pattern, thorough))  # noqa: B023
            found.setdefault(change, []).append(known.values[key])
    return found


def listed(place: Path) -> list[tuple[str, str]]:
    """Source and path of the bona fide pictures of a manifest or folder."""
    if place.is_dir():
        return [(place.name, str(path)) for path in sorted(place.rglob("*")) if path.is_file()]
    with place.open(newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["label"] == "bona_fide"]
    return [
        (row.get("origin") or row["source"], str(place.parent / row["path"]))
        for row in rows
        if (place.parent / row["path"]).is_file()
    ]


def strange(
    name: str, pictures: list[tuple[str, str]], pattern: Luma, known: Known, crops: int
) -> list[tuple[str, str, float, int]]:
    """Source, kind of search, PCE and trials of pictures by other cameras."""
    found = []
    step = max(1, len(pictures) // crops) if crops else 0
    for number, (source, path) in enumerate(pictures):
        kinds = ["search", "corner"] + (["crops"] if step and number % step == 0 else [])
        luma = None
        for kind in kinds:
            key = f"{name}|{path}|{kind}"
            if key not in known.values:
                try:
                    luma = Image(Path(path).read_bytes()).luma if luma is None else luma
                except (MediaError, OSError):
                    break
                if min(luma.shape) < 128:
                    break
                known(key, lambda: searched(luma, pattern, kind))  # noqa: B023
            found.append((source, kind, *known.values[key]))
    return found


def searched(luma: Luma, pattern: Luma, kind: str) -> tuple[float, int]:
    """PCE of a foreign picture by one kind of search."""
    if kind != "corner":
        return compared(luma, pattern, kind == "crops")
    rows, columns = (min(pair) for pair in zip(luma.shape, pattern.shape, strict=True))
    rows, columns = min(rows, 2048), min(columns, 2048)
    probe = Probe(np.ascontiguousarray(luma[:rows, :columns]))
    return aligned(probe.whole, pattern[:rows, :columns], 0).pce, 1


def report(
    halves: dict[str, tuple[list[str], list[str]]],
    own: dict[str, dict[str, list[tuple[float, int]]]],
    scores: dict[str, list[tuple[str, str, float, int]]],
) -> None:
    """Print the tables."""
    print("\n| camera | learnt | change | tested | matched | median PCE | AUC |")
    print("|---|---|---|---|---|---|---|")
    for name, by_change in own.items():
        everywhere = {change for change, thorough, _ in changes(EXAMPLE) if thorough}
        for change, values in by_change.items():
            same = "crops" if change in everywhere else "search"
            others = [rarity(*one[2:]) for one in scores[name] if one[1] == same and one[3]]
            hits = sum(is_match(pce, max(trials, 1)) for pce, trials in values)
            low, high = interval(hits, len(values))
            middle = np.median([pce for pce, _ in values])
            print(
                f"| {name} | {len(halves[name][0])} | {change} | {len(values)} | {hits} "
                f"({hits / len(values):.0%}, {low:.0%}–{high:.0%}) | {middle:.0f} | "
                f"{area([rarity(*one) for one in values], others):.3f} |"
            )
    print("\n| camera | search | pictures | sources | false matches | largest PCE |")
    print("|---|---|---|---|---|---|")
    total: dict[str, list[tuple[str, float, int]]] = {}
    for name, found in scores.items():
        for kind in ("search", "corner", "crops"):
            part = [one for one in found if one[1] == kind and one[3]]
            total.setdefault(kind, []).extend((one[0], one[2], one[3]) for one in part)
            row(name, kind, [(one[0], one[2], one[3]) for one in part])
    for kind, part in total.items():
        row("all", kind, part)


def row(name: str, kind: str, part: list[tuple[str, float, int]]) -> None:
    """One line of the table of false matches."""
    if not part:
        return
    hits = sum(is_match(pce, trials) for _, pce, trials in part)
    high = interval(hits, len(part))[1]
    strongest = max(part, key=lambda one: -log10_false_match(one[1], one[2]))
    print(
        f"| {name} | {kind} | {len(part)} | {len({source for source, _, _ in part})} | {hits} "
        f"(at most {high:.2%}) | {max(pce for _, pce, _ in part):.0f} "
        f"(rarest: 10^{log10_false_match(strongest[1], strongest[2]):.1f}) |"
    )


def rarity(pce: float, trials: int) -> float:
    """How unlikely the agreement is by chance, −log10; trials differ between pictures."""
    return -log10_false_match(pce, max(trials, 1))


def interval(hits: int, count: int) -> tuple[float, float]:
    """Clopper–Pearson interval of 95 %."""
    beta = scipy.stats.beta
    low = float(beta.ppf(0.025, hits, count - hits + 1)) if hits else 0.0
    high = float(beta.ppf(0.975, hits + 1, count - hits)) if hits < count else 1.0
    return low, high


def area(own: list[float], others: list[float]) -> float:
    """AUC: chance that an own picture agrees less likely by chance than another one."""
    if not own or not others:
        return float("nan")
    ranks = scipy.stats.rankdata(own + others)
    total = float(ranks[: len(own)].sum())
    return (total - len(own) * (len(own) + 1) / 2) / (len(own) * len(others))


if __name__ == "__main__":
    main()
