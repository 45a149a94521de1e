"""The verb that signs media. Reports are signed by `bonafide report sign`."""

from __future__ import annotations

from pathlib import Path

import click

from bonafide.custody.credentials import SOURCE_TYPES


@click.command()
@click.argument("file", metavar="FILE", type=click.Path(dir_okay=False))
@click.option("--cert", metavar="PEM", help="Your certificate and those above it.")
@click.option("--key", required=True, metavar="PEM", help="Its private key.")
@click.option("--output", "-o", metavar="OUT", help="Write the signed copy to this file.")
@click.option(
    "--source-type",
    type=click.Choice(SOURCE_TYPES),
    help="How the file came to be, for one that is new.  [default: it existed before]",
)
@click.option("--title", default="", help="How the file is called in the manifest.")
@click.option("--tsa", metavar="URL", default="", help="Ask this authority for a time stamp.")
def sign(
    file: str,
    cert: str | None,
    key: str,
    output: str | None,
    source_type: str | None,
    title: str,
    tsa: str,
) -> None:
    """Sign a picture, video or sound file: write content credentials (C2PA) into a copy.

    Credentials that the file has already are kept as its history. Nothing is sent anywhere, unless
    --tsa names an authority.

    \b
    bonafide sign photo.jpg --cert chain.pem --key key.pem -o signed.jpg
    bonafide sign photo.jpg --cert c.pem --key k.pem -o signed.jpg --source-type digitalCapture
    """
    if cert is None:
        if Path(file).suffix.lower() != ".json":
            raise click.UsageError("--cert is missing: the certificate that goes with the key")
        click.echo("note: reports are signed by `bonafide report sign`", err=True)
        from bonafide.cli.reports import sign_report

        sign_report(file, key, output)
        return
    if output is None:
        raise click.UsageError("--output is missing: where to write the signed copy")
    from bonafide.custody.credentials import MIME_TYPES, Request, read_pem, sign_media
    from bonafide.errors import InvalidInput
    from bonafide.files import atomic_write
    from bonafide.media.source import open_media

    if Path(output).exists() and Path(output).samefile(file):
        raise click.UsageError("the signed copy needs a name of its own")
    mime = MIME_TYPES.get(open_media(file).format)
    if mime is None:
        raise InvalidInput(f"{file} is of a format that carries no content credentials")
    request = Request(
        read_pem(Path(cert)), read_pem(Path(key)), mime, source_type or "", title, tsa
    )
    with Path(file).open("rb") as source:
        signed = sign_media(source, request)
    with atomic_write(Path(output)) as partial:
        partial.write_bytes(signed)
    click.echo(f"signed copy written to {output}", err=True)
