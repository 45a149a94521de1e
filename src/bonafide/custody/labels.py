"""Say in a file's own XMP that AI made it, for machines to read; the coded picture stays as it is.

Reference: IPTC Photo Metadata Standard 2025.1 (Digital Source Type, AI System Used); European
Commission, Code of Practice on marking and labelling of AI-generated content.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from xml.sax.saxutils import escape, quoteattr

from bonafide.custody.credentials import VOCABULARY
from bonafide.custody.packets import CONTAINERS, with_packet
from bonafide.errors import InvalidInput
from bonafide.media.boxes import read_boxes, xmp_of
from bonafide.media.media import Media
from bonafide.media.xmp import IPTC_EXTENSION, read_xmp, values

WHOLLY, PARTLY = "trainedAlgorithmicMedia", "compositeWithTrainedAlgorithmicMedia"
_DUBLIN_CORE = "http://purl.org/dc/elements/1.1/"
_TYPES = ("DigitalSourceType", "digitalSourceType", "DigitalSourcefileType")
_SYSTEM = "AISystemUsed"
_EMPTY = (
    '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>\n'
    '<x:xmpmeta xmlns:x="adobe:ns:meta/">\n'
    '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">\n'
    '</rdf:RDF>\n</x:xmpmeta>\n<?xpacket end="w"?>'
)


@dataclass(frozen=True)
class Statement:
    """What to say of a file.

    Attributes:
        source_type: `WHOLLY` or `PARTLY` made by AI, an IPTC term.
        generator: the program or service that made it, "" to leave it out.
        title: of the work, "" to leave it as it is.
    """

    source_type: str
    generator: str = ""
    title: str = ""


def can_carry(media: Media) -> bool:
    """Whether the XMP of such a file can be written here."""
    return media.format in CONTAINERS


def labelled(media: Media, statement: Statement) -> bytes:
    """A copy of a file whose XMP says how it was made; what the XMP said before is kept.

    Raises:
        InvalidInput: its format or its XMP cannot be extended.
        MediaError: it cannot be read.
    """
    if not can_carry(media):
        raise InvalidInput(f"XMP is not written into {media.format} files")
    packet = extended(_packet_of(media), statement)
    return with_packet(media.read(), media.format, packet.encode("utf-8"))


def _packet_of(media: Media) -> str:
    if media.image is not None:
        if any(one.startswith("XMP has") for one in media.image.metadata.defects):
            raise InvalidInput("its XMP is longer than is read")
        return media.image.metadata.xmp
    with media.open() as stream:
        return xmp_of(read_boxes(stream, media.size))


def extended(packet: str, statement: Statement) -> str:
    """An XMP packet that says this as well, and all else that it said before.

    Raises:
        InvalidInput: the packet is malformed.
    """
    before = read_xmp(packet)
    text = packet if packet.strip() else _EMPTY
    replaced = (*_TYPES, _SYSTEM) if statement.generator else _TYPES
    text = _without(text, replaced)
    # The property goes into a description of its own, so that nothing else has to move.
    closings = list(re.finditer(r"</([\w.-]+):RDF\s*>", text))
    if not closings:
        raise InvalidInput("its XMP is malformed and cannot be extended")
    closing = closings[-1]
    about = re.search(r"""\babout\s*=\s*("[^"<]*"|'[^'<]*')""", text)
    url = VOCABULARY + statement.source_type
    titled = bool(values(before, "title", _DUBLIN_CORE))
    text = text[: closing.start()] + _description(
        closing[1], about[1] if about else '""', url, statement, titled
    ) + text[closing.start() :]  # fmt: skip
    text = re.sub(r"\s{3,}(<\?xpacket\s+end)", r"\n\1", text)  # room for edits in place
    after = read_xmp(text)
    kept = {one for one in before if one.namespace != IPTC_EXTENSION or one.name not in replaced}
    if values(after, _TYPES[0], IPTC_EXTENSION) != [url] or not kept <= set(after):
        raise InvalidInput("its XMP is written in a way that cannot be extended")
    return text


def _description(rdf: str, about: str, url: str, statement: Statement, titled: bool) -> str:
    system = ""
    if statement.generator:
        system = f" Iptc4xmpExt:{_SYSTEM}={quoteattr(statement.generator)}"
    title = ""
    if statement.title and not titled:
        title = (
            f'<dc:title xmlns:dc="{_DUBLIN_CORE}"><{rdf}:Alt><{rdf}:li xml:lang="x-default">'
            f"{escape(statement.title)}</{rdf}:li></{rdf}:Alt></dc:title>"
        )
    return (
        f'<{rdf}:Description {rdf}:about={about} xmlns:Iptc4xmpExt="{IPTC_EXTENSION}"'
        f' Iptc4xmpExt:{_TYPES[0]}="{url}"{system}>{title}</{rdf}:Description>\n'
    )


def _without(text: str, names: tuple[str, ...]) -> str:
    """The packet without these properties of the IPTC extension."""
    prefixes = set(
        re.findall(rf"xmlns:([\w.-]+)\s*=\s*[\"']{re.escape(IPTC_EXTENSION)}[\"']", text)
    )
    for prefix in sorted(prefixes):
        for name in names:
            tag = re.escape(f"{prefix}:{name}")
            text = re.sub(rf"""\s{tag}\s*=\s*("[^"<]*"|'[^'<]*')""", "", text)
            text = re.sub(rf"<{tag}\b[^<>]*/>", "", text)
            text = re.sub(rf"<{tag}\b[^<>]*>[^<>]*</{tag}\s*>", "", text)
    return text
