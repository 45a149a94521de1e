"""The verb `bonafide align`. Results go to standard output, everything else to
standard error.

PyTorch is imported when the verb runs, so that its help needs none.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bonafide.errors import MissingExtra

if TYPE_CHECKING:
    from bonafide.train.reconstruct import Written


@click.command()
@click.argument("where", type=click.Path(exists=True, path_type=Path), metavar="MANIFEST|DIR")
@click.option(
    "--through",
    multiple=True,
    required=True,
    metavar="WHAT",
    help="FILE.onnx (or a folder of them), diffusers:CLASS:FOLDER, transformers:CLASS:FOLDER, "
    "enlarge:KERNEL:FACTOR or enlarge:FILE.onnx:FACTOR; may be repeated.",
)
@click.option(
    "--out",
    required=True,
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Folder for the twins and pairs.csv.",
)
@click.option("--size", type=click.IntRange(min=32), default=256, show_default=True, metavar="N",
              help="Side of the crops, pixels.")  # fmt: skip
@click.option("--per-source", type=click.IntRange(min=1), default=60, show_default=True,
              metavar="N", help="Most pictures of one source.")  # fmt: skip
@click.option("--on-grid", type=click.FloatRange(0, 1), default=0.5, show_default=True,
              metavar="SHARE", help="Share of crops that start on the JPEG grid.")  # fmt: skip
@click.option("--protocol", default="generated-normalised", show_default=True, metavar="NAME|FILE",
              help="Says which labels of the manifest mean bona fide.")  # fmt: skip
@click.option("--seed", default=0, show_default=True, help="Seed of choices and crops.")
@click.option("--network", is_flag=True, help="Allow fetching weights from the hub.")
@click.option("--quiet", is_flag=True, help="No progress bar and no notes.")
def align(
    where: Path,
    through: tuple[str, ...],
    out: Path,
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
    bonafide align photos.csv --through autoencoder.onnx --through enlarge:lanczos:2 --out twins
    bonafide train dda --data photos.csv --pairs twins/pairs.csv --out run
    """
    try:
        from bonafide.train import originals, reconstruct
    except ImportError:
        raise MissingExtra("train", "bonafide align") from None

    pictures = originals.spread(originals.find(where, protocol), per_source, seed)
    cropping = reconstruct.Cropping(size, seed, on_grid)
    passages = [
        reconstruct.open_passage(words, network) for words in reconstruct.spelled_out(through)
    ]
    with bar("aligning", len(pictures), quiet) as tick:
        written = reconstruct.write_twins(pictures, passages, out, cropping, lambda: tick(""))
    _tell(written, quiet)
    click.echo(str(out / reconstruct.TABLE))


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
