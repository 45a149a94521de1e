"""Text and XMP out of metadata: whatever comes in, bounded plain values come out."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bonafide.media.text_metadata import clean, decode_user_comment, parse_json, quote
from bonafide.media.xmp import Property, read_xmp, values

RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"


@given(st.text(max_size=400), st.integers(0, 50))
def test_clean_is_printable_and_bounded(text: str, size: int) -> None:
    cleaned = clean(text, size)
    assert len(cleaned) <= size
    assert cleaned.isprintable()
    assert clean(cleaned, size) == cleaned


@given(st.text(max_size=100))
def test_a_quotation_cannot_be_closed_from_inside(text: str) -> None:
    assert quote(text).count("”") == 1
    assert quote(text).endswith("”")


LATIN = st.text(st.characters(min_codepoint=33, max_codepoint=0x17F), min_size=4, max_size=60)


@given(LATIN, st.booleans(), st.booleans())
def test_the_byte_order_is_found_whatever_the_block_says(
    text: str, big_endian: bool, says_big: bool
) -> None:
    text += " plain"
    body = text.encode("utf-16-be" if big_endian else "utf-16-le")
    assert decode_user_comment(b"UNICODE\x00" + body, says_big) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (b"ASCII\x00\x00\x00hello", "hello"),
        (bytes(8) + b"hello\x00\x00", "hello"),
        (b"UNICODE\x00hello", "hello"),
        (b"UNICODE\x00\xff\xfeh\x00i\x00", "hi"),
        ("already text", "already text"),
        (None, ""),
        (b"", ""),
        (7, ""),
    ],
)
def test_user_comments(value: object, text: str) -> None:
    assert decode_user_comment(value) == text


@given(st.binary(max_size=200))
def test_any_user_comment_gives_text(value: bytes) -> None:
    assert isinstance(decode_user_comment(value), str)


@given(st.text(max_size=200))
def test_any_text_gives_an_object(text: str) -> None:
    assert isinstance(parse_json(text), dict)
    assert isinstance(parse_json("{" + text), dict)


def packet(inner: str) -> str:
    rdf = f'<rdf:RDF xmlns:rdf="{RDF}">{inner}</rdf:RDF>'
    return f'<x:xmpmeta xmlns:x="adobe:ns:meta/">{rdf}</x:xmpmeta>'


def test_attributes_elements_lists_and_resources() -> None:
    found = read_xmp(
        '<?xpacket begin="" id="x"?>'
        + packet(
            '<rdf:Description rdf:about="" xmlns:a="urn:a/" a:one="1"><a:two>2</a:two>'
            "<a:three><rdf:Bag><rdf:li>3</rdf:li><rdf:li>4</rdf:li></rdf:Bag></a:three>"
            '<a:four rdf:resource="urn:4"/><a:five rdf:parseType="Resource"><a:six>6</a:six>'
            "</a:five></rdf:Description>"
        )
        + '<?xpacket end="w"?>'
    )
    assert found == (
        Property("urn:a/", "one", "1"),
        Property("urn:a/", "two", "2"),
        Property("urn:a/", "three", "3"),
        Property("urn:a/", "three", "4"),
        Property("urn:a/", "four", "urn:4"),
        Property("urn:a/", "six", "6"),
    )
    assert values(found, "three") == ["3", "4"]
    assert values(found, "three", "urn:b/") == []


def test_entities_are_refused() -> None:
    bomb = '<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]>'
    inner = '<rdf:Description xmlns:a="urn:a/"><a:b>&b;</a:b></rdf:Description>'
    assert read_xmp(bomb + packet(inner)) == ()


def test_size_is_bounded() -> None:
    many = packet(
        "<a/>" * 10 + '<rdf:Description xmlns:a="u"><a:b>1</a:b></rdf:Description>' * 9000
    )
    assert len(read_xmp(many)) == 5_000
    deep = packet("<a>" * 20_000 + "x" + "</a>" * 20_000)
    assert len(read_xmp(deep)) <= 1


@given(st.text(max_size=200))
def test_any_packet_gives_properties(text: str) -> None:
    assert isinstance(read_xmp(text), tuple)
    assert isinstance(read_xmp(packet(text)), tuple)
