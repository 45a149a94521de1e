"""The verb `bonafide align`. Results go to standard output, everything else to
standard error.

PyTorch is imported when the verb runs, so that its help needs none.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bonafide.errors import InvalidInput, MediaError, MissingExtra

if TYPE_CHECKING:
    from bonafide.train.autoencoders import Member
    from bonafide.train.originals import Original, Pixels
    from bonafide.train.reconstruct import Cropping, Written
    from bonafide.train.zoo import Schedule

_HELD_OUT = 0.15  # share of the sources that the zoo is measured on
_MEASURED = 64  # held-out crops at most


@click.command()
@click.argument("where", type=click.Path(exists=True, path_type=Path), metavar="MANIFEST|DIR")
@click.option(
    "--through",
    multiple=True,
    metavar="WHAT",
    help="FILE.pt (or a folder of them), diffusers:CLASS:FOLDER, transformers:CLASS:FOLDER, "
    "enlarge:KERNEL:FACTOR or enlarge:FILE.onnx:FACTOR; may be repeated.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Folder for the twins and pairs.csv.",
)
@click.option(
    "--train-zoo",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Train small autoencoders into DIR first.",
)
@click.option("--members", metavar="NAME,...", help="Which autoencoders to train.  [default: all]")
@click.option("--steps", type=click.IntRange(min=1), help="Training steps of each autoencoder.")
@click.option("--half", is_flag=True, help="Train in bfloat16; faster on processors built for it.")
@click.option("--size", type=click.IntRange(min=32), default=256, show_default=True, metavar="N",
              help="Side of the crops, pixels.")  # fmt: skip
@click.option("--per-source", type=click.IntRange(min=1), default=60, show_default=True,
              metavar="N", help="Most pictures of one source.")  # fmt: skip
@click.option("--on-grid", type=click.FloatRange(0, 1), default=0.5, show_default=True,
              metavar="SHARE", help="Share of crops that start on the JPEG grid.")  # fmt: skip
@click.option("--protocol", default="generated-normalised", show_default=True, metavar="NAME|FILE",
              help="Says which labels of the manifest mean bona fide.")  # fmt: skip
@click.option("--seed", default=0, show_default=True, help="Seed of weights, choices and crops.")
@click.option("--network", is_flag=True, help="Allow fetching weights from the hub.")
@click.option("--quiet", is_flag=True, help="No progress bar and no notes.")
def align(
    where: Path,
    through: tuple[str, ...],
    out: Path | None,
    train_zoo: Path | None,
    members: str | None,
    steps: int | None,
    half: bool,
    size: int,
    per_source: int,
    on_grid: float,
    protocol: str,
    seed: int,
    network: bool,
    quiet: bool,
) -> None:
    """Send bona fide pictures through decoders, to train on aligned pairs.

    A twin shows the same as its original; only the trace of a decoder differs.

    \b
    bonafide align photos.csv --train-zoo zoo
    bonafide align photos.csv --through zoo --through enlarge:lanczos:2 --out twins
    bonafide train dda --data photos.csv --pairs twins/pairs.csv --out run
    """
    if bool(through) != bool(out) or not (through or train_zoo):
        raise click.UsageError(
            "give --train-zoo DIR, or --through WHAT with --out DIR, or all three"
        )
    try:
        from bonafide.train import originals, reconstruct, zoo
    except ImportError:
        raise MissingExtra("train", "bonafide align") from None

    pictures = originals.spread(originals.find(where, protocol), per_source, seed)
    cropping = reconstruct.Cropping(size, seed, on_grid)
    if train_zoo:
        schedule = zoo.Schedule(seed=seed, half=half)
        schedule = replace(schedule, steps=steps) if steps else schedule
        _train_zoo(pictures, train_zoo, _chosen(members), schedule, cropping, quiet)
    if out:
        passages = [
            reconstruct.open_passage(words, network) for words in reconstruct.spelled_out(through)
        ]
        with bar("aligning", len(pictures), quiet) as tick:
            written = reconstruct.write_twins(pictures, passages, out, cropping, lambda: tick(""))
        _tell(written, quiet)
        click.echo(str(out / reconstruct.TABLE))


def _train_zoo(
    pictures: list[Original],
    folder: Path,
    members: list[Member],
    schedule: Schedule,
    cropping: Cropping,
    quiet: bool,
) -> None:
    from bonafide.train import originals, zoo

    if cropping.size % 32:
        raise InvalidInput("--size must be a multiple of 32 to train autoencoders")
    rest, held = originals.divide(pictures, _HELD_OUT, schedule.seed)
    crops, measured = ([*_pixels(part, cropping)] for part in (rest, held))
    if not crops or not measured:
        raise InvalidInput(f"too few pictures have {cropping.size} pixels on each side")
    for member in members:
        with bar(member.name, schedule.steps, quiet) as tick:
            trained = zoo.train(
                member,
                crops,
                measured[:_MEASURED],
                folder,
                schedule,
                lambda step, loss: tick(f"loss {loss:.3f}"),
            )
        click.echo(f"{trained.path}: {trained.psnr:.1f} dB on sources that it was not trained on")


def _pixels(pictures: list[Original], cropping: Cropping) -> Iterator[Pixels]:
    from bonafide.train import originals

    for picture in pictures:
        try:
            crop = originals.cut(picture, cropping.size, cropping.seed, cropping.on_grid)
        except MediaError as error:
            click.echo(f"left out: {error}", err=True)
        else:
            if crop:
                yield crop.pixels


def _chosen(names: str | None) -> list[Member]:
    from bonafide.train import zoo

    known = {member.name: member for member in zoo.MEMBERS}
    wanted = [part.strip() for part in names.split(",")] if names else list(known)
    if unknown := [name for name in wanted if name not in known]:
        raise InvalidInput(f"no member is called {unknown[0]!r}; there are: {', '.join(known)}")
    return [known[name] for name in wanted]


def _tell(written: Written, quiet: bool) -> None:
    if quiet:
        return
    for line in written.unreadable:
        click.echo(f"left out: {line}", err=True)
    note = f"; {written.too_small} pictures are too small" if written.too_small else ""
    click.echo(f"{len(written.pairs)} pairs{note}", err=True)


@contextmanager
def bar(what: str, total: int, quiet: bool) -> Iterator[Callable[[str], None]]:
    """A progress bar on standard error, on a terminal: call with a remark to advance."""
    if quiet or not sys.stderr.isatty():
        yield lambda remark: None
        return
    from rich.console import Console

    from bonafide.report import terminal

    with terminal.progress(what, Console(stderr=True)) as progress:
        task = progress.add_task("", total=total)
        yield lambda remark: progress.update(task, advance=1, description=remark)
