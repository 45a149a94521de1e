"""What must not be possible."""

from __future__ import annotations

import errno
import http.server
import io
import os
import socket
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy
from fastapi import FastAPI
from fastapi.testclient import TestClient
from PIL import Image as Pillow
from PIL import PngImagePlugin

from bonafide.server.app import create_app
from bonafide.store.models import StoredReport

Make = Callable[..., bytes]
HOSTILE = "<script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\">"


def client_of(app: FastAPI) -> TestClient:
    """A client that calls the application by a name that it answers to without keys."""
    return TestClient(app, base_url="http://127.0.0.1")


CALLS = [
    ("POST", "/v1/examine", "examine"),
    ("POST", "/v1/jobs", "examine"),
    ("GET", "/v1/jobs", "examine"),
    ("GET", f"/v1/jobs/{'0' * 32}", "examine"),
    ("POST", f"/v1/jobs/{'0' * 32}/cancel", "examine"),
    ("GET", f"/v1/jobs/{'0' * 32}/events", "examine"),
    ("GET", f"/v1/jobs/{'0' * 32}/results.csv", "examine"),
    ("GET", "/v1/webhook-secret", "examine"),
    ("GET", "/v1/reports", "read"),
    ("GET", "/v1/reports/1", "read"),
    ("GET", "/v1/reports/1/thumbnail", "read"),
    ("GET", "/v1/reports/1/similar", "read"),
    ("GET", "/v1/reports/1/feedback", "read"),
    ("POST", "/v1/reports/1/feedback", "read"),
    ("GET", "/v1/detectors", "read"),
    ("GET", "/metrics", "admin"),
]


@pytest.mark.parametrize(("method", "path", "scope"), CALLS)
def test_no_key_no_answer(running: Any, method: str, path: str, scope: str) -> None:
    with running.client(None) as client:
        for headers in ({}, {"authorization": "Bearer wrong"}, {"x-api-key": "x" * 5000}):
            answer = client.request(method, path, headers=headers)
            assert answer.status_code == 401, answer.text
            assert answer.headers["www-authenticate"] == "Bearer"
    other = "read" if scope == "examine" else "examine"
    with running.client(other) as client:
        assert client.request(method, path).status_code == 403


def test_every_route_of_the_interface_is_in_that_list(running: Any) -> None:
    described = {
        (method.upper(), path)
        for path, methods in running.app.openapi()["paths"].items()
        for method in methods
        if not path.startswith("/health")
    }
    asked = {
        (method, path.replace("0" * 32, "{id}").replace("/reports/1", "/reports/{id}"))
        for method, path, _ in CALLS
    }
    assert described == asked


def test_a_revoked_key_is_out_at_once(running: Any) -> None:
    store = running.app.state.service.store
    secret = store.add_key("short-lived", ("read",), 0)
    with running.client(None, headers={"authorization": f"Bearer {secret}"}) as client:
        assert client.get("/v1/reports").status_code == 200
        store.revoke("short-lived")
        assert client.get("/v1/reports").status_code == 401


def test_a_job_is_nobody_elses(running: Any, make_picture: Make) -> None:
    secret = running.app.state.service.store.add_key("other", ("examine", "read"), 0)
    with running.client("examine") as owner, running.client(None) as other:
        other.headers["authorization"] = f"Bearer {secret}"
        files = {"file": ("mine.png", make_picture(30))}
        job = owner.post("/v1/jobs?profile=triage", files=files).json()
        for method, path in (("GET", ""), ("POST", "/cancel"), ("GET", "/events")):
            assert other.request(method, job["href"] + path).status_code == 404
        assert job["id"] not in other.get("/v1/jobs").text
        assert owner.get(job["href"]).status_code == 200


def test_the_rate_of_a_key_is_kept(running: Any) -> None:
    secret = running.app.state.service.store.add_key("slow", ("read",), 8)
    with running.client(None, headers={"x-api-key": secret}) as client:
        statuses = [client.get("/v1/detectors").status_code for _ in range(4)]
        last = client.get("/v1/detectors")
    assert statuses[0] == 200 and last.status_code == 429
    assert 1 <= int(last.headers["retry-after"]) <= 8


