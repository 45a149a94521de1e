"""A model as a judge: prompts, answers, abstentions, and that it moves nothing uncalibrated."""

from __future__ import annotations

import base64
import csv
import io
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image
from tests.explain.server import completion, serving

from bonafide import registry
from bonafide.bench.measure import usual_detectors
from bonafide.cli.main import bonafide
from bonafide.errors import InvalidInput
from bonafide.examination import Settings, examine, key, select
from bonafide.explain import judge as judging
from bonafide.explain.judge import Judge, answer, prompts, turns
from bonafide.report.from_dict import from_dict
from bonafide.report.to_dict import to_dict
from bonafide.types import Question, Status

SIX = ("defects", "regions", "sense", "examples", "structure", "stereotypes")
PIXELS = np.full((80, 120, 3), 90, np.uint8)


def said(decision: str) -> str:
    return json.dumps({"reason": "It looks so.", "answer": decision})


def always(decision: str) -> Any:
    return lambda body, number: completion(said(decision) if "response_format" in body else "a dog")


def pictures_of(body: dict[str, Any]) -> list[bytes]:
    found = re.findall(r"data:image/jpeg;base64,([\w+/=]+)", json.dumps(body["messages"][-1]))
    return [base64.b64decode(one) for one in found]


def png(shade: int, seed: int = 0) -> bytes:
    data = io.BytesIO()
    noise = np.random.default_rng(seed).integers(0, 20, (64, 64, 3))
    Image.fromarray((noise + shade).astype(np.uint8)).save(data, "PNG")
    return data.getvalue()


def test_every_prompt_can_be_followed() -> None:
    assert set(prompts()) >= {*SIX, "fusion", "questions", "domain", "debate", "rationale",
                              "premises"}  # fmt: skip
    for name in prompts():
        script, asked = turns(name), 0
        assert script[-1].who == "user" and script[-1].shows
        assert "undetermined" in script[-1].text
        for number, turn in enumerate(script):
            assert turn.who in ("system", "user", "assistant")
            assert turn.shows in ("", "picture", "crop")
            for blank in re.findall(r"\{(\w+)\}", turn.text):
                known = int(blank) <= asked if blank.isdecimal() else blank in SIX
                assert known, f"{name}: {blank}"
            follows = script[number + 1].who if number + 1 < len(script) else "user"
            asked += turn.who == "user" and follows != "assistant"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (said("generated"), "generated"),
        ('{"reason": "x", "answer": "Photograph."}', "photograph"),
        ('```json\n{"answer": "GENERATED"}\n```', "generated"),
        ("I see grain.\nReal", "photograph"),
        ("I see grain.\nREAL.\n", "photograph"),
        ("The answer is: fake", "generated"),
        ("It is not generated.", "undetermined"),
        ("It may be real or fake.", "undetermined"),
        ('{"answer": "I cannot tell"}', "undetermined"),
        ('{"answer": ["generated"]}', "generated"),
        ('{"answer": "generated or photograph"}', "undetermined"),
        ("", "undetermined"),
        ("Sorry, I will not do this.", "undetermined"),
        ("{" * 4000, "undetermined"),
    ],
)
def test_answers_are_read(text: str, expected: str) -> None:
    assert answer(text) == expected


@pytest.mark.parametrize("name", ["regions", "structure", "debate", "rationale", "premises"])
def test_a_prompt_from_first_to_last_turn(name: str) -> None:
    with serving(always("generated")) as served:
        opinion = Judge("tiny", served.url, (name,)).ask(PIXELS)
    assert opinion.answers == {name: "generated"}
    assert opinion.failure == ""
    assert opinion.requests >= len(served.requests)  # the same is asked once
    last = served.requests[-1]
    assert len(pictures_of(last)) == 1
    assert last["response_format"]["type"] == "json_schema"
    for body in served.requests:
        text = json.dumps(body["messages"])
        assert "have seen no picture" not in text or "image_url" not in text
        assert not re.search(r"\{\w+\}", text.replace("{}", ""))


