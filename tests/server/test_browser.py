"""A person with a browser: signs in, drops files, watches, reads, compares, finds again."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from typing import Any

import pytest

pytestmark = pytest.mark.browser
PATIENCE = 90_000  # milliseconds, for a machine that has other things to do

DROP = """files => {
  const carried = new DataTransfer();
  for (const [name, text] of files) {
    const bytes = Uint8Array.from(atob(text), letter => letter.charCodeAt(0));
    carried.items.add(new File([bytes], name));
  }
  for (const kind of ["dragenter", "dragover", "drop"])
    document.body.dispatchEvent(
      new DragEvent(kind, { dataTransfer: carried, bubbles: true, cancelable: true }));
}"""
PASTE = """([name, text]) => {
  const carried = new DataTransfer();
  const bytes = Uint8Array.from(atob(text), letter => letter.charCodeAt(0));
  carried.items.add(new File([bytes], name));
  dispatchEvent(new ClipboardEvent("paste", { clipboardData: carried, bubbles: true }));
}"""


@pytest.fixture
def visit(browser: Any, running: Any) -> Iterator[Callable[..., Any]]:
    """Opens a page of the service as somebody signed in; complaints fail the test."""
    contexts, complaints = [], []

    def open_page(path: str, **options: Any) -> Any:
        context = browser.new_context(base_url=running.url, **options)
        contexts.append(context)
        cookie = {"name": "bonafide_key", "value": running.keys["admin"], "url": running.url}
        context.add_cookies([cookie])
        page = context.new_page()
        page.set_default_timeout(PATIENCE)
        # Refusals are noted by the browser itself; they are no complaint about the page.
        refused = "Failed to load resource"
        page.on(
            "console",
            lambda said: None if said.text.startswith(refused) else complaints.append(said.text),
        )
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("dialog", lambda dialog: complaints.append(dialog.message))

        def request(made: Any) -> None:
            if not made.url.startswith((running.url, "data:")):
                complaints.append(made.url)

        page.on("request", request)
        page.goto(path)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert complaints == []


def encoded(make_picture: Any, seed: int) -> str:
    return base64.b64encode(make_picture(seed, "JPEG", side=160, quality=90)).decode()


def test_from_three_dropped_files_to_the_history(visit: Any, make_picture: Any) -> None:
    page = visit("/")
    files = [(f"holiday {n}.jpg", encoded(make_picture, 100 + n)) for n in range(3)]
    page.evaluate(DROP, files)
    page.wait_for_url("**/jobs/*")
    assert page.locator("h1").inner_text() == "3 files"
    page.get_by_role("status").filter(has_text="All done: 3 of 3").wait_for()
    assert page.locator(".files tbody tr[data-verdict]").count() == 3

    page.get_by_role("link", name="holiday 1.jpg").click()
    page.wait_for_url("**/reports/*")
    assert page.locator("h2.name").inner_text() == "holiday 1.jpg"
    page.locator("label.chip", has_text="Error level analysis").click()
    strength = page.get_by_role("slider", name="Strength of the overlay")
    strength.fill("30")
    shown = page.locator(".picture .map").filter(visible=True)
    assert shown.evaluate("e => getComputedStyle(e).opacity") == "0.3"
    compare = page.get_by_role("slider", name="Compare")
    compare.fill("50")
    assert page.locator(".side").get_attribute("x") == "80"
    # A line has no width, so that Playwright would call it invisible.
    shown = page.locator(".divider").evaluate("e => getComputedStyle(e).display")
    assert shown == "inline"
    compare.press("ArrowRight")
    assert float(page.locator(".side").get_attribute("x")) > 80

    page.get_by_role("link", name="History").click()
    page.get_by_label("Name or hash").fill("HOLIDAY 2")
    page.get_by_role("button", name="Search").click()
    found = page.locator(".results li")
    assert found.count() == 1
    assert "holiday 2.jpg" in found.inner_text()
    assert found.locator("img").evaluate("async e => { await e.decode(); return e.naturalWidth }")


def test_a_pasted_picture_leads_to_its_report(visit: Any, make_picture: Any) -> None:
    page = visit("/")
    page.locator("label.chip", has_text="Quickly").click()
    page.evaluate(PASTE, ["image.png", encoded(make_picture, 110)])
    page.wait_for_url("**/reports/*")
    assert page.locator("h2.name").inner_text() == "image.png"


def test_a_small_picture_that_is_gone_leaves_no_broken_one(
    visit: Any, running: Any, make_picture: Any
) -> None:
    page = visit("/")
    page.evaluate(PASTE, ["image.png", encoded(make_picture, 112)])
    page.wait_for_url("**/reports/*")
    report = int(page.url.rpartition("/")[2])
    running.app.state.service.spool.page(report).unlink()
    history = visit("/history")  # in a browser that has not kept it either
    history.locator(f"a[href='/reports/{report}'] .thumb:not(:has(img))").wait_for(state="attached")


def test_without_script_the_form_does_it(visit: Any, make_picture: Any) -> None:
    page = visit("/", java_script_enabled=False)
    picture = make_picture(111)
    page.set_input_files("#files", {"name": "a.png", "mimeType": "image/png", "buffer": picture})
    page.locator("label.chip", has_text="Quickly").click()
    page.get_by_role("button", name="Examine").click()
    page.wait_for_url("**/jobs/*")
    page.get_by_role("status").filter(has_text="All done").wait_for()


def test_what_the_server_refuses_is_said(visit: Any) -> None:
    page = visit("/")
    large = base64.b64encode(bytes(2_100_000)).decode()
    page.evaluate(DROP, [("large.jpg", large)])
    page.get_by_role("alert").filter(has_text="large.jpg is too large").wait_for()
    page.evaluate("document.getElementById('upload').dataset.mostBytes = 1e9")
    page.evaluate(DROP, [("large.jpg", large)])
    page.get_by_role("alert").filter(has_text="a file may have 2,097,152 bytes").wait_for()


@pytest.mark.parametrize("width", [360, 1280])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_pages_fit_have_contrast_and_names(
    visit: Any, poor_contrast: str, width: int, scheme: str
) -> None:
    page = visit("/", viewport={"width": width, "height": 800}, color_scheme=scheme)
    for path in ("/", "/history", "/jobs", "/detectors", "/api", "/sign-in", "/nowhere"):
        page.goto(path)
        assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0, path
        assert page.evaluate(poor_contrast) == [], path
        assert page.evaluate(NAMELESS) == [], path
        assert page.locator("h1").count() == 1, path


def test_the_keyboard_reaches_everything(visit: Any) -> None:
    page = visit("/")
    reached = []
    for _ in range(14):
        page.keyboard.press("Tab")
        reached.append(page.evaluate("document.activeElement.textContent.trim() || "
                                     "document.activeElement.name"))  # fmt: skip
    assert reached[0] == "Skip to the content"
    assert {"History", "file", "profile", "stability", "Examine"} <= set(reached)


NAMELESS = """() => [...document.querySelectorAll("input, select, button, a")]
  .filter(e => !e.matches("[type=hidden], [hidden]"))
  .filter(e => !(e.textContent.trim() || e.labels?.length || e.ariaLabel))
  .map(e => e.outerHTML)"""
