"""The verbs of `bonafide bench`. Results go to standard output, everything else to
standard error."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import click

from bonafide.bench import tables
from bonafide.cli.bench_attack import attack
from bonafide.cli.bench_calibration import calibrate, measure, operating_point, regions
from bonafide.cli.bench_captions import bench_captions
from bonafide.cli.bench_explain import bench_explain
from bonafide.cli.bench_options import (
    DONE,
    SOME_FAILED,
    bar,
    jobs_option,
    json_option,
    listed,
    manifest_argument,
    pairs,
    protocol_option,
    quiet_option,
    repeats_option,
)
from bonafide.cli.bench_release import release
from bonafide.cli.bench_tables import tabulate
from bonafide.cli.feedback import bench_feedback


@click.group()
def bench() -> None:
    """Measure and calibrate detectors on labelled files.

    \b
    bonafide bench index set --out manifest.csv               list files with their labels
    bonafide bench audit manifest.csv                         what do size and format give away?
    bonafide bench run manifest.csv --out run                 score them, write report.html
    bonafide bench measure manifest.csv --out scores.jsonl    scores to calibrate on
    bonafide bench calibrate scores.jsonl --manifest manifest.csv --out own.json
    """


for _command in (
    measure, calibrate, regions, operating_point, attack, release, tabulate,
    bench_feedback, bench_explain, bench_captions,
):  # fmt: skip
    bench.add_command(_command)


@bench.command()
@click.argument("folder", type=click.Path(exists=True, file_okay=False), metavar="DIR")
@click.option("--layout", default="plain", show_default=True, metavar="NAME",
              help="How the set is laid out; an unknown name lists the known ones.")  # fmt: skip
@click.option("--out", metavar="FILE", help="The manifest to write.  [default: DIR/manifest.csv]")
def index(folder: str, layout: str, out: str | None) -> None:
    """Write the manifest of a data set: its files with their labels."""
    from bonafide.bench import layouts
    from bonafide.bench.manifest import write_manifest

    samples = layouts.index(Path(folder), layout)
    target = Path(out) if out else Path(folder) / "manifest.csv"
    write_manifest(target, layouts.relative(samples, Path(folder), target.parent))
    click.echo(str(target))


@bench.command()
@manifest_argument
@protocol_option
@click.option("--degradation", metavar="NAME",
              help="Change files like this first.  [default: the protocol's first]")  # fmt: skip
@jobs_option
@json_option
@quiet_option
def audit(
    manifest: str,
    protocol: str,
    degradation: str | None,
    jobs: int,
    as_json: bool,
    quiet: bool,
) -> None:
    """Say how well size, format and metadata tell the classes apart, and list pictures in both."""
    found = _audit(manifest, protocol, degradation, jobs, quiet)
    if as_json:
        tables.print_json(found)
    else:
        tables.print_audit(found)
    sys.exit(SOME_FAILED if found["unreadable"] else DONE)


@bench.command()
@manifest_argument
@protocol_option
@click.option("--detectors", metavar="ID,...",
              help="Detectors to measure; `verdict` is all of them together.  "
              "[default: those that answer the protocol's question]")  # fmt: skip
@click.option("--scores", multiple=True, metavar="NAME=FILE",
              help="Scores of a detector run elsewhere: CSV with path and score.")  # fmt: skip
@click.option(
    "--out", required=True, metavar="DIR", help="Folder of the run; one that exists is continued."
)
@jobs_option
@click.option("--seed", default=0, show_default=True, help="Seed of everything random.")
@click.option("--max-seconds", type=click.FloatRange(min=1), default=300.0, show_default=True,
              help="Wall time for all detectors on one file.")  # fmt: skip
@click.option("--max-pixels", type=click.IntRange(min=1), metavar="N",
              help="Width × height of a picture.  [default: 64,000,000]")  # fmt: skip
@click.option("--retry-failed", is_flag=True, help="Try again what failed before.")
@click.option("--no-audit", is_flag=True, help="Skip the audit; the report says so.")
@repeats_option
@json_option
@quiet_option
@click.option("--debug", is_flag=True, help="Print warnings of decoders.")
def run(
    manifest: str,
    protocol: str,
    detectors: str | None,
    scores: tuple[str, ...],
    out: str,
    jobs: int,
    seed: int,
    max_seconds: float,
    max_pixels: int | None,
    retry_failed: bool,
    no_audit: bool,
    repeats: int,
    as_json: bool,
    quiet: bool,
    debug: bool,
) -> None:
    """Score the files of a manifest and write a report; run again to continue.

    \b
    Exit status: 0 done · 1 some file or detector failed · 2 wrong usage.
    """
    from bonafide.bench import run as running
    from bonafide.bench import scores as store
    from bonafide.bench.protocol import load_protocol
    from bonafide.media.limits import Limits

    chosen = listed(detectors)
    limits = Limits(seconds=max_seconds, **({"pixels": max_pixels} if max_pixels else {}))
    plan = running.plan(manifest, load_protocol(protocol), chosen, _named(scores))
    folder = Path(out)
    with bar("scoring", quiet) as tick:
        running.run(plan, folder, jobs, seed, limits, retry_failed, tick, debug)
    if not no_audit and not _audited(folder, plan):
        found = _audit(manifest, protocol, None, jobs, quiet)
        key = {"manifest": plan.manifest.sha256, "protocol": plan.protocol.sha256}
        store.write_json(folder / store.AUDIT, {"of": key, "audit": found})
    measured = _report(folder, repeats, quiet)
    tables.print_results(measured, as_json)
    failed = any(
        one["coverage"]["failed"]
        for part in measured["degradations"]
        for one in part["detectors"].values()
    )
    sys.exit(SOME_FAILED if failed else DONE)


@bench.command()
@click.argument("folder", type=click.Path(exists=True), metavar="DIR")
@repeats_option
@json_option
@quiet_option
def report(folder: str, repeats: int, as_json: bool, quiet: bool) -> None:
    """Compute every figure again from DIR/scores.parquet; write results.json and report.html."""
    tables.print_results(_report(Path(folder), repeats, quiet), as_json)


@bench.command()
@click.argument("first", metavar="A")
@click.argument("second", metavar="B")
@repeats_option
@json_option
def compare(first: str, second: str, repeats: int, as_json: bool) -> None:
    """Test whether B differs from A; each is the folder of a run, or FOLDER:DETECTOR."""
    from bonafide.bench.compare import compare as comparing

    found = comparing(first, second, repeats)
    if as_json:
        tables.print_json(found)
    else:
        tables.print_comparison(found)


@bench.command()
@click.argument("name", required=False)
@json_option
def protocols(name: str | None, as_json: bool) -> None:
    """List the protocols that ship, or show one of them in full."""
    from bonafide.bench.protocol import load_protocol, names

    known = {one: load_protocol(one) for one in ([name] if name else names())}
    if as_json:
        tables.print_json({one: p.to_dict() | {"sha256": p.sha256} for one, p in known.items()})
    elif name:
        click.echo(json.dumps(known[name].to_dict(), indent=2, ensure_ascii=False))
        click.echo(f"sha256 {known[name].sha256}")
    else:
        tables.print_pairs({one: protocol.description for one, protocol in known.items()})


@bench.command()
@click.argument("name", required=False)
@json_option
def degradations(name: str | None, as_json: bool) -> None:
    """List the changes that files can go through before they are scored, or explain NAME."""
    from bonafide.bench import degrade, degrade_video
    from bonafide.bench.results import meaning
    from bonafide.bench.scoring import canonical
    from bonafide.errors import InvalidInput

    if name:
        try:
            known = {canonical(name): meaning(canonical(name))}
        except ValueError as error:
            raise InvalidInput(str(error)) from None
    else:
        known = degrade.GRAMMAR.usage | degrade_video.GRAMMAR.usage
    if as_json:
        tables.print_json(known)
    else:
        tables.print_pairs(known)


def _report(folder: Path, repeats: int, quiet: bool) -> dict[str, Any]:
    from bonafide.bench import scores as store
    from bonafide.bench.page import write_page
    from bonafide.bench.results import results, write_results

    with bar("measuring", quiet) as tick:
        measured = results(folder, repeats, progress=lambda done, total: tick(done, total, 0))
    home = folder if folder.is_dir() else folder.parent
    write_results(home, measured)
    path = home / store.AUDIT
    audit_found = store.read_json(path)["audit"] if path.is_file() else None
    page = write_page(home / "report.html", measured, audit_found)
    if not quiet:
        click.echo(f"report written to {page}", err=True)
    return measured


def _audit(
    manifest: str, protocol: str, degradation: str | None, jobs: int, quiet: bool
) -> dict[str, Any]:
    from bonafide.bench.audit import audit as auditing
    from bonafide.bench.manifest import load
    from bonafide.bench.protocol import load_protocol
    from bonafide.bench.scoring import canonical
    from bonafide.errors import InvalidInput

    chosen = load_protocol(protocol)
    known = load(manifest, chosen)
    try:
        name = canonical(degradation or chosen.degradations[0])
    except ValueError as error:
        raise InvalidInput(str(error)) from None
    total = len(known.samples)
    with bar("auditing", quiet) as tick:
        found = auditing(
            known,
            chosen.folds(known.samples),
            name,
            jobs,
            progress=lambda done: tick(done, total, 0),
        )
    return found.to_dict()


def _audited(folder: Path, plan: Any) -> bool:
    """Whether the folder holds the audit of this manifest under this protocol."""
    from bonafide.bench import scores as store

    path = folder / store.AUDIT
    if not path.is_file():
        return False
    of = store.read_json(path)["of"]
    return bool(
        of == {"manifest": plan.manifest.sha256, "protocol": plan.protocol.sha256}
    )  # fmt: skip


def _named(given: tuple[str, ...]) -> dict[str, str]:
    return pairs(given, "--scores", "NAME=FILE")
