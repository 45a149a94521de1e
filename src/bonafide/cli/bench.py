"""The verbs of `bonafide bench`. Results go to standard output, talk to standard error."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from bonafide.bench import tables

DONE, SOME_FAILED = 0, 1

_Tick = Callable[[int, int, int], None]

_manifest = click.argument("manifest", type=click.Path(dir_okay=False), metavar="MANIFEST")
_protocol = click.option(
    "--protocol",
    default="generated-normalised",
    show_default=True,
    metavar="NAME|FILE",
    help="What is measured and how; see `bonafide bench protocols`.",
)
_jobs = click.option(
    "--jobs", type=click.IntRange(min=0), default=0, help="Processes; 0: one per core."
)
_quiet = click.option("--quiet", is_flag=True, help="No progress bar and no notes.")
_json = click.option("--json", "as_json", is_flag=True, help="The whole result as JSON.")
_repeats = click.option(
    "--repeats",
    type=click.IntRange(min=0),
    default=1000,
    show_default=True,
    help="Resamples behind each interval.",
)


@click.group()
def bench() -> None:
    """Measure detectors: index, audit, run, report, compare, calibrate."""


@bench.command()
@click.argument("folder", type=click.Path(exists=True, file_okay=False), metavar="DIR")
@click.option("--layout", default="plain", show_default=True, metavar="NAME",
              help="How the set ships; an unknown name lists those that are known.")  # fmt: skip
@click.option("--out", metavar="FILE", help="The manifest to write.  [default: DIR/manifest.csv]")
def index(folder: str, layout: str, out: str | None) -> None:
    """Write the manifest of a data set in the layout in which it ships."""
    from bonafide.bench import layouts
    from bonafide.bench.manifest import write_manifest

    samples = layouts.index(Path(folder), layout)
    target = Path(out) if out else Path(folder) / "manifest.csv"
    write_manifest(target, layouts.relative(samples, Path(folder), target.parent))
    click.echo(str(target))


@bench.command()
@_manifest
@_protocol
@click.option("--degradation", metavar="NAME",
              help="Look at files after this.  [default: the protocol's first]")  # fmt: skip
@_jobs
@_json
@_quiet
def audit(
    manifest: str,
    protocol: str,
    degradation: str | None,
    jobs: int,
    as_json: bool,
    quiet: bool,
) -> None:
    """Say what size, format and metadata give away, and which pictures stand on both sides."""
    found = _audit(manifest, protocol, degradation, jobs, quiet)
    if as_json:
        tables.print_json(found)
    else:
        tables.print_audit(found)
    sys.exit(SOME_FAILED if found["unreadable"] else DONE)


@bench.command()
@_manifest
@_protocol
@click.option("--detectors", metavar="ID,...",
              help="Which to measure; `verdict` stands for all of them fused.  "
              "[default: those that answer the protocol's question]")  # fmt: skip
@click.option("--scores", multiple=True, metavar="NAME=FILE",
              help="Scores of a detector run elsewhere: CSV with path and score.")  # fmt: skip
@click.option("--out", required=True, metavar="DIR", help="Where the run lies; go on with it.")
@_jobs
@click.option("--seed", default=0, show_default=True, help="Of everything random.")
@click.option("--max-seconds", type=click.FloatRange(min=1), default=300.0, show_default=True,
              help="Wall time for all detectors on one file.")  # fmt: skip
@click.option("--max-pixels", type=click.IntRange(min=1), metavar="N",
              help="Width × height of a picture.  [default: 64,000,000]")  # fmt: skip
@click.option("--retry-failed", is_flag=True, help="Ask again where something failed before.")
@click.option("--no-audit", is_flag=True, help="Leave the audit out; the report says so.")
@_repeats
@_json
@_quiet
@click.option("--debug", is_flag=True, help="Let decoders' complaints through.")
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
    """Score a manifest and report; started again, it goes on where it stopped.

    \b
    Exit status: 0 done · 1 some file or detector failed · 2 wrong usage.
    """
    from bonafide.bench import run as running
    from bonafide.bench import scores as store
    from bonafide.bench.protocol import load_protocol
    from bonafide.media.limits import Limits

    chosen = tuple(part.strip() for part in (detectors or "").split(",") if part.strip())
    limits = Limits(seconds=max_seconds, **({"pixels": max_pixels} if max_pixels else {}))
    plan = running.plan(manifest, load_protocol(protocol), chosen, _named(scores))
    folder = Path(out)
    with _bar("scoring", quiet) as tick:
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
@_repeats
@_json
@_quiet
def report(folder: str, repeats: int, as_json: bool, quiet: bool) -> None:
    """Compute every figure anew from DIR/scores.parquet; write results.json and report.html."""
    tables.print_results(_report(Path(folder), repeats, quiet), as_json)


@bench.command()
@click.argument("first", metavar="A")
@click.argument("second", metavar="B")
@_repeats
@_json
def compare(first: str, second: str, repeats: int, as_json: bool) -> None:
    """Test whether B differs from A; each is the folder of a run, or FOLDER:DETECTOR."""
    from bonafide.bench.compare import compare as comparing

    found = comparing(first, second, repeats)
    if as_json:
        tables.print_json(found)
    else:
        tables.print_comparison(found)


@bench.command()
@click.argument("place", type=click.Path(exists=True), metavar="RUN|MANIFEST")
@click.option("--detector", "detectors", multiple=True, required=True, metavar="ID",
              help="Which is to join the verdict; may be repeated.")  # fmt: skip
@_protocol
@click.option("--out", metavar="FILE",
              help="The calibration to write.  [default: among the user's data]")  # fmt: skip
@_jobs
@_quiet
def calibrate(
    place: str,
    detectors: tuple[str, ...],
    protocol: str,
    out: str | None,
    jobs: int,
    quiet: bool,
) -> None:
    """Fit a calibration for any detector, from the folder of a run or a labelled manifest.

    A run must hold the scores of all detectors that weigh in the same question. `bonafide scan
    --calibration FILE` lays the result over the shipped calibration.
    """
    from bonafide.bench import calibrate as calibrating
    from bonafide.bench.protocol import load_protocol

    if Path(place).is_dir():
        table = calibrating.calibrate(place, detectors)
    else:
        with _bar("scoring", quiet) as tick:
            table = calibrating.calibrate_manifest(
                place, load_protocol(protocol), detectors, jobs, tick
            )
    written = calibrating.write(table, out)
    tables.print_calibration(table)
    click.echo(str(written))


@bench.command()
@click.argument("name", required=False)
@_json
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
@_json
def degradations(name: str | None, as_json: bool) -> None:
    """List what can be done to files before they are scored, or say what NAME does."""
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

    with _bar("measuring", quiet) as tick:
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
    with _bar("auditing", quiet) as tick:
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
    found = {}
    for text in given:
        name, equals, path = text.partition("=")
        if not (name and equals and path):
            raise click.UsageError(f"--scores takes NAME=FILE, not {text!r}")
        found[name] = path
    return found


@contextmanager
def _bar(what: str, quiet: bool) -> Iterator[_Tick]:
    """A progress bar on standard error, where somebody looks at it."""
    if quiet or not sys.stderr.isatty():
        yield lambda done, total, failed: None
        return
    from rich.console import Console

    from bonafide.report import terminal

    with terminal.progress(what, Console(stderr=True)) as progress:
        bar = progress.add_task("", total=None)

        def tick(done: int, total: int, failed: int) -> None:
            text = f"{failed} failed" if failed else ""
            progress.update(bar, completed=done, total=total, description=text)

        yield tick
