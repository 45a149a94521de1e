"""What is sent to a model: a prompt of ours, and a report as data.

Everything that a file brought along (metadata, names, comments) is escaped, marked as the file's,
and stands between two lines whose key nobody can know in advance: it is made from the data. The
name and the path of the file are not sent.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from bonafide.explain.citable import Citable, Stance, citables
from bonafide.types import Report

MOST_STATEMENTS = 8
ITEM_VERSION = 2  # of the prompt for one item
BRIEF = ("score", "threshold", "probability", "share", "width", "height")  # of a brief item
MOST_ITEMS = 60  # of the report that are sent
MOST_QUOTES = 6  # texts of the file, per item
LONGEST_QUOTE = 80  # characters of a text of the file
LONGEST_SAYING = 400  # characters of a text of the report


class Share(StrEnum):
    """How much of a file a model may see; each includes the ones before it."""

    FINDINGS = "findings"  # what the report says
    REGIONS = "regions"  # and cut-outs of the regions that it marks
    PICTURE = "picture"  # and the picture, reduced


@dataclass(frozen=True)
class Picture:
    """A picture that is sent, re-encoded so that it carries no metadata.

    Attributes:
        name: "picture", or the id of a region.
        data: the encoded bytes.
        mime: "image/jpeg" or "image/png".
        width, height: in pixels.
    """

    name: str
    data: bytes
    mime: str
    width: int
    height: int


@dataclass(frozen=True)
class Payload:
    """Everything of the first request.

    Attributes:
        instructions: the prompt.
        data: the report, between its two lines.
        pictures: what is shown.
        prompt: name and version of the prompt.
        ids: what can be cited.
    """

    instructions: str
    data: str
    pictures: tuple[Picture, ...]
    prompt: str
    ids: tuple[str, ...]

    @property
    def digest(self) -> str:
        """Hexadecimal SHA-256 of all of it."""
        total = hashlib.sha256(f"{self.instructions}\0{self.data}".encode())
        for picture in self.pictures:
            total.update(picture.data)
        return total.hexdigest()

    def messages(self) -> list[dict[str, Any]]:
        """The messages of a chat; pictures as bytes, never as addresses."""
        content: Any = self.data
        if self.pictures:
            content = [{"type": "text", "text": self.data}]
            for picture in self.pictures:
                data = base64.b64encode(picture.data).decode("ascii")
                content += [
                    {"type": "text", "text": f"{picture.name}:"},
                    {
                        "type": "image_url",
                        "image_url": {"url": f"data:{picture.mime};base64,{data}"},
                    },
                ]
        return [
            {"role": "system", "content": self.instructions},
            {"role": "user", "content": content},
        ]

    def shown(self) -> str:
        """What is sent, for the person who sends it."""
        lines = [self.instructions, self.data]
        lines += [
            f"[{one.name}: {one.mime}, {one.width} × {one.height} pixels, {len(one.data):,} bytes]"
            for one in self.pictures
        ]
        return "\n".join(lines)


def prompt(name: str, version: int = 1, **values: str | int) -> str:
    """The text of a prompt, with its blanks filled."""
    text = (Path(__file__).parent / "prompts" / f"{name}-{version}.txt").read_text("utf-8")
    for blank, value in values.items():
        text = text.replace("{" + blank + "}", str(value))
    return text.strip()


def payload(
    report: Report, share: Share = Share.FINDINGS, pictures: Iterable[Picture] = ()
) -> Payload:
    """What is sent about a report.

    Args:
        report: to be explained.
        share: how much may be sent.
        pictures: what `share` allows; none for findings alone.

    Returns:
        The first request.
    """
    chosen = _chosen(citables(report))
    return Payload(
        prompt(share.value, most=MOST_STATEMENTS),
        block(chosen),
        tuple(pictures) if share is not Share.FINDINGS else (),
        f"{share.value}-1",
        tuple(one.id for one in chosen),
    )


def item_payloads(report: Report, most: int) -> tuple[Payload, ...]:
    """What is sent about a report to a small model, which is asked of one item at a time.

    Args:
        report: to be explained.
        most: items, the ones that matter most: what was found, then what was not. Verdict and
            answers are none of them, since nothing can be added to their sentences.

    Returns:
        One request per item, with the item as its only data.
    """
    asked = [one for one in _chosen(citables(report)) if one.texts and _is_item(one)]
    loud = (Stance.TRACE, Stance.WEAK)
    asked.sort(key=lambda one: (one.stance not in loud, one.stance is not Stance.CLEAR))
    instructions = prompt("findings", ITEM_VERSION)
    return tuple(
        Payload(instructions, block([one], True), (), f"findings-{ITEM_VERSION}", (one.id,))
        for one in asked[:most]
    )


def _is_item(one: Citable) -> bool:
    # Regions of single detectors are in their findings.
    return one.id.startswith("finding.") or one.id.removeprefix("region.").isdigit()


def joined(payloads: Sequence[Payload]) -> Payload:
    """Several requests as one, to show and to sign for; it is not sent."""
    first = payloads[0]
    return Payload(
        first.instructions,
        "\n".join(one.data for one in payloads),
        tuple(picture for one in payloads for picture in one.pictures),
        first.prompt,
        tuple(id_ for one in payloads for id_ in one.ids),
    )


def block(chosen: Sequence[Citable], brief: bool = False) -> str:
    """Items of a report between two lines with a key that is made from them."""
    return fenced("\n".join(_line(one, brief) for one in chosen))


def fenced(lines: str) -> str:
    """Text as data: without angle brackets, between two lines with a key made from it."""
    lines = lines.replace("<", "\\u003c").replace(">", "\\u003e")
    key = hashlib.sha256(lines.encode()).hexdigest()[:16]
    return f"<<<DATA {key}\n{lines}\nDATA {key}>>>"


def item_schema(ids: Sequence[str]) -> dict[str, Any]:
    """The JSON schema of one statement; what it cites comes first, so that it is settled first."""
    return {
        "type": "object",
        "additionalProperties": False,
        "required": ["cites", "text"],
        "properties": {
            "cites": {
                "type": "array",
                "minItems": 1,
                "maxItems": min(2, len(ids)),
                "items": {"type": "string", "enum": list(ids)},
            },
            "text": {"type": "string", "maxLength": 240},
        },
    }


def schema(ids: Sequence[str]) -> dict[str, Any]:
    """The JSON schema of an answer: statements that cite ids of the report."""
    return {
        "type": "object",
        "additionalProperties": False,
        "required": ["statements"],
        "properties": {
            "statements": {
                "type": "array",
                "maxItems": MOST_STATEMENTS,
                "items": {
                    "type": "object",
                    "additionalProperties": False,
                    "required": ["text", "cites"],
                    "properties": {
                        "text": {"type": "string", "maxLength": 400},
                        "cites": {
                            "type": "array",
                            "minItems": 1,
                            "maxItems": 4,
                            "items": {"type": "string", "enum": list(ids)},
                        },
                    },
                },
            }
        },
    }


def _chosen(known: Mapping[str, Citable]) -> list[Citable]:
    """What matters most: verdict and answers, what was found, then the rest."""

    def rank(one: Citable) -> int:
        if one.id == "verdict" or one.id.startswith("answer."):
            return 0
        loud = one.stance in (Stance.TRACE, Stance.WEAK)
        if one.id.startswith("finding."):
            return 1 if loud else 4 if one.stance is Stance.SILENT else 2
        if one.id.startswith(("region.", "time.")):
            return 1
        return 3 if one.id.startswith(("stability", "file.")) else 5

    said = [one for one in known.values() if not one.id.startswith(("fact.", "untested."))]
    # Facts of tests that found something; those of the others fill what room is left.
    loud = {
        one.groups[0] for one in said if one.stance in (Stance.TRACE, Stance.WEAK) and one.groups
    }
    facts = [
        one
        for one in known.values()
        if one.id.startswith("fact.") and one.groups[0] in loud and (one.values or one.quotes)
    ]
    private = {"file.name"}
    ordered = sorted((one for one in said if one.id not in private), key=rank)
    return (ordered + facts)[:MOST_ITEMS]


def _line(one: Citable, brief: bool = False) -> str:
    """An item as JSON; a brief one has one sentence, and of the values those of `BRIEF`."""
    values: dict[str, Any] = {}
    for value in one.values:
        if brief and value.role not in BRIEF:
            continue
        name = value.role if value.role not in values else f"{value.role} {len(values) + 1}"
        if value.unit == "share":
            values[name] = f"{100 * value.number:.4g} %"
        else:
            shown = float(f"{value.number:.4g}")
            number = int(shown) if shown.is_integer() else shown
            values[name] = f"{number} {value.unit}" if value.unit else number
    told: dict[str, Any] = {"id": one.id, "is": one.label, "state": one.stance.value}
    says = [text[:LONGEST_SAYING] for text in one.texts if text][: 1 if brief else 3]
    if says:
        told["says"] = says
    if values:
        told["values"] = dict(list(values.items())[:8])
    if one.strength:
        told["strength"] = one.strength
    if one.quotes and not brief:
        told["file_says"] = [text[:LONGEST_QUOTE] for text in one.quotes[:MOST_QUOTES]]
    if one.kind:
        told["kind"] = one.kind
    # ASCII alone, and no angle bracket: nothing in it can end the block or be read as markup.
    line = json.dumps(told, ensure_ascii=True)
    return line.replace("<", "\\u003c").replace(">", "\\u003e")
