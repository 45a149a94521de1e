"""Who asks, what they may do, and how often."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from math import ceil
from urllib.parse import urlsplit

from fastapi import Request
from fastapi.concurrency import run_in_threadpool

from bonafide.server.config import Config
from bonafide.server.problems import Problem
from bonafide.store.rows import SCOPES
from bonafide.store.store import Store

COOKIE = "bonafide_key"
_SAFE = ("GET", "HEAD", "OPTIONS")
_BROWSING = 10  # times as many requests that read may come with the cookie of a browser
_LONGEST_SECRET = 200  # characters; what is longer is no key and is not hashed


@dataclass(frozen=True)
class Caller:
    """Who sent a request.

    Attributes:
        name: of the key, "local" where none is asked for.
        scopes: what the key may do.
        rate: requests per minute, 0 for no bound.
        browsing: whether a browser reads, which asks more often than a program.
    """

    name: str
    scopes: frozenset[str]
    rate: int = 0
    browsing: bool = False

    def may(self, scope: str) -> bool:
        """Whether a scope is granted; "admin" includes the others."""
        return scope in self.scopes or "admin" in self.scopes


LOCAL = Caller("local", frozenset(SCOPES))


@dataclass
class RateLimit:
    """A bucket per key that fills evenly and holds a quarter of a minute's requests.

    What a browser reads has a bucket of its own, which is larger.
    """

    clock: Callable[[], float] = time.monotonic
    _buckets: dict[tuple[str, bool], tuple[float, float]] = field(default_factory=dict)

    def take(self, caller: Caller, cost: float = 1.0) -> float:
        """Count one request.

        Args:
            caller: who sent it.
            cost: requests that it counts as, at most 1.

        Returns:
            0.0 if it may go on, else the seconds to wait.
        """
        if caller.rate <= 0:
            return 0.0
        rate = caller.rate * (_BROWSING if caller.browsing else 1)
        now, size, per_second = self.clock(), max(1.0, rate / 4), rate / 60
        bucket = caller.name, caller.browsing
        left, since = self._buckets.get(bucket, (size, now))
        left = min(size, left + (now - since) * per_second)
        allowed = left >= cost
        self._buckets[bucket] = (left - cost if allowed else left, now)
        return 0.0 if allowed else (cost - left) / per_second


class Guard:
    """Decides about requests; its bound methods are dependencies of routes."""

    def __init__(self, store: Store, config: Config) -> None:
        self.store, self.config = store, config
        self.limit = RateLimit()

    async def caller(self, request: Request) -> Caller | None:
        """Who asks; None if no key, or one that is not valid, was sent.

        Raises:
            Problem: 403 for a page of another site that acts with the visitor's key.
        """
        by_cookie = _bearer(request) is None and COOKIE in request.cookies
        if by_cookie or not self.config.auth:
            same_site(request)
        return await self.known(request)

    async def known(self, request: Request) -> Caller | None:
        """Like `caller`, from whatever site a request came; for answers that change nothing."""
        if not self.config.auth:
            return LOCAL
        secret = _bearer(request)
        if secret is not None:
            return await self.identify(secret)
        found = await self.identify(request.cookies.get(COOKIE, ""))
        return replace(found, browsing=True) if found and request.method in _SAFE else found

    async def identify(self, secret: str) -> Caller | None:
        """The owner of a secret."""
        if not 0 < len(secret) <= _LONGEST_SECRET:
            return None
        key = await run_in_threadpool(self.store.key, secret)
        return Caller(key.name, key.scopes, key.rate) if key else None

    def needs(self, scope: str, cost: float = 1.0) -> Callable[[Request], Awaitable[Caller]]:
        """A dependency that lets through who has `scope`; `cost` as for `RateLimit.take`.

        Its result raises:
            Problem: 401, 403 or 429.
        """

        async def dependency(request: Request) -> Caller:
            caller = await self.caller(request)
            if caller is None:
                why = "send a valid key: Authorization: Bearer …"
                raise Problem(401, "no_key", why, {"www-authenticate": "Bearer"})
            request.state.actor = caller.name
            self.admit(caller, scope, cost)
            return caller

        return dependency

    def admit(self, caller: Caller, scope: str, cost: float = 1.0) -> None:
        """Let a caller pass.

        Raises:
            Problem: 403 for a missing scope, 429 for too many requests.
        """
        if not caller.may(scope):
            raise Problem(403, "wrong_scope", f"this key lacks the scope {scope!r}")
        pause = self.limit.take(caller, cost)
        if pause:
            why = f"this key may send {caller.rate} requests per minute"
            raise Problem(429, "too_many", why, {"retry-after": str(ceil(pause))})


def _bearer(request: Request) -> str | None:
    """A key from the headers of a program; browsers send theirs as a cookie."""
    scheme, _, secret = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return secret.strip()
    return request.headers.get("x-api-key")


def same_site(request: Request) -> None:
    """Refuse changes that another site's page asks a visitor's browser for."""
    if request.method in _SAFE:
        return
    origin = request.headers.get("origin")
    site = request.headers.get("sec-fetch-site", "same-origin")
    foreign = origin is not None and urlsplit(origin).netloc != request.headers.get("host")
    if foreign or site not in ("same-origin", "none"):
        raise Problem(403, "cross_site", "this request came from a page of another site")
