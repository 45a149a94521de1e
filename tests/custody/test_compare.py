"""What counts as the same report, and what does not."""

from __future__ import annotations

import copy
import io
import json
from collections.abc import Callable
from typing import Any

import pytest
from PIL import Image as Pillow
from skimage import data as photographs

from bonafide import Limits, Settings, examine, to_dict
from bonafide.custody import compare
from bonafide.errors import InvalidInput
from bonafide.media.image import Image
from bonafide.media.media import Media


@pytest.fixture(scope="module")
def made() -> dict[str, Any]:
    buffer = io.BytesIO()
    Pillow.fromarray(photographs.chelsea()[:160, :160]).save(buffer, "JPEG", quality=90)
    settings = Settings(only=("ela", "double_jpeg", "exif_consistency"))
    report = examine(Media.of_image(Image(buffer.getvalue(), "cat.jpg")), settings)
    written: dict[str, Any] = json.loads(json.dumps(to_dict(report)))
    return written


@pytest.fixture
def then(made: dict[str, Any]) -> dict[str, Any]:
    return copy.deepcopy(made)


def finding(record: dict[str, Any], detector: str) -> dict[str, Any]:
    return next(one for one in record["findings"] if one["detector"] == detector)


def test_a_report_agrees_with_itself(made: dict[str, Any], then: dict[str, Any]) -> None:
    assert compare.differences(then, made) == []


def test_what_cannot_be_made_again_is_passed_over(
    made: dict[str, Any], then: dict[str, Any]
) -> None:
    then["examined_at"] = "2020-01-01T00:00:00+00:00"
    then["media"] |= {"name": "other.jpg", "path": "/elsewhere"}
    then["findings"][0]["seconds"] = 99
    then["signature"] = {"value": "x"}
    then["versions"]["numpy"] = "1.0"
    then["settings"]["limits"]["pixels"] = 1
    assert compare.differences(then, made) == []
    assert [one.where for one in compare.other_versions(then, made)] == ["versions.numpy"]


CHANGES: dict[str, Callable[[dict[str, Any]], Any]] = {
    "verdict": lambda r: r.update(verdict="ai_generated"),
    "media.sha256": lambda r: r["media"].update(sha256="0" * 64),
    "media.width": lambda r: r["media"].update(width=r["media"]["width"] + 0.2),
    "media.height": lambda r: r["media"].update(height=161),
    "media.bytes": lambda r: r["media"].update(bytes=r["media"]["bytes"] + 0.5),
    "findings[double_jpeg].score": lambda r: finding(r, "double_jpeg").update(score=0.5),
    "findings[double_jpeg].status": lambda r: finding(r, "double_jpeg").update(status="failed"),
    "findings[double_jpeg].version": lambda r: finding(r, "double_jpeg").update(version="0"),
    "findings[double_jpeg].summary": lambda r: finding(r, "double_jpeg").update(
        summary=finding(r, "double_jpeg")["summary"].replace("9", "8")
    ),
    "findings": lambda r: r["findings"].pop(),
    "caveat": lambda r: r.update(caveat="All is well."),
    "settings.profile": lambda r: r["settings"].update(profile="triage"),
    "settings.false_accusation_rate": lambda r: r["settings"].update(false_accusation_rate=0.4),
    "versions.calibration": lambda r: r["versions"].update(calibration="0" * 12),
    "versions.weights.clip_probe": lambda r: r["versions"].update({"weights.clip_probe": "0" * 64}),
    "versions.trust": lambda r: r["versions"].update(trust="0" * 64),
    "untested": lambda r: r.update(untested=[]),
    "more": lambda r: r.update(more="something"),
}


@pytest.mark.parametrize("where", CHANGES)
def test_changes_are_found(made: dict[str, Any], then: dict[str, Any], where: str) -> None:
    CHANGES[where](then)
    assert [one.where for one in compare.differences(then, made)] == [where]


def test_numbers_may_differ_in_their_last_digits(
    made: dict[str, Any], then: dict[str, Any]
) -> None:
    finding(then, "double_jpeg")["parts"][0]["score"] += 0.0015
    assert compare.differences(then, made) == []
    assert [one.where for one in compare.within_tolerance(then, made)] == [
        "findings[double_jpeg].parts[0].score"
    ]
    finding(then, "double_jpeg")["parts"][0]["score"] += 0.01
    assert len(compare.differences(then, made)) == 1


