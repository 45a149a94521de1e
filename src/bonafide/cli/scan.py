"""Examine many files in order, each in a process that can be stopped, and write what was asked."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from bonafide.batch import workers
from bonafide.batch.job import Job, Outcome, heard, lost, perform, told
from bonafide.cli.stdin import read_stdin
from bonafide.examination import Settings
from bonafide.languages.current import current
from bonafide.media.limits import Limits
from bonafide.media.sources import Source

Given = tuple[str | None, bytes | Source | None, str]


def given_files(paths: Iterable[str], limits: Limits) -> Iterator[Given]:
    """(path, None, name) of each path; (None, its bytes or a source, "stdin") of "-"."""
    for path in paths:
        if path == "-":
            yield None, read_stdin(limits), "stdin"
        else:
            yield path, None, Path(path).name


def scan(
    files: Iterable[Given],
    settings: Settings,
    jobs: int = 0,
    maps: str | None = None,
    page: bool = False,
    debug: bool = False,
    hashed: bool = False,
    fork: bool = False,
    share: str = "",
) -> Iterator[Outcome]:
    """Start to examine files; their outcomes come in input order.

    Args:
        files: (path, None, name) or (None, bytes or a picklable source, name).
        settings: the same for all.
        jobs: processes; 0 for one per core. With several, each runs one detector at a time.
        maps: folder for heatmaps, made if it is missing; None to write none.
        page: whether to render HTML sections.
        debug: let decoders and tracebacks through to standard error.
        hashed: whether to compute perceptual hashes.
        fork: as for `workers.run`.
        share: what a model may see of each file, a `Share`; "" where none is asked.

    Returns:
        One outcome per file, failures included; a hang or a crash is the failure of one file.
    """
    count = jobs or os.cpu_count() or 1
    if count > 1:
        settings = replace(settings, threads=1)
    if maps is not None:
        Path(maps).mkdir(parents=True, exist_ok=True)
    tasks = _jobs(files, settings, maps, page, hashed, share, current())
    # At once, before the caller draws a progress bar, which has a thread.
    seconds = settings.limits.seconds
    done = workers.run(_EXAMINE, tasks, count, seconds, not debug, fork)
    return (
        lost(job, outcome) if isinstance(outcome, workers.Lost) else outcome
        for job, outcome in done
    )


def _examine(job: Job) -> dict[str, Any]:
    return told(perform(job))


def _outcome(job: Job, values: Any) -> Outcome:
    return heard(values, job.name, job.path)


_EXAMINE = workers.InJson(_examine, _outcome)


def _jobs(
    files: Iterable[Given],
    settings: Settings,
    maps: str | None,
    page: bool,
    hashed: bool,
    share: str,
    language: str,
) -> Iterator[Job]:
    seen: dict[str, int] = {}
    for path, data, name in files:
        stem = Path(name.replace("\\", "_")).stem or "file"
        if maps is not None:  # two files of one stem must not overwrite each other's maps
            seen[stem] = seen.get(stem, 0) + 1
            stem = stem if seen[stem] == 1 else f"{stem}-{seen[stem]}"
        yield Job(path, data, name, settings, maps, stem, page, hashed, share, language)
