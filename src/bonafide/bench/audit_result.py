"""What an audit found, as values and in sentences that a reader of a result cannot overlook."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

from bonafide.bench.statistics import Interval

TELLING = 0.6  # AUC whose lower bound is worth a warning
_FEW_GROUPS = 10  # of a class; below, intervals over groups are too narrow
_LOPSIDED = 0.05  # share of all files from which a value that holds one class is worth naming


@dataclass(frozen=True)
class CueTest:
    """How well cues tell the classes, as the AUC of a forest on files it has not seen.

    Attributes:
        name: of the set of cues.
        cues: which they are.
        random: AUC on random folds, its interval resampling files.
        grouped: AUC on folds of whole groups, its interval resampling groups; None where the
            groups do not allow it.
    """

    name: str
    cues: tuple[str, ...]
    random: Interval
    grouped: Interval | None


@dataclass(frozen=True)
class Twins:
    """Files that show the same picture.

    Attributes:
        paths: at least two.
        exact: whether their bytes are equal, too.
        opposite: whether both classes are among them.
        labels, groups, splits: the different values among them.
        leaks: paths that are tested while another of these calibrates or trains.
    """

    paths: tuple[str, ...]
    exact: bool
    opposite: bool
    labels: tuple[str, ...]
    groups: tuple[str, ...]
    splits: tuple[str, ...]
    leaks: tuple[str, ...]


@dataclass(frozen=True)
class Audit:
    """The outcome of `audit`.

    Attributes:
        samples, positives, groups: how many there are.
        left_out: rows of the manifest that the protocol does not use.
        degradation: what was done to the files before their cues were read.
        cue_tests: one per set of cues, () where a class has fewer files than folds.
        single_cues: cue → AUC of that cue alone, in [0.5, 1] since its direction is free,
            strongest first.
        twins: largest first.
        balance: column → value → (negatives, positives); "format" is that of the container.
        unreadable: path → why.
    """

    samples: int
    positives: int
    groups: int
    left_out: int
    degradation: str
    cue_tests: tuple[CueTest, ...]
    single_cues: Mapping[str, float]
    twins: tuple[Twins, ...]
    balance: Mapping[str, Mapping[str, tuple[int, int]]]
    unreadable: Mapping[str, str]

    @cached_property
    def warnings(self) -> tuple[str, ...]:
        """Plain sentences, most serious first; () if nothing is wrong."""
        return (
            *_about_leaks(self),
            *_about_cues(self),
            *_about_groups(self),
            *_about_files(self),
        )

    def to_dict(self) -> dict[str, Any]:
        """Everything, warnings included, as JSON values; what is not a number becomes None."""
        plain: dict[str, Any] = _json(asdict(self) | {"warnings": self.warnings})
        return plain


def _about_leaks(audit: Audit) -> Iterator[str]:
    leaks = [path for twins in audit.twins for path in twins.leaks]
    if leaks:
        yield (
            f"{_count(len(leaks), 'tested file shows', 'tested files show')} the same picture as "
            f"one that calibrates or trains, by bytes or perceptual hash: {_listed(leaks)}."
        )
    opposite = [one.paths[0] for one in audit.twins if one.opposite]
    if opposite:
        yield (
            f"{_count(len(opposite), 'picture occurs', 'pictures occur')} with both labels: "
            f"{_listed(opposite)}. Where a small part was edited that is meant; elsewhere one of "
            "the labels is wrong."
        )
    apart = [one for one in audit.twins if len(one.groups) > 1 and not one.leaks]
    if apart:
        yield (
            f"{_count(len(apart), 'picture occurs', 'pictures occur')} in more than one group: "
            f"{_listed([one.paths[0] for one in apart])}. Groups that share pictures are not "
            "independent."
        )


def _about_cues(audit: Audit) -> Iterator[str]:
    if not audit.cue_tests:
        return
    strongest = max(audit.cue_tests, key=lambda test: test.random.value)
    if strongest.random.low > TELLING:
        figures = "; ".join(f"{test.name}: {_interval(test.random)}" for test in audit.cue_tests)
        named = ", ".join(f"{cue} {auc:.2f}" for cue, auc in list(audit.single_cues.items())[:3])
        yield (
            f"Without any pixel the classes can be told apart: AUC on random folds, {figures}; "
            f"strongest alone: {named}. A detector measured on these files as they are may have "
            f"learnt no more than that{_remedy(audit.degradation)}."
        )
    across = strongest.grouped
    if across is None:
        yield (
            "Whether size, format and metadata tell the classes across collections cannot be "
            "measured: files name no groups, or one class has fewer than five."
        )
    elif across.low > TELLING:
        yield (
            f"They tell the classes in groups never seen, too: AUC {_interval(across)}. The cue is "
            "common to the whole set."
        )
    elif strongest.random.low > TELLING:
        yield (
            f"On folds of whole groups the same cues reach {_chance(across)}: they recognise the "
            "collection, not the class. Any figure from folds that divide groups is flattered."
        )


def _about_groups(audit: Audit) -> Iterator[str]:
    groups = dict(audit.balance.get("group", {}))
    alone = groups.pop("", (0, 0))  # files without a group: each is one of its own
    for index, name in enumerate(("Negative", "Positive")):
        holding = sum(1 for counts in groups.values() if counts[index]) + alone[index]
        if 0 < holding < _FEW_GROUPS:
            yield (
                f"{name} files come from {_count(holding, 'group', 'groups')}: "
                "intervals over groups are too narrow."
            )
    single = sum(1 for negatives, positives in groups.values() if not (negatives and positives))
    if len(groups) > 1 and single > 0.5 * len(groups):
        yield (
            f"{single} of {len(groups)} groups hold one class only, so that whatever is peculiar "
            "to a collection looks like its class."
        )
    read = audit.samples - len(audit.unreadable)
    for column in ("format", "split"):
        values = audit.balance.get(column, {})
        for value, counts in values.items():
            if len(values) > 1 and 0 in counts and sum(counts) > _LOPSIDED * read:
                side = "positive" if counts[1] else "negative"
                yield f"All {sum(counts)} files of {column} {value or 'unnamed'} are {side}."


def _about_files(audit: Audit) -> Iterator[str]:
    if audit.unreadable:
        yield (
            f"{_count(len(audit.unreadable), 'file', 'files')} of {audit.samples} cannot be read: "
            f"{_listed(list(audit.unreadable))}."
        )
    negatives = audit.samples - audit.positives
    if min(negatives, audit.positives) * 10 < audit.samples:
        yield (
            f"The classes are unequal, {audit.positives} positive and {negatives} negative: "
            "accuracy and average precision depend on that ratio; AUC and balanced accuracy do not."
        )


def _remedy(degradation: str) -> str:
    return "; normalise both classes before a claim about pixels" if degradation == "native" else ""


def _chance(interval: Interval) -> str:
    about = ", which includes chance" if interval.low <= 0.5 <= interval.high else ""
    return f"{_interval(interval)}{about}"


def _interval(interval: Interval) -> str:
    if math.isnan(interval.low):
        return f"{interval.value:.3f}"
    return f"{interval.value:.3f} ({interval.low:.3f} to {interval.high:.3f})"


def _count(number: int, one: str, several: str) -> str:
    return f"{number:,} {one if number == 1 else several}"


def _listed(paths: list[str]) -> str:
    more = f" and {len(paths) - 3:,} more" if len(paths) > 3 else ""
    return ", ".join(paths[:3]) + more


def _json(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _json(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_json(entry) for entry in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