def test_sentences_follow_numbers(made: dict[str, Any], then: dict[str, Any]) -> None:
    """Rounding in a sentence is forgiven only where some number is not equal to the last digit."""
    now = copy.deepcopy(made)
    now["caveat"], then["caveat"] = "At most 1.24 % of 5,000.", "At most 1.25 % of 5,000."
    assert [one.where for one in compare.differences(then, now)] == ["caveat"]
    finding(then, "double_jpeg")["parts"][0]["score"] += 0.0015
    assert compare.differences(then, now) == []
    then["caveat"] = "At most 1.35 % of 5,000."
    assert [one.where for one in compare.differences(then, now)] == ["caveat"]
    then["caveat"] = "At least 1.25 % of 5,000."
    assert [one.where for one in compare.differences(then, now)] == ["caveat"]


@pytest.mark.parametrize(("one", "two"), [(1, 1.0), (1.0, 1), (0, 0.0), (0, 0.0003), (1, 0.999)])
def test_other_programs_write_fractions_as_whole_numbers(
    made: dict[str, Any], one: Any, two: Any
) -> None:
    assert compare.differences(made | {"extra": one}, made | {"extra": two}) == []


@pytest.mark.parametrize("value", [10**400, 1e400, -(10**400)], ids=["whole", "infinite", "below"])
def test_numbers_beyond_any_other(made: dict[str, Any], then: dict[str, Any], value: Any) -> None:
    finding(then, "double_jpeg")["score"] = value
    found = compare.differences(then, made)
    assert [one.where for one in found] == ["findings[double_jpeg].score"]


@pytest.mark.parametrize(
    ("one", "two"), [(True, 1.0), (1, "1"), (None, 0.0), (1, 2), ([], {}), (999.9, 1000)]
)
def test_kinds_are_told_apart(made: dict[str, Any], one: Any, two: Any) -> None:
    facts = [made | {"extra": value} for value in (one, two)]
    assert len(compare.differences(*facts)) == 1


def test_another_processor_is_named(made: dict[str, Any], then: dict[str, Any]) -> None:
    then["versions"]["cpu"] = "x86_64 sse2"
    now = made | {"versions": made["versions"] | {"cpu": "aarch64 neon"}}
    assert compare.other_processor(then, now)
    assert not compare.other_processor(then, then)
    del then["versions"]["cpu"]  # a report that does not say
    assert not compare.other_processor(then, now)
    assert compare.differences(then, now) == []


class TestSettings:
    def test_they_come_back(self, made: dict[str, Any]) -> None:
        found = compare.settings_of(made, Limits())
        assert found.only == ("ela", "double_jpeg", "exif_consistency")
        assert found.limits == Limits()

    def test_a_record_cannot_widen_limits(self, then: dict[str, Any]) -> None:
        then["settings"]["limits"] |= {"pixels": 10**12, "frames": 7}
        found = compare.settings_of(then, Limits())
        assert found.limits == Limits(frames=7)

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("profile", "x"),
            ("only", 7),
            ("false_accusation_rate", 0.0),
            ("false_accusation_rate", "much"),
            ("limits", None),
            ("limits", {"pixels": "many"}),
            ("limits", dict.fromkeys(vars(Limits()), 1e400)),
        ],
    )
    def test_nonsense_is_refused(self, then: dict[str, Any], name: str, value: Any) -> None:
        then["settings"][name] = value
        with pytest.raises(InvalidInput, match="how it was made"):
            compare.settings_of(then, Limits())

    @pytest.mark.parametrize("value", [None, [], "x", 5])
    def test_versions_without_names(self, then: dict[str, Any], value: Any) -> None:
        then["versions"] = value
        with pytest.raises(InvalidInput, match="how it was made"):
            compare.settings_of(then, Limits())


def test_an_empty_key_of_a_later_version_is_no_difference(then: dict[str, Any]) -> None:
    now = copy.deepcopy(then)
    del then["settings"]["asked"]
    finding(now, "ela")["came_later"] = ""
    assert compare.differences(then, now) == []
    finding(now, "ela")["came_later"] = "something"
    now["settings"]["asked"] = ["spoofed"]
    assert {one.where for one in compare.differences(then, now)} == {
        "findings[ela].came_later",
        "settings.asked",
    }
