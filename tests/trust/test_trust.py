"""Trust lists: the shipped copies, the user's own, and what a certificate says of itself."""

from __future__ import annotations

import datetime
import hashlib
import json
import socket
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID, ObjectIdentifier
from hypothesis import given
from hypothesis import strategies as st

from bonafide.errors import InvalidInput
from bonafide.media.jumbf import signing_certificate
from bonafide.trust import lists, products, user
from bonafide.trust.der import CLAIM_SIGNING, read_certificate
from bonafide.trust.download import download
from bonafide.trust.lists import Purpose, Tier


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("BONAFIDE_TRUST", str(tmp_path / "own"))
    return tmp_path / "own"


def certificate(
    name: str = "Example Authority",
    level: bytes = bytes.fromhex("060a2b0601040183e85e030a"),
    product: str = "019bc403-5cd7-7669-afe6-fdb17177d428",
    usage: str = CLAIM_SIGNING,
) -> x509.Certificate:
    key = ec.generate_private_key(ec.SECP256R1())
    now = datetime.datetime(2026, 1, 2, tzinfo=datetime.UTC)
    subject = x509.Name(
        [
            x509.NameAttribute(NameOID.COUNTRY_NAME, "NL"),
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Example Press"),
            x509.NameAttribute(NameOID.COMMON_NAME, name),
        ]
    )
    record = b"\x0c" + bytes([len(product)]) + product.encode()
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(7)
        .not_valid_before(now)
        .not_valid_after(now + datetime.timedelta(days=30))
        .add_extension(x509.ExtendedKeyUsage([ObjectIdentifier(usage)]), critical=False)
        .add_extension(
            x509.UnrecognizedExtension(ObjectIdentifier("1.3.6.1.4.1.62558.3"), level), False
        )
        .add_extension(
            x509.UnrecognizedExtension(ObjectIdentifier("1.3.6.1.4.1.62558.4"), record), False
        )
        .sign(key, hashes.SHA256())
    )


def pem(one: x509.Certificate) -> bytes:
    return one.public_bytes(serialization.Encoding.PEM)


def official(sequence: int, scheme: str = "C2PA Trust List", **changes: Any) -> bytes:
    der = certificate().public_bytes(serialization.Encoding.DER)
    import base64

    entry = {
        "ServiceDigitalIdentity": {"X509Certificates": [{"val": base64.b64encode(der).decode()}]}
    }
    head = {
        "LoTESequenceNumber": sequence,
        "SchemeName": [{"lang": "en", "value": scheme}],
        "ListIssueDateTime": "2026-11-26T00:00:00Z",
        "NextUpdate": "2027-02-23T00:00:00Z",
    }
    services = [{"ServiceInformation": entry | changes}]
    listed = [{"TrustedEntityInformation": {}, "TrustedEntityServices": services}]
    return json.dumps(
        {"LoTE": {"ListAndSchemeInformation": head, "TrustedEntitiesList": listed}}
    ).encode()


def test_the_shipped_files_are_those_that_the_notes_name() -> None:
    notes = lists.snapshot_notes()
    there = {path.name for path in lists.SNAPSHOT.iterdir()} - {"SNAPSHOT.json"}
    assert there == set(notes)
    for name, note in notes.items():
        data = (lists.SNAPSHOT / name).read_bytes()
        assert hashlib.sha256(data).hexdigest() == note["sha256"], name
        assert len(note["commit"]) == 40 and note["licence"] and note["dated"]


def test_the_shipped_lists_keep_their_tiers_apart() -> None:
    claims, stamps, interim = lists.shipped()
    assert (claims.tier, claims.purpose, claims.sequence) == (Tier.OFFICIAL, Purpose.CLAIMS, 1)
    assert (stamps.tier, stamps.purpose) == (Tier.OFFICIAL, Purpose.TIME_STAMPS)
    assert (interim.tier, interim.purpose) == (Tier.INTERIM, Purpose.CLAIMS)
    assert [len(one.certificates()) for one in (claims, stamps, interim)] == [30, 22, 104]
    assert CLAIM_SIGNING in lists.key_usages().split()
    assert "//" not in lists.key_usages()


def test_a_list_says_when_it_is_overdue() -> None:
    claims = lists.shipped()[0]
    day = datetime.datetime(2027, 8, 5, 1, tzinfo=datetime.UTC)
    assert claims.overdue(day) and not claims.overdue(day - datetime.timedelta(days=1))
    assert not lists.shipped()[2].overdue(day)


def test_what_a_certificate_says_of_itself() -> None:
    read = read_certificate(certificate().public_bytes(serialization.Encoding.DER))
    assert read.subject == {"C": "NL", "O": "Example Press", "CN": "Example Authority"}
    assert (read.usages, read.assurance, read.name) == ((CLAIM_SIGNING,), 1, "Example Authority")
    assert read.not_after == datetime.datetime(2026, 2, 1, tzinfo=datetime.UTC)
    made = products.product_of(read)
    assert made is not None and made.name.startswith("OpenAI Media Service") and made.level == 1
    other = read_certificate(
        certificate(level=b"\x05\x00", product="nobody").public_bytes(serialization.Encoding.DER)
    )
    assert other.assurance == 0 and products.product_of(other) is None