def test_a_browser_reads_more_but_not_without_bound(running: Any, make_picture: Make) -> None:
    store = running.app.state.service.store
    secret = store.add_key("at the screen", ("read", "examine"), 8)
    files = {"file": ("a.png", make_picture(61))}
    with running.client(None, cookies={"bonafide_key": secret}) as client:
        client.headers["accept"] = "text/html"
        for path in ("/history", "/v1/detectors", "/jobs") * 3:
            assert client.get(path).status_code == 200
        pictures = {client.get("/v1/reports/1/thumbnail").status_code for _ in range(40)}
        sent = [client.post("/v1/jobs?profile=triage", files=files) for _ in range(4)]
        read = [client.get("/v1/detectors").status_code for _ in range(60)]
    assert 429 not in pictures
    assert [answer.status_code for answer in sent][:2] == [202, 202]
    assert sent[-1].status_code == 429
    assert read[0] == 200 and read[-1] == 429


def test_who_submits_a_known_file_learns_nothing_of_who_did_before(
    running: Any, make_picture: Make
) -> None:
    """The stored record has the first name, path and signature; a key to examine gets its own."""
    content = make_picture(77)
    service = running.app.state.service
    with running.client() as first:
        query = {"profile": "triage", "wait": 60}
        answer = first.post(
            "/v1/examine", files={"file": ("secret source.png", content)}, params=query
        )
        assert answer.status_code == 200, answer.text
        id_ = int(answer.headers["content-location"].rpartition("/")[2])
    private = {"path": "/home/anna/secret source.png", "signature": {"value": "of anna"}}
    record = service.store.report(id_)
    with service.store._write() as session:
        values = record | {"signature": private["signature"]}
        values["media"] = record["media"] | {"path": private["path"]}
        session.get(StoredReport, id_).record = values
    with running.client("examine") as other:
        for _ in range(2):
            answer = other.post("/v1/examine", files={"file": ("mine.png", content)}, params=query)
            assert answer.status_code == 200, answer.text
            assert "secret source" not in answer.text and "anna" not in answer.text
            assert answer.json()["media"]["name"] == "mine.png"
            assert answer.json()["media"]["path"] is None
            assert "signature" not in answer.json()
        job = other.post("/v1/jobs?profile=triage", files={"file": ("mine.png", content)}).json()
        for path in (job["href"], f"{job['href']}/results.csv", f"{job['href']}/events"):
            assert "secret source" not in other.get(path).text


@pytest.mark.parametrize("told", [True, False], ids=["told", "chunked"])
def test_an_oversized_body_is_refused(running: Any, told: bool) -> None:
    opening = b'--x\r\ncontent-disposition: form-data; name="file"; filename="a"\r\n\r\n'
    body = opening + os.urandom(3 * 1024**2)
    kind = {"content-type": "multipart/form-data; boundary=x"}
    with running.client() as client:
        content = body if told else iter([body[: 2**20], body[2**20 :]])
        answer = client.post("/v1/examine", content=content, headers=kind)
        assert answer.status_code == 413, answer.text
        assert answer.json()["code"] == "too_large"
        assert client.post("/sign-in", content=bytes(100_000)).status_code == 413


def test_an_encoded_body_is_not_unpacked(running: Any) -> None:
    with running.client() as client:
        answer = client.post("/v1/jobs", content=b"x", headers={"content-encoding": "gzip"})
        assert answer.status_code == 415


def test_too_many_parts_are_refused(running: Any) -> None:
    with running.client() as client:
        files = [("file", (f"{n}", b"x")) for n in range(101)]
        assert client.post("/v1/jobs", files=files).status_code == 400
        parts = {f"p{n}": "x" for n in range(30)}
        answer = client.post("/v1/jobs", data=parts, files={"file": ("a", b"x")})
        assert answer.status_code == 400
        assert client.post("/v1/jobs", data={"file": "x"}).status_code == 415


TRICKS = [
    "../../../etc/passwd",
    "/etc/passwd",
    "..\\..\\boot.ini",
    "C:\\x\\y.png",
    "..",
    "a/",
    "\n",
]


