"""What a set of files gives away before any detector looks at a pixel.

A detector measured on files whose classes differ in size, format or metadata may have learnt that
and nothing else; one measured on pictures that it was calibrated or trained on has been asked
nothing. The audit measures both, and says so in sentences that stand on the first page of a result.
"""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from bonafide.batch import workers
from bonafide.bench import cues, splits
from bonafide.bench.audit_result import Audit, CueTest, Twins
from bonafide.bench.cues import CUES, SIZE_CUES, Cues
from bonafide.bench.manifest import Manifest
from bonafide.bench.metrics import roc_auc
from bonafide.bench.samples import Fold, Sample
from bonafide.bench.statistics import Interval, bootstrap
from bonafide.errors import MissingExtra
from bonafide.media.limits import Limits
from bonafide.signals import phash

__all__ = ["Audit", "CueTest", "Twins", "audit"]

FOLDS = 5
MOST = 20_000  # files that the cue test is made on; more would not narrow its interval visibly
TREES, DEPTH = 40, 7  # of the forest that judges the cues
_COLUMNS = ("group", "generator", "split", "format")


def audit(
    manifest: Manifest,
    folds: Sequence[Fold] = (),
    degradation: str = "native",
    jobs: int = 1,
    limits: Limits | None = None,
    seed: int = 0,
    progress: Callable[[int], None] | None = None,
) -> Audit:
    """Read every file of a manifest once and say what its classes and parts give away.

    Args:
        manifest: as a protocol took it.
        folds: of that protocol, `protocol.folds(manifest.samples)`; twins that are tested in one
            and calibrate or train in the same one are leaks. Without folds the column `split`
            decides.
        degradation: of `bonafide.bench.degrade`, applied before cues are read: whether "normalise"
            leaves any can be measured too.
        jobs: processes; 0 for one per core.
        limits: bounds on one file.
        seed: of folds, forests, intervals and degradations.
        progress: called with the number of files read so far.
    """
    samples = manifest.samples
    read = _read(manifest, degradation, jobs, limits or Limits(), seed, progress)
    usable = np.array([not found.why for found in read], np.bool_)
    kept = [sample for sample, good in zip(samples, usable, strict=True) if good]
    known = [found for found in read if not found.why]
    features = np.stack([found.values for found in known]) if known else np.zeros((0, len(CUES)))
    twins = _twins(kept, known, folds or _declared(samples), samples)
    return Audit(
        samples=len(samples),
        positives=sum(bool(sample.positive) for sample in samples),
        groups=len({sample.cluster for sample in samples}),
        left_out=manifest.left_out,
        degradation=degradation,
        cue_tests=_cue_tests(kept, features, seed),
        single_cues=_single_cues(kept, features),
        twins=twins,
        balance=_balance(kept, known),
        unreadable={
            sample.path: found.why for sample, found in zip(samples, read, strict=True) if found.why
        },
    )


def _read(
    manifest: Manifest,
    degradation: str,
    jobs: int,
    limits: Limits,
    seed: int,
    progress: Callable[[int], None] | None,
) -> list[Cues]:
    tasks = [
        cues.Task(str(manifest.file(sample)), degradation, seed, limits)
        for sample in manifest.samples
    ]
    count = jobs or os.cpu_count() or 1
    found = []
    for _, outcome in workers.run(cues.read_cues, tasks, count, limits.seconds):
        if isinstance(outcome, workers.Lost):
            why = "reading it took too long" if outcome.timed_out else "reading it crashed"
            outcome = Cues(np.full(len(CUES), -1.0), why=why)
        found.append(outcome)
        if progress is not None:
            progress(len(found))
    return found


def _cue_tests(
    samples: list[Sample], features: NDArray[np.float64], seed: int
) -> tuple[CueTest, ...]:
    chosen = _at_most(samples, MOST, seed)
    samples, features = [samples[index] for index in chosen], features[chosen]
    truth = np.array([bool(sample.positive) for sample in samples], np.bool_)
    if min(truth.sum(), (~truth).sum()) < 2 * FOLDS:
        return ()
    # A file that is a group of its own lands anywhere.
    alone = [replace(sample, group="") for sample in samples]
    random = splits.group_folds(alone, FOLDS, seed)
    grouped = splits.group_folds(samples, FOLDS, seed)
    clusters = np.array([sample.cluster for sample in samples])
    has_groups = len(np.unique(clusters)) < len(samples)
    possible = has_groups and all(
        len(np.unique(clusters[truth == side])) >= FOLDS for side in (True, False)
    )
    tests = []
    for name, names in (("size and format", SIZE_CUES), ("all container cues", CUES)):
        part = features[:, [CUES.index(cue) for cue in names]]

        def measure(
            folds: list[Fold],
            groups: NDArray[np.str_] | None,
            part: NDArray[np.float64] = part,
        ) -> Interval:
            pairs = [(np.array(one.calibrate), np.array(one.test)) for one in folds]
            scores = forest_scores(part, truth, pairs, seed)
            return bootstrap(roc_auc, truth, scores, groups, seed=seed)

        across = measure(grouped, clusters) if possible else None
        tests.append(CueTest(name, tuple(names), measure(random, None), across))
    return tuple(tests)


