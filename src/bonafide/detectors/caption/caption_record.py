"""What a caption says of day, place and persons, against what the file says of itself.

What it looks for
    Dates of the caption and the day on which EXIF, XMP or IPTC say that the photograph was taken;
    cities and countries, and the GPS coordinates or the named place of the file; persons that the
    file says are shown; whom the caption credits, and the creator in the file; the file's own
    caption.

Why it works
    A photograph that is passed off as another day's or place's often keeps its record.

When it fails
    Most published pictures have no record left, and anyone can write one. A caption may speak of
    other days and places than those of the photograph ("founded in 1850"): a date or place that
    agrees settles it, whatever else is named. Clocks of cameras are often wrong. Names of places
    are known for countries and for cities of 100,000 people and more, a lone word that opens a
    sentence is not taken for one.

How to read it
    As two texts beside each other. The score is the share of the comparisons that disagree. It is
    not calibrated and accuses nobody.

Reference
    This project, 2026; fields: IPTC Photo Metadata Standard 2023.1, EXIF 3.0.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterator

from bonafide.detectors.caption._places import coordinates, named
from bonafide.detectors.caption._reading import Said, Text, counted, sentence, share, shown
from bonafide.errors import MissingExtra
from bonafide.media.context import Context
from bonafide.media.image import Image
from bonafide.media.text_metadata import clean, exif_date
from bonafide.media.xmp import IPTC_EXTENSION, PHOTOSHOP, read_xmp, values
from bonafide.types import Card, Fact, Measured, Measurement, NotApplicable, Question

DUBLIN_CORE = "http://purl.org/dc/elements/1.1/"
EXIF_IN_XMP = "http://ns.adobe.com/exif/1.0/"
LEAST_SHARED = 0.3  # share of words from which the file's own caption is another version of it
MOST_VALUES = 20  # of one field
ZONES = 1  # days between two clocks that zones of time explain

CARD = Card(
    id="caption_record",
    version="1",
    question=Question.MISCAPTIONED,
    title="The file's own record against the caption",
    cost=0.01,
    facts={
        "caption": "the caption that was given",
        "compared": "dates, places and names that could be compared [count]",
        "disagree": "of those, how many disagree [count]",
        "statements": "each comparison in words [list]",
        "words": "positions in the caption of words that disagree, from 0 [list]",
        "days_apart": "days between the caption's nearest date and the record's [days]",
        "km_apart": "from the coordinates to the nearest place that the caption names [km]",
        "own_caption": "the caption that the file has",
        "own_caption_shared": "share of its words that the given caption has too [0–1]",
        "left_out": "what could not be compared, and why",
    },
    options=("caption",),
    requires="caption",
    paper="This project, 2026; IPTC Photo Metadata Standard 2023.1",
    limits="Not calibrated: it compares, and accuses nobody. Names of places need the extra "
    "bonafide[places]; months are read in English, German, French, Spanish and Portuguese.",
)


class Detector:
    """Compares the caption with the metadata, field by field.

    Args:
        caption: as given with the picture; None where none was.
    """

    def __init__(self, caption: str | None = None) -> None:
        self.caption = caption

    def measure(self, ctx: Context) -> Measured:
        """Return one measurement, of the whole file."""
        if not (self.caption or "").strip():
            return NotApplicable("no caption was given")
        caption, record = Text.of(self.caption or ""), _Record(ctx.image)
        facts: dict[str, Fact] = {"caption": caption.text}
        said = [*_dates(caption, record, facts), *_places(caption, record, facts)]
        said += [*_persons(caption, record), *_credits(caption, record)]
        said += _own(caption, record, facts)
        if not said:
            left = facts.get("left_out")
            return NotApplicable(
                f"nothing was compared: {left}"
                if left
                else "the caption names no date, place or person that the file has a record of"
            )
        facts |= counted(said)
        return [Measurement(score=share(said), summary=sentence(said), facts=facts)]


class _Record:
    """Fields of a picture's metadata, by what they say; texts are bounded and on one line."""

    def __init__(self, image: Image) -> None:
        self.metadata = image.metadata
        self.xmp = read_xmp(image.metadata.xmp)

    def texts(self, *fields: tuple[str, str, str]) -> Iterator[tuple[str, str]]:
        """(name of the field, text) of EXIF tags, IPTC datasets and XMP properties."""
        for kind, name, namespace in fields:
            if kind == "EXIF":
                found: list[object] = [self.metadata.exif.get(name)]
            elif kind == "IPTC":
                found = list(self.metadata.iptc.get(name, ()))
            else:
                found = list(values(self.xmp, name, namespace))
            for value in found[:MOST_VALUES]:
                if text := clean(value, 300):
                    yield f"{kind} {name}", text


