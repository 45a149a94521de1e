"""Build the table of containers that ships, and measure on sources that were held out.

    python tools/container_table.py --made OUT --found FOLDER [--found FOLDER ...] [--write]
    python tools/container_table.py --survey FOLDER

OUT is what tools/container_encoders.py wrote. FOLDER holds pictures with metadata, one folder per
source; who last saved them is taken from what EXIF names: an editing program, or else the camera.
Prints how often the names are right on what was held out; --write writes the table. --survey prints
what the detector says of the files of FOLDER/manifest.csv (path, label).
"""

from __future__ import annotations

import argparse
import csv
import json
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from scipy.stats import beta

from bonafide.detectors.provenance import container_history
from bonafide.detectors.provenance._container_form import LEVELS, short
from bonafide.detectors.provenance._container_table import (
    CAMERA,
    FILE,
    Entry,
    Table,
    keys_of,
    named,
)
from bonafide.errors import BonafideError
from bonafide.media.limits import Limits
from bonafide.media.makers import editor, is_known_make
from bonafide.media.source import open_media
from bonafide.testing import measure
from bonafide.types import Status

LIBRARIES = {
    "libjpeg": (
        "cjpeg jpegtran pillow opencv jpegoptim imagemagick gm vips sharp chromium php-gd gimp java"
    ),
    "MozJPEG": "mozjpeg sharp-mozjpeg",
    "libpng": (
        "opencv imagemagick gm vips sharp chromium php-gd gimp netpbm pngquant optipng pngcrush"
    ),
    "libwebp": "pillow opencv imagemagick gm vips sharp chromium php-gd ffmpeg cwebp",
    "libavif": "pillow libavif",
    "libheif": "sharp libheif",
    "jpeg-js": "jpeg-js jimp",
    "pngjs": "pngjs jimp",
}
# Programs named in EXIF whose encoders are known; those of others cannot be judged.
# Photographs of iPhones and those that a Mac saved for other cameras are written alike.
APPLE = "Apple's encoder (iPhone, iPad or Mac)"
OPEN_PROGRAMS = ("GIMP", "ImageMagick", "darktable", "digiKam", "RawTherapee", "Shotwell")
OF_KIND = {"jpeg": "libjpeg", "png": "libpng", "webp": "libwebp"}
KINDS = {"jpg": "libjpeg MozJPEG jpeg-js", "png": "libpng pngjs", "webp": "libwebp",
         "avif": "libavif libheif", "heic": "libheif"}  # fmt: skip
TITLES = {
    "pillow": "Pillow", "opencv": "OpenCV", "guetzli": "Guetzli", "imagemagick": "ImageMagick",
    "gm": "GraphicsMagick", "ffmpeg": "FFmpeg", "vips": "libvips",
    "sharp-mozjpeg": "sharp with MozJPEG", "mozjpeg": "MozJPEG", "chromium": "Chromium",
    "jimp": "Jimp", "go": "Go's image package", "java": "Java's ImageIO", "php-gd": "PHP with GD",
    "gimp": "GIMP", "optipng": "OptiPNG", "advancecomp": "AdvanceCOMP", "zopfli": "Zopfli",
    "netpbm": "Netpbm",
}  # fmt: skip
SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".heic", ".avif")
LIMITS = Limits(pixels=200_000_000)
MOST_WRITERS = 20  # per key


@dataclass(frozen=True)
class Seen:
    """One file: where it comes from, who wrote it with which library ("" if unknown), its keys.

    A source is a collection with a camera or a version of a program; collections are held out.
    """

    collection: str
    source: str
    writer: str
    library: str
    keys: Mapping[str, str]
    made: bool


def made(folder: Path) -> list[Seen]:
    """Files of tools/container_encoders.py."""
    found = []
    with (folder / "manifest.csv").open(newline="") as file:
        for row in csv.DictReader(file):
            try:
                keys = keys_of(open_media(str(folder / row["path"])))
            except BonafideError as error:  # an encoder that failed on this photograph
                print(f"left out: {error}")
                continue
            if keys:
                writer = row["writer"]
                title = TITLES.get(writer, writer)
                library = library_of(writer, Path(row["path"]).suffix[1:]) or title
                found.append(Seen(row["source"], row["source"], title, library, keys, True))
    return found


def library_of(writer: str, ending: str) -> str:
    """The library with which a program writes files of this ending, "" for one of its own."""
    known = (name for name in KINDS[ending].split() if writer in LIBRARIES[name].split())
    return next(known, "")


