"""`bonafide bench explain`: each figure against its definition written out, and the verb itself."""

from __future__ import annotations

import itertools
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import skimage.data
from click.testing import CliRunner
from tests.explain import server
from tests.explain.server import completion, serving

from bonafide.bench import explain_ask, explain_erase, explain_figures, explain_judge, explain_look
from bonafide.bench.explain_judge import Standing, standing
from bonafide.bench.explain_records import disturbed, of
from bonafide.bench.explain_run import Plan, look_again, read, run
from bonafide.cli.main import bonafide
from bonafide.errors import InvalidInput
from bonafide.explain import words
from bonafide.explain.check import Checker
from bonafide.explain.model import Asking, By, explain
from bonafide.report.to_dict import to_dict
from bonafide.types import Box, Report, ScoreMap, Statement

BITS = [*itertools.product([False, True], repeat=3)]


def record(report: Report) -> dict[str, Any]:
    return json.loads(json.dumps(to_dict(report)))


def said(text: str, *cites: str) -> Statement:
    return Statement(text, cites, "m")


@pytest.mark.parametrize("answers", BITS)
@pytest.mark.parametrize("truth", BITS)
def test_questions_are_counted_as_defined(answers: Any, truth: Any) -> None:
    found = explain_figures.pope(answers, truth)
    yes = [place for place in range(3) if answers[place]]
    right = [place for place in range(3) if truth[place]]
    hits = [place for place in yes if place in right]
    assert found["accuracy"] == pytest.approx(sum(answers[i] == truth[i] for i in range(3)) / 3)
    assert found["precision"] == (len(hits) / len(yes) if yes else None)
    assert found["recall"] == (len(hits) / len(right) if right else None)
    if hits:
        precision, recall = len(hits) / len(yes), len(hits) / len(right)
        assert found["f1"] == pytest.approx(2 * precision * recall / (precision + recall))
    assert found["yes"] == pytest.approx(len(yes) / 3)


@pytest.mark.parametrize("before", BITS)
@pytest.mark.parametrize("after", BITS)
def test_before_and_after_are_counted_as_defined(before: Any, after: Any) -> None:
    found = explain_figures.beaf(before, after)
    names = {(True, False): "TU", (False, True): "IG", (True, True): "SBp", (False, False): "SBn"}
    counts = dict.fromkeys(names.values(), 0)
    for pair in zip(before, after, strict=True):
        counts[names[pair]] += 1
    assert found == {name: pytest.approx(count / 3) for name, count in counts.items()}
    assert sum(found.values()) == pytest.approx(1.0)  # type: ignore[arg-type]
    assert explain_figures.indecision(before, after) == pytest.approx(found["TU"] + found["IG"])  # type: ignore[operator]


def test_hallucinations_cover_and_consistency() -> None:
    assert explain_figures.chair([True, False, True, False]) == (0.5, 1.0)
    assert explain_figures.chair([True]) == (0.0, 0.0) and explain_figures.chair([]) == (None, 0.0)
    assert explain_figures.cover({"a", "x"}, {"a", "b"}) == 0.5
    assert explain_figures.cover({"a"}, set()) is None
    told = [{"a", "b"}, {"a"}, set()]
    slow = []
    for one, other in itertools.combinations(told, 2):
        union = {*one, *other}
        slow.append(sum(cite in one and cite in other for cite in union) / len(union))
    assert explain_figures.consistency(told) == pytest.approx(sum(slow) / 3)
    assert explain_figures.consistency([set(), set()]) == 1.0
    assert explain_figures.consistency([{"a"}]) is None


@pytest.mark.parametrize(("box", "hit"), [
    (Box(40, 24, 8, 8), True), (Box(0, 0, 8, 8), False), (Box(20, 8, 8, 8), False),
    (Box(40 + 8 + 15, 24, 9, 9), False), (Box(40 - 8 - 3, 24, 8, 8), True),
])  # fmt: skip
def test_the_pointing_game(box: Box, hit: bool) -> None:
    values = np.zeros((6, 8), np.float32)
    values[3, 5] = 0.9  # pixels 40 to 47, 24 to 31
    one = ScoreMap(values, 8, 64, 48)
    inside = any(
        abs(x - 44) <= 15 and abs(y - 28) <= 15
        for x in range(box.x, box.x + box.width + 1)
        for y in range(box.y, box.y + box.height + 1)
    )
    assert explain_figures.points(one, [box]) is hit
    assert inside is hit or box.x > 44  # a box's far edge is not in it
    assert explain_figures.points(one, []) is None
    assert explain_figures.points(ScoreMap(values * 0, 8, 64, 48), [box]) is None


def test_a_hole_is_filled_from_its_surroundings_and_nothing_else_changes() -> None:
    pixels = skimage.data.coffee()[:96, :120].copy()
    mask = explain_erase.mask_of([Box(30, 20, 40, 30), Box(110, 90, 40, 40)], (96, 120))
    assert mask.sum() == 40 * 30 + 10 * 6
    hidden = pixels.copy()
    hidden[mask] = 255
    for filler in (explain_erase.Surroundings(), explain_erase.Blur()):
        filled = filler.fill(pixels, mask)
        assert (filled[~mask] == pixels[~mask]).all()
        assert (filled == filler.fill(hidden, mask)).all()  # what lies in the hole is not looked at
        flat = filler.fill(np.full_like(pixels, 77), mask)
        assert abs(flat.astype(int) - 77).max() <= 1
    assert (explain_erase.Blur().fill(pixels, np.ones_like(mask)) == pixels).all()


