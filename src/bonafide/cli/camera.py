"""The verbs of `bonafide camera`: fingerprints of cameras of your own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from bonafide.cli.options import limit_options, limits_of

if TYPE_CHECKING:
    from bonafide.cameras.store import Camera


@click.group()
def camera() -> None:
    """Enrol cameras by the noise of their sensors, to recognise their pictures.

    Every sensor has a pattern of its own, in every picture that it takes. From some twenty
    photographs bonafide learns the pattern; afterwards every examination says whether a picture
    was taken by an enrolled camera, how sure that is, and where the pattern is missing.

    \b
    bonafide camera enroll "my phone" photos/*.jpg    learn a camera
    bonafide camera list                              which are enrolled
    bonafide scan picture.jpg                         compares with all of them
    bonafide scan picture.jpg --profile thorough      crops anywhere are searched as well

    The fingerprints stay on this machine. They identify the camera: treat them like a fingerprint.
    """


@camera.command()
@click.argument("name")
@click.argument("photos", nargs=-1, required=True, metavar="PHOTOS...")
@click.option("--replace", is_flag=True, help="Overwrite the camera of this name.")
@click.option("--quiet", is_flag=True, help="No progress bar and no notes on standard error.")
@limit_options
def enroll(name: str, photos: tuple[str, ...], replace: bool, quiet: bool, **options: Any) -> None:
    """Learn the fingerprint of a camera from photographs that it took, and keep it as NAME.

    PHOTOS are files, folders or patterns. What makes a good fingerprint:

    \b
    - 20 to 50 photographs; 10 at least, 200 at most
    - straight from the camera: not edited, not sent by a messenger, not exported
    - all at full size, in one format (4:3 or 16:9), without digital zoom
    - bright and even scenes: sky, a wall, out of focus; not dark, not burnt out
    - one camera of a phone (its lenses have a sensor each), no panorama, no portrait mode

    Photographs of another size or model than most are left out, and named. The photographs are
    not kept; their checksums are.
    """
    from pathlib import Path

    from bonafide.cameras.enrol import enrol
    from bonafide.media.source import expand

    limits = limits_of(options)
    files = list(expand(photos, limits))
    with _progress(0 if quiet else len(files)) as step:
        done = enrol(name, files, replace, limits, step)
    if not quiet:
        for path, why in done.skipped.items():
            click.echo(f"not used: {Path(path).name}: {why}", err=True)
        for note in done.notes:
            click.echo(f"note: {note}", err=True)
    _print(done.camera)


@camera.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def list_(as_json: bool) -> None:
    """List the enrolled cameras."""
    from bonafide.cameras import store

    known = store.enrolled()
    if as_json:
        import json

        click.echo(json.dumps([_as_dict(one) for one in known], indent=2, ensure_ascii=False))
        return
    for one in known:
        _print(one)
    if not known:
        click.echo("no camera is enrolled: bonafide camera enroll NAME PHOTOS...")
    click.echo(f"fingerprints are kept in {store.folder()}", err=True)


@camera.command()
@click.argument("name")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def show(name: str, as_json: bool) -> None:
    """Show what is kept of a camera."""
    from bonafide.cameras import store

    one = store.named(name)
    if as_json:
        import json

        click.echo(json.dumps(_as_dict(one), indent=2, ensure_ascii=False))
        return
    _print(one)
    click.echo(f"  {one.array}  {one.array.stat().st_size if one.array.is_file() else 0:,} bytes")
    click.echo(f"  sha256 {one.sha256}")
    for photograph in one.photographs:
        click.echo(f"  photograph {photograph}")


@camera.command()
@click.argument("name")
def remove(name: str) -> None:
    """Forget a camera: its fingerprint is deleted."""
    from bonafide.cameras import store

    store.remove(store.named(name))
    click.echo(f"{name} is no longer enrolled")


class _progress:  # noqa: N801, used like a function
    """A bar on standard error while photographs are read: each is read twice."""

    def __init__(self, total: int) -> None:
        self.total = total
        self.bar: Any = None

    def __enter__(self) -> Any:
        from rich.console import Console

        console = Console(stderr=True)
        if self.total < 2 or not console.is_terminal:
            return lambda _: None
        from bonafide.report import terminal

        self.bar = terminal.progress("learning", console)
        progress = self.bar.__enter__()
        task = progress.add_task("", total=2 * self.total)
        return lambda _: progress.update(task, advance=1)

    def __exit__(self, *error: Any) -> None:
        if self.bar is not None:
            self.bar.__exit__(*error)


def _print(one: Camera) -> None:
    models = ", ".join(one.models) or "no model named"
    click.echo(f"{one.name}  {models}")
    click.echo(
        f"  {one.width}×{one.height}, {one.count} photographs, enrolled {one.created[:10]}; "
        f"two halves of them agree with a PCE of {one.agreement:,.0f}"
    )


def _as_dict(one: Camera) -> dict[str, Any]:
    from dataclasses import asdict

    return {**asdict(one), "file": str(one.array)}
