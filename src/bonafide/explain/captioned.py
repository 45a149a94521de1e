"""Has a model hold a caption against a report: who, what, when, where and why (5W).

What the model copies has to be there: its claims in the caption, its evidence in what it cites. The
relation between the two is the model's own judgement. It is shown as such, and moves no answer.

Source: A. Rani et al., "FACTIFY-5WQA: 5W Aspect-based Fact Verification through Question
Answering", ACL 2023; M. Chakraborty et al., "FACTIFY3M", EMNLP 2023.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from typing import Any

from bonafide.explain import replies
from bonafide.explain.citable import Citable, citables
from bonafide.explain.sending import Payload, Picture, block, fenced, prompt
from bonafide.types import Question, Report, Role

ROLES = ("who", "what", "when", "where", "why")
RELATIONS = ("supported", "refuted", "no_evidence")
TOKENS = 500  # of the answer
LONGEST = 200  # characters of a claim or of evidence
MOST_ITEMS = 30  # of the report that are sent
PICTURE = "picture"  # what is cited for what the model sees itself
SEEN = ("what", "when", "where")  # what a look at the picture may answer; nobody is named
_SEES = (
    "For what, when and where it may also be what you see in the picture, in at most 12 words, "
    'with "picture" in "cites".'
)
_WORD = re.compile(r"[^\W_]+")
_ADDRESS = re.compile(r"https?:|www\.|[<>{}\\]|\S@\S", re.IGNORECASE)


def caption_of(report: Report) -> str:
    """The caption that a report was made with, "" for none."""
    given = report.settings.get("caption")
    return given if isinstance(given, str) else ""


def payload(report: Report, pictures: Sequence[Picture] = ()) -> Payload:
    """What is sent: the caption, what the report says of it and of the file, what may be seen.

    Args:
        report: made with a caption.
        pictures: what may be shared; () for findings alone.
    """
    chosen = _chosen(report)
    caption = json.dumps({"caption": caption_of(report)}, ensure_ascii=True)
    lines = block(chosen).split("\n", 1)[1].rsplit("\n", 1)[0]
    whole = tuple(one for one in pictures if one.name == PICTURE)
    ids = tuple(one.id for one in chosen) + ((PICTURE,) if whole else ())
    instructions = prompt("caption", pictures=_SEES if whole else "")
    return Payload(instructions, fenced(f"{caption}\n{lines}"), whole, "caption-1", ids)


def schema(ids: Sequence[str]) -> dict[str, Any]:
    """The JSON schema of an answer."""
    text = {"type": "string", "maxLength": LONGEST}
    cited = {"type": "array", "maxItems": 3, "items": {"type": "string", "enum": list(ids)}}
    answer = {
        "role": {"type": "string", "enum": list(ROLES)},
        "claim": text,
        "evidence": text,
        "relation": {"type": "string", "enum": list(RELATIONS)},
        "cites": cited,
    }
    return {
        "type": "object",
        "additionalProperties": False,
        "required": ["answers"],
        "properties": {
            "answers": {
                "type": "array",
                "maxItems": len(ROLES),
                "items": {
                    "type": "object",
                    "additionalProperties": False,
                    "required": list(answer),
                    "properties": answer,
                },
            }
        },
    }


def roles(text: str, report: Report, seen: bool = False) -> tuple[Role, ...]:
    """The answers of a model that hold, one per question at most.

    Args:
        text: as the model wrote it.
        report: that it was asked about.
        seen: whether it saw the picture.
    """
    caption, known = caption_of(report), citables(report)
    found: dict[str, Role] = {}
    for given in replies.objects(text):
        role = str(given.get("role", "")).strip().lower()
        claim, evidence = _text(given.get("claim")), _text(given.get("evidence"))
        cites = given.get("cites")
        cites = [str(one) for one in cites[:3]] if isinstance(cites, list) else []
        relation = str(given.get("relation", "")).strip().lower().replace(" ", "_")
        if role not in ROLES or role in found or relation not in RELATIONS:
            continue
        if not claim or not _within(claim, [caption]):
            continue
        if not evidence or relation == "no_evidence":
            found[role] = Role(role, claim, "", "no_evidence", ())
            continue
        cited = [known[one] for one in cites if one in known]
        looks = seen and PICTURE in cites and role in SEEN and not _ADDRESS.search(evidence)
        if _within(evidence, list(_texts(cited))):
            found[role] = Role(role, claim, evidence, relation, tuple(one.id for one in cited))
        elif looks and len(evidence.split()) <= 12:
            found[role] = Role(role, claim, evidence, relation, (PICTURE,))
    return tuple(found[role] for role in ROLES if role in found)


def _chosen(report: Report) -> list[Citable]:
    """What bears on a caption: tests of it, and what the file says of itself."""
    own = f"fact.{Question.MISCAPTIONED.value}"
    known = [
        one
        for one in citables(report).values()
        if one.id != "file.name" and not one.id.startswith(("untested.", own))
    ]
    first = [one for one in known if Question.MISCAPTIONED.value in one.groups]
    then = [one for one in known if one not in first and one.quotes]
    # The caption itself is no evidence for the caption.
    return [one for one in (*first, *then) if not one.id.endswith(".caption")][:MOST_ITEMS]


def _texts(cited: Sequence[Citable]) -> Iterator[str]:
    for one in cited:
        yield from one.quotes
        yield from one.texts


def _within(part: str, wholes: Sequence[str]) -> bool:
    """Whether the words of a part stand in one of some texts, one after the other."""
    wanted = f" {' '.join(_words(part))} "
    return bool(wanted.strip()) and any(
        wanted in f" {' '.join(_words(whole))} " for whole in wholes
    )


def _words(text: str) -> list[str]:
    return [word.casefold() for word in _WORD.findall(text)]


def _text(value: Any) -> str:
    text = value if isinstance(value, str) else ""
    return " ".join("".join(c if c.isprintable() else " " for c in text[:1000]).split())[:LONGEST]
