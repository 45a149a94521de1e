"""The verb `bonafide mcp`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from bonafide.cli.options import limit_option, limits_of


@click.command()
@click.argument(
    "folder", default=".", metavar="[FOLDER]", type=click.Path(exists=True, file_okay=False)
)
@click.option("--http", is_flag=True, help="Serve over HTTP instead of standard input and output.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--port", type=click.IntRange(1, 65535), default=8001, show_default=True, help="Port."
)
@click.option(
    "--trust",
    metavar="PEM",
    type=click.Path(exists=True),
    help="Certificate authorities whose content credentials count as trusted.",
)
@limit_option("file_bytes")
@limit_option("media_bytes")
@limit_option("pixels")
@limit_option("seconds")
def mcp(folder: str, http: bool, host: str, port: int, trust: str | None, **options: Any) -> None:
    """Serve bonafide to models as tools, over the Model Context Protocol.

    \b
    bonafide mcp photos                  on standard input and output, for a client that starts it
    bonafide mcp photos --http           on http://127.0.0.1:8001/mcp, for this machine only

    Tools: examine, report, detect, provenance_of, compare, detectors. Only files below FOLDER
    (the current folder unless you say otherwise) can be named.
    """
    from bonafide.examination import Settings
    from bonafide.server.config import is_loopback
    from bonafide.server.mcp import Served, build, serve_http

    if http and not is_loopback(host):
        raise click.UsageError("--http serves this machine only: leave out --host")
    settings = Settings(trust=trust, limits=limits_of(options), threads=1)
    server = build(Served(Path(folder).resolve(), settings))
    if http:
        click.echo(f"bonafide serves http://{host}:{port}/mcp (stop with Ctrl-C)", err=True)
        serve_http(server, host, port)
    else:
        server.run("stdio")
