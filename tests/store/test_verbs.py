"""The verbs of store and custody as a user meets them."""

from __future__ import annotations

import csv
import io
import json
import os
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from click.testing import CliRunner, Result
from PIL import Image as Pillow
from skimage import data as photographs

pytest.importorskip("cryptography")

from bonafide.cli.main import bonafide as command
from bonafide.errors import BonafideError, InvalidInput

SCHEMA = json.loads((Path(__file__).parents[2] / "docs" / "report.schema.json").read_text())
ONLY = ("--only", "exif_consistency,double_jpeg", "--jobs", "1")


def run(*arguments: str | Path, ends: int = 0) -> Result:
    result = CliRunner().invoke(command, list(map(str, arguments)), catch_exceptions=True)
    if isinstance(result.exception, BonafideError):
        raise result.exception
    assert result.exit_code == ends, (result.output, result.exception)
    return result


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a store in which three pictures are, one of them signed."""
    place = tmp_path_factory.mktemp("verbs")
    cat = Pillow.fromarray(photographs.chelsea()[:200, :300])
    cat.save(place / "cat.jpg", quality=92)
    cat.resize((150, 100)).save(place / "small cat.jpg", quality=70)
    Pillow.fromarray(photographs.coffee()[:200, :300]).save(place / "=coffee.jpg", quality=92)
    run("keys", "new", place / "key.pem")
    store = ("--store", place / "store.db")
    signed = run("scan", place / "cat.jpg", *store, *ONLY, "--sign", place / "key.pem", "--json")
    (place / "cat.json").write_text(signed.stdout)
    others = run("scan", place / "small cat.jpg", place / "=coffee.jpg", *store, *ONLY, "--jsonl")
    (place / "notes").write_text(others.stderr)
    (place / "coffee.json").write_text(others.stdout.splitlines()[1])
    return place


def at(place: Path) -> tuple[str, str]:
    return "--store", str(place / "store.db")


def tampered(place: Path, folder: Path, statement: str) -> Path:
    """A copy of the store, changed by somebody who owns it."""
    copy = folder / "copy.db"
    with sqlite3.connect(place / "store.db") as source, sqlite3.connect(copy) as target:
        source.backup(target)
        target.execute(statement)
    return copy


_HELP = """
import sys
from click.testing import CliRunner
from bonafide.cli.main import bonafide
for verb in sys.argv[1:]:
    result = CliRunner().invoke(bonafide, [verb, "--help"])
    assert result.exit_code == 0 and f"  bonafide {verb}" in result.output, result.output
