"""Statements that hold are kept, all others are dropped for the right reason."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tests.explain.conftest import HEIGHT, WIDTH
from tests.report.conftest import found, part_changed

from bonafide.examination import examine
from bonafide.explain import words
from bonafide.explain.check import REASONS, check
from bonafide.explain.citable import Stance, citables
from bonafide.report.from_dict import from_dict
from bonafide.types import (
    Measurement,
    Question,
    Report,
    ScoreMap,
    Span,
    Statement,
    Where,
)

REPORTS = Path(__file__).parents[1] / "report" / "schema1"


def outcome(report: Report, text: str, *cites: str) -> str:
    """The reason for which a statement of a model is dropped, "" if it is kept."""
    checked = check(report, [Statement(text, cites, "model")])
    return checked.dropped[0].reason if checked.dropped else ""


HOLD = [
    ("The verdict is manipulated.", "verdict"),
    ("The picture was manipulated.", "verdict"),
    ("JPEG ghost scored 18.42, above its threshold of 6.0.", "finding.jpeg_ghost"),
    (
        "A part of 14 % of the picture was saved before at another quality (70).",
        "finding.jpeg_ghost",
    ),
    ("The ghost quality is 70.", "fact.jpeg_ghost.ghost_quality"),
    ("The area is 0.142.", "fact.jpeg_ghost.area"),
    ("91.97 % of the pixels could vote for one origin.", "fact.jpeg_grid.voting_share"),
    ("One JPEG grid runs through the picture.", "finding.jpeg_grid"),
    ("The region at (40, 60) has 120 × 80 pixels.", "region.1"),
    ("The region of 120 × 80 pixels at (40, 60) was copied.", "region.1"),
    ("A region in the upper left covers 3.8 % of the picture.", "region.1"),
    ("Two regions are marked.", "region.1", "region.2"),
    ("The picture has a width of 600 pixels.", "file.width"),
    ("Resampling gives a weak sign, with a score of 3.2.", "finding.resampling"),
    ("The metadata name the camera “Nikon D750”.", "fact.exif_consistency.camera"),
    ("Camera colour sampling gave no answer.", "finding.cfa_pattern"),
    ("The probability that it was edited after capture is above 99 %.", "answer.edited"),
    ("There is strong evidence of editing.", "answer.edited"),
    ("The copies matched in 412 places.", "fact.copy_move.matches", "finding.copy_move"),
]

WRONG = [
    # numbers
    ("number", "JPEG ghost scored 18.52.", "finding.jpeg_ghost"),
    ("number", "JPEG ghost scored 6.0.", "finding.jpeg_ghost"),  # that is the threshold
    ("number", "The area is 41 % of the picture.", "fact.jpeg_ghost.area"),
    ("number", "The area is 0.14 %.", "fact.jpeg_ghost.area"),
    ("number", "The ghost quality is 412.", "fact.jpeg_ghost.ghost_quality",
     "fact.copy_move.matches"),
    ("number", "Three regions are marked.", "region.1", "region.2"),
    ("number", "The picture has a width of 640 pixels.", "file.width"),
    # probabilities that the report keeps from people: of weak evidence, and of one finding
    ("number", "The probability that it was made by a generator is 22 %.", "answer.synthetic"),
    ("number", "Resampling is a weak sign; the probability is 71 %.", "finding.resampling"),
    # places
    ("region", "The region at (60, 40) has 120 × 80 pixels.", "region.1"),
    ("region", "The region at (40, 60) has 100 × 90 pixels.", "region.1", "region.2"),
    ("region", "A region in the lower right is marked.", "region.1"),
    ("region", "Something is marked in the upper left.", "finding.copy_move"),
    # what was found
    ("presence", "The grid of JPEG blocks shows a trace of editing.", "finding.jpeg_grid"),
    ("presence", "Resampling found a trace.", "finding.resampling"),
    ("presence", "JPEG grid is above its threshold.", "finding.jpeg_grid"),
    ("absence", "JPEG ghost found no trace.", "finding.jpeg_ghost"),
    ("absence", "JPEG ghost is below its threshold.", "finding.jpeg_ghost"),
    ("absence", "There is no evidence of editing.", "answer.edited"),
    ("reversed", "No part of the picture was saved before.", "finding.jpeg_ghost"),
    ("reversed", "A part has a grid of its own.", "finding.jpeg_grid"),
    ("silent", "Camera colour sampling found a trace.", "finding.cfa_pattern"),
    ("silent", "JPEG ghost gave no answer.", "finding.jpeg_ghost"),
    ("silent", "Prnu found nothing.", "finding.prnu"),
    # beyond the verdict
    ("accusation", "The picture was generated.", "verdict"),
    ("accusation", "The region at (380, 240) was copied.", "region.2"),
    ("accusation", "The region at (40, 60) was pasted.", "region.1"),
    ("genuine", "The rest of the picture is genuine.", "verdict"),
    ("genuine", "The picture is authentic.", "verdict"),
    ("certainty", "The verdict is definitely manipulated.", "verdict"),
    ("certainty", "This proves that the picture was edited.", "verdict"),
    ("identity", "A man was edited.", "verdict"),
    ("intent", "The picture was manipulated in order to deceive.", "verdict"),
    ("scene", "The scene never happened.", "verdict"),
    ("reader", "You should delete the picture.", "verdict"),
    # form
    ("uncited", "The picture was manipulated.",),
    ("uncited", "JPEG ghost found a part saved before.", "verdict"),
    ("unknown", "The verdict is manipulated.", "finding.telepathy"),
    ("address", "The verdict is manipulated, see www.example.com for it.", "verdict"),
    ("address", "The verdict is <b>manipulated</b>.", "verdict"),
    ("malformed", "The verdict is\x1b[31m manipulated.", "verdict"),
    ("malformed", "The verdict is manipulated. " * 30, "verdict"),
    ("quote", "The metadata name the camera “Canon”.", "fact.exif_consistency.camera"),
    ("quote", "A “Nikon D750” was found.", "fact.exif_consistency.camera"),
    ("amount", "Most regions are marked.", "region.1"),
    ("amount", "The strongest region is marked.", "region.1"),
    ("unsupported", "The fingers of the left hand are blurred.", "region.1"),
    ("unsupported", "The coffee tastes sweet.", "finding.copy_move"),
]  # fmt: skip


@pytest.mark.parametrize("case", HOLD, ids=lambda case: case[0][:50])
def test_what_the_report_says_is_kept(case: tuple[str, ...], report: Report) -> None:
    text, *cites = case
    checked = check(report, [Statement(text, tuple(cites), "model")])
    assert not checked.dropped, checked.dropped[0].why


@pytest.mark.parametrize("case", WRONG, ids=lambda case: f"{case[0]}: {case[1][:50]}")
def test_what_the_report_does_not_say_is_dropped(case: tuple[str, ...], report: Report) -> None:
    reason, text, *cites = case
    dropped = outcome(report, text, *cites)
    assert dropped, "kept"
    assert dropped == reason, check(report, [Statement(text, tuple(cites))]).dropped[0].why


def test_what_was_said_is_not_said_again(report: Report) -> None:
    once = Statement("The verdict is manipulated.", ("verdict",), "model")
    checked = check(report, [once, replace(once, text="The verdict is  manipulated")])
    assert [one.reason for one in checked.dropped] == ["repeated"]


def test_the_instructions_are_not_repeated(report: Report) -> None:
    secret = "Say in the words of the report what was measured and nothing else. Key 7f3a."
    text = "Words of the report what was measured and nothing else."
    checked = check(report, [Statement(text, ("verdict",), "model")], secret)
    assert [one.reason for one in checked.dropped] == ["leak"]


def test_a_time_has_to_be_one_that_is_cited(report: Report) -> None:
    moment = Measurement(score=7.0, summary="", where=Where("video", Span(3.2, 3.2)))
    first = found("jpeg_ghost.frames", Question.EDITED, None, moment, score=1.0, summary="Seen.")
    film = replace(report, findings=(first,))
    assert not outcome(film, "The highest score is at 0:03.2.", "time.jpeg_ghost.frames.1") or (
        outcome(film, "A score of 7 is at 0:03.2.", "time.jpeg_ghost.frames.1") == ""
    )
    assert outcome(film, "A score of 7 is at 0:05.0.", "time.jpeg_ghost.frames.1") in (
        "time",
        "number",
    )


def test_a_marked_place_of_the_map_may_be_named(report: Report) -> None:
    values = np.zeros((50, 75), np.float32)
    values[10:14, 20:25] = 0.9
    edits = report.edits
    assert edits is not None
    mapped = replace(report, edits=replace(edits, map=ScoreMap(values, 8, WIDTH, HEIGHT)))
    text = "The region around (170, 90) is marked."
    assert outcome(mapped, text, "region.1") == ""
    assert outcome(mapped, "The region around (10, 10) is marked.", "region.1") == "region"
    assert outcome(report, text, "region.1") == "region"


def test_text_of_the_file_is_not_repeated_as_if_it_were_ours(report: Report) -> None:
    brought = "The verdict is authenticated"
    finding = part_changed(
        report.findings[4], summary=f"EXIF names “{brought}”.", facts={"camera": brought}
    )
    said = replace(report, findings=(finding,))
    cite = "finding.exif_consistency"
    assert outcome(said, f"{brought}.", cite) in ("genuine", "unsupported", "quote")
    assert outcome(said, f"EXIF names “{brought}”.", cite) == ""


@pytest.mark.parametrize("name", ["cat", "claim", "clone", "signed"])
def test_words_pass_their_own_check(name: str) -> None:
    record = json.loads((REPORTS / f"{name}.json").read_text("utf-8"))
    report = from_dict(record)
    said = words.statements(
        report.media, report.findings, report.verdict, report.stability, report.edits
    )
    checked = check(report, said)
    assert not checked.dropped, checked.dropped[0]
    assert len(checked.kept) == len(said) >= 4


def test_words_of_real_reports_pass_and_changed_ones_do_not(data: Path) -> None:
    files = ("generated_images/fake/a1111-showcase/000.png",)
    for file in files:
        if not (data / file).is_file():
            pytest.skip(f"{file} is absent")
        report = examine(data / file)
        said = words.statements(
            report.media, report.findings, report.verdict, report.stability, report.edits
        )
        assert tuple(one.text for one in said) == report.explanation
        assert not check(report, said).dropped
        assert [one for one in said if changed(report, one)] == []


def changed(report: Report, statement: Statement) -> list[str]:
    """Versions of a statement that say something else and are kept all the same."""
    text, wrong = statement.text, []
    for match in re.finditer(r"(?<![\w.,-])\d+(?:\.\d+)?(?![\w-])", text):
        other = str(int(float(match.group())) + 1234567)
        wrong.append(text[: match.start()] + other + text[match.end() :])
    wrong += [text.replace(one, two, 1) for one, two in FLIPPED if one in text]
    tried = [replace(statement, text=one, author="model") for one in wrong]
    return [one.text for one in check(report, tried).kept]


FLIPPED = (
    ("None of the tests that ran found", "The tests that ran found"),
    ("No part of the picture", "A part of the picture"),
    ("is not a proof", "is a proof"),
    ("no evidence", "strong evidence"),
    ("is not enough", "is enough"),
    ("differs from", "is like"),
    ("resembles generated pictures more than bona fide", "resembles bona fide pictures more than"),
    ("proves nothing", "proves it"),
    ("name no image generator", "name an image generator"),
)


@pytest.mark.parametrize("name", ["cat", "claim", "clone", "signed"])
def test_changed_words_do_not_pass(name: str) -> None:
    report = from_dict(json.loads((REPORTS / f"{name}.json").read_text("utf-8")))
    said = words.statements(
        report.media, report.findings, report.verdict, report.stability, report.edits
    )
    assert [kept for one in said for kept in changed(report, one)] == []


def test_ids_stay_the_same(report: Report) -> None:
    ids = set(citables(report))
    assert {
        "verdict", "answer.edited", "answer.synthetic", "finding.copy_move", "region.1",
        "fact.copy_move.matches", "region.copy_move.1", "file.width", "file.name",
        "untested.patchmatch_moves",
    } <= ids  # fmt: skip
    assert citables(report)["finding.cfa_pattern"].stance is Stance.SILENT


def test_every_reason_is_explained_and_tried() -> None:
    tried = {case[0] for case in WRONG} | {"repeated", "leak", "time"}
    assert tried == set(REASONS)
