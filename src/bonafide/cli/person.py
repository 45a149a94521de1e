"""The verbs of `bonafide person`: faces of persons who are to be recognised."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from bonafide.cli.options import limit_options, limits_of

if TYPE_CHECKING:
    from bonafide.persons.store import Person


@click.group()
def person() -> None:
    """Enrol persons, so that reports name them where they seem to be shown.

    A report then says that a face looks like NAME in identity, with the rate of false matches. It
    never says that the picture is genuine: a face swap looks like NAME as well, which is what a
    protected person wants to find.

    \b
    bonafide person enroll "Ada L." photos/*.jpg     learn a face
    bonafide person list                             who is enrolled
    bonafide clip.mp4                                compares every face with all of them

    Templates stay on this machine, and their keys in a folder of their own. Enrol only persons who
    agreed to it: a template of a face is biometric data.
    """


@person.command()
@click.argument("name")
@click.argument("photos", nargs=-1, required=True, metavar="PHOTOS...")
@click.option("--replace", is_flag=True, help="Overwrite the person of this name.")
@click.option("--quiet", is_flag=True, help="No notes on standard error.")
@limit_options
def enroll(name: str, photos: tuple[str, ...], replace: bool, quiet: bool, **options: Any) -> None:
    """Learn the face of NAME from photographs, and keep a protected template.

    PHOTOS are files, folders or patterns. Three to ten photographs with one face each, from the
    front, at least 80 pixels wide, serve well. Photographs without a face, with several, or of
    another person than most are left out, and named. The photographs are not kept.
    """
    from pathlib import Path

    from bonafide.media.source import expand
    from bonafide.subjects.enrol import enrol

    done = enrol(name, expand(photos, limits_of(options)), replace, limits_of(options))
    if not quiet:
        for path, why in done.skipped.items():
            click.echo(f"not used: {Path(path).name}: {why}", err=True)
    _print(done.person)


@person.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, without templates.")
def list_(as_json: bool) -> None:
    """List the enrolled persons."""
    from bonafide.persons import store

    known = store.enrolled()
    if as_json:
        import json

        click.echo(json.dumps([_as_dict(one) for one in known], indent=2, ensure_ascii=False))
        return
    for one in known:
        _print(one)
    if not known:
        click.echo("nobody is enrolled: bonafide person enroll NAME PHOTOS...")
    click.echo(f"templates are kept in {store.folder()}, keys in {store.key_folder()}", err=True)


@person.command()
@click.argument("name")
def remove(name: str) -> None:
    """Forget a person: template and key are deleted."""
    from bonafide.persons import store

    store.remove(store.named(name))
    click.echo(f"{name} is no longer enrolled")


def _print(one: Person) -> None:
    missing = "" if one.key_file.is_file() else "; its key is missing"
    photographs = "1 photograph" if one.count == 1 else f"{one.count} photographs"
    click.echo(f"{one.name}  {photographs}, enrolled {one.created[:10]}{missing}")


def _as_dict(one: Person) -> dict[str, Any]:
    from dataclasses import asdict

    told = {name: value for name, value in asdict(one).items() if name != "template"}
    return {**told, "key_file": str(one.key_file), "key_present": one.key_file.is_file()}
