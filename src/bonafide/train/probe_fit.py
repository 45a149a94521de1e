"""A linear probe on CLIP's tokens: fit, out-of-fold scores, ONNX.

Logistic regression on standardised features. Both classes weigh the same, and a source weighs as
the square root of its pictures, so that no collection speaks for the world.

Beside the plane stands the subspace in which the features of the training pictures lie. What lies
far outside of it (a blank picture, noise, a gradient, a chart) was never seen, and the plane says
nothing about it.
"""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import GroupKFold, StratifiedGroupKFold

from bonafide.errors import InvalidInput
from bonafide.files import atomic_write
from bonafide.networks import clip, runtime
from bonafide.networks.probe import FAR
from bonafide.train import probe_figures
from bonafide.train.onnx_file import save
from bonafide.train.probe_features import FITTED_ON, WHOLE, Features
from bonafide.types import Card

FOLDS = 10
COMPONENTS = 128  # of the subspace of the training pictures
ANSWERED = 0.998  # share of pictures of other sources that a probe answers for
USED = tuple(name for name in clip.LAYERS if name != "layer5")
DEFAULT = "clip_probe"  # the detector whose probe is fitted
STRENGTH = 1e-3  # inverse of the penalty's weight
_LEAST_DEVIATION = 1e-3
_TYPICAL_FOLDS = 5

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
        typical: median distance of pictures of other sources from the subspace.
    """

    mean: Floats
    basis: Floats
    typical: float

    @classmethod
    def of(cls, tokens: NDArray[np.float16], source: NDArray[np.str_] | None = None) -> Subspace:
        """From tokens N×L×768 and the source (N,) of each.

        What is typical is measured on sources that the subspace was not fitted on; without sources,
        on those that it was.
        """
        last = tokens[:, -1].astype(np.float32)
        distances = np.zeros(len(last))
        splits = 0 if source is None else min(_TYPICAL_FOLDS, len(set(source.tolist())))
        if splits < 2:
            distances = cls._fitted(last).distance(tokens)
        else:
            for known, tested in GroupKFold(splits).split(last, groups=source):
                distances[tested] = cls._fitted(last[known]).distance(tokens[tested])
        return replace(cls._fitted(last), typical=float(np.median(distances)))

    @classmethod
    def _fitted(cls, last: Floats) -> Subspace:
        mean = last.mean(0)
        count = max(1, min(COMPONENTS, len(last) // 4, last.shape[1]))
        parts = PCA(count, svd_solver="covariance_eigh").fit(last).components_
        return cls(mean, np.asarray(parts.T, np.float32), 1.0)

    def distance(self, tokens: NDArray[Any]) -> NDArray[np.float64]:
        """N×L×768 → (N,) distance from the subspace, 1 for a typical training picture."""
        off = tokens[:, -1].astype(np.float32) - self.mean
        rest = off - (off @ self.basis) @ self.basis.T
        return np.asarray(np.linalg.norm(rest, axis=1) / self.typical, np.float64)


def fit(
    features: Features,
    rows: NDArray[np.bool_],
    layers: Sequence[int] = (-2, -1),
    strength: float = STRENGTH,
    squares: bool = False,
) -> Plane:
    """Fit on some of the views.

    Args:
        features: views.
        rows: (N,) which of them.
        layers: of the tokens, that are read.
        strength: inverse of the L2 penalty's weight: C of scikit-learn, or for least squares, per
            input, the ratio of the samples' weight to the penalty's.
        squares: least squares on the classes -1 and 1 in place of logistic regression. It carries
            over better from few sources; its values are no log-odds.
    """
    tokens, truth = features.tokens[rows], features.positive[rows]
    flat = tokens[:, list(layers)].astype(np.float32).reshape(len(tokens), -1)
    mean, deviation = flat.mean(0), flat.std(0) + _LEAST_DEVIATION
    weights = _weights(truth, features.source[rows])
    flat = (flat - mean) / deviation
    if squares:
        least = Ridge(alpha=flat.shape[1] / strength)
        least.fit(flat, 2.0 * truth - 1.0, sample_weight=weights)
        coefficients, intercept = least.coef_, float(least.intercept_)
    else:
        model = LogisticRegression(C=strength, max_iter=500)
        model.fit(flat, truth, sample_weight=weights)
        coefficients, intercept = model.coef_[0], float(model.intercept_[0])
    plane = coefficients / deviation
    weight = np.zeros(tokens.shape[1:], np.float32)
    weight[list(layers)] = plane.reshape(len(layers), -1)
    return Plane(weight, float(intercept - plane @ mean))


def aligned(features: Features, rows: NDArray[np.bool_]) -> Features:
    """The same features, with sources that hold both classes moved onto each other.

    Of such a source the midpoint between its two class means becomes the midpoint of all, so that a
    plane is fitted to what differs inside of sources, and not to microphones, rooms or speakers.

    Args:
        features: of stretches.
        rows: (n,) those that a plane is fitted on; the others stay as they are.
    """
    tokens = features.tokens.astype(np.float32)
    middle = tokens[rows].mean(0)
    for source in set(features.source[rows].tolist()):
        own = rows & (features.source == source)
        classes = [own & (features.positive == one) for one in (False, True)]
        if all(one.any() for one in classes):
            tokens[own] -= sum(tokens[one].mean(0) for one in classes) / 2 - middle
    return replace(features, tokens=tokens.astype(np.float16))


def out_of_fold(
    features: Features,
    layers: Sequence[int] = (-2, -1),
    strength: float = STRENGTH,
    groups: Mapping[str, str] | None = None,
    squares: bool = False,
    inside: bool = False,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Score every view with a probe that saw nothing of its source.

    Args:
        features: views.
        layers, strength, squares: as for `fit`.
        inside: whether the features are `aligned` first.
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
        own = aligned(features, rows) if inside else features
        scores[tested] = fit(own, rows, layers, strength, squares)(tokens)
        distances[tested] = Subspace.of(features.tokens[rows], features.source[rows]).distance(
            tokens
        )
    return scores, distances


def write_probe(probe: Plane, known: Subspace, path: Path, card: Mapping[str, Any]) -> None:
    """Write a probe as ONNX; its card has `id` and `version` of the detector.

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
        str(card["id"]),
        [helper.make_tensor_value_info("tokens", TensorProto.FLOAT, ["N", count, width])],
        [
            helper.make_tensor_value_info("logit", TensorProto.FLOAT, ["N"]),
            helper.make_tensor_value_info("distance", TensorProto.FLOAT, ["N"]),
        ],
        constants,
    )
    entry = {
        "recipe": "probe_fit",
        "inputs": ["tokens"],
        **card,
    }
    save(graph, path, entry)


