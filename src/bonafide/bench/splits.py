"""Ways of setting samples apart so that no group is on both sides.

Every function returns folds whose tests are disjoint. What shares a group with a tested sample
never calibrates that fold. Chance comes from hashes of names, so that the order of rows and the
version of a library change nothing.
"""

from __future__ import annotations

import hashlib
import re
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence

from bonafide.bench.samples import Fold, Sample
from bonafide.errors import InvalidInput

Choice = Callable[[Sample], bool]


def whole(samples: Sequence[Sample]) -> list[Fold]:
    """One fold: everything is tested, nothing calibrates."""
    return [Fold("all", (), tuple(range(len(samples))))]


def by_column(
    samples: Sequence[Sample],
    column: str,
    train: Collection[str],
    calibrate: Collection[str],
    test: Collection[str],
) -> list[Fold]:
    """One fold, as the values of a column say; other samples are used for nothing.

    This is the split of the set's authors: groups are taken as they are, and it is the audit that
    says where they leak. Without samples to calibrate on, no threshold is chosen: scores of files
    that a detector was trained on are unlike those of others. A protocol whose detectors were
    never trained on them can name the same values under `train` and `calibrate`.
    """
    parts = {
        name: tuple(i for i, sample in enumerate(samples) if sample.value(column) in values)
        for name, values in (("train", train), ("calibrate", calibrate), ("test", test))
    }
    if not parts["test"]:
        raise InvalidInput(
            f"no sample is set apart for testing: column {column!r} holds none of {sorted(test)}"
        )
    return [Fold("test", parts["calibrate"], parts["test"], parts["train"])]


def group_folds(samples: Sequence[Sample], count: int, seed: int = 0) -> list[Fold]:
    """`count` folds of whole groups with about equal numbers of each class."""
    parts = _deal(samples, range(len(samples)), count, seed)
    return [_fold(samples, f"fold {number + 1}", part) for number, part in enumerate(parts) if part]


def leave_one_out(samples: Sequence[Sample], column: str, seed: int = 0) -> list[Fold]:
    """One fold per value of `column`: calibrate on the others, test on the one left out.

    Only positives count as made by something; negatives, and positives without a value, are dealt
    out over the folds in whole groups, so that each is tested once. By "group" every sample is left
    out with its group.
    """
    members: dict[str, list[int]] = defaultdict(list)
    rest: list[int] = []
    for index, sample in enumerate(samples):
        if column == "group":
            members[sample.cluster].append(index)
        elif sample.positive and sample.value(column):
            members[sample.value(column)].append(index)
        else:
            rest.append(index)
    if len(members) < 2:
        raise InvalidInput(f"column {column!r} has fewer than two values to leave out")
    names = sorted(members)
    shares = _deal(samples, rest, len(names), seed)
    return [
        _fold(samples, name, sorted(members[name] + share))
        for name, share in zip(names, shares, strict=True)
    ]


def a_to_b(
    samples: Sequence[Sample],
    column: str,
    calibrate: Collection[str],
    test: Collection[str],
    seed: int = 0,
) -> list[Fold]:
    """One fold: some values of a column calibrate, others are tested; "*" means all the others.

    Only positives have a generator: by "generator", negatives are dealt out in whole groups, half
    to each side.
    """
    everything_else = {"calibrate": "*" in calibrate, "test": "*" in test}
    if all(everything_else.values()):
        raise InvalidInput('"*" can stand on one side of a split only')
    chosen: dict[str, list[int]] = {"calibrate": [], "test": []}
    rest = []
    for index, sample in enumerate(samples):
        value = sample.value(column)
        if column == "generator" and not sample.positive:
            rest.append(index)
        elif value in test:
            chosen["test"].append(index)
        elif value in calibrate:
            chosen["calibrate"].append(index)
        else:
            for part, open_ended in everything_else.items():
                if open_ended:
                    chosen[part].append(index)
    for part, found in chosen.items():
        if not found:
            named = ", ".join(calibrate if part == "calibrate" else test)
            raise InvalidInput(f"nothing to {part} on: no sample has {column} {named}")
    return [_two_sides(samples, chosen["calibrate"], chosen["test"], rest, seed)]


