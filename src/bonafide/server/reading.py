"""The routes that tell what is known: reports, history, detectors, health, metrics."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query, Request, Response
from fastapi.responses import JSONResponse

from bonafide.languages.current import using
from bonafide.report import cards, html
from bonafide.server import metrics, models, render
from bonafide.server.api import problems
from bonafide.server.auth import Caller
from bonafide.server.language import wanted
from bonafide.server.problems import Problem
from bonafide.server.service import Service, shown_near, shown_row

_THUMBNAIL_COST = 1 / 40  # of a request: one page of the history shows forty
LARGEST_ID = 2**63 - 1
ReportId = Annotated[int, Path(ge=1, le=LARGEST_ID)]
Before = Annotated[int | None, Query(ge=1, le=LARGEST_ID, description="`next` of the page before")]


def routes(service: Service) -> APIRouter:
    """The routes of one service."""
    router = APIRouter(tags=["read"])
    may_read = Depends(service.guard.needs("read"))
    may_glance = Depends(service.guard.needs("read", _THUMBNAIL_COST))
    may_administer = Depends(service.guard.needs("admin"))

    @router.get("/v1/reports", summary="History", responses=problems())
    def history(
        text: Annotated[str, Query(max_length=300, description="in a name, or begins a hash")] = "",
        verdict: models.Verdict | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        limit: Annotated[int, Query(ge=1, le=200)] = 50,
        before: Before = None,
        caller: Caller = may_read,
    ) -> models.History:
        """Reports of all keys, newest first."""
        rows = service.store.history(
            text=text,
            verdict=verdict,
            since=moment(since),
            until=moment(until),
            limit=limit + 1,
            before=before,
        )
        reports = [shown_row(row) for row in rows[:limit]]
        return models.History(reports=reports, next=reports[-1].id if len(rows) > limit else None)

    @router.get(
        "/v1/reports/{id}",
        summary="One report",
        responses={
            200: {
                "description": "As JSON, or as a self-contained page for `Accept: text/html`.",
                "content": {
                    "application/json": {"schema": models.REPORT},
                    "text/html": {"schema": {"type": "string"}},
                },
            },
            **problems(404),
        },
        response_model=None,
    )
    def report(id: ReportId, request: Request, caller: Caller = may_read) -> Response:  # noqa: A002
        """The report as it was stored."""
        vary = {"vary": "accept"}
        if wants_page(request.headers.get("accept", "")):
            with using(wanted(request.headers)):
                return standalone(service, id, {"vary": "accept, accept-language, cookie"})
        return JSONResponse(service.record(id), headers=vary)

    @router.get(
        "/v1/reports/{id}/thumbnail",
        summary="A small picture",
        responses={
            200: {"content": {"image/*": {"schema": {"type": "string", "format": "binary"}}}},
            **problems(404),
        },
        response_class=Response,
    )
    def thumbnail(id: ReportId, caller: Caller = may_glance) -> Response:  # noqa: A002
        """The picture at most 96 pixels wide and high, while its page is kept."""
        found = render.thumbnail(service.spool, id)
        if found is None:
            raise Problem(404, "no_picture", "there is no picture of this report")
        headers = {"cache-control": "private, max-age=86400, immutable"}
        return Response(found.data, 200, headers, found.mime)

    @router.get(
        "/v1/reports/{id}/similar",
        summary="Files seen before that look alike",
        responses=problems(404),
    )
    def similar(id: ReportId, caller: Caller = may_read) -> models.Similar:  # noqa: A002
        """Other files whose pictures are near-duplicates of the one in the report."""
        return models.Similar(similar=list(map(shown_near, service.similar(service.record(id)))))

    @router.get(
        "/v1/reports/{id}/feedback", summary="What people say of a report", responses=problems(404)
    )
    def feedback(id: ReportId, caller: Caller = may_read) -> models.Feedbacks:  # noqa: A002
        """Mistakes that were reported, oldest first."""
        service.record(id)
        kept = [models.KeptFeedback.model_validate(vars(one)) for one in service.store.feedback(id)]
        return models.Feedbacks(feedback=kept)

    @router.post(
        "/v1/reports/{id}/feedback",
        status_code=201,
        summary="Report a mistake",
        responses=problems(400, 404, 415),
    )
    def add_feedback(
        id: ReportId,  # noqa: A002
        said: models.Feedback,
        caller: Caller = may_read,
    ) -> models.Feedbacks:
        """Say what the file is; kept with the report, and in the audit trail without the note."""
        service.say(id, said.truth, said.note, said.consent, caller)
        return feedback(id, caller)

    @router.get("/v1/detectors", summary="Model cards", responses=problems())
    def detectors(caller: Caller = may_read) -> list[dict[str, Any]]:
        """What is looked for, how, and where it fails."""
        return cards.as_dicts()

    @router.get("/health/live", tags=["operate"], summary="Whether the process answers")
    async def live() -> models.Health:
        """Always, if at all."""
        return models.Health(status="ok", checks={})

    @router.get(
        "/health/ready",
        tags=["operate"],
        summary="Whether files can be examined",
        responses={503: {"model": models.Health, "description": "Not now."}},
        response_model=models.Health,
    )
    def ready() -> Response:
        """Looks at the store, the spool and the built-in worker."""
        checks = service.checks()
        good = all(outcome == "ok" for outcome in checks.values())
        status = "ok" if good else "failing"
        return JSONResponse({"status": status, "checks": checks}, 200 if good else 503)

    @router.get(
        "/metrics",
        tags=["operate"],
        summary="Measurements for Prometheus",
        responses={
            200: {"content": {"text/plain": {"schema": {"type": "string"}}}},
            **problems(),
        },
        response_class=Response,
    )
    def measurements(caller: Caller = may_administer) -> Response:
        """In Prometheus' text format."""
        return Response(service.metrics.text(), media_type=metrics.MEDIA_TYPE)

    return router


def standalone(service: Service, report: int, headers: Mapping[str, str]) -> Response:
    """A report as a page that needs no other file, under the policy that it was made for.

    Raises:
        Problem: 404.
    """
    page = render.standalone(service.spool, report, service.record(report))
    policy = {"content-security-policy": html.policy()}
    return Response(page, 200, {**headers, **policy}, "text/html")


def moment(given: datetime | None) -> datetime | None:
    """A moment in UTC; without a time zone it is taken as UTC.

    Raises:
        Problem: 422 for one that UTC cannot express.
    """
    if given is None:
        return None
    try:
        return given.replace(tzinfo=UTC) if given.tzinfo is None else given.astimezone(UTC)
    except OverflowError:
        raise Problem(422, "invalid", "this moment is out of range") from None


def wants_page(accept: str) -> bool:
    """Whether a browser asks, rather than a program."""
    kinds = [part.partition(";")[0].strip().lower() for part in accept.split(",")]
    wanted = [kind for kind in kinds if kind in ("text/html", "application/json")]
    return bool(wanted) and wanted[0] == "text/html"
