"""Train copies of `synthetic_traces` that never saw what they are tested on, and score with them.

    python tools/crossvalidate.py MANIFEST --out DIR [--pairs PAIRS.csv …] [--set key=value …]
    python tools/crossvalidate.py MANIFEST --out DIR --score generated-normalised,generated-native

The pictures are dealt out over five folds by origin; origins that hold the two sides of a matched
pair (named by `--together`) stay in one fold. For every fold `bonafide train` runs on the rest,
with those pairs whose originals are in the rest, and what it exports is used through the ordinary
detector (BONAFIDE_WEIGHTS) on the fold. Out comes `DIR/<protocol>.csv` with one row per picture and
degradation, fit for `bonafide bench run --scores synthetic_traces=FILE` and for
`bonafide bench calibrate … --scores-of ID=FILE`.

Both steps can be stopped and run again; what is there is kept.
"""

from __future__ import annotations

import argparse
import csv
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as parquet

from bonafide.bench.manifest import load, read_table
from bonafide.bench.protocol import load_protocol
from bonafide.bench.splits import group_folds

METHOD = "synthetic_traces"
FOLDS = 5
FACES = ("deepface/identity", "vipguard/id0")


def main() -> None:
    """Read the command line and do what it says."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("manifest", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--pairs", type=Path, action="append", default=[])
    parser.add_argument("--faces", type=Path, help="forensic_media.csv; real faces to train on")
    parser.add_argument("--whole", action="store_true", help="Train on everything as well.")
    parser.add_argument("--set", dest="settings", action="append", default=[])
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--together", action="append", default=[], metavar="A+B")
    parser.add_argument("--score", default="", metavar="PROTOCOL,...")
    parser.add_argument("--only", type=int, action="append", help="Folds, 1 to 5.")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    options = parser.parse_args()
    further = read_faces(options.faces) if options.faces else []
    write_folds(options.manifest, options.out, options.pairs, options.together, further)
    folds = [options.out / f"fold{number}" for number in options.only or range(1, FOLDS + 1)]
    trained = [*folds, options.out / "whole"] if options.whole else folds
    with ThreadPoolExecutor(options.jobs) as pool:
        list(pool.map(lambda fold: train(fold, options.settings, options.precision), trained))
    for name in filter(None, options.score.split(",")):
        for fold in folds:
            score(fold, name, options.jobs)
        merge(options.manifest, options.out, folds, name)


def read_faces(table: Path) -> list[dict[str, str]]:
    """Photographs of faces that no origin of the manifest brings."""
    return [
        {
            "path": str((table.parent / row["path"]).resolve()),
            "label": "bona_fide",
            "source": row["group"],
            "origin": row["group"],
            "kind": "face",
        }
        for row in read_table(table)
        if row["label"].startswith("real") and row["group"] in FACES
    ]


def write_folds(
    manifest: Path,
    out: Path,
    pairs: list[Path],
    together: list[str],
    further: list[dict[str, str]],
) -> None:
    """`fold<k>/train.csv`, `test.csv` and, with pairs, `pairs.csv`; paths are absolute.

    `whole` has everything for training. What is `further` is trained on and never tested.
    """
    merged: dict[str, str] = dict(pair.split("+", 1) for pair in together)  # type: ignore[misc]
    plan = replace(load_protocol("generated-normalised"), min_side=0)
    samples = load(manifest, plan).samples
    dealt = [replace(one, group=merged.get(one.group, one.group)) for one in samples]
    rows = {row["path"]: row for row in read_table(manifest)}
    every = {one.path for one in samples}
    parts = {
        f"fold{number}": {samples[index].path for index in fold.test}
        for number, fold in enumerate(group_folds(dealt, FOLDS), 1)
    }
    for name, tested in {**parts, "whole": set()}.items():
        folder, kept = out / name, every - tested
        folder.mkdir(parents=True, exist_ok=True)
        write(folder / "train.csv", manifest.parent, [rows[path] for path in sorted(kept)], further)
        write(folder / "test.csv", manifest.parent, [rows[path] for path in sorted(tested)])
        if pairs:
            write_pairs(folder / "pairs.csv", manifest.parent, pairs, kept)


def write(
    path: Path, base: Path, rows: list[dict[str, str]], further: list[dict[str, str]] | None = None
) -> None:
    """A manifest with absolute paths."""
    absolute = [row | {"path": str((base / row["path"]).resolve())} for row in rows]
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]) if rows else ["path", "label"], restval="")
        writer.writeheader()
        writer.writerows([*absolute, *(further or [])])


def write_pairs(path: Path, base: Path, tables: list[Path], kept: set[str]) -> None:
    """The pairs whose originals may be trained on, of all tables, with absolute paths."""
    found = []
    for table in tables:
        for row in read_table(table):
            if row["original"] in kept:
                twin = str((table.parent / row["path"]).resolve())
                original = str((base / row["original"]).resolve())
                found.append(row | {"path": twin, "original": original})
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(found[0]))
        writer.writeheader()
        writer.writerows(found)


def train(fold: Path, settings: list[str], precision: str) -> None:
    """Train on a fold's training part unless that was done."""
    if (fold / "run" / f"{METHOD}.onnx").exists():
        return
    command = [sys.executable, "-m", "bonafide", "train", METHOD, "--quiet"]
    command += ["--data", str(fold / "train.csv"), "--out", str(fold / "run")]
    command += ["--precision", precision, "--threads", "1"]
    command += ["--protocol", "generated-native", "--half", "--cache", str(fold.parent / "pixels")]
    if (fold / "pairs.csv").exists():
        command += ["--pairs", str(fold / "pairs.csv")]
    for setting in settings:
        command += ["--set", setting]
    if (fold / "run" / "checkpoint.pt").exists():
        command.append("--resume")
    with (fold / "train.log").open("a") as log:
        subprocess.run(
            command, stdout=log, stderr=log, check=True, env=os.environ | {"OMP_NUM_THREADS": "1"}
        )


def score(fold: Path, protocol: str, jobs: int) -> None:
    """Run the benchmark on a fold's test part with the weights of that fold."""
    weights = fold / "weights"
    weights.mkdir(exist_ok=True)
    link = weights / f"{METHOD}-1.onnx"
    link.unlink(missing_ok=True)
    link.symlink_to((fold / "run" / f"{METHOD}.onnx").resolve())
    command = [sys.executable, "-m", "bonafide", "bench", "run", str(fold / "test.csv")]
    command += ["--protocol", protocol, "--detectors", METHOD, "--no-audit", "--repeats", "0"]
    command += ["--out", str(fold / Path(protocol).stem), "--jobs", str(jobs), "--quiet"]
    environment = os.environ | {"BONAFIDE_WEIGHTS": str(weights.resolve())}
    subprocess.run(command, check=True, env=environment, stdout=subprocess.DEVNULL)


def merge(manifest: Path, out: Path, folds: list[Path], protocol: str) -> None:
    """One table of out-of-fold scores, with paths as the manifest writes them."""
    base = manifest.parent.resolve()
    rows = [
        {**row, "path": Path(row["path"]).relative_to(base)}
        for fold in folds
        for row in parquet.read_table(fold / Path(protocol).stem / "scores.parquet").to_pylist()
        if row["detector"] == METHOD and row["score"] is not None
    ]
    columns = ["path", "score"]
    if len({row["degradation"] for row in rows}) > 1:
        columns.append("degradation")
    target = out / f"{Path(protocol).stem}.csv"
    with target.open("w", newline="") as file:
        writer = csv.DictWriter(file, columns, extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)
    print(target)


if __name__ == "__main__":
    main()
