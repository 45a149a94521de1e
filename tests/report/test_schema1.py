"""Reports that bonafide 0.1 wrote: shown, verified and exported as before.

The pictures were made by `pixels` below; `cat.png` is written so that every machine makes the same
bytes, and can be examined again.
"""

from __future__ import annotations

import io
import json
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from rich.console import Console
from skimage import data as photographs

from bonafide.cli.main import bonafide
from bonafide.custody import compare
from bonafide.errors import InvalidInput
from bonafide.media.limits import Limits
from bonafide.report import terminal
from bonafide.report.from_dict import from_dict
from bonafide.report.html import render_section
from bonafide.report.to_dict import to_dict
from bonafide.types import Carrier, Claim, Decision, Label, Question

HERE = Path(__file__).parent / "schema1"
NAMES = ("cat", "claim", "clone", "signed")


def kept(name: str) -> dict[str, Any]:
    record: dict[str, Any] = json.loads((HERE / f"{name}.json").read_text("utf-8"))
    return record


def stored_png(pixels: np.ndarray) -> bytes:
    """A PNG whose data are stored, not compressed: no version of zlib changes its bytes."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        whole = kind + data
        return struct.pack(">I", len(data)) + whole + struct.pack(">I", zlib.crc32(whole))

    height, width = pixels.shape[:2]
    raw = b"".join(b"\0" + row.tobytes() for row in pixels)
    blocks = [raw[at : at + 65535] for at in range(0, len(raw), 65535)]
    body = b"\x78\x01"
    for number, block in enumerate(blocks, 1):
        size = len(block)
        body += struct.pack("<BHH", number == len(blocks), size, size ^ 0xFFFF) + block
    body += struct.pack(">I", zlib.adler32(raw))
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


@pytest.fixture
def cat(tmp_path: Path) -> Path:
    pixels = np.ascontiguousarray(photographs.chelsea()[60:220, 100:300])
    path = tmp_path / "cat.png"
    path.write_bytes(stored_png(pixels))
    return path


@pytest.mark.parametrize("name", NAMES)
def test_they_are_shown_everywhere(name: str) -> None:
    record = kept(name)
    report = from_dict(record)
    assert report.schema == 1
    assert report.verdict.label == record["verdict"]
    out = io.StringIO()
    terminal.print_card(report, Console(file=out, width=300))
    section = render_section(report, None)
    for finding in record["findings"]:
        if finding["status"] == "ok":
            assert " ".join(finding["summary"].split()) in " ".join(out.getvalue().split())
    assert f'data-verdict="{record["verdict"]}"' in section
    assert record["media"]["sha256"] in section


def test_what_they_say_keeps_its_meaning() -> None:
    record = kept("clone")
    report = from_dict(record)
    for old, new in zip(record["findings"], report.findings, strict=True):
        assert (new.detector, new.score, new.probability, new.llr) == (
            old["detector"], old["score"], old["probability"], old["llr"],
        )  # fmt: skip
        assert len(new.regions) == len(old["regions"])
        assert dict(new.facts) == old["facts"]
        limit = old["threshold"]
        assert new.hit == (limit is not None and (old["score"] or 0) >= limit)
    told = report.verdict.probabilities
    for question, probability in record["probabilities"].items():
        assert told[Question(question)] == probability
    assert {answer.p_value for answer in report.verdict.answers} == {None}
    assert {answer.decision for answer in report.verdict.answers} == {Decision.INCONCLUSIVE}


def test_a_claim_says_what_carries_it() -> None:
    report = from_dict(kept("claim"))
    claims = [finding.claim for finding in report.findings if finding.claim]
    assert claims == [Claim(Label.AI_GENERATED, Carrier.UNSIGNED_TEXT)]


@pytest.mark.parametrize(
    ("state", "carrier"),
    [
        ("Trusted", "trusted_signature"),
        ("Valid", "valid_signature"),
        ("Invalid", "broken_signature"),
    ],
)
def test_a_claim_of_credentials_says_whether_they_hold(state: str, carrier: str) -> None:
    record = kept("claim")
    finding = next(one for one in record["findings"] if one["claim"])
    finding["facts"]["state"] = state
    claims = [finding.claim for finding in from_dict(record).findings if finding.claim]
    assert claims[0].carrier == carrier


def test_they_can_be_written_as_schema_2() -> None:
    from .test_schema import validate

    for name in NAMES:
        validate(to_dict(from_dict(kept(name))))


def test_a_failure_is_none_to_show() -> None:
    with pytest.raises(InvalidInput, match="could not be examined"):
        from_dict(kept("broken"))


@pytest.mark.parametrize("key", ["findings", "probabilities", "because", "settings"])
def test_a_damaged_one_is_refused(key: str) -> None:
    for wrong in (None, 7, "x", [1]):
        with pytest.raises(InvalidInput):
            from_dict(kept("cat") | {key: wrong})


class TestVerify:
    def test_the_signature_still_holds(self) -> None:
        pytest.importorskip("rfc8785")
        key = str(HERE / "desk.public.pem")
        done = CliRunner().invoke(
            bonafide, ["verify", str(HERE / "signed.json"), "--public-key", key]
        )
        assert done.exit_code == 0, done.output
        assert "agrees   signature: made with the key" in done.output

    def test_the_file_is_examined_again_and_compared(self, cat: Path) -> None:
        done = CliRunner().invoke(bonafide, ["verify", str(HERE / "cat.json"), str(cat)])
        assert "agrees   file: SHA-256" in done.output
        assert "note     schema: is 1" in done.output
        assert "Traceback" not in done.output
        assert done.exit_code in (0, 1)

    def test_a_detector_that_was_retired_is_named(self, cat: Path) -> None:
        done = CliRunner().invoke(bonafide, ["verify", str(HERE / "cat.json"), str(cat)])
        told = "note     detector synthetic_traces: not installed here, cannot be asked again"
        assert f"{told}; the report is of bonafide 0.1.0" in done.output
        assert "DIFFERS  findings[synthetic_traces].status: ok then, not asked now" in done.output
        assert done.exit_code == 1

    def test_a_report_of_a_retired_detector_alone_is_not_told(
        self, cat: Path, tmp_path: Path
    ) -> None:
        record = kept("cat")
        record["settings"]["only"] = ["synthetic_traces"]
        (tmp_path / "alone.json").write_text(json.dumps(record))
        words = ["verify", str(tmp_path / "alone.json"), str(cat)]
        error = CliRunner().invoke(bonafide, words).exception
        assert isinstance(error, InvalidInput)
        assert "synthetic_traces: no detector of that name is installed" in str(error)
        assert "made with bonafide 0.1.0" in str(error)

    def test_it_agrees_with_itself_in_the_new_schema(self) -> None:
        then = kept("clone")
        assert compare.differences(then, to_dict(from_dict(then))) == []

    def test_a_changed_score_is_found(self) -> None:
        then = kept("clone")
        now = to_dict(from_dict(then))
        now["findings"][2]["score"] = 123.4
        where = f"findings[{now['findings'][2]['detector']}].score"
        assert [one.where for one in compare.differences(then, now)] == [where]

    def test_a_detector_that_is_gone_is_found_and_a_new_one_is_not(self) -> None:
        then = kept("clone")
        now = to_dict(from_dict(then))
        gone = now["findings"].pop(0)["detector"]
        now["findings"].append({**now["findings"][0], "detector": "made_later"})
        found = compare.differences(then, now)
        assert {one.where.split(".")[0] for one in found} == {f"findings[{gone}]"}

    def test_a_damaged_report_is_a_typed_error(self) -> None:
        then = kept("clone")
        now = to_dict(from_dict(then))
        for broken in ({"findings": [7]}, {"probabilities": None}, {"media": []}):
            with pytest.raises(InvalidInput):
                compare.differences(then | broken, now)

    def test_its_settings_are_known(self) -> None:
        assert compare.settings_of(kept("signed"), Limits()).stability


class TestStore:
    @pytest.fixture
    def store(self, tmp_path: Path) -> str:
        pytest.importorskip("sqlalchemy")
        from bonafide.store import open_store

        url = str(tmp_path / "store.db")
        opened = open_store(url)
        for number, name in enumerate(NAMES):
            opened.put_report(kept(name), f"{number:064x}", None, "desk")
        opened.close()
        return url

    def run(self, *words: str) -> str:
        done = CliRunner().invoke(bonafide, list(words))
        assert done.exit_code == 0, done.output
        return done.output

    def test_show(self, store: str) -> None:
        sha256 = kept("clone")["media"]["sha256"]
        assert "clone.jpg" in self.run("show", sha256[:12], "--store", store)
        shown = self.run("show", sha256[:12], "--json", "--store", store)
        assert json.loads(shown) == kept("clone")

    def test_export(self, store: str) -> None:
        lines = self.run("export", "--csv", "--store", store).splitlines()
        assert len([line for line in lines if "inconclusive" in line]) == 2
        assert any(line.startswith("id,") and "voice_cloned" in line for line in lines)
        whole = self.run("export", "--jsonl", "--store", store)
        records = [json.loads(line) for line in whole.splitlines() if line.startswith("{")]
        assert [record["schema"] for record in records] == [1, 1, 1, 1]

    def test_report_for_print(self, store: str, tmp_path: Path) -> None:
        pytest.importorskip("fpdf")
        target = tmp_path / "case.pdf"
        self.run("report", kept("cat")["media"]["sha256"], "--pdf", str(target), "--store", store)
        assert target.read_bytes().startswith(b"%PDF")
