"""What the facts of `c2pa_manifest` tell of a file's history; a private part of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from bonafide.types import Event, Fact

_ACTIONS = {
    "c2pa.created": "Created",
    "c2pa.opened": "Opened",
    "c2pa.placed": "Another picture placed in it",
    "c2pa.edited": "Edited",
    "c2pa.edited.metadata": "Metadata edited",
    "c2pa.cropped": "Cropped",
    "c2pa.resized": "Resized",
    "c2pa.resized.proportional": "Resized in proportion",
    "c2pa.orientation": "Turned",
    "c2pa.color_adjustments": "Colours adjusted",
    "c2pa.enhanced": "Enhanced",
    "c2pa.drawing": "Drawn upon",
    "c2pa.filtered": "Filtered",
    "c2pa.converted": "Converted",
    "c2pa.transcoded": "Re-encoded",
    "c2pa.repackaged": "Repackaged",
    "c2pa.published": "Published",
    "c2pa.removed": "A part removed",
    "c2pa.deleted": "A part deleted",
    "c2pa.redacted": "A statement redacted",
    "c2pa.trimmed": "Trimmed",
    "c2pa.translated": "Translated",
    "c2pa.watermarked": "Watermarked",
    "c2pa.watermarked.bound": "Watermarked",
    "c2pa.watermarked.unbound": "Watermarked",
    "c2pa.unknown": "Changed in an unknown way",
}
_STANDING = {"Trusted": "signed", "Invalid": "broken"}
_MEANING = {
    "Trusted": "The signature is valid, and a trust list vouches for the signer.",
    "Valid": "The signature is valid, but no trust list in use vouches for the signer.",
    "Invalid": "The signature, or what it covers, does not fit this file.",
}
_TIERS = {
    "official": "The signature is valid, and the official C2PA trust list vouches for the signer.",
    "interim": "The signature is valid; the signer is on the interim list alone, a lower tier.",
    "own": "The signature is valid, and a certificate that you added vouches for the signer.",
}
_ELSEWHERE = {
    "remote": ("Content credentials kept elsewhere", "remote_url"),
    "unreadable": ("Content credentials that cannot be read", "problem"),
}
_MOST = 20


# IPTC digital source types, https://cv.iptc.org/newscodes/digitalsourcetype/
_ORIGINS = {
    "digitalCapture": "captured by a camera",
    "computationalCapture": "captured, several exposures joined by the camera",
    "negativeFilm": "scanned from negative film",
    "positiveFilm": "scanned from positive film",
    "print": "scanned from a print",
    "humanEdits": "edited by a person",
    "minorHumanEdits": "edited slightly by a person",
    "digitalCreation": "made by a person with a program",
    "digitalArt": "made by a person with a program",
    "dataDrivenMedia": "drawn from data by a program",
    "algorithmicMedia": "made by a program that was not trained",
    "algorithmicallyEnhanced": "enhanced by a program",
    "trainedAlgorithmicMedia": "made by AI",
    "trainedAlgorithmicData": "data made by AI",
    "compositeWithTrainedAlgorithmicMedia": "partly made by AI",
    "compositeSynthetic": "joined, with generated parts",
    "compositeCapture": "joined from captures",
    "composite": "joined from several pictures",
    "screenCapture": "a picture of a screen",
    "virtualRecording": "recorded in a virtual scene",
}


def _origin(term: str) -> str:
    """A source type in words, with the term as it stands; the term alone where it is unknown."""
    return f"{_ORIGINS[term]} ({term})" if term in _ORIGINS else term


def history(facts: Mapping[str, Fact]) -> Iterator[Event]:
    """Ingredients, then actions, then the signature, as far as the manifest names them."""
    state = _text(facts, "state")
    if state in _ELSEWHERE:
        what, detail = _ELSEWHERE[state]
        yield Event("", what, _text(facts, detail), "C2PA", "stated")
    if state not in _MEANING:
        return
    standing = _STANDING.get(state, "stated")
    for ingredient in _items(facts, "ingredients"):
        parent = isinstance(ingredient, Mapping) and ingredient.get("relationship") == "parentOf"
        name = ingredient.get("title") if isinstance(ingredient, Mapping) else ingredient
        what = "Made from another file" if parent else "Another file used"
        yield Event("", what, str(name or "unnamed"), "C2PA", standing)
    actions = [str(action) for action in _items(facts, "actions")]
    if actions:
        steps = " → ".join(_ACTIONS.get(action, action) for action in actions)
        origins = ", ".join(_origin(str(term)) for term in _items(facts, "digital_source_types"))
        agents = ", ".join(str(name) for name in _items(facts, "software_agents"))
        program = _text(facts, "claim_generator")
        details = (
            program and f"Program: {program}",
            agents and f"Done by: {agents}",
            origins and f"Origin: {origins}",
        )
        yield Event("", steps, "\n".join(filter(None, details)), "C2PA", standing)
    signer = _text(facts, "signer") or _text(facts, "signer_common_name") or "an unnamed signer"
    bindings = _items(facts, "soft_bindings_explained")
    if bindings:
        told = "\n".join(map(str, bindings))
        yield Event("", "Bound to its content by a mark or fingerprint", told, "C2PA", standing)
    when = _text(facts, "signed_at")
    yield Event(when, f"Signed by {signer}", _of_signer(facts, state), "C2PA", standing)


def _of_signer(facts: Mapping[str, Fact], state: str) -> str:
    """Who vouches for the signer, the product, and what else a reader must know."""
    told = [_TIERS.get(_text(facts, "signer_tier"), _MEANING[state])]
    product, level = _text(facts, "product"), facts.get("assurance_level")
    if product:
        at = f" at assurance level {level}" if level else ""
        told.append(f"Product of the conformance programme: {product}{at}")
    if facts.get("time_stamp") == "none":
        told.append("Without a time stamp: the date is the signer's own word.")
    told += [
        f"Identity: {one.get('who') or 'unnamed'} ({one.get('state')})"
        for one in _items(facts, "identities")
        if isinstance(one, Mapping)
    ]
    return "\n".join(told)


def _text(facts: Mapping[str, Fact], name: str) -> str:
    value = facts.get(name)
    return value if isinstance(value, str) else ""


def _items(facts: Mapping[str, Fact], name: str) -> list[Fact]:
    value = facts.get(name)
    return value[:_MOST] if isinstance(value, list) else []