def found(folder: Path) -> list[Seen]:
    """Files whose metadata name a program or a camera."""
    result = []
    for path in sorted(folder.rglob("*")):
        if path.suffix.lower() not in SUFFIXES:
            continue
        try:
            media = open_media(str(path), limits=LIMITS)
            writer, which = told(media.image.metadata.exif) if media.image else ("", "")
            keys = keys_of(media) if writer else {}
        except BonafideError:
            continue
        if keys:
            collection = path.relative_to(folder).parts[0]
            kind = keys["whole"].split("|")[0]
            library = OF_KIND.get(kind, "") if writer in OPEN_PROGRAMS else ""
            source = f"{collection}: {which}"
            result.append(Seen(collection, source, writer, library, keys, False))
    return result


def untouched(seen: list[Seen]) -> list[Seen]:
    """Without files of cameras that a program wrote: it kept the EXIF.

    Cameras write no JFIF header, and no two makers use the same tables of their own; where files
    that name several makers have the same, a program wrote all files of that grammar.
    """
    makers: dict[str, set[str]] = defaultdict(set)
    for one in seen:
        if is_camera(one) or one.writer == APPLE:
            makers[one.keys["near"]].add(one.writer)
    shared = {
        one.keys["grammar"] for one in seen
        if "own tables" in one.keys.get("grammar", "") and len(makers[one.keys["near"]]) > 1
    }  # fmt: skip
    return [
        one for one in seen
        if not is_camera(one)
        or not ("JFIF" in one.keys["whole"] or one.keys["grammar"] in shared)
    ]  # fmt: skip


def is_camera(one: Seen) -> bool:
    """Whether EXIF names a camera other than Apple's, and no program."""
    return not one.made and one.writer.startswith(CAMERA)


def told(exif: Mapping[str, object]) -> tuple[str, str]:
    """Who last saved a file by its EXIF, a program or else a maker of cameras, and which."""
    software, make, model = (str(exif.get(name) or "") for name in ("Software", "Make", "Model"))
    program = editor(software)
    if program:
        return program, software.strip()
    if not is_known_make(make):
        return "", ""
    word = make.lower().split()[0].strip(",.")
    if word == "apple":
        return APPLE, model.strip()
    maker = {"eastman": "Kodak", "lg": "LG", "htc": "HTC", "dji": "DJI"}.get(word, word.title())
    return f"{CAMERA} by {maker}", model.strip()


def table_of(seen: Iterable[Seen]) -> Table:
    """Count files and sources by key and writer."""
    files: dict[str, Counter[tuple[str, str]]] = defaultdict(Counter)
    sources: dict[tuple[str, str, str], set[str]] = defaultdict(set)
    for one in seen:
        library = one.library if one.made else ""
        for level, key in one.keys.items():
            place = f"{level[0]}{short(key)}"
            files[place][one.writer, library] += 1
            sources[place, one.writer, library].add(one.source)
    return {
        place: tuple(
            Entry(writer, library, count, len(sources[place, writer, library]))
            for (writer, library), count in counts.most_common()
        )
        for place, counts in files.items()
    }


def survey(folder: Path) -> None:
    """Print what the detector says of the files of a manifest, by container and label."""
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    detector, earlier = container_history.Detector(), Counter[str]()
    with (folder / "manifest.csv").open(newline="") as file:
        for row in csv.DictReader(file):
            try:
                media = open_media(str(folder / row["path"]), limits=LIMITS)
                finding = measure(detector, media, container_history.CARD)
            except BonafideError:
                continue
            if finding.status is not Status.OK:
                continue
            group = f"{'films' if media.image is None else 'pictures'}, {row['label']}"
            counts[group][str(finding.facts.get("last_saved_by") or "no name")] += 1
            earlier[group] += "came_through" in finding.facts
    for label, names in sorted(counts.items()):
        cameras = sum(count for name, count in names.items() if name.startswith(CAMERA))
        total = names.total()
        print(f"\n{label}: named {interval(total - names['no name'], total)}, "
              f"as by a camera {interval(cameras, total)}, "
              f"an earlier program as well {earlier[label]}")  # fmt: skip
        print("  " + ", ".join(f"{name} {count}" for name, count in names.most_common(12)))