def test_coarse_averages_are_those_of_the_definition() -> None:
    pixels = np.arange(12, dtype=np.float32).reshape(2, 2, 3)
    known = np.array([[True, False], [True, True]])
    filled = explain_erase.averaged(pixels, known)
    slow = sum(pixels[y, x] for y in range(2) for x in range(2) if known[y, x]) / 3
    assert filled[0, 1] == pytest.approx(slow) and (filled[known] == pixels[known]).all()


def test_what_a_score_owes_to_a_region() -> None:
    pixels = np.zeros((40, 40, 3), np.uint8)
    pixels[8:16, 8:16] = 200
    mask = explain_erase.mask_of([Box(8, 8, 8, 8)], (40, 40))
    moved = explain_erase.elsewhere(mask, 3)
    assert moved is not None and moved.sum() == 64 and not (moved & mask).any()

    def score(shown: Any) -> float:
        return float((shown == 200).sum())

    found = explain_erase.owed(pixels, mask, score, explain_erase.Blur(), 3)
    assert found is not None
    whole = score(pixels)
    assert found.deletion == whole and found.elsewhere == 0.0
    assert found.sufficiency == whole - score(explain_erase.Blur().fill(pixels, ~mask))
    assert explain_erase.owed(pixels, mask & False, score, explain_erase.Blur()) is None
    assert explain_erase.elsewhere(np.ones((8, 8), np.bool_), 0) is None


@pytest.mark.parametrize(("text", "cites", "right"), [
    ("JPEG ghosts scored 18.42.", ["finding.jpeg_ghost"], Standing.SUPPORTED),
    ("JPEG ghosts scored 99.9.", ["finding.jpeg_ghost"], Standing.CONTRADICTED),
    ("It says so.", ["finding.nothing"], Standing.CONTRADICTED),
    ("JPEG ghosts found nothing.", ["finding.jpeg_ghost"], Standing.CONTRADICTED),
    ("A grid was detected by the JPEG grid.", ["finding.jpeg_grid"], Standing.CONTRADICTED),
    ("The picture is AI-generated.", ["verdict"], Standing.CONTRADICTED),
    ("The shadow of the cup points leftwards.", ["finding.jpeg_ghost"], Standing.UNSUPPORTED),
])  # fmt: skip
def test_statements_are_judged_by_rules_of_their_own(
    report: Report, text: str, cites: list[str], right: Standing
) -> None:
    assert standing(record(report), said(text, *cites)) is right


def test_words_are_never_contradicted_and_mention_only_what_was_found(report: Report) -> None:
    told = explain_look.by_words(report)
    made = record(report)
    assert not [one for one in told if standing(made, one) is Standing.CONTRADICTED]
    true = explain_judge.mentions(report, made, said("A copy was found.", "finding.copy_move"))
    false = explain_judge.mentions(report, made, said("A grid was found.", "finding.jpeg_grid"))
    assert [one.true for one in true + false] == [True, False]
    assert not explain_judge.mentions(report, made, said("No grid was found.", "finding.jpeg_grid"))


def test_questions_are_half_of_each_and_answers_are_read_strictly(report: Report) -> None:
    asked = explain_ask.questions(report, 1)
    assert asked and sum(one.truth for one in asked) * 2 == len(asked)
    assert explain_ask.by_words(report, asked, 0) == [one.truth for one in asked]
    read_ = explain_ask.read
    assert [read_('{"answer": "yes"}'), read_("No."), read_("yes or no"), read_("maybe")] == [
        True, False, None, None,
    ]  # fmt: skip


def of_items(body: dict[str, Any], number: int) -> Any:
    """A small model: it copies, and answers every question with yes."""
    if "answer" in body["response_format"]["json_schema"]["schema"]["properties"]:
        return completion('{"answer": "yes"}')
    (one,) = server.data(body)
    return completion(json.dumps({"cites": [one["id"]], "text": one["says"][0]}))


def test_a_small_model_is_asked_about_one_item_at_a_time(report: Report) -> None:
    with serving(of_items) as served:
        added = explain(report, Asking("m", served.url, by=By.ITEM, items=3))
    assert len(served.requests) == 3 and len(added.kept) == 3 and added.prompt == "findings-2"
    for body in served.requests:
        (one,) = server.data(body)
        cites = body["response_format"]["json_schema"]["schema"]["properties"]["cites"]
        assert cites["items"]["enum"] == [one["id"]] and "file_says" not in one
        assert {*one.get("values", {})} <= {"score", "threshold", "probability", "share",
                                            "width", "height"}  # fmt: skip
    with serving(lambda body, number: completion("I would rather not.")) as served:
        added = explain(report, Asking("m", served.url, by=By.ITEM, items=1, tries=1))
    assert added.reasons == {"malformed": 2} and not added.failure
    heats = [body["temperature"] for body in served.requests]
    assert heats[0] == 0 and heats[1] > 0.2
    with pytest.raises(InvalidInput, match="findings alone"):
        Asking("m", served.url, by=By.ITEM, share="picture")  # type: ignore[arg-type]


