"""The report for print: everything is in it, and nothing from a file can act in it."""

from __future__ import annotations

import io
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from PIL import Image as Pillow
from skimage import data as photographs

pytest.importorskip("fpdf")

from bonafide import Settings, examine, to_dict
from bonafide.errors import InvalidInput
from bonafide.media.media import Media
from bonafide.media.source import open_media
from bonafide.report import pdf, pdf_sheet
from bonafide.report.original import find_media
from bonafide.types import Report


@pytest.fixture(scope="module")
def media(tmp_path_factory: pytest.TempPathFactory) -> Media:
    buffer = io.BytesIO()
    Pillow.fromarray(photographs.chelsea()[:160, :200]).save(buffer, "JPEG", quality=90)
    path = tmp_path_factory.mktemp("pdf") / "cat.jpg"
    path.write_bytes(buffer.getvalue())
    return open_media(str(path))


@pytest.fixture
def record(media: Media) -> dict[str, Any]:
    record = to_dict(examine(media, Settings(only=("double_jpeg", "exif_consistency"))))
    region = {"x": 150, "y": 100, "width": 90, "height": 90, "score": 1.0, "role": "", "pair": -1}
    record["findings"][0]["parts"][0]["regions"] = [region] * 30
    return record


def words(path: Path) -> str:
    tool = shutil.which("pdftotext")
    if tool is None:
        why = "pdftotext is not installed (Debian: apt-get install poppler-utils)"
        required = "pdftotext" in os.environ.get("BONAFIDE_REQUIRE", "").split(",")
        (pytest.fail if required else pytest.skip)(why)
    done = subprocess.run([tool, "-layout", path, "-"], capture_output=True, check=True, timeout=60)
    return " ".join(done.stdout.decode().split())


def test_everything_is_in_it(record: dict[str, Any], media: Media, tmp_path: Path) -> None:
    record["signature"] = {"algorithm": "Ed25519", "form": "RFC 8785", "value": "c2lnbmVk"}
    pdf.write_pdf(record, tmp_path / "report.pdf", media)
    text = words(tmp_path / "report.pdf")
    told = [
        "cat.jpg", record["media"]["sha256"], record["verdict_words"], "double_jpeg 1",
        "30 regions, 12 shown", "Not tested", "c2pa_manifest", "profile", "standard",
        record["versions"]["numpy"], "c2lnbmVk", "page 1 of",
    ]  # fmt: skip
    for expected in told:
        assert expected in text, expected


def test_the_same_record_gives_the_same_file(
    record: dict[str, Any], media: Media, tmp_path: Path
) -> None:
    for name in ("one.pdf", "two.pdf"):
        pdf.write_pdf(record, tmp_path / name, media)
    assert (tmp_path / "one.pdf").read_bytes() == (tmp_path / "two.pdf").read_bytes()


@pytest.mark.parametrize("fonts", [pdf_sheet._FONTS, ()])
def test_hostile_text_stays_text(
    record: dict[str, Any], tmp_path: Path, fonts: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pdf_sheet, "_FONTS", fonts)
    nasty = "\u202eevil\x1b[2J **bold** {nb} <a href='x'>漢字 🙂\udcff " + "W" * 3000
    record["media"]["name"] = nasty
    record["caveat"] = nasty
    record["findings"][0]["parts"][0]["summary"] = nasty
    record["untested"]["x" * 300] = nasty
    record["settings"]["trust"] = nasty
    record["versions"]["y" * 300] = nasty
    pdf.write_pdf(record, tmp_path / "report.pdf", None)
    raw = (tmp_path / "report.pdf").read_bytes()
    assert b"/URI" not in raw
    assert b"/JavaScript" not in raw
    text = words(tmp_path / "report.pdf")
    assert "\\u202eevil" in text
    assert "**bold**" in text
    assert "<a href" in text


def test_a_video_has_frames_and_a_chart(video_report: Report, clip: Any, tmp_path: Path) -> None:
    pdf.write_pdf(to_dict(video_report), tmp_path / "report.pdf", clip)
    text = words(tmp_path / "report.pdf")
    assert text.count("Frame at 0:0") == 4
    assert "frame by frame" in text
    assert "0:08.0" in text
    raw = (tmp_path / "report.pdf").read_bytes()
    assert raw.count(b"/Subtype /Image") == 4


def test_a_sound_has_a_chart(sound_report: Report, tmp_path: Path) -> None:
    pdf.write_pdf(to_dict(sound_report), tmp_path / "report.pdf", None)
    text = words(tmp_path / "report.pdf")
    assert "Highest: 0.9998 at 0:23.5" in text
    assert "weak evidence" in text


class TestFindingThePicture:
    def test_where_it_was(self, media: Media) -> None:
        facts = {"path": media.path, "sha256": media.sha256}
        found, why = find_media(facts, None)
        assert found is not None
        assert (found.sha256, why) == (media.sha256, "")

    def test_changed_gone_or_never_named(self, media: Media, tmp_path: Path) -> None:
        facts = {"path": media.path, "sha256": "0" * 64}
        assert find_media(facts, None) == (None, "the file has been changed since")
        found, why = find_media(facts | {"path": str(tmp_path / "gone.jpg")}, None)
        assert found is None
        assert why
        found, why = find_media(facts | {"path": None}, None)
        assert "--file" in why

    def test_a_file_that_is_given_must_be_the_one(self, media: Media, tmp_path: Path) -> None:
        facts = {"path": None, "sha256": "0" * 64}
        for given in (str(media.path), str(tmp_path / "gone.jpg")):
            with pytest.raises(InvalidInput):
                find_media(facts, given)
