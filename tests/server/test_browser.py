"""A person with a browser: signs in, drops files, watches, reads, compares, finds again."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest

from bonafide.server.config import choices
from bonafide.store.rows import JobFile
from bonafide.types import Profile

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
    """Opens a page of a service as somebody signed in; complaints fail the test."""
    contexts, complaints = [], []

    def open_page(path: str, key: str = "admin", at: Any = running, **options: Any) -> Any:
        context = browser.new_context(base_url=at.url, **options)
        contexts.append(context)
        secret = at.keys.get(key, key)
        cookie = {"name": "bonafide_key", "value": secret, "url": at.url}
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
            if not made.url.startswith((at.url, "data:")):
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


def handed_in(at: Any, names: Sequence[str]) -> str:
    """The address of a job that waits."""
    store = at.app.state.service.store
    files = [JobFile(name, f"{n:064x}", f"{n:064x}") for n, name in enumerate(names)]
    return f"/jobs/{store.add_job(files, choices(Profile.TRIAGE, False), 'admin')}"


def take(at: Any, failed: bool = True) -> Any:
    """Take a file as a worker does; and give it back as one that cannot be examined."""
    store = at.app.state.service.store
    file = store.claim("test", 60)
    if failed:
        store.finish(file.id, None, {"error": "Damaged", "why": "it is no picture"})
    return file


def test_more_tabs_with_jobs_than_a_browser_has_connections(visit: Any, idle: Any) -> None:
    jobs = [handed_in(idle, [f"{n}.png", "other.png"]) for n in range(7)]
    first = visit(jobs[0], at=idle)
    tabs = [first, *(first.context.new_page() for _ in jobs[1:])]
    for tab, job in zip(tabs[1:], jobs[1:], strict=True):
        tab.goto(job, timeout=15_000)
    first.context.new_page().goto("/history", timeout=15_000)
    for _ in jobs:
        take(idle)
    for tab in tabs:
        tab.get_by_role("status").filter(has_text="1 of 2 examined").wait_for(timeout=15_000)


def test_what_is_read_aloud_stays_while_nothing_happens(visit: Any, idle: Any) -> None:
    page = visit(handed_in(idle, ["a.png", "b.png"]), at=idle)
    page.evaluate("""() => {
      window.changes = 0;
      const parts = { subtree: true, childList: true, characterData: true };
      new MutationObserver(seen => changes += seen.length).observe(document.body, parts);
    }""")
    for _ in range(2):
        page.wait_for_event("requestfinished")
    assert page.evaluate("changes") == 0
    take(idle)
    page.get_by_role("status").filter(has_text="1 of 2 examined").wait_for()
    assert page.evaluate("changes") > 0


def test_an_answer_that_is_no_page_is_asked_for_again(visit: Any, idle: Any) -> None:
    job = handed_in(idle, ["a.png"])
    page = visit(job, at=idle)
    refused = []

    def refuse(route: Any) -> None:
        refused.append(route)
        route.fulfill(status=429, body="too many") if len(refused) < 3 else route.continue_()

    page.route(f"**{job}", refuse)
    take(idle)
    page.get_by_role("status").filter(has_text="All done: 1 of 1").wait_for(timeout=15_000)
    assert len(refused) >= 3


def test_a_key_revoked_meanwhile_leads_to_where_one_signs_in(
    visit: Any, idle: Any, make_picture: Any
) -> None:
    secret = idle.app.state.service.store.add_key("brief", ("examine",), 0)
    page = visit("/", key=secret, at=idle)
    page.evaluate(DROP, [("a.jpg", encoded(make_picture, 120))])
    page.wait_for_url("**/jobs/*")
    other = page.context.new_page()
    other.goto("/")
    idle.app.state.service.store.revoke("brief")
    other.evaluate(DROP, [("a.jpg", encoded(make_picture, 120))])
    said = other.get_by_role("alert").filter(has_text="no longer valid")
    said.get_by_role("link", name="Sign in again").click()
    other.wait_for_url("**/sign-in")
    page.wait_for_url("**/sign-in?next=/jobs/*")


def test_a_job_that_was_cancelled_says_what_is_true(visit: Any, idle: Any) -> None:
    page = visit(handed_in(idle, ["a.png", "b.png", "c.png"]), at=idle)
    file = take(idle, failed=False)
    page.get_by_role("button", name="Cancel").click()
    said = page.get_by_role("status")
    said.filter(has_text="Cancelled: 0 of 3 examined; 1 under way will be finished").wait_for()
    assert page.get_by_role("button", name="Cancel").count() == 0
    failure = {"error": "Damaged", "why": "it is no picture"}
    idle.app.state.service.store.finish(file.id, None, failure)
    said.filter(has_text=re.compile("^Cancelled: 1 of 3 examined$")).wait_for()
    assert page.locator("#examined").get_attribute("value") == "1"


def test_a_double_click_hands_in_once(visit: Any, idle: Any, make_picture: Any) -> None:
    page = visit("/", at=idle)
    sent: list[Any] = []
    page.route("**/v1/jobs?*", lambda route: sent.append(route))  # it waits for its answer
    picture = {"name": "a.png", "mimeType": "image/png", "buffer": make_picture(121)}
    page.set_input_files("#files", picture)
    examine = page.get_by_role("button", name="Examine")
    examine.dblclick()
    page.get_by_text("Sending a.png").wait_for()
    assert len(sent) == 1
    sent[0].fulfill(status=503, json={"detail": "there is no room"})
    page.get_by_role("alert").filter(has_text="no room").wait_for()
    examine.click()
    page.get_by_text("Sending a.png").wait_for()
    # Back on the page as the browser had kept it.
    page.evaluate("dispatchEvent(new PageTransitionEvent('pageshow', { persisted: true }))")
    examine.dblclick()
    page.get_by_text("Sending a.png").wait_for()
    assert len(sent) == 3
    sent[2].continue_()
    page.wait_for_url("**/jobs/*")
    assert len(idle.app.state.service.store.jobs(None, 10)) == 1


def test_a_page_that_is_saved_is_the_page(visit: Any, make_picture: Any) -> None:
    page = visit("/")
    page.evaluate(PASTE, ["image.png", encoded(make_picture, 122)])
    page.wait_for_url("**/reports/*")
    with page.expect_download() as started:
        page.get_by_role("link", name="Save this page").click()
    saved = started.value
    assert saved.suggested_filename == f"bonafide-{page.url.rpartition('/')[2]}.html"
    assert saved.path().read_text("utf-8").startswith("<!DOCTYPE html>")


def test_a_key_that_only_reads_meets_no_dead_end(visit: Any) -> None:
    page = visit("/", key="read")
    page.wait_for_url("**/history")
    names = page.get_by_role("navigation", name="Site").get_by_role("link").all_inner_texts()
    assert names == ["History", "Detectors", "API"]
    for path, title in (("/jobs", "Forbidden"), ("/nowhere", "Not Found")):
        page.goto(path)
        assert page.locator("h1").inner_text() == title
        assert page.locator(".lead").inner_text() != title
        assert page.get_by_role("link", name="History").is_visible()
        assert page.get_by_role("button", name="Sign out").is_visible()


def test_a_key_that_only_examines_sees_the_verdict(visit: Any, make_picture: Any) -> None:
    page = visit("/", key="examine")
    page.evaluate(PASTE, ["image.png", encoded(make_picture, 123)])
    page.wait_for_url("**/jobs/*")
    page.get_by_role("status").filter(has_text="All done").wait_for()
    assert page.locator(".files .verdict-name").count() == 1
    assert page.locator(".files a, .files img").count() == 0
    names = page.get_by_role("navigation", name="Site").get_by_role("link").all_inner_texts()
    assert names == ["Examine", "Batches"]
    page.reload()
    assert "/jobs/" in page.url


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
