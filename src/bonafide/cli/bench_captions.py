"""`bonafide bench captions`: are wrong captions told, and by which words and boxes?"""

from __future__ import annotations

from pathlib import Path

import click

from bonafide.cli.bench_options import bar, json_option, quiet_option


@click.command("captions")
@click.argument("manifest", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@json_option
@quiet_option
def bench_captions(manifest: Path, as_json: bool, quiet: bool) -> None:
    """Measure detectors of wrong captions on a labelled set.

    MANIFEST has the columns path, label, caption, caption_words and caption_box, as
    `bonafide bench index FOLDER --layout dgm4` writes them.
    """
    from bonafide.bench.captions import as_rows, figures, measure, read
    from bonafide.bench.tables import print_json, print_pairs

    samples = read(manifest)
    with bar("captions", quiet) as step:
        found = figures(samples, measure(samples, lambda done, total: step(done, total, 0)))
    if as_json:
        print_json(found)
    else:
        print_pairs(as_rows(found))
