"""The one path, from Python."""

from __future__ import annotations

import dataclasses
import io
import json
from pathlib import Path

import jsonschema
import pytest
from PIL import Image as Pillow
from skimage import data as photographs

import bonafide
from bonafide import registry
from bonafide.examination import Examiner
from bonafide.media.context import Context

SCHEMA = json.loads(
    (Path(__file__).resolve().parent.parent / "docs" / "report.schema.json").read_text()
)


@pytest.fixture(scope="module")
def jpeg() -> bytes:
    buffer = io.BytesIO()
    Pillow.fromarray(photographs.astronaut()[:256, :256]).save(buffer, "JPEG", quality=90)
    return buffer.getvalue()


def test_report_is_frozen_complete_and_valid(jpeg: bytes) -> None:
    report = bonafide.examine(jpeg)
    record = bonafide.to_dict(report)
    jsonschema.validate(record, SCHEMA)
    json.dumps(record, allow_nan=False)
    asked = {finding.detector for finding in report.findings} | set(report.untested)
    assert asked == set(registry.ids())
    assert report.explanation[-1] == report.verdict.caveat
    with pytest.raises(dataclasses.FrozenInstanceError):
        report.schema = 2  # type: ignore[misc]


def test_a_photograph_is_not_accused(jpeg: bytes) -> None:
    label = bonafide.examine(jpeg).verdict.label
    assert label in (bonafide.Label.NO_TRACE_FOUND, bonafide.Label.INCONCLUSIVE)


def test_threads_do_not_change_the_outcome(jpeg: bytes) -> None:
    one = bonafide.to_dict(bonafide.examine(jpeg, bonafide.Settings(threads=1)))
    two = bonafide.to_dict(bonafide.examine(jpeg, bonafide.Settings(threads=2)))
    for record in (one, two):
        record.pop("examined_at")
        for finding in record["findings"]:
            finding.pop("seconds")
    assert one == two


def test_detectors_of_a_large_picture_run_one_after_the_other(
    jpeg: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    running: list[str] = []
    most = 0
    ask = Examiner._ask_one

    def counted(self: Examiner, ctx: Context, card: bonafide.Card) -> bonafide.Finding:
        nonlocal most
        running.append(card.id)
        most = max(most, len(running))
        try:
            return ask(self, ctx, card)
        finally:
            running.remove(card.id)

    monkeypatch.setattr(Examiner, "_ask_one", counted)
    monkeypatch.setattr("bonafide.examination.LARGE", 256 * 256 - 1)
    report = bonafide.examine(jpeg, bonafide.Settings(threads=2))
    assert most == 1
    assert all(finding.status is not bonafide.Status.FAILED for finding in report.findings)


def test_profiles_include_each_other() -> None:
    from bonafide.examination import select

    asked = tuple(bonafide.Question)
    chosen = [
        {card.id for card in select(bonafide.Settings(profile=profile, asked=asked))[0]}
        for profile in bonafide.Profile
    ]
    always = {name for name in registry.ids() if not registry.card(name).requires}
    assert chosen[0] < chosen[1] < chosen[2] == always


def test_only_asks_what_was_named_whatever_the_profile(jpeg: bytes) -> None:
    settings = bonafide.Settings(only=("ela",), profile=bonafide.Profile.TRIAGE)
    report = bonafide.examine(jpeg, settings)
    assert [finding.detector for finding in report.findings] == ["ela"]
    assert report.verdict.label is bonafide.Label.INCONCLUSIVE


def test_damaged_pixels_raise_a_typed_error_that_names_the_file(
    jpeg: bytes, tmp_path: Path
) -> None:
    path = tmp_path / "cut.jpg"
    path.write_bytes(jpeg[: len(jpeg) // 2])
    with pytest.raises(bonafide.MediaError, match=r"cut\.jpg"):
        bonafide.examine(path)


def test_a_failing_detector_costs_only_its_own_finding(
    jpeg: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(self: object, ctx: object) -> None:
        raise ValueError("planted")

    monkeypatch.setattr(registry.module("ela").Detector, "measure", broken)
    settings = bonafide.Settings(only=("ela", "generator_metadata"))
    first, second = bonafide.examine(jpeg, settings).findings
    assert first.status is bonafide.Status.FAILED and "planted" in first.why
    assert second.status is not bonafide.Status.FAILED


def test_text_from_the_file_stays_data(jpeg: bytes) -> None:
    report = bonafide.examine(io.BytesIO(jpeg))
    assert report.media.path is None
    assert all(isinstance(sentence, str) for sentence in report.explanation)
