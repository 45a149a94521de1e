"""Errors as RFC 9457 problem documents: one shape, one plain sentence, no traceback."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException

MEDIA_TYPE = "application/problem+json"

_NOWHERE = "there is nothing at this address"
# What the framework refuses by itself, it explains by no more than the name of the status.
_PLAIN = {404: _NOWHERE, 405: "this address does not take such a request"}

Page = Callable[[Request, int, str, str], Awaitable[Response]]

# Class name of a failure → the status that a client gets for such a file.
_FAILURES = {"UnsupportedFormat": 415, "LimitExceeded": 413, "InternalError": 500, "Removed": 410}


class Problem(HTTPException):
    """A refusal that the client is told about.

    Attributes:
        code: a stable word for programs.
    """

    def __init__(
        self, status: int, code: str, detail: str, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(status, detail, headers)
        self.code = code


def failure_status(failure: Mapping[str, Any]) -> int:
    """The HTTP status that says what a failed file's `error` says."""
    if failure["error"] == "LimitExceeded" and str(failure["why"]).startswith("seconds"):
        return 422
    return _FAILURES.get(failure["error"], 422)


def failure_problem(failure: Mapping[str, Any]) -> Problem:
    """The problem of a file that could not be examined."""
    return Problem(failure_status(failure), failure["error"], failure["why"])


def problem_response(
    status: int,
    code: str,
    detail: str,
    headers: Mapping[str, str] | None = None,
    request_id: str | None = None,
    **more: Any,
) -> Response:
    """One problem document."""
    body = {
        "type": f"urn:bonafide:problem:{code}",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
        "code": code,
        "request_id": request_id,
        **more,
    }
    return JSONResponse(body, status, dict(headers or {}), MEDIA_TYPE)


def install(app: FastAPI, page: Page) -> None:
    """Make every error of `app` a problem document, or for people a page.

    Args:
        app: the application.
        page: makes the page from the request, status, title and detail.
    """

    @app.exception_handler(HTTPException)
    async def refused(request: Request, error: HTTPException) -> Response:
        status = HTTPStatus(error.status_code)
        detail = str(error.detail)
        if detail == status.phrase:
            detail = _PLAIN.get(status, detail)
        if status >= 400 and _for_people(request):
            answer = await page(request, status, status.phrase, detail)
            answer.headers.update(error.headers or {})
            return answer
        code = error.code if isinstance(error, Problem) else status.name.lower()
        return problem_response(status, code, detail, error.headers, _id(request))

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> Response:
        if _for_people(request):
            return await page(request, 404, "Not Found", _NOWHERE)
        wrong = [
            {"where": ".".join(str(part) for part in one["loc"]), "why": one["msg"]}
            for one in error.errors()
        ]
        detail = "; ".join(f"{one['where']}: {one['why']}" for one in wrong)
        return problem_response(422, "invalid", detail, None, _id(request), errors=wrong)


def _for_people(request: Request) -> bool:
    path = request.url.path
    programs = path.startswith(("/v1", "/health", "/metrics", "/openapi.json", "/static"))
    return not programs and "text/html" in request.headers.get("accept", "")


def _id(request: Request) -> str | None:
    named: str | None = request.scope.get("state", {}).get("request_id")
    return named