print({"numpy", "PIL", "onnxruntime", "sqlalchemy", "cryptography"} & set(sys.modules))
"""


def test_help_teaches_by_example_and_loads_nothing_heavy() -> None:
    verbs = ("scan", "history", "show", "export", "report", "verify", "sign", "keys")
    done = subprocess.run(
        [sys.executable, "-c", _HELP, *verbs], capture_output=True, text=True, check=True
    )
    assert done.stdout == "set()\n"


def test_what_is_printed_fits_the_schema(place: Path) -> None:
    record = json.loads((place / "cat.json").read_text())
    jsonschema.validate(record, SCHEMA)
    assert record["signature"]["algorithm"] == "Ed25519"


def test_near_duplicates_are_pointed_out(place: Path) -> None:
    note = (place / "notes").read_text()
    assert note.count("\n") == 1
    assert "small cat.jpg looks" in note
    assert "cat.jpg, seen on" in note


class TestHistory:
    def test_lines_newest_first(self, place: Path) -> None:
        lines = run("history", *at(place)).stdout.splitlines()
        assert [line.split()[-1] for line in lines] == ["=coffee.jpg", "cat.jpg", "cat.jpg"]

    def test_filters(self, place: Path) -> None:
        assert "small cat" in run("history", "small", "--since", "1d", *at(place)).stdout
        none = run("history", "--until", "2020-01-01", *at(place))
        assert none.stdout == ""
        assert "no stored report" in none.stderr
        (line,) = run("history", "--limit", "1", "--json", *at(place)).stdout.splitlines()
        assert json.loads(line)["name"] == "=coffee.jpg"

    @pytest.mark.parametrize("when", ["yesterday", "99999999999999d", "d", "2026-13-01"])
    def test_moments_that_are_none(self, place: Path, when: str) -> None:
        assert "neither a date" in run("history", "--since", when, *at(place), ends=2).stderr


class TestShow:
    def digits(self, place: Path) -> str:
        digits: str = json.loads((place / "cat.json").read_text())["media"]["sha256"]
        return digits

    def test_a_card(self, place: Path) -> None:
        card = run("show", self.digits(place)[:8], *at(place)).stdout
        assert "cat.jpg" in card
        assert "Not tested" in card

    def test_json_is_what_scan_printed(self, place: Path) -> None:
        shown = json.loads(run("show", self.digits(place), "--json", *at(place)).stdout)
        assert shown == json.loads((place / "cat.json").read_text())

    def test_hashes_that_mean_nothing(self, place: Path) -> None:
        for wrong in ("abc", "xyz1", "%%%%", "0000000000"):
            with pytest.raises(InvalidInput, match=r"hash"):
                run("show", wrong, *at(place))
        with pytest.raises(InvalidInput, match="no report 99"):
            run("show", self.digits(place), "--id", "99", *at(place))

    def test_of_several_reports_one_can_be_chosen(self, place: Path) -> None:
        run("scan", place / "cat.jpg", *at(place), "--only", "double_jpeg", "--jobs", "1", "--json")
        newest = run("show", self.digits(place), "--json", *at(place))
        assert "others: --id 1" in newest.stderr
        assert len(json.loads(newest.stdout)["findings"]) == 1
        first = run("show", self.digits(place), "--json", "--id", "1", *at(place))
        assert len(json.loads(first.stdout)["findings"]) == 2


class TestExport:
    def test_json_lines(self, place: Path) -> None:
        lines = run("export", "coffee", *at(place)).stdout.splitlines()
        assert [json.loads(line) for line in lines] == [
            json.loads((place / "coffee.json").read_text())
        ]

    def test_csv_holds_no_formula(self, place: Path) -> None:
        text = run("export", "coffee", "--csv", *at(place)).stdout
        (row,) = csv.DictReader(io.StringIO(text))
        assert row["name"] == "'=coffee.jpg"
        assert row["verdict"]

    def test_parquet(self, place: Path, tmp_path: Path) -> None:
        parquet = pytest.importorskip("pyarrow.parquet")
        run("export", "cat", "--parquet", "-o", tmp_path / "out.parquet", *at(place))
        rows = parquet.read_table(tmp_path / "out.parquet").to_pylist()
        assert {row["name"] for row in rows} == {"cat.jpg", "small cat.jpg"}
        assert json.loads(rows[0]["report"]) == json.loads((place / "cat.json").read_text())
        assert rows[0]["width"] == 300

    def test_an_empty_store(self, tmp_path: Path) -> None:
        parquet = pytest.importorskip("pyarrow.parquet")
        store = ("--store", str(tmp_path / "empty.db"))
        run("export", "--parquet", "-o", tmp_path / "out.parquet", *store)
        assert parquet.read_table(tmp_path / "out.parquet").num_rows == 0

    def test_one_form_at_a_time(self, place: Path) -> None:
        assert "only one" in run("export", "--csv", "--jsonl", *at(place), ends=2).stderr
        assert "--output" in run("export", "--parquet", *at(place), ends=2).stderr


class TestVerify:
    def test_an_unchanged_report_of_an_unchanged_file(self, place: Path) -> None:
        key = ("--public-key", place / "key.public.pem")
        told = run("verify", place / "cat.json", place / "cat.jpg", *key).stdout
        assert "DIFFERS" not in told
        assert told.count("agrees") == 4
        assert "agrees" in run("verify", place / "cat.json", *key).stdout

    def test_one_byte_of_the_file(self, place: Path, tmp_path: Path) -> None:
        raw = bytearray((place / "cat.jpg").read_bytes())
        raw[len(raw) // 2] ^= 1
        (tmp_path / "cat.jpg").write_bytes(raw)
        told = run("verify", place / "cat.json", tmp_path / "cat.jpg", ends=1).stdout
        assert "DIFFERS  file" in told

    @pytest.mark.parametrize(
        ("old", "new"),
        [
            ('"name": "cat.jpg"', '"name": "bat.jpg"'),
            ('"examined_at": "2', '"examined_at": "1'),
            ('"verdict": "', '"verdict": "x'),
            ('"numpy": "', '"numpy": "1'),
            ('"signed_at": "2', '"signed_at": "1'),
            ('"value": "', '"value": "A'),
        ],
    )
    def test_one_byte_of_a_signed_report(
        self, place: Path, tmp_path: Path, old: str, new: str
    ) -> None:
        text = (place / "cat.json").read_text()
        assert old in text
        (tmp_path / "r.json").write_text(text.replace(old, new, 1))
        key = ("--public-key", place / "key.public.pem")
        told = run("verify", tmp_path / "r.json", *key, ends=1).stdout
        assert "DIFFERS  signature" in told

    def test_a_changed_finding_without_a_signature(self, place: Path, tmp_path: Path) -> None:
        record: dict[str, Any] = json.loads((place / "coffee.json").read_text())
        record["findings"][0]["score"] = 0.75
        record["verdict"] = "manipulated"
        (tmp_path / "r.json").write_text(json.dumps(record))
        told = run("verify", tmp_path / "r.json", place / "=coffee.jpg", ends=1).stdout
        assert "DIFFERS  verdict: manipulated then" in told
        assert ".score: 0.75 then" in told
        assert "note     signature: there is none" in told

    def test_a_last_digit(self, place: Path, tmp_path: Path) -> None:
        """Found out by the signature, also without its key; else tolerated, and named."""
        path = tmp_path / "r.json"
        record: dict[str, Any] = json.loads((place / "cat.json").read_text())
        record["probabilities"]["edited"] += 0.0001
        path.write_text(json.dumps(record))
        assert "DIFFERS  signature" in run("verify", path, place / "cat.jpg", ends=1).stdout
        del record["signature"]
        path.write_text(json.dumps(record))
        told = run("verify", path, place / "cat.jpg").stdout
        assert "note     last digits: probabilities.edited" in told

    def test_a_report_signed_afterwards(self, place: Path, tmp_path: Path) -> None:
        signed = run("sign", place / "coffee.json", "--key", place / "key.pem").stdout
        (tmp_path / "s.json").write_text(signed)
        run("verify", tmp_path / "s.json", "--public-key", place / "key.public.pem")

    def test_what_cannot_be_told(self, place: Path, tmp_path: Path) -> None:
        run("verify", place / "cat.json", ends=2)
        for text in ("[]", "{}", '{"status": "failed"}', "nothing"):
            (tmp_path / "r.json").write_text(text)
            with pytest.raises(InvalidInput):
                run("verify", tmp_path / "r.json", place / "cat.jpg")
        with pytest.raises(InvalidInput, match="cannot be read"):
            run("verify", place / "cat.json", tmp_path / "absent.jpg")

    @pytest.mark.parametrize("change", [{"calibration": "cat.jpg"}, {"only": ["nothing"]}])
    def test_settings_that_cannot_be_followed(
        self, place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: dict[str, Any]
    ) -> None:
        monkeypatch.chdir(place)
        record: dict[str, Any] = json.loads((place / "coffee.json").read_text())
        record["settings"] |= change
        (tmp_path / "r.json").write_text(json.dumps(record))
        with pytest.raises(BonafideError, match=r"no calibration|no detector"):
            run("verify", tmp_path / "r.json", place / "=coffee.jpg")


@pytest.mark.skipif(sys.platform != "linux", reason="names are Unicode there")
class TestNamesThatAreNoText:
    @pytest.fixture
    def picture(self, place: Path, tmp_path: Path) -> Path:
        picture = tmp_path / os.fsdecode("Ä\N{GRINNING FACE}".encode() + b"\xff.jpg")
        picture.write_bytes((place / "cat.jpg").read_bytes())
        return picture

    @pytest.mark.parametrize("form", ["--json", "--jsonl"])
    def test_a_report_can_be_relied_on(self, place: Path, picture: Path, form: str) -> None:
        written = run("scan", picture, *ONLY, form, "--sign", place / "key.pem").stdout_bytes
        assert "Ä\N{GRINNING FACE}\\udcff.jpg".encode() in written
        (picture.parent / "r.json").write_bytes(written)
        key = ("--public-key", place / "key.public.pem")
        assert "DIFFERS" not in run("verify", picture.parent / "r.json", picture, *key).stdout

    def test_a_report_can_be_signed_afterwards(self, place: Path, picture: Path) -> None:
        report, signed = picture.parent / "r.json", picture.parent / "s.json"
        report.write_bytes(run("scan", picture, *ONLY, "--json").stdout_bytes)
        key = ("--key", place / "key.pem")
        run("report", "sign", report, *key, "-o", signed)
        run("verify", signed, "--public-key", place / "key.public.pem")
        before = run("sign", report, *key)  # the name that it had in 0.2
        assert before.exit_code == 0 and "bonafide report sign" in before.stderr
        told = [json.loads(text) for text in (before.stdout, signed.read_text())]
        for one in told:  # a second may have passed
            del one["signature"]["signed_at"], one["signature"]["value"]
        assert told[0] == told[1]


class TestStore:
    def test_check_and_log(self, place: Path) -> None:
        told = run("store", "check", *at(place)).stdout
        assert told.startswith("nothing was changed; note this elsewhere: ")
        run("store", "check", "--head", told.split()[-1], *at(place))
        lines = run("store", "log", *at(place)).stdout.splitlines()
        assert [json.loads(line)["number"] for line in lines] == list(range(1, len(lines) + 1))
        assert "NUMBER:HASH" in run("store", "check", "--head", "x", *at(place), ends=2).stderr

    def test_tampering_is_named(self, place: Path, tmp_path: Path) -> None:
        copy = tampered(
            place, tmp_path, "UPDATE reports SET verdict = 'authenticated' WHERE id = 2"
        )
        told = run("store", "check", "--store", copy, ends=1).stdout
        assert told.startswith("BROKEN  report 2: ")

    @pytest.mark.parametrize("change", ["record = '{'", "stored_at = 'x'"])
    def test_what_cannot_be_read_is_said_in_words(
        self, place: Path, tmp_path: Path, change: str
    ) -> None:
        copy = tampered(place, tmp_path, f"UPDATE reports SET {change}")
        told = run("store", "check", "--store", copy, ends=1).stdout
        assert told == "BROKEN  report 1: It cannot be read.\n"
        out = tmp_path / "out.jsonl"
        if change.startswith("record"):
            run("history", "--store", copy)  # which does not read the records
        else:
            with pytest.raises(InvalidInput, match="bonafide store check"):
                run("history", "--store", copy)
        for verb in (["export"], ["export", "-o", out]):
            with pytest.raises(InvalidInput, match="bonafide store check"):
                run(*verb, "--store", copy)
        assert not list(tmp_path.glob("out*"))

    @pytest.mark.parametrize(
        "record",
        [
            *("'{'", "'null'", "'[]'", "'{}'", "'{\"media\": []}'"),
            """replace(record, '{"schema"', '{"more": NaN, "schema"')""",
        ],
    )
    def test_a_report_that_is_none_is_not_shown(
        self, place: Path, tmp_path: Path, record: str
    ) -> None:
        copy = tampered(place, tmp_path, f"UPDATE reports SET record = {record}")
        digits = json.loads((place / "cat.json").read_text())["media"]["sha256"]
        for verb in (["show"], ["show", "--json"], ["report", "--pdf", tmp_path / "r.pdf"]):
            with pytest.raises(InvalidInput, match="bonafide store check"):
                run(*verb, digits, "--store", copy)


def test_keys_of_the_service(tmp_path: Path) -> None:
    store = ("--store", str(tmp_path / "s.db"))
    secret = run("keys", "add", "desk", "--scope", "read", "--rate", "5", *store).stdout.strip()
    assert secret.startswith("bonafide_")
    listed = run("keys", "list", *store).stdout
    assert "desk" in listed
    assert secret not in listed
    run("keys", "revoke", "desk", *store)
    assert "revoked" in run("keys", "list", *store).stdout
    with pytest.raises(InvalidInput, match="no valid key"):
        run("keys", "revoke", "desk", *store)


def test_a_report_for_print(place: Path, tmp_path: Path) -> None:
    pytest.importorskip("fpdf")
    digits = json.loads((place / "cat.json").read_text())["media"]["sha256"][:12]
    run("report", digits, "--pdf", tmp_path / "r.pdf", *at(place))
    assert (tmp_path / "r.pdf").read_bytes().startswith(b"%PDF")
    with pytest.raises(InvalidInput, match="not the file"):
        run("report", digits, "--pdf", tmp_path / "r.pdf", "--file", place / "=coffee.jpg",
            *at(place))  # fmt: skip
