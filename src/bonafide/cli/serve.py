"""The verbs `bonafide serve` and `bonafide worker`."""

from __future__ import annotations

import logging
import sys
import tempfile
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from bonafide.cli.explain import asking_of, explain_options
from bonafide.cli.options import limit_option, limits_of
from bonafide.errors import MissingExtra
from bonafide.types import Profile

if TYPE_CHECKING:
    from bonafide.explain.model import Asking

F = TypeVar("F", bound=Callable[..., Any])
_NEEDED = ("fastapi", "uvicorn", "multipart", "prometheus_client", "httpcore")


def _common(function: F) -> F:
    """Options of both verbs; hosts of one service are given the same."""
    options = (
        click.option(
            "--store",
            metavar="URL",
            envvar="BONAFIDE_STORE",
            help="SQLite file or postgresql://… of the service.  [default: $BONAFIDE_STORE, or a "
            "file in your data folder]",
        ),
        click.option(
            "--spool",
            metavar="DIR",
            envvar="BONAFIDE_SPOOL",
            type=click.Path(file_okay=False, path_type=Path),
            help="Folder of uploads and rendered pages; hosts of one service share it.  [default: "
            "$BONAFIDE_SPOOL, or beside the default store]",
        ),
        click.option(
            "--workers",
            type=click.IntRange(min=0),
            default=1,
            show_default=True,
            help="Processes that examine files.",
        ),
        click.option(
            "--trust",
            metavar="PEM",
            type=click.Path(exists=True),
            help="Certificate authorities whose content credentials count as trusted.",
        ),
        click.option(
            "--sandbox",
            type=click.Choice(["strict", "process", "off"]),
            help="What is kept from the processes that decode files: strict: network, other "
            "processes, and files but the program's and the uploads; process: only memory and time "
            "are bounded; off: nothing.  [default: strict if this system can, else process]",
        ),
        click.option(
            "--memory-limit",
            type=click.FloatRange(min=2.0),
            default=8.0,
            show_default=True,
            metavar="GIB",
            help="Address space of one process that decodes files.",
        ),
        *map(limit_option, ("file_bytes", "pixels", "seconds")),
        explain_options,
    )
    for option in reversed(options):
        function = option(function)
    return function


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--port", type=click.IntRange(0, 65535), default=8000, show_default=True, help="Port."
)
@click.option(
    "--no-auth",
    is_flag=True,
    help="Ask for no key; only allowed where no other machine can connect.",
)
@click.option(
    "--allow-url-fetch",
    is_flag=True,
    help="Let clients give the address of a file; public addresses only.",
)
@click.option("--allow-private-webhooks", is_flag=True, help="Allow webhooks to private addresses.")
@click.option(
    "--profile",
    type=click.Choice([profile.value for profile in Profile]),
    default=Profile.STANDARD.value,
    show_default=True,
    help="Profile that the web app preselects.",
)
@click.option(
    "--queue",
    type=click.IntRange(min=1),
    default=500,
    show_default=True,
    help="Files that may wait; further ones are refused with 503 and Retry-After.",
)
@click.option(
    "--keep-uploads",
    type=click.FloatRange(min=1.0),
    default=24.0,
    show_default=True,
    metavar="HOURS",
    help="How long uploads are kept.",
)
@click.option(
    "--keep-pages",
    type=click.FloatRange(min=0.0),
    default=30.0,
    show_default=True,
    metavar="DAYS",
    help="How long rendered pages, with their pictures, are kept.",
)
@click.option(
    "--keep-reports",
    type=click.FloatRange(min=0.0, min_open=True),
    metavar="DAYS",
    help="How long reports and jobs are kept, from when they were last asked for by a job.  "
    "[default: for ever]",
)
@click.option(
    "--no-retain",
    is_flag=True,
    help="Examine and forget: uploads, pages, reports and jobs are deleted a quarter of an hour "
    "after the end.",
)
@_common
def serve(
    host: str,
    port: int,
    no_auth: bool,
    allow_url_fetch: bool,
    allow_private_webhooks: bool,
    profile: str,
    queue: int,
    keep_uploads: float,
    keep_pages: float,
    keep_reports: float | None,
    no_retain: bool,
    **options: Any,
) -> None:
    """Run the web app and the API, with workers of their own.

    \b
    bonafide serve --no-auth                    for yourself: no keys, this machine only
    bonafide serve                              with keys; a first one is made and shown once
    bonafide keys add newsroom --scope examine --scope read
    bonafide serve --host 0.0.0.0 --workers 4   for others; put a proxy with TLS in front
    bonafide serve --store postgresql://… --workers 0    files are examined by `bonafide worker`

    Then open http://127.0.0.1:8000/, or from a program:

    \b
    curl -H "Authorization: Bearer $KEY" -F file=@photo.jpg \\
      "http://127.0.0.1:8000/v1/examine?wait=60"

    Uploads are deleted after --keep-uploads; reports stay in the store unless --keep-reports or
    --no-retain says otherwise. Ctrl-C waits a few seconds
    for files under examination; the others are examined when the service runs again.
    """
    _check_extras()
    from dataclasses import replace

    import uvicorn

    from bonafide.batch import sandbox
    from bonafide.server import logs
    from bonafide.server.app import create_app, host_name
    from bonafide.server.config import is_loopback
    from bonafide.server.worker import sandbox_of
    from bonafide.telemetry import traces

    if no_auth and not is_loopback(host):
        raise click.UsageError("--no-auth is allowed on this machine only: leave out --host")
    base = _config(options)
    config = replace(
        base,
        settings=replace(base.settings, profile=Profile(profile)),
        host=host,
        port=port,
        auth=not no_auth,
        url_fetch=allow_url_fetch,
        private_webhooks=allow_private_webhooks,
        longest_queue=queue,
        retention_hours=keep_uploads,
        page_days=keep_pages,
        report_days=keep_reports,
        retain=not no_retain,
    )
    logs.configure()
    traces.start("web")  # or refused, before anything is started
    in_force = sandbox.description(sandbox_of(config))  # or refused, before anything is started
    app = create_app(config)
    # Bodies arrive on the disk whose room is watched.
    tempfile.tempdir = str(app.state.service.spool.uploads)
    if config.auth:
        _offer_key(app.state.service.store)
    if config.workers:
        click.echo(in_force, err=True)
    click.echo(f"bonafide serves http://{host_name(host)}:{port}/ (stop with Ctrl-C)", err=True)
    server = uvicorn.Server(
        uvicorn.Config(
            app,
            host,
            port,
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_keep_alive=20,
            timeout_graceful_shutdown=5,
        )
    )
    server.run()
    if not server.started:
        sys.exit(1)


