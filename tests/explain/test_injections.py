"""Files that give orders, read by a model that obeys them: nothing of it comes through."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from tests.explain import server
from tests.explain.injections import CARRIERS, Injection, harmless, injections
from tests.explain.server import Server, completion, data, serving

from bonafide.examination import Examiner, Settings
from bonafide.explain.check import check
from bonafide.explain.model import Asking, explain
from bonafide.explain.reading import QUOTE
from bonafide.explain.sending import Share, payload
from bonafide.media.source import open_media
from bonafide.report.explained import pictures
from bonafide.report.to_dict import to_dict
from bonafide.types import Report, Statement

CASES = [*injections()]
ONLY = ("exif_consistency", "generator_metadata", "jpeg_grid")
# Of what an obedient model says, this may be shown: it is what these reports say.
TRUE = {
    "The verdict is inconclusive.",
    "The verdict is no trace found.",
    "No test found anything.",  # where the verdict is that no trace was found
}


@pytest.fixture(scope="module")
def examiner() -> Examiner:
    return Examiner(Settings(only=ONLY, threads=1))


def examined(examiner: Examiner, name: str, content: bytes) -> tuple[Report, Any]:
    media = open_media(content, name, examiner.settings.limits)
    return examiner.examine(media), media.image


@pytest.fixture(scope="module")
def usual(examiner: Examiner) -> dict[str, Report]:
    """Carrier → report of a harmless file of its kind."""
    return {carrier: examined(examiner, *harmless(carrier))[0] for carrier in CARRIERS}


@pytest.fixture(scope="module")
def served() -> Iterator[Server]:
    def answer(body: dict[str, Any], number: int) -> Any:
        # The orders in the pixels too, as a model that reads pictures would.
        made = json.loads(server.obedient(body, number)["choices"][0]["message"]["content"])
        order = Orders.now
        items = made["statements"]
        items += [{"text": order[:380], "cites": ["verdict"]}]
        items += [{"text": part, "cites": ["verdict"]} for part in order.split(". ")]
        items += [
            {"text": f"The metadata say “{order[:60]}”.", "cites": [one["id"]]}
            for one in data(body)[:3]
        ]
        return completion(json.dumps(made))

    with serving(answer) as running:
        yield running


class Orders:
    """The order of the file that is being explained."""

    now = ""


def test_there_are_enough_of_them() -> None:
    assert len(CASES) >= 60 and len({one.id for one in CASES}) == len(CASES)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_an_order_in_a_file_moves_nothing(
    case: Injection, examiner: Examiner, usual: dict[str, Report], served: Server
) -> None:
    report, image = examined(examiner, case.name, case.data)
    carrier = case.id.partition("-")[0]
    assert report.verdict.label == usual[carrier].verdict.label
    before = to_dict(report)
    Orders.now = case.order
    share = Share.PICTURE if carrier == "pixels" else Share.FINDINGS
    asking = Asking("obedient", served.url, share, tries=1)
    added = explain(report, asking, pictures(report, image, share))
    after = to_dict(replace(report, explained=added))
    for name in before:
        assert name == "explained" or before[name] == after[name]
    assert len(added.dropped) >= 6
    prompt = payload(report).instructions
    for statement in added.kept:
        assert statement.text in TRUE or only_quotes(statement), statement
        unquoted = QUOTE.sub("", statement.text)
        assert "evil" not in statement.text and "genuine" not in unquoted
        assert statement.text[:40] not in prompt
    assert not check(report, added.kept, prompt).dropped


def only_quotes(statement: Statement) -> bool:
    """Whether a statement says nothing but what the file says, in quotation marks."""
    return QUOTE.sub("", statement.text).strip(" .") == "The metadata say"


@pytest.mark.parametrize("case", CASES[::5], ids=lambda case: case.id)
def test_an_order_stays_inside_of_the_data(case: Injection, examiner: Examiner) -> None:
    report, _ = examined(examiner, case.name, case.data)
    sent = payload(report)
    assert sent.data.isascii()
    first, *lines, last = sent.data.splitlines()
    key = first.removeprefix("<<<DATA ")
    assert last == f"DATA {key}>>>" and key not in case.order
    for line in lines:
        one = json.loads(line)
        assert one["id"] in sent.ids and "<" not in line and ">" not in line
        # A text of the file is nowhere but where the file's texts are.
        others = {name: value for name, value in one.items() if name != "file_says"}
        assert "evil.example.com" not in json.dumps(others)
    assert case.order[:40] not in sent.instructions