def interval(hits: int, tries: int) -> str:
    """A share with its 95 % interval (Clopper and Pearson)."""
    if not tries:
        return "0 of 0"
    low = float(beta.ppf(0.025, hits, tries - hits + 1)) if hits else 0.0
    high = float(beta.ppf(0.975, hits + 1, tries - hits)) if hits < tries else 1.0
    return f"{hits} of {tries} ({100 * hits / tries:.1f} %, {100 * low:.1f} to {100 * high:.1f})"


def check(seen: list[Seen]) -> None:
    """Print how often names are right for what the table was not built from."""
    made = [one for one in seen if one.made]
    held_out(
        "photographs held out, libraries of files made here", seen, made, lambda one: one.collection
    )
    held_out("programs held out, libraries of files made here", seen, made, lambda one: one.writer)
    others = [one for one in seen if not one.made]
    told = "files found; truth is what EXIF names"
    held_out(f"collections held out, {told}", seen, others, lambda one: one.collection)
    held_out(
        f"camera models and program versions held out, {told}",
        seen, others, lambda one: one.source.partition(": ")[2],
    )  # fmt: skip


def held_out(title: str, seen: list[Seen], asked: list[Seen], group: Callable[[Seen], str]) -> None:
    """Print how often a name is given and right, when the group of a file is left out."""
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    mistakes: Counter[tuple[str, str, str]] = Counter()
    for name in sorted({group(one) for one in asked}):
        table = table_of(untouched([one for one in seen if group(one) != name]))
        for one in (one for one in asked if group(one) == name):
            answer = named(one.keys, table)
            kind = one.keys["whole"].split("|")[0]
            if not one.made:
                kind += " of cameras" if is_camera(one) else " of programs and of Apple"
            count = counts[kind]
            count["files"] += 1
            if answer is None:
                continue
            count["named"] += 1
            truth = {one.library, one.writer} - {""}
            count["a camera"] += answer.by == CAMERA
            if answer.by in truth or (answer.by == CAMERA and one.writer.startswith(CAMERA)):
                count["right"] += 1
            elif not one.made and answer.made and not one.library:
                # A program saved it after the one that EXIF names, or that one uses the library.
                count["saved again"] += 1
            else:
                count["wrong"] += 1
                mistakes[one.writer, answer.by, answer.level] += 1
    print(f"\n{title}")
    for kind, count in sorted(counts.items()):
        judged = count["right"] + count["wrong"]
        print(f"  {kind}: named {interval(count['named'], count['files'])}")
        if count["a camera"]:
            print(f"    as a camera, without a maker: {count['a camera']}")
        if count["saved again"]:
            print(f"    a library that EXIF does not name: {count['saved again']}")
        print(f"    right of those that can be judged: {interval(count['right'], judged)}")
    for (writer, answer_by, level), number in mistakes.most_common(20):
        print(f"      {number:4} {writer} → {answer_by} ({level})")


def main() -> None:
    """Measure, and write the table where that is asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--survey", type=Path)
    parser.add_argument("--made", type=Path)
    parser.add_argument("--found", type=Path, action="append", default=[])
    parser.add_argument("--write", action="store_true")
    given = parser.parse_args()
    if given.survey:
        survey(given.survey)
        return
    seen = made(given.made)
    for folder in given.found:
        seen += found(folder)
    print(f"{sum(one.made for one in seen)} files made here, "
          f"{sum(not one.made for one in seen)} found with a name in EXIF, "
          f"of {len({one.collection for one in seen if not one.made})} collections")  # fmt: skip
    check(seen)
    if given.write:
        table = table_of(untouched(seen))
        kept = {
            place: entries
            for place, entries in sorted(table.items())
            # What one source alone shows does not generalise.
            if any(e.library for e in entries) or sum(e.sources for e in entries) > 1
        }
        writers = sorted({(e.writer, e.library) for entries in kept.values() for e in entries})
        keys = {
            place: [[writers.index((e.writer, e.library)), e.files, e.sources]
                    for e in entries[:MOST_WRITERS]]
            for place, entries in kept.items()
        }  # fmt: skip
        lines = ",\n".join(f"{json.dumps(k)}:{json.dumps(v, separators=(',', ':'))}"
                           for k, v in keys.items())  # fmt: skip
        FILE.write_text(f'{{"writers":{json.dumps(writers)},\n"keys":{{\n{lines}\n}}}}\n')
        print(f"{len(keys)} keys, {FILE.stat().st_size:,} bytes, levels {LEVELS}")


if __name__ == "__main__":
    main()
