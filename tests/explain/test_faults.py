"""Endpoints that fail in every way: an explanation is less or missing, never wrong, never a crash.

`pytest tests/explain/test_faults.py -s` prints the table of docs/explanations.md.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from tests.explain import server
from tests.explain.server import Answer, completion, honest, serving, statements

from bonafide.explain.model import Asking, explain
from bonafide.report.to_dict import to_dict
from bonafide.types import Explained, Report

GOOD = ("The verdict is manipulated.", "verdict")
TWO = statements(GOOD, ("JPEG ghosts scored 18.42.", "finding.jpeg_ghost"))


def first(status: int, then: Answer, times: int = 1, body: Any = None) -> Answer:
    """Fail some times, then answer."""

    def answer(request: dict[str, Any], number: int) -> Any:
        failed = (status, body or {"error": {"message": "no"}})
        return failed if number <= times else then(request, number)

    return answer


def without_schemas(request: dict[str, Any], number: int) -> Any:
    form = request.get("response_format", {}).get("type")
    return (400, {"error": {"message": f"unknown {form}"}}) if form else honest(request, number)


def always(reply: Any) -> Answer:
    return lambda request, number: reply


# What the endpoint does → (how it answers, how many statements are kept, words of the failure).
FAULTS: dict[str, tuple[Answer, int, str]] = {
    "answers as it should": (honest, 4, ""),
    "429 once, then answers": (first(429, honest), 4, ""),
    "429 always": (always((429, {"error": {}})), 0, "429 after 4 tries"),
    "500 twice, then answers": (first(500, honest, 2), 4, ""),
    "500 always": (always((500, b"oops")), 0, "500 after 4 tries"),
    "401": (always((401, {"error": {"message": "no key"}})), 0, "it answered 401"),
    "404, no such model": (always((404, {"error": {"message": "?"}})), 0, "it answered 404"),
    "knows no JSON schema (400)": (without_schemas, 4, ""),
    "400 whatever is asked": (always((400, {"error": {"message": "?"}})), 0, "it answered 400"),
    "slower than the timeout": (server.slow(1.5), 0, "no answer within"),
    "JSON cut off in a statement": (always(completion(TWO[:-30], "length")), 1, ""),
    "JSON cut off in the first one": (always(completion(TWO[:40], "length")), 0, "no statement"),
    "prose around the JSON": (always(completion(f"Of course!\n```json\n{TWO}\n```")), 2, ""),
    "lines instead of JSON": (always(completion(f"- {GOOD[0]} [verdict]")), 1, ""),
    "another schema": (always(completion('{"answer": {"verdict": "fake"}}')), 0, "no statement"),
    "wrong types": (always(completion('{"statements": [{"text": 1, "cites": 2}]}')), 0,
                    "no statement"),
    "cites what is not there": (always(completion(statements((GOOD[0], "finding.x")))), 0, ""),
    "refuses": (always(completion(None, refusal="I cannot help with that.")), 0, "refused"),
    "refuses in prose": (always(completion("I'm sorry, I can't help with that.")), 0,
                         "no statement"),
    "an empty answer": (always(completion("")), 0, "empty"),
    "no choices": (always({"id": "x", "object": "chat.completion", "choices": []}), 0,
                   "does not speak the protocol"),
    "no JSON at all": (always((200, b"<html>Bad gateway</html>")), 0, ""),
    "half a body": (always((200, b'{"choices": [')), 0, ""),
    "100,000 statements": (always(completion(json.dumps(
        {"statements": [{"text": f"A {n}.", "cites": ["verdict"]} for n in range(100_000)]}
    ))), 0, ""),
    "says the same eight times": (always(completion(statements(*[GOOD] * 8))), 1, ""),
    "obeys whatever it reads": (server.obedient, 1, ""),
    "calls tools": (always(completion(None, "tool_calls", tool_calls=[
        {"id": "1", "type": "function", "function": {"name": "rm", "arguments": "{}"}}
    ])), 0, "empty"),
}  # fmt: skip


@pytest.fixture(scope="module")
def table() -> Iterator[list[tuple[str, Explained]]]:
    rows: list[tuple[str, Explained]] = []
    yield rows
    print(
        "\n\n| the endpoint | made | kept | dropped | what is said of it |\n|---|---|---|---|---|"
    )
    for name, added in rows:
        told = added.failure or ", ".join(f"{n} {reason}" for reason, n in added.reasons.items())
        print(f"| {name} | {added.made} | {len(added.kept)} | {len(added.dropped)} | {told} |")


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_costs_statements_and_nothing_else(
    name: str, report: Report, table: list[tuple[str, Explained]]
) -> None:
    answer, kept, failure = FAULTS[name]
    before = to_dict(report)
    timeout = 0.3 if "timeout" in name else 30.0
    with serving(answer) as served:
        added = explain(report, Asking("scripted", served.url, tries=1, timeout=timeout))
    table.append((name, added))
    assert failure in added.failure, added
    assert (len(added.kept) == kept) if kept < 4 else len(added.kept) >= 3, added
    assert kept or not added.kept
    assert to_dict(report) == before
    if not kept and not added.dropped:
        assert added.failure
