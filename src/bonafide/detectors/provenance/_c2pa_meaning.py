"""What a manifest store says about how a file came to be; a private part of `c2pa_manifest`.

The rules are ours, written from the C2PA specification (2.2, sections 18.14 to 18.16) and the IPTC
vocabulary of digital source types:

1. The history is the chain of parents, the oldest first. Each manifest adds its actions.
2. The *origin* is what the first manifest that speaks of one says: by the source type of
   `c2pa.created` or `c2pa.opened`, or, where an action names no type, by a software agent or claim
   generator that does nothing but generate.
3. Every later action keeps the content, adjusts it (crop, size, orientation, colours), changes it,
   or brings in AI. An action that is not known changes the content.
4. Ingredients that are placed into the picture count with their own origin.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from bonafide.detectors.provenance._c2pa_read import Credentials
from bonafide.media.credentials import (
    as_list,
    as_mapping,
    manifest_actions,
    program_name,
    source_types,
    term_of,
)
from bonafide.media.generators import agent_named
from bonafide.media.text_metadata import clean

_MOST_MANIFESTS = 32
_MOST_STEPS = 200


class Reading(StrEnum):
    """What the history amounts to."""

    AI_GENERATED = "ai_generated"  # made by a generator as a whole
    PARTLY_AI = "partly_ai"  # made or edited partly with AI
    CAPTURED = "captured"  # a capture, at most adjusted since
    CAPTURED_CHANGED = "captured_changed"  # a capture whose content was changed since
    HUMAN_CREATION = "human_creation"  # drawn or composed by a person, at most adjusted since
    HUMAN_CHANGED = "human_changed"
    SCREEN_CAPTURE = "screen_capture"
    COMPOSITE = "composite"  # put together from several pictures
    ALGORITHMIC = "algorithmic"  # by a program that was not trained
    UNKNOWN = "unknown_origin"  # signed, says nothing about its origin


WORDS = {
    Reading.AI_GENERATED: "they say that the content was made by AI",
    Reading.PARTLY_AI: "they say that the content was made or edited partly with AI",
    Reading.CAPTURED: "they say that it was captured by a camera or recorder",
    Reading.CAPTURED_CHANGED: "they say that it was captured, and that its content was changed "
    "since",
    Reading.HUMAN_CREATION: "they say that a person created it without AI",
    Reading.HUMAN_CHANGED: "they say that a person created it, and that it was changed since",
    Reading.SCREEN_CAPTURE: "they say that it is a recording of a screen, which can show anything",
    Reading.COMPOSITE: "they say that it was put together from several pictures",
    Reading.ALGORITHMIC: "they say that a program made it that was not trained on data",
    Reading.UNKNOWN: "they say nothing about its origin",
}

_ORIGINS = {
    "trainedAlgorithmicMedia": Reading.AI_GENERATED,
    "trainedAlgorithmicData": Reading.AI_GENERATED,
    "compositeWithTrainedAlgorithmicMedia": Reading.PARTLY_AI,
    "compositeSynthetic": Reading.PARTLY_AI,
    "digitalCapture": Reading.CAPTURED,
    "computationalCapture": Reading.CAPTURED,
    "negativeFilm": Reading.CAPTURED,
    "positiveFilm": Reading.CAPTURED,
    "print": Reading.CAPTURED,
    "digitalCreation": Reading.HUMAN_CREATION,
    "digitalArt": Reading.HUMAN_CREATION,
    "screenCapture": Reading.SCREEN_CAPTURE,
    "composite": Reading.COMPOSITE,
    "compositeCapture": Reading.COMPOSITE,
    "algorithmicMedia": Reading.ALGORITHMIC,
    "dataDrivenMedia": Reading.ALGORITHMIC,
    "virtualRecording": Reading.ALGORITHMIC,
    "softwareImage": Reading.ALGORITHMIC,
}
_AI = (Reading.AI_GENERATED, Reading.PARTLY_AI)
_CHANGED = {
    Reading.CAPTURED: Reading.CAPTURED_CHANGED,
    Reading.HUMAN_CREATION: Reading.HUMAN_CHANGED,
}
_BEGINNINGS = {"c2pa.created", "c2pa.opened"}
# After these a picture still shows what it showed before.
_KEEPING = {
    "c2pa.converted", "c2pa.transcoded", "c2pa.repackaged", "c2pa.published", "c2pa.redacted",
    "c2pa.edited.metadata", "c2pa.resized.proportional", "c2pa.enhanced", "c2pa.watermarked",
    "c2pa.watermarked.bound", "c2pa.watermarked.unbound", "c2pa.copied", "c2pa.saved",
}  # fmt: skip
# These change what is seen in ways that the action itself says.
_ADJUSTING = {
    "c2pa.cropped", "c2pa.resized", "c2pa.orientation", "c2pa.color_adjustments", "c2pa.trimmed",
}  # fmt: skip


@dataclass(frozen=True)
class Step:
    """One action.

    Attributes:
        action: its name.
        origin: IPTC term of its source type, "" for none.
        agent: program or model that did it, "" for none.
        when: as the file writes it, "" where it does not.
        ai: whether it says that AI made or changed content.
        kind: "beginning", "keeping", "adjusting" or "changing".
        label: of the manifest that states it.
    """

    action: str
    origin: str
    agent: str
    when: str
    ai: bool
    kind: str
    label: str


@dataclass(frozen=True)
class Meaning:
    """What a store says.

    Attributes:
        reading: in one word.
        basis: why, in words.
        steps: every action, the oldest first.
        origin: IPTC terms of the origin, [] for none.
        stated_by: label of the manifest that states the origin, "" for none.
        agents: programs and models that are named.
        generator: maker of the generator, "" where none is named.
        chain: labels of the manifests of the history, the oldest first.
        elsewhere: source types that only ingredients have.
        whole: whether the list of actions is said, or not denied, to be complete.
    """

    reading: Reading
    basis: str
    steps: tuple[Step, ...] = ()
    origin: tuple[str, ...] = ()
    stated_by: str = ""
    agents: tuple[str, ...] = ()
    generator: str = ""
    chain: tuple[str, ...] = ()
    elsewhere: tuple[str, ...] = field(default_factory=tuple)
    whole: bool = True


def meaning_of(found: Credentials) -> Meaning:
    """Read the history of a store."""
    manifests = found.manifests
    chain = _chain(manifests, found.label, found.broken)
    steps = tuple(step for label in chain for step in _steps(manifests, label))[:_MOST_STEPS]
    elsewhere = sorted(
        {
            term
            for label, manifest in manifests.items()
            if label not in chain
            for term in source_types(as_mapping(manifest))
        }
    )
    agents = tuple(dict.fromkeys(step.agent for step in steps if step.agent))
    whole = all(_complete(as_mapping(manifests.get(label))) for label in chain)
    begun, kind, basis, terms = _origin(manifests, chain, steps)
    reading, basis = _conclude(found, chain, steps, begun, kind, basis)
    generator = _generator(manifests, chain, steps) if reading in _AI else ""
    return Meaning(
        reading, basis, steps, terms, begun, agents, generator, chain, tuple(elsewhere), whole
    )


def _chain(manifests: Mapping[str, Any], label: str, broken: frozenset[str]) -> tuple[str, ...]:
    """The active manifest and its parents, the oldest first; a defective parent says nothing."""
    chain = [label]
    while len(chain) < _MOST_MANIFESTS:
        parent = _parent(manifests, chain[-1])
        if not parent or parent in chain or parent in broken or parent not in manifests:
            break
        chain.append(parent)
    return tuple(reversed(chain))


def _parent(manifests: Mapping[str, Any], label: str) -> str:
    """Label of the manifest that a manifest continues, "" where it continues none.

    It is the ingredient called a parent, the one ingredient of a manifest that opened something,
    or the one that a signer merely wrapped once more.
    """
    manifest = as_mapping(manifests.get(label))
    ingredients = [as_mapping(one) for one in as_list(manifest.get("ingredients"))]
    parents = [one for one in ingredients if one.get("relationship") == "parentOf"]
    if not parents and len(ingredients) == 1 and ingredients[0].get("relationship") != "inputTo":
        done = {str(action.get("action")) for action in manifest_actions(manifest)}
        inner = as_mapping(manifests.get(str(ingredients[0].get("active_manifest", ""))))
        rewrapped = not done and _issuer(manifest) == _issuer(inner)
        if "c2pa.opened" in done or rewrapped:
            parents = ingredients
    return str(parents[0].get("active_manifest") or "") if parents else ""


def _issuer(manifest: Mapping[str, Any]) -> str:
    return str(as_mapping(manifest.get("signature_info")).get("issuer", ""))


def _steps(manifests: Mapping[str, Any], label: str) -> list[Step]:
    found = []
    for action in manifest_actions(as_mapping(manifests.get(label))):
        name = clean(action.get("action"), 80)
        agent = action.get("softwareAgent")
        if isinstance(agent, Mapping):
            agent = f"{agent.get('name') or ''} {agent.get('version') or ''}"
        agent = clean(agent, 100)
        origin = term_of(action.get("digitalSourceType"))
        kind = "changing"
        if name in _BEGINNINGS:
            kind = "beginning"
        elif name in _KEEPING:
            kind = "keeping"
        elif name in _ADJUSTING:
            kind = "adjusting"
        ai = _ORIGINS.get(origin) in _AI
        if not origin and name != "c2pa.opened" and kind != "keeping":
            ai = agent_named(agent) is not None
        found.append(Step(name, origin, agent, clean(action.get("when"), 40), ai, kind, label))
    return found


def _origin(
    manifests: Mapping[str, Any], chain: Sequence[str], steps: Sequence[Step]
) -> tuple[str, Reading, str, tuple[str, ...]]:
    """Label of the manifest that states the origin, the origin, why, and its source types."""
    for label in chain:
        manifest = as_mapping(manifests.get(label))
        own = [step for step in steps if step.label == label]
        for step in own:
            if step.kind != "beginning":
                continue
            if step.origin in _ORIGINS:
                why = f"{step.action} declares the source type {step.origin}"
                return label, _ORIGINS[step.origin], why, (step.origin,)
            if step.ai:
                why = f"{step.action} names the generator {step.agent}"
                return label, Reading.AI_GENERATED, why, ()
        # A parent without a manifest may have been given a type by who opened it.
        for one in map(as_mapping, as_list(manifest.get("ingredients"))):
            given = term_of(one.get("digitalSourceType") or one.get("digital_source_type"))
            if one.get("relationship") == "parentOf" and given in _ORIGINS:
                why = f"the parent is declared to be of the source type {given}"
                return label, _ORIGINS[given], why, (given,)
        # Some programs declare the type outside of actions, or name themselves alone.
        stated = [] if any(step.origin for step in own) else source_types(manifest)
        known = [term for term in stated if term in _ORIGINS]
        if known:
            ranked = sorted(known, key=lambda term: list(Reading).index(_ORIGINS[term]))
            kind = _ORIGINS[ranked[0]]
            if kind is Reading.AI_GENERATED and len({_ORIGINS[term] for term in known}) > 1:
                kind = Reading.PARTLY_AI
            return label, kind, f"it declares the source type {ranked[0]}", tuple(known)
        begins = not own or any(step.action == "c2pa.created" for step in own)
        program = program_name(manifest)
        if begins and not as_list(manifest.get("ingredients")) and agent_named(program):
            return label, Reading.AI_GENERATED, f"it was written by the generator {program}", ()
    return "", Reading.UNKNOWN, "no manifest says how the content came to be", ()


def _conclude(
    found: Credentials,
    chain: Sequence[str],
    steps: Sequence[Step],
    begun: str,
    kind: Reading,
    basis: str,
) -> tuple[Reading, str]:
    start = chain.index(begun) if begun in chain else 0
    later = [step for step in steps if chain.index(step.label) >= start]
    first = next((step for step in later if step.kind == "beginning"), None)
    later = [step for step in later if step is not first]
    captured = [step for step in later if _ORIGINS.get(step.origin) is Reading.CAPTURED]
    if kind is Reading.AI_GENERATED:
        if captured:
            return Reading.PARTLY_AI, f"{basis}, together with a capture"
        return kind, basis
    if kind is Reading.PARTLY_AI and _only_ai(found, chain):
        return Reading.AI_GENERATED, f"{basis}, and every ingredient is declared as made by AI"
    by_ai = next((step for step in later if step.ai), None)
    if by_ai is not None and kind is not Reading.PARTLY_AI:
        named = by_ai.origin or by_ai.agent
        return Reading.PARTLY_AI, f"{by_ai.action} states a change by AI ({named})"
    placed = any(step.action == "c2pa.placed" for step in later)
    components = _components(found, chain)
    if placed and any(_made_by_ai(found, label) for label in components):
        return Reading.PARTLY_AI, "an ingredient that is declared as made by AI was placed in it"
    changing = next((step for step in later if step.kind == "changing"), None)
    if kind in _CHANGED and (changing is not None or components):
        what = changing.action if changing else "another ingredient"
        return _CHANGED[kind], f"{basis}; its content was changed since ({what})"
    return kind, basis


def _components(found: Credentials, chain: Sequence[str]) -> list[str]:
    """Labels of the components of the manifests of a chain, "" for one without a manifest."""
    labels = []
    for label in chain:
        for ingredient in as_list(as_mapping(found.manifests.get(label)).get("ingredients")):
            one = as_mapping(ingredient)
            inner = str(one.get("active_manifest") or "")
            if one.get("relationship") == "componentOf" and inner not in chain:
                labels.append(inner)
    return labels


def _made_by_ai(found: Credentials, label: str) -> bool:
    if label in found.broken or label not in found.manifests:
        return False
    chain = _chain(found.manifests, label, found.broken)
    steps = [step for one in chain for step in _steps(found.manifests, one)]
    return _origin(found.manifests, chain, steps)[1] in _AI


def _only_ai(found: Credentials, chain: Sequence[str]) -> bool:
    """Whether there are components, and every one was made by a generator as a whole."""
    components = _components(found, chain)
    made = []
    for label in components:
        if label in found.broken or label not in found.manifests:
            return False
        inner = _chain(found.manifests, label, found.broken)
        steps = [step for one in inner for step in _steps(found.manifests, one)]
        made.append(_origin(found.manifests, inner, steps)[1])
    return bool(made) and all(kind is Reading.AI_GENERATED for kind in made)


def _complete(manifest: Mapping[str, Any]) -> bool:
    """Whether a manifest does not deny that its list of actions is complete."""
    for assertion in map(as_mapping, as_list(manifest.get("assertions"))):
        if str(assertion.get("label", "")).startswith("c2pa.actions"):
            said = as_mapping(assertion.get("data")).get("allActionsIncluded")
            if said is False:
                return False
    return True


def _generator(manifests: Mapping[str, Any], chain: Sequence[str], steps: Sequence[Step]) -> str:
    """The maker of the generator, by the agents of AI steps first, then by programs and signers."""
    names = [step.agent for step in steps if step.ai]
    for label in chain:
        manifest = as_mapping(manifests.get(label))
        info = as_mapping(manifest.get("signature_info"))
        names += [program_name(manifest), clean(info.get("common_name")), clean(info.get("issuer"))]
    for name in filter(None, names):
        maker = agent_named(name)
        if maker:
            return maker
    return next(filter(None, names), "")
