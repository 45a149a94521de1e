"""The labelled files that a calibration is fitted on."""

from __future__ import annotations

import csv
import hashlib
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

MOST_PER_SOURCE = 60


@dataclass(frozen=True)
class Sample:
    """One labelled file: `positive` is None where the question does not apply to it."""

    path: str
    group: str
    source: str
    synthetic: bool | None
    edited: bool | None
    mask: str | None = None


def read_samples(folder: Path) -> list[Sample]:
    """The files that are used, with what is known about them."""
    by_source: dict[str, list[Sample]] = defaultdict(list)
    for sample in _all_samples(folder):
        by_source[sample.source].append(sample)
    return [
        sample
        for source in by_source.values()
        for sample in sorted(source, key=_shuffled)[:MOST_PER_SOURCE]
    ]


def _shuffled(sample: Sample) -> str:
    return hashlib.sha256(sample.path.encode()).hexdigest()


def _all_samples(folder: Path) -> list[Sample]:
    samples = []
    for row in read_rows(folder / "generated_images.csv"):
        if row["composite"]:
            continue
        generated = row["label"] == "generated"
        samples.append(
            Sample(
                row["path"], row["origin"], row["source"], generated, None if generated else False
            )
        )
    masks = {
        row["group"]: row["path"]
        for row in read_rows(folder / "forensic_media.csv")
        if row["kind"] == "manipulation" and row["label"] == "mask"
    }
    for row in read_rows(folder / "forensic_media.csv"):
        if row["kind"] == "provenance" and row["label"].startswith(("ai_", "c2pa_ai", "exif")):
            declared = "ai_" in row["label"]
            samples.append(Sample(row["path"], _scene(row["group"]), row["label"], declared, None))
        if row["kind"] != "manipulation" or row["label"] == "mask":
            continue
        edited = row["label"] != "authentic"
        samples.append(
            Sample(
                row["path"],
                _scene(row["group"]),
                row["label"],
                None if edited else False,
                edited,
                masks.get(row["group"]) if edited else None,
            )
        )
    return samples


def _scene(group: str) -> str:
    """Pictures of one scene share a fold: drop the last part of `set/scene/picture`."""
    parts = group.split("/")
    return "/".join(parts[:2])


def read_rows(path: Path) -> Iterator[dict[str, str]]:
    """Rows of a CSV file."""
    with path.open(newline="") as file:
        yield from csv.DictReader(file)
