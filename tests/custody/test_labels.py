"""What AI made is labelled for machines, and nothing of the coded picture changes."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image as Pillow
from skimage import data as photographs
from tests.custody.test_credentials import movie, sound
from tests.detectors.test_c2pa_manifest import Signer
from tests.detectors.test_provenance_fuzz import XMP, damaged

from bonafide import Label, Settings, examine
from bonafide.cli.main import bonafide
from bonafide.custody.credentials import VOCABULARY
from bonafide.custody.labels import PARTLY, WHOLLY, Statement, extended, labelled
from bonafide.custody.marking import marked
from bonafide.errors import InvalidInput, MediaError
from bonafide.media.boxes import read_boxes, xmp_of
from bonafide.media.chunks import webp_chunks
from bonafide.media.source import open_media
from bonafide.media.xmp import IPTC_EXTENSION, PHOTOSHOP, read_xmp, values
from bonafide.networks.rivagan import Payload

SAID = Statement(WHOLLY, 'Model <1> & "co"', "A title")


def picture(format: str, mode: str = "RGB", **options: object) -> bytes:  # noqa: A002
    pixels = np.random.default_rng(4).integers(0, 256, (48, 64, len(mode)), np.uint8)
    buffer = io.BytesIO()
    Pillow.fromarray(pixels, mode).save(buffer, format, **options)
    return buffer.getvalue()


def scan_of_jpeg(data: bytes) -> bytes:
    return data[data.index(b"\xff\xdb") :]  # from the first table to the end of the file


def pixels_of_png(data: bytes) -> bytes:
    return data[data.index(b"IDAT") - 4 :]


def coded_webp(data: bytes) -> bytes:
    names = [name for name in (b"VP8 ", b"VP8L") if name in data]
    start = data.index(names[0])
    return data[start : start + 8 + int.from_bytes(data[start + 4 : start + 8], "little")]


MADE: dict[str, tuple[bytes, Callable[[bytes], bytes]]] = {
    "a.jpg": (picture("JPEG"), scan_of_jpeg),
    "with_xmp.jpg": (picture("JPEG", xmp=XMP.encode()), scan_of_jpeg),
    "progressive.jpg": (picture("JPEG", progressive=True), scan_of_jpeg),
    "a.png": (picture("PNG"), pixels_of_png),
    "a.webp": (picture("WEBP"), coded_webp),
    "lossless.webp": (picture("WEBP", "RGBA", lossless=True), coded_webp),
    "with_xmp.webp": (picture("WEBP", xmp=XMP.encode()), coded_webp),
    "a.mp4": (movie(), lambda data: data[: len(movie())]),
}


def xmp(data: bytes) -> str:
    media = open_media(data)
    if media.image is not None:
        return media.image.metadata.xmp
    return xmp_of(read_boxes(io.BytesIO(data), len(data)))


@pytest.mark.parametrize("name", MADE)
def test_a_label_is_read_back_and_the_coded_picture_is_the_same(name: str) -> None:
    data, coded = MADE[name]
    out = labelled(open_media(data, name), SAID)
    found = read_xmp(xmp(out))
    assert values(found, "DigitalSourceType", IPTC_EXTENSION) == [VOCABULARY + WHOLLY]
    assert values(found, "AISystemUsed") == ['Model <1> & "co"']
    assert values(found, "title") == ["A title"]
    assert coded(out) == coded(data)
    before, after = open_media(data, name), open_media(out, name)
    if before.image is not None and after.image is not None:
        assert np.array_equal(before.image.stored_pixels, after.image.stored_pixels)
        with Pillow.open(io.BytesIO(data)) as one, Pillow.open(io.BytesIO(out)) as two:
            assert one.mode == two.mode and one.tobytes() == two.tobytes()
    again = labelled(open_media(out, name), Statement(PARTLY))
    found = read_xmp(xmp(again))
    assert values(found, "DigitalSourceType", IPTC_EXTENSION) == [VOCABULARY + PARTLY]
    assert values(found, "AISystemUsed") and values(found, "title")
    assert coded(again)[: len(coded(data))] == coded(data) or name.endswith(".mp4")


def test_what_the_xmp_said_before_is_kept_and_a_wrong_source_type_replaced() -> None:
    assert values(read_xmp(XMP), "DigitalSourceType")[0].endswith("digitalCapture")
    found = read_xmp(extended(XMP, SAID))
    assert values(found, "DigitalSourceType") == [VOCABULARY + WHOLLY]
    assert values(found, "Credit", PHOTOSHOP) == ["A. Photographer"]
    element = XMP.replace('e:DigitalSourceType="http://cv.iptc.org/newscodes/'
                          'digitalsourcetype/digitalCapture"/>',
                          '><e:DigitalSourceType>digitalCapture</e:DigitalSourceType>'
                          "</rdf:Description>")  # fmt: skip
    assert values(read_xmp(element), "DigitalSourceType") == ["digitalCapture"]
    found = read_xmp(extended(element, SAID))
    assert values(found, "DigitalSourceType") == [VOCABULARY + WHOLLY]
    for wrong in ("<x:xmpmeta>", "no XML", XMP[:-40]):
        with pytest.raises(InvalidInput):
            extended(wrong, SAID)


def test_a_plain_webp_gets_the_header_that_metadata_need() -> None:
    out = labelled(open_media(MADE["lossless.webp"][0]), SAID)
    assert webp_chunks(out) == ("VP8X", "VP8L", "XMP")
    assert out[20] & 0x14 == 0x14  # alpha and XMP
    assert int.from_bytes(out[4:8], "little") == len(out) - 8


def test_an_xmp_packet_that_is_too_long_for_a_jpeg_is_refused() -> None:
    with pytest.raises(InvalidInput, match="too long"):
        labelled(open_media(MADE["a.jpg"][0]), Statement(WHOLLY, title="x" * 70_000))


def test_damaged_files_are_refused_or_labelled() -> None:
    files = [data for data, _ in MADE.values()]
    for seed in range(400):
        data = damaged(files[seed % len(files)], np.random.default_rng(seed))
        try:
            out = labelled(open_media(data), SAID)
            assert VOCABULARY + WHOLLY in xmp(out)
        except (InvalidInput, MediaError):
            continue


def run(*arguments: object) -> Result:
    return CliRunner().invoke(bonafide, [str(one) for one in arguments])


def read(path: Path) -> dict[str, object]:
    checks = "c2pa_manifest,generator_metadata"
    done = run("scan", path, "--json", "--quiet", "--only", checks)
    report: dict[str, object] = json.loads(done.stdout)
    return report


def label_of(path: Path) -> str:
    return str(read(path)["verdict"])


@pytest.fixture(scope="module")
def pems(tmp_path_factory: pytest.TempPathFactory) -> tuple[object, ...]:
    signer, folder = Signer("Example Studio"), tmp_path_factory.mktemp("keys")
    (folder / "chain.pem").write_bytes(signer.chain)
    (folder / "key.pem").write_bytes(signer.key)
    return ("--cert", folder / "chain.pem", "--key", folder / "key.pem")


@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.webp", "a.mp4"])
def test_what_was_labelled_reads_as_ai(name: str, tmp_path: Path, pems: tuple[object, ...]) -> None:
    source, plain, signed = (tmp_path / f"{one}{name[1:]}" for one in ("s", "plain", "signed"))
    source.write_bytes(MADE[name][0])
    done = run("label", source, "--ai", "-o", plain, "--generator", "Model 1")
    assert done.exit_code == 0, done.output
    assert label_of(plain) == "declared_ai"
    done = run("label", source, "--ai", "-o", signed, *pems, "--generator", "Model 1")
    assert done.exit_code == 0, done.output
    assert label_of(signed) == "ai_generated"
    # The signature covers the XMP.
    assert VOCABULARY + WHOLLY in xmp(signed.read_bytes())
    changed = signed.read_bytes().replace(b"Model 1", b"Model 2")
    (tmp_path / name).write_bytes(changed)
    assert label_of(tmp_path / name) != "ai_generated"


def test_parts_made_by_ai(tmp_path: Path, pems: tuple[object, ...]) -> None:
    source, out = tmp_path / "s.jpg", tmp_path / "out.jpg"
    source.write_bytes(MADE["a.jpg"][0])
    assert run("label", source, "--ai", "--composite", "-o", out, *pems).exit_code == 0
    assert label_of(out) == "manipulated"
    assert run("label", source, "--ai", "--composite").exit_code == 0  # beside it
    text = json.dumps(read(tmp_path / "s.labelled.jpg"))
    assert "partly with AI" in text


def test_formats_without_xmp_carry_the_signed_statement_alone(
    tmp_path: Path, pems: tuple[object, ...]
) -> None:
    source, out = tmp_path / "s.wav", tmp_path / "out.wav"
    source.write_bytes(sound())
    assert run("label", source, "--ai", "-o", out).exit_code != 0
    done = run("label", source, "--ai", "-o", out, *pems)
    assert done.exit_code == 0 and "a signed manifest" in done.output
    assert "XMP" not in done.output
    again = run("label", out, "--ai", "-o", tmp_path / "again.wav", *pems)
    assert again.exit_code != 0 and "credentials already" in str(again.exception)
    for wrong in (
        (source, "-o", out),
        (source, "--ai", "-o", source),
        (source, "--ai", *pems[:2]),
        (source, "--ai", "--tsa", "https://tsa.example.org"),
    ):
        assert run("label", *wrong).exit_code == 2


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP"])
def test_a_mark_is_hidden_and_read_back_with_the_metadata_kept(
    tmp_path: Path,
    format: str,  # noqa: A002
) -> None:
    exif = Pillow.Exif()
    exif[0x010E] = "a description"
    path = tmp_path / f"cat.{format.lower()}"
    photograph = Pillow.fromarray(photographs.chelsea())
    photograph.save(path, format, exif=exif, icc_profile=b"a profile")
    out = tmp_path / f"out.{format.lower()}"
    result = CliRunner().invoke(
        bonafide, ["label", str(path), "--ai", "--composite", "--mark", "-o", str(out)]
    )
    assert result.exit_code == 0, result.output
    assert "a mark and XMP" in result.output
    with Pillow.open(out) as copy:
        assert copy.info["icc_profile"] == b"a profile"
        assert copy.getexif()[0x010E] == "a description"
        assert copy.size == photograph.size
    report = examine(out, Settings(only=("rivagan_watermark", "generator_metadata")))
    claims = {finding.detector: finding.claim for finding in report.findings}
    assert claims["rivagan_watermark"] is not None
    assert claims["rivagan_watermark"].label is Label.MANIPULATED
    image = open_media(out).image
    assert image is not None
    assert any(one.value.endswith(PARTLY) for one in read_xmp(image.metadata.xmp))


def test_a_mark_keeps_transparency_and_refuses_what_it_cannot_write(tmp_path: Path) -> None:
    pixels = np.dstack([photographs.astronaut(), np.full((512, 512), 128, np.uint8)])
    path = tmp_path / "clear.png"
    Pillow.fromarray(pixels, "RGBA").save(path)
    data = marked(open_media(path), Payload.MADE_BY_AI)
    assert np.array_equal(np.asarray(Pillow.open(io.BytesIO(data)))[..., 3], pixels[..., 3])
    for name, saved in {
        "deep.png": Pillow.fromarray(np.zeros((80, 80), np.uint16)),
        "small.png": Pillow.new("RGB", (40, 40)),
        "indexed.png": Pillow.new("P", (80, 80)),
    }.items():
        saved.save(tmp_path / name)
        with pytest.raises(InvalidInput):
            marked(open_media(tmp_path / name), Payload.MADE_BY_AI)