_TAKEN = (
    ("EXIF", "DateTimeOriginal", ""),
    ("IPTC", "DateCreated", ""),
    ("XMP", "DateCreated", PHOTOSHOP),
    ("XMP", "DateTimeOriginal", EXIF_IN_XMP),
)
_PLACED = (
    ("XMP", "City", ""),
    ("XMP", "CountryName", IPTC_EXTENSION),
    ("XMP", "Country", PHOTOSHOP),
    ("XMP", "ProvinceState", IPTC_EXTENSION),
)
_SHOWN = (("XMP", "PersonInImage", IPTC_EXTENSION),)
_MADE_BY = (
    ("IPTC", "By-line", ""),
    ("XMP", "creator", DUBLIN_CORE),
    ("EXIF", "Artist", ""),
    ("IPTC", "Credit", ""),
    ("XMP", "Credit", PHOTOSHOP),
)
_OWN = (
    ("IPTC", "Caption", ""),
    ("XMP", "description", DUBLIN_CORE),
    ("EXIF", "ImageDescription", ""),
)


def _dates(caption: Text, record: _Record, facts: dict[str, Fact]) -> Iterator[Said]:
    taken: list[tuple[str, datetime.date]] = []
    for name, text in record.texts(*_TAKEN):
        digits = text.strip()
        if len(digits) == 8 and digits.isdigit():  # IPTC writes CCYYMMDD
            digits = f"{digits[:4]}-{digits[4:6]}-{digits[6:]}"
        try:
            date = exif_date(digits)
        except ValueError:
            continue
        if date is not None:
            taken.append((name, date.date()))
    if not taken or not caption.dates:
        return
    apart = [
        (claimed.apart(day), claimed, name, day) for claimed in caption.dates for name, day in taken
    ]
    days, claimed, name, day = min(apart, key=lambda one: one[0])
    facts["days_apart"] = days
    beside = f"the caption says {shown(claimed.text)}, {name} says {day.isoformat()}"
    if days <= ZONES:
        yield Said(beside, True)
    else:
        words = tuple(word for one in caption.dates for word in caption.positions(one))
        yield Said(f"{beside}, {days} days apart", False, words)


def _places(caption: Text, record: _Record, facts: dict[str, Fact]) -> Iterator[Said]:
    for name, text in record.texts(*_PLACED):
        if caption.has(text):
            yield Said(f"the caption and {name} both name {shown(text)}", True)
        else:
            yield Said(f"{name} names {shown(text)}, the caption does not", None)
    where = coordinates(record.metadata.gps)
    if where is None:
        return
    try:
        places = named(caption, where)
    except MissingExtra as error:
        facts["left_out"] = str(error)
        return
    if not places:
        return
    near = min(places, key=lambda one: one.apart)
    if near.apart != float("inf"):
        facts["km_apart"] = near.apart
    if near.there:
        yield Said(f"the coordinates of the file lie in or near {shown(near.text)}", True)
        return
    for place in places:
        far = (
            f"the coordinates of the file do not lie in {shown(place.text)}, which the caption "
            "names"
            if place.country
            else f"the caption names {shown(place.text)}, {place.apart:,.0f} km from the "
            "coordinates of the file"
        )
        yield Said(far, False, caption.positions(place))


def _persons(caption: Text, record: _Record) -> Iterator[Said]:
    for name, text in record.texts(*_SHOWN):
        if caption.has(text):
            yield Said(f"the caption and {name} both name {shown(text)}", True)
        else:
            yield Said(f"{name} names {shown(text)}, the caption does not", None)


def _credits(caption: Text, record: _Record) -> Iterator[Said]:
    makers = list(record.texts(*_MADE_BY))
    for credit in caption.credits:
        if not makers:
            return
        given = Text.of(credit.text)
        same = next((one for one in makers if given.has(one[1]) or Text.of(one[1]).has(
            credit.text)), None)  # fmt: skip
        if same is not None:
            yield Said(f"the caption and {same[0]} both credit {shown(same[1])}", True)
        else:
            yield Said(
                f"the caption credits {shown(credit.text)}, {makers[0][0]} names "
                f"{shown(makers[0][1])}",
                False,
                caption.positions(credit),
            )


def _own(caption: Text, record: _Record, facts: dict[str, Fact]) -> list[Said]:
    name, text = next(record.texts(*_OWN), ("", ""))
    own = {word for word in Text.of(text).words if len(word) >= 4}
    if not own:
        return []
    shared = round(len(own & set(caption.words)) / len(own), 3)
    facts |= {"own_caption": text, "own_caption_shared": shared}
    if shared < LEAST_SHARED:
        return [Said(f"the file has another caption, {name}: {shown(text)}", None)]
    return [Said(f"the file has a caption like it, {name}: {shown(text)}", None)]
