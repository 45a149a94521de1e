"""The verbs of `bonafide weights`. Results go to standard output, everything
else to standard error."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import click

from bonafide.networks.catalogue import CATALOGUE, RECOGNISERS, Published, Recogniser

_FAILED = 1
_id = click.argument("id_", type=click.Choice(list(CATALOGUE)), metavar="ID")
_any_id = click.argument("id_", type=click.Choice([*CATALOGUE, *RECOGNISERS]), metavar="ID")


@click.group()
def weights() -> None:
    """List, fetch and verify networks that others have published.

    \b
    bonafide weights list
    bonafide weights pull dda        shows the licence, asks, fetches, converts
    bonafide weights verify dda      checks it; it votes once it was calibrated
    """


@weights.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print the catalogue as JSON.")
def list_(as_json: bool) -> None:
    """List the networks that can be fetched, and the state of each on this machine."""
    if as_json:
        import json
        from dataclasses import asdict

        entries = [asdict(entry) | {"state": _state(entry)} for entry in _every()]
        click.echo(json.dumps(entries, indent=2, ensure_ascii=False))
        return
    for entry in _every():
        size = sum(file.bytes for file in entry.files) / 1e6
        click.echo(f"{entry.id:20} {entry.licence:11} {size:6,.0f} MB   {_state(entry)}")


@weights.command()
@_any_id
def licence(id_: str) -> None:
    """Print the licence of a network, its authors, and where it is published."""
    click.echo(_terms(_entry(id_)))


@weights.command()
@_any_id
@click.option("--yes", is_flag=True, help="Do not ask for consent; the licence is still shown.")
def pull(id_: str, yes: bool) -> None:
    """Fetch a network from the Hugging Face hub and convert it to ONNX.

    A recogniser of speech is fetched as it is, and can be used at once.

    The variables HF_ENDPOINT, HF_HOME and HF_HUB_OFFLINE are respected.
    """
    from bonafide.networks import hub

    entry = _entry(id_)
    if isinstance(entry, Published):
        hub.check_extras()
    click.echo(_terms(entry), err=True)
    if not yes:
        if not sys.stdin.isatty():
            raise click.UsageError("no terminal to ask on: give --yes to accept the licence")
        click.confirm("Fetch it under this licence?", abort=True, err=True)
    if isinstance(entry, Recogniser):
        click.echo(str(hub.pull_recogniser(entry, lambda sentence: click.echo(sentence, err=True))))
        return
    from bonafide.train.published import convert

    path = hub.pull(entry, convert, lambda sentence: click.echo(sentence, err=True))
    click.echo(str(path))
    click.echo(f"not verified yet: bonafide weights verify {id_}", err=True)


@weights.command()
@_id
@click.option(
    "--generated",
    multiple=True,
    metavar="FILE",
    type=click.Path(exists=True, dir_okay=False),
    help="A picture known to be generated; may be repeated.",
)
@click.option(
    "--photograph",
    multiple=True,
    metavar="FILE",
    type=click.Path(exists=True, dir_okay=False),
    help="A picture known to be a photograph; may be repeated.",
)
def verify(id_: str, generated: tuple[str, ...], photograph: tuple[str, ...]) -> None:
    """Check a fetched network: its size, finite scores, generated pictures above photographs.

    Without pictures of your own, stand-ins are made from photographs, without a generator.

    \b
    Exit status: 0 verified · 1 a check failed · 2 wrong usage.
    """
    from bonafide.networks import hub
    from bonafide.networks.stand_ins import write_stand_ins

    if bool(generated) != bool(photograph):
        raise click.UsageError("give both --generated and --photograph, or neither")
    with tempfile.TemporaryDirectory() as folder:
        if generated:
            pictures = [Path(path) for path in generated], [Path(path) for path in photograph]
            whose = "the user's"
        else:
            click.echo(
                "no pictures given: stand-ins are made from photographs; no generator made "
                "any of them",
                err=True,
            )
            pictures, whose = write_stand_ins(Path(folder)), "stand-ins"
        checks = hub.verify(CATALOGUE[id_], *pictures, samples=whose)
    for check in checks:
        click.echo(f"{'passed' if check.passed else 'FAILED'}  {check.name}: {check.detail}")
    if all(check.passed for check in checks):
        click.echo(f"{id_} is verified; it votes once it is calibrated: bonafide bench calibrate")
    else:
        click.echo(f"{id_} is not verified and will not be used")
        sys.exit(_FAILED)


def _every() -> list[Published | Recogniser]:
    return [*CATALOGUE.values(), *RECOGNISERS.values()]


def _entry(id_: str) -> Published | Recogniser:
    return CATALOGUE.get(id_) or RECOGNISERS[id_]


def _state(entry: Published | Recogniser) -> str:
    from bonafide.networks import hub, recognisers

    return recognisers.state(entry) if isinstance(entry, Recogniser) else hub.state(entry)


def _terms(entry: Published | Recogniser) -> str:
    files = "\n".join(
        f"  huggingface.co/{file.repository}  {file.path}\n"
        f"    revision {file.revision}\n"
        f"    SHA-256  {file.sha256 or 'not known: the first download is trusted'}"
        for file in entry.files
    )
    return (
        f"{entry.title}\n{entry.paper}\nLicence of the weights: {entry.licence}\n{entry.terms}\n"
        f"Trained on: {entry.training_data}\n{files}"
    )
