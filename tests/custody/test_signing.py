"""A signed report is caught in every byte, and a canonical form is everybody's."""

from __future__ import annotations

import base64
import json
import stat
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

rfc8785 = pytest.importorskip("rfc8785")
pytest.importorskip("cryptography")

from bonafide.custody import signing
from bonafide.custody.canonical import _admitted, canonical, json_text, read_json
from bonafide.errors import InvalidInput

RECORD: dict[str, Any] = {
    "schema": 1,
    "media": {"name": "Å\udcff.jpg", "sha256": "ab" * 32, "bytes": 2**70},
    "verdict": "manipulated",
    "findings": [{"detector": "ela", "score": 0.30000000000000004, "facts": {"x": [1e-7, True]}}],
}
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec=None)),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)  # fmt: skip


def no_password() -> str:
    raise AssertionError("nobody should be asked")


@pytest.fixture
def keys(tmp_path: Path) -> tuple[Any, Any]:
    public = signing.new_key(tmp_path / "key.pem")
    return signing.private_key(tmp_path / "key.pem", no_password), signing.public_key(public)


class TestCanonical:
    def test_the_example_of_the_rfc(self) -> None:
        given_ = {
            "numbers": [333333333.33333329, 1e30, 4.50, 2e-3, 0.000000000000000000000000001],
            "string": "\u20ac$\u000f\u000aA'\u0042\u0022\u005c\\\"/",
            "literals": [None, True, False],
        }
        expected = (
            b'{"literals":[null,true,false],"numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27],'
            b'"string":"\xe2\x82\xac$\\u000f\\nA\'B\\"\\\\\\\\\\"/"}'
        )
        assert canonical(given_) == expected

    @given(JSON)
    @settings(max_examples=30, deadline=None)
    def test_it_survives_a_file(self, value: Any) -> None:
        assert canonical(json.loads(json.dumps(value))) == canonical(value)

    @given(JSON)
    @settings(max_examples=30, deadline=None)
    def test_it_survives_a_file_for_people(self, value: Any) -> None:
        text = json_text(value).encode("utf-8")
        assert canonical(json.loads(text)) == canonical(json.loads(json.dumps(value)))

    @given(JSON)
    @settings(max_examples=200, deadline=None)
    def test_it_is_what_the_library_writes(self, value: Any) -> None:
        assert canonical(value) == rfc8785.dumps(_admitted(value))

    @pytest.mark.parametrize("exponent", range(-30, 31))
    def test_numbers_of_every_size(self, exponent: int) -> None:
        values = [0.0, -0.0, 2.0**53, -(2.0**53), 9007199254740991.0, 123456789012345680.0]
        values += [sign * digit * 10.0**exponent for sign in (1, -1) for digit in (1, 9.5, 1 / 3)]
        assert canonical(values) == rfc8785.dumps(values)

    def test_letters_stand_as_they_are(self) -> None:
        assert json_text({"ü": "\\\udcff\n"}) == '{"ü": "\\\\\\udcff\\n"}'

    def test_what_the_rfc_does_not_admit(self) -> None:
        assert canonical([2**53, -(2**60), "\udcff"]) == (
            b'["9007199254740992","-1152921504606846976","\\\\udcff"]'
        )
        assert canonical(10**5000).startswith(b'"0x')

    @pytest.mark.parametrize("value", [float("nan"), float("inf")])
    def test_what_is_no_json(self, value: float) -> None:
        with pytest.raises(InvalidInput, match="canonical"):
            canonical([value])

    def test_bottomless_values(self) -> None:
        value: list[Any] = []
        for _ in range(100_000):
            value = [value]
        with pytest.raises(InvalidInput):
            canonical(value)


class TestReading:
    @pytest.mark.parametrize(
        "text", ['{"a": 1, "a": 2}', '{"a": NaN}', "[" * 100_000, "", "\x00", '{"a": 1', "\xff"]
    )
    def test_bad_files_are_refused(self, tmp_path: Path, text: str) -> None:
        path = tmp_path / "report.json"
        path.write_bytes(text.encode("latin-1"))
        with pytest.raises(InvalidInput, match="not JSON"):
            read_json(path)

    def test_absent_files_and_folders(self, tmp_path: Path) -> None:
        for path in (tmp_path, tmp_path / "absent"):
            with pytest.raises(InvalidInput, match="cannot be read"):
                read_json(path)