def _fitted_on(features: Features) -> NDArray[np.bool_]:
    """The views that a probe is fitted on; the others are only scored."""
    return np.isin(features.view, FITTED_ON)


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


def layers_of(text: str | None, names: Sequence[str]) -> tuple[int, ...]:
    """Indices of tokens from numbers of blocks, "7,8" or "8.mean,8".

    Args:
        text: numbers; None for `USED`, or for all where there are none of these.
        names: of the blocks that there are features of.

    Raises:
        InvalidInput: there are no features of such a block.
    """
    if text is None:
        last = tuple(number for number, name in enumerate(names) if name in USED)
        return last or tuple(range(len(names)))
    wanted = [f"layer{part.strip()}" for part in text.split(",")]
    unknown = [name for name in wanted if name not in names]
    if unknown:
        raise InvalidInput(f"there are features of {', '.join(names)}, not of {unknown[0]}")
    return tuple(list(names).index(name) for name in wanted)


def run(
    features: Features,
    out: Path,
    layers: Sequence[int],
    strength: float,
    detector: Card,
    together: Sequence[Sequence[str]] = (),
    manifests: Sequence[Path] = (),
    squares: bool = False,
    inside: bool = False,
) -> str:
    """Fit on everything, score out of fold, and write network, scores and figures into `out`.

    Crops of one file are pooled: the mean over the crops of a person, the highest of the persons.

    Returns:
        The figures as Markdown.
    """
    out.mkdir(parents=True, exist_ok=True)
    groups = {source: "+".join(group) for group in together for source in group}
    scores, distances = out_of_fold(features, layers, strength, groups, squares, inside)
    whole = features.view == WHOLE
    usual = float(np.quantile(distances[whole] if whole.any() else distances, ANSWERED))
    far = round(min(FAR, usual), 2)
    near = distances <= far  # else the detector would not answer
    files = probe_figures.pooled(features, scores, near)
    with atomic_write(out / "out_of_fold.csv") as partial, partial.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("path", "score", "distance", "degradation"))
        for (path, view), (score, rows) in files.items():
            said = "" if score is None else f"{score:.4f}"
            writer.writerow((path, said, f"{np.median(distances[rows]):.3f}", view))
    fitted_on = _fitted_on(features)
    own = aligned(features, fitted_on) if inside else features
    probe = fit(own, fitted_on, layers, strength, squares)
    card = {
        "id": detector.id,
        "version": detector.version,
        "settings": {
            "blocks": list(features.layers),
            "layers": [features.layers[layer] for layer in layers],
            "strength": strength,
            "loss": "squares" if squares else "logistic",
            "aligned": inside,
            "far": far,
        },
        "training_data": [{"file": one.name, "sha256": runtime.sha256(one)} for one in manifests],
        "pictures": {
            "generated": int((whole & features.positive).sum()),
            "bona_fide": int((whole & ~features.positive).sum()),
            "sources": len(set(features.source.tolist())),
        },
    }
    known = Subspace.of(features.tokens[fitted_on], features.source[fitted_on])
    write_probe(probe, known, out / f"{detector.id}-{detector.version}.onnx", card)
    figures = probe_figures.table(features, scores)
    if len(files) < len(scores):
        figures += probe_figures.by_file(features, files)
    with atomic_write(out / "figures.md") as partial:
        partial.write_text(figures, "utf-8")
    return figures
