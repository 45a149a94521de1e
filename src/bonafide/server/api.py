"""The routes under /v1 that take files and tell what becomes of them."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query, Request, Response
from fastapi.responses import JSONResponse, StreamingResponse

from bonafide.server import models
from bonafide.server.auth import Caller
from bonafide.server.intake import FORM, JSON, Wish
from bonafide.server.problems import MEDIA_TYPE, Problem, failure_problem
from bonafide.server.service import Service
from bonafide.server.tables import job_table
from bonafide.types import Profile

JobId = Annotated[
    str, Path(pattern="^[0-9a-f]{32}$", examples=["0b6f1c7d5f3e4f0a8a52f1d3c2b4a697"])
]
Chosen = Annotated[Profile, Query(description="how much time may be spent on a file")]
Stable = Annotated[bool, Query(description="examine changed copies of the picture too")]
Explained = Annotated[
    bool, Query(description="let the operator's model add sentences, each checked; 422 without one")
]
Wait = Annotated[float, Query(ge=0, le=60, description="seconds to wait for the report")]
Webhook = Annotated[
    str | None,
    Query(
        max_length=2000,
        pattern="^https?://[!-~]+$",
        description="address to notify when the job has ended",
        examples=["https://example.org/bonafide"],
    ),
]


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The documentation of refusals, beside those that every route has."""
    meanings = {
        400: "the request cannot be read",
        401: "no key, or one that is not valid",
        403: "the key lacks a scope, or the operator does not allow this",
        404: "not found",
        405: "this method is not allowed here",
        408: "the body took too long to arrive",
        409: "the job has already ended",
        413: "too large",
        415: "a kind of file or body that is not supported",
        422: "the request is not valid",
        429: "too many requests; see Retry-After",
        500: "a bug",
        503: "overloaded; see Retry-After",
    }
    content = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {
        status: {"description": meanings[status], "content": content}
        for status in sorted({401, 403, 422, 429, *statuses})
    }


def _body(many: bool) -> dict[str, Any]:
    file = {"type": "string", "format": "binary", "minLength": 1}
    files = {"type": "array", "items": file, "minItems": 1} if many else file
    form = {"type": "object", "required": ["file"], "properties": {"file": files}}
    address = models.Address.model_json_schema()
    content = {FORM: {"schema": form}, JSON: {"schema": address}}
    return {"requestBody": {"required": True, "content": content}}