class TestSignatures:
    def test_a_signature_holds_through_a_file(self, keys: tuple[Any, Any], tmp_path: Path) -> None:
        private, public = keys
        path = tmp_path / "report.json"
        path.write_text(json.dumps(signing.sign(RECORD, private), indent=3, sort_keys=True))
        assert signing.flaw(read_json(path), public) is None

    def test_every_byte_counts(self, keys: tuple[Any, Any], tmp_path: Path) -> None:
        """Whatever is changed, the file says the same as before, or it is found out."""
        private, public = keys
        signed = signing.sign(RECORD, private)
        whole = json.dumps(signed).encode()
        path = tmp_path / "report.json"
        for place in range(len(whole)):
            raw = bytearray(whole)
            raw[place] ^= 1 << place % 5
            path.write_bytes(raw)
            try:
                found = read_json(path)
            except InvalidInput:
                continue
            if found != signed:
                assert signing.flaw(found, public), f"byte {place}"

    def test_signing_again_replaces(self, keys: tuple[Any, Any]) -> None:
        private, public = keys
        again = signing.sign(signing.sign(RECORD, private), private)
        assert signing.flaw(again, public) is None

    def test_another_key(self, keys: tuple[Any, Any], tmp_path: Path) -> None:
        other = signing.public_key(signing.new_key(tmp_path / "other.pem"))
        signed = signing.sign(RECORD, keys[0])
        assert "another key" in str(signing.flaw(signed, other))
        # An attacker who signs anew, and says that the key is the trusted one.
        forged = signing.sign(RECORD, signing.private_key(tmp_path / "other.pem", no_password))
        forged["signature"]["public_key"] = signed["signature"]["public_key"]
        assert "changed" in str(signing.flaw(forged, keys[1]))

    @pytest.mark.parametrize(
        "signature",
        [None, 7, {}, {"algorithm": "none"}, {"algorithm": "Ed25519", "form": "RFC 8785"}],
    )
    def test_what_is_no_signature(self, keys: tuple[Any, Any], signature: Any) -> None:
        assert signing.flaw(RECORD | {"signature": signature}, keys[1])
        own = base64.b64encode(keys[1].public_bytes_raw()).decode()
        if isinstance(signature, dict):
            for value in (None, 3, "", "äö", "AAAA"):
                wrong = signature | {"public_key": own, "value": value}
                assert signing.flaw(RECORD | {"signature": wrong}, keys[1])

    def test_a_report_that_is_not_signed(self, keys: tuple[Any, Any]) -> None:
        assert signing.flaw(RECORD, keys[1]) == "the report is not signed"


class TestKeys:
    @pytest.mark.skipif(sys.platform == "win32", reason="files have no such modes there")
    def test_only_the_owner_can_read_the_secret(self, tmp_path: Path) -> None:
        signing.new_key(tmp_path / "key.pem")
        assert stat.S_IMODE((tmp_path / "key.pem").stat().st_mode) == 0o600

    def test_nothing_is_overwritten(self, tmp_path: Path) -> None:
        signing.new_key(tmp_path / "key.pem")
        before = (tmp_path / "key.pem").read_bytes()
        with pytest.raises(InvalidInput, match="never overwritten"):
            signing.new_key(tmp_path / "key.pem")
        (tmp_path / "key.public.pem").unlink()
        with pytest.raises(InvalidInput, match="never overwritten"):
            signing.new_key(tmp_path / "key.pem")
        assert (tmp_path / "key.pem").read_bytes() == before

    @pytest.mark.parametrize("there", ["key.pem", "key.public.pem"])
    def test_no_half_of_a_pair_is_left(self, tmp_path: Path, there: str) -> None:
        (tmp_path / there).write_text("here before")
        with pytest.raises(InvalidInput, match="never overwritten"):
            signing.new_key(tmp_path / "key.pem")
        assert [path.name for path in tmp_path.iterdir()] == [there]
        assert (tmp_path / there).read_text() == "here before"

    def test_a_full_disk_leaves_no_empty_key(self, tmp_path: Path) -> None:
        resource = pytest.importorskip("resource")
        most, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (16, hard))  # bytes of any file written
        try:
            with pytest.raises(InvalidInput, match="cannot be written"):
                signing.new_key(tmp_path / "key.pem")
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (most, hard))
        assert not list(tmp_path.iterdir())

    def test_a_password(self, tmp_path: Path) -> None:
        path = tmp_path / "key.pem"
        public = signing.public_key(signing.new_key(path, "correct horse"))
        private = signing.private_key(path, lambda: "correct horse")
        assert signing.fingerprint(private.public_key()) == signing.fingerprint(public)
        for wrong in ("", "wrong"):
            with pytest.raises(InvalidInput, match="password is wrong"):
                signing.private_key(path, lambda given=wrong: given)

    def test_what_is_no_key(self, tmp_path: Path) -> None:
        from cryptography.hazmat.primitives import serialization as form
        from cryptography.hazmat.primitives.asymmetric import ec

        other = ec.generate_private_key(ec.SECP256R1())
        secret = other.private_bytes(
            form.Encoding.PEM, form.PrivateFormat.PKCS8, form.NoEncryption()
        )
        known = other.public_key().public_bytes(
            form.Encoding.PEM, form.PublicFormat.SubjectPublicKeyInfo
        )
        for raw in (b"", b"nothing", secret, known):
            path = tmp_path / "wrong.pem"
            path.write_bytes(raw)
            with pytest.raises(InvalidInput):
                signing.private_key(path, no_password)
            with pytest.raises(InvalidInput):
                signing.public_key(path)
        with pytest.raises(InvalidInput, match="cannot be read"):
            signing.public_key(tmp_path / "absent.pem")
