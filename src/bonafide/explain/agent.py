"""Lets a model call tools before it explains a report, within bounds, and keeps what it did.

The model chooses among tools that are named in advance; nothing that it writes is run. Each call is
a `Step` with its arguments and the digest of its result, so that it can be made again and compared.
What tools return is data to the model like the report itself: no finding, no answer and no verdict
changes, and every statement is still checked against the report alone.

Source: the loop of tool calls and its kept trajectory follow Wang et al., "ForgeryVCR", 2026.
"""

from __future__ import annotations

import base64
import hashlib
import json
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from bonafide.explain.endpoint import EndpointError, Reply
from bonafide.explain.sending import Payload, Picture, fenced, prompt
from bonafide.types import Step

FINISH = "finish"
LONGEST_RESULT = 3_000  # characters of a result that are sent
ACTION_TOKENS = 160  # of one answer
MOST_WRONG = 2  # calls in a row that cannot be made


@dataclass(frozen=True)
class Tool:
    """Something that a model may ask for.

    Attributes:
        name: of the tool.
        description: one sentence for the model.
        needs: names of its arguments, of those in `Toolbox.arguments`.
    """

    name: str
    description: str
    needs: tuple[str, ...] = ()


@dataclass(frozen=True)
class Result:
    """What a tool gave.

    Attributes:
        record: JSON values.
        pictures: that go with them.
        trouble: why there is nothing, for the model; "" if all went well.
    """

    record: Mapping[str, Any] = field(default_factory=dict)
    pictures: tuple[Picture, ...] = ()
    trouble: str = ""

    @property
    def text(self) -> str:
        """The record as JSON in ASCII, with numbers rounded, keys in order."""
        return json.dumps(rounded(self.record), sort_keys=True, ensure_ascii=True)

    @property
    def digest(self) -> str:
        """SHA-256 of all of it, hexadecimal."""
        total = hashlib.sha256(f"{self.text}\0{self.trouble}".encode())
        for one in self.pictures:
            total.update(one.data)
        return total.hexdigest()

    @property
    def size(self) -> int:
        """Bytes of all of it."""
        return len(self.text) + sum(len(one.data) for one in self.pictures)


class Toolbox(Protocol):
    """The tools for one file."""

    @property
    def tools(self) -> tuple[Tool, ...]:
        """What may be called."""
        ...

    @property
    def arguments(self) -> Mapping[str, Mapping[str, Any]]:
        """JSON schema of every argument."""
        ...

    def call(self, name: str, arguments: Mapping[str, Any]) -> Result:
        """Do it; what cannot be done is a `trouble`, never an exception."""
        ...


@dataclass(frozen=True)
class Bounds:
    """What a model may spend on tools.

    Attributes:
        steps: calls.
        seconds: wall time of calls and answers together.
        bytes: of all results.
    """

    steps: int = 6
    seconds: float = 120.0
    bytes: int = 4_000_000


@dataclass(frozen=True)
class Seen:
    """What a model did with the tools.

    Attributes:
        steps: its calls, in order.
        stopped: why it ended: "finished", "steps", "seconds", "bytes", or a sentence.
        data: the results as data, for the request in which it writes.
    """

    steps: tuple[Step, ...]
    stopped: str
    data: str


Ask = Callable[[list[dict[str, Any]], dict[str, Any], int], Reply]


