"""When and where a photograph was taken, as EXIF says it, and what of that cannot be."""

from __future__ import annotations

import datetime
import math
from collections.abc import Mapping

from bonafide.media.image import Image
from bonafide.media.text_metadata import exif_date, quote

# How many checks could be made, and what they found: name of a fact → in words.
Result = tuple[int, list[tuple[str, str]]]

_DATES = {
    "DateTimeOriginal": "taken",
    "DateTimeDigitized": "digitised",
    "DateTime": "last changed",
}
_DAY = datetime.timedelta(days=1)
_GPS_ROLLOVER = 1024 * 7  # days: receivers older than their firmware lose 1,024 weeks


def read_dates(
    exif: Mapping[str, object],
) -> tuple[dict[str, datetime.datetime], list[str]]:
    """The dates that can be read by field, and descriptions of those that cannot exist."""
    dates, broken = {}, []
    for name in _DATES:
        try:
            date = exif_date(exif.get(name))
        except ValueError:
            broken.append(f"{_DATES[name]} on the impossible date {quote(exif[name], 30)}")
        else:
            if date:
                dates[name] = date
    return dates, broken


def check_dates(media: Image, dates: Mapping[str, datetime.datetime], broken: list[str]) -> Result:
    """Dates that cannot be, or come in the wrong order."""
    problems = list(broken)
    now = datetime.datetime.now(datetime.UTC).replace(tzinfo=None)
    future = {name: date for name, date in dates.items() if date > now + 2 * _DAY}
    problems += [f"{_DATES[name]} in the future ({date:%Y-%m-%d})" for name, date in future.items()]
    taken = dates.get("DateTimeOriginal")
    for name in ("DateTimeDigitized", "DateTime"):
        if taken and name in dates and dates[name] < taken - _DAY:
            problems.append(
                f"{_DATES[name]} ({dates[name]:%Y-%m-%d}) before it was taken ({taken:%Y-%m-%d})"
            )
    stamp = media.metadata.gps.get("GPSDateStamp")
    if taken:
        try:
            fixed = exif_date(stamp)
        except ValueError:
            fixed = None
        if fixed:
            days = abs((fixed - taken).days)
            if days > 2 and abs(days - _GPS_ROLLOVER) > 2:
                problems.append(
                    f"taken on {taken:%Y-%m-%d} by the clock and on {fixed:%Y-%m-%d} by satellite"
                )
    if not dates and not broken:
        return 0, []
    return 1, [("dates_disagree", "; ".join(problems))] if problems else []


def check_gps(media: Image) -> Result:
    """Positions that are nowhere on Earth."""
    gps = media.metadata.gps
    problems = []
    position = []
    for name, limit, references in (("Latitude", 90.0, "NS"), ("Longitude", 180.0, "EW")):
        parts = gps.get(f"GPS{name}")
        if not isinstance(parts, tuple) or not 1 <= len(parts) <= 3:
            continue
        numbers = [float(part) for part in parts if isinstance(part, int | float)]
        if len(numbers) != len(parts) or not all(map(math.isfinite, numbers)):
            continue  # cameras without a fix write 0/0
        degrees = sum(abs(number) / 60**power for power, number in enumerate(numbers))
        position.append(degrees)
        if degrees > limit or any(number < 0 or number > 60 for number in numbers[1:]):
            problems.append(f"the {name.lower()} of {degrees:.2f}° cannot exist")
        reference = gps.get(f"GPS{name}Ref")
        if not isinstance(reference, str) or reference.strip().upper()[:1] not in tuple(references):
            problems.append(f"the {name.lower()} lacks its hemisphere")
    if not position:
        return 0, []
    if len(position) == 1:
        problems.append("only one of latitude and longitude is given")
    return 1, [("gps_implausible", "; ".join(problems))] if problems else []