def test_names_never_become_paths(running: Any, make_picture: Make) -> None:
    spool = running.app.state.service.spool.folder
    outside = sorted(path for path in spool.parent.iterdir())
    with running.client() as client:
        files = [("file", (name, make_picture(40))) for name in TRICKS]
        job = client.post("/v1/jobs?profile=triage", files=files).json()
    assert all("/" not in file["name"] and "\\" not in file["name"] for file in job["files"])
    assert sorted(path for path in spool.parent.iterdir()) == outside
    names = {path.name for path in (spool / "uploads").rglob("*") if path.is_file()}
    assert all(len(name) == 64 for name in names if not name.endswith((".part", ".lock")))
    with running.client() as client:
        for path in ("/static/../app.py", "/static/..%2fapp.py", "/static/%2e%2e/app.py"):
            assert client.get(path).status_code == 404


@pytest.fixture(scope="module")
def inside() -> Iterator[tuple[str, list[str]]]:
    """A server on this machine that nobody may be made to ask, and who did."""
    asked: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(200)
            self.end_headers()

        def do_POST(self) -> None:
            self.do_GET()

        def log_message(self, *_: Any) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield str(server.server_address[1]), asked
    server.shutdown()


def test_addresses_inside_are_not_fetched(running: Any, inside: tuple[str, list[str]]) -> None:
    port, asked = inside
    hosts = ["127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]", "0.0.0.0", "2130706433"]
    with running.client() as client:
        for host in [*hosts, "127.1", "0x7f.1"]:
            answer = client.post("/v1/examine", json={"url": f"http://{host}:{port}/secret"})
            assert answer.status_code == 422, (host, answer.text)
            assert answer.json()["code"] == "fetch"
        for url in ("file:///etc/passwd", "gopher://x/", "http://a:b@example.org/", "http://"):
            assert client.post("/v1/examine", json={"url": url}).status_code == 422
    assert asked == []


def test_fetching_is_off_unless_the_operator_says_so(config_in: Any) -> None:
    with client_of(create_app(config_in(auth=False))) as client:
        answer = client.post("/v1/examine", json={"url": "https://example.org/a.png"})
        assert answer.status_code == 403 and answer.json()["code"] == "no_fetching"


def test_a_webhook_inside_is_not_told(
    running: Any, inside: tuple[str, list[str]], make_picture: Make
) -> None:
    port, asked = inside
    with running.client() as client:
        query = {"profile": "triage", "webhook": f"http://127.0.0.1:{port}/hook"}
        files = {"file": ("a.png", make_picture(50))}
        job = client.post("/v1/jobs", files=files, params=query)
        assert job.status_code == 202
        wrong = client.post("/v1/jobs", files=files, params=query | {"webhook": "ftp://x/"})
        assert wrong.status_code == 422
        store, deadline = running.app.state.service.store, time.monotonic() + 40
        while store.job(job.json()["id"]).webhook_attempts == 0 and time.monotonic() < deadline:
            time.sleep(0.2)
    assert store.job(job.json()["id"]).webhook_attempts >= 1
    assert asked == []


def test_a_foreign_page_cannot_act_for_a_visitor(running: Any, make_picture: Make) -> None:
    files = {"file": ("a.png", make_picture(60))}
    cookie = {"bonafide_key": running.keys["admin"]}
    with running.client(None, cookies=cookie) as client:
        assert client.get("/v1/jobs").status_code == 200
        for headers in ({"origin": "https://evil.example"}, {"sec-fetch-site": "cross-site"}):
            answer = client.post("/v1/jobs", files=files, headers=headers)
            assert answer.status_code == 403 and answer.json()["code"] == "cross_site"
        own = {"origin": running.url, "sec-fetch-site": "same-origin"}
        assert client.post("/v1/jobs?profile=triage", files=files, headers=own).status_code == 202


def test_without_keys_only_this_machine_under_its_own_names(config_in: Any) -> None:
    with client_of(create_app(config_in(auth=False))) as client:
        assert client.get("/v1/jobs", headers={"host": "testserver"}).status_code == 400
        assert client.get("/v1/jobs").status_code == 200
        assert client.get("/v1/jobs", headers={"host": "rebound.example"}).status_code == 400
        headers = {"origin": "https://evil.example"}
        assert client.post("/v1/jobs", headers=headers).status_code == 403