def test_the_six_are_asked_once_for_the_fusion() -> None:
    with serving(always("photograph")) as served:
        both = Judge("tiny", served.url, (*SIX, "fusion")).ask(PIXELS)
    assert set(both.answers.values()) == {"photograph"}
    told = json.dumps(served.requests[-1]["messages"])
    assert told.count("It looks so.") == 6
    assert both.tokens_in == 900 * len(served.requests)


def test_what_is_sent_is_reduced_and_bare() -> None:
    with serving(always("photograph")) as served:
        Judge("tiny", served.url, ("regions",)).ask(np.zeros((900, 2400, 3), np.uint8))
    sizes = [Image.open(io.BytesIO(pictures_of(body)[0])).size for body in served.requests]
    assert sizes == [(1024, 384), (1024, 384)]
    assert not Image.open(io.BytesIO(pictures_of(served.requests[0])[0])).getexif()


def finding_of(data: bytes, judge: Judge | None, calibration: str | None = None) -> Any:
    only = ("mllm_judge", "generator_metadata")
    report = examine(data, Settings(only=only, judge=judge, threads=1, calibration=calibration))
    return report, report.findings[0]


def test_abstentions_count() -> None:
    answers = iter(["generated", "undetermined", "no JSON at all", "generated", "photograph"])

    def turn(body: dict[str, Any], number: int) -> Any:
        return completion(said(next(answers)))

    with serving(turn) as served:
        judge = Judge("tiny", served.url, ("defects", "sense", "examples", "questions"))
        _, found = finding_of(png(90), judge)
    assert found.facts["undetermined"] == 2
    assert found.score == 0.5  # (2 − 0) / 4
    assert found.summary == (
        "Of 4 answers of a model, 2 say generated, 0 photograph and 2 neither."
    )
    with serving(always("undetermined")) as served:
        _, found = finding_of(png(91), Judge("tiny", served.url))
    assert found.status is Status.NOT_APPLICABLE
    assert "abstained" in found.why


def test_an_endpoint_that_fails_is_a_failed_finding() -> None:
    with serving(lambda body, number: (401, {"error": "no"})) as served:
        report, found = finding_of(png(92), Judge("tiny", served.url))
    assert found.status is Status.FAILED
    assert "it answered 401" in found.why
    assert report.verdict.label == finding_of(png(92), None)[0].verdict.label


