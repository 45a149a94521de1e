"""Spans, exported by OpenTelemetry's SDK over OTLP where its environment variables ask for it.

`start` reads OTEL_TRACES_EXPORTER, OTEL_EXPORTER_OTLP_ENDPOINT and
OTEL_EXPORTER_OTLP_TRACES_ENDPOINT; without any of them, or with OTEL_SDK_DISABLED=true, every call
here does nothing. All other OTEL_* variables (headers, sampler, resource, batches) are the SDK's.

Source: OpenTelemetry specification 1.x, "Environment Variable Specification"; W3C Trace Context.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from bonafide import __version__
from bonafide.errors import InvalidInput, MissingExtra
from bonafide.telemetry.steps import EXAMINATION, Step, Value

_FLUSH_MS = 3_000  # for what was not exported when the process ends
_ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
_PROTOCOLS = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
_HTTP = "http/protobuf"
HEADERS = ("traceparent", "tracestate")  # that carry a trace from one process to another

_provider: Any = None
_tracer: Any = None


def wanted(environment: Mapping[str, str] = os.environ) -> bool:
    """Whether the environment asks for traces.

    Raises:
        InvalidInput: it asks for an exporter or a protocol that there is not.
    """
    exporter = environment.get("OTEL_TRACES_EXPORTER", "").strip().lower()
    disabled = environment.get("OTEL_SDK_DISABLED", "").strip().lower() == "true"
    if disabled or exporter == "none" or not (exporter or any(map(environment.get, _ENDPOINTS))):
        return False
    if exporter not in ("", "otlp"):
        raise InvalidInput(f"OTEL_TRACES_EXPORTER={exporter}: there is otlp, or none")
    protocol = next(filter(None, map(environment.get, _PROTOCOLS)), _HTTP)
    if protocol != _HTTP:
        raise InvalidInput(f"traces are sent as {_HTTP}, not as {protocol}")
    return True


def start(role: str) -> None:
    """Export spans of this process from now on, if the environment asks for it.

    Args:
        role: of the process in the service, such as "web".

    Raises:
        MissingExtra: OpenTelemetry is not installed.
        InvalidInput: see `wanted`.
    """
    global _provider, _tracer
    if _provider is not None or not wanted():
        return
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import SERVICE_NAME, Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ModuleNotFoundError:
        raise MissingExtra("telemetry", "OTEL_EXPORTER_OTLP_ENDPOINT") from None
    found = Resource.create({"service.version": __version__, "bonafide.role": role})
    if str(found.attributes.get(SERVICE_NAME, "")).startswith("unknown_service"):
        found = found.merge(Resource({SERVICE_NAME: "bonafide"}))
    _provider = TracerProvider(resource=found)
    _provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    _tracer = _provider.get_tracer("bonafide", __version__)


def stop() -> None:
    """Export what waits, for three seconds at most, and nothing from then on."""
    global _provider, _tracer
    ending, _provider, _tracer = _provider, None, None
    if ending is not None:
        ending.force_flush(_FLUSH_MS)
        # It waits for an export that is being tried again; nobody else should.
        threading.Thread(target=ending.shutdown, daemon=True).start()


def on() -> bool:
    """Whether spans are exported."""
    return _tracer is not None


@contextmanager
def span(
    name: str,
    kind: str = "INTERNAL",
    parent: Mapping[str, str] | None = None,
    began: int | None = None,
    attributes: Mapping[str, Value] | None = None,
) -> Iterator[Any]:
    """A span around what is done inside, None where spans are not exported.

    Args:
        name: of the span.
        kind: a name of OpenTelemetry's `SpanKind`.
        parent: `HEADERS` as W3C Trace Context wants them; None for the span that this one is made
            in.
        began: nanoseconds since 1970, None for now.
        attributes: of the span.
    """
    if _tracer is None:
        yield None
        return
    from opentelemetry.trace import SpanKind, StatusCode
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    context = None
    if parent is not None:
        context = TraceContextTextMapPropagator().extract(parent)
    with _tracer.start_as_current_span(
        name,
        context,
        SpanKind[kind],
        attributes,
        start_time=began,
        record_exception=False,  # messages name files
        set_status_on_exception=False,
    ) as made:
        try:
            yield made
        except BaseException as error:
            made.set_status(StatusCode.ERROR, type(error).__name__)
            raise


@contextmanager
def part(name: str, attributes: Mapping[str, Value] | None = None) -> Iterator[None]:
    """A span around what is done inside, if that is part of another span; else none."""
    if not traced():
        yield
        return
    with span(name, attributes=attributes):
        yield


def traced() -> bool:
    """Whether there is a span now that parts can lie in."""
    if _tracer is None:
        return False
    from opentelemetry.trace import get_current_span

    return bool(get_current_span().get_span_context().is_valid)


def headers() -> dict[str, str]:
    """What another process needs to go on with the trace of now; empty where there is none."""
    found: dict[str, str] = {}
    if traced():
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        TraceContextTextMapPropagator().inject(found)
    return found


def replay(steps: Sequence[Step], since: int) -> None:
    """Make spans, inside the one of now, of steps that another process wrote down.

    Args:
        steps: of one examination.
        since: nanoseconds since 1970; nothing began before.
    """
    if not traced() or not steps:
        return
    from opentelemetry.trace import set_span_in_context

    now = time.time_ns()

    def moment(value: int) -> int:
        return min(max(value, since), now)

    whole = next((one for one in steps if one.name == EXAMINATION), None)
    above = None
    if whole is not None:
        above = _tracer.start_span(EXAMINATION, start_time=moment(whole.began))
    context = set_span_in_context(above) if above is not None else None
    for one in steps:
        if one is not whole:
            told = {"bonafide.status": one.status}
            made = _tracer.start_span(
                one.name, context, attributes=told, start_time=moment(one.began)
            )
            made.end(moment(one.ended))
    if above is not None and whole is not None:
        above.end(moment(whole.ended))