@pytest.mark.parametrize("host", ["::1", "127.0.0.2"])
def test_without_keys_the_host_that_was_chosen_is_a_name_too(config_in: Any, host: str) -> None:
    address = f"http://{f'[{host}]' if ':' in host else host}:8103/"
    with TestClient(create_app(config_in(auth=False, host=host)), base_url=address) as client:
        assert client.get("/v1/jobs").status_code == 200
        assert client.get("/v1/jobs", headers={"host": "127.0.0.3"}).status_code == 400


def test_the_address_of_a_service_can_be_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import uvicorn
    from click.testing import CliRunner

    from bonafide.cli.serve import serve

    monkeypatch.setattr(uvicorn.Server, "run", lambda server: None)
    monkeypatch.setattr(tempfile, "tempdir", None)  # put back afterwards
    where = ["--store", str(tmp_path / "store.db"), "--spool", str(tmp_path / "spool")]
    said = CliRunner().invoke(serve, ["--no-auth", "--host", "::1", "--port", "8103", *where])
    assert "http://[::1]:8103/ " in said.output


def test_no_auth_is_refused_on_other_addresses() -> None:
    from click.testing import CliRunner

    from bonafide.cli.serve import serve

    result = CliRunner().invoke(serve, ["--no-auth", "--host", "0.0.0.0"])
    assert result.exit_code == 2 and "--no-auth" in result.output


def test_a_full_queue_turns_away_honestly(config_in: Any, make_picture: Make) -> None:
    with client_of(create_app(config_in(auth=False, longest_queue=2))) as client:
        files = [("file", (f"{n}.png", make_picture(n))) for n in range(2)]
        job = client.post("/v1/jobs", files=files)
        assert job.status_code == 202
        answer = client.post("/v1/examine?wait=1", files=files[:1])
        assert answer.status_code == 503 and int(answer.headers["retry-after"]) > 0
        cancelled = client.post(job.json()["href"] + "/cancel").json()
        assert cancelled["state"] == "cancelled" and cancelled["counts"] == {"cancelled": 2}
        assert client.post(job.json()["href"] + "/cancel").status_code == 409
        assert client.post("/v1/examine", files=files[:1]).status_code == 202


def half_a_body(url: str, path: str) -> socket.socket:
    """A connection on which less than the promised body was sent."""
    host, _, port = url.removeprefix("http://").rpartition(":")
    connection = socket.create_connection((host, int(port)), 30)
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 900\r\n"
    kind = "Content-Type: multipart/form-data; boundary=x\r\n\r\n"
    connection.sendall(f"{head}{kind}--x\r\n".encode())
    return connection


def test_a_body_that_does_not_come_is_given_up(config_in: Any, serve: Any) -> None:
    server, thread, url = serve(create_app(config_in(auth=False, upload_seconds=0.3)))
    for path in ("/v1/jobs", "/sign-in"):
        with half_a_body(url, path) as connection:
            assert connection.recv(100).startswith(b"HTTP/1.1 408"), path
    server.should_exit = True
    thread.join(20)


def test_who_leaves_in_the_middle_is_no_bug(
    config_in: Any, serve: Any, caplog: pytest.LogCaptureFixture
) -> None:
    app = create_app(config_in(auth=False))
    server, thread, url = serve(app)
    half_a_body(url, "/sign-in").close()
    deadline = time.monotonic() + 30
    while "499" not in app.state.service.metrics.text().decode() and time.monotonic() < deadline:
        time.sleep(0.05)
    server.should_exit = True
    thread.join(20)
    assert 'status="499"' in app.state.service.metrics.text().decode()
    assert not [one for one in caplog.records if one.levelname == "ERROR"]


@pytest.mark.parametrize("charset", ["undefined", "utf-7", "unicode_escape", "idna"])
def test_odd_charsets_are_refused(running: Any, charset: str) -> None:
    body = b'--x\r\nContent-Disposition: form-data; name="key"\r\n\r\n+2AA-\\ud800\r\n--x--\r\n'
    kind = {"content-type": f"multipart/form-data; boundary=x; charset={charset}"}
    with running.client(None) as client:
        for path in ("/sign-in", "/v1/jobs"):
            assert client.post(path, content=body, headers=kind).status_code == 415


