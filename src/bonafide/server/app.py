"""The web process: routes, what surrounds them, and what runs beside them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

from fastapi import FastAPI
from fastapi.concurrency import run_in_threadpool
from starlette.middleware.trustedhost import TrustedHostMiddleware

from bonafide import __version__
from bonafide.errors import StoreUnavailable
from bonafide.server import api, models, pages, problems, reading, webhooks
from bonafide.server.config import Config
from bonafide.server.context import RequestContext
from bonafide.server.fetch import Fetcher, Rules
from bonafide.server.keeper import WorkerKeeper
from bonafide.server.language import LanguageContext
from bonafide.server.service import SWEEP_SECONDS, Service
from bonafide.telemetry import traces

_log = logging.getLogger("bonafide.server")
_LOOK_SECONDS = 1.0  # between two looks for a webhook that is due
_STORE_SECONDS = 10.0  # before a store that was away is asked again

_DESCRIPTION = """
Is this image genuine, AI-generated or manipulated: where, by what, and how sure are we?

Send a key with every request: `Authorization: Bearer …`. Errors are problem documents (RFC 9457).
"""


def create_app(config: Config) -> FastAPI:
    """The application of one web process; its built-in worker lives as long as it does."""
    service = Service(config)
    keeper = WorkerKeeper(config, service) if config.workers else None

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        traces.start("web")
        beside = [_webhooks(service), _sweeping(service), *([keeper.run()] if keeper else [])]
        tasks = [asyncio.ensure_future(one) for one in beside]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            for task in tasks:
                with suppress(asyncio.CancelledError):
                    await task
            if keeper:
                await run_in_threadpool(keeper.stop)
            service.store.close()
            await run_in_threadpool(traces.stop)

    app = FastAPI(
        title="bonafide",
        version=__version__,
        description=_DESCRIPTION,
        lifespan=lifespan,
        docs_url=None,  # those pages load scripts from elsewhere
        redoc_url=None,
        openapi_url="/openapi.json",
    )
    app.state.service, app.state.keeper = service, keeper
    problems.install(app, pages.error_page)
    for part in (api, reading, pages):
        app.include_router(part.routes(service))
    _describe(app)
    app.add_middleware(LanguageContext)
    if not config.auth:
        # Without keys a foreign page could reach this server through a name that it points here.
        names = ["localhost", "127.0.0.1", "[::1]", host_name(config.host)]
        app.add_middleware(TrustedHostMiddleware, allowed_hosts=names)
    app.add_middleware(
        RequestContext,
        body_limit=service.intake.body_limit,
        body_seconds=config.upload_seconds,
        measure=service.metrics.measure,
    )
    return app


def host_name(host: str) -> str:
    """A host as it stands in addresses: one of IPv6 in brackets."""
    return f"[{host}]" if ":" in host else host


def _describe(app: FastAPI) -> None:
    """Add what FastAPI cannot see: how keys are sent, and the shape of refusals."""
    made = app.openapi

    def openapi() -> dict[str, object]:
        if app.openapi_schema is None:
            schema = made()
            parts = schema.setdefault("components", {})
            parts["schemas"].pop("HTTPValidationError", None)
            parts["schemas"].pop("ValidationError", None)
            parts["schemas"]["Problem"] = models.Problem.model_json_schema()
            parts["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer"}}
            for path, methods in schema["paths"].items():
                for method in methods.values():
                    method["security"] = [] if path.startswith("/health") else [{"key": []}]
        return app.openapi_schema or {}

    app.openapi = openapi  # type: ignore[method-assign]


async def _webhooks(service: Service) -> None:
    fetcher = Fetcher(Rules(redirects=0, private=service.config.private_webhooks))
    sender = webhooks.Sender(service.store, service.config, fetcher, service.metrics)
    await _forever("webhooks", sender.send_due, _LOOK_SECONDS)


async def _sweeping(service: Service) -> None:
    async def once() -> bool:
        swept = await run_in_threadpool(service.sweep_if_due)
        if swept and any(swept):
            _log.info("swept", extra=dict(zip(("uploads", "pages", "reports"), swept, strict=True)))
        return False

    await _forever("sweeping", once, SWEEP_SECONDS / 10)


async def _forever(name: str, once: Callable[[], Awaitable[bool]], pause: float) -> None:
    """Repeat, at once while there is something to do; an error is logged and not the end."""
    while True:
        try:
            busy = await once()
        except StoreUnavailable as error:
            _log.error("%s wait for the store", name, extra={"why": str(error)})
            await asyncio.sleep(_STORE_SECONDS)
            continue
        except Exception:
            _log.exception("%s failed", name)
            busy = False
        if not busy:
            await asyncio.sleep(pause)
