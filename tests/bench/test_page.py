"""The page of a run: complete in itself, hostile text harmless, warnings first."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from bonafide.bench import charts, page
from bonafide.bench import run as running
from bonafide.bench.protocol import load_protocol
from bonafide.bench.results import results

HOSTILE = '<script>alert("x")</script>'
VOID = {"meta", "img", "path", "circle", "rect", "br"}


@pytest.fixture
def measured(tmp_path: Path, sets: SimpleNamespace) -> dict[str, Any]:
    manifest = sets.make_edited(tmp_path / "set", 8)
    text = (manifest.parent / "tiny.yaml").read_text()
    text = text.replace("[none]", '[none, "jpeg:90", "jpeg:50", normalise]')
    (manifest.parent / "tiny.yaml").write_text(text)
    protocol = load_protocol(manifest.parent / "tiny.yaml")
    rows = [{"path": f"{n:03}.png", "score": str(n % 3), "probability": "0.25"} for n in range(8)]
    sets.write(tmp_path / "theirs.csv", [row | {"degradation": "native"} for row in rows])
    foreign = dict.fromkeys(("theirs", "others"), tmp_path / "theirs.csv")
    plan = running.plan(manifest, protocol, ("ela", "noise_level"), foreign)
    running.run(plan, tmp_path / "out", jobs=1)
    return results(tmp_path / "out", repeats=20)


class Reader(HTMLParser):
    """Tags in order, and whether every one is closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.words: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open and self.open.pop() == tag, tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


def test_the_page_is_complete_in_itself(measured: dict[str, Any]) -> None:
    text = page.render(measured)
    read = Reader(text)
    assert not read.open
    assert not [tag for tag, _ in read.tags if tag in ("script", "link", "iframe")]
    for tag, attributes in read.tags:
        for name in ("src", "href"):
            value = attributes.get(name) or ""
            assert value.startswith(("data:image/", "#")) or not value, (tag, value)
        assert "style" not in attributes, "the policy would refuse it"
    assert "url(" not in text
    contents = [attributes.get("content") or "" for tag, attributes in read.tags if tag == "meta"]
    (policy,) = [content for content in contents if "default-src" in content]
    assert policy.startswith("default-src 'none'; img-src data:; media-src data:;")
    assert "style-src 'sha256-" in policy and "unsafe" not in policy


def test_it_says_what_must_be_known(measured: dict[str, Any]) -> None:
    read = Reader(page.render(measured)).text
    assert measured["run"]["protocol_sha256"] in read
    assert measured["run"]["manifest"]["sha256"] in read
    assert "No audit was made" in read
    assert "theirs.csv" in read
    for words in ("Oracle accuracy", "False-region rate", "Worst mistakes", "How much it survives",
                  "Do two detectors differ?", "What was not scored", "s / megapixel"):  # fmt: skip
        assert words in read, words
    assert read.index("Before you quote a figure") < read.index("Balanced accuracy")


def test_the_warnings_of_the_audit_come_first(measured: dict[str, Any]) -> None:
    interval = {"value": 0.9, "low": 0.85, "high": 0.95}
    tests = [{"name": "size and format", "cues": ["width"], "random": interval, "grouped": None}]
    audit = {"warnings": [f"The container tells. {HOSTILE}"], "cue_tests": tests}
    read = Reader(page.render(measured, audit)).text
    assert read.index("The container tells.") < read.index("0.850–0.950") < read.index("Detector")
    assert "No audit was made" not in read


def test_text_from_files_cannot_act(measured: dict[str, Any]) -> None:
    text = json.dumps(measured)
    text = text.replace("000.png", json.dumps(HOSTILE)[1:-1]).replace("tiny", "a\\u202eb")
    hostile = json.loads(text)
    hostile["degradations"][0]["detectors"]["theirs"]["generators"] = [
        {"generator": f"{HOSTILE}{n}", "positive": 9,
         "auc": {"value": 0.5, "low": None, "high": None, "resampled": "files"}}
        for n in range(2)
    ]  # fmt: skip
    hostile["degradations"][0]["detectors"]["theirs"]["macro_auc"] = None
    text = page.render(hostile)
    assert "<script" not in text
    assert "&lt;script&gt;" in text
    assert "\u202e" not in text


