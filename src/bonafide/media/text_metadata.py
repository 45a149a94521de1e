"""Text out of metadata, which anybody may have written: decoded, bounded, never interpreted."""

from __future__ import annotations

import datetime
import json
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from bonafide.media.segments import printable

if TYPE_CHECKING:
    from bonafide.media.metadata import Metadata

_MAX_TAGS = 500
_MAX_JSON = 4 * 1024**2  # characters

# The character code that opens EXIF UserComment (EXIF 3.0, section 4.6.5).
_UNICODE, _CODES = b"UNICODE\x00", (b"ASCII\x00\x00\x00", b"JIS\x00\x00\x00\x00\x00", bytes(8))

_DATE = re.compile(r"(\d{4})[:\-/](\d\d)[:\-/](\d\d)(?:[ T](\d\d):(\d\d)(?::(\d\d))?)?")

_EXIF_TEXTS = (
    "UserComment",
    "ImageDescription",
    "Software",
    "Make",
    "Model",
    "Artist",
    "Copyright",
    "HostComputer",
    "ProcessingSoftware",
    "DocumentName",
    "XPTitle",
    "XPComment",
    "XPKeywords",
    "XPSubject",
    "XPAuthor",
)


def clean(value: object, size: int = 300) -> str:
    """Text out of a file on one line, printable, of at most `size` characters; "" for no text."""
    text = value if isinstance(value, str) else ""
    text = "".join(c if c.isprintable() else " " for c in text[: 4 * size])
    return " ".join(text.split())[:size].rstrip()


def quote(value: object, size: int = 80) -> str:
    """`clean` text in curly quotes that it cannot close, for use inside a sentence."""
    return "“" + clean(value, size).replace("“", "'").replace("”", "'") + "”"


def decode_user_comment(value: object, big_endian: bool = True) -> str:
    """Text of an EXIF UserComment.

    Args:
        value: the tag as stored: eight bytes of character code, then the text; bare text is
            taken as it is.
        big_endian: byte order of the EXIF block, which decides where the text does not.
    """
    if not isinstance(value, bytes):
        return value if isinstance(value, str) else ""
    if value[:8] == _UNICODE:
        return _decode_utf16(value[8:], big_endian)
    body = value[8:] if value[:8] in _CODES else value
    return body.decode("utf-8", "replace").strip("\x00 ")


def exif_date(value: object) -> datetime.datetime | None:
    """A date in EXIF's notation, without zone; None where there is none or the clock was unset.

    Raises:
        ValueError: there is no such day or time.
    """
    match = _DATE.match(value.strip()) if isinstance(value, str) else None
    if match is None:
        return None
    year, month, day, hour, minute, second = (int(part or 0) for part in match.groups())
    if year == 0 or month == 0 or day == 0:
        return None
    # Some cameras write midnight as hour 24, and leap seconds exist.
    return datetime.datetime(year, month, day, hour if hour != 24 else 0, minute, min(second, 59))


def text_fields(metadata: Metadata) -> dict[str, str]:
    """Every text of a picture's metadata but XMP, by the place where it stands."""
    big_endian = metadata.exif_bytes[:2] != b"II"
    fields = {
        f"PNG text {clean(key, 60)!r}": value
        for key, value in metadata.text.items()
        if key != "XML:com.adobe.xmp"
    }
    for name in _EXIF_TEXTS:
        value = metadata.exif.get(name)
        if name == "UserComment":
            text = decode_user_comment(value, big_endian)
        elif name.startswith("XP"):
            if isinstance(value, tuple):
                value = bytes(item & 255 for item in value if isinstance(item, int))
            text = _decode_utf16(value, False) if isinstance(value, bytes) else str(value or "")
        else:
            text = value if isinstance(value, str) else ""
        if text:
            fields[f"EXIF {name}"] = text
    if metadata.comment:
        fields["file comment"] = metadata.comment
    for name, values in metadata.iptc.items():
        fields[f"IPTC {name}"] = "\n".join(values)
    return fields


def other_exif_texts(metadata: Metadata) -> dict[str, str]:
    """Texts of EXIF that `text_fields` does not name: in any tag and directory, bytes included."""
    found: dict[str, str] = {}
    directories = (("EXIF", metadata.exif), ("EXIF GPS", metadata.gps))
    for place, directory in (*directories, ("EXIF thumbnail", metadata.preview_exif)):
        for name, value in list(directory.items())[:_MAX_TAGS]:
            if place == "EXIF" and name in _EXIF_TEXTS:
                continue
            text = value.strip() if isinstance(value, str) else ""
            if isinstance(value, bytes):
                text = printable(value)
            if text:
                found[f"{place} {clean(name, 60)}"] = text
    return found


def parse_json(text: str) -> dict[str, Any]:
    """The JSON object in `text`, {} if it holds none; nesting and size are bounded."""
    start = text.lstrip("\ufeff \t\r\n\x00")
    if not start.startswith("{") or len(start) > _MAX_JSON:
        return {}
    try:
        value = json.loads(start.rstrip("\x00 \r\n"))
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def lookup(value: Mapping[str, Any], *names: str) -> Any:
    """The first of `names` that `value` has with something in it, else None."""
    return next((value[name] for name in names if value.get(name) not in (None, "", [])), None)


def _decode_utf16(value: bytes, big_endian: bool) -> str:
    """UTF-16 whose byte order is judged by the text, since writers often mislabel it."""
    if value[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return value.decode("utf-16", "replace").strip("\x00 ")
    sample = value[: 2 * 4096]
    high_first, low_first = sample[0::2].count(0), sample[1::2].count(0)
    if not high_first and not low_first and value.isascii():
        return value.decode("ascii").strip()
    if high_first != low_first:
        big_endian = high_first > low_first
    return value.decode("utf-16-be" if big_endian else "utf-16-le", "replace").strip("\x00 ")
