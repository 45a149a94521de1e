"""A linear probe on Whisper's features of speech: fit, scores of what it has not seen, ONNX.

The plane, its weights and the subspace of the training recordings are those of
`bonafide.train.probe_fit`; sources that hold both classes are moved onto each other first. A
recording is scored by a probe that saw nothing of its source, of the
sources that share its speakers (`together`), nor of the system that made it.
"""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import StratifiedGroupKFold

from bonafide.bench.metrics import eer, eer_value, roc_auc, tpr_at_fpr
from bonafide.bench.statistics import bootstrap
from bonafide.detectors.speech.voice_probe import CARD
from bonafide.errors import InvalidInput
from bonafide.files import atomic_write
from bonafide.networks import runtime
from bonafide.networks.probe import FAR
from bonafide.networks.whisper import LAYERS
from bonafide.train.probe_features import DEGRADED, WHOLE, Features
from bonafide.train.probe_figures import LEAST
from bonafide.train.probe_fit import Subspace, aligned, fit, write_probe
from bonafide.train.voice_features import TELEPHONE

STRENGTH = 1e-2  # inverse of the penalty's weight
USED = (0, 1, 2)  # of `LAYERS`
FOLDS = 40  # many, so that few other systems are left out with one
DRAWS = 500  # of the bootstrap


@dataclass(frozen=True)
class Scored:
    """Files in one view each, scored by probes that saw nothing like them.

    Attributes:
        path, view, source, made, kind: (n,) text.
        positive: (n,) bool.
        score: (n,) log-odds, the mean over stretches.
        distance: (n,) distance from the training recordings, the mean over stretches.
    """

    path: NDArray[np.str_]
    view: NDArray[np.str_]
    source: NDArray[np.str_]
    made: NDArray[np.str_]
    kind: NDArray[np.str_]
    positive: NDArray[np.bool_]
    score: NDArray[np.float64]
    distance: NDArray[np.float64]


def out_of_fold(
    features: Features,
    layers: Sequence[int] = USED,
    strength: float = STRENGTH,
    groups: Mapping[str, str] | None = None,
) -> Scored:
    """Score every file with a probe that saw nothing of its source, its group, or its system.

    A system is known by its parts: what shares a vocoder is left out too.

    Args:
        features: of stretches.
        layers, strength: as for `probe_fit.fit`.
        groups: source → group of sources that stay in one fold; others stand alone.

    Raises:
        InvalidInput: there are fewer than two sources of a class, or too few systems.
    """
    groups = groups or {}
    names = np.array([groups.get(source, source) for source in features.source])
    fewest = min(len(set(names[features.positive == one].tolist())) for one in (False, True))
    if fewest < 2:
        raise InvalidInput(
            "each class needs at least two sources: name them in a column origin, source or group"
        )
    scores, distances = np.zeros(len(names)), np.zeros(len(names))
    fitted_on = np.isin(features.view, (WHOLE, DEGRADED))
    # "Tacotron2+HiFi-GAN" is known where "HiFi-GAN" is.
    parts = np.array([frozenset(made.casefold().split("+")) for made in features.made])
    folds = StratifiedGroupKFold(min(FOLDS, fewest))
    for _, tested in folds.split(names, features.positive, names):
        rows = fitted_on.copy()
        rows[tested] = False
        held = set[str]().union(*parts[tested][features.positive[tested]])
        rows &= ~(features.positive & np.array([bool(one & held) for one in parts]))
        if not features.positive[rows].any():
            raise InvalidInput("a fold leaves no other system to learn from: name more systems")
        tokens = features.tokens[tested]
        scores[tested] = fit(aligned(features, rows), rows, layers, strength)(tokens)
        distances[tested] = Subspace.of(features.tokens[rows]).distance(tokens)
    return _pooled(features, scores, distances)