def test_pictures_are_few_and_small(
    measured: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    pictures = page.render(measured).count("data:image/")
    assert pictures > 0
    monkeypatch.setattr(page, "MOST_PICTURES", 2)
    monkeypatch.setattr(page, "_picture", lambda path: "data:image/png;base64,AAAA")
    seen = set(re.findall(r'<img src="[^"]+"[^>]*>.*?<bdi>(.*?)</bdi>', page.render(measured)))
    assert len(seen) == 2


def test_it_is_written_without_the_files(measured: dict[str, Any], tmp_path: Path) -> None:
    measured["run"]["manifest"]["folder"] = str(tmp_path / "gone")
    path = page.write_page(tmp_path / "report.html", measured)
    assert "data:image/" not in path.read_text("utf-8")


def test_figures_are_written_for_people() -> None:
    assert str(page.figure({"value": None, "low": None, "high": None})) == "–"
    assert "<b>0.500</b>" in page.figure({"value": 0.5, "low": None, "high": None})
    assert "−0.100 to 0.200" in page.figure({"value": 0.1, "low": -0.1, "high": 0.2})


def test_thinning_keeps_ends_and_corners() -> None:
    points = [(0.0, n / 1000) for n in range(1001)] + [(n / 1000, 1.0) for n in range(1, 1001)]
    kept = charts.thin(points)
    assert kept[0] == points[0] and kept[-1] == points[-1]
    assert (0.0, 1.0) in kept
    assert len(kept) == 3


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=2, max_size=60))
def test_what_is_thinned_away_lay_close(points: list[tuple[float, float]]) -> None:
    kept = charts.thin(points, 0.05)
    assert set(kept) <= set(points)
    ends = np.array(kept)
    for point in points:
        spans = pairwise(ends)
        assert min(_distance(np.array(point), one, two) for one, two in spans) <= 0.05 + 1e-9


def _distance(point: NDArray[Any], one: NDArray[Any], two: NDArray[Any]) -> float:
    """From a point to an endless line, or to its point where it has no length."""
    along = two - one
    length = float(np.hypot(*along))
    if not length:
        return float(np.hypot(*(point - one)))
    return abs(float(along[0] * (point - one)[1] - along[1] * (point - one)[0])) / length


def test_a_break_in_a_line_is_not_drawn_over() -> None:
    axis = charts.unit_axis("x")
    nan = float("nan")
    series = charts.Series("a", [(0.0, 0.1), (0.2, nan), (0.4, 0.3), (0.6, 0.4)])
    drawn = re.search(r'class="stroke c0" d="([^"]+)"', charts.lines("t", [series], axis, axis))
    assert drawn and drawn.group(1).count("M") == 2


@pytest.mark.browser
@pytest.mark.parametrize("width", [360, 1280])
def test_in_a_browser(browser: Any, measured: dict[str, Any], tmp_path: Path, width: int) -> None:
    path = page.write_page(tmp_path / "report.html", measured)
    complaints: list[str] = []
    view = browser.new_page(viewport={"width": width, "height": 900})
    view.on("console", lambda message: complaints.append(message.text))
    view.on("request", lambda request: None if request.url.startswith(("file:", "data:")) else (
        complaints.append(request.url)))  # fmt: skip
    view.goto(path.absolute().as_uri())
    assert complaints == []
    assert view.evaluate("document.documentElement.scrollWidth") <= width, "it scrolls sideways"
    assert view.evaluate("getComputedStyle(document.querySelector('.brand')).fontFamily")
    assert view.locator("svg.chart").count() > 0
    for details in view.locator("details").all():
        details.evaluate("node => { node.open = true }")
    assert view.evaluate("document.documentElement.scrollWidth") <= width
