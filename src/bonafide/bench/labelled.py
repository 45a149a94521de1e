"""Which labelled files a calibration is fitted on, and what their labels say.

A manifest has a row per file. Columns that are read: `path` (relative to the manifest, or
absolute), `label`, `question` (the one that the label answers; empty for all), `origin`, else
`source`, else the first part of `group` (the source of the file: what is held together), `base`
(the photograph that an edit was made of: its source counts), `generator` and `kind` (what made the
file), `mask`, `composite` (rows that have it are left out).
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bonafide.bench.manifest import read_table
from bonafide.errors import InvalidInput
from bonafide.types import Question

MOST_PER_SOURCE = 60  # files, so that no collection speaks for the world

BONA_FIDE = frozenset(
    ("bona_fide", "authentic", "real", "original", "pristine", "genuine", "nature", "live")
)
ALTERED: Mapping[Question, frozenset[str]] = {
    Question.SYNTHETIC: frozenset(("generated", "ai", "synthetic", "fake")),
    Question.EDITED: frozenset(
        ("edited", "tampered", "manipulated", "splice", "copymove", "removal", "inpaint",
         "ai_inpaint", "ai_fill")
    ),
    Question.FACE_FORGED: frozenset(("forged", "face_forged", "fake_faceswap", "lip_synced")),
    Question.VOICE_CLONED: frozenset(("synthetic_speech", "voice_cloned", "cloned")),
    Question.SPOOFED: frozenset(("spoofed", "spoof", "spoof_replay")),
}  # fmt: skip


@dataclass(frozen=True)
class Labelled:
    """One labelled file.

    Attributes:
        path: absolute.
        source: what it is held together with.
        answers: question → whether the answer is yes; questions that the label leaves open are
            absent.
        made: generator or kind of edit of an altered file, kind of picture of another.
        mask: path of the mask of an edited file, None without one.
        kind: what the manifest says that it shows ("photo", "art", …), "" where it says nothing.
    """

    path: str
    source: str
    answers: Mapping[Question, bool]
    made: str = ""
    mask: str | None = None
    kind: str = ""

    @property
    def bona_fide(self) -> bool:
        """Whether no answer is yes."""
        return not any(self.answers.values())


def read_labelled(
    manifests: Sequence[str | Path],
    where: Mapping[str, str] | None = None,
    most: int = MOST_PER_SOURCE,
) -> list[Labelled]:
    """The labelled files of manifests, in the order of their paths.

    Args:
        manifests: CSV or Parquet; a file that several list is taken from the first.
        where: column → value that a row must have.
        most: files that one source may bring of a class, chosen by a hash of the path.

    Raises:
        InvalidInput: a manifest cannot be read, or none of its labels is known.
    """
    rows = [(Path(name), row) for name in manifests for row in _rows(Path(name), where or {})]
    sources = {_path(file, row["path"]): _source(row) for file, row in rows if row["path"]}
    masks = _masks(rows)
    found: dict[str, Labelled] = {}
    for file, row in rows:
        answers = answers_of(row.get("label", ""), row.get("question", ""))
        if not answers or row.get("composite") or not row["path"]:
            continue
        path = _path(file, row["path"])
        bona_fide = not any(answers.values())
        kind = row.get("kind") or row["label"]
        made = kind if bona_fide else row.get("generator") or kind
        mask = row.get("mask") or (None if bona_fide else masks.get(_pair(file, row)))
        base = _source_of_base(row.get("base", ""), sources)
        entry = Labelled(
            path,
            base or sources[path] or str(Path(path).parent),
            answers,
            made,
            _path(file, mask) if mask else None,
            row.get("kind", ""),
        )
        found.setdefault(path, entry)
    if not found:
        raise InvalidInput(f"no label of {', '.join(map(str, manifests))} is known")
    return sorted(_most(found.values(), most), key=lambda one: one.path)


def answers_of(label: str, question: str = "") -> dict[Question, bool]:
    """Question → answer that a label gives; {} for one that is no answer, as "mask"."""
    if label in BONA_FIDE:
        asked = [one for one in Question if one.accusation is not None]
        return {one: False for one in asked if question in ("", one.value)}
    return {
        one: True
        for one, labels in ALTERED.items()
        if label in labels and question in ("", one.value)
    }


def _rows(file: Path, where: Mapping[str, str]) -> list[dict[str, str]]:
    rows = read_table(file)
    if "path" not in rows[0] or "label" not in rows[0]:
        raise InvalidInput(f"manifest {file} needs the columns path and label")
    absent = [name for name in where if name not in rows[0]]
    if absent:
        raise InvalidInput(f"manifest {file} has no column {', '.join(absent)}")
    return [row for row in rows if all(row[name] == value for name, value in where.items())]


def _path(manifest: Path, name: str) -> str:
    return str((manifest.parent / name).absolute())


def _source(row: Mapping[str, str]) -> str:
    group = row.get("group", "").split("/")[0]
    return row.get("origin") or row.get("source") or group


def _source_of_base(base: str, sources: Mapping[str, str]) -> str:
    """The source of the photograph that a file was made of; "" where it is not listed."""
    if not base or base in sources:
        return sources.get(base, "")
    return next((source for path, source in sources.items() if path.endswith(f"/{base}")), "")


def _pair(file: Path, row: Mapping[str, str]) -> tuple[str, str]:
    return str(file), row.get("group", "")


def _masks(rows: Iterable[tuple[Path, Mapping[str, str]]]) -> dict[tuple[str, str], str]:
    """(manifest, group) → mask, from rows that are labelled "mask"."""
    return {
        _pair(file, row): row["path"]
        for file, row in rows
        if row.get("label") == "mask" and row.get("group")
    }


def _most(found: Iterable[Labelled], most: int) -> Iterable[Labelled]:
    by_source: dict[tuple[str, bool], list[Labelled]] = defaultdict(list)
    for one in found:
        by_source[one.source, one.bona_fide].append(one)
    for files in by_source.values():
        yield from sorted(files, key=lambda one: hashlib.sha256(one.path.encode()).hexdigest())[
            :most
        ]
