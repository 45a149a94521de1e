"""What surrounds every request: an id, a log line, a measurement, a size limit, safe headers."""

from __future__ import annotations

import asyncio
import logging
import re
import time
import uuid
from collections.abc import Callable

from fastapi.responses import Response
from python_multipart.multipart import parse_options_header
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from bonafide.errors import StoreUnavailable
from bonafide.server.logs import request_id
from bonafide.server.metrics import known_method
from bonafide.server.problems import Problem, problem_response
from bonafide.telemetry import traces

_log = logging.getLogger("bonafide.server")
_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_UNTRACED = ("/health/", "/metrics", "/static/")  # asked again and again
_CLIENT_LEFT = 499  # as nginx counts those
_RETRY_SECONDS = "10"
_DRAIN_BYTES, _DRAIN_SECONDS = 64 * 1024**2, 5.0

POLICY = (
    "default-src 'none'; img-src 'self' data:; media-src data:; style-src 'self'; "
    "script-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'"
)
_HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",
    "x-frame-options": "DENY",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), microphone=(), geolocation=()",
    "cache-control": "no-store",
}

Measure = Callable[[str, str, int, float], None]


class RequestContext:
    """The outermost layer of the service.

    Args:
        app: what it surrounds.
        body_limit: path → bytes that the body of a request to it may have.
        body_seconds: in which a body must have come.
        measure: takes method, route, status and seconds of a finished request.
    """

    def __init__(
        self,
        app: ASGIApp,
        body_limit: Callable[[str], int],
        body_seconds: float,
        measure: Measure,
    ) -> None:
        self.app, self.body_limit, self.measure = app, body_limit, measure
        self.body_seconds = body_seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        if scope["path"].startswith(_UNTRACED) or not traces.on():
            await self._answer(scope, receive, send)
            return
        headers = Headers(scope=scope)
        parent = {name: headers[name] for name in traces.HEADERS if name in headers}
        with traces.span("request", "SERVER", parent) as span:
            status = await self._answer(scope, receive, send)
            method, route = known_method(scope["method"]), _route(scope)
            span.update_name(f"{method} {route}")
            span.set_attributes(
                {
                    "http.request.method": method,
                    "http.route": route,
                    "http.response.status_code": status,
                    "bonafide.request_id": scope["state"]["request_id"],
                }
            )

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> int:
        """Answer one request; the status of the answer."""
        began = time.perf_counter()
        headers = Headers(scope=scope)
        given = headers.get("x-request-id", "")
        named = given if _ID.fullmatch(given) else uuid.uuid4().hex
        scope.setdefault("state", {})["request_id"] = named
        token = request_id.set(named)
        status = 0  # until the answer begins

        async def answer(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                out = MutableHeaders(scope=message)
                out["x-request-id"] = named
                for key, value in _HEADERS.items():
                    out.setdefault(key, value)
            await send(message)

        try:
            limited = _Limited(receive, self.body_limit(scope["path"]), self.body_seconds)
            refusal = _refusal(headers, limited.most)
            if refusal is None:
                await self.app(scope, limited, answer)
            else:
                await limited.drain()
                await _respond(refusal, named)(scope, receive, answer)
        except ClientDisconnect:
            status = _CLIENT_LEFT  # nobody is there to be answered
        except Exception as error:
            refusal = _unforeseen(error)
            if status:  # half an answer is out; breaking off is all that is left
                raise
            await _respond(refusal, named)(scope, receive, answer)
        finally:
            seconds = time.perf_counter() - began
            route = _route(scope)
            self.measure(scope["method"], route, status, seconds)
            _log.info(
                "%s %s %d",
                scope["method"],
                route,
                status,
                extra={
                    "path": scope["path"],
                    "seconds": round(seconds, 4),
                    "client": (scope.get("client") or ("",))[0],
                    "actor": scope["state"].get("actor"),
                },
            )
            request_id.reset(token)
        return status


def _route(scope: Scope) -> str:
    return str(getattr(scope.get("route"), "path", "none"))


class _Limited:
    """A `receive` that refuses to pass on more than `most` bytes, or later than `seconds`."""

    def __init__(self, receive: Receive, most: int, seconds: float) -> None:
        self.receive, self.most, self.seconds, self.bytes = receive, most, seconds, 0
        self.until: float | None = time.monotonic() + seconds  # None when the body is complete

    async def __call__(self) -> Message:
        left = None if self.until is None else max(0.0, self.until - time.monotonic())
        try:
            async with asyncio.timeout(left):
                message = await self.receive()
        except TimeoutError:
            why = f"the body did not arrive within {self.seconds:g} seconds"
            raise Problem(408, "too_slow", why, {"connection": "close"}) from None
        if message["type"] == "http.request":
            if not message.get("more_body"):
                self.until = None
            self.bytes += len(message.get("body", b""))
            if self.bytes > self.most:
                await self.drain()
                raise _too_large(self.most)
        return message

    async def drain(self) -> None:
        """Read on for a while: a client that still sends would not see an early answer."""
        allowed = self.bytes + _DRAIN_BYTES
        try:
            async with asyncio.timeout(_DRAIN_SECONDS):
                while self.bytes < allowed:
                    message = await self.receive()
                    if message["type"] != "http.request" or not message.get("more_body"):
                        return
                    self.bytes += len(message.get("body", b""))
        except TimeoutError:
            return


def _refusal(headers: Headers, most: int) -> Problem | None:
    """What can be refused before anything of the body is read."""
    encoding = headers.get("content-encoding", "identity").strip().lower()
    if encoding not in ("", "identity"):
        return Problem(415, "encoded", "send the body as it is, without Content-Encoding")
    kind, options = parse_options_header(headers.get("content-type"))
    charset = options.get(b"charset", b"utf-8").lower()
    if kind == b"multipart/form-data" and charset not in (b"utf-8", b"utf8"):
        return Problem(415, "charset", "send forms as UTF-8")
    length = headers.get("content-length", "0")
    return _too_large(most) if length.isdigit() and int(length) > most else None


def _unforeseen(error: Exception) -> Problem:
    """What a client is told of an error that no route expected."""
    if isinstance(error, StoreUnavailable):
        _log.error("the store cannot be used", extra={"why": str(error)})
        why = "the store cannot be used now; try again later"
        return Problem(503, "store", why, {"retry-after": _RETRY_SECONDS})
    _log.error("a bug", exc_info=error)
    why = "this is a bug of the service; its log has the details under request_id"
    return Problem(500, "internal", why)


def _too_large(most: int) -> Problem:
    why = f"the body of this request may have {most:,} bytes"
    return Problem(413, "too_large", why, {"connection": "close"})


def _respond(problem: Problem, named: str) -> Response:
    return problem_response(
        problem.status_code, problem.code, problem.detail, problem.headers, named
    )
