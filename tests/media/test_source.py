"""Paths, bytes and streams become media; what cannot be opened says why."""

from __future__ import annotations

import hashlib
import io
import os
import pickle
import sys
from pathlib import Path

import pytest

from bonafide.errors import LimitExceeded, MediaError, SourceError, UnsupportedFormat
from bonafide.media.limits import Limits
from bonafide.media.source import expand, open_media, open_source, sniff
from bonafide.media.sources import HEAD, BytesSource, PathSource, SpooledSource
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
    assert all(one.image is not None and one.read() == JPEG for one in media)
    assert all((one.size, one.head(3)) == (len(JPEG), b"\xff\xd8\xff") for one in media)
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
        assert (media.kind, media.format, media.tracks) == (Kind.DOCUMENT, format_name, ())
        assert media.read() == samples[name]


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
        (b"RIFF\x00\x00\x00\x00WAVEfmt ", Kind.AUDIO, "WAV"),
        (b"RF64\xff\xff\xff\xffWAVEds64", Kind.AUDIO, "WAV"),
        (b"\x00\x00\x00\x18ftypM4A ", Kind.AUDIO, "M4A"),
        (b"ID3\x04\x00\x00", Kind.AUDIO, "MP3"),
        (b"\xff\xfb\x90\x00" + bytes(40), Kind.AUDIO, "MP3"),
        (b"\xff\xfb\x90\x00" + bytes(413) + b"\xff\xfb\x90\x00", Kind.AUDIO, "MP3"),
        (b"\xff\xfb\x90\x00" + bytes(500), Kind.IMAGE, ""),  # no second frame where one must be
        (b"\xff" * 100, Kind.IMAGE, ""),
        (b"fLaC\x00\x00\x00\x22", Kind.AUDIO, "FLAC"),
        (b"OggS\x00\x02" + bytes(22) + b"OpusHead", Kind.AUDIO, "OGG"),
        (b"OggS\x00\x02" + bytes(22) + b"\x80theora", Kind.VIDEO, "OGG"),
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
    assert open_media(path, limits=Limits(file_bytes=len(JPEG))).read() == JPEG


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
    assert stream.asked <= HEAD, "the kind, and with it the limit, is told from the first bytes"


def test_videos_have_a_limit_of_their_own(tmp_path: Path) -> None:
    clip = sample_files()["clip.mp4"]
    path = tmp_path / "clip.mp4"
    path.write_bytes(clip)
    for source in (lambda: path, lambda: clip, lambda: io.BytesIO(clip)):
        with pytest.raises(LimitExceeded, match="--max-media-bytes"):
            open_media(source(), limits=Limits(media_bytes=len(clip) - 1))
        media = open_media(source(), limits=Limits(file_bytes=10, media_bytes=len(clip)))
        assert media.kind is Kind.VIDEO
        if not isinstance(source(), bytes):
            with pytest.raises(LimitExceeded, match="--max-file-bytes"):
                media.read()


class Drip(io.RawIOBase):
    """Gives few bytes at a time, as pipes do."""

    def __init__(self, data: bytes) -> None:
        self.left = data

    def read(self, size: int = -1) -> bytes:
        size = min(size if size >= 0 else len(self.left), 1000)
        piece, self.left = self.left[:size], self.left[size:]
        return piece


def test_sources_open_again_and_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bonafide.media.sources._IN_MEMORY", 2000)  # so that it goes to a file
    data = bytes(range(256)) * 40
    path = tmp_path / "file"
    path.write_bytes(data)
    for source in (
        BytesSource(data),
        PathSource(path),
        SpooledSource(Drip(data), "drip", Limits()),  # type: ignore[arg-type]
    ):
        assert source.size == len(data)
        assert source.sha256 == hashlib.sha256(data).hexdigest()
        with source.open() as one, source.open() as two:
            assert one.read(300) == data[:300]
            assert two.seek(-4, os.SEEK_END) == len(data) - 4
            assert two.read() == data[-4:] and two.read() == b""
            assert one.read() == data[300:], "each stream has its own position"
        with source.open() as stream:
            assert stream.read() == data


def test_a_source_goes_to_another_process_and_is_read_once(tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    path.write_bytes(sample_files()["clip.mp4"])
    source = open_source(path)
    assert isinstance(source, PathSource) and source.sha256
    again = pickle.loads(pickle.dumps(source))
    assert (again.size, again.sha256) == (source.size, source.sha256)
    assert open_media(again).video is not None
    picture = open_source(JPEG)
    assert open_media(picture).source is picture


def test_a_file_that_changes_meanwhile_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    path.write_bytes(sample_files()["clip.mp4"])
    media = open_media(path)
    path.write_bytes(sample_files()["clip.mp4"] + b"more")
    assert media.video is not None
    for use in (lambda: media.sha256, media.open, lambda: list(media.video.frames())):
        with pytest.raises(SourceError, match="changed"):
            use()
    path.unlink()
    with pytest.raises(SourceError, match="cannot be read"):
        media.read()


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
