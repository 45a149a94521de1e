"""What the boxes of a video, a sound or a HEIC picture tell of the programs that wrote it.

Handler names stay when a file is packed again without new coding, so that they may tell of an
earlier program than the encoder text does, which the last one writes.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import BinaryIO

from bonafide.detectors.provenance._container_form import handler
from bonafide.media.boxes import Box
from bonafide.media.text_metadata import clean
from bonafide.types import Fact

_EPOCH = datetime(1904, 1, 1, tzinfo=UTC)
_FIRST, _LAST = datetime(1990, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)
_CODER = re.compile(rb"(x264 - core \d+|x265 \(build \d+\)|Lavc\d+\.\d+\.\d+)")
_HEAD = 65_536  # bytes of the coded frames in which a coder's note is looked for
_MOST = 12  # texts of one kind that are told

# Beginning of an encoder text → who writes it.
_ENCODERS = (
    (re.compile(r"Lavf[\d.]*"), "FFmpeg"),
    (re.compile(r"HandBrake"), "HandBrake"),
    (re.compile(r"Google$"), "Google"),
    (re.compile(r"(Adobe|Premiere)"), "Adobe"),
    (re.compile(r"iTunes"), "Apple iTunes"),
    (re.compile(r"com\.apple\."), "Apple"),
)
# Handler names, as written by their programs. Those of Android are MPEG4Writer's.
_HANDLERS = (
    (re.compile(r"(VideoHandle|SoundHandle)$"), "Android"),
    (re.compile(r"Core Media (Video|Audio)"), "Apple's Core Media"),
    (re.compile(r"Apple (Video|Sound|Alias)"), "Apple's QuickTime"),
    (re.compile(r"(ISO ?Media file|IsoMedia File) produced by Google", re.I), "Google (YouTube)"),
    (re.compile(r".?Mainconcept"), "an Adobe program (MainConcept)"),
    (re.compile(r"GPAC ISO (Video|Audio)"), "GPAC"),
    (re.compile(r"L-SMASH (Video|Audio)"), "L-SMASH"),
    (re.compile(r"Bento4 (Video|Sound)"), "Bento4"),
    (re.compile(r"GoPro "), "a GoPro camera"),
    (re.compile(r"DJI\."), "a DJI camera"),
)
_LAVF = re.compile(r"(VideoHandler|SoundHandler)$")


def movie_facts(boxes: Sequence[Box], stream: BinaryIO) -> dict[str, Fact]:
    """Facts of an ISO base media file; {} for one without boxes."""
    if not boxes:
        return {}
    facts: dict[str, Fact] = {"boxes": " ".join(box.kind for box in boxes if "/" not in box.path)}
    facts["boxes"] = clean(facts["boxes"])
    brands = next((box.body for box in boxes if box.kind == "ftyp"), b"")
    if brands:
        # The four bytes behind the first brand are a version number.
        names = [brands[k : k + 4].decode("latin-1") for k in (0, *range(8, len(brands), 4))]
        facts["brands"] = [clean(name, 4) for name in names[:_MOST]]
    handlers = list(dict.fromkeys(handler(box.body) for box in boxes if box.kind == "hdlr"))
    facts["handlers"] = [clean(one, 100) for one in handlers[:_MOST]]
    encoders = encoder_texts(boxes)
    facts["encoders"] = [clean(one, 100) for one in encoders[:_MOST]]
    coder = _coder(boxes, stream)
    if coder:
        facts["coder"] = coder
    facts |= _times(boxes)
    edits = [_edits(box.body) for box in boxes if box.kind == "elst"]
    if edits:
        facts["edit_lists"] = edits[:_MOST]
    last, before = writers(handlers, encoders)
    if last:
        facts["last_saved_by"] = last
        facts["matched"] = "names in the container"
    if before:
        facts["came_through"] = list(before)
    return {name: value for name, value in facts.items() if value != []}


def writers(handlers: Sequence[str], encoders: Sequence[str]) -> tuple[str, tuple[str, ...]]:
    """Who wrote the container last, "" if nothing tells, and who wrote tracks of it before."""
    names = [name.partition(" ")[2] for name in handlers]
    early = dict.fromkeys(
        who for name in names for pattern, who in _HANDLERS if pattern.match(name)
    )
    last = next((who for text in encoders for pattern, who in _ENCODERS if pattern.match(text)), "")
    if not last and any(map(_LAVF.match, names)) and not early:
        last = "FFmpeg or a program that copies its names"
    if not last and len(early) == 1:
        return next(iter(early)), ()
    return last, tuple(who for who in early if who != last)


def encoder_texts(boxes: Sequence[Box]) -> list[str]:
    """Texts that name the encoder or the device: iTunes and QuickTime tags, Apple's keys."""
    keys: list[str] = []
    found: dict[str, None] = {}
    for box in boxes:
        if box.kind == "keys":
            keys = _keys(box.body)
        elif box.kind == "data" and "/ilst/" in box.path:
            tag = box.path.split("/")[-2]
            number = _index(tag)
            name = keys[number - 1] if 0 < number <= len(keys) else tag
            if name in ("\xa9too", "\xa9swr", "\xa9enc", "\xa9mak", "\xa9mod") or re.search(
                r"(make|model|software|encoder|android\.version)$", name
            ):
                found[_text(box.body[8:])] = None
        elif box.path.startswith("moov/udta/\xa9") and box.kind[1:] in (
            "too", "swr", "enc", "mak", "mod",
        ):  # fmt: skip
            found[_text(box.body[4:])] = None
    return [text for text in found if text][:_MOST]


