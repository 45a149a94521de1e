"""A linear probe on CLIP's class tokens: fit, out-of-fold scores, ONNX.

Logistic regression on standardised features. Both classes weigh the same, and a source weighs as
the square root of its pictures, so that no collection speaks for the world.

Beside the plane stands the subspace in which the features of the training pictures lie. What lies
far outside of it (a blank picture, noise, a gradient, a chart) was never seen, and the plane says
nothing about it.
"""

from __future__ import annotations

import csv
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedGroupKFold

from bonafide.bench.metrics import roc_auc, tpr_at_fpr
from bonafide.bench.statistics import Interval, macro
from bonafide.detectors.generated.clip_probe import CARD, FAR
from bonafide.errors import InvalidInput
from bonafide.files import atomic_write
from bonafide.networks import runtime
from bonafide.networks.clip import LAYERS
from bonafide.train.onnx_file import save
from bonafide.train.probe_features import DEGRADED, WHOLE, Features

FOLDS = 10
COMPONENTS = 128  # of the subspace of the training pictures
USED = (2, 3)  # of the layers of the features: blocks 7 and 8
LEAST = 8  # pictures of a generator that gets a line
FEWEST = 30  # pictures of either class of a kind that gets a line
STRENGTH = 1e-3  # inverse of the penalty's weight
_LEAST_DEVIATION = 1e-3

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Plane:
    """Log-odds of a generator as a linear function of tokens.

    Attributes:
        weight: float32 L×768, zero for layers that are not read.
        bias: log-odds at the origin.
    """

    weight: Floats
    bias: float

    def __call__(self, tokens: NDArray[Any]) -> NDArray[np.float64]:
        """N×L×768 → (N,)."""
        flat = tokens.reshape(len(tokens), -1).astype(np.float64)
        return np.asarray(flat @ self.weight.ravel().astype(np.float64) + self.bias)


