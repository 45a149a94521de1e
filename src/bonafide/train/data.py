"""What is trained on: labelled pictures and aligned pairs, decoded once, groups held out whole.

What cannot be read is left out and named; nothing takes its place.
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from bonafide.bench.manifest import read_table, select
from bonafide.bench.protocol import Protocol
from bonafide.bench.samples import Sample
from bonafide.errors import InvalidInput
from bonafide.train.pictures import History, Picture, Wanted, decode
from bonafide.train.places import OnDisk
from bonafide.train.readers import Table, open_table

__all__ = [
    "Fingerprint", "History", "Pair", "Picture", "TrainingData", "fingerprint", "hold_out", "load",
    "of_table", "source_numbers", "wanted_of",
]  # fmt: skip
PAIR_COLUMNS = ("path", "original", "left", "top", "size", "autoencoder")


@dataclass(frozen=True)
class Pair:
    """A crop of a bona fide picture, and its twin of equal size that a decoder made."""

    original: Picture
    twin: Picture


@dataclass(frozen=True)
class Fingerprint:
    """What a training table was: name, hexadecimal SHA-256, and number of rows that were used."""

    name: str
    sha256: str
    rows: int


@dataclass(frozen=True)
class TrainingData:
    """Everything that a training sees.

    Attributes:
        pictures: labelled ones to train on.
        pairs: aligned ones to train on; none of their originals is in a held-out group.
        validation: pictures of held-out groups, both classes; () where nothing is held out.
        held_out: those groups, and autoencoders held out with them.
        left_out: name → why a file or row is not used.
        tables: the manifest and the list of pairs.
    """

    pictures: tuple[Picture, ...]
    pairs: tuple[Pair, ...]
    validation: tuple[Picture, ...]
    held_out: tuple[str, ...]
    left_out: Mapping[str, str]
    tables: tuple[Fingerprint, ...]


def load(
    manifest: Path,
    protocol: Protocol,
    cache: Path,
    pairs: Sequence[Path] = (),
    held_out: float = 0.2,
    seed: int = 0,
    jobs: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> TrainingData:
    """Read tables, decode what is not in the cache yet, and hold groups out.

    Args:
        manifest: labelled pictures, as a manifest, shards or a saved data set (see
            `bonafide.train.readers`); with pairs it may list bona fide ones alone.
        protocol: says what labels and columns mean. Rows with a value under `composite` hold
            several pictures in one and are left out.
        cache: folder of decoded pictures; may be shared between trainings.
        pairs: tables with `PAIR_COLUMNS`, as `bonafide align` writes them. Twins are relative to
            the folder of their table, originals to that of the manifest.
        held_out: share of the pictures of each class to hold out, in [0, 1).
        seed: of the choice.
        jobs: processes that decode; 0 for one per core.
        progress: called with the numbers of files read and of all files.

    Raises:
        InvalidInput: a table cannot be followed, or a class has too few groups to hold one out.
    """
    opened = open_table(manifest, cache)
    rows = opened.rows
    single = [row for row in rows if not row.get("composite")]
    left_out = {
        row.get("path", ""): "several pictures in one" for row in rows if row.get("composite")
    }
    wanted = _labelled(single, protocol, opened, cache) if _both(single, protocol) else []
    if not wanted and not pairs:
        raise InvalidInput(
            f"{manifest} needs rows of both classes under protocol {protocol.name}, or --pairs"
        )
    found_in = {table: _twins(table, opened, protocol, cache) for table in pairs}
    twins = [both for table in found_in.values() for both in table]
    every = [*wanted, *(side for both in twins for side in both)]
    found = decode(every, jobs, left_out, progress)
    pictures = [picture for picture in found[: len(wanted)] if picture]
    sides = found[len(wanted) :]
    aligned = _matching(zip(sides[::2], sides[1::2], strict=True), left_out)
    tables = [Fingerprint(opened.name, opened.sha256, len(pictures))]
    tables += [fingerprint(table, len(listed)) for table, listed in found_in.items()]
    divide = _divide_labelled if pictures else _divide_pairs
    whole = TrainingData(tuple(pictures), tuple(aligned), (), (), left_out, tuple(tables))
    return divide(whole, held_out, seed) if held_out else whole


def wanted_of(samples: Sequence[Sample], table: Table, cache: Path) -> list[Wanted]:
    """What is to be decoded of labelled files; without a source, who made a file is its source."""
    return [
        Wanted(
            table.place(sample.path),
            sample.path,
            bool(sample.positive),
            sample.value("source") or sample.generator or sample.cluster,
            sample.cluster,
            cache,
        )
        for sample in samples
    ]


def of_table(
    pictures: Sequence[Picture],
    left_out: Mapping[str, str],
    table: Table,
    held_out: float,
    seed: int,
) -> TrainingData:
    """What was decoded of one table, without pairs, groups held out.

    Args:
        pictures: what can be used.
        left_out: name → why a file is not used.
        table: where they are listed.
        held_out: share of the pictures of each class to hold out, in [0, 1).
        seed: of the choice.

    Raises:
        InvalidInput: a class has too few groups to hold one out.
    """
    tables = (Fingerprint(table.name, table.sha256, len(pictures)),)
    whole = TrainingData(tuple(pictures), (), (), (), left_out, tables)
    return _divide_labelled(whole, held_out, seed) if held_out else whole


def source_numbers(data: TrainingData) -> dict[str, int]:
    """Sources of what is trained on, numbered in alphabetical order."""
    every = [*data.pictures, *(side for one in data.pairs for side in (one.original, one.twin))]
    return {name: number for number, name in enumerate(sorted({one.source for one in every}))}


def hold_out(pictures: Sequence[Picture], share: float, seed: int) -> set[str]:
    """Choose whole groups, about `share` of the pictures of every class that occurs.

    Groups are taken in an order given by the seed, passing over those that would hold out much
    more than is wanted; where that leaves a class without any, its smallest group is taken.

    Raises:
        InvalidInput: a class consists of one group, or its groups would all be held out.
    """
    classes = {picture.positive for picture in pictures}
    sizes: dict[str, Counter[bool]] = defaultdict(Counter)
    for picture in pictures:
        sizes[picture.group][picture.positive] += 1
    totals = Counter(picture.positive for picture in pictures)
    held: Counter[bool] = Counter()
    chosen: set[str] = set()
    for group in sorted(sizes, key=lambda name: _shuffled(name, seed)):
        size = sizes[group]
        if all(held[side] + size[side] <= 1.25 * share * totals[side] for side in size):
            chosen.add(group)
            held.update(size)
    for side in sorted(classes - set(+held)):
        smallest = min((g for g in sizes if sizes[g][side]), key=lambda g: (sizes[g].total(), g))
        chosen.add(smallest)
        held.update(sizes[smallest])
    for side in classes:
        if held[side] == totals[side]:
            what = "generated" if side else "bona fide"
            raise InvalidInput(
                f"the {what} pictures have too few groups to hold one out; "
                "add some, or train with held_out=0 and without validation"
            )
    return chosen


def _divide_labelled(data: TrainingData, share: float, seed: int) -> TrainingData:
    held = hold_out(data.pictures, share, seed)
    return replace(
        data,
        pictures=tuple(one for one in data.pictures if one.group not in held),
        # A twin has the content of its original, which would be learned with it.
        pairs=tuple(pair for pair in data.pairs if pair.original.group not in held),
        validation=tuple(one for one in data.pictures if one.group in held),
        held_out=tuple(sorted(held)),
    )


def _divide_pairs(data: TrainingData, share: float, seed: int) -> TrainingData:
    """Without generated pictures: originals are held out, and autoencoders if there are several."""
    groups = hold_out([pair.original for pair in data.pairs], share, seed)
    makers = sorted({pair.twin.source for pair in data.pairs}, key=lambda n: _shuffled(n, seed))
    count = max(1, round(share * len(makers))) if len(makers) > 1 else 0
    held = set(makers[:count])
    tested = [
        pair
        for pair in data.pairs
        if pair.original.group in groups and (not held or pair.twin.source in held)
    ]
    return replace(
        data,
        pairs=tuple(
            pair
            for pair in data.pairs
            if pair.original.group not in groups and pair.twin.source not in held
        ),
        validation=tuple(side for pair in tested for side in (pair.original, pair.twin)),
        held_out=tuple(sorted(groups | held)),
    )


def _both(rows: Sequence[Mapping[str, str]], protocol: Protocol) -> bool:
    column = next(
        (name for name in protocol.columns.get("label", ("label",)) if name in rows[0]), "label"
    )
    return {protocol.is_positive(row.get(column, "")) for row in rows} >= {True, False}


def _labelled(
    rows: Sequence[dict[str, str]], protocol: Protocol, table: Table, cache: Path
) -> list[Wanted]:
    return wanted_of(select(rows, protocol, table.folder).samples, table, cache)


def _twins(
    table: Path, opened: Table, protocol: Protocol, cache: Path
) -> list[tuple[Wanted, Wanted]]:
    pairs = read_table(table)
    absent = [name for name in PAIR_COLUMNS if name not in pairs[0]]
    if absent:
        raise InvalidInput(f"{table} has no column {', '.join(absent)}")
    columns = protocol.columns.get("group", ("group",))
    known = {row.get("path", ""): row for row in opened.rows}
    result = []
    for pair in pairs:
        name, maker = pair["original"], pair["autoencoder"]
        row = known.get(name, {})
        group = next((row[column] for column in columns if row.get(column)), f"file:{name}")
        source = row.get("source") or group
        try:
            left, top, size = (int(pair[column]) for column in ("left", "top", "size"))
        except ValueError:
            raise InvalidInput(f"{table}: {pair['path']}: left, top, size must be whole") from None
        window, whole = (left, top, size), (0, 0, size)
        result.append(
            (
                Wanted(opened.place(name), name, False, source, group, cache, window),
                Wanted(
                    OnDisk(table.parent / pair["path"]),
                    pair["path"],
                    True,
                    maker,
                    group,
                    cache,
                    whole,
                ),
            )
        )
    return result


def _matching(
    sides: Iterable[tuple[Picture | None, Picture | None]], left_out: dict[str, str]
) -> list[Pair]:
    pairs = []
    for original, twin in sides:
        if original and twin:
            pairs.append(Pair(original, twin))
        elif twin:
            left_out.setdefault(twin.name, "its original cannot be used")
    return pairs


def _shuffled(name: str, seed: int) -> bytes:
    """A sort key that puts names in a random order on any machine."""
    return hashlib.sha256(f"{seed}\n{name}".encode()).digest()


def fingerprint(table: Path, rows: int) -> Fingerprint:
    """Of a table of which `rows` rows were used."""
    return Fingerprint(table.name, hashlib.sha256(table.read_bytes()).hexdigest(), rows)
