"""Content credentials (C2PA): who signed what about this file, and does it still hold.

What it looks for
    A C2PA manifest: a signed statement inside the file about how it came to be, and the
    statements of the ingredients it was made from.

Why it works
    The signature covers a hash of the file and every statement in the manifest, so neither can
    be changed without it showing. A certificate on a trust list ties the signature to somebody.

When it fails
    A missing manifest says nothing: most files have none, and any re-save, screenshot or upload
    may remove it. Without a trust list nobody is Trusted: anyone can sign anything with a
    certificate of their own making. A signer may also lie, and a camera can be pointed at a screen.
    A hash that no longer fits can mean a forgery or a mere re-save by a program that knows nothing
    of C2PA. Whether a certificate without a time stamp has expired depends on today's date.

How to read it
    Present, valid and trusted are three different things. Valid: the signature and the file
    fit together. Trusted: valid, and the given trust list vouches for the signer. Defects of the
    file and defects of its ingredients are listed apart.

Reference
    Coalition for Content Provenance and Authenticity, "C2PA Technical Specification", version
    2.2, 2025; read with the c2pa-python library.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bonafide.detectors.provenance._c2pa_history import history
from bonafide.media.context import Context
from bonafide.media.credentials import (
    as_list,
    as_mapping,
    declaration,
    manifest_actions,
    program_name,
    software_agents,
    source_types,
    status_codes,
    wholly_of,
)
from bonafide.media.media import Media
from bonafide.media.text_metadata import clean, quote
from bonafide.types import (
    Card,
    Carrier,
    Claim,
    Fact,
    Failed,
    Kind,
    Label,
    Measured,
    Measurement,
    NotApplicable,
    Profile,
    Question,
)

CARD = Card(
    id="c2pa_manifest",
    version="1",
    question=Question.PROVENANCE,
    title="Content credentials (C2PA)",
    kinds=(Kind.IMAGE, Kind.VIDEO, Kind.DOCUMENT),
    profile=Profile.TRIAGE,
    facts={
        "state": "Trusted, Valid, Invalid, none, remote (kept elsewhere) or unreadable",
        "problem": "why a manifest could not be read, in the library's words",
        "failure_codes": "C2PA status codes of what fails in the active manifest [list of codes]",
        "ingredient_failure_codes": "the same for its ingredients [list of codes]",
        "trust_list": "whether a trust list was given",
        "signer": "name in the signing certificate; proves nothing unless Trusted",
        "signer_common_name": "common name in that certificate",
        "signed_at": "time of the time stamp, or of the claim [ISO 8601]",
        "claim_generator": "program that wrote the active manifest, as it calls itself",
        "actions": "what the active manifest says was done [list of C2PA actions]",
        "software_agents": "programs and models named in those actions [list of names]",
        "digital_source_types": "kinds of origin that count for this file [list of IPTC terms]",
        "declared_by": "active manifest or ingredient, whichever the source types come from",
        "ingredient_source_types": "kinds of origin that only ingredients have [list of terms]",
        "ingredients": "title and relationship of each ingredient [list, at most 20]",
        "manifest_count": "manifests in the file [count]",
        "remote_url": "address at which the manifest is kept",
        "generator": "who or what made the picture, if it is declared AI-generated",
        "claim_basis": "in words: why the finding claims what it claims, or nothing",
    },
    options=("trust", "network"),
    history=history,
    paper="C2PA Technical Specification 2.2, Coalition for Content Provenance and Authenticity, "
    "2025",
    limits="Absence proves nothing. Without a trust list no signer is Trusted. Identity (CAWG) "
    "assertions are verified by the library but not interpreted. Remote manifests are not "
    "fetched unless asked for. On 55 labelled files all states are as expected (10 Trusted, "
    "5 Valid, 6 Invalid, 4 remote, 4 unreadable, 26 without); how often real edits leave a "
    "manifest in place was not measured.",
)

_MIME = {
    "JPEG": "image/jpeg",
    "PNG": "image/png",
    "WEBP": "image/webp",
    "GIF": "image/gif",
    "TIFF": "image/tiff",
    "AVIF": "image/avif",
    "HEIC": "image/heic",
    "MP4": "video/mp4",
    "MOV": "video/quicktime",
    "AVI": "video/avi",
    "SVG": "image/svg+xml",
    "PDF": "application/pdf",
}

_AI = "trainedAlgorithmicMedia"
_COMPOSITE_AI = "compositeWithTrainedAlgorithmicMedia"
_CAPTURES = {"digitalCapture", "computationalCapture", "negativeFilm", "positiveFilm", "print"}

_CARRIERS = {"Trusted": Carrier.TRUSTED_SIGNATURE, "Valid": Carrier.VALID_SIGNATURE}
_CONTENT_CHANGED = {"assertion.dataHash.mismatch", "assertion.boxesHash.mismatch"}

# How makers of generators appear in certificates and program names.
_MAKERS = (
    (r"openai|chatgpt|dall[·\-. ]?e|gpt-image|\bsora\b", "OpenAI"),
    (r"firefly", "Adobe Firefly"),
    (r"midjourney", "Midjourney"),
    (r"stability", "Stability AI"),
    (r"black forest|\bflux\b", "Black Forest Labs"),
    (r"google|gemini|imagen", "Google AI"),
    (r"microsoft|bing image|designer", "Microsoft"),
    (r"amazon|titan image|nova canvas", "Amazon"),
    (r"bytedance|tiktok|doubao|seedream", "ByteDance"),
    (r"\bxai\b|grok", "xAI"),
    (r"\bmeta\b|meta ai", "Meta AI"),
    (r"ideogram", "Ideogram"),
    (r"leonardo", "Leonardo.Ai"),
)

_MAX_TEXT = 300
_MAX_ITEMS = 20
_MAX_DEPTH = 8


class Detector:
    """Reads and verifies the C2PA manifest of a file, offline unless told otherwise."""

    def __init__(self, trust: str | None = None, network: bool = False) -> None:
        """Take the trust list and whether the network may be used.

        Args:
            trust: a PEM file of trust anchors, or a folder of PEM files (those with "allowed" in
                their names are end-entity certificates trusted as they are) and at most one
                `.cfg` file of extended key usages. None: no signer is Trusted.
            network: fetch manifests that are kept elsewhere, and ask certificate authorities
                about revocation. This discloses what is being examined to those servers.
        """
        self.trust = trust
        self.network = network

    def measure(self, ctx: Context) -> Measured:
        """Return a finding whose `claim` is what the manifest establishes, if anything."""
        media: Media = ctx.media
        import c2pa

        mime = _MIME.get(media.format)
        if mime is None:
            return NotApplicable(f"content credentials are not read from {media.format} files")
        try:
            settings = self._settings()
        except (OSError, ValueError) as error:
            return Failed(f"the trust list cannot be read: {error}")
        try:
            # A context of its own for every file: the library's global settings stay untouched.
            context = c2pa.Context(c2pa.Settings.from_dict(settings))
        except c2pa.C2paError as error:
            return Failed(f"the trust list is not accepted: {clean(str(error))}")
        with context:
            try:
                with c2pa.Reader(mime, media.open(), context=context) as reader:
                    store = json.loads(reader.json())
                    remote = reader.get_remote_url()
            except (c2pa.C2paError, ValueError) as error:
                return _without_manifest(media, type(error).__name__, str(error))
        return _report(media, store, remote, self.trust is not None)

    def _settings(self) -> dict[str, Any]:
        """The library's settings for one context.

        Raises:
            OSError: the trust list cannot be read.
            ValueError: it is not text, or holds no certificate.
        """
        verify = {
            "verify_after_reading": True,
            "verify_trust": True,
            "verify_timestamp_trust": True,
            "ocsp_fetch": self.network,
            "remote_manifest_fetch": self.network,
        }
        settings: dict[str, Any] = {"verify": verify}
        if not self.network:
            settings["core"] = {"allowed_network_hosts": []}
        if self.trust is None:
            return settings
        path = Path(self.trust)
        files = sorted(path.iterdir()) if path.is_dir() else [path]
        parts: dict[str, str] = {}
        for file in files:
            if path.is_dir() and file.suffix not in (".pem", ".crt", ".cer", ".cfg"):
                continue
            allowed = path.is_dir() and "allowed" in file.stem
            key = "allowed_list" if allowed else "trust_anchors"
            if file.suffix == ".cfg":
                key = "trust_config"
            parts[key] = parts.get(key, "") + file.read_text("utf-8") + "\n"
        if not any("-----BEGIN" in text for text in parts.values()):
            raise ValueError(f"{path.name} holds no PEM certificate")
        settings["trust"] = parts
        return settings


def _without_manifest(media: Media, error: str, message: str) -> Measured:
    """The finding when the library did not return a manifest."""
    facts: dict[str, Fact] = {"claim_basis": "no manifest was read, so nothing is claimed"}
    if "ManifestNotFound" in error or "ManifestNotFound" in message:
        facts["state"] = "none"
        summary = (
            "This file carries no content credentials (C2PA), which proves nothing, since most "
            "files have none and they are easily lost."
        )
        return [Measurement(score=0.0, facts=facts, summary=summary)]
    data = media.read()
    if b"c2pa" not in data and b"jumb" not in data and "Remote" not in message:
        return NotApplicable(
            f"the file is too damaged to be searched for content credentials: {quote(message, 120)}"
        )
    facts["problem"] = clean(message)
    address = re.search(r"remote manifests? from url\s+(\S+)", message)
    if address or message.startswith("Remote"):
        facts["state"] = "remote"
        where = "another address"
        if address:
            facts["remote_url"] = clean(address.group(1))
            where = quote(address.group(1), 200)
        summary = f"This file's content credentials are kept at {where} and were not read."
    else:
        facts["state"] = "unreadable"
        summary = f"This file holds content credentials that cannot be read: {quote(message, 120)}."
    unreadable = facts["state"] == "unreadable"
    return [Measurement(score=0.0, facts=facts, summary=summary, contradiction=unreadable)]


def _report(
    media: Media, store: Mapping[str, Any], remote: str | None, trust_list: bool
) -> Measured:
    """The finding for a manifest store that was read, whatever its state."""
    state = str(store.get("validation_state", "Invalid"))
    manifests = as_mapping(store.get("manifests"))
    active_label = str(store.get("active_manifest", ""))
    active = as_mapping(manifests.get(active_label))
    results = as_mapping(store.get("validation_results"))
    own = as_mapping(results.get("activeManifest"))
    failures = status_codes(own.get("failure"))
    successes = status_codes(own.get("success"))
    ingredient_failures = sorted(
        {
            code
            for delta in as_list(results.get("ingredientDeltas"))
            for code in status_codes(
                as_mapping(as_mapping(delta).get("validationDeltas")).get("failure")
            )
        }
    )
    broken = "claimSignature.mismatch" in ingredient_failures
    types, declared_in = declaration(manifests, active_label, look_through=not broken)
    elsewhere = sorted(
        {
            term
            for label, manifest in manifests.items()
            if label not in (active_label, declared_in)
            for term in source_types(as_mapping(manifest))
        }
    )
    if _COMPOSITE_AI in types and _AI not in types and wholly_of(_AI, manifests, declared_in):
        types = [*types, _AI]  # composed of nothing but generated pictures
    claim, basis = _claim(media, state, failures, successes, types, elsewhere)
    if types and declared_in != active_label:
        basis += ", in the one ingredient that this file only wraps"
    signature = as_mapping(active.get("signature_info"))
    program = program_name(active)
    agents = software_agents(active) + software_agents(as_mapping(manifests.get(declared_in)))
    facts: dict[str, Fact] = {
        "state": state,
        "failure_codes": failures,
        "ingredient_failure_codes": ingredient_failures,
        "trust_list": trust_list,
        "signer": clean(signature.get("issuer")),
        "signer_common_name": clean(signature.get("common_name")),
        "claim_generator": program,
        "actions": [clean(a.get("action")) for a in manifest_actions(active)][:_MAX_ITEMS],
        "software_agents": sorted(set(agents))[:_MAX_ITEMS],
        "digital_source_types": types,
        "declared_by": "active manifest" if declared_in == active_label else "ingredient",
        "ingredient_source_types": elsewhere,
        "ingredients": [
            {"title": clean(i.get("title")), "relationship": clean(i.get("relationship"))}
            for i in map(as_mapping, as_list(active.get("ingredients"))[:_MAX_ITEMS])
        ],
        "manifest_count": len(manifests),
        "claim_basis": basis,
    }
    if signature.get("time"):
        facts["signed_at"] = clean(signature["time"])
    if remote:
        facts["remote_url"] = clean(remote)
    if claim is Label.AI_GENERATED:
        facts["generator"] = _maker(str(facts["signer"]), program, *sorted(set(agents)))
    return [
        Measurement(
            score=1.0 if claim in (Label.AI_GENERATED, Label.MANIPULATED) else 0.0,
            claim=Claim(claim, _CARRIERS.get(state, Carrier.BROKEN_SIGNATURE)) if claim else None,
            contradiction=state == "Invalid",
            facts=facts,
            summary=_summary(state, facts, claim),
        )
    ]


def _claim(
    media: Media,
    state: str,
    failures: Sequence[str],
    successes: Sequence[str],
    types: Sequence[str],
    elsewhere: Sequence[str],
) -> tuple[Label | None, str]:
    """What the manifest establishes, and why in words."""
    held = "" if state in ("Trusted", "Valid") else "; the manifest is Invalid, so mind its codes"
    if _AI in types and _CAPTURES.isdisjoint(types):
        return Label.AI_GENERATED, f"the manifest declares the source type {_AI}{held}"
    if _AI in types:
        return Label.MANIPULATED, f"the manifest declares a capture together with {_AI}{held}"
    if _COMPOSITE_AI in types:
        return Label.MANIPULATED, f"the manifest declares the source type {_COMPOSITE_AI}{held}"
    signed = "claimSignature.validated" in successes and not any(
        code.startswith(("claimSignature.", "assertion.hashedURI.")) for code in failures
    )
    changed = sorted(_CONTENT_CHANGED.intersection(failures))
    if changed and signed and media.kind is Kind.IMAGE:
        return Label.MANIPULATED, (
            f"the signature verifies but the file no longer fits its signed hash ({changed[0]}): "
            "it was changed after it was signed, for which a mere re-save suffices"
        )
    if state != "Trusted":
        return None, f"a manifest in state {state} that declares no AI establishes nothing"
    if _AI in elsewhere or _COMPOSITE_AI in elsewhere:
        return None, "the signer is trusted, but an ingredient is declared as made with AI"
    return Label.AUTHENTICATED, "the file is as its signer signed it, and the signer is trusted"


def _maker(signer: str, *names: str) -> str:
    text = " ".join((signer, *names)).lower()
    for pattern, maker in _MAKERS:
        if re.search(pattern, text):
            return maker
    return next((name for name in (*names[1:], *names[:1], signer) if name), "not named")


def _summary(state: str, facts: Mapping[str, Fact], claim: Label | None) -> str:
    signer = quote(facts["signer"]) if facts["signer"] else "an unnamed signer"
    if state == "Trusted":
        text = f"Content credentials are present, valid and signed by {signer}, a trusted signer"
    elif state == "Valid":
        why = "is not on the given trust list" if facts["trust_list"] else "was not checked"
        text = (
            f"Content credentials are present and valid, but the name in them, {signer}, {why}, "
            "so they are not trusted"
        )
    else:
        codes = facts["failure_codes"] or facts["ingredient_failure_codes"]
        named = ", ".join(map(str, codes[:3])) if isinstance(codes, list) else ""
        text = f"Content credentials are present but not valid ({named or 'no code given'})"
    if claim is Label.AI_GENERATED:
        return (
            f"{text}; they declare the content to be AI-generated (by {quote(facts['generator'])})."
        )
    if claim is Label.MANIPULATED and "hash" in str(facts["claim_basis"]):
        return f"{text}; the file was changed after it was signed, if only by a re-save."
    if claim is Label.MANIPULATED:
        return f"{text}; they declare content made partly with AI."
    return f"{text}."
