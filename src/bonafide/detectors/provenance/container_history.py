"""Which program, camera or service wrote the file last, told from its container alone.

What it looks for
    How the file was written: in a JPEG the order of segments, quantisation and Huffman tables,
    sampling, scans, restart markers, the thumbnail's tables and bytes behind the picture; in a PNG
    the order and size of chunks, the compressor and the filters; the layout of a WebP; in MP4, MOV,
    HEIC and AVIF the boxes, brands, handler and encoder names, edit lists and times. It also says
    where name or size are those of a messenger, a camera or a screen.

Why it works
    A program writes all of its files in the same way, and a file that is saved again is written in
    the way of the last program. Names of handlers often stay when a video is packed again, so that
    an earlier program shows.

When it fails
    Most programs share a few libraries, so that often the library is all that can be told. A
    program that is not in the table may write as one that is. Programs that copy bytes (metadata
    editors) leave the container as it was. Names, sizes, texts and times can be set by anybody.

How to read it
    As a statement about the last save, nothing more. Nearly every photograph that is shared was
    saved again by a program or a service, often with the EXIF of the camera kept: this is no
    contradiction, and it accuses nobody. A table of the camera that EXIF names speaks for an
    untouched file, and proves it no more than EXIF does.

Reference
    ITU-T T.81, 1992; ISO/IEC 15948, 2004; ISO/IEC 14496-12, 2022; H. Farid, "Digital Image
    Ballistics from JPEG Quantization", 2006; E. Kee, M. K. Johnson, H. Farid, "Digital Image
    Authentication from JPEG Headers", IEEE Transactions on Information Forensics and Security 6(3),
    2011.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from bonafide.detectors.provenance._container_form import (
    filters_name,
    plain_order,
    scaled,
    tables_name,
)
from bonafide.detectors.provenance._container_movie import movie_facts
from bonafide.detectors.provenance._container_names import (
    named_like,
    screen_of,
    screen_program,
    sized_like,
)
from bonafide.detectors.provenance._container_table import CAMERA, keys_of, named, table
from bonafide.media.boxes import read_boxes
from bonafide.media.chunks import read_png_writing, webp_chunks
from bonafide.media.context import Context
from bonafide.media.image import Image
from bonafide.media.jpeg_writing import JpegWriting, read_writing
from bonafide.media.makers import camera_name, is_known_make
from bonafide.media.media import Media
from bonafide.media.text_metadata import clean, quote, text_fields
from bonafide.types import (
    Card,
    Event,
    Fact,
    Kind,
    Measured,
    Measurement,
    NotApplicable,
    Profile,
    Question,
)

_BOXED = ("MP4", "MOV", "M4A", "HEIC", "AVIF")
_MATCHED = {
    "whole": "all that is compared",
    "near": "all but metadata",
    "grammar": "all but metadata and tables",
}


def history(facts: Mapping[str, Fact]) -> Iterator[Event]:
    """Earlier programs, the container's own time, and the last save."""
    earlier = facts.get("came_through")
    for one in earlier if isinstance(earlier, list) else []:
        yield Event("", f"Written by {one}", "", "names in the container", "stated")
    if facts.get("created_at"):
        yield Event(str(facts["created_at"]), "Container begun", "", "container", "stated")
    if facts.get("last_saved_by"):
        programs = facts.get("programs")
        told = ", ".join(map(str, programs)) if isinstance(programs, list) else ""
        detail = f"Programs that write exactly so: {told}" if told else ""
        what = f"Last saved by {facts['last_saved_by']}"
        yield Event("", what, detail, "way of writing", "stated", last=True)