@dataclass(frozen=True)
class Subspace:
    """Where the features of the training pictures lie: principal components of the last layer.

    Attributes:
        mean: float32 (768,).
        basis: float32 768×k, orthonormal columns.
        typical: median distance of the training pictures from the subspace.
    """

    mean: Floats
    basis: Floats
    typical: float

    @classmethod
    def of(cls, tokens: NDArray[np.float16]) -> Subspace:
        """From tokens N×L×768."""
        last = tokens[:, -1].astype(np.float32)
        mean = last.mean(0)
        count = min(COMPONENTS, len(last) // 4)
        parts = PCA(count, svd_solver="covariance_eigh").fit(last).components_
        found = cls(mean, np.asarray(parts.T, np.float32), 1.0)
        return replace(found, typical=float(np.median(found.distance(tokens))))

    def distance(self, tokens: NDArray[Any]) -> NDArray[np.float64]:
        """N×L×768 → (N,) distance from the subspace, 1 for a typical training picture."""
        off = tokens[:, -1].astype(np.float32) - self.mean
        rest = off - (off @ self.basis) @ self.basis.T
        return np.asarray(np.linalg.norm(rest, axis=1) / self.typical, np.float64)


def fit(
    features: Features,
    rows: NDArray[np.bool_],
    layers: Sequence[int] = USED,
    strength: float = STRENGTH,
) -> Plane:
    """Fit on some of the views.

    Args:
        features: views.
        rows: (N,) which of them.
        layers: of the tokens, that are read.
        strength: inverse of the L2 penalty's weight (C of scikit-learn).
    """
    tokens, truth = features.tokens[rows], features.positive[rows]
    flat = tokens[:, list(layers)].astype(np.float32).reshape(len(tokens), -1)
    mean, deviation = flat.mean(0), flat.std(0) + _LEAST_DEVIATION
    model = LogisticRegression(C=strength, max_iter=500)
    weights = _weights(truth, features.source[rows])
    model.fit((flat - mean) / deviation, truth, sample_weight=weights)
    plane = model.coef_[0] / deviation
    weight = np.zeros(tokens.shape[1:], np.float32)
    weight[list(layers)] = plane.reshape(len(layers), -1)
    return Plane(weight, float(model.intercept_[0] - plane @ mean))


def out_of_fold(
    features: Features,
    layers: Sequence[int] = USED,
    strength: float = STRENGTH,
    groups: Mapping[str, str] | None = None,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Score every view with a probe that saw nothing of its source.

    Args:
        features: views.
        layers, strength: as for `fit`.
        groups: source → group of sources that stay in one fold; others stand alone.

    Returns:
        (N,) log-odds, and (N,) distances from the subspace of the other sources.

    Raises:
        InvalidInput: there are fewer than two sources of a class.
    """
    groups = groups or {}
    names = np.array([groups.get(source, source) for source in features.source])
    scores, distances = np.zeros(len(names)), np.zeros(len(names))
    fewest = min(len(set(names[features.positive == one].tolist())) for one in (False, True))
    if fewest < 2:
        raise InvalidInput(
            "each class needs at least two sources: name them in a column origin, source or group"
        )
    folds, fitted_on = StratifiedGroupKFold(min(FOLDS, fewest)), _fitted_on(features)
    for _, tested in folds.split(names, features.positive, names):
        rows = fitted_on.copy()
        rows[tested] = False
        tokens = features.tokens[tested]
        scores[tested] = fit(features, rows, layers, strength)(tokens)
        distances[tested] = Subspace.of(features.tokens[rows]).distance(tokens)
    return scores, distances


def write_probe(probe: Plane, known: Subspace, path: Path, card: Mapping[str, Any]) -> None:
    """Write the probe as ONNX.

    `tokens`, float32 N×L×768 → `logit`, float32 (N,), and `distance`, float32 (N,).
    """
    count, width = probe.weight.shape
    values: dict[str, NDArray[Any]] = {
        "weight": probe.weight.astype(np.float32),
        "bias": np.array(probe.bias, np.float32),
        "axes": np.array([1, 2], np.int64),
        "last": np.array(count - 1, np.int64),
        "mean": known.mean,
        "basis": known.basis,
        "typical": np.array(known.typical, np.float32),
    }
    constants = [numpy_helper.from_array(value, name) for name, value in values.items()]
    nodes = [
        helper.make_node("Mul", ["tokens", "weight"], ["products"]),
        helper.make_node("ReduceSum", ["products", "axes"], ["sum"], keepdims=0),
        helper.make_node("Add", ["sum", "bias"], ["logit"]),
        helper.make_node("Gather", ["tokens", "last"], ["last_token"], axis=1),
        helper.make_node("Sub", ["last_token", "mean"], ["off"]),
        helper.make_node("MatMul", ["off", "basis"], ["inside"]),
        helper.make_node("Transpose", ["basis"], ["basis_back"], perm=[1, 0]),
        helper.make_node("MatMul", ["inside", "basis_back"], ["near"]),
        helper.make_node("Sub", ["off", "near"], ["rest"]),
        helper.make_node("ReduceL2", ["rest"], ["norm"], axes=[1], keepdims=0),
        helper.make_node("Div", ["norm", "typical"], ["distance"]),
    ]
    graph = helper.make_graph(
        nodes,
        CARD.id,
        [helper.make_tensor_value_info("tokens", TensorProto.FLOAT, ["N", count, width])],
        [
            helper.make_tensor_value_info("logit", TensorProto.FLOAT, ["N"]),
            helper.make_tensor_value_info("distance", TensorProto.FLOAT, ["N"]),
        ],
        constants,
    )
    entry = {
        "id": CARD.id,
        "version": CARD.version,
        "recipe": "probe_fit",
        "inputs": ["tokens"],
        **card,
    }
    save(graph, path, entry)


def _fitted_on(features: Features) -> NDArray[np.bool_]:
    """The views that a probe is fitted on; the others are only scored."""
    return np.isin(features.view, (WHOLE, DEGRADED))


def _weights(truth: NDArray[np.bool_], source: NDArray[np.str_]) -> NDArray[np.float64]:
    """Of samples: sources as the square root of their size, classes alike, mean 1."""
    kinds = list(zip(truth.tolist(), source.tolist(), strict=True))
    sizes = Counter(kinds)
    weight = np.array([sizes[kind] ** -0.5 for kind in kinds])
    for positive in (False, True):
        chosen = truth == positive
        if chosen.any():
            weight[chosen] *= len(truth) / 2 / weight[chosen].sum()
    return weight


def layers_of(text: str) -> tuple[int, ...]:
    """Indices of class tokens from numbers of blocks, "7,8".

    Raises:
        InvalidInput: there are no features of such a block.
    """
    names = [f"layer{part.strip()}" for part in text.split(",")]
    unknown = [name for name in names if name not in LAYERS]
    if unknown:
        raise InvalidInput(f"there are features of {', '.join(LAYERS)}, not of {unknown[0]}")
    return tuple(LAYERS.index(name) for name in names)


def run(
    features: Features,
    out: Path,
    layers: Sequence[int],
    strength: float,
    together: Sequence[Sequence[str]] = (),
    manifests: Sequence[Path] = (),
) -> str:
    """Fit on everything, score out of fold, and write network, scores and figures into `out`.

    Returns:
        The figures as Markdown.
    """
    out.mkdir(parents=True, exist_ok=True)
    groups = {source: "+".join(group) for group in together for source in group}
    scores, distances = out_of_fold(features, layers, strength, groups)
    with atomic_write(out / "out_of_fold.csv") as partial, partial.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("path", "score", "distance", "degradation"))
        columns = (features.path, scores, distances, features.view)
        for path, score, distance, view in zip(*columns, strict=True):
            said = f"{score:.4f}" if distance <= FAR else ""  # the detector would not answer
            writer.writerow((path, said, f"{distance:.3f}", view))
    fitted_on = _fitted_on(features)
    probe = fit(features, fitted_on, layers, strength)
    whole = features.view == WHOLE
    card = {
        "settings": {"layers": [LAYERS[layer] for layer in layers], "strength": strength},
        "training_data": [{"file": one.name, "sha256": runtime.sha256(one)} for one in manifests],
        "pictures": {
            "generated": int((whole & features.positive).sum()),
            "bona_fide": int((whole & ~features.positive).sum()),
            "sources": len(set(features.source.tolist())),
        },
    }
    known = Subspace.of(features.tokens[fitted_on])
    write_probe(probe, known, out / f"{CARD.id}-{CARD.version}.onnx", card)
    figures = table(features, scores)
    with atomic_write(out / "figures.md") as partial:
        partial.write_text(figures, "utf-8")
    return figures


def table(features: Features, scores: NDArray[np.float64]) -> str:
    """AUC and true-positive rates out of fold, by view, generator and content, as Markdown."""
    lines = ["| view | generated | bona fide | AUC | mean over generators | TPR at 1 % | at 5 % |",
             "|---|---|---|---|---|---|---|"]  # fmt: skip
    lines += [
        _line(view, features, scores, features.view == view) for view in _names(features.view)
    ]
    native = features.view == WHOLE
    lines += ["", f"By what the pictures show, `{WHOLE}`:", "", *lines[:2]]
    for kind in _names(features.kind[native]):
        rows = native & (features.kind == kind)
        if min(features.positive[rows].sum(), (~features.positive[rows]).sum()) >= FEWEST:
            lines.append(_line(kind or "unknown", features, scores, rows))
    lines += ["", f"By generator, `{WHOLE}`, against all bona fide pictures:", ""]
    lines += ["| generator | pictures | AUC |", "|---|---|---|"]
    truth, said = features.positive[native], scores[native]
    for name, subset in _generators(truth, features.made[native]).items():
        auc = roc_auc(truth[subset], said[subset])
        lines.append(f"| {name} | {int(truth[subset].sum())} | {auc:.3f} |")
    return "\n".join(lines) + "\n"


def _line(
    name: str, features: Features, scores: NDArray[np.float64], rows: NDArray[np.bool_]
) -> str:
    truth, said = features.positive[rows], scores[rows]
    subsets = list(_generators(truth, features.made[rows]).values())
    mean = macro(roc_auc, truth, said, subsets) if subsets else Interval(*[math.nan] * 3)
    return (
        f"| {name} | {int(truth.sum())} | {int((~truth).sum())} | {roc_auc(truth, said):.3f} | "
        f"{mean.value:.3f} ({mean.low:.3f}–{mean.high:.3f}) of {len(subsets)} | "
        f"{tpr_at_fpr(truth, said, 0.01):.2f} | {tpr_at_fpr(truth, said, 0.05):.2f} |"
    )


def _generators(truth: NDArray[np.bool_], made: NDArray[np.str_]) -> dict[str, NDArray[np.intp]]:
    """Generator with at least `LEAST` pictures → its pictures and all bona fide ones."""
    counts = Counter(made[truth].tolist())
    return {
        name: np.flatnonzero(~truth | (made == name))
        for name, count in sorted(counts.items())
        if count >= LEAST
    }


def _names(values: NDArray[np.str_]) -> list[str]:
    return list(dict.fromkeys(values.tolist()))
