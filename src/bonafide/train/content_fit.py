"""A plane that tells what pictures show, on CLIP's class tokens: fit, out-of-fold figures, ONNX.

The labels are the kinds of a manifest, whatever made the pictures: some kinds against the others.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from bonafide.bench.metrics import roc_auc
from bonafide.errors import InvalidInput
from bonafide.files import atomic_write
from bonafide.networks import runtime
from bonafide.networks.content import NETWORK
from bonafide.train.onnx_file import save
from bonafide.train.probe_features import WHOLE, Features
from bonafide.train.probe_fit import STRENGTH, Plane, fit, out_of_fold

VERSION = "1"
LIMITS = (0.5, 0.7, 0.8, 0.9, 0.95)  # probabilities at which the figures count pictures
UNCLEAR = ("", "other")  # kinds that are not fitted on


def run(
    features: Features,
    out: Path,
    kinds: Sequence[str],
    layers: Sequence[int],
    strength: float = STRENGTH,
    manifests: Sequence[Path] = (),
) -> str:
    """Fit on everything, score out of fold by source, and write network and figures into `out`.

    Args:
        features: views, with the kind of each.
        out: folder; gets `content-1.onnx` and `figures.md`.
        kinds: that count as drawn, rendered, printed or a screen.
        layers: of the tokens, that are read.
        strength: see `bonafide.train.probe_fit.fit`.
        manifests: named in the card of the network.

    Returns:
        The figures as Markdown.

    Raises:
        InvalidInput: there are no pictures of a named kind, or fewer than two sources of a class.
    """
    absent = set(kinds) - set(features.kind.tolist())
    if absent:
        raise InvalidInput(f"there are no features of pictures of the kind {sorted(absent)[0]}")
    own = chosen(features, kinds)
    scores, _ = out_of_fold(own, layers, strength)
    plane = fit(own, np.ones(len(own.path), np.bool_), layers, strength)
    read = [own.layers[layer] for layer in layers]
    card = {
        "id": NETWORK,
        "version": VERSION,
        "settings": {"blocks": read, "strength": strength, "kinds": list(kinds)},
        "training_data": [{"file": one.name, "sha256": runtime.sha256(one)} for one in manifests],
        "pictures": {"drawn": int(own.positive.sum()), "others": int((~own.positive).sum())},
    }
    out.mkdir(parents=True, exist_ok=True)
    write_plane(plane, layers, out / f"{NETWORK}-{VERSION}.onnx", card)
    figures = table(own, scores)
    with atomic_write(out / "figures.md") as partial:
        partial.write_text(figures, "utf-8")
    return figures


def chosen(features: Features, kinds: Sequence[str]) -> Features:
    """The whole views of a clear kind; `positive` says whether it is one of `kinds`."""
    rows = (features.view == WHOLE) & ~np.isin(features.kind, UNCLEAR)
    parts: dict[str, Any] = {
        name: getattr(features, name)[rows]
        for name in ("tokens", "view", "path", "source", "made", "kind")
    }
    return replace(features, **parts, positive=np.isin(features.kind[rows], list(kinds)))


def write_plane(plane: Plane, layers: Sequence[int], path: Path, card: dict[str, Any]) -> None:
    """Write a plane as ONNX: `tokens`, float32 N×L×768 → `logit`, float32 (N,)."""
    weight = np.ascontiguousarray(plane.weight[list(layers)], np.float32)
    values: dict[str, NDArray[Any]] = {
        "weight": weight,
        "bias": np.array(plane.bias, np.float32),
        "axes": np.array([1, 2], np.int64),
    }
    graph = helper.make_graph(
        [
            helper.make_node("Mul", ["tokens", "weight"], ["products"]),
            helper.make_node("ReduceSum", ["products", "axes"], ["sum"], keepdims=0),
            helper.make_node("Add", ["sum", "bias"], ["logit"]),
        ],
        str(card["id"]),
        [helper.make_tensor_value_info("tokens", TensorProto.FLOAT, ["N", *weight.shape])],
        [helper.make_tensor_value_info("logit", TensorProto.FLOAT, ["N"])],
        [numpy_helper.from_array(value, name) for name, value in values.items()],
    )
    save(graph, path, {"recipe": "content_fit", "inputs": ["tokens"], **card})


def table(features: Features, scores: NDArray[np.float64]) -> str:
    """Shares of pictures out of fold at several probabilities, by kind, as Markdown."""
    said = 1.0 / (1.0 + np.exp(-np.clip(scores, -50, 50)))
    auc = roc_auc(features.positive, scores)
    limits = " | ".join(f"≥ {one}" for one in LIMITS)
    lines = [
        f"AUC {auc:.3f}: {int(features.positive.sum())} pictures of the kinds, "
        f"{int((~features.positive).sum())} others, "
        f"{len(set(features.source.tolist()))} sources.",
        "",
        f"| kind | counted | pictures | sources | {limits} |",
        "|---" * (4 + len(LIMITS)) + "|",
    ]
    for kind in sorted(set(features.kind.tolist())):
        rows = features.kind == kind
        counted = "drawn" if features.positive[rows].any() else "not"
        shares = " | ".join(f"{(said[rows] >= one).mean():.1%}" for one in LIMITS)
        sources = len(set(features.source[rows].tolist()))
        lines.append(f"| {kind} | {counted} | {int(rows.sum())} | {sources} | {shares} |")
    return "\n".join(lines) + "\n"
