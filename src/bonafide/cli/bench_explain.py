"""`bonafide bench explain`: how good are explanations of stored reports?"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from bonafide.cli.bench_options import (
    DONE,
    SOME_FAILED,
    bar,
    json_option,
    quiet_option,
    repeats_option,
)
from bonafide.cli.explain import asking_of, explain_options


@click.command("explain")
@click.argument("reports", type=click.Path(exists=True, dir_okay=False, path_type=Path),
                metavar="REPORTS.jsonl")  # fmt: skip
@explain_options
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE.jsonl",
              help="Gets the reports with what the model added; run again to go on.")  # fmt: skip
@click.option("--records", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE.jsonl",
              help="Gets a line per statement to train explainers on: what was sent, and what was "
              "kept and dropped.")  # fmt: skip
@click.option("--looks", type=click.IntRange(min=0), default=0, show_default=True,
              help="Reports with marked regions whose pictures are examined again with regions "
              "erased.")  # fmt: skip
@click.option("--inpainter", metavar="FILE.onnx",
              help="Erase with this network too, from tools/train_inpainter.py.")  # fmt: skip
@click.option("--seeds", type=click.IntRange(min=1), default=2, show_default=True,
              help="Explanations of one report, for consistency.")  # fmt: skip
@click.option("--seeded", type=click.IntRange(min=0), default=0, show_default=True,
              help="Reports that the model explains again with other seeds.")  # fmt: skip
@click.option("--no-questions", is_flag=True, help="Put no yes-or-no questions to the model.")
@click.option("--seed", default=0, show_default=True, help="Seed of everything random.")
@repeats_option
@json_option
@quiet_option
def bench_explain(
    reports: Path,
    out: Path | None,
    records: Path | None,
    looks: int,
    inpainter: str | None,
    seeds: int,
    seeded: int,
    no_questions: bool,
    seed: int,
    repeats: int,
    as_json: bool,
    quiet: bool,
    **options: Any,
) -> None:
    """Measure explanations: those of fixed rules, and those of a model.

    REPORTS.jsonl holds reports as `bonafide … --jsonl` prints them. With --explain the model is
    asked about each that has no explanation of one yet.

    \b
    Exit status: 0 done · 1 the model failed on some report · 2 wrong usage.
    """
    from bonafide.bench import explain_run, explain_tables, tables
    from bonafide.bench.explain_erase import Blur, Filler, Surroundings

    plan = explain_run.Plan(
        asking=asking_of(options),
        seeds=seeds,
        seeded=seeded,
        questions=not no_questions,
        seed=seed,
        repeats=repeats,
    )
    with bar("explaining", quiet) as tick:
        found, explained = explain_run.run([*explain_run.read(reports)], plan, out, tick)
    if looks:
        fillers: dict[str, Filler] = {"surroundings": Surroundings(seed=seed), "blur": Blur()}
        if inpainter:
            from bonafide.train.tampering_fill import OnnxFiller

            fillers["network"] = OnnxFiller(Path(inpainter))
        with bar("looking again", quiet) as tick:
            found["looks"] = explain_run.look_again(explained, plan, looks, fillers, tick)
    if records is not None:
        from bonafide.bench.explain_records import write

        found["records"] = write(explained, records)
    if as_json:
        tables.print_json(found)
    else:
        explain_tables.print_explanations(found)
    sys.exit(SOME_FAILED if found["failures"] else DONE)
