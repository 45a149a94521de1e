"""Content credentials (C2PA): who signed what about this file, and does it still hold.

What it looks for
    A C2PA manifest: a signed statement inside the file about how it came to be, and the
    statements of the ingredients it was made from.

Why it works
    The signature covers a hash of the file and every statement in the manifest, so neither can
    be changed without it showing. A certificate on a trust list ties the signature to somebody.

When it fails
    A missing manifest says nothing: most files have none, and any re-save, screenshot or upload
    may remove it. Anyone can sign anything with a certificate of their own making. A listed signer
    may lie too, and a camera can be pointed at a screen. A hash that no longer fits can mean a
    forgery or a mere re-save by a program that knows nothing of C2PA. Whether a certificate
    without a time stamp has expired depends on today's date, and whether one was revoked is known
    only where the file carries the answer of its authority or the network may be used.

How to read it
    Present, valid and trusted are three different things. Valid: the signature and the file
    fit together. Trusted: valid, and a trust list vouches for the signer; which one is named:
    the official list, the frozen interim list (a lower tier), a list of your own, or the one that
    you gave. What the credentials *say* is a fourth thing: most signatures say nothing about the
    origin. A file counts as authenticated only where a trusted signer states a capture, or a
    creation by a person, and no later step changed its content.

Reference
    Coalition for Content Provenance and Authenticity, "C2PA Technical Specification", version
    2.2, 2025; read with the c2pa-python library.
"""

from __future__ import annotations

import re

from bonafide.detectors.provenance import _c2pa_facts as extra
from bonafide.detectors.provenance import _c2pa_words as words
from bonafide.detectors.provenance import _iscc
from bonafide.detectors.provenance._c2pa_history import history
from bonafide.detectors.provenance._c2pa_meaning import Meaning, Reading, meaning_of
from bonafide.detectors.provenance._c2pa_read import Credentials, ListsRefused, read_credentials
from bonafide.errors import InvalidInput
from bonafide.media.context import Context
from bonafide.media.credentials import as_list, as_mapping, program_name, source_types
from bonafide.media.media import Media
from bonafide.media.soft_bindings import explained, public_checker
from bonafide.media.text_metadata import clean, quote
from bonafide.trust.lists import Tier
from bonafide.trust.user import Trust, in_use
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
    version="2",
    question=Question.PROVENANCE,
    title="Content credentials (C2PA)",
    kinds=(Kind.IMAGE, Kind.VIDEO, Kind.AUDIO, Kind.DOCUMENT),
    profile=Profile.TRIAGE,
    facts={
        "state": "Trusted, Valid, Invalid, none, remote (kept elsewhere) or unreadable; by the "
        "status codes",
        "library_state": "the C2PA library's own summary word",
        "problem": "why a manifest could not be read, in the library's words",
        "failure_codes": "C2PA status codes of what fails in the active manifest [list of codes]",
        "ingredient_failure_codes": "the same for its ingredients [list of codes]",
        "trust_list": "whether any trust list was in use",
        "trust_warnings": "lists that are past their own date of replacement [list of sentences]",
        "signer": "name in the signing certificate; proves nothing unless Trusted",
        "signer_common_name": "common name in that certificate",
        "signer_tier": "list that vouches for the signer: official, interim, own, given, nothing",
        "product": "product of the C2PA conformance programme that signed, if one did",
        "assurance_level": "how well that product protects its key [1 or 2, by the certificate]",
        "signed_at": "time of the time stamp, or of the claim [ISO 8601]",
        "time_stamp": "state of the time stamp in words, none without one",
        "revocation": "whether the certificate was revoked, as far as that was checked",
        "identities": "who, kind and state of each CAWG identity assertion [list]",
        "reading": "what the history amounts to: ai_generated, partly_ai, captured, "
        "captured_changed, human_creation, human_changed, screen_capture, composite, algorithmic "
        "or unknown_origin",
        "steps": "every action with its source type, agent and time, the oldest first [list]",
        "claim_generator": "program that wrote the active manifest, as it calls itself",
        "actions": "actions of the history, the oldest first [list of C2PA actions]",
        "software_agents": "programs and models named in those actions [list of names]",
        "digital_source_types": "kinds of origin that count for this file [list of IPTC terms]",
        "declared_by": "active manifest or ingredient, whichever states the origin",
        "ingredient_source_types": "kinds of origin that only ingredients have [list of terms]",
        "ingredients": "title and relationship of each ingredient [list, at most 20]",
        "training_and_mining": "use → whether the signer allows it",
        "soft_bindings": "watermarks and fingerprints that the manifest names [list of algorithms]",
        "soft_bindings_explained": "what each of them is, and who can check it [list of sentences]",
        "public_checker": "who can look for the mark that the named generator hides [sentence]",
        "redactions": "statements that were removed from ingredients [list of labels]",
        "thumbnail_correlation": "of the picture and the thumbnail in credentials that do not fit "
        "it [-1 to 1; below 0.75 it is another picture]",
        "manifest_count": "manifests in the file [count]",
        "remote_url": "address at which the manifest is kept",
        "generator": "who or what made the picture, if it is declared AI-generated",
        "claim_basis": "in words: why the finding claims what it claims, or nothing",
    },
    options=("trust", "network"),
    history=history,
    paper="C2PA Technical Specification 2.2, Coalition for Content Provenance and Authenticity, "
    "2025",
    limits="Absence proves nothing. The shipped lists are dated; `bonafide trust show` says until "
    "when they hold. Revocation is checked only by answers in the file, unless the network may be "
    "used. Remote manifests are not fetched unless asked for. On 55 labelled files all states are "
    "as expected with the list that their publisher gives; how often real edits leave a manifest "
    "in place was not measured.",
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
    "M4A": "audio/mp4",
    "MP3": "audio/mpeg",
    "WAV": "audio/wav",
    "FLAC": "audio/flac",
    "SVG": "image/svg+xml",
    "PDF": "application/pdf",
}

