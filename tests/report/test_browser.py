"""The page in a real browser, opened as a file."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from bonafide.media.media import Media
from bonafide.report.html import render_failure, render_section, write_html
from bonafide.types import Failure, Label, Report

pytestmark = pytest.mark.browser


@dataclass
class Opened:
    """A page, and everything it should not have done."""

    page: Any
    complaints: list[str] = field(default_factory=list)


@pytest.fixture
def visit(browser: Any) -> Iterator[Any]:
    contexts = []

    def open_page(path: Path, **options: Any) -> Opened:
        context = browser.new_context(**options)
        contexts.append(context)
        opened = Opened(context.new_page())
        note = opened.complaints.append
        opened.page.on("console", lambda message: note(message.text))
        opened.page.on("pageerror", lambda error: note(str(error)))
        opened.page.on("dialog", lambda dialog: note(dialog.message))
        address = path.absolute().as_uri()

        def request(made: Any) -> None:
            if made.url.split("#")[0] != address and not made.url.startswith("data:"):
                note(made.url)

        opened.page.on("request", request)
        opened.page.goto(address)
        return opened

    yield open_page
    for context in contexts:
        context.close()


@pytest.fixture(scope="module")
def one(tmp_path_factory: Any, hostile: Report, media: Media) -> Path:
    path = tmp_path_factory.mktemp("one") / "report.html"
    return write_html(path, [render_section(hostile, media)], "one")


@pytest.fixture(scope="module")
def many(
    tmp_path_factory: Any, report: Report, quiet: Report, media: Media, failure: Failure
) -> Path:
    path = tmp_path_factory.mktemp("many") / "report.html"
    sections = [render_section(report, media), render_section(quiet, media)]
    return write_html(path, [*sections, render_failure(failure)], "three files")


@pytest.fixture(scope="module")
def places(tmp_path_factory: Any, marked: Report, media: Media) -> Path:
    path = tmp_path_factory.mktemp("places") / "report.html"
    return write_html(path, [render_section(marked, media)], "places")


def displayed(page: Any) -> list[str]:
    script = (
        "all => all.filter(e => getComputedStyle(e).display != 'none').map(e => e.dataset.layer)"
    )
    return list(page.eval_on_selector_all(".picture [data-layer]", script))


def test_overlays_switch_and_fade(visit: Any, one: Path) -> None:
    opened = visit(one)
    page = opened.page
    assert displayed(page) == ["1"]
    page.locator("label.chip", has_text="Error level analysis").click()
    assert displayed(page) == ["3"]
    assert page.locator(".captions p:visible").inner_text().startswith("Error level analysis.")
    page.get_by_role("slider", name="Strength of the overlay").fill("40")
    style = "e => getComputedStyle(e).opacity"
    assert page.locator("[data-layer='3'] .map").evaluate(style) == "0.4"
    page.keyboard.press("Tab")
    page.locator("label.chip", has_text="Nothing").click()
    assert displayed(page) == []
    page.keyboard.press("ArrowRight")
    assert displayed(page) == ["1"]
    assert opened.complaints == []


def test_regions_are_outlined_and_cropped_at_native_zoom(
    visit: Any, places: Path, marked: Report
) -> None:
    opened = visit(places)
    page = opened.page
    assert displayed(page) == ["1"]
    assert page.locator(".captions p:visible").inner_text().startswith("All maps together.")
    assert page.locator("[data-layer='1'] path.line").count() == 2  # the outlines, an arrow
    assert page.locator(".regions li").count() == 3
    assert marked.edits is not None
    first = marked.edits.regions[0]
    crops = page.locator(".regions li").first.locator("svg")
    assert crops.count() == 2
    assert crops.first.bounding_box()["width"] == first.width + 64
    assert page.locator(".regions li").nth(1).locator("svg").count() == 3
    width = page.locator(".regions use").first.evaluate("e => e.getBoundingClientRect().width")
    assert width == first.width + 64
    assert opened.complaints == []


def test_the_picture_is_really_drawn(visit: Any, one: Path) -> None:
    opened = visit(one)
    loaded = """async all => { for (const e of all) {
        const probe = new Image(); probe.src = e.getAttribute('href'); await probe.decode();
        if (!probe.naturalWidth) return false; } return all.length }"""
    assert opened.page.eval_on_selector_all(".picture image", loaded) == 4
    assert opened.complaints == []


def test_zoom_by_button_and_by_click(visit: Any, one: Path) -> None:
    opened = visit(one)
    page = opened.page
    before = page.locator(".picture").bounding_box()["width"]
    button = page.locator(".zoom")
    button.click()
    assert button.get_attribute("aria-pressed") == "true"
    assert page.locator(".picture").bounding_box()["width"] > 1.2 * before
    page.locator(".stage").click(position={"x": 50, "y": 50})
    assert button.get_attribute("aria-pressed") == "false"
    assert page.locator(".picture").bounding_box()["width"] == before
    assert opened.complaints == []


def test_hostile_markup_does_not_run(visit: Any, one: Path) -> None:
    opened = visit(one)
    assert "owned" not in opened.page.title()
    assert opened.page.locator("script").count() == 1
    assert opened.page.locator("img").count() == 0
    assert "onerror=" in opened.page.locator("h2").inner_text()
    assert opened.complaints == []


def test_injected_code_would_be_stopped_by_the_policy(visit: Any, one: Path) -> None:
    opened = visit(one)
    page = opened.page
    page.evaluate(
        """() => { for (const html of ["<img src='https://example.org/x.png'>",
            "<img src=data: onerror='document.title=1'>", "<p style='color:red' id=p></p>"])
            document.body.insertAdjacentHTML("beforeend", html);
            const code = document.createElement("script"); code.textContent = "document.title=2";
            document.body.append(code); }"""
    )
    page.wait_for_timeout(200)
    assert page.title() == "one · bonafide"
    refused = [text for text in opened.complaints if "Content Security Policy" in text]
    assert len(refused) >= 4


def test_filter_and_anchors_without_script(visit: Any, many: Path) -> None:
    opened = visit(many, java_script_enabled=False)
    page = opened.page
    assert page.locator(".file:visible").count() == 3
    page.locator("label.chip", has_text="Not examined").click()
    assert page.locator(".file:visible").count() == page.locator(".entry:visible").count() == 1
    page.locator("label.chip", has_text="All").click()
    assert page.locator(".entry:visible").count() == 3
    page.locator(".entry a").nth(2).click()
    assert page.url.split("#")[1].startswith("f-")
    page.locator("label.chip", has_text="Copied and moved").first.click()
    assert page.locator(".captions p:visible").first.inner_text().startswith("Copied and moved")
    assert not page.locator(".tools:visible").count()


@pytest.mark.parametrize("width", [360, 768, 1600])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_sticks_out(
    visit: Any, many: Path, one: Path, places: Path, width: int, scheme: str
) -> None:
    for path in (many, one, places):
        opened = visit(path, viewport={"width": width, "height": 800}, color_scheme=scheme)
        opened.page.eval_on_selector_all("details", "all => all.forEach(e => e.open = true)")
        assert opened.page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
        assert opened.complaints == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_has_contrast(
    visit: Any, many: Path, places: Path, poor_contrast: str, scheme: str
) -> None:
    for path in (many, places):
        opened = visit(path, color_scheme=scheme)
        opened.page.eval_on_selector_all("details", "all => all.forEach(e => e.open = true)")
        assert opened.page.evaluate(poor_contrast) == []


def test_controls_are_named_for_screen_readers(visit: Any, one: Path) -> None:
    tree = visit(one).page.locator("body").aria_snapshot()
    for control in ('slider "Strength', 'button "Enlarge"', 'radio "Nothing"', 'group "Lay over'):
        assert control in tree


@pytest.fixture(scope="module")
def film(tmp_path_factory: Any, video_report: Report, clip: Any) -> Path:
    path = tmp_path_factory.mktemp("film") / "report.html"
    return write_html(path, [render_section(video_report, clip)], "film")


def shown_frames(page: Any) -> list[str]:
    script = (
        "all => all.filter(e => getComputedStyle(e).display != 'none').map(e => e.dataset.frame)"
    )
    return list(page.eval_on_selector_all("svg[data-frame]", script))


def click_point(page: Any, number: int) -> None:
    """Click beside a point of the line, where it still reaches."""
    place = """e => { e.scrollIntoView({block: "center", behavior: "instant"});
        const p = e.getPointAtLength(0).matrixTransform(e.getScreenCTM()); return [p.x, p.y] }"""
    x, y = page.locator(f"a[data-point='{number}'] .reach").evaluate(place)
    page.mouse.click(x + 3, y + 8)


class TestVideo:
    def test_a_thumbnail_opens_its_frame_with_its_map(self, visit: Any, film: Path) -> None:
        opened = visit(film)
        page = opened.page
        first = shown_frames(page)
        assert len(first) == 1
        assert page.locator(f"[data-shot='{first[0]}']").is_checked()
        other = "2" if first != ["2"] else "3"
        page.locator("label.shot").nth(int(other) - 1).click()
        assert shown_frames(page) == [other]
        assert page.locator(f"svg[data-frame='{other}'] .map").is_visible()
        assert page.locator(".captions .at:visible").inner_text().startswith("Frame at 0:0")
        assert opened.complaints == []

    def test_a_point_of_the_line_opens_its_frame(self, visit: Any, film: Path) -> None:
        opened = visit(film)
        page = opened.page
        click_point(page, 9)
        assert shown_frames(page) == ["9"]
        page.locator("a[data-point='4']").focus()
        page.keyboard.press("Enter")
        assert shown_frames(page) == ["4"]
        assert opened.complaints == []

    def test_by_keyboard_from_frame_to_frame(self, visit: Any, film: Path) -> None:
        page = visit(film).page
        page.locator("[data-shot='5']").check(force=True)
        page.keyboard.press("ArrowRight")
        assert shown_frames(page) == ["6"]

    def test_without_script(self, visit: Any, film: Path) -> None:
        page = visit(film, java_script_enabled=False).page
        page.locator("label.shot").nth(7).click()
        assert page.locator("svg[data-frame='8']").is_visible()
        assert not page.locator("svg[data-frame='7']").is_visible()
        click_point(page, 3)
        page.wait_for_url("**-frame-3", timeout=5000)

    def test_the_frame_can_be_enlarged(self, visit: Any, film: Path) -> None:
        page = visit(film, viewport={"width": 700, "height": 800}).page
        (frame,) = shown_frames(page)
        before = page.locator(f"svg[data-frame='{frame}']").bounding_box()["width"]
        page.locator(".zoom").click()
        assert page.locator(f"svg[data-frame='{frame}']").bounding_box()["width"] > 1.2 * before
        page.locator("label.shot").first.click()
        assert page.locator("svg[data-frame='1']").bounding_box()["width"] > 1.2 * before

    @pytest.mark.parametrize("width", [360, 768, 1600])
    @pytest.mark.parametrize("scheme", ["light", "dark"])
    def test_nothing_sticks_out(self, visit: Any, film: Path, width: int, scheme: str) -> None:
        opened = visit(film, viewport={"width": width, "height": 800}, color_scheme=scheme)
        opened.page.eval_on_selector_all("details", "all => all.forEach(e => e.open = true)")
        assert opened.page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
        assert opened.complaints == []

    @pytest.mark.parametrize("scheme", ["light", "dark"])
    def test_text_has_contrast(
        self, visit: Any, film: Path, poor_contrast: str, scheme: str
    ) -> None:
        opened = visit(film, color_scheme=scheme)
        opened.page.eval_on_selector_all("details", "all => all.forEach(e => e.open = true)")
        assert opened.page.evaluate(poor_contrast) == []

    def test_it_is_named_for_screen_readers(self, visit: Any, film: Path) -> None:
        tree = visit(film).page.locator("body").aria_snapshot()
        for name in (
            'group "Frames and their scores"',
            'link "Show the frame at 0:0',
            'img "Frame',
        ):
            assert name in tree


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_verdict_has_contrast(
    visit: Any, tmp_path: Path, quiet: Report, poor_contrast: str, scheme: str
) -> None:
    sections = [
        render_section(replace(quiet, verdict=replace(quiet.verdict, label=label)), None)
        for label in Label
    ]
    opened = visit(write_html(tmp_path / "all.html", sections, "all"), color_scheme=scheme)
    assert opened.page.evaluate(poor_contrast) == []