def forest_scores(
    features: NDArray[np.float64],
    truth: NDArray[np.bool_],
    folds: Sequence[tuple[NDArray[np.intp], NDArray[np.intp]]],
    seed: int = 0,
) -> NDArray[np.float64]:
    """Score every sample by a random forest that was grown without it.

    Args:
        features: (n, k), finite.
        truth: (n,).
        folds: (grow, score) index arrays; a fold that cannot be grown, for want of a class, scores
            its samples 0.5.
        seed: of bootstrap samples and of the features offered to a node.

    Returns:
        float64 (n,) in [0, 1], NaN for samples that no fold scores.

    Raises:
        MissingExtra: scikit-learn is not installed.
    """
    try:
        from sklearn.ensemble import RandomForestClassifier
    except ModuleNotFoundError:
        raise MissingExtra("bench", "an audit") from None
    scores = np.full(len(truth), np.nan)
    for grow, score in folds:
        if not len(score):
            continue
        if len(np.unique(truth[grow])) < 2:
            scores[score] = 0.5
            continue
        # Both classes weigh the same, so that a fold's share of positives moves no score.
        forest = RandomForestClassifier(
            TREES, max_depth=DEPTH, class_weight="balanced_subsample", random_state=seed
        )
        forest.fit(features[grow], truth[grow])
        scores[score] = forest.predict_proba(features[score])[:, 1]
    return scores


def _at_most(samples: list[Sample], most: int, seed: int) -> NDArray[np.intp]:
    """Indices of all samples, or of a random part of that size, in order."""
    if len(samples) <= most:
        return np.arange(len(samples))
    random = np.random.default_rng(seed)
    return np.sort(random.choice(len(samples), most, replace=False))


def _single_cues(samples: list[Sample], features: NDArray[np.float64]) -> dict[str, float]:
    truth = np.array([bool(sample.positive) for sample in samples], np.bool_)
    if truth.all() or not truth.any():
        return {}
    values = {}
    for cue, column in zip(CUES, features.T, strict=True):
        if np.ptp(column) > 0:
            auc = roc_auc(truth, column)
            values[cue] = round(max(auc, 1 - auc), 4)
    return dict(sorted(values.items(), key=lambda item: -item[1]))


def _twins(
    kept: list[Sample], known: list[Cues], folds: Sequence[Fold], samples: Sequence[Sample]
) -> tuple[Twins, ...]:
    holders: dict[str, list[int]] = defaultdict(list)
    for index, found in enumerate(known):
        holders[found.sha256].append(index)
    same = [(members[0], other) for members in holders.values() for other in members[1:]]
    empty = np.zeros((phash.SIDE, phash.SIDE), np.uint8)
    together = phash.clusters(
        [found.phash for found in known],
        [empty if found.thumbnail is None else found.thumbnail for found in known],
        same,
    )
    place = {sample.path: index for index, sample in enumerate(samples)}
    sides = [(set(fold.test), {*fold.calibrate, *fold.train}) for fold in folds]
    result = []
    for members in together:
        indices = [place[kept[member].path] for member in members]
        leaks = {
            index
            for test, rest in sides
            for index in indices
            if index in test and any(other in rest for other in indices if other != index)
        }
        files = [kept[member] for member in members]
        result.append(
            Twins(
                paths=tuple(file.path for file in files),
                exact=len({known[member].sha256 for member in members}) == 1,
                opposite=len({file.positive for file in files}) == 2,
                labels=_different(file.label for file in files),
                groups=_different(file.group for file in files),
                splits=_different(file.split for file in files),
                leaks=tuple(samples[index].path for index in sorted(leaks)),
            )
        )
    return tuple(result)


def _declared(samples: Sequence[Sample]) -> list[Fold]:
    """The split that the column `split` declares: what it calls a test against all the rest."""
    test = tuple(i for i, sample in enumerate(samples) if sample.split == "test")
    rest = tuple(i for i, sample in enumerate(samples) if sample.split not in ("", "test"))
    return [Fold("test", rest, test)] if test else []


def _different(values: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted({value for value in values if value}))


def _balance(samples: list[Sample], known: list[Cues]) -> dict[str, dict[str, tuple[int, int]]]:
    balance: dict[str, dict[str, tuple[int, int]]] = {}
    for column in _COLUMNS:
        counts: dict[str, Counter[bool]] = defaultdict(Counter)
        for sample, found in zip(samples, known, strict=True):
            value = found.format if column == "format" else sample.value(column)
            counts[value][bool(sample.positive)] += 1
        if set(counts) - {""}:
            balance[column] = {
                value: (counts[value][False], counts[value][True]) for value in sorted(counts)
            }
    return balance