_CARRIERS = {
    Tier.OFFICIAL: Carrier.TRUSTED_SIGNATURE,
    Tier.OWN: Carrier.TRUSTED_SIGNATURE,
    Tier.GIVEN: Carrier.TRUSTED_SIGNATURE,
    Tier.INTERIM: Carrier.INTERIM_SIGNATURE,
}
_CONTENT_CHANGED = {"assertion.dataHash.mismatch", "assertion.boxesHash.mismatch"}
# What the conformance programme calls the statements that a product may be barred from.
_SIGNALS = {Reading.CAPTURED: "capturedMedia", Reading.HUMAN_CREATION: "nonGenAIDigitalCreation"}
_MAX_ITEMS = 20
_MOST_STEPS = 60


class Detector:
    """Reads and verifies the C2PA manifest of a file, offline unless told otherwise."""

    def __init__(self, trust: str | None = None, network: bool = False) -> None:
        """Take the trust list and whether the network may be used.

        Args:
            trust: a PEM file of trust anchors, or a folder of PEM files (those with "allowed" in
                their names are end-entity certificates trusted as they are) and at most one
                `.cfg` file of extended key usages; it replaces all other lists. None: the shipped
                lists and what the user added.
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
            trust = in_use(self.trust)
        except (OSError, ValueError, InvalidInput) as error:
            return Failed(f"the trust list cannot be read: {error}")
        try:
            found = read_credentials(media, mime, trust, self.network)
        except ListsRefused as error:
            return Failed(f"the trust list is not accepted: {clean(str(error))}")
        except (c2pa.C2paError, ValueError, RecursionError) as error:
            return _without_manifest(media, type(error).__name__, str(error))
        return _report(media, found, trust)


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


def _report(media: Media, found: Credentials, trust: Trust) -> Measured:
    """The finding for a manifest store that was read, whatever its state."""
    active = as_mapping(found.manifests.get(found.label))
    meaning = meaning_of(found)
    signature = as_mapping(active.get("signature_info"))
    signed_by = extra.product(found)
    revoked = extra.revocation(found)
    changed = sorted(_CONTENT_CHANGED.intersection(found.failures))
    claim, basis = _claim(media, found, meaning, changed, signed_by.barred if signed_by else ())
    if meaning.stated_by not in ("", found.label):
        basis += ", stated by an earlier manifest of its history"
    bindings, iscc = extra.soft_bindings(found), _iscc.sentence(found, media.image)
    unread = [alg for alg in bindings if not (iscc and alg == _iscc.ALGORITHM)]
    types = list(meaning.origin)
    for step in meaning.steps:
        if step.origin and step.origin not in types and (step.ai or step.kind != "beginning"):
            types.append(step.origin)
    facts: dict[str, Fact] = {
        "state": found.state,
        "library_state": clean(found.store.get("validation_state"), 20),
        "failure_codes": list(found.failures),
        "ingredient_failure_codes": list(found.ingredient_failures),
        "trust_list": bool(trust.lists),
        "signer": clean(signature.get("issuer")),
        "signer_common_name": clean(signature.get("common_name")),
        "signer_tier": found.tier.value if found.tier else "nothing",
        "time_stamp": extra.time_stamp(found),
        "revocation": revoked,
        "reading": meaning.reading.value,
        "steps": [
            {"action": step.action, "origin": step.origin, "agent": step.agent, "when": step.when}
            for step in meaning.steps[:_MOST_STEPS]
        ],
        "claim_generator": program_name(active),
        "actions": [step.action for step in meaning.steps][:_MOST_STEPS],
        "software_agents": sorted(set(meaning.agents))[:_MAX_ITEMS],
        "digital_source_types": sorted(types) or source_types(active),
        "declared_by": "active manifest"
        if meaning.stated_by in ("", found.label)
        else "ingredient",
        "ingredient_source_types": list(meaning.elsewhere),
        "ingredients": [
            {"title": clean(i.get("title")), "relationship": clean(i.get("relationship"))}
            for i in map(as_mapping, as_list(active.get("ingredients"))[:_MAX_ITEMS])
        ],
        "manifest_count": len(found.manifests),
        "claim_basis": basis,
    }
    optional: dict[str, Fact] = {
        "signed_at": clean(signature.get("time")),
        "remote_url": clean(found.remote),
        "trust_warnings": list(trust.warnings),
        "identities": extra.identities(found),
        "training_and_mining": extra.training_and_mining(found),
        "soft_bindings": bindings,
        "soft_bindings_explained": [*explained(unread), *filter(None, (iscc,))],
        "public_checker": public_checker((meaning.generator, *meaning.agents)),
        "redactions": extra.redactions(found),
        "product": signed_by.name if signed_by else "",
    }
    if signed_by and found.certificate is not None and found.certificate.assurance:
        optional["assurance_level"] = min(found.certificate.assurance, signed_by.level or 1)
    if claim is Label.AI_GENERATED:
        optional["generator"] = meaning.generator or "not named"
    alike = extra.likeness(found, media.image)
    if alike is not None:
        optional["thumbnail_correlation"] = round(alike, 3) or 0.001
    facts |= {name: value for name, value in optional.items() if value}
    carrier = Carrier.BROKEN_SIGNATURE
    if found.state != "Invalid":
        carrier = _CARRIERS[found.tier] if found.tier else Carrier.VALID_SIGNATURE
    return [
        Measurement(
            score=1.0 if claim in (Label.AI_GENERATED, Label.MANIPULATED) else 0.0,
            claim=Claim(claim, carrier) if claim else None,
            contradiction=found.state == "Invalid",
            facts=facts,
            summary=words.summary(
                found, meaning, facts, claim, words.unlike_signed(changed, alike)
            ),
        )
    ]


def _claim(
    media: Media,
    found: Credentials,
    meaning: Meaning,
    changed: list[str],
    barred: tuple[str, ...],
) -> tuple[Label | None, str]:
    """What the manifest establishes, and why in words."""
    held = "" if found.state != "Invalid" else "; the manifest is Invalid, so mind its codes"
    if meaning.reading is Reading.AI_GENERATED:
        return Label.AI_GENERATED, f"{meaning.basis}{held}"
    if meaning.reading is Reading.PARTLY_AI:
        return Label.MANIPULATED, f"{meaning.basis}{held}"
    signed = "claimSignature.validated" in found.successes and not any(
        code.startswith(("claimSignature.", "assertion.hashedURI.")) for code in found.failures
    )
    if changed and signed and media.kind is Kind.IMAGE:
        return Label.MANIPULATED, (
            f"the signature verifies but the file no longer fits its signed hash ({changed[0]}): "
            "it was changed after it was signed, for which a mere re-save suffices, or the "
            "credentials were moved here from another file"
        )
    if found.tier is None:
        return None, f"a manifest in state {found.state} that declares no AI establishes nothing"
    if meaning.reading not in _SIGNALS:
        return None, f"the signer is trusted, but {meaning.basis}"
    if _SIGNALS[meaning.reading] in barred:
        return None, "the product that signed it is not admitted to state this by its programme"
    missing = [label for label in meaning.chain if label not in found.tiers]
    if missing:
        return None, "an earlier manifest of the history is by a signer that nobody vouches for"
    if found.ingredient_failures or not meaning.whole:
        return None, "the history is not complete, or an ingredient is defective"
    if any("actions" in str(label) for label in extra.redactions(found)):
        return None, "actions were removed from the history"
    return Label.AUTHENTICATED, f"{meaning.basis}, the signer is trusted, and no step changed it"
