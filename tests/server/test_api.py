"""What clients of the API see, over real HTTP with a real worker."""

from __future__ import annotations

import csv
import io
import json
import os
import signal
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import jsonschema
import numpy as np
import pytest
from PIL import Image as Pillow

Make = Callable[..., bytes]
QUICK = {"profile": "triage", "wait": 60}


def examine(client: httpx.Client, data: bytes, name: str = "a.png", **query: Any) -> httpx.Response:
    return client.post("/v1/examine", files={"file": (name, data)}, params=QUICK | query)


def wait_for(client: httpx.Client, job: str) -> dict[str, Any]:
    deadline = time.monotonic() + 60
    while True:
        found = client.get(f"/v1/jobs/{job}").json()
        if found["finished_at"] or time.monotonic() > deadline:
            return dict(found)
        time.sleep(0.1)


def test_a_report_is_answered_stored_and_found(admin: httpx.Client, make_picture: Make) -> None:
    answer = examine(admin, make_picture(1), "first one.png")
    assert answer.status_code == 200, answer.text
    report = answer.json()
    schema = json.loads((Path(__file__).parents[2] / "docs" / "report.schema.json").read_text())
    jsonschema.validate(report, schema)
    assert report["media"]["path"] is None
    where = answer.headers["content-location"]
    assert admin.get(where).json() == report
    rows = admin.get("/v1/reports", params={"text": "first one"}).json()["reports"]
    assert [row["href"] for row in rows] == [where]
    assert rows[0]["sha256"] == report["media"]["sha256"]


def test_the_same_bytes_are_examined_once_and_found_by_either_name(
    admin: httpx.Client, make_picture: Make
) -> None:
    one = examine(admin, make_picture(2), "erstes.png")
    two = examine(admin, make_picture(2), "zweites.png")
    assert one.headers["content-location"] == two.headers["content-location"]
    assert one.json()["examined_at"] == two.json()["examined_at"]
    for name in ("erstes", "zweites"):
        assert len(admin.get("/v1/reports", params={"text": name}).json()["reports"]) == 1


def test_what_looks_alike_is_pointed_out(admin: httpx.Client, make_picture: Make) -> None:
    whole = make_picture(81, side=400)
    buffer = io.BytesIO()
    Pillow.open(io.BytesIO(whole)).convert("RGB").resize((200, 200)).save(buffer, "JPEG")
    where = examine(admin, whole, "whole.png").headers["content-location"]
    small = examine(admin, buffer.getvalue(), "small.jpg").headers["content-location"]
    (near,) = admin.get(f"{where}/similar").json()["similar"]
    assert (near["name"], near["href"]) == ("small.jpg", small)
    assert "whole.png" in admin.get(small.removeprefix("/v1"), headers={"accept": "text/html"}).text
    assert admin.get("/v1/reports/999999/similar").status_code == 404


def test_a_mistake_is_kept_with_the_report(
    running: Any, admin: httpx.Client, make_picture: Make
) -> None:
    where = examine(admin, make_picture(85), "mistaken.png").headers["content-location"]
    page, said = where.removeprefix("/v1"), {"truth": "bona_fide", "note": "<b>I took it</b>"}
    answer = admin.post(f"{where}/feedback", json=said | {"consent": True})
    assert answer.status_code == 201
    (kept,) = answer.json()["feedback"]
    assert (kept["truth"], kept["consent"], kept["actor"]) == ("bona_fide", True, "admin")
    for odd in ({"truth": "fine"}, {"truth": "bona_fide", "note": "x" * 2001}, {}):
        assert admin.post(f"{where}/feedback", json=odd).status_code == 422
    assert admin.post("/v1/reports/999999/feedback", json=said).status_code == 404
    assert admin.get("/v1/reports/999999/feedback").status_code == 404
    with running.client(None, cookies={"bonafide_key": running.keys["read"]}) as reader:
        reader.headers["accept"] = "text/html"
        form = {"truth": "manipulated", "note": "seen elsewhere"}
        sent = reader.post(f"{page}/feedback", data=form)
        assert sent.headers["location"] == f"{page}#feedback"
        assert reader.post(f"{page}/feedback", data={"truth": "x"}).status_code == 422
        shown = reader.get(page).text
    assert "&lt;b&gt;I took it" in shown and "seen elsewhere" in shown
    found = admin.get(f"{where}/feedback").json()["feedback"]
    assert [one["truth"] for one in found] == ["bona_fide", "manipulated"]


def test_a_browser_gets_a_page_that_stands_alone(admin: httpx.Client, make_picture: Make) -> None:
    where = examine(admin, make_picture(3)).headers["content-location"]
    page = admin.get(where, headers={"accept": "text/html,*/*"})
    assert page.headers["content-type"].startswith("text/html")
    assert "<!DOCTYPE html>" in page.text and "data:image/" in page.text
    assert "unsafe-inline" not in page.headers["content-security-policy"]
    saved = admin.get(f"{where.removeprefix('/v1')}/page.html")  # whatever is accepted
    assert saved.text == page.text
    assert saved.headers["content-disposition"].startswith("attachment;")
    policy = "content-security-policy"
    assert saved.headers[policy] == page.headers[policy]
    small = admin.get(f"{where}/thumbnail")
    assert small.headers["content-type"] in ("image/png", "image/jpeg")
    assert max(Pillow.open(io.BytesIO(small.content)).size) <= 96


