"""Read a manifest store with the C2PA library, and say of each manifest who vouches for its signer.

The library takes all lists at once, and counts a certificate under any of them as a trusted signer,
also under one that is meant for time stamps. So the file is read once with every list, for the
verdict on signatures and time stamps, and again with the claim-signing list of one tier after the
other, for who vouches. A manifest is trusted where both agree. Everything follows from status
codes; the library's summary word is kept as a fact only, since it drops to "Valid" where merely an
identity assertion is not trusted.
"""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from bonafide.media.credentials import as_list, as_mapping, status_codes
from bonafide.media.jumbf import signing_certificate
from bonafide.media.media import Media
from bonafide.trust.der import CLAIM_SIGNING, Certificate, read_certificate
from bonafide.trust.lists import Purpose, Tier, TrustList, library_settings
from bonafide.trust.user import Trust

_TRUSTED, _UNTRUSTED = "signingCredential.trusted", "signingCredential.untrusted"
_MOST_THUMBNAIL = 4 * 1024 * 1024  # bytes
_LABEL = re.compile(r"/c2pa/([^/]+)")
_OF_TRUST = ("signingCredential.untrusted", "cawg.")
_BROKEN = ("claimSignature.mismatch", "assertion.hashedURI.mismatch", "ingredient.manifest.")


class ListsRefused(ValueError):
    """The C2PA library does not accept the trust lists."""


@dataclass(frozen=True)
class Credentials:
    """A manifest store that was read.

    Attributes:
        store: as the library gives it.
        remote: address at which the manifest is kept, "" where it is in the file.
        state: "Trusted", "Valid" or "Invalid", by the status codes of the whole store.
        successes, remarks, failures: status codes of the active manifest.
        ingredient_failures: status codes of what fails in ingredients.
        tiers: label of a manifest → tier that vouches for its signer; only those trusted.
        broken: labels of ingredients whose signature or statements do not hold.
        statuses: every status of the active manifest: code, url, explanation.
        certificate: that signed the active manifest, None where it cannot be read.
        thumbnail: bytes of the picture's thumbnail in the active manifest, where the hash of the
            content does not fit but that of the thumbnail does; b"" otherwise.
    """

    store: Mapping[str, Any]
    remote: str
    state: str
    successes: tuple[str, ...]
    remarks: tuple[str, ...]
    failures: tuple[str, ...]
    ingredient_failures: tuple[str, ...]
    tiers: Mapping[str, Tier]
    broken: frozenset[str]
    statuses: tuple[Mapping[str, Any], ...] = ()
    certificate: Certificate | None = None
    manifests: Mapping[str, Any] = field(default_factory=dict)
    thumbnail: bytes = b""

    @property
    def label(self) -> str:
        """Label of the active manifest."""
        return str(self.store.get("active_manifest", ""))

    @property
    def tier(self) -> Tier | None:
        """The tier that vouches for the signer of the active manifest."""
        return self.tiers.get(self.label) if self.state == "Trusted" else None


def read_credentials(media: Media, mime: str, trust: Trust, network: bool) -> Credentials:
    """Read and verify the manifest store of a file.

    Raises:
        c2pa.C2paError: there is none, or it cannot be read.
        ListsRefused: the lists are not accepted.
        ValueError: the library's answer is no JSON.
    """
    store, remote, certificate, thumbnail = _read(
        media, mime, trust.lists, trust.usages, network, network, True
    )
    results = as_mapping(store.get("validation_results"))
    own = as_mapping(results.get("activeManifest"))
    failures = status_codes(own.get("failure"))
    deltas = [
        as_mapping(as_mapping(delta).get("validationDeltas"))
        for delta in as_list(results.get("ingredientDeltas"))
    ]
    ingredient = sorted({code for delta in deltas for code in status_codes(delta.get("failure"))})
    manifests = as_mapping(store.get("manifests"))
    trusted = _trusted(store, own, deltas)
    tiers: dict[str, Tier] = {}
    if trusted:
        active = str(store.get("active_manifest"))
        tiers = _tiers(media, mime, trust, trusted, certificate, active, network)
    state = "Invalid"
    if not any(_counts(code) for code in (*failures, *ingredient)):
        state = "Trusted" if str(store.get("active_manifest")) in tiers else "Valid"
    return Credentials(
        store,
        remote or "",
        state,
        tuple(status_codes(own.get("success"))),
        tuple(status_codes(own.get("informational"))),
        tuple(failures),
        tuple(ingredient),
        tiers,
        frozenset(_broken(deltas)),
        tuple(
            as_mapping(status)
            for key in ("success", "informational", "failure")
            for status in as_list(own.get(key))[:1000]
        ),
        certificate,
        manifests,
        thumbnail,
    )


def _counts(code: str) -> bool:
    """Whether a failure breaks the credentials; who is trusted is told apart from that."""
    return not code.startswith(_OF_TRUST)


