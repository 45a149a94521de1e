"""Trust lists: what each is, whom it holds, until when, and how the C2PA library is told.

Four tiers are kept apart, and always named:

- *official*: the C2PA Trust List and TSA Trust List of the C2PA conformance programme.
- *interim*: the list of the public verification site, frozen at the start of 2026. Its members did
  not go through the conformance programme.
- *own*: certificates that the user added with `bonafide trust add`.
- *given*: the list that an option or a setting names; it replaces all others.
"""

from __future__ import annotations

import base64
import binascii
import datetime
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import Any

from bonafide.errors import InvalidInput
from bonafide.trust.der import Certificate, read_certificate

SNAPSHOT = Path(__file__).parent / "snapshot"
OFFICIAL_FILES = ("C2PA-TRUST-LIST.json", "C2PA-TSA-TRUST-LIST.json")
MOST_BYTES = 8 * 1024 * 1024  # of one list
_MOST_CERTIFICATES = 5_000
_BEGIN, _END = "-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----"


class Tier(StrEnum):
    """How a list came to be used; the strictest vetting first."""

    OFFICIAL = "official"
    INTERIM = "interim"
    OWN = "own"
    GIVEN = "given"


class Purpose(StrEnum):
    """What the certificates of a list vouch for, in the words of the C2PA library."""

    CLAIMS = "manifest"
    TIME_STAMPS = "tsa"
    IDENTITIES = "cawg"


@dataclass(frozen=True)
class TrustList:
    """One list of certificates.

    Attributes:
        name: for people.
        tier: see above.
        purpose: what its certificates vouch for.
        anchors: certificate authorities, PEM.
        allowed: end-entity certificates that are trusted as they are, PEM; "" for none.
        sequence: number of its edition, 0 where it has none.
        issued, next_update: ISO 8601, "" where it does not say.
        source: where it is from.
        sha256: hexadecimal, of its files.
    """

    name: str
    tier: Tier
    purpose: Purpose
    anchors: str
    allowed: str = ""
    sequence: int = 0
    issued: str = ""
    next_update: str = ""
    source: str = ""
    sha256: str = ""

    def overdue(self, now: datetime.datetime | None = None) -> bool:
        """Whether the list should have been replaced by a newer one, by its own word."""
        try:
            due = datetime.datetime.fromisoformat(self.next_update)
        except ValueError:
            return False
        if due.tzinfo is None:
            due = due.replace(tzinfo=datetime.UTC)
        return (now or datetime.datetime.now(datetime.UTC)) > due

    def certificates(self) -> list[Certificate]:
        """Every certificate of the list that can be read."""
        found = []
        for data in certificates_of(self.anchors + self.allowed):
            try:
                found.append(read_certificate(data))
            except ValueError:
                continue
        return found


def certificates_of(pem: str) -> list[bytes]:
    """DER bytes of the certificates in a PEM text; what is no base64 is left out."""
    found = []
    for part in pem.split(_BEGIN)[1 : _MOST_CERTIFICATES + 1]:
        body, end, _ = part.partition(_END)
        try:
            if end:
                found.append(base64.b64decode("".join(body.split()), validate=True))
        except (binascii.Error, ValueError):
            continue
    return found


def pem_of(certificate: bytes) -> str:
    """DER as PEM."""
    text = base64.b64encode(certificate).decode("ascii")
    lines = [text[start : start + 64] for start in range(0, len(text), 64)]
    return "\n".join((_BEGIN, *lines, _END, ""))


def read_official(data: bytes, source: str) -> TrustList:
    """A list of trusted entities (ETSI TS 119 602) as the C2PA publishes it.

    Raises:
        InvalidInput: it is no such list, or one of its certificates cannot be read.
    """
    if len(data) > MOST_BYTES:
        raise InvalidInput(f"{source} has more than 8 MiB, too many for a trust list")
    try:
        listed = json.loads(data)["LoTE"]
        head = listed["ListAndSchemeInformation"]
        scheme = str(head["SchemeName"][0]["value"])
        ders = [
            base64.b64decode(certificate["val"])
            for entity in listed["TrustedEntitiesList"]
            for service in entity["TrustedEntityServices"]
            if str(service["ServiceInformation"].get("ServiceStatus", "/trusted")).endswith(
                "/trusted"
            )
            for certificate in service["ServiceInformation"]["ServiceDigitalIdentity"][
                "X509Certificates"
            ]
        ]
        sequence = int(head["LoTESequenceNumber"])
        issued, next_update = str(head["ListIssueDateTime"]), str(head["NextUpdate"])
    except (ValueError, KeyError, TypeError, IndexError, AttributeError, RecursionError) as error:
        raise InvalidInput(f"{source} is not a trust list of the C2PA: {error!r}"[:300]) from None
    purposes = {
        "C2PA Trust List": Purpose.CLAIMS,
        "C2PA TSA Trust List": Purpose.TIME_STAMPS,
    }
    if scheme not in purposes or not 0 < len(ders) <= _MOST_CERTIFICATES:
        raise InvalidInput(f"{source} is not a trust list of the C2PA")
    try:
        for der in ders:
            read_certificate(der)
    except ValueError as error:
        raise InvalidInput(f"{source} holds a damaged certificate: {error}") from None
    return TrustList(
        scheme,
        Tier.OFFICIAL,
        purposes[scheme],
        "".join(map(pem_of, ders)),
        sequence=sequence,
        issued=issued,
        next_update=next_update,
        source=source,
        sha256=hashlib.sha256(data).hexdigest(),
    )


