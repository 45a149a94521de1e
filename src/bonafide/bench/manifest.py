"""Manifests: one row per labelled file, as CSV or Parquet, and what a protocol takes from them.

Only `path` and `label` are required. A row whose label is "mask" is no sample: it is the mask of
the positive rows of its group.
"""

from __future__ import annotations

import csv
import hashlib
import warnings
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from PIL import Image as Pillow

from bonafide.bench.masks import MARKS
from bonafide.bench.protocol import ANY, COLUMNS, Protocol
from bonafide.bench.samples import Sample
from bonafide.errors import InvalidInput, MissingExtra
from bonafide.files import atomic_write

__all__ = ["InvalidInput", "Manifest", "Sample", "load", "read_table", "select", "write_manifest"]

MASK = "mask"


@dataclass(frozen=True)
class Manifest:
    """The samples that a protocol takes from a manifest.

    Attributes:
        samples: in the order of the file; each has `positive` set.
        folder: what paths are relative to.
        sha256: of the manifest file, hexadecimal; "" for one that was never a file.
        left_out: number of rows that the protocol does not use, masks aside.
    """

    samples: tuple[Sample, ...]
    folder: Path
    sha256: str = ""
    left_out: int = 0

    def file(self, sample: Sample) -> Path:
        """Where a sample lies."""
        return self.folder / sample.path

    def mask(self, sample: Sample) -> Path | None:
        """Where the mask of a sample lies, None if it has none."""
        return None if sample.mask is None else self.folder / sample.mask


def load(path: str | Path, protocol: Protocol) -> Manifest:
    """Read a manifest and apply a protocol to it.

    Raises:
        InvalidInput: it cannot be read, or the protocol finds nothing in it.
        MissingExtra: it is Parquet, and pyarrow is not installed.
    """
    file = Path(path)
    manifest = select(read_table(file), protocol, file.parent)
    return replace(manifest, sha256=hashlib.sha256(file.read_bytes()).hexdigest())


def read_table(path: str | Path) -> list[dict[str, str]]:
    """Rows of a CSV or Parquet file (by its ending) as text; a missing value is "".

    Raises:
        InvalidInput: it cannot be read, or has no rows.
        MissingExtra: it is Parquet, and pyarrow is not installed.
    """
    file = Path(path)
    try:
        rows = _read_parquet(file) if file.suffix.lower() == ".parquet" else _read_csv(file)
    except (OSError, ValueError, csv.Error) as error:
        raise InvalidInput(f"manifest {file} cannot be read: {error}") from None
    if not rows:
        raise InvalidInput(f"manifest {file} has no rows")
    return rows


def write_manifest(path: str | Path, samples: Iterable[Sample]) -> None:
    """Write samples as a CSV or Parquet manifest; a column that is empty everywhere is left out.

    The file appears whole or not at all.

    Raises:
        MissingExtra: Parquet is asked for, and pyarrow is not installed.
    """
    rows = [
        {name: sample.value(name) for name in COLUMNS} | dict(sample.extra) for sample in samples
    ]
    used = dict.fromkeys(name for row in rows for name, value in row.items() if value)
    further = sorted(set(used) - set(COLUMNS))
    names = [name for name in COLUMNS if name in used or name in ("path", "label")] + further
    file = Path(path)
    with atomic_write(file) as partial:
        if file.suffix.lower() == ".parquet":
            _write_parquet(partial, names, rows)
        else:
            with partial.open("w", encoding="utf-8", newline="") as stream:
                # Python 3.11 does not see that a lone carriage return needs quotes.
                odd = any("\r" in value for row in rows for value in row.values())
                writer = csv.DictWriter(
                    stream,
                    names,
                    restval="",
                    extrasaction="ignore",
                    lineterminator="\n",
                    quoting=csv.QUOTE_ALL if odd else csv.QUOTE_MINIMAL,
                )
                writer.writeheader()
                writer.writerows(rows)


def select(
    rows: Sequence[dict[str, str]],
    protocol: Protocol,
    folder: str | Path = ".",
    both_classes: bool = True,
) -> Manifest:
    """Apply the columns, conditions and labels of a protocol to the rows of a manifest.

    Raises:
        InvalidInput: a column that is needed is absent, a path occurs twice, or no row of one of
            the two classes is left although `both_classes` are needed.
    """
    present = dict.fromkeys(name for row in rows for name in row)
    columns = _columns(list(present), protocol)
    _require(protocol.where, present, protocol)
    kept = [row for row in rows if _passes(row, protocol)]
    masks = [row for row in kept if row.get(columns["label"]) == MASK]
    if protocol.is_positive(MASK) is not None and MASK in protocol.positive + protocol.negative:
        masks = []
    hidden = {id(row) for row in masks}
    found = [
        sample
        for row in kept
        if id(row) not in hidden
        and (sample := _sample(row, columns, protocol)).positive is not None
        and sample.question in ("", protocol.question)
    ]
    found = [sample for sample in found if _large_enough(sample, protocol, Path(folder))]
    left_out = len(rows) - len(masks) - len(found)
    found = _with_masks(found, [_sample(row, columns, protocol) for row in masks])
    if protocol.group_depth:
        found = [
            replace(one, group="/".join(one.group.split("/")[: protocol.group_depth]))
            for one in found
        ]
    _check(found, protocol, both_classes)
    return Manifest(tuple(found), Path(folder), "", left_out)


