"""What a C2PA manifest store says, read from the JSON that the C2PA library writes.

Everything here was written by whoever made the file: shapes are checked, text is bounded.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from bonafide.media.text_metadata import clean

# Actions after which a picture still shows what its parent showed (C2PA 2.2, section 18.15).
_KEEPS_CONTENT = {
    "c2pa.opened",
    "c2pa.converted",
    "c2pa.transcoded",
    "c2pa.repackaged",
    "c2pa.published",
    "c2pa.edited.metadata",
    "c2pa.resized.proportional",
    "c2pa.watermarked",
    "c2pa.watermarked.bound",
    "c2pa.watermarked.unbound",
}

_MAX_DEPTH = 8


def declaration(
    manifests: Mapping[str, Any], label: str, look_through: bool
) -> tuple[list[str], str]:
    """Source types that hold for the whole file, and the label of the manifest that says so.

    A manifest that says nothing of its own and only wraps one ingredient (a parent, or a
    component of the same signer) is looked through: the picture is still that ingredient.

    Args:
        manifests: label → manifest, the whole store.
        label: label of the active manifest.
        look_through: False where an ingredient is defective, so that it says nothing.
    """
    for _ in range(_MAX_DEPTH):
        manifest = as_mapping(manifests.get(label))
        types = source_types(manifest)
        done = {str(action.get("action")) for action in manifest_actions(manifest)}
        ingredients = [as_mapping(i) for i in as_list(manifest.get("ingredients"))]
        if types or not look_through or len(ingredients) != 1 or done - _KEEPS_CONTENT:
            return types, label
        inner = str(ingredients[0].get("active_manifest", ""))
        parent = ingredients[0].get("relationship") == "parentOf"
        rewrapped = not done and _issuer(manifest) == _issuer(as_mapping(manifests.get(inner)))
        if inner not in manifests or not (parent or rewrapped):
            return types, label
        label = inner
    return [], label


def wholly_of(term: str, manifests: Mapping[str, Any], label: str) -> bool:
    """Whether every ingredient of a manifest, and there is one, declares the source type `term`."""
    ingredients = as_list(as_mapping(manifests.get(label)).get("ingredients"))
    inner = [str(as_mapping(i).get("active_manifest", "")) for i in ingredients]
    return bool(inner) and all(term in source_types(as_mapping(manifests.get(i))) for i in inner)


def source_types(manifest: Mapping[str, Any]) -> list[str]:
    """IPTC digital source types anywhere in the assertions of one manifest, sorted."""
    found = set()
    for key, value in _walk(manifest.get("assertions"), _MAX_DEPTH):
        if key.rsplit(":", 1)[-1].lower() == "digitalsourcetype" and isinstance(value, str):
            term = value.strip().rstrip("/").rsplit("/", 1)[-1]
            if re.fullmatch(r"[A-Za-z]{3,60}", term):
                found.add(term)
    return sorted(found)


def _walk(value: object, depth: int) -> Iterator[tuple[str, object]]:
    """Every key and value below `value`, down to `depth` levels."""
    if depth < 0:
        return
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield str(key), item
            yield from _walk(item, depth - 1)
    elif isinstance(value, list):
        for item in value[:1000]:
            yield from _walk(item, depth - 1)


def manifest_actions(manifest: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The entries of all actions assertions of one manifest, in order."""
    result = []
    for assertion in map(as_mapping, as_list(manifest.get("assertions"))):
        if str(assertion.get("label", "")).startswith("c2pa.actions"):
            data = as_mapping(assertion.get("data"))
            result += [as_mapping(action) for action in as_list(data.get("actions"))[:1000]]
    return result


def software_agents(manifest: Mapping[str, Any]) -> list[str]:
    """Programs and models that the actions name, in order."""
    names = []
    for action in manifest_actions(manifest):
        agent = action.get("softwareAgent")
        if isinstance(agent, Mapping):
            agent = f"{agent.get('name', '')} {agent.get('version', '')}"
        if isinstance(agent, str) and agent.strip():
            names.append(clean(agent, 100))
    return names


def program_name(manifest: Mapping[str, Any]) -> str:
    """The program that wrote the manifest, as it calls itself, "" when it does not."""
    for info in map(as_mapping, as_list(manifest.get("claim_generator_info"))):
        if info.get("name"):
            return clean(f"{info['name']} {info.get('version', '')}", 100)
    return clean(manifest.get("claim_generator"), 100)


def _issuer(manifest: Mapping[str, Any]) -> str:
    return str(as_mapping(manifest.get("signature_info")).get("issuer", ""))


def status_codes(statuses: object) -> list[str]:
    """The distinct codes of a list of validation statuses, sorted."""
    return sorted({clean(as_mapping(status).get("code"), 100) for status in as_list(statuses)})


def as_list(value: object) -> list[Any]:
    """`value` if it is a list, else an empty one."""
    return value if isinstance(value, list) else []


def as_mapping(value: object) -> Mapping[str, Any]:
    """`value` if it is a mapping, else an empty one."""
    return value if isinstance(value, Mapping) else {}
