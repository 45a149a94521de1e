"""The verb that labels what AI made, for machines to read."""

from __future__ import annotations

import io
from pathlib import Path

import click


@click.command()
@click.argument("file", metavar="FILE", type=click.Path(dir_okay=False))
@click.option("--ai", is_flag=True, help="Say that AI made it; has to be given.")
@click.option("--composite", is_flag=True, help="Say that AI made or changed parts of it only.")
@click.option(
    "--out", "-o", metavar="OUT", help="Write the copy to this file.  [default: NAME.labelled.EXT]"
)
@click.option("--cert", metavar="PEM", help="Sign it: your certificate and those above it.")
@click.option("--key", metavar="PEM", help="Its private key.")
@click.option("--title", default="", help="How the work is called.")
@click.option("--generator", metavar="NAME", default="", help="What made it.")
@click.option(
    "--mark",
    is_flag=True,
    help="Hide an invisible mark in the pixels as well; JPEG, PNG and WebP are saved anew.",
)
@click.option("--tsa", metavar="URL", default="", help="Ask this authority for a time stamp.")
def label(
    file: str,
    ai: bool,
    composite: bool,
    out: str | None,
    cert: str | None,
    key: str | None,
    title: str,
    generator: str,
    mark: bool,
    tsa: str,
) -> None:
    """Label a file as made by AI, in a copy, for machines to read.

    The IPTC digital source type is written into the XMP of JPEG, PNG, WebP, MP4, MOV and M4A;
    pixels, frames and sound stay as they are, bit for bit, unless --mark is given. With --cert and
    --key the copy is signed as well (C2PA), over the XMP. Other formats carry the signed statement
    alone. Nothing is sent anywhere, unless --tsa names an authority.

    \b
    bonafide label picture.png --ai --generator "Model 1"
    bonafide label picture.jpg --ai -o out.jpg --cert chain.pem --key key.pem
    bonafide label retouched.jpg --ai --composite -o out.jpg
    bonafide label picture.png --ai --mark
    """
    from bonafide.custody import labels
    from bonafide.custody.credentials import (
        MIME_TYPES,
        Request,
        has_credentials,
        read_pem,
        sign_media,
    )
    from bonafide.errors import InvalidInput
    from bonafide.files import atomic_write
    from bonafide.media.source import open_media

    if not ai:
        raise click.UsageError("--ai is missing: say that AI made it")
    if bool(cert) != bool(key):
        raise click.UsageError("--cert and --key go together")
    if tsa and not cert:
        raise click.UsageError("--tsa stamps a signature: give --cert and --key as well")
    source = Path(file)
    target = Path(out) if out else source.with_name(f"{source.stem}.labelled{source.suffix}")
    if target.exists() and target.samefile(source):
        raise click.UsageError("the labelled copy needs a name of its own")
    media = open_media(file)
    mime = MIME_TYPES.get(media.format)
    if mime is not None:
        with media.open() as stream:
            if has_credentials(stream, mime):
                raise InvalidInput(
                    f"{file} has content credentials already, which a change of its metadata would "
                    "break: add yours with `bonafide sign`"
                )
    kind = labels.PARTLY if composite else labels.WHOLLY
    carried = labels.can_carry(media)
    if not carried and (cert is None or mime is None):
        raise InvalidInput(f"{file}: XMP is not written into {media.format} files")
    if mark:
        from bonafide.custody.marking import marked
        from bonafide.networks.rivagan import Payload

        payload = Payload.CHANGED_BY_AI if composite else Payload.MADE_BY_AI
        media = open_media(marked(media, payload), media.name)
    # What changes pixels has to come before; the signature covers all of it and comes last.
    said = labels.Statement(kind, generator, title)
    data = labels.labelled(media, said) if carried else media.read()
    if cert and key and mime is not None:
        request = Request(
            read_pem(Path(cert)), read_pem(Path(key)), mime, kind, title, tsa, generator
        )
        data = sign_media(io.BytesIO(data), request)
    with atomic_write(target) as partial:
        partial.write_bytes(data)
    layers = {"a mark": mark, "XMP": carried, "a signed manifest": bool(cert)}
    click.echo(
        f"labelled copy written to {target}: {' and '.join(filter(layers.get, layers))}", err=True
    )