def _columns(present: list[str], protocol: Protocol) -> dict[str, str]:
    """Our column name → its name in the manifest, for the columns that it has."""
    columns = {}
    for name in COLUMNS:
        wanted = protocol.columns.get(name, (name,))
        existing = [column for column in wanted if column in present]
        if existing:
            columns[name] = existing[0]
        elif name in ("path", "label"):
            raise InvalidInput(f"the manifest has no column {' or '.join(wanted)}")
    return columns


def _require(names: Iterable[str], present: Iterable[str], protocol: Protocol) -> None:
    absent = sorted(set(names) - set(present))
    if absent:
        raise InvalidInput(
            f"protocol {protocol.name} chooses by {', '.join(absent)}, which the manifest lacks"
        )


def _passes(row: dict[str, str], protocol: Protocol) -> bool:
    for name, values in protocol.where.items():
        value = row.get(name, "")
        if value not in values and not (ANY in values and value):
            return False
    return True


def _sample(row: dict[str, str], columns: dict[str, str], protocol: Protocol) -> Sample:
    values = {name: row.get(column, "").strip() for name, column in columns.items()}
    mask = values.pop("mask", "")
    taken = set(columns.values())
    return Sample(
        **values,
        mask=mask or None,
        positive=protocol.is_positive(values["label"]),
        extra={name: value for name, value in row.items() if name not in taken and value},
    )


def _large_enough(sample: Sample, protocol: Protocol, folder: Path) -> bool:
    """Whether the shorter side reaches the protocol's; what cannot be read stays, to be counted."""
    if not protocol.min_side:
        return True
    try:
        size = int(sample.extra["width"]), int(sample.extra["height"])
    except (KeyError, ValueError):
        try:
            with warnings.catch_warnings(), Pillow.open(folder / sample.path) as picture:
                warnings.simplefilter("ignore")
                size = picture.size
        except Exception:  # Pillow raises nearly anything on damaged files, and on videos
            return True
    return min(size) >= protocol.min_side


def _with_masks(samples: list[Sample], masks: list[Sample]) -> list[Sample]:
    """Give positives without a mask the one of their group, of several the one named most alike."""
    by_group: dict[str, list[str]] = defaultdict(list)
    for mask in masks:
        if mask.group:
            by_group[mask.group].append(mask.path)
    result = []
    for sample in samples:
        choice = by_group.get(sample.group, []) if sample.positive and not sample.mask else []
        stem = Path(sample.path).stem
        best = max(choice, key=lambda path: _alike(Path(path).stem, stem), default=None)
        result.append(sample if best is None else replace(sample, mask=best))
    return result


def _alike(first: str, second: str) -> int:
    """Length of the common beginning."""
    pairs = zip(first, second, strict=False)
    return next((i for i, (a, b) in enumerate(pairs) if a != b), min(len(first), len(second)))


def _check(samples: list[Sample], protocol: Protocol, both_classes: bool) -> None:
    seen: set[str] = set()
    for sample in samples:
        if not sample.path:
            raise InvalidInput("a row of the manifest has no path")
        if sample.mask and sample.value("mask_marks") not in ("", *MARKS):
            raise InvalidInput(
                f"{sample.path}: mask_marks must be one of {', '.join(MARKS)}, or empty for white"
            )
        if sample.path in seen:
            raise InvalidInput(f"the manifest lists {sample.path} twice")
        seen.add(sample.path)
    for meaning, labels in ((True, protocol.positive), (False, protocol.negative)):
        if both_classes and not any(sample.positive is meaning for sample in samples):
            raise InvalidInput(
                f"protocol {protocol.name} finds no sample labelled {' or '.join(labels)}"
            )


def _read_csv(file: Path) -> list[dict[str, str]]:
    with file.open(encoding="utf-8-sig", newline="") as stream:
        reader = csv.DictReader(stream, restval="", strict=True)
        rows = []
        for row in reader:
            if None in row:
                raise ValueError(f"line {reader.line_num} has more values than the header")
            rows.append(dict(row))
        return rows


def _read_parquet(file: Path) -> list[dict[str, str]]:
    try:
        from pyarrow import parquet
    except ImportError:
        raise MissingExtra("bench", "reading Parquet") from None
    return [
        {name: "" if value is None else str(value) for name, value in row.items()}
        for row in parquet.read_table(file).to_pylist()
    ]


def _write_parquet(file: Path, names: list[str], rows: list[dict[str, str]]) -> None:
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError:
        raise MissingExtra("bench", "writing Parquet") from None
    table = {name: [row.get(name, "") for row in rows] for name in names}
    parquet.write_table(pyarrow.table(table), file)
