"""A model is asked over real HTTP; what it says is checked, bounded, kept and dropped."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.explain import server
from tests.explain.server import completion, serving, statements

from bonafide.errors import InvalidInput
from bonafide.explain import replies
from bonafide.explain.endpoint import estimate
from bonafide.explain.model import Asking, explain
from bonafide.explain.sending import Picture, Share, payload
from bonafide.report.from_dict import from_dict
from bonafide.report.to_dict import to_dict
from bonafide.types import Report

GOOD = ("The verdict is manipulated.", "verdict")
WRONG = ("JPEG ghosts scored 99.9.", "finding.jpeg_ghost")


def test_statements_that_hold_are_kept_and_recorded(report: Report) -> None:
    with serving(server.honest) as served:
        added = explain(report, Asking("m1", served.url, seed=7, prices=(1.0, 10.0)))
    assert added.failure == "" and len(added.kept) >= 3 and not added.dropped
    assert (added.model, added.share, added.prompt, added.seed) == (
        "m1",
        "findings",
        "findings-1",
        7,
    )
    assert served.url.startswith(f"http://{added.endpoint}/")
    assert (added.requests, added.tokens_in, added.tokens_out) == (1, 900, 60)
    assert added.cost == pytest.approx((900 + 600) / 1e6)
    assert all(one.author == "m1" and one.cites for one in added.kept)
    body = served.requests[0]
    assert body["seed"] == 7 and body["response_format"]["type"] == "json_schema"
    ids = {one["id"] for one in server.data(body)}
    schema = body["response_format"]["json_schema"]["schema"]
    items = schema["properties"]["statements"]["items"]
    assert set(items["properties"]["cites"]["items"]["enum"]) == ids


def test_what_fails_is_asked_for_again_and_then_dropped(report: Report) -> None:
    def answer(body: dict[str, Any], number: int) -> Any:
        better = ("JPEG ghosts scored 18.42.", "finding.jpeg_ghost")
        return completion(statements(GOOD, WRONG) if number == 1 else statements(better))

    with serving(answer) as served:
        added = explain(report, Asking("m", served.url))
    assert [one.text for one in added.kept] == [GOOD[0], "JPEG ghosts scored 18.42."]
    assert [one.reason for one in added.dropped] == ["number"]
    assert (added.made, added.requests) == (3, 2)
    again = served.requests[1]
    assert "99.9" in again["messages"][-1]["content"]
    assert again["temperature"] > served.requests[0]["temperature"]
    assert again["seed"] == served.requests[0]["seed"] + 1


def test_a_model_that_never_gets_it_right_is_asked_three_times(report: Report) -> None:
    with serving(lambda body, number: completion(statements(WRONG))) as served:
        added = explain(report, Asking("m", served.url))
    assert not added.kept and len(served.requests) == 3
    assert added.reasons == {"number": 3} and added.failure == ""


def test_the_same_is_not_asked_twice(report: Report, no_cache: Path) -> None:
    with serving(server.honest) as served:
        asking = Asking("m", served.url)
        first, second = explain(report, asking), explain(report, asking)
        other = explain(report, replace(asking, seed=2))
    assert len(served.requests) == 2
    assert second.cached and not first.cached and not other.cached
    assert (first.kept, second.tokens_in, second.tokens_out) == (second.kept, 0, 0)
    assert all("sk-" not in path.read_text() for path in no_cache.iterdir())
    assert len([*no_cache.iterdir()]) == 2


def test_bounds_on_tokens_and_cost_are_kept(report: Report) -> None:
    with serving(lambda body, number: completion(statements(WRONG))) as served:
        nothing = explain(report, Asking("m", served.url, most_tokens=500))
        cheap = Asking("m", served.url, prices=(1e5, 1e5), most_cost=0.01)
        dear = explain(report, cheap)
        assert not served.requests
        enough = estimate(payload(report).messages()) + 1_210  # for one request
        once = explain(report, Asking("m", served.url, most_tokens=enough))
    assert "500 tokens" in nothing.failure and "cost" in dear.failure
    assert len(served.requests) == 1 and "another request" in once.failure
    with pytest.raises(InvalidInput, match="prices"):
        Asking("m", served.url, most_cost=1.0)
    with pytest.raises(InvalidInput, match="http"):
        Asking("m", "file:///etc/passwd")


def test_only_what_is_shared_is_sent(report: Report) -> None:
    shown = Picture("region.1", b"\x89PNG...", "image/png", 10, 12)
    with serving(server.honest) as served:
        told = []
        explain(report, Asking("m", served.url), [shown], told.append)
        explain(report, Asking("m", served.url, Share.REGIONS), [shown], told.append)
    first, second = served.requests
    assert isinstance(first["messages"][1]["content"], str)
    parts = second["messages"][1]["content"]
    assert parts[-1]["image_url"]["url"].startswith("data:image/png;base64,")
    assert report.media.name not in json.dumps(served.requests)
    # What was announced is what was sent.
    assert told[0].data == first["messages"][1]["content"]
    assert told[0].instructions == first["messages"][0]["content"]
    assert "region.1: image/png, 10 × 12 pixels" in told[1].shown()


def test_the_key_goes_to_the_endpoint_and_nowhere_else(
    report: Report, monkeypatch: pytest.MonkeyPatch, no_cache: Path
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-of-somebody-else")
    with serving(server.honest) as served:
        added = explain(report, Asking("m", served.url, key="sk-mine"))
        explain(report, Asking("m2", served.url))
    assert served.headers[0]["authorization"] == "Bearer sk-mine"
    assert "somebody" not in json.dumps(served.headers)
    assert "sk-mine" not in repr(Asking("m", served.url, key="sk-mine"))
    kept = json.dumps(to_dict(replace(report, explained=added)))
    assert "sk-mine" not in kept + "".join(path.read_text() for path in no_cache.iterdir())


def test_a_report_with_an_explanation_can_be_read_back(report: Report) -> None:
    def answer(body: dict[str, Any], number: int) -> Any:
        return completion(statements(GOOD, WRONG))

    with serving(answer) as served:
        added = explain(report, Asking("m", served.url, tries=0))
    record = json.loads(json.dumps(to_dict(replace(report, explained=added))))
    assert record["explained"]["made"] == 2 and record["explained"]["reasons"] == {"number": 1}
    assert from_dict(record).explained == added
    assert record["verdict"] == to_dict(report)["verdict"]


def test_pictures_and_names_are_no_part_of_the_data(report: Report) -> None:
    sent = payload(report)
    assert "file.name" not in sent.ids and report.media.name not in sent.data
    assert sent.data.isascii() and sent.data.count(">") == 3 and sent.data.count("<") == 3


@pytest.mark.parametrize(
    ("text", "made"),
    [
        ('{"statements": [{"text": "A b.", "cites": ["x"]}]}', [("A b.", ("x",))]),
        ('```json\n{"statements": [{"text": "A.", "cites": ["x"]}]}\n```', [("A.", ("x",))]),
        ('[{"statement": "A.", "citations": "x, y"}]', [("A.", ("x", "y"))]),
        ('{"statements": [{"text": "A.", "cites": ["x"]}, {"text": "Cut o', [("A.", ("x",))]),
        ('Sure! {"text": "A.", "cites": ["[x]"]} Bye.', [("A.", ("x",))]),
        ('<think>{"text": "No.", "cites": ["x"]}</think>{"text": "A.", "cites": ["x"]}',
         [("A.", ("x",))]),
        ("- A holds. [finding.x] [region.1]\n2. B holds [verdict].\nNothing.",
         [("A holds.", ("finding.x", "region.1")), ("B holds", ("verdict",))]),
        ('{"text": "line\nbreak", "cites": []}', [("line\nbreak", ())]),
        ("{" * 5000, []),
        ("[" * 5000 + '{"text": "A.", "cites": ["x"]}', [("A.", ("x",))]),
        ("", []),
        ('{"text": 5, "cites": 6}', []),
        ("null", []),
    ],
    ids=range(13),
)  # fmt: skip
def test_answers_are_read_with_patience(text: str, made: list[Any]) -> None:
    found = replies.statements(text, "m")
    assert [(one.text, one.cites) for one in found] == made


def test_an_endless_answer_is_not_read_to_its_end() -> None:
    many = json.dumps({"statements": [{"text": f"A {n}.", "cites": ["x"]} for n in range(500)]})
    assert len(replies.statements(many, "m")) == replies.MOST