def zipped() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("zeros", bytes(50_000_000))
    return buffer.getvalue()


def pixel_bomb() -> bytes:
    buffer = io.BytesIO()
    Pillow.fromarray(np.zeros((9000, 9000), np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


def test_files_that_cannot_be_examined_get_a_clear_4xx(
    admin: httpx.Client, make_picture: Make
) -> None:
    whole = make_picture(4, "JPEG", side=400)
    for data, statuses in (
        (zipped(), {415, 422}),
        (pixel_bomb(), {413}),
        (whole[: len(whole) // 3], {422}),
        (b"GIF89a", {415, 422}),
        (b"just words", {415, 422}),
        (b"", {422}),
    ):
        answer = examine(admin, data)
        problem = answer.json()
        assert answer.status_code in statuses, problem
        assert answer.headers["content-type"] == "application/problem+json"
        assert problem["status"] == answer.status_code
        assert problem["detail"] and "Traceback" not in problem["detail"]


def test_a_batch_with_a_bad_file_in_it(admin: httpx.Client, make_picture: Make) -> None:
    files = [
        ("file", ("one.png", make_picture(5))),
        ("file", ("=1+1.png", b"nothing")),
        ("file", ("empty.png", b"")),
        ("file", ("two.png", make_picture(6))),
    ]
    accepted = admin.post("/v1/jobs", files=files, params={"profile": "triage"})
    assert accepted.status_code == 202
    job = wait_for(admin, accepted.json()["id"])
    assert job["counts"] == {"done": 2, "failed": 2}
    assert [file["state"] for file in job["files"]] == ["done", "failed", "failed", "done"]
    assert job["files"][1]["failure"]["status"] in (415, 422)
    assert job["files"][0]["verdict"] == "inconclusive"
    table = list(csv.DictReader(io.StringIO(admin.get(f"{job['href']}/results.csv").text)))
    assert [row["state"] for row in table] == ["done", "failed", "failed", "done"]
    assert table[1]["name"].startswith("'=1+1")


def test_progress_is_sent_as_it_happens(admin: httpx.Client, make_picture: Make) -> None:
    files = [("file", (f"{n}.png", make_picture(10 + n))) for n in range(3)]
    job = admin.post("/v1/jobs", files=files, params={"profile": "triage"}).json()
    events: list[tuple[str, dict[str, Any]]] = []
    with admin.stream("GET", f"{job['href']}/events") as stream:
        assert stream.headers["content-type"].startswith("text/event-stream")
        kind = ""
        for line in stream.iter_lines():
            if line.startswith("event: "):
                kind = line.removeprefix("event: ")
            elif line.startswith("data: "):
                events.append((kind, json.loads(line.removeprefix("data: "))))
    assert events[-1][0] == "end" and events[-1][1]["state"] == "done"
    done = {data["name"] for kind, data in events if kind == "file" and data["state"] == "done"}
    assert done == {"0.png", "1.png", "2.png"}


def test_the_worker_comes_back_when_it_is_killed(
    running: Any, admin: httpx.Client, make_picture: Make
) -> None:
    before = running.app.state.keeper.process.pid
    os.kill(before, signal.SIGKILL)
    assert examine(admin, make_picture(20)).status_code == 200
    assert running.app.state.keeper.process.pid != before
    assert admin.get("/health/ready").status_code == 200


def test_every_answer_carries_the_id_of_its_request(admin: httpx.Client) -> None:
    given = admin.get("/v1/jobs", headers={"x-request-id": "abc-1"})
    assert given.headers["x-request-id"] == "abc-1"
    unfit = admin.get("/v1/jobs/none", headers={"x-request-id": "a b\x7f{}"})
    assert unfit.headers["x-request-id"] == unfit.json()["request_id"] != "a b"


def test_what_is_not_there_is_told_in_a_sentence(admin: httpx.Client) -> None:
    assert admin.get("/v1/nothing").json()["detail"] == "there is nothing at this address"
    wrong = admin.delete("/v1/jobs")
    assert wrong.status_code == 405 and wrong.json()["detail"] != wrong.json()["title"]


def test_what_prometheus_and_an_orchestrator_read(admin: httpx.Client) -> None:
    text = admin.get("/metrics").text
    for name in ("bonafide_requests_total", "bonafide_files_waiting", "bonafide_request_seconds"):
        assert name in text
    assert admin.get("/health/live").json()["status"] == "ok"
    checks = admin.get("/health/ready").json()["checks"]
    assert checks == {"spool": "ok", "store": "ok", "worker": "ok"}


@pytest.mark.parametrize("query", ["limit=0", "before=0", "before=9223372036854775808", "since=x"])
def test_wrong_parameters_are_named(admin: httpx.Client, query: str) -> None:
    answer = admin.get(f"/v1/reports?{query}")
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["where"] == f"query.{query.split('=')[0]}"