@pytest.mark.parametrize("part", ["profile", "files"])
def test_parts_that_nobody_reads_are_named(running: Any, part: str) -> None:
    with running.client() as client:
        answer = client.post("/v1/jobs", files={"file": ("a", b"x"), part: ("b", b"triage")})
        assert (answer.status_code, answer.json()["code"]) == (422, "unknown_part")
        assert repr(part) in answer.json()["detail"]


def test_an_address_is_short(running: Any) -> None:
    with running.client() as client:
        body = b'{"url": "' + 200_000 * b"a" + b'"}'
        answer = client.post("/v1/jobs", content=body, headers={"content-type": "application/json"})
        assert answer.status_code == 413


def test_what_the_disk_does_not_hold_is_turned_away(
    config_in: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = create_app(config_in(auth=False))
    spool = app.state.service.spool
    with client_of(app) as client:
        monkeypatch.setattr(spool, "free", lambda: 256 * 1024**2 + 1000)
        for size in (100, 1000):
            answer = client.post("/v1/jobs", files={"file": ("a", size * b"x")})
            assert answer.status_code == (202 if size == 100 else 503)
        assert answer.json()["code"] == "disk_full" and answer.headers["retry-after"]

        def keep(file: Any) -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

        monkeypatch.setattr(spool, "keep", keep)
        answer = client.post("/v1/jobs", files={"file": ("a", b"x")})
        assert (answer.status_code, answer.json()["code"]) == (503, "disk_full")


def test_a_store_that_is_away_is_no_bug(config_in: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    app = create_app(config_in(auth=False))
    with client_of(app) as client:
        engine = sqlalchemy.create_engine("sqlite:////nowhere/at/all.db")
        monkeypatch.setattr(app.state.service.store, "_engine", engine)
        answer = client.get("/v1/jobs")
        assert (answer.status_code, answer.json()["code"]) == (503, "store")
        assert answer.headers["retry-after"]


def test_markup_in_names_and_metadata_is_text(running: Any) -> None:
    info = PngImagePlugin.PngInfo()
    info.add_text("parameters", f"{HOSTILE}\nSteps: 20, Sampler: Euler, Seed: 1, Model: {HOSTILE}")
    buffer = io.BytesIO()
    Pillow.new("RGB", (64, 64), "teal").save(buffer, "PNG", pnginfo=info)
    name = f"{HOSTILE}.png".replace("/", "")
    with running.client(headers={"accept": "text/html"}) as client:
        files = {"file": (name, buffer.getvalue())}
        answer = client.post("/v1/examine?profile=triage&wait=60", files=files)
        where = answer.headers["content-location"]
        job = client.get("/v1/jobs").json()["jobs"][0]["id"]
        number = where.removeprefix("/v1")
        for path in (where, number, "/history", f"/jobs/{job}", "/history?text=%3Cscript%3E"):
            page = client.get(path).text
            for tag in ("<script>document", "<img src=x"):
                assert tag not in page, path
        assert "&lt;script&gt;" in client.get(number).text


def test_sign_in_leads_back_only_to_this_server(running: Any) -> None:
    with running.client(None, headers={"accept": "text/html"}) as client:
        assert client.get("/history").headers["location"] == "/sign-in?next=/history"
        wrong = client.post("/sign-in", data={"key": "wrong", "next": "/"})
        assert wrong.status_code == 401 and "not valid" in wrong.text
        for target in ("//evil.example", "https://evil.example", "/\\evil.example", "/\r\nx: y"):
            right = client.post("/sign-in", data={"key": running.keys["read"], "next": target})
            assert right.headers["location"] == "/"
        cookie = right.headers["set-cookie"]
        assert "HttpOnly" in cookie and "SameSite=strict" in cookie
        assert client.get("/history").status_code == 200


def test_secrets_and_uploads_are_for_the_owner_of_the_process_only(running: Any) -> None:
    with running.client("examine") as client:
        mine = client.get("/v1/webhook-secret").json()["secret"]
    with running.client("admin") as client:
        assert client.get("/v1/webhook-secret").json()["secret"] != mine
    spool: Path = running.app.state.service.spool.folder
    for path in (spool, spool / "uploads", spool / "secret"):
        assert path.stat().st_mode & 0o077 == 0, path