def investigate(
    sent: Payload,
    toolbox: Toolbox,
    ask: Ask,
    bounds: Bounds,
    watch: Callable[[Step], None] | None = None,
) -> Seen:
    """Let a model call tools until it finishes, or a bound is reached.

    Args:
        sent: the report as data; its pictures go along.
        toolbox: what may be called.
        ask: sends messages with a schema and a bound on tokens.
        bounds: on steps, time and bytes.
        watch: called with each step.

    Returns:
        What it did. Trouble with the endpoint ends it, and is what `stopped` says.
    """
    began = time.monotonic()
    tools = {tool.name: tool for tool in toolbox.tools}
    told = "\n".join(
        f"- {tool.name}({', '.join(tool.needs)}): {tool.description}" for tool in tools.values()
    )
    first = replace(sent, instructions=prompt("agent", tools=told, most=bounds.steps))
    messages = first.messages()
    steps: list[Step] = []
    results: list[str] = []
    spent = wrong = 0
    stopped = "steps"
    while len(steps) < bounds.steps:
        if time.monotonic() - began > bounds.seconds:
            stopped = "seconds"
            break
        try:
            reply = ask(messages, schema(toolbox), ACTION_TOKENS)
        except EndpointError as error:
            stopped = str(error)
            break
        name, given = action(reply.text)
        if name == FINISH:
            stopped = "finished"
            break
        arguments, result = _called(toolbox, tools, name, given)
        wrong = wrong + 1 if result.trouble else 0
        spent += result.size
        step = Step(
            tool=name[:40],
            arguments=arguments,
            summary=(result.trouble or result.text)[:400],
            digest=result.digest,
            bytes=result.size,
            trouble=bool(result.trouble),
        )
        steps.append(step)
        if watch is not None:
            watch(step)
        if spent > bounds.bytes:
            stopped = "bytes"
            break
        if wrong >= MOST_WRONG:
            stopped = "calls that cannot be made"
            break
        data = fenced(json.dumps({"tool": step.tool, "arguments": dict(arguments)}) + "\n"
                      + (result.trouble or result.text[:LONGEST_RESULT]))  # fmt: skip
        results.append(data)
        messages = [
            *messages,
            {"role": "assistant", "content": reply.text[:LONGEST_RESULT]},
            {"role": "user", "content": _content(data, result.pictures)},
        ]
    return Seen(tuple(steps), stopped, "\n".join(results))


def schema(toolbox: Toolbox) -> dict[str, Any]:
    """The JSON schema of one action: a tool, and every argument; those it does not need are
    ignored."""
    names = [*(tool.name for tool in toolbox.tools), FINISH]
    arguments = dict(toolbox.arguments)
    return {
        "type": "object",
        "additionalProperties": False,
        "required": ["tool", *arguments],
        "properties": {"tool": {"type": "string", "enum": names}, **arguments},
    }


def action(text: str) -> tuple[str, dict[str, Any]]:
    """(tool, arguments) in an answer; ("", {}) where there is none. Arguments may be nested."""
    decoder = json.JSONDecoder(strict=False)
    place = text[:LONGEST_RESULT].find("{")
    while place >= 0:
        try:
            value, _ = decoder.raw_decode(text[:LONGEST_RESULT], place)
        except (ValueError, RecursionError):
            place = text.find("{", place + 1)
            continue
        if isinstance(value, dict) and isinstance(value.get("tool"), str):
            inner = value.get("arguments")
            given = {**value, **(inner if isinstance(inner, dict) else {})}
            given.pop("tool")
            given.pop("arguments", None)
            return value["tool"], given
        return "", {}
    return "", {}


def _called(
    toolbox: Toolbox, tools: Mapping[str, Tool], name: str, given: Mapping[str, Any]
) -> tuple[dict[str, Any], Result]:
    tool = tools.get(name)
    if tool is None:
        return {}, Result(trouble="there is no such tool")
    arguments: dict[str, Any] = {}
    for need in tool.needs:
        value, kind = given.get(need), toolbox.arguments[need]
        if kind["type"] == "integer":
            if isinstance(value, float) and math.isfinite(value):
                value = int(value)
            good = type(value) is int and abs(value) < 1_000_000
        else:
            good = isinstance(value, str) and value in kind.get("enum", (value,))
        if not good:
            return arguments, Result(trouble=f"{need} is missing, or of another kind")
        arguments[need] = value
    return arguments, toolbox.call(name, arguments)


def _content(data: str, pictures: tuple[Picture, ...]) -> Any:
    if not pictures:
        return data
    content: list[dict[str, Any]] = [{"type": "text", "text": data}]
    for one in pictures:
        encoded = base64.b64encode(one.data).decode("ascii")
        url = f"data:{one.mime};base64,{encoded}"
        content.append({"type": "image_url", "image_url": {"url": url}})
    return content


def rounded(value: Any) -> Any:
    """JSON values with numbers rounded to three digits after the point, and no infinities."""
    if isinstance(value, float):
        return round(value, 3) if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(name): rounded(item) for name, item in value.items()}
    return [rounded(item) for item in value] if isinstance(value, list | tuple) else value
