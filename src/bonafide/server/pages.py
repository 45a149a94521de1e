"""The web app: pages made on the server, whole without script, livelier with it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from fastapi import APIRouter, Depends, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import HTMLResponse, JSONResponse, RedirectResponse
from jinja2 import Environment
from markupsafe import Markup
from starlette.exceptions import HTTPException

from bonafide import __version__
from bonafide.explain.endpoint import Endpoint
from bonafide.languages.current import known
from bonafide.languages.speak import sentence
from bonafide.report import cards, html, templates, wording
from bonafide.server import language, render
from bonafide.server.api import JobId
from bonafide.server.auth import COOKIE, Caller, same_site
from bonafide.server.intake import Wish
from bonafide.server.problems import Problem
from bonafide.server.reading import Before, ReportId, standalone
from bonafide.server.service import Service
from bonafide.store.feedback import BONA_FIDE, TRUTHS
from bonafide.types import ACCUSATIONS, Kind, Label, Profile

_HERE = Path(__file__).parent
_PAGE = 40  # reports on one page of the history
_FIELDS = ("profile", "stability", "explain")  # of the form, besides files
_SHOWN_QUESTIONS = [
    question for question in ACCUSATIONS.values() if question.asked and Kind.IMAGE in question.kinds
]
_TRUTHS = {BONA_FIDE: sentence("Genuine")} | {
    label.value: wording.VERDICTS[label].name for label in ACCUSATIONS
}
_KINDS = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}


def routes(service: Service) -> APIRouter:
    """The pages of one service."""
    router = APIRouter(include_in_schema=False, default_response_class=HTMLResponse)
    may_examine, may_read = (Depends(visitor(service, scope)) for scope in ("examine", "read"))
    may_begin = Depends(visitor(service, "examine", otherwise="/history"))
    guard, config = service.guard, service.config

    @router.get("/")
    def home(caller: Caller = may_begin) -> str:
        return page(
            "home",
            caller,
            profiles=list(Profile),
            chosen=config.settings.profile,
            url_fetch=config.url_fetch,
            most_files=config.most_files,
            most_bytes=config.settings.limits.file_bytes,
            batch_bytes=config.batch_bytes,
            kept_hours=config.retention_hours,
            retain=config.retain,
            explain=config.explain,
            explain_host=config.explain and Endpoint(config.explain.url, "").host,
        )

    @router.post("/upload")
    async def upload(request: Request, caller: Caller = may_examine) -> Response:
        files = await service.intake.receive(request, config.most_files, _FIELDS)
        fields = await request.form()  # read before; this is what was read
        profile = str(fields.get("profile", config.settings.profile.value))
        if profile not in list(Profile):
            raise Problem(422, "invalid", "there is no such profile")
        stability, explain = (fields.get(name) is not None for name in ("stability", "explain"))
        wish = Wish(Profile(profile), stability, explain=explain)
        id_ = await service.intake.queue(files, wish, caller)
        return RedirectResponse(f"/jobs/{id_}", 303)

    @router.get("/jobs")
    def jobs(caller: Caller = may_examine) -> str:
        return page("jobs", caller, jobs=service.jobs(caller, 100))

    @router.get("/jobs/{id}")
    def job(id: JobId, caller: Caller = may_examine) -> str:  # noqa: A002
        shown = service.shown(service.job(id, caller))
        verdicts = [(label.value, wording.VERDICTS[label].name) for label in Label]
        outcomes = [
            (kind, name, sum(_outcome(file) == kind for file in shown.files))
            for kind, name in [*verdicts, ("not_examined", wording.FAILURE.name)]
        ]
        return page(
            "job",
            caller,
            job=shown,
            total=sum(shown.counts.values()),
            examined=shown.counts.get("done", 0) + shown.counts.get("failed", 0),
            outcomes=[outcome for outcome in outcomes if outcome[2]],
            outcome=_outcome,
            questions=_SHOWN_QUESTIONS,
        )

    @router.post("/jobs/{id}/cancel")
    def cancel(id: JobId, caller: Caller = may_examine) -> Response:  # noqa: A002
        service.job(id, caller)
        service.store.cancel(id)
        return RedirectResponse(f"/jobs/{id}", 303)

    @router.get("/history")
    def history(
        text: str = "",
        verdict: str = "",
        since: str = "",
        until: str = "",
        before: Before = None,
        caller: Caller = may_read,
    ) -> str:
        known = verdict if verdict in list(Label) else ""
        asked = {"text": text[:300], "verdict": known, "since": since, "until": until}
        rows = service.store.history(
            text=asked["text"],
            verdict=known or None,
            since=_day(since),
            until=_day(until, after=True),
            limit=_PAGE + 1,
            before=before,
        )
        older = None
        if len(rows) > _PAGE:
            kept = {name: value for name, value in asked.items() if value}
            older = "/history?" + urlencode(kept | {"before": rows[_PAGE - 1].id})
        return page("history", caller, rows=rows[:_PAGE], asked=asked, labels=Label, older=older)

    @router.get("/reports/{id}")
    def report(id: ReportId, caller: Caller = may_read) -> str:  # noqa: A002
        record = service.record(id)
        section = render.section(service.spool, id)
        return page(
            "report",
            caller,
            id=id,
            name=record["media"]["name"],
            # Escaped when it was rendered, by the templates of `bonafide.report`.
            section=Markup(section or render.brief(record)),
            kept=section is not None,
            similar=service.similar(record),
            mistakes=list(service.store.feedback(id)),
            truths={truth: _TRUTHS.get(truth, truth) for truth in TRUTHS},
        )

    @router.post("/reports/{id}/feedback")
    async def say(request: Request, id: ReportId, caller: Caller = may_read) -> Response:  # noqa: A002
        form = await request.form()
        told = str(form.get("truth", "")), str(form.get("note", ""))
        await run_in_threadpool(service.say, id, *told, "consent" in form, caller)
        return RedirectResponse(f"/reports/{id}#feedback", 303)

    @router.get("/reports/{id}/record.json")
    def record(id: ReportId, caller: Caller = may_read) -> Response:  # noqa: A002
        headers = {"content-disposition": f'attachment; filename="bonafide-{id}.json"'}
        return JSONResponse(service.record(id), headers=headers)

    @router.get("/reports/{id}/page.html")
    def saved(id: ReportId, caller: Caller = may_read) -> Response:  # noqa: A002
        headers = {"content-disposition": f'attachment; filename="bonafide-{id}.html"'}
        return standalone(service, id, headers)

    @router.get("/detectors")
    def detectors(caller: Caller = may_read) -> str:
        return page("detectors", caller, cards=cards.as_dicts())

    @router.get("/api")
    def interface(request: Request, caller: Caller = may_read) -> str:
        return page("api", caller, schema=request.app.openapi(), base=str(request.base_url))

    @router.get("/sign-in")
    def sign_in(next: str = "/") -> str:  # noqa: A002
        return page("sign-in", None, next=_local(next), wrong=False)

    @router.post("/sign-in")
    async def signed_in(request: Request) -> Response:
        same_site(request)
        form = await request.form()
        secret, target = str(form.get("key", "")).strip(), _local(str(form.get("next", "/")))
        if config.auth and await guard.identify(secret) is None:
            return HTMLResponse(page("sign-in", None, next=target, wrong=True), 401)
        response = RedirectResponse(target, 303)
        secure = request.url.scheme == "https"
        response.set_cookie(COOKIE, secret, httponly=True, samesite="strict", secure=secure)
        return response

    @router.post("/sign-out")
    async def sign_out(request: Request) -> Response:
        same_site(request)
        response = RedirectResponse("/sign-in", 303)
        response.delete_cookie(COOKIE, httponly=True, samesite="strict")
        return response

    @router.post("/language")
    async def choose_language(request: Request) -> Response:
        same_site(request)
        chosen = known(str((await request.form()).get("language", "")))
        came_from = urlsplit(request.headers.get("referer", ""))
        here = came_from.netloc == request.headers.get("host")
        query = f"?{came_from.query}" if came_from.query else ""
        response = RedirectResponse(_local(came_from.path + query) if here else "/", 303)
        if chosen is not None:
            secure = request.url.scheme == "https"
            response.set_cookie(
                language.COOKIE,
                chosen,
                max_age=language.KEPT_SECONDS,
                httponly=True,
                samesite="strict",
                secure=secure,
            )
        return response

    @router.get("/static/{name}")
    async def static(name: str) -> Response:
        if name not in _static():
            raise HTTPException(404, "there is no such file")
        content, kind = _static()[name]
        return Response(content, 200, {"cache-control": "public, max-age=3600"}, kind)

    return router


def visitor(
    service: Service, scope: str, otherwise: str | None = None
) -> Callable[[Request], Awaitable[Caller]]:
    """A dependency like `Guard.needs` that sends people without a key to where they sign in.

    Args:
        service: whose guard decides.
        scope: that the key needs.
        otherwise: where people are sent whose key lacks it; None refuses them.
    """

    async def dependency(request: Request) -> Caller:
        caller = await service.guard.caller(request)
        if caller is None:
            address = request.url.path + (f"?{request.url.query}" if request.url.query else "")
            asked = address if request.method == "GET" else "/"
            raise HTTPException(303, "sign in", {"location": f"/sign-in?next={quote(asked)}"})
        request.state.actor = caller.name
        if otherwise is not None and not caller.may(scope):
            raise HTTPException(303, "not here", {"location": otherwise})
        service.guard.admit(caller, scope)
        return caller

    return dependency


def page(template: str, caller: Caller | None, **values: Any) -> str:
    """One page of the web app; `caller` is who is signed in."""
    found = _environment().get_template(f"{template}.html")
    return found.render(caller=caller, current=template, **values)


async def error_page(request: Request, status: int, title: str, detail: str) -> Response:
    """A refusal, for people."""
    caller = await request.app.state.service.guard.known(request)
    return HTMLResponse(page("error", caller, status=status, title=title, detail=detail), status)


@cache
def _environment() -> Environment:
    environment = templates.environment(_HERE / "templates")
    environment.globals.update(
        say=wording,
        version=__version__,
        scripts=html.script() + (_HERE / "static" / "site.js").read_text("utf-8"),
        command=Markup("<code>bonafide keys add NAME</code>"),
        openapi=Markup('<a href="/openapi.json">openapi.json</a>'),
        sprite=Markup(html.sprite()),
        verdict_words={label.value: wording.VERDICTS[label].name for label in Label},
    )
    return environment


@cache
def _static() -> dict[str, tuple[str, str]]:
    files = {
        path.name: (path.read_text("utf-8"), _KINDS[path.suffix])
        for path in (_HERE / "static").iterdir()
    }
    made = {"report.css": (html.style(), "text/css"), "report.js": (html.script(), _KINDS[".js"])}
    return files | made


def _outcome(file: Any) -> str:
    """The verdict of a file, "not_examined", or "" while there is none."""
    if file.verdict:
        return str(file.verdict)
    return "not_examined" if file.state in ("failed", "cancelled") else ""


def _day(text: str, after: bool = False) -> datetime | None:
    """The beginning of a day in UTC, or its end; None for what is no day."""
    try:
        day = date.fromisoformat(text) + timedelta(days=after)
    except (ValueError, OverflowError):
        return None
    return datetime.combine(day, time(), UTC)


def _local(address: str) -> str:
    """`address` if it is a page of this server, else the first page."""
    fine = address.startswith("/") and not address.startswith(("//", "/\\"))
    return address if fine and address.isprintable() else "/"
