"""Traces of the service, as a collector that speaks OTLP gets them."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Lock, Thread
from typing import Any

import pytest

pytest.importorskip("opentelemetry.sdk", reason="the extra telemetry is not installed")
pytest.importorskip("fastapi", reason="the extra server is not installed")

import httpx
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from bonafide.errors import InvalidInput
from bonafide.server.app import create_app
from bonafide.telemetry import traces
from bonafide.telemetry.steps import MOST, heard

PATIENCE = 600.0
GIVEN = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


class Collector:
    """Keeps the spans that are sent to it."""

    def __init__(self) -> None:
        self.spans: list[tuple[dict[str, Any], Any]] = []  # attributes of the process, span
        self.lock = Lock()
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                told = ExportTraceServiceRequest.FromString(body)
                with collector.lock:
                    for one in told.resource_spans:
                        where = values(one.resource.attributes)
                        for scope in one.scope_spans:
                            collector.spans += [(where, span) for span in scope.spans]
                self.send_response(200)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"

    def named(self, start: str) -> list[Any]:
        with self.lock:
            return [span for _, span in self.spans if span.name.startswith(start)]

    def wait(self, ready: Callable[[], bool]) -> None:
        until = time.monotonic() + PATIENCE
        while not ready():
            assert time.monotonic() < until, [span.name for _, span in self.spans]
            time.sleep(0.1)


def values(attributes: Any) -> dict[str, Any]:
    return {one.key: getattr(one.value, one.value.WhichOneof("value")) for one in attributes}


@pytest.fixture
def collector(monkeypatch: pytest.MonkeyPatch) -> Iterator[Collector]:
    made = Collector()
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", made.url)
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "100")
    yield made
    made.server.shutdown()
    made.server.server_close()


def test_request_job_examination_and_detectors_are_one_trace(
    collector: Collector, tmp_path: Path, configure: Any, serve: Any, make_picture: Any
) -> None:
    app = create_app(configure(tmp_path))
    store = app.state.service.store
    key = store.add_key("desk", ("examine", "read"), 0)
    server, thread, url = serve(app)
    try:
        with httpx.Client(base_url=url, timeout=600.0) as client:
            client.headers["authorization"] = f"Bearer {key}"
            assert client.get("/health/live").status_code == 200
            content = make_picture(5)
            files = {"file": ("secret-name.png", content)}
            query, given = {"wait": 0, "profile": "triage"}, {"traceparent": GIVEN}
            answer = client.post("/v1/examine", files=files, params=query, headers=given)
            assert answer.status_code == 202
            assert client.get("/v1/reports").status_code == 200
        collector.wait(lambda: bool(collector.named("job") and collector.named("POST /v1/examine")))
    finally:
        server.should_exit = True
        thread.join(300)

    (request,) = collector.named("POST /v1/examine")
    (job,) = collector.named("job")
    (examination,) = collector.named("examination")
    detectors = collector.named("detector ")
    assert request.trace_id.hex() == GIVEN[3:35]
    assert request.parent_span_id.hex() == GIVEN[36:52]
    assert values(request.attributes)["http.response.status_code"] == 202
    assert job.trace_id == request.trace_id
    assert job.parent_span_id == request.span_id
    assert examination.parent_span_id == job.span_id
    assert {span.name for span in detectors} == {"detector ela", "detector generator_metadata"}
    assert {span.parent_span_id for span in detectors} == {examination.span_id}
    for span in (examination, *detectors):
        assert job.start_time_unix_nano <= span.start_time_unix_nano
        assert span.start_time_unix_nano <= span.end_time_unix_nano <= job.end_time_unix_nano
    writes = {span.parent_span_id for span in collector.named("store write")}
    assert {request.span_id, job.span_id} <= writes
    assert not collector.named("GET /health")
    roles = {where["bonafide.role"] for where, _ in collector.spans}
    assert roles == {"web", "worker"}
    assert {where["service.name"] for where, _ in collector.spans} == {"bonafide"}
    everything = "".join(f"{where}{span}" for where, span in collector.spans)
    assert "secret-name" not in everything  # nothing of the file
    assert hashlib.sha256(content).hexdigest() not in everything


def test_an_absent_collector_costs_nothing_but_the_traces(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, configure: Any, serve: Any, make_picture: Any
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://127.0.0.1:9/v1/traces")
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "50")
    app = create_app(configure(tmp_path))
    key = app.state.service.store.add_key("desk", ("examine",), 0)
    server, thread, url = serve(app)
    try:
        with httpx.Client(base_url=url, timeout=600.0) as client:
            client.headers["authorization"] = f"Bearer {key}"
            files = {"file": ("a.png", make_picture(6))}
            query = {"wait": 0, "profile": "triage"}
            job = client.post("/v1/examine", files=files, params=query).json()["href"]
            while client.get(job).json()["finished_at"] is None:
                time.sleep(0.2)
    finally:
        server.should_exit = True
        thread.join(300)
    assert not thread.is_alive()


def test_without_variables_nothing_is_imported_or_made() -> None:
    code = (
        "import sys\n"
        "import bonafide.examination, bonafide.store\n"
        "from bonafide.telemetry import traces\n"
        "traces.start('web')\n"
        "with traces.span('request') as span: assert span is None and traces.headers() == {}\n"
        "assert not traces.on()\n"
        "assert not [name for name in sys.modules if name.startswith('opentelemetry')]\n"
    )
    clean = {"PATH": "/usr/bin", "PYTHONPATH": str(Path(traces.__file__).parents[2])}
    subprocess.run([sys.executable, "-c", code], env=clean, check=True)


@pytest.mark.parametrize(
    ("environment", "asked"),
    [
        ({}, False),
        ({"OTEL_TRACES_EXPORTER": "otlp"}, True),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318"}, True),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://x", "OTEL_TRACES_EXPORTER": "none"}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://x", "OTEL_SDK_DISABLED": "true"}, False),
        ({"OTEL_SERVICE_NAME": "desk"}, False),
    ],
)
def test_standard_variables_say_whether_there_are_traces(
    environment: dict[str, str], asked: bool
) -> None:
    assert traces.wanted(environment) is asked


@pytest.mark.parametrize(
    "environment",
    [
        {"OTEL_TRACES_EXPORTER": "zipkin"},
        {"OTEL_TRACES_EXPORTER": "otlp", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"},
    ],
)
def test_what_cannot_be_exported_is_refused(environment: dict[str, str]) -> None:
    with pytest.raises(InvalidInput):
        traces.wanted(environment)


@pytest.mark.parametrize(
    "told",
    [
        {"name": "x"},
        [["x", 1, 2]],
        [["x", 2, 1, "ok"]],
        [["x", -1, 2, "ok"]],
        [["x", True, 2, "ok"]],
        [["x", 1, 1 << 70, "ok"]],
        [["x", 1, 2, "ok"]] * (MOST + 1),
    ],
)
def test_steps_from_a_process_that_was_taken_over_are_refused(told: Any) -> None:
    with pytest.raises(InvalidInput):
        heard(told)