@cache
def shipped() -> tuple[TrustList, ...]:
    """The official lists and the interim list that are part of the package."""
    notes = snapshot_notes()
    lists = []
    for name in OFFICIAL_FILES:
        source = f"{notes[name]['repository']} at {notes[name]['commit'][:12]}"
        lists.append(read_official((SNAPSHOT / name).read_bytes(), source))
    anchors, allowed = ("interim-anchors.pem", "interim-allowed.pem")
    files = [(SNAPSHOT / name).read_bytes() for name in (anchors, allowed)]
    interim = TrustList(
        "interim list of the public verification site",
        Tier.INTERIM,
        Purpose.CLAIMS,
        _only_certificates(files[0].decode("utf-8")),
        _only_certificates(files[1].decode("utf-8")),
        issued=notes[anchors]["dated"],
        source=f"{notes[anchors]['repository']} at {notes[anchors]['commit'][:12]}",
        sha256=hashlib.sha256(b"".join(files)).hexdigest(),
    )
    return (*lists, interim)


def snapshot_notes() -> dict[str, dict[str, str]]:
    """File of the snapshot → where it is from: repository, commit, dated, sha256, licence."""
    notes: dict[str, dict[str, str]] = json.loads((SNAPSHOT / "SNAPSHOT.json").read_text("utf-8"))
    return notes


def key_usages() -> str:
    """Object identifiers of the extended key usages that a signer may have, one a line."""
    lines = (SNAPSHOT / "store.cfg").read_text("utf-8").splitlines()
    kept = [line.strip() for line in lines if line.strip() and not line.strip().startswith("//")]
    return "\n".join(kept) + "\n"


def given_list(path: str) -> tuple[TrustList, str]:
    """The list that an option names, and the extended key usages that go with it.

    Args:
        path: a PEM file of anchors, or a folder of PEM files (those with "allowed" in their
            names are end-entity certificates trusted as they are) and at most one `.cfg` file.

    Raises:
        OSError: it cannot be read.
        ValueError: it is not text, or holds no certificate.
    """
    folder = Path(path)
    files = sorted(folder.iterdir()) if folder.is_dir() else [folder]
    parts = {"anchors": "", "allowed": "", "usages": ""}
    digest = hashlib.sha256()
    for file in files:
        if folder.is_dir() and file.suffix not in (".pem", ".crt", ".cer", ".cfg"):
            continue
        data = file.read_bytes()
        if len(data) > MOST_BYTES:
            raise ValueError(f"{file.name} has more than 8 MiB")
        digest.update(data)
        kind = "allowed" if folder.is_dir() and "allowed" in file.stem else "anchors"
        parts["usages" if file.suffix == ".cfg" else kind] += data.decode("utf-8") + "\n"
    if "-----BEGIN" not in parts["anchors"] + parts["allowed"]:
        raise ValueError(f"{folder.name} holds no PEM certificate")
    made = TrustList(
        folder.name, Tier.GIVEN, Purpose.CLAIMS, parts["anchors"], parts["allowed"],
        source=str(folder), sha256=digest.hexdigest(),
    )  # fmt: skip
    return made, parts["usages"] or key_usages()


def library_settings(lists: Sequence[TrustList], usages: str = "") -> dict[str, Any]:
    """The section `trust` of the C2PA library's settings.

    A given list vouches for claims, time stamps and identities alike, as it always did; every
    other list only for its own purpose. The library reports the tier as `trustListUri`.
    """
    settings: dict[str, Any] = {"trust_config": usages or key_usages()}
    anchors = []
    for one in lists:
        if one.tier is Tier.GIVEN:
            settings["trust_anchors"] = one.anchors
            if one.allowed:
                settings["allowed_list"] = one.allowed
            continue
        entry = {
            "trust_kind": one.purpose.value,
            "trust_uri": one.tier.value,
            "trust_anchors": one.anchors,
            "trust_config": settings["trust_config"],
        }
        if one.allowed:
            entry["allowed_list"] = one.allowed
        anchors.append(entry)
    if anchors:
        settings["anchors"] = anchors
    return settings


def digest(lists: Sequence[TrustList]) -> str:
    """SHA-256 over the checksums of some lists, in their order; "" for none."""
    lines = "".join(f"{one.tier.value} {one.purpose.value} {one.sha256}\n" for one in lists)
    return hashlib.sha256(lines.encode()).hexdigest() if lines else ""


def _only_certificates(pem: str) -> str:
    """The certificates of a PEM text without the remarks between them."""
    return "".join(map(pem_of, certificates_of(pem)))