CARD = Card(
    id="container_history",
    version="1",
    question=Question.PROVENANCE,
    title="How the file was written",
    kinds=(Kind.IMAGE, Kind.VIDEO, Kind.AUDIO),
    profile=Profile.TRIAGE,
    facts={
        "last_saved_by": "library, program or kind of camera that writes files in this way",
        "programs": "programs that wrote exactly so when the table was built [list of names]",
        "matched": "what agreed with the table, or where the name stands",
        "table_files": "files of the table that are written so [count]",
        "table_sources": "sources that those came from [count]",
        "camera_in_exif": "maker and model that EXIF name",
        "segments": "segments of a JPEG before its first scan, in order",
        "quantisation": "known tables that were scaled, and their quality, or a hash of the tables",
        "subsampling": "sampling factors of each component [horizontal × vertical]",
        "huffman": "Huffman tables of a JPEG: standard (annex K), optimised or none",
        "scans": "scans of a progressive JPEG [count]",
        "restart_interval": "MCUs between restart markers, 0 for none [count]",
        "jfif": "version, unit and density in the JFIF header",
        "comment": "beginning of the JPEG comment",
        "thumbnail": "tables of the thumbnail in EXIF: known tables and quality, or their hash",
        "trailing_bytes": "bytes behind the picture [bytes]",
        "trailer": "what those bytes look like",
        "chunks": "chunks of a PNG or WebP in order, runs of the same kind once",
        "packet_bytes": "size of the largest IDAT chunk [bytes]",
        "zlib_level": "compression level that the zlib header hints at [0 fastest to 3]",
        "zlib_window": "window of the compressor [bytes]",
        "filters": "filters of the first rows of a PNG",
        "pixels_per_metre": "resolution that a PNG gives, 0 for none [pixels per metre]",
        "boxes": "outermost boxes of an ISO base media file, in order",
        "brands": "brands of an ISO base media file [list]",
        "handlers": "types and names of its handlers [list]",
        "encoders": "texts that name encoder, program or device [list]",
        "coder": "note of the video coder before its first frame",
        "created_at": "creation of the container by its own clock [ISO 8601]",
        "modified_at": "last modification of the container by its own clock [ISO 8601]",
        "edit_lists": "edit lists in words [list]",
        "came_through": "programs that wrote its tracks before the last one [list of names]",
        "named_like": "who gives files such names",
        "sized_like": "who scales pictures to this longest side; others do so as well",
        "screen_size": "whose screens have exactly this size; other pictures have it as well",
        "screenshot_field": "metadata field that calls the picture a screenshot",
    },
    history=history,
    paper="Kee, Johnson, Farid, TIFS 6(3), 2011; Farid, Digital Image Ballistics from JPEG "
    "Quantization, 2006",
    limits="Says who could have written the file last, and accuses nobody. docs/provenance.md says "
    "how often the name was right on programs and sources that were held out.",
)


class Detector:
    """Reads the structure of the file and looks it up."""

    def measure(self, ctx: Context) -> Measured:
        """Return a measurement without a score: facts, and who wrote the file last."""
        media = ctx.media
        facts = _structure(media)
        if not facts:
            return NotApplicable(f"the way in which {media.format} files are written is not read")
        answer = named(keys_of(media), table()) if "last_saved_by" not in facts else None
        if answer is not None:
            facts["last_saved_by"] = answer.by
            facts["programs"] = list(answer.programs)
            facts["matched"] = _MATCHED[answer.level]
            facts["table_files"], facts["table_sources"] = answer.files, answer.sources
        if like := named_like(media.name):
            facts["named_like"] = like
        if media.image is not None:
            facts |= _of_picture(media.image)
        return [Measurement(facts=facts, summary=_summary(facts))]


def _structure(media: Media) -> dict[str, Fact]:
    """How the file is written, {} where its container is not read."""
    if media.format in _BOXED:
        with media.open() as stream:
            return movie_facts(read_boxes(stream, media.size), stream)
    if media.image is None:
        return {}
    if media.format == "JPEG":
        return _of_jpeg(media.image)
    if media.format == "PNG":
        return _of_png(media.image)
    chunks = webp_chunks(media.image.data)
    return {"chunks": " ".join(chunks)} if chunks else {}