def _index(tag: str) -> int:
    """The number that stands in place of a tag where names are kept in a list."""
    data = bytes(int(part) if part.isdigit() else 0 for part in tag.split("\\")[1:] if part)
    return int.from_bytes(data, "big") if tag.startswith("\\0\\0") and len(data) == 4 else 0


def _keys(body: bytes) -> list[str]:
    names: list[str] = []
    position = 8
    while position + 8 <= len(body) and len(names) < 200:
        size = int.from_bytes(body[position : position + 4], "big")
        if size < 8:
            break
        names.append(body[position + 8 : position + size].decode("utf-8", "replace"))
        position += size
    return names


def _text(data: bytes) -> str:
    return clean(data.decode("utf-8", "replace").strip("\x00"), 100)


def _times(boxes: Sequence[Box]) -> dict[str, Fact]:
    """Creation and modification of the container by the clock of who wrote it."""
    body = next((box.body for box in boxes if box.path == "moov/mvhd"), b"")
    wide = 8 if body[:1] == b"\x01" else 4
    found: dict[str, Fact] = {}
    for name, start in (("created_at", 4), ("modified_at", 4 + wide)):
        seconds = int.from_bytes(body[start : start + wide], "big")
        if 0 < seconds < 1 << 34:
            when = _EPOCH + timedelta(seconds=seconds)
            if _FIRST <= when < _LAST:
                found[name] = when.isoformat()
    return found


def _edits(body: bytes) -> str:
    """An edit list in words."""
    count = int.from_bytes(body[4:8], "big")
    wide = 8 if body[:1] == b"\x01" else 4
    starts = [
        int.from_bytes(body[at + wide : at + 2 * wide], "big", signed=True)
        for at in range(8, min(len(body) - 2 * wide - 3, 8 + 20 * (2 * wide + 4)), 2 * wide + 4)
    ]
    empty = sum(start == -1 for start in starts)
    real = next((start for start in starts if start >= 0), 0)
    return (
        f"{count} part{'' if count == 1 else 's'}, {empty} empty, starting at {real} of the "
        "track's time units"
    )


def _coder(boxes: Sequence[Box], stream: BinaryIO) -> str:
    """The note that x264, x265 or FFmpeg leaves before its first frame, "" without one."""
    for box in boxes:
        if box.path == "mdat":
            stream.seek(box.offset)
            found = _CODER.search(stream.read(min(box.size, _HEAD)))
            return found[1].decode("ascii") if found else ""
    return ""
