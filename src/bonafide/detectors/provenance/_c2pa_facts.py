"""What else a manifest says: time, revocation, identities, training, watermarks, the product."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

import numpy as np
from PIL import Image as Pillow

from bonafide.detectors.provenance._c2pa_read import Credentials
from bonafide.media.credentials import as_list, as_mapping
from bonafide.media.image import Image
from bonafide.media.text_metadata import clean
from bonafide.signals.thumbnail import compare
from bonafide.trust.lists import Tier
from bonafide.trust.products import Product, product_of
from bonafide.types import Fact

_MOST = 20
_MOST_PIXELS = 4_000_000
ANOTHER = 0.75  # unrelated pictures correlate less in 479 of 480 pairs, thumbnails more
_TIMES = (
    ("timeStamp.trusted", "trusted"),
    ("timeStamp.mismatch", "does not fit"),
    ("timeStamp.malformed", "malformed"),
    ("timeStamp.outsideValidity", "outside the validity of its authority"),
    ("timeStamp.untrusted", "of an authority that is not trusted"),
    ("timeStamp.validated", "of an authority that is not trusted"),
)
_REVOKED = "signingCredential.ocsp.revoked"
_REVOCATION = (
    (_REVOKED, "revoked"),
    ("signingCredential.ocsp.unknown", "unknown to its authority"),
    ("signingCredential.ocsp.notRevoked", "not revoked"),
    ("signingCredential.ocsp.inaccessible", "not checked: the authority gave no answer"),
    ("signingCredential.ocsp.skipped", "not checked: no answer in the file, and no network"),
)


def time_stamp(found: Credentials) -> str:
    """The state of the time stamp in words, "none" without one."""
    codes = {*found.successes, *found.remarks, *found.failures}
    return next((words for code, words in _TIMES if code in codes), "none")


def revocation(found: Credentials) -> str:
    """Whether the signing certificate was revoked, as far as that was checked."""
    codes = {*found.successes, *found.remarks, *found.failures}
    return next((words for code, words in _REVOCATION if code in codes), "not checked")


def product(found: Credentials) -> Product | None:
    """The product of the conformance programme that signed, where an official list vouches."""
    if found.certificate is None or found.tiers.get(found.label) is not Tier.OFFICIAL:
        return None
    return product_of(found.certificate)


def likeness(found: Credentials, picture: Image | None) -> float | None:
    """Correlation of a picture with the thumbnail in credentials that do not fit it, [-1, 1].

    None where there is none, or nothing in it that could be compared.
    """
    if picture is None or not found.thumbnail:
        return None
    try:
        with Pillow.open(io.BytesIO(found.thumbnail), formats=["JPEG", "PNG", "WEBP"]) as opened:
            if opened.width * opened.height > _MOST_PIXELS:
                return None
            thumbnail = np.asarray(opened.convert("L"), np.float32)
        compared = compare(picture.luma, thumbnail)
    except Exception:  # decoders raise nearly anything on damaged input
        return None
    return compared.correlation if compared else None


def identities(found: Credentials) -> list[Fact]:
    """CAWG identity assertions of the active manifest, each with a state of its own.

    Reference: CAWG Identity Assertion 1.1, Creator Assertions Working Group, 2025.
    """
    states: dict[str, list[str]] = {}
    for status in found.statuses:
        where = str(status.get("url", "")).rsplit("/", 1)[-1]
        code = str(status.get("code", ""))
        if where.startswith("cawg.identity") and code.startswith("cawg."):
            states.setdefault(where, []).append(code)
    active = as_mapping(found.manifests.get(found.label))
    told: list[Fact] = []
    for assertion in map(as_mapping, as_list(active.get("assertions"))):
        label = str(assertion.get("label", ""))
        if label.startswith("cawg.identity"):
            data = as_mapping(assertion.get("data"))
            codes = next((c for name, c in states.items() if name == label), [])
            if not codes and len(states) == 1:
                codes = next(iter(states.values()))
            told.append({"who": _who(data), "kind": _kind(data), "state": _state(codes)})
    return told[:_MOST]


def _state(codes: list[str]) -> str:
    """One word for the status codes of an identity assertion."""
    untrusted = [code for code in codes if code.endswith(("untrusted", "untrusted_issuer"))]
    trusted = {"cawg.identity.trusted", "cawg.x509.credential.trusted"}
    valid = {
        "cawg.identity.well-formed", "cawg.ica.credential_valid", "cawg.x509.signature.validated",
        *trusted,
    }  # fmt: skip
    if any(code not in valid and code not in untrusted for code in codes):
        return "does not hold"
    if untrusted:
        return "valid, not trusted"
    if trusted.intersection(codes):
        return "trusted"
    return "valid, nobody vouches for it" if codes else "not checked"


def _kind(data: Mapping[str, Any]) -> str:
    return clean(as_mapping(data.get("signer_payload")).get("sig_type"), 80)


def _who(data: Mapping[str, Any]) -> str:
    info = as_mapping(data.get("signature_info"))
    names = [clean(info.get(name), 100) for name in ("common_name", "issuer")]
    verified = as_list(data.get("verifiedIdentities") or data.get("verified_identities"))
    names += [
        clean(one.get("name") or one.get("username"), 100) for one in map(as_mapping, verified[:5])
    ]
    return ", ".join(filter(None, dict.fromkeys(names)))


def training_and_mining(found: Credentials) -> dict[str, Fact]:
    """Use → "allowed", "notAllowed" or "constrained", from the assertions about training."""
    told: dict[str, Fact] = {}
    for assertion in _assertions(found, ("c2pa.training-mining", "cawg.training-mining")):
        entries = as_mapping(as_mapping(assertion.get("data")).get("entries"))
        for name, entry in list(entries.items())[:_MOST]:
            use = as_mapping(entry).get("use") if isinstance(entry, Mapping) else entry
            told[clean(str(name), 60)] = clean(use, 40)
    return told


def soft_bindings(found: Credentials) -> list[str]:
    """Algorithms of the watermarks and fingerprints that bind the manifest to the content."""
    names = [
        clean(as_mapping(assertion.get("data")).get("alg"), 80)
        for assertion in _assertions(found, ("c2pa.soft-binding",))
    ]
    return [*filter(None, dict.fromkeys(names))][:_MOST]


def redactions(found: Credentials) -> list[str]:
    """Labels of the statements that were removed from ingredients."""
    told: list[str] = []
    for manifest in map(as_mapping, found.manifests.values()):
        for key in ("redactions", "redacted_assertions"):
            told += [clean(str(one), 150).rsplit("/", 1)[-1] for one in as_list(manifest.get(key))]
    return [*dict.fromkeys(filter(None, told))][:_MOST]


def _assertions(found: Credentials, names: tuple[str, ...]) -> list[Mapping[str, Any]]:
    return [
        assertion
        for manifest in map(as_mapping, found.manifests.values())
        for assertion in map(as_mapping, as_list(manifest.get("assertions"))[:1000])
        if str(assertion.get("label", "")).startswith(names)
    ]
