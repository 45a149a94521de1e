"""XMP packets as a flat list of properties, parsed without entities, bounded in every direction."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

_RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
_XML = "http://www.w3.org/XML/1998/namespace"
_MAX_PROPERTIES = 5_000
_MAX_VALUE = 100_000  # characters

IPTC_EXTENSION = "http://iptc.org/std/Iptc4xmpExt/2008-02-29/"
PHOTOSHOP = "http://ns.adobe.com/photoshop/1.0/"
XMP_BASIC = "http://ns.adobe.com/xap/1.0/"
TIFF = "http://ns.adobe.com/tiff/1.0/"


@dataclass(frozen=True)
class Property:
    """One value of an XMP packet.

    Attributes:
        namespace: URI of its name, "" when it has none.
        name: local name of the innermost element or attribute that is not RDF's.
        value: its text.
    """

    namespace: str
    name: str
    value: str


def read_xmp(packet: str) -> tuple[Property, ...]:
    """The properties of `packet` in document order, () if it cannot be parsed."""
    if "<" not in packet:
        return ()
    import defusedxml
    from defusedxml import ElementTree

    match = re.search(r"<([\w.-]+:)?xmpmeta\b|<([\w.-]+:)?RDF\b", packet)
    end = packet.rfind(">")
    if match is None or end < match.start():
        return ()
    body = packet[match.start() : end + 1]
    closing = re.search(r"<\?xpacket\s+end", body)
    try:
        root = ElementTree.fromstring(body[: closing.start()] if closing else body, forbid_dtd=True)
    except (ElementTree.ParseError, defusedxml.DefusedXmlException, ValueError):
        return ()
    found: list[Property] = []
    stack = [(root, "", "")]
    while stack and len(found) < _MAX_PROPERTIES:
        element, namespace, name = stack.pop()
        own_namespace, own_name = _split(str(element.tag))
        if own_namespace != _RDF and own_name not in ("xmpmeta", "xapmeta"):
            namespace, name = own_namespace, own_name
        for key, value in element.attrib.items():
            where, what = _split(str(key))
            if where == _RDF and what == "resource" and name:
                found.append(Property(namespace, name, str(value)[:_MAX_VALUE]))
            elif where not in (_RDF, _XML, "") or (where == "" and what not in ("about", "ID")):
                found.append(Property(where, what, str(value)[:_MAX_VALUE]))
        text = (element.text or "").strip()
        if text and name:
            found.append(Property(namespace, name, text[:_MAX_VALUE]))
        stack.extend((child, namespace, name) for child in reversed(list(element)))
    return tuple(found)


def values(properties: Iterable[Property], name: str, namespace: str = "") -> list[str]:
    """Values of every property called `name`, in any namespace unless one is given."""
    return [
        item.value for item in properties if item.name == name and namespace in ("", item.namespace)
    ]


def _split(name: str) -> tuple[str, str]:
    if name.startswith("{"):
        namespace, _, local = name[1:].partition("}")
        return namespace, local
    return "", name