def temporal(
    samples: Sequence[Sample],
    cut: str,
    dates: Mapping[str, str],
    refuse: bool = True,
    seed: int = 0,
) -> list[Fold]:
    """One fold: positives from before `cut` calibrate, those from `cut` on are tested.

    The date of a sample is its own, or that of the longest key of `dates` that its generator's name
    contains, letters and digits alone compared. Photographs have no generation, so negatives are
    dealt out in whole groups, half to each side.

    Args:
        samples: of one protocol.
        cut: ISO 8601, or a beginning of it.
        dates: generator → date.
        refuse: whether a positive without a date is an error; otherwise it is used for nothing.
        seed: of the order in which groups are dealt out.

    Raises:
        InvalidInput: a positive sample has no date, and that is refused.
    """
    known = {_plain(name): date for name, date in dates.items()}
    calibrate: list[int] = []
    test: list[int] = []
    rest: list[int] = []
    undated: set[str] = set()
    for index, sample in enumerate(samples):
        if not sample.positive:
            rest.append(index)
            continue
        date = sample.date or _date(sample.generator, known)
        if not date:
            undated.add(sample.generator or sample.path)
            continue
        (test if date >= cut else calibrate).append(index)
    if undated and refuse:
        listed = ", ".join(sorted(undated)[:8])
        raise InvalidInput(
            f"{len(undated)} generators or files have no date: {listed}; add a column `date`, or "
            "name them under `dates` of the protocol"
        )
    return [_two_sides(samples, calibrate, test, rest, seed)]


def _two_sides(
    samples: Sequence[Sample], calibrate: list[int], test: list[int], rest: list[int], seed: int
) -> Fold:
    if rest:
        left, right = _deal(samples, rest, 2, seed)
        calibrate, test = calibrate + left, test + right
    if not test:
        raise InvalidInput("the split leaves nothing to test")
    return _fold(samples, "test", sorted(test), sorted(calibrate))


def _fold(
    samples: Sequence[Sample], name: str, test: list[int], calibrate: list[int] | None = None
) -> Fold:
    """A fold whose calibration shares neither sample nor group with its test."""
    tested = {samples[index].cluster for index in test}
    pool = range(len(samples)) if calibrate is None else calibrate
    kept = tuple(index for index in pool if samples[index].cluster not in tested)
    return Fold(name, kept, tuple(test))


def _deal(
    samples: Sequence[Sample], indices: Collection[int], count: int, seed: int
) -> list[list[int]]:
    """Share whole groups out over `count` parts, so that each class is spread evenly."""
    groups: dict[str, list[int]] = defaultdict(list)
    for index in indices:
        groups[samples[index].cluster].append(index)
    # Large groups first, or the last one would tip the balance; equals in the order of a hash.
    order = sorted(groups, key=lambda name: (-len(groups[name]), _hash(name, seed)))
    parts: list[list[int]] = [[] for _ in range(count)]
    held = [[0, 0] for _ in range(count)]
    for name in order:
        positives = sum(bool(samples[index].positive) for index in groups[name])
        adds = (len(groups[name]) - positives, positives)
        target = min(
            range(count),
            key=lambda part: (
                sum((held[part][side] + adds[side]) * adds[side] for side in (0, 1)),
                sum(held[part]),
                part,
            ),
        )
        parts[target] += groups[name]
        for side in (0, 1):
            held[target][side] += adds[side]
    return [sorted(part) for part in parts]


def _date(generator: str, known: Mapping[str, str]) -> str:
    plain = _plain(generator)
    names = [name for name in known if name and name in plain]
    return known[max(names, key=len)] if names else ""


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


def _hash(name: str, seed: int) -> str:
    return hashlib.sha256(f"{seed}:{name}".encode()).hexdigest()