def routes(service: Service) -> APIRouter:
    """The routes of one service."""
    router = APIRouter(prefix="/v1", tags=["examine"])
    may_examine = Depends(service.guard.needs("examine"))
    intake, config = service.intake, service.config

    @router.post(
        "/examine",
        summary="Examine one file",
        responses={
            200: {"description": "The report.", "content": {JSON: {"schema": models.REPORT}}},
            202: {"description": "Not done yet: the job.", "model": models.Job},
            **problems(400, 408, 413, 415, 500, 503),
        },
        response_model=None,
        openapi_extra=_body(many=False),
    )
    async def examine(
        request: Request,
        wait: Wait = 0.0,
        profile: Chosen = Profile.STANDARD,
        stability: Stable = False,
        explain: Explained = False,
        webhook: Webhook = None,
        caller: Caller = may_examine,
    ) -> Response:
        """Send a file as multipart/form-data with one part named `file`.

        With `wait`, the answer is the report, or the reason why there is none, if that takes no
        longer; otherwise the job, to be asked about or listened to.
        """
        files = await intake.receive(request, 1)
        id_ = await intake.queue(files, Wish(profile, stability, webhook, explain), caller)
        job = await service.wait(id_, wait, request)
        if job.finished_at is None or job.files[0].state == "cancelled":
            return _accepted(service.shown(job))
        (file,) = job.files
        if file.failure is not None:
            raise failure_problem(file.failure)
        assert file.report_id is not None
        headers = {"content-location": f"/v1/reports/{file.report_id}"}
        return JSONResponse(service.record_for(file), headers=headers)

    @router.post(
        "/jobs",
        status_code=202,
        summary="Examine many files",
        responses={
            202: {"description": "The job.", "model": models.Job},
            **problems(400, 408, 413, 415, 503),
        },
        response_model=None,
        openapi_extra=_body(many=True),
    )
    async def submit(
        request: Request,
        profile: Chosen = Profile.STANDARD,
        stability: Stable = False,
        explain: Explained = False,
        webhook: Webhook = None,
        caller: Caller = may_examine,
    ) -> Response:
        """Send files as multipart/form-data, each in a part named `file`."""
        files = await intake.receive(request, config.most_files)
        id_ = await intake.queue(files, Wish(profile, stability, webhook, explain), caller)
        return _accepted(service.shown(await service.wait(id_, 0.0, request)))

    @router.get("/jobs", summary="Newest jobs", responses=problems())
    def jobs(
        limit: Annotated[int, Query(ge=1, le=200)] = 50, caller: Caller = may_examine
    ) -> models.Jobs:
        """Jobs of this key, without their files; with the scope admin, of all keys."""
        return models.Jobs(jobs=service.jobs(caller, limit))

    @router.get("/jobs/{id}", summary="Status of a job", responses=problems(404))
    def job(id: JobId, caller: Caller = may_examine) -> models.Job:  # noqa: A002
        """A job with its files."""
        return service.shown(service.job(id, caller))

    @router.post("/jobs/{id}/cancel", summary="Cancel a job", responses=problems(404, 409))
    def cancel(id: JobId, caller: Caller = may_examine) -> models.Job:  # noqa: A002
        """Take what waits out of the queue; what is being examined is finished."""
        service.job(id, caller)
        if not service.store.cancel(id):
            raise Problem(409, "ended", "this job has ended")
        return service.shown(service.job(id, caller))

    @router.get(
        "/jobs/{id}/events",
        summary="Progress of a job",
        responses={
            200: {
                "description": "Server-sent events: `file` for each file whose state changed, "
                "`progress` with the counts, `end` with the job.",
                "content": {"text/event-stream": {"schema": {"type": "string"}}},
            },
            **problems(404),
        },
        response_class=StreamingResponse,
    )
    def events(
        request: Request,
        id: JobId,  # noqa: A002
        caller: Caller = may_examine,
    ) -> StreamingResponse:
        """What happens to a job, as it happens."""
        service.job(id, caller)
        return StreamingResponse(_events(service, id, request), media_type="text/event-stream")

    @router.get(
        "/jobs/{id}/results.csv",
        summary="Results of a job as a table",
        responses={
            200: {"content": {"text/csv": {"schema": {"type": "string"}}}},
            **problems(404),
        },
        response_class=Response,
    )
    def results(id: JobId, caller: Caller = may_examine) -> Response:  # noqa: A002
        """One line per file."""
        table = job_table(service.shown(service.job(id, caller)))
        headers = {"content-disposition": f'attachment; filename="bonafide-{id[:8]}.csv"'}
        return Response(table, 200, headers, "text/csv")

    @router.get("/webhook-secret", summary="What signs your webhooks", responses=problems())
    def webhook_secret(caller: Caller = may_examine) -> models.Secret:
        """The secret of this key, for checking `webhook-signature`."""
        return models.Secret(secret=config.webhook_secret(caller.name))

    return router


def _accepted(job: models.Job) -> Response:
    return Response(
        job.model_dump_json(), 202, {"location": job.href, "retry-after": "1"}, "application/json"
    )


async def _events(service: Service, id_: str, request: Request) -> AsyncIterator[str]:
    told: dict[int, str] = {}
    yield ": the events of one job\n\n"
    async for job in service.watch(id_, request):
        changed = [file for file in job.files if told.get(file.position) != file.state]
        for file in changed:
            told[file.position] = file.state
            yield _event("file", service.shown_file(file).model_dump_json())
        if changed:
            yield _event("progress", json.dumps({"state": job.state, "counts": dict(job.counts)}))
        else:
            yield ": still there\n\n"  # a proxy, or a client that left, is noticed by writing
        if job.finished_at is not None:
            yield _event("end", service.shown(job).model_dump_json(exclude={"files"}))


def _event(kind: str, data: str) -> str:
    return f"event: {kind}\ndata: {data}\n\n"
