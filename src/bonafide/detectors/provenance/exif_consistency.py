"""Does what EXIF says agree with itself and with the picture?

What it looks for
    Contradictions: a thumbnail that shows something else, sizes and dates that do not fit, a maker
    note of another maker, a camera that wrote next to nothing, impossible positions.

Why it works
    A camera writes all fields at one moment. Editors update some and forget others, above all the
    thumbnail; forgers usually write the two or three fields that people look at.

When it fails
    EXIF can be forged without contradiction, and is lost in most uploads. Genuine pictures
    contradict themselves too: after resizing, with a wrongly set clock, with rare or rebadged
    cameras. A contradiction says that the file was touched, not that the picture deceives. Dates
    in the future are told by the clock of the examining machine.

How to read it
    The score is a sum of weights (3 for a foreign thumbnail or maker note, 1 to 2 for the rest).
    Each contradiction is a fact of its own in words. Editing software alone is none: most honest
    photographs pass through some. It never claims a verdict. Where an old thumbnail survived a
    local edit, the map marks the parts that it shows otherwise.

Reference
    CIPA DC-008-2023, "Exchangeable image file format for digital still cameras: Exif Version 3.0",
    2023; E. Kee, M. K. Johnson, H. Farid, "Digital Image Authentication from JPEG Headers", IEEE
    Transactions on Information Forensics and Security 6(3), 2011.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import numpy as np

from bonafide.detectors.provenance._exif_history import history
from bonafide.detectors.provenance._exif_times import Result, check_dates, check_gps, read_dates
from bonafide.errors import MediaError
from bonafide.media.context import Context
from bonafide.media.image import Image
from bonafide.media.makers import (
    ALWAYS_MAKER_NOTE,
    camera_name,
    editor,
    is_known_make,
    make_words,
    maker_of_note,
)
from bonafide.media.metadata import open_thumbnail
from bonafide.media.shared import XMP
from bonafide.media.text_metadata import clean, quote
from bonafide.media.xmp import TIFF, XMP_BASIC, Property, values
from bonafide.signals.heavy import cv2
from bonafide.signals.thumbnail import Comparison, compare
from bonafide.types import (
    Card,
    Fact,
    Measured,
    Measurement,
    NotApplicable,
    Profile,
    Question,
    Region,
    ScoreMap,
)

_CONTRADICTIONS = {
    "thumbnail_differs": (3.0, "how the EXIF thumbnail differs from the picture"),
    "maker_note_disagrees": (3.0, "whose maker note it is instead"),
    "dates_disagree": (2.0, "which dates are impossible or out of order"),
    "gps_implausible": (2.0, "what is impossible in the position"),
    "xmp_disagrees": (2.0, "where XMP and EXIF name different cameras"),
    "fields_missing": (1.5, "what every camera writes and is absent here"),
    "make_unknown": (1.0, "the maker that is not known to make cameras"),
    "size_disagrees": (1.0, "the size that EXIF gives, against the real one"),
}

CARD = Card(
    id="exif_consistency",
    version="1",
    question=Question.PROVENANCE,
    title="Consistency of EXIF data",
    profile=Profile.TRIAGE,
    facts={
        **{name: meaning for name, (_, meaning) in _CONTRADICTIONS.items()},
        "contradictions": "names of the facts above that are present [list of names]",
        "checks": "checks that could be made [count]",
        "camera": "maker and model that EXIF name",
        "captured_at": "time of capture by the camera's clock [ISO 8601 without zone]",
        "editing_software": "editing or converting programs that the metadata name [list]",
        "thumbnail_correlation": "best correlation of thumbnail and picture [-1 to 1]",
        "notes": "weak signs that do not count [list of sentences]",
    },
    history=history,
    paper="CIPA DC-008-2023 (Exif 3.0), 2023; Kee, Johnson, Farid, TIFS 6(3), 2011",
    limits="A score of 2 or more was reached by 5 of 5 files with forged EXIF (all forged alike), "
    "1 of 49 genuine ones (a camera with a wrong clock) and 2 of 45 bona fide pictures (both "
    "cropped after their thumbnail was made); 12 of these 94 have some contradiction, mostly a "
    "reduced size. Real edits rarely show: none of 23 manipulated pictures with EXIF, since "
    "editors renew thumbnail and size. Copied EXIF of a similar photograph is not noticed. With "
    "the old thumbnail kept, pastes of 5, 10 and 20 % were all marked (80 each); none of 93 "
    "collected thumbnails was marked in part.",
)

_DIFFERENT = 0.75  # unrelated pictures correlate less in 479 of 480 pairs, genuine ones more
_PART = 0.9  # no unrelated pair of 480 correlates as well with a part
_CAPTURE_FIELDS = (
    "ExifVersion",
    "ExposureTime",
    "FNumber",
    "ISOSpeedRatings",
    "FocalLength",
    "ShutterSpeedValue",
    "ApertureValue",
    "ExposureProgram",
)
CONTRADICTORY = 2  # weighted contradictions, reached by 1 of 89 honest files and 5 of 5 forged ones


class Detector:
    """Compares EXIF fields with each other, with XMP, and with the picture."""

    def measure(self, ctx: Context) -> Measured:
        """Return a finding whose score is the weighted number of contradictions."""
        media = ctx.image
        exif = media.metadata.exif
        if not exif:
            return NotApplicable(
                "the file has no EXIF data, as after most uploads, which proves nothing"
            )
        properties = ctx.get(XMP)
        results: list[tuple[str, str]] = []
        facts: dict[str, Fact] = {}
        notes: list[str] = []
        camera = camera_name(_text(exif, "Make"), _text(exif, "Model"))
        software = _software(media, properties)
        dates, broken = read_dates(exif)
        checks = 0
        comparison = _compare(media, notes)
        if comparison:
            facts["thumbnail_correlation"] = round(comparison.correlation, 3)
        for applicable, found in (
            _check_thumbnail(comparison),
            _check_size(media),
            check_dates(media, dates, broken),
            check_gps(media),
            *_check_maker(media, notes, bool(software)),
            _check_xmp(exif, properties),
        ):
            checks += applicable
            results += found
        if not checks and not camera:
            return NotApplicable("the EXIF data hold nothing that could be checked")
        facts |= dict(results)
        facts["contradictions"] = [name for name, _ in results]
        facts["checks"] = checks
        facts["editing_software"] = list(software)
        facts["notes"] = list(notes)
        if camera:
            facts["camera"] = camera
        if "DateTimeOriginal" in dates:
            facts["captured_at"] = dates["DateTimeOriginal"].isoformat()
        score = sum(_CONTRADICTIONS[name][0] for name, _ in results)
        whole = "more than" in str(facts.get("thumbnail_differs", ""))
        regions, maps = _marked(media, None if whole else comparison)
        return [
            Measurement(
                score=float(score),
                facts=facts,
                summary=_summary(results, facts),
                regions=regions,
                maps=maps,
                contradiction=score >= CONTRADICTORY,
            )
        ]


def _compare(media: Image, notes: list[str]) -> Comparison | None:
    """The EXIF thumbnail against the picture, None where there is nothing to compare."""
    data = media.metadata.thumbnail
    if data is None:
        return None
    try:
        thumbnail = np.asarray(open_thumbnail(data).convert("L"), np.float32)
    except Exception as error:  # decoders raise nearly anything on damaged input
        notes.append(f"the thumbnail cannot be decoded: {quote(str(error))}")
        return None
    try:
        return compare(media.luma, thumbnail)
    except MediaError:  # the fields can be compared all the same
        return None


def _check_thumbnail(found: Comparison | None) -> Result:
    if found is None:
        return 0, []
    better = found.crop_correlation > found.correlation + 0.05
    text = ""
    if found.crop_correlation >= _PART and better and found.crop_scale < 0.93:
        text = (
            f"it shows more than the picture, which is about {round(100 * found.crop_scale)} % of "
            "it, as after a crop"
        )
    elif found.correlation < _DIFFERENT:
        text = f"it shows something else (correlation {found.correlation:.2f})"
    elif found.changed.any():
        text = f"it differs in {100 * float(found.changed.mean()):.1f} % of the picture"
    return 1, [("thumbnail_differs", text)] if text else []


def _marked(
    media: Image, found: Comparison | None
) -> tuple[tuple[Region, ...], tuple[ScoreMap, ...]]:
    """Regions and map of the parts that differ from an otherwise equal thumbnail."""
    if found is None or found.correlation < _DIFFERENT or not found.changed.any():
        return (), ()
    rows, columns = found.changed.shape
    _, _, stats, _ = cv2.connectedComponentsWithStats(found.changed.astype(np.uint8))
    regions = []
    for x, y, width, height, area in stats[1:].tolist():
        left, right = x * media.width // columns, -(-(x + width) * media.width // columns)
        top, bottom = y * media.height // rows, -(-(y + height) * media.height // rows)
        share = area / found.changed.size
        regions.append(Region(left, top, right - left, bottom - top, round(share, 4)))
    # Cells of about a pixel of the thumbnail; it tells no more.
    cell = max(1, min(media.height // rows, media.width // columns))
    down, right = (
        np.minimum(np.arange(0, length, cell) + cell // 2, length - 1) * count // length
        for length, count in ((media.height, rows), (media.width, columns))
    )
    cells = found.changed[np.ix_(down, right)].astype(np.float32)
    ordered = sorted(regions, key=lambda region: -(region.score or 0.0))
    return tuple(ordered[:20]), (ScoreMap(cells, cell, media.width, media.height),)


def _check_size(media: Image) -> Result:
    width, height = (media.metadata.exif.get(f"ExifImage{side}") for side in ("Width", "Height"))
    if not isinstance(width, int) or not isinstance(height, int) or min(width, height) < 1:
        return 0, []
    if sorted((width, height)) == sorted((media.width, media.height)):
        return 1, []
    return 1, [
        (
            "size_disagrees",
            f"EXIF gives {width}×{height} pixels, the picture has {media.width}×{media.height}",
        )
    ]


def _check_maker(media: Image, notes: list[str], edited: bool) -> list[Result]:
    exif = media.metadata.exif
    make, model = _text(exif, "Make"), _text(exif, "Model")
    value = exif.get("MakerNote")
    note, words = value if isinstance(value, bytes) else b"", make_words(make)
    results: list[Result] = []
    signed = maker_of_note(note)
    if make and note:
        wrong = None
        if signed and not any(word.startswith(signed[1]) for word in words):
            wrong = f"the maker note begins with {quote(signed[0])}, but the maker is {quote(make)}"
        elif not signed and "apple" in words:
            wrong = "the maker is “Apple”, but the maker note is none of Apple's"
        results.append((1, [("maker_note_disagrees", wrong)] if wrong else []))
    if make:
        unknown = [] if is_known_make(make) else [("make_unknown", quote(make))]
        results.append((1, unknown))
    if make and model:
        bare = not any(name in exif for name in _CAPTURE_FIELDS)
        missing = "no EXIF version, exposure, aperture, sensitivity or focal length is given"
        results.append((1, [("fields_missing", missing)] if bare else []))
    if words & ALWAYS_MAKER_NOTE and not note and not edited:
        notes.append(
            f"cameras of {quote(make)} write a maker note, which is absent although no editing "
            "program is named"
        )
    structure = media.jpeg
    if make and structure and structure.segments[:1] and structure.segments[0][0] == "APP0":
        notes.append("the file begins with a JFIF header, which software writes and few cameras do")
    return results


def _check_xmp(exif: Mapping[str, object], properties: tuple[Property, ...]) -> Result:
    problems, checked = [], 0
    for name in ("Make", "Model"):
        own = _text(exif, name)
        others = values(properties, name, TIFF)
        if own and others:
            checked = 1
            if _letters(own) != _letters(others[0]):
                problems.append(f"{name} is {quote(own)} in EXIF and {quote(others[0])} in XMP")
    return checked, [("xmp_disagrees", "; ".join(problems))] if problems else []


def _software(media: Image, properties: tuple[Property, ...]) -> tuple[str, ...]:
    """Editing programs named in EXIF, XMP or JPEG markers, in order of appearance, at most ten."""
    texts = [_text(media.metadata.exif, name) for name in ("Software", "ProcessingSoftware")]
    texts += values(properties, "CreatorTool", XMP_BASIC)[:5]
    texts += values(properties, "softwareAgent")[:50]
    names = [name for name in map(editor, texts) if name]
    # Photoshop's "Save for Web" leaves a marker of its own, APP12 "Ducky".
    head = media.data[: 1 << 20] if media.format == "JPEG" else b""
    if re.search(rb"\xff\xec..Ducky", head, re.DOTALL):
        names.append("Adobe Photoshop")
    return tuple(dict.fromkeys(names))[:10]


def _summary(results: list[tuple[str, str]], facts: Mapping[str, Fact]) -> str:
    camera = f" (camera {quote(facts['camera'])})" if "camera" in facts else ""
    if results:
        number = "one point" if len(results) == 1 else f"{len(results)} points"
        strongest = max(results, key=lambda result: _CONTRADICTIONS[result[0]][0])
        subject = strongest[0].replace("_", " ")
        return (
            f"The EXIF data{camera} contradict themselves or the picture in {number}, above all "
            f"{subject}: {strongest[1]}."
        )
    through, software = "", facts["editing_software"]
    if isinstance(software, list) and software:
        through = f", and name the software {quote(', '.join(map(str, software)))}"
    return (
        f"The EXIF data{camera} agree with themselves and the picture in the {facts['checks']} "
        f"checks that were possible{through}, though EXIF can be forged."
    )


def _text(exif: Mapping[str, object], name: str) -> str:
    value = exif.get(name)
    return clean(value, 200) if isinstance(value, str) else ""


def _letters(text: str) -> str:
    return "".join(filter(str.isalnum, text.lower()))
