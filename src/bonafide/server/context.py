"""What surrounds every request: an id, a log line, a measurement, a size limit, safe headers."""

from __future__ import annotations

import asyncio
import logging
import re
import time
import uuid
from collections.abc import Callable

from fastapi.responses import Response
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from bonafide.server.logs import request_id
from bonafide.server.problems import Problem, problem_response

_log = logging.getLogger("bonafide.server")
_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_DRAIN_BYTES, _DRAIN_SECONDS = 64 * 1024**2, 5.0

POLICY = (
    "default-src 'none'; img-src 'self' data:; style-src 'self'; script-src 'self'; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
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
        measure: takes method, route, status and seconds of a finished request.
    """

    def __init__(self, app: ASGIApp, body_limit: Callable[[str], int], measure: Measure) -> None:
        self.app, self.body_limit, self.measure = app, body_limit, measure

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
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
            limited = _Limited(receive, self.body_limit(scope["path"]))
            refusal = _refusal(headers, limited.most)
            if refusal is None:
                await self.app(scope, limited, answer)
            else:
                await limited.drain()
                await _respond(refusal, named)(scope, receive, answer)
        except Exception:
            _log.exception("a bug")
            if status:  # half an answer is out; breaking off is all that is left
                raise
            why = "this is a bug of the service; its log has the details under request_id"
            await _respond(Problem(500, "internal", why), named)(scope, receive, answer)
        finally:
            seconds = time.perf_counter() - began
            route = getattr(scope.get("route"), "path", "none")
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


class _Limited:
    """A `receive` that refuses to pass on more than `most` bytes."""

    def __init__(self, receive: Receive, most: int) -> None:
        self.receive, self.most, self.bytes = receive, most, 0

    async def __call__(self) -> Message:
        message = await self.receive()
        if message["type"] == "http.request":
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
    length = headers.get("content-length", "0")
    return _too_large(most) if length.isdigit() and int(length) > most else None


def _too_large(most: int) -> Problem:
    why = f"the body of this request may have {most:,} bytes"
    return Problem(413, "too_large", why, {"connection": "close"})


def _respond(problem: Problem, named: str) -> Response:
    return problem_response(
        problem.status_code, problem.code, problem.detail, problem.headers, named
    )