@click.command()
@click.option(
    "--check",
    is_flag=True,
    help="Say by the exit status whether a worker of this host lives; start none.",
)
@_common
def worker(check: bool, **options: Any) -> None:
    """Examine files that wait in the queue of a service, on this or on further hosts.

    \b
    bonafide worker --store postgresql://user@host/bonafide --spool /shared/spool --workers 4

    Give it the store, the spool and the limits of the service.
    """
    _check_extras()
    from bonafide.server import worker as examining

    if check:
        sys.exit(not examining.lives(_config(options)))
    examining.main(_config(options))


def _config(options: dict[str, Any]) -> Any:
    from bonafide.batch.sandbox import Level
    from bonafide.examination import Settings
    from bonafide.server.config import Config, default_spool

    settings = Settings(trust=options["trust"], limits=limits_of(options), threads=1)
    return Config(
        sandbox=Level(options["sandbox"]) if options["sandbox"] else None,
        memory_bytes=int(options["memory_limit"] * 1024**3),
        spool=options["spool"] or default_spool(),
        store=options["store"],
        workers=options["workers"],
        settings=settings,
        explain=_explaining(options),
    )


def _explaining(options: dict[str, Any]) -> Asking | None:
    """The model that explains reports where a request asks for it; says what it is sent.

    Raises:
        UsageError: the options contradict each other.
        MissingExtra: the package openai is not installed.
    """
    if options["explain_steps"]:
        raise click.UsageError("--explain-steps: the model of a service calls no tools")
    asking = asking_of(options)
    if asking is not None:
        from bonafide.explain.endpoint import Endpoint

        host = Endpoint(asking.url, asking.model).host
        click.echo(
            f"{asking.model} at {host} explains reports where it is asked for; sent: "
            f"{asking.share.value}",
            err=True,
        )
    return asking


def _check_extras() -> None:
    if any(find_spec(name) is None for name in _NEEDED):
        raise MissingExtra("server", "serving")


def _offer_key(store: Any) -> None:
    """Make a first key where there is none, and show it, on a terminal only."""
    if store.keys():
        return
    if not sys.stderr.isatty():
        logging.getLogger("bonafide.server").warning(
            "there is no key yet; make one: bonafide keys add NAME --scope admin"
        )
        return
    secret = store.add_key("first", ("admin",), 0, "serve")
    click.echo(f"A first key, shown once: {secret}", err=True)
