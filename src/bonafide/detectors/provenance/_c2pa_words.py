"""The sentences of `c2pa_manifest`; a private part of it."""

from __future__ import annotations

from collections.abc import Mapping

from bonafide.detectors.provenance._c2pa_facts import ANOTHER
from bonafide.detectors.provenance._c2pa_meaning import WORDS, Meaning
from bonafide.detectors.provenance._c2pa_read import Credentials
from bonafide.media.text_metadata import quote
from bonafide.trust.lists import Tier
from bonafide.types import Fact, Label

_VOUCHERS = {
    Tier.OFFICIAL: "whom the official C2PA trust list vouches for",
    Tier.OWN: "whom a certificate that you added vouches for",
    Tier.GIVEN: "a trusted signer by the list that was given",
    Tier.INTERIM: "whom only the interim list vouches for, a lower tier that was frozen at the "
    "start of 2026",
}


def summary(
    found: Credentials,
    meaning: Meaning,
    facts: Mapping[str, Fact],
    claim: Label | None,
    unlike: str,
) -> str:
    """State, signer, what they say, and what qualifies it, in a few sentences."""
    signer = quote(facts["signer"]) if facts["signer"] else "an unnamed signer"
    if found.tier is not None:
        text = (
            f"Content credentials are present, valid and signed by {signer}, "
            f"{_VOUCHERS[found.tier]}"
        )
    elif found.state == "Valid":
        why = "is on no trust list in use" if facts["trust_list"] else "was not checked"
        text = (
            f"Content credentials are present and valid, but the name in them, {signer}, {why}, "
            "so they are not trusted"
        )
    else:
        codes = facts["failure_codes"] or facts["ingredient_failure_codes"]
        named = ", ".join(map(str, codes[:3])) if isinstance(codes, list) else ""
        text = f"Content credentials are present but not valid ({named or 'no code given'})"
    said = WORDS[meaning.reading]
    if claim is Label.AI_GENERATED:
        said += f" (by {quote(facts['generator'])})"
    sentences = [f"{text}; {said}."]
    if unlike:
        sentences.append(unlike)
    if found.state != "Invalid":
        sentences += _remarks(facts)
    # Said of broken credentials too: a mark in the pixels outlives them.
    sentences.append(str(facts.get("public_checker", "")))
    return " ".join(filter(None, sentences))


def unlike_signed(changed: list[str], alike: float | None) -> str:
    """What it means that the content does not fit its hash, "" where it does."""
    if not changed:
        return ""
    start = "The file does not fit what was signed:"
    if alike is None:
        return (
            f"{start} it was changed since, if only by a re-save, or the credentials were moved "
            "here from another file."
        )
    if alike < ANOTHER:
        return (
            f"{start} the thumbnail in the credentials shows another picture, so they were moved "
            "here from another file, or the picture was replaced."
        )
    return (
        f"{start} the thumbnail in the credentials shows this picture, which was changed since, if "
        "only by a re-save."
    )


def _remarks(facts: Mapping[str, Fact]) -> list[str]:
    """What qualifies valid credentials: time, revocation, identities, marks, old lists."""
    told = []
    stamp, revocation = str(facts["time_stamp"]), str(facts["revocation"])
    if stamp == "none":
        told.append("They have no time stamp, so the date of signing is the signer's own word.")
    elif stamp != "trusted":
        told.append(f"Their time stamp is {stamp}.")
    if revocation.startswith("not checked"):
        told.append("Whether the certificate was revoked was not checked.")
    identities = facts.get("identities")
    told += [
        f"An identity in them, {quote(one['who'])}, is {one['state']}."
        for one in (identities if isinstance(identities, list) else [])
    ]
    bindings = facts.get("soft_bindings_explained")
    told += [str(one) for one in (bindings if isinstance(bindings, list) else [])]
    warnings = facts.get("trust_warnings")
    told += [f"Note: {warning}." for warning in (warnings if isinstance(warnings, list) else [])]
    return told