def run(
    features: Features,
    out: Path,
    layers: Sequence[int] = USED,
    strength: float = STRENGTH,
    together: Sequence[Sequence[str]] = (),
    manifests: Sequence[Path] = (),
) -> str:
    """Fit on everything, score out of fold, and write network, scores and figures into `out`.

    Returns:
        The figures as Markdown.
    """
    out.mkdir(parents=True, exist_ok=True)
    groups = {source: "+".join(group) for group in together for source in group}
    scored = out_of_fold(features, layers, strength, groups)
    with atomic_write(out / "out_of_fold.csv") as partial, partial.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("path", "score", "distance", "degradation"))
        columns = (scored.path, scored.score, scored.distance, scored.view)
        for path, score, distance, view in zip(*columns, strict=True):
            said = f"{score:.4f}" if distance <= FAR else ""  # the detector would not answer
            writer.writerow((path, said, f"{distance:.3f}", view))
    fitted_on = np.isin(features.view, (WHOLE, DEGRADED))
    whole = scored.view == WHOLE
    card = {
        "id": CARD.id,
        "version": CARD.version,
        "recipe": "voice_fit",
        "settings": {"layers": [LAYERS[layer] for layer in layers], "strength": strength},
        "training_data": [{"file": one.name, "sha256": runtime.sha256(one)} for one in manifests],
        "recordings": {
            "synthetic_speech": int((whole & scored.positive).sum()),
            "bona_fide": int((whole & ~scored.positive).sum()),
            "sources": len(set(scored.source.tolist())),
        },
    }
    plane = fit(aligned(features, fitted_on), fitted_on, layers, strength)
    known = Subspace.of(features.tokens[fitted_on])
    write_probe(plane, known, out / f"{CARD.id}-{CARD.version}.onnx", card)
    figures = table(scored)
    with atomic_write(out / "figures.md") as partial:
        partial.write_text(figures, "utf-8")
    return figures


def table(scored: Scored) -> str:
    """Equal error rate and AUC out of fold, by view, system and source, as Markdown."""
    lines = [
        "| view | synthetic | bona fide | EER | AUC | TPR at 5 % |",
        "|---|---|---|---|---|---|",
    ]
    for view in (WHOLE, DEGRADED, TELEPHONE):
        rows = scored.view == view
        if rows.any():
            lines.append(_line(view, scored, rows))
    native = scored.view == WHOLE
    lines += ["", f"By system, `{WHOLE}`, against all bona fide recordings:", ""]
    lines += ["| system | recordings | EER | AUC |", "|---|---|---|---|"]
    counts = Counter(scored.made[native & scored.positive].tolist())
    for name, count in sorted(counts.items()):
        if count >= LEAST:
            rows = native & (~scored.positive | (scored.made == name))
            truth, said = scored.positive[rows], scored.score[rows]
            rate = eer_value(truth, said)
            lines.append(f"| {name} | {count} | {100 * rate:.0f} % | {roc_auc(truth, said):.3f} |")
    limit = eer(scored.positive[native], scored.score[native]).threshold
    honest = native & ~scored.positive
    told = {"source": scored.source[honest], "kind": scored.kind[honest]}
    for column, values in told.items():
        lines += ["", f"Bona fide recordings at or above the EER's threshold, by {column}:", ""]
        lines += [f"| {column} | recordings | share |", "|---|---|---|"]
        for name, count in sorted(Counter(values.tolist()).items()):
            if count >= LEAST:
                share = (scored.score[honest][values == name] >= limit).mean()
                lines.append(f"| {name or 'not stated'} | {count} | {100 * share:.0f} % |")
    return "\n".join(lines) + "\n"


def _line(name: str, scored: Scored, rows: NDArray[np.bool_]) -> str:
    truth, said = scored.positive[rows], scored.score[rows]

    rate = bootstrap(eer_value, truth, said, groups=scored.source[rows], repeats=DRAWS)
    area = bootstrap(roc_auc, truth, said, groups=scored.source[rows], repeats=DRAWS)
    return (
        f"| {name} | {int(truth.sum())} | {int((~truth).sum())} | "
        f"{100 * rate.value:.1f} % ({100 * rate.low:.1f}–{100 * rate.high:.1f}) | "
        f"{area.value:.3f} ({area.low:.3f}–{area.high:.3f}) | {tpr_at_fpr(truth, said, 0.05):.2f} |"
    )


def _pooled(
    features: Features, scores: NDArray[np.float64], distances: NDArray[np.float64]
) -> Scored:
    """Means over the stretches of a file in a view."""
    keys = np.char.add(np.char.add(features.view, "\0"), features.path)
    _, first, member, counts = np.unique(
        keys, return_index=True, return_inverse=True, return_counts=True
    )

    def mean(values: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(np.bincount(member, values) / counts, np.float64)

    return Scored(
        features.path[first],
        features.view[first],
        features.source[first],
        features.made[first],
        features.kind[first],
        features.positive[first],
        mean(scores),
        mean(distances),
    )
