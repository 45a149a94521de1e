"""The verb `bonafide bench tabulate`: methods side by side on the same files."""

from __future__ import annotations

from pathlib import Path

import click

from bonafide.cli.bench_options import files_of, manifests_argument, repeats_option
from bonafide.files import atomic_write


@click.command()
@manifests_argument
@click.option("--scores", "tables", multiple=True, required=True, metavar="NAME=FILE|RUN",
              help="Scores of a method: a table (path, score, degradation), or a run, of which the "
              "detector NAME counts; may be repeated.")  # fmt: skip
@click.option("--degradation", default="native", show_default=True, metavar="NAME",
              help="Whose scores count.")  # fmt: skip
@click.option("--years", type=click.Path(exists=True, dir_okay=False, path_type=Path),
              metavar="FILE", help="A row per year of the generator, from a table (pattern, year, "
              "source).")  # fmt: skip
@click.option("--kinds", is_flag=True, help="A row per kind of picture, like against like.")
@click.option("--generators", is_flag=True, help="A row per generator.")
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE.md",
              help="Write the tables there too.")  # fmt: skip
@repeats_option
def tabulate(
    manifests: tuple[Path, ...],
    tables: tuple[str, ...],
    degradation: str,
    years: Path | None,
    kinds: bool,
    generators: bool,
    out: Path | None,
    repeats: int,
) -> None:
    """Put methods side by side on the files that all of them scored, as Markdown.

    Scores of a method that learned have to be out of fold, as `bonafide probe fit` writes them.

    \b
    bonafide bench tabulate manifest.csv --scores clip_probe=probe/out_of_fold.csv \\
        --scores spectral_peaks=run --degradation normalise --kinds
    """
    from bonafide.bench import tabulate as tabulating
    from bonafide.bench.labelled import read_labelled

    files = read_labelled(manifests, most=10**9)
    found = tabulating.board(files, files_of(tables, "--scores"), degradation)
    lines = tabulating.whole(found, repeats)
    if years is not None:
        lines += ["", *tabulating.by_group(found, tabulating.years(files, years), "year")]
    if kinds:
        lines += ["", *tabulating.by_kind(found)]
    if generators:
        made = {file.path: file.made for file in found.files}
        lines += ["", *tabulating.by_group(found, made, "generator")]
    text = "\n".join(lines) + "\n"
    if out is not None:
        with atomic_write(out) as partial:
            partial.write_text(text, "utf-8")
    click.echo(text, nl=False)
