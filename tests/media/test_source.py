"""Paths, bytes and streams become media; what cannot be opened says why."""

from __future__ import annotations

import io
import os
import sys
from pathlib import Path

import pytest

from bonafide.errors import LimitExceeded, MediaError, SourceError, UnsupportedFormat
from bonafide.media.image import Image
from bonafide.media.limits import Limits
from bonafide.media.source import Document, expand, open_media, sniff
from bonafide.testing import sample_files
from bonafide.types import Kind

JPEG = sample_files()["chroma_420.jpg"]


def test_path_bytes_and_stream_give_the_same_media(tmp_path: Path) -> None:
    path = tmp_path / "a picture.jpg"
    path.write_bytes(JPEG)
    with path.open("rb") as stream:
        media = [open_media(path), open_media(str(path)), open_media(JPEG), open_media(stream)]
    media.append(open_media(io.BytesIO(JPEG), name="given.jpg"))
    assert len({one.sha256 for one in media}) == 1
    assert all(isinstance(one, Image) and one.data == JPEG for one in media)
    assert [one.name for one in media[:3]] == ["a picture.jpg", "a picture.jpg", "bytes"]
    assert media[-1].name == "given.jpg"
    assert media[0].path == str(path) and media[2].path is None
    assert path.read_bytes() == JPEG


def test_kind_comes_from_bytes_not_from_the_name() -> None:
    samples = sample_files()
    assert open_media(samples["clip.mp4"], "photo.jpg").kind is Kind.VIDEO
    assert open_media(samples["photo.png"], "clip.mp4").format == "PNG"
    for name, format_name in (("drawing.svg", "SVG"), ("page.pdf", "PDF")):
        media = open_media(samples[name], "photo.jpg")
        assert isinstance(media, Document) and media.format == format_name


@pytest.mark.parametrize(
    ("head", "kind", "container"),
    [
        (b"\x00\x00\x00\x18ftypisom", Kind.VIDEO, "MP4"),
        (b"\x00\x00\x00\x14ftypqt  ", Kind.VIDEO, "MOV"),
        (b"\x00\x00\x00\x18ftypheic", Kind.IMAGE, ""),
        (b"\x00\x00\x00\x18ftypmsf1", Kind.IMAGE, ""),
        (b"\x00\x00\x00\x18ftypavif", Kind.IMAGE, ""),
        (b"\x1aE\xdf\xa3\x01\x00webm", Kind.VIDEO, "WEBM"),
        (b"\x1aE\xdf\xa3\x01\x00matroska", Kind.VIDEO, "MKV"),
        (b"RIFF\x00\x00\x00\x00AVI LIST", Kind.VIDEO, "AVI"),
        (b"RIFF\x00\x00\x00\x00WEBPVP8 ", Kind.IMAGE, ""),
        (b"%PDF-1.7", Kind.DOCUMENT, "PDF"),
        (b'\xef\xbb\xbf \n<?xml version="1.0"?><!-- x --><SVG>', Kind.DOCUMENT, "SVG"),
        (b"<?xml version='1.0'?><html/>", Kind.IMAGE, ""),
        (b"", Kind.IMAGE, ""),
    ],
)
def test_sniff(head: bytes, kind: Kind, container: str) -> None:
    assert sniff(head) == (kind, container)


def test_what_cannot_be_read_says_why(tmp_path: Path) -> None:
    (tmp_path / "empty.jpg").touch()
    for source, words in (
        (tmp_path / "missing.jpg", "no such file"),
        (tmp_path, "folder"),
        (tmp_path / "empty.jpg", "empty"),
        ("https://example.org/photo.jpg", "not fetched"),
        ("bad\0name.jpg", "null|no such file"),
        ("x" * 5000, "too long|no such file"),
        (b"", "empty"),
        (io.BytesIO(), "empty"),
    ):
        with pytest.raises(SourceError, match=words) as caught:
            open_media(source)
        assert caught.value.why and caught.value.name


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may read everything")
def test_a_file_without_permission_is_a_source_error(tmp_path: Path) -> None:
    path = tmp_path / "secret.jpg"
    path.write_bytes(JPEG)
    path.chmod(0)
    with pytest.raises(SourceError, match="cannot be read"):
        open_media(path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_pipe_is_refused_rather_than_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jpg")
    with pytest.raises(SourceError):
        open_media(tmp_path / "pipe.jpg")


def test_file_size_is_limited_for_every_source(tmp_path: Path) -> None:
    path = tmp_path / "large.jpg"
    path.write_bytes(JPEG)
    limits = Limits(file_bytes=len(JPEG) - 1)
    for source in (path, JPEG, io.BytesIO(JPEG)):
        with pytest.raises(LimitExceeded, match="--max-file-bytes"):
            open_media(source, limits=limits)
    assert open_media(path, limits=Limits(file_bytes=len(JPEG))).data == JPEG


def test_a_huge_file_is_refused_without_being_read(tmp_path: Path) -> None:
    path = tmp_path / "sparse.jpg"
    with path.open("wb") as file:
        file.truncate(10 * 1024**4 if sys.platform == "linux" else 1024**3)
    with pytest.raises(LimitExceeded):
        open_media(path)


def test_an_endless_stream_is_read_to_the_limit_only() -> None:
    class Endless(io.RawIOBase):
        asked = 0

        def read(self, size: int = -1) -> bytes:
            assert size >= 0
            self.asked = max(self.asked, size)
            return bytes(size)

    stream = Endless()
    with pytest.raises(LimitExceeded):
        open_media(stream, limits=Limits(file_bytes=1000))  # type: ignore[arg-type]
    assert stream.asked == 1001


def test_text_and_xml_are_unsupported() -> None:
    for data in (b"hello", b"<?xml version='1.0'?><html/>", b"GIF", bytes(100), b"\xff" * 100):
        with pytest.raises(MediaError):
            open_media(data)
    with pytest.raises(UnsupportedFormat):
        open_media(b"hello")


def test_expand_keeps_order_and_names_what_is_missing(tmp_path: Path) -> None:
    for name in ("b.jpg", "a.jpg", ".hidden.jpg", "sub/c.jpg", "sub/.git/d.jpg", "[x].jpg"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    (tmp_path / "loop").symlink_to(tmp_path, target_is_directory=True)

    def names(*arguments: str) -> list[str]:
        return [os.path.relpath(path, tmp_path) for path in expand(arguments)]

    root = str(tmp_path)
    assert names(root) == ["[x].jpg", "a.jpg", "b.jpg", "sub/c.jpg"]
    assert names(f"{root}/[ab].jpg") == ["a.jpg", "b.jpg"]
    assert names(f"{root}/[x].jpg") == ["[x].jpg"], "a file that exists is no pattern"
    assert "sub/c.jpg" in names(f"{root}/**/*.jpg")
    assert list(expand(["-", "missing.jpg", f"{root}/*.none"])) == [
        "-",
        "missing.jpg",
        f"{root}/*.none",
    ]


def test_expand_stops_at_the_nesting_limit(tmp_path: Path) -> None:
    deep = tmp_path.joinpath(*"abcdef")
    deep.mkdir(parents=True)
    (deep / "deep.jpg").touch()
    (tmp_path / "a" / "shallow.jpg").touch()
    found = list(expand([str(tmp_path)], Limits(nesting=2)))
    assert {Path(path).name for path in found} == {"c", "shallow.jpg"}  # the folder, to be reported