def _of_jpeg(image: Image) -> dict[str, Fact]:
    writing = read_writing(image.data)
    if writing is None:
        return {}
    facts: dict[str, Fact] = {
        "segments": clean(plain_order(writing)),
        "quantisation": _tables(writing),
        "subsampling": ", ".join(f"{h}×{v}" for _, h, v, _ in writing.components),
        "huffman": writing.huffman,
        "restart_interval": writing.restart,
        "trailing_bytes": writing.trailing,
    }
    optional: dict[str, Fact] = {
        "scans": len(writing.scans.split()),
        "jfif": writing.jfif,
        "comment": clean(writing.comment, 100),
        "trailer": writing.trailer,
    }
    facts |= {name: value for name, value in optional.items() if value}
    small = read_writing(image.metadata.thumbnail or b"")
    if small is not None:
        facts["thumbnail"] = _tables(small)
    return facts


def _tables(writing: JpegWriting) -> str:
    known = scaled(writing)
    if known.base:
        return f"{known.base} at quality {known.quality}"
    return f"own tables, {tables_name(writing)}"


def _of_png(image: Image) -> dict[str, Fact]:
    writing = read_png_writing(image.data)
    if writing is None:
        return {}
    return {
        "chunks": " ".join(writing.names),
        "packet_bytes": max(writing.packets),
        "zlib_level": writing.level,
        "zlib_window": writing.window,
        "filters": filters_name(writing),
        "pixels_per_metre": writing.density,
        "trailing_bytes": writing.trailing,
    }


def _of_picture(image: Image) -> dict[str, Fact]:
    """What EXIF names and sizes suggest."""
    exif = image.metadata.exif
    make, model = (clean(exif.get(name), 60) for name in ("Make", "Model"))
    if make and is_known_make(make):
        return {"camera_in_exif": camera_name(make, model)}
    found: dict[str, Fact] = {
        "sized_like": sized_like(image.width, image.height) if image.format == "JPEG" else "",
        "screen_size": screen_of(image.width, image.height),
        "screenshot_field": screen_program(text_fields(image.metadata)),
    }
    return {name: value for name, value in found.items() if value}


def _summary(facts: Mapping[str, Fact]) -> str:
    by = facts.get("last_saved_by")
    also = _also(facts)
    if not by:
        return (
            "The way in which the file is written is not in the table of programs and cameras, "
            f"which proves nothing{also}."
        )
    programs = facts.get("programs")
    names = [str(one) for one in programs if one != by] if isinstance(programs, list) else []
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    use = f" (for example {', '.join(names[:3])}{more})" if names else ""
    camera = facts.get("camera_in_exif")
    if facts.get("came_through"):
        earlier = facts["came_through"]
        through = ", ".join(map(str, earlier)) if isinstance(earlier, list) else str(earlier)
        also += f", and names of an earlier program are left ({through})"
    if camera and not _wrote(str(by), str(camera)):
        also += (
            f", after the camera {quote(camera)} that EXIF names, as with most photographs that "
            "are shared"
        )
    if facts.get("matched") not in _MATCHED.values():
        return f"Names in the container say that the file was last saved by {by}{also}."
    return f"The file was last saved by {by}{use} or by what writes the same way{also}."


def _wrote(by: str, camera: str) -> bool:
    """Whether the last save may be the camera's own."""
    maker = next(iter(camera.lower().split()), "")
    return by.startswith(CAMERA) or (len(maker) > 2 and maker in by.lower())


def _also(facts: Mapping[str, Fact]) -> str:
    parts = []
    if facts.get("named_like"):
        parts.append(f"its name is like those of {facts['named_like']}")
    if facts.get("screenshot_field"):
        parts.append(f"{facts['screenshot_field']} calls it a screenshot")
    elif facts.get("screen_size"):
        parts.append(f"it has the size of a screen ({facts['screen_size']})")
    return "".join(f"; {part}" for part in parts)