@given(st.binary(max_size=300), st.integers(0, 400))
def test_damaged_certificates_are_refused_or_read(noise: bytes, place: int) -> None:
    data = bytearray(certificate().public_bytes(serialization.Encoding.DER))
    data[place : place + len(noise)] = noise
    for candidate in (bytes(data), bytes(data[:place]), noise):
        try:
            read_certificate(candidate)
        except ValueError:
            pass


@given(st.binary(max_size=400))
def test_a_damaged_store_has_no_certificate(noise: bytes) -> None:
    assert signing_certificate(noise, "urn:c2pa:x") == b""
    inner = b"\x00\x00\x00\x1cjumd" + bytes(16) + b"\x02a\x00\x00"
    assert (
        signing_certificate(len(inner + noise).to_bytes(4, "big") + b"jumb" + inner + noise, "a")
        == b""
    )


def test_nothing_is_the_users_own_at_first(folder: Path) -> None:
    now = user.in_use()
    assert [one.tier for one in now.lists] == [Tier.OFFICIAL, Tier.OFFICIAL, Tier.INTERIM]
    assert now.off == () and now.warnings == () and not folder.exists()


def test_own_certificates_come_and_go(tmp_path: Path) -> None:
    path = tmp_path / "news room.pem"
    path.write_bytes(b"a remark\n" + pem(certificate("First")))
    added = user.add(path)
    assert (added.name, added.tier, added.purpose) == ("news-room", Tier.OWN, Purpose.CLAIMS)
    assert user.add(path, Purpose.IDENTITIES).purpose is Purpose.IDENTITIES
    assert [one.tier for one in user.in_use().lists][-2:] == [Tier.OWN, Tier.OWN]
    path.write_bytes(pem(certificate("Second")))
    with pytest.raises(InvalidInput, match="another file was added as news-room"):
        user.add(path)
    assert user.remove("news-room") == 2
    assert user.own() == [] and user.remove("news-room") == 0


@pytest.mark.parametrize(
    "content", [b"", b"no PEM", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"]
)
def test_what_is_no_certificate_is_not_added(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "bad.pem"
    path.write_bytes(content)
    with pytest.raises(InvalidInput):
        user.add(path)


def test_tiers_are_switched_off_and_on() -> None:
    user.switch([Tier.INTERIM], off=True)
    assert {one.tier for one in user.in_use().lists} == {Tier.OFFICIAL}
    user.switch(user.SWITCHES, off=True)
    assert user.in_use().lists == () and lists.digest(()) == ""
    assert lists.library_settings(()) == {"trust_config": lists.key_usages()}
    user.switch([Tier.OFFICIAL], off=False)
    assert user.in_use().off == (Tier.INTERIM, Tier.OWN)


def test_a_newer_edition_replaces_the_shipped_one(folder: Path) -> None:
    before = lists.digest(user.in_use().lists)
    user.update(official(8), "list.json")
    claims = user.in_use().lists[0]
    assert (claims.sequence, len(claims.certificates())) == (8, 1)
    assert lists.digest(user.in_use().lists) != before
    with pytest.raises(InvalidInput, match="older than edition 8"):
        user.update(official(7), "list.json")
    user.update(official(5, "C2PA TSA Trust List"), "tsa.json")
    assert [one.sequence for one in user.in_use().lists] == [8, 5, 0]
    (folder / lists.OFFICIAL_FILES[0]).write_text("{}")
    with pytest.raises(InvalidInput):
        user.in_use()


@pytest.mark.parametrize(
    "data",
    [
        b"", b"[]", b"{", b'{"LoTE": {}}', official(9, "Another list"), b"[" * 100_000,
        official(9, ServiceStatus="http://x/withdrawn"),
        official(9, ServiceDigitalIdentity={"X509Certificates": [{"val": "AAAA"}]}),
    ],
)  # fmt: skip
def test_what_is_no_list_is_refused(data: bytes) -> None:
    with pytest.raises(InvalidInput):
        user.update(data, "list.json")
    assert user.in_use().lists[0].sequence == 1


def test_only_secure_addresses_are_fetched(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "socket", None)
    for address in ("http://example.org/list.json", "ftp://example.org/x", "file:///etc/passwd"):
        with pytest.raises(InvalidInput, match="only https"):
            download(address)


def test_a_given_list_replaces_all(tmp_path: Path) -> None:
    path = tmp_path / "anchors.pem"
    path.write_bytes(pem(certificate()))
    now = user.in_use(str(path))
    assert [one.tier for one in now.lists] == [Tier.GIVEN]
    settings = lists.library_settings(now.lists, now.usages)
    assert set(settings) == {"trust_config", "trust_anchors"}
    usual = lists.library_settings(user.in_use().lists)
    assert [one["trust_kind"] for one in usual["anchors"]] == ["manifest", "tsa", "manifest"]
    assert [one["trust_uri"] for one in usual["anchors"]] == ["official", "official", "interim"]


def test_what_is_trusted_is_part_of_what_a_report_rests_on() -> None:
    from bonafide.examination import Settings, key

    asked = Settings(only=("c2pa_manifest",))
    before = key(asked)
    user.switch([Tier.INTERIM], off=True)
    assert key(asked) != before
    user.switch([Tier.INTERIM], off=False)
    assert key(asked) == before