def test_a_sentence_that_repeats_itself_is_dropped(report: Report) -> None:
    over = "JPEG ghosts " + "mark a part of the picture, " * 4 + "and no more."
    problem = Checker(report).problem(said(over, "finding.jpeg_ghost"))
    assert problem is not None and problem.reason == "malformed" and "repeats" in problem.why


def test_reports_are_explained_measured_and_not_asked_about_again(
    report: Report, tmp_path: Path
) -> None:
    given, out = tmp_path / "reports.jsonl", tmp_path / "explained.jsonl"
    given.write_text(json.dumps(record(report)) + "\n" + json.dumps({"status": "failed"}) + "\n")
    train = tmp_path / "records.jsonl"
    with serving(of_items) as served:
        arguments = [
            "bench", "explain", str(given), "--explain", "m", "--explain-url", served.url,
            "--explain-by", "item", "--out", str(out), "--records", str(train), "--json",
            "--repeats", "20", "--quiet",
        ]  # fmt: skip
        done = CliRunner().invoke(bonafide, arguments, catch_exceptions=False)
        asked = len(served.requests)
        again = CliRunner().invoke(bonafide, arguments, catch_exceptions=False)
        assert len(served.requests) == asked
    assert done.exit_code == again.exit_code == 0
    found = json.loads(done.stdout)
    assert found["reports"] == 1 and found["model"]["copies"] == found["model"]["kept"] > 0
    own, shown = (found["explainers"][name]["figures"] for name in ("words", "shown"))
    assert own["contradicted"]["value"] == shown["contradicted"]["value"] == 0
    assert own["pope_f1"]["value"] == 1.0 and shown["pope_yes"]["value"] == 1.0
    assert shown["pope_recall"]["value"] == 1.0 and shown["pope_precision"]["value"] == 0.5
    assert found["records"] == len(train.read_text().splitlines()) > 0
    table = CliRunner().invoke(bonafide, ["bench", "explain", str(out), "--quiet"])
    assert "share contradicted" in table.stdout and "model, shown" in table.stdout
    with pytest.raises(InvalidInput, match="Expecting"):
        given.write_text("nonsense")
        [*read(given)]


def test_records_hold_what_passes_and_what_does_not(report: Report) -> None:
    found = [*of(report)]
    assert len(found) >= 4
    for one in found:
        chosen = json.loads(one["chosen"])
        assert Checker(report).problem(said(chosen["text"], *chosen["cites"])) is None
        assert one["messages"][0]["role"] == "system"
        for bad in one["rejected"]:
            wrong = json.loads(bad["text"])
            problem = Checker(report).problem(said(wrong["text"], *wrong["cites"]))
            assert problem is not None and problem.reason == bad["reason"]
    assert any(one["rejected"] for one in found)
    assert "nothing" not in next(iter([*disturbed("It found nothing.")]))


def test_pictures_are_looked_at_again_with_regions_erased(
    report: Report, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "edited.png"
    pixels = skimage.data.astronaut()[:256, :256].copy()
    pixels[150:230, 20:100] = pixels[20:100, 120:200]
    from PIL import Image as Pillow

    Pillow.fromarray(pixels).save(path)
    made = record(report)
    made["media"]["path"] = str(path)
    made["findings"] = [one for one in made["findings"] if one["detector"] == "copy_move"]
    found = look_again([made], Plan(repeats=5), 3, {"blur": explain_erase.Blur()})
    figures = found["explainers"]["words"]
    assert found["pictures"] == 1 and figures["pointing"]["n"] == 1
    assert figures["pointing"]["value"] == 1.0 and figures["beaf_TU"]["value"] == 1.0
    assert figures["deletion_blur"]["value"] > 1.0
    gone = replace(report, media=replace(report.media, path=str(tmp_path / "gone.png")))
    lost = look_again([record(gone)], Plan(repeats=5), 3, {"blur": explain_erase.Blur()})
    assert lost["unreadable"] == 1 and not lost["explainers"]


def test_overlap_is_shared_area_over_joint_area() -> None:
    one, other = Box(0, 0, 4, 4), Box(2, 1, 4, 5)
    cells = [{(x, y) for x in range(b.x, b.x + b.width) for y in range(b.y, b.y + b.height)}
             for b in (one, other)]  # fmt: skip
    slow = len(cells[0] & cells[1]) / len(cells[0] | cells[1])
    assert explain_look.overlap(one, other) == pytest.approx(slow)
    assert explain_look.overlap(one, Box(9, 9, 1, 1)) == 0.0


def test_a_run_without_a_model_measures_words_alone(report: Report) -> None:
    found, explained = run([record(report)], Plan(repeats=5))
    assert [*found["explainers"]] == ["words"] and found["model"] is None
    assert explained[0]["verdict"] == report.verdict.label.value
    assert words.ODDS