def test_uncalibrated_it_cannot_move_a_verdict(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BONAFIDE_EXPLAIN_KEY", "very-secret")
    data = png(120)
    plain, silent = finding_of(data, None)
    assert silent.why == "no model was named"
    for decision, score in (("generated", 1.0), ("photograph", -1.0)):
        with serving(always(decision)) as served:
            report, found = finding_of(data, Judge("tiny", served.url, ("defects", "sense")))
        assert served.headers[0]["authorization"] == "Bearer very-secret"
        assert (found.score, found.llr, found.calibrated, found.hit) == (score, None, None, False)
        assert report.verdict.label == plain.verdict.label
        assert report.verdict.because == plain.verdict.because
        assert [one.probability for one in report.verdict.answers] == [
            one.probability for one in plain.verdict.answers
        ]
        record = to_dict(report)
        assert "very-secret" not in json.dumps(record)
        assert record["settings"]["judge"]["model"] == "tiny"
        assert from_dict(json.loads(json.dumps(record))).findings[0].score == score


def test_it_is_off_unless_a_model_is_named() -> None:
    chosen, untested = select(Settings())
    assert "mllm_judge" not in {card.id for card in chosen}
    assert untested["mllm_judge"] == "it needs --judge"
    judge = Judge("tiny", "http://127.0.0.1:9/v1")
    assert "mllm_judge" in {card.id for card in select(Settings(judge=judge))[0]}
    assert key(Settings(judge=judge)) != key(Settings())
    assert "mllm_judge" not in usual_detectors()
    assert "mllm_judge" in usual_detectors(given=("judge",))
    assert "mllm_judge" in registry.usable()
    for wrong in ({"by": ("nonsense",)}, {"by": ()}, {"url": "ftp://x"}):
        with pytest.raises(InvalidInput):
            Judge(**{"model": "m", "url": "http://127.0.0.1:9/v1", **wrong})


def test_time_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(judging, "SECONDS", -1.0)
    with serving(always("generated")) as served:
        opinion = Judge("tiny", served.url, ("defects", "sense")).ask(PIXELS)
    assert opinion.answers == {"defects": "undetermined", "sense": "undetermined"}
    assert not served.requests
    assert "time" in opinion.failure


def by_brightness(body: dict[str, Any], number: int) -> Any:
    """Bright pictures are generated, to a model that is wrong about one shade of each."""
    if "response_format" not in body:
        return completion("a surface")
    shade = np.asarray(Image.open(io.BytesIO(pictures_of(body)[0]))).mean()
    return completion(said("generated" if shade > 128 else "photograph"))


def test_measured_calibrated_and_then_it_votes(tmp_path: Path) -> None:
    rows = []
    for number in range(24):
        fake = number % 2 == 1
        shade = 190 if fake != (number in (4, 7)) else 50  # two labels are against the model
        file = tmp_path / f"{number}.png"
        file.write_bytes(png(shade, number))
        label = "generated" if fake else "bona_fide"
        rows.append({"path": file.name, "label": label, "origin": f"source {number}"})
    manifest = tmp_path / "manifest.csv"
    with manifest.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, ["path", "label", "origin"])
        writer.writeheader()
        writer.writerows(rows)
    scores, own = tmp_path / "scores.jsonl", tmp_path / "own.json"
    with serving(by_brightness) as served:
        done = CliRunner().invoke(
            bonafide,
            ["bench", "measure", str(manifest), "--out", str(scores), "--detectors", "mllm_judge",
             "--judge", "tiny", "--judge-url", served.url, "--judge-by", "questions",
             "--jobs", "1", "--quiet"],
        )  # fmt: skip
        assert done.exit_code == 0, done.output
        lines = [json.loads(line) for line in scores.read_text("utf-8").splitlines()]
        assert {line["said"]["mllm_judge"]["score"] for line in lines} == {-1.0, 1.0}
        fitted = CliRunner().invoke(
            bonafide,
            ["bench", "calibrate", str(scores), "--manifest", str(manifest), "--out", str(own),
             "--detector", "mllm_judge"],
        )  # fmt: skip
        assert fitted.exit_code == 0, fitted.output
        table = json.loads(own.read_text("utf-8"))
        assert table["detectors"]["mllm_judge"]["version"] == registry.card("mllm_judge").version
        judge = Judge("tiny", served.url, ("questions",))
        report, found = finding_of(png(200, 99), judge, str(own))
    assert found.llr is not None and found.llr > 0
    answered = next(a for a in report.verdict.answers if a.question is Question.SYNTHETIC)
    assert answered.probability is not None and answered.probability > 0.5
    # Twelve bona fide sources cannot certify a bound of 1 %: it leans, and accuses nobody.
    assert report.verdict.label != "ai_generated"


def test_the_command_says_what_it_sends(tmp_path: Path) -> None:
    file = tmp_path / "photo.png"
    file.write_bytes(png(60))
    given = ["scan", str(file), "--only", "mllm_judge", "--jobs", "1"]
    with serving(always("photograph")) as served:
        done = CliRunner().invoke(
            bonafide, [*given, "--judge", "tiny", "--judge-url", served.url, "--json"]
        )
        assert done.exit_code == 0, done.output
        assert "about every picture; sent: the picture, reduced to 1,024 pixels" in done.stderr
        assert json.loads(done.stdout)["findings"][0]["score"] == -1.0
        count = len(served.requests)
        CliRunner().invoke(bonafide, given)
        assert len(served.requests) == count
    for wrong, why in (
        (["--judge", "tiny"], "--judge needs --judge-url"),
        (["--judge", "tiny", "--judge-url", "http://x/v1", "--judge-by", "hunch"], "hunch"),
        (["--judge", "tiny", "--judge-url", "http://x/v1", "--out", str(tmp_path / "o")],
         "cannot be used with --out"),
    ):  # fmt: skip
        refused = CliRunner().invoke(bonafide, [*given, *wrong])
        assert refused.exit_code != 0
        assert why in f"{refused.output} {refused.exception}"
