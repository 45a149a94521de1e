"""How the answers of a fitted calibration come out on its own files, each held out.

The evidence of every file is out of fold already. A bona fide file is compared with the other
sources alone, as the file of a new source would be.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bonafide.bench.calibrate import Part
from bonafide.evidence.answers import CLEAR, LAUNDERED, LEAST_LLR
from bonafide.evidence.reference import Comparison, Reference, Stratum, band
from bonafide.types import Decision, Question

PICTURES = ("jpeg", "other")


@dataclass(frozen=True)
class Tally:
    """How many files of a kind were answered how; shares are NaN of no files."""

    count: int
    accused: int
    clear: int
    open: int

    @classmethod
    def of(cls, decisions: Iterable[Decision]) -> Tally:
        """From decisions; what was not assessed counts as open."""
        found = list(decisions)
        accused = sum(one is Decision.ACCUSED for one in found)
        clear = sum(one is Decision.CLEAR for one in found)
        return cls(len(found), accused, clear, len(found) - accused - clear)

    def share(self, number: int) -> str:
        """A number of these files as a share, "–" of none."""
        return f"{number / self.count:.1%}" if self.count else "–"

    @property
    def cells(self) -> tuple[str, str, str, str]:
        """Count, and the shares accused, inconclusive and without a trace."""
        shares = (self.share(one) for one in (self.accused, self.open, self.clear))
        first, second, third = shares
        return str(self.count), first, second, third


def decide_all(part: Part, alpha: float | None = None) -> list[Decision]:
    """The decision on each file of a part, at its question's bound or another."""
    alpha = part.question.alpha if alpha is None else alpha
    table = part.fitted.table
    whole = Reference(table)
    groups: dict[str, list[int]] = defaultdict(list)
    for row, (source, yes) in enumerate(zip(part.known.sources, part.known.truth, strict=True)):
        groups["" if yes else str(source)].append(row)
    found: list[Decision] = [Decision.NOT_ASSESSED] * len(part.files)
    for source, rows in groups.items():
        reference = whole
        if source:
            kept = [one for one in table["files"] if one[1] or one[0] != source]
            reference = Reference({**table, "files": kept})
        for row in rows:
            found[row] = _decide(part, row, reference, alpha)
    return found


def by_container(part: Part, decisions: Sequence[Decision]) -> dict[str, tuple[Tally, Tally]]:
    """Container → tallies of bona fide and of altered files; "all" first."""
    return {
        name: (
            Tally.of(_chosen(part, decisions, False, name)),
            Tally.of(_chosen(part, decisions, True, name)),
        )
        for name in ("all", *sorted(set(part.known.containers)))
    }


def by_group(part: Part, decisions: Sequence[Decision], altered: bool) -> dict[str, Tally]:
    """Source of bona fide files, or what made altered ones → tally."""
    names = part.known.made if altered else part.known.sources.tolist()
    found: dict[str, list[Decision]] = defaultdict(list)
    for name, yes, decision in zip(names, part.known.truth, decisions, strict=True):
        if yes == altered:
            found[name or "unknown"].append(decision)
    return {name: Tally.of(found[name]) for name in sorted(found)}


def whole_verdict(
    parts: Sequence[Part], decisions: Mapping[Question, Sequence[Decision]]
) -> dict[str, Tally]:
    """ "bona fide" and what was altered → how all questions together were answered.

    A file on which one question accuses is accused, one with an open answer is open.
    """
    answers: dict[str, list[Decision]] = defaultdict(list)
    kind: dict[str, str] = {}
    for part in parts:
        for file, decision in zip(part.files, decisions[part.question], strict=True):
            answers[file.path].append(decision)
            yes = next((one.altered for one, answer in file.answers.items() if answer), "")
            kind[file.path] = yes or "bona fide files"
    grouped: dict[str, list[Decision]] = defaultdict(list)
    for path, said in answers.items():
        assessed = [one for one in said if one is not Decision.NOT_ASSESSED]
        decision = Decision.INCONCLUSIVE
        if Decision.ACCUSED in assessed:
            decision = Decision.ACCUSED
        elif assessed and all(one is Decision.CLEAR for one in assessed):
            decision = Decision.CLEAR
        grouped[kind[path]].append(decision)
    return {name: Tally.of(grouped[name]) for name in sorted(grouped)}


def _chosen(
    part: Part, decisions: Sequence[Decision], altered: bool, container: str
) -> Iterable[Decision]:
    rows = zip(part.known.truth, part.known.containers, decisions, strict=True)
    return (
        decision for yes, where, decision in rows if yes == altered and container in ("all", where)
    )


def _decide(part: Part, row: int, reference: Reference, alpha: float) -> Decision:
    """As `bonafide.evidence.answers` decides, on stored evidence."""
    evidence = part.fitted.evidence[row]
    spoke = _spoke(reference, evidence)
    if not spoke:
        return Decision.NOT_ASSESSED
    comparison = reference.compare(spoke, _stratum(part, row), alpha)
    total = _total(reference, evidence, spoke)
    if _accuses(comparison, total, alpha):
        laundered = {
            name
            for name in spoke
            if (part.records[row]["said"].get(name, {}).get("laundered") or 0.0) >= LAUNDERED
        }
        others = spoke - laundered
        if laundered and part.question is Question.SYNTHETIC:
            beside = reference.compare(others, _stratum(part, row), alpha) if others else None
            left = _total(reference, evidence, others)
            if beside is None or not _accuses(beside, left, alpha):
                return Decision.INCONCLUSIVE
        return Decision.ACCUSED
    hit = part.fitted.hit[row].any() or _outside(part, row)
    if comparison.p_value(total) >= CLEAR and not hit:
        return Decision.CLEAR
    return Decision.INCONCLUSIVE


def _outside(part: Part, row: int) -> bool:
    """Whether a detector reached its threshold on content that it was not made for."""
    return any(
        said.get("outside", False) and said["score"] >= part.fitted.detectors[name]["threshold"]
        for name, said in part.records[row]["said"].items()
        if name in part.fitted.detectors
    )


def _spoke(reference: Reference, evidence: NDArray[np.float64]) -> frozenset[str]:
    return frozenset(
        name
        for name, value in zip(reference.detectors, evidence, strict=True)
        if np.isfinite(value) and reference.weight(name) > 0
    )


def _total(reference: Reference, evidence: NDArray[np.float64], names: frozenset[str]) -> float:
    columns = [reference.detectors.index(name) for name in names]
    return float(evidence[columns].sum())


def _accuses(comparison: Comparison, total: float, alpha: float) -> bool:
    likely = total >= LEAST_LLR and comparison.p_value(total) <= alpha + 1e-12
    return likely and comparison.certifies(alpha)


def _stratum(part: Part, row: int) -> Stratum:
    sizes = part.known.megapixels
    pixels = float("nan") if sizes is None else float(sizes[row])
    return Stratum(part.known.containers[row], "" if np.isnan(pixels) else band(pixels))
