"""In which language a page is shown: the visitor's choice, else what the browser asks for."""

from __future__ import annotations

from http.cookies import CookieError, SimpleCookie

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from bonafide.languages.current import ENGLISH, known, negotiated, using

COOKIE = "bonafide_language"
KEPT_SECONDS = 365 * 24 * 3600
_PROGRAMS = ("/v1", "/health", "/metrics", "/openapi.json", "/static")


class LanguageContext:
    """Sets the language in which the pages of a request are rendered.

    What programs are told stays English, the page of a report at `/v1/reports/{id}` excepted.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http" or scope["path"].startswith(_PROGRAMS):
            await self.app(scope, receive, send)
            return
        with using(wanted(Headers(scope=scope))):
            await self.app(scope, receive, send)


def wanted(headers: Headers) -> str:
    """The language that a request asks for, a key of `LANGUAGES`."""
    try:
        chosen = SimpleCookie(headers.get("cookie", "")).get(COOKIE)
    except CookieError:
        chosen = None
    language = known(chosen.value) if chosen else None
    return language or negotiated(headers.get("accept-language", "")) or ENGLISH