def _read(
    media: Media,
    mime: str,
    lists: Sequence[TrustList],
    usages: str,
    fetch: bool,
    ask: bool,
    time_stamps: bool,
) -> tuple[Mapping[str, Any], str | None, Certificate | None, bytes]:
    import c2pa

    settings: dict[str, Any] = {
        "verify": {
            "verify_after_reading": True,
            "verify_trust": True,
            "verify_timestamp_trust": time_stamps,
            "ocsp_fetch": ask,
            "remote_manifest_fetch": fetch,
        },
        "trust": library_settings(lists, usages),
    }
    if not fetch:
        settings["core"] = {"allowed_network_hosts": []}
    try:
        # A context of its own for every reading: the library's global settings stay untouched.
        made = c2pa.Context(c2pa.Settings.from_dict(settings))
    except c2pa.C2paError as error:
        raise ListsRefused(str(error)) from error
    with made as context, c2pa.Reader(mime, media.open(), context=context) as reader:
        store = as_mapping(json.loads(reader.json()))
        remote = reader.get_remote_url()
        return store, remote, _certificate(reader, store), _thumbnail(reader, store)


def _certificate(reader: Any, store: Mapping[str, Any]) -> Certificate | None:
    import c2pa

    label = str(store.get("active_manifest", ""))
    target = io.BytesIO()
    try:
        reader.resource_to_stream(f"self#jumbf=/c2pa/{label}/c2pa.signature", target)
        return read_certificate(signing_certificate(target.getvalue(), label))
    except (c2pa.C2paError, ValueError):
        return None


def _thumbnail(reader: Any, store: Mapping[str, Any]) -> bytes:
    """The thumbnail of a picture that its credentials do not fit, b"" for none that is intact."""
    import c2pa

    label = str(store.get("active_manifest", ""))
    own = as_mapping(as_mapping(store.get("validation_results")).get("activeManifest"))
    codes = status_codes(own.get("failure"))
    if "assertion.dataHash.mismatch" not in codes or any(
        code.startswith(_BROKEN) for code in codes
    ):
        return b""
    manifest = as_mapping(as_mapping(store.get("manifests")).get(label))
    place = as_mapping(manifest.get("thumbnail")).get("identifier")
    target = io.BytesIO()
    try:
        if isinstance(place, str):
            reader.resource_to_stream(place, target)
    except c2pa.C2paError:
        return b""
    return target.getvalue() if target.tell() <= _MOST_THUMBNAIL else b""


def _statuses(found: Mapping[str, Any], key: str) -> Iterator[tuple[str, str]]:
    """Code and label of the manifest of each status."""
    for status in map(as_mapping, as_list(found.get(key))):
        where = _LABEL.search(str(status.get("url", "")))
        yield str(status.get("code", "")), where.group(1) if where else ""


def _trusted(
    store: Mapping[str, Any], own: Mapping[str, Any], deltas: Sequence[Mapping[str, Any]]
) -> set[str]:
    """Labels of the manifests whose signer the library calls trusted.

    Of an ingredient it tells only what differs from what was recorded when the ingredient was
    taken in, so that the record counts where nothing differs.
    """
    found = {label for code, label in _statuses(own, "success") if code == _TRUSTED}
    for manifest in as_mapping(store.get("manifests")).values():
        for ingredient in as_list(as_mapping(manifest).get("ingredients")):
            recorded = as_mapping(as_mapping(ingredient).get("validation_results"))
            kept = as_mapping(recorded.get("activeManifest"))
            found |= {label for code, label in _statuses(kept, "success") if code == _TRUSTED}
    for delta in deltas:
        found |= {label for code, label in _statuses(delta, "success") if code == _TRUSTED}
    for part in (own, *deltas):
        found -= {label for code, label in _statuses(part, "failure") if code == _UNTRUSTED}
    return found


def _broken(deltas: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    for delta in deltas:
        for code, label in _statuses(delta, "failure"):
            if code.startswith(_BROKEN):
                yield label


def _tiers(
    media: Media,
    mime: str,
    trust: Trust,
    trusted: set[str],
    certificate: Certificate | None,
    active: str,
    network: bool,
) -> dict[str, Tier]:
    """Who vouches for each of some manifests, asked of one tier after the other."""
    tiers: dict[str, Tier] = {}
    for tier in Tier:
        lists = [one for one in trust.lists if one.tier is tier and one.purpose is Purpose.CLAIMS]
        if not lists or trusted <= set(tiers):
            continue
        if tier is Tier.GIVEN:
            tiers |= dict.fromkeys(trusted, tier)
            continue
        # Time stamps were judged with every list; here they only tell when to look.
        store, *_ = _read(media, mime, lists, trust.usages, network, False, False)
        results = as_mapping(store.get("validation_results"))
        deltas = [
            as_mapping(as_mapping(delta).get("validationDeltas"))
            for delta in as_list(results.get("ingredientDeltas"))
        ]
        vouched = _trusted(store, as_mapping(results.get("activeManifest")), deltas) & trusted
        if (
            tier is Tier.OFFICIAL
            and certificate is not None
            and CLAIM_SIGNING not in certificate.usages
        ):
            vouched -= {active}  # the programme's certificates are made for signing claims
        for label in vouched:
            tiers.setdefault(label, tier)
    return tiers
