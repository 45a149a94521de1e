"""The list of soft-binding algorithms, and the sentences made from it."""

from __future__ import annotations

import json
import re
from pathlib import Path

from bonafide.media import soft_bindings
from bonafide.media.soft_bindings import binding_of, explained, public_checker


def test_the_list_says_where_it_is_from() -> None:
    listed = json.loads(Path(soft_bindings.__file__).with_suffix(".json").read_text("utf-8"))
    assert re.fullmatch("[0-9a-f]{40}", listed["commit"]) and listed["dated"] >= "2026-08-13"
    names = [entry["alg"] for entry in listed["algorithms"]]
    assert len(set(names)) == len(names) >= 50
    for entry in listed["algorithms"]:
        assert entry["kind"] in ("watermark", "fingerprint")
        assert entry["about"].startswith("https://")


def test_variants_are_told_apart() -> None:
    found = binding_of("com.adobe.trustmark.P")
    assert found is not None and (found.maker, found.kind) == ("Adobe", "watermark")
    assert found.name == "TrustMark, variant P"


def test_sentences() -> None:
    trustmark, trufo, unknown = explained(
        ["com.adobe.trustmark.Q", "ai.trufo.pawprint.watermark", "org.example.mark"]
    )
    assert "a watermark of Adobe, TrustMark, variant Q" in trustmark
    assert "was not checked here" in trustmark and trustmark.endswith("/trustmark/.")
    assert trufo.endswith("its maker looks it up at https://c2pa.trufo.ai/v1.")
    assert "org.example.mark" in unknown and "does not name" in unknown


def test_only_makers_with_a_checker_have_a_sentence() -> None:
    assert "gemini.google.com" in public_checker(["", "Google AI"])
    assert "openai.com/verify" in public_checker(["OpenAI"])
    assert public_checker(["Midjourney", ""]) == ""
