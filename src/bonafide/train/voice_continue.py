"""Continue a probe on new recordings without unlearning old ones: regularised weight modification.

A plane that is fitted on with new fakes alone forgets the old ones. Here the gradient of each class
is split into what lies in the directions of the old recordings and what is orthogonal to them. A
class that is spread out, as fakes of many systems are, moves the plane orthogonally alone, so that
old recordings keep their scores. A class that is compact, as genuine speech is, also moves it along
the old directions. Which class is compact is measured and not assumed.

The directions of the old recordings are a low-rank basis of their features: with a full one nothing
would be left that is orthogonal.

Source: X. Zhang, J. Yi et al., "What to Remember: Self-Adaptive Continual Learning for Audio
Deepfake Detection", AAAI 2024 (regularised weight modification); the projector is that of
orthogonal weight modification, G. Zeng et al., Nature Machine Intelligence 1, 2019.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper

from bonafide.bench.metrics import eer_value
from bonafide.detectors.speech.voice_probe import CARD
from bonafide.errors import InvalidInput
from bonafide.files import atomic_write
from bonafide.train.probe_features import DEGRADED, WHOLE, Features
from bonafide.train.probe_fit import Plane, Subspace, write_probe
from bonafide.train.voice_features import read

COMPONENTS = 96  # directions of the old recordings
STEPS, RATE = 400, 0.05
_LEAST_DEVIATION = 1e-3
_PAIRS = 2_000  # of which the mean cosine distance of a class is taken

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Known:
    """What is kept of the old recordings.

    Attributes:
        mean, deviation: (d,) of their features, flattened over blocks.
        basis: d×k, orthonormal columns: the directions in which they differ.
    """

    mean: Floats
    deviation: Floats
    basis: Floats

    @classmethod
    def of(cls, tokens: NDArray[Any], components: int = COMPONENTS) -> Known:
        """From features N×L×D of old recordings; their labels are not needed.

        Raises:
            InvalidInput: there are fewer than eight.
        """
        flat = tokens.reshape(len(tokens), -1).astype(np.float64)
        if len(flat) < 8:
            raise InvalidInput("eight old recordings are needed at least")
        mean, deviation = flat.mean(0), flat.std(0) + _LEAST_DEVIATION
        count = min(components, len(flat) // 2, flat.shape[1] // 2)
        _, _, rows = np.linalg.svd((flat - mean) / deviation, full_matrices=False)
        return cls(mean, deviation, rows[:count].T)

    def standardised(self, tokens: NDArray[Any]) -> Floats:
        """Features N×L×D as N×d, as the basis has them."""
        flat = tokens.reshape(len(tokens), -1).astype(np.float64)
        return np.asarray((flat - self.mean) / self.deviation, np.float64)


def spread(tokens: NDArray[Any]) -> float:
    """Mean cosine distance between the members of a class, features N×L×D → [0, 2]."""
    if len(tokens) < 2:
        return 0.0
    rows = tokens.reshape(len(tokens), -1).astype(np.float64)
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    unit = rows / np.maximum(lengths, 1e-9)
    random = np.random.default_rng(0)
    one, two = random.integers(0, len(rows), (2, _PAIRS))
    apart = one != two
    return float(1 - (unit[one[apart]] * unit[two[apart]]).sum(1).mean())


def continued(
    plane: Plane,
    known: Known,
    tokens: NDArray[Any],
    positive: NDArray[np.bool_],
    steps: int = STEPS,
    rate: float = RATE,
    modified: bool = True,
) -> Plane:
    """The plane after gradient descent on new recordings.

    Args:
        plane: fitted on the old recordings.
        known: what is kept of them.
        tokens: N×L×D, features of new recordings.
        positive: (N,) which of them are synthetic; both classes weigh the same.
        steps: of gradient descent over all of them.
        rate: of learning.
        modified: False for plain gradient descent, to compare with.

    Raises:
        InvalidInput: one class is missing.
    """
    if positive.all() or not positive.any():
        raise InvalidInput("new recordings of both classes are needed")
    rows = known.standardised(tokens)
    compact = spread(tokens[positive]) < spread(tokens[~positive])
    weight = plane.weight.ravel().astype(np.float64) * known.deviation
    bias = plane.bias + float(plane.weight.ravel().astype(np.float64) @ known.mean)
    for _ in range(steps):
        odds = rows @ weight + bias
        slope = 1 / (1 + np.exp(-np.clip(odds, -40, 40))) - positive
        for label in (True, False):
            own = positive == label
            moved = slope[own] @ rows[own] / own.sum() / 2
            level = float(slope[own].mean() / 2)
            if modified and label != compact:
                moved -= known.basis @ (known.basis.T @ moved)
                level = 0.0  # a constant is a direction of the old recordings, too
            weight = weight - rate * moved
            bias -= rate * level
    plain = weight / known.deviation
    return Plane(
        plain.reshape(plane.weight.shape).astype(np.float32), float(bias - plain @ known.mean)
    )


def read_plane(path: Path) -> Plane:
    """The plane in a file that `probe_fit.write_probe` wrote.

    Raises:
        InvalidInput: it is no such file.
    """
    try:
        held = {one.name: one for one in onnx.load(str(path)).graph.initializer}
        weight = numpy_helper.to_array(held["weight"])
        bias = float(numpy_helper.to_array(held["bias"]))
    except Exception as error:  # the parser raises what it likes
        raise InvalidInput(f"{path} is no probe: {type(error).__name__}") from None
    return Plane(np.array(weight, np.float32), bias)


def run(features: Features, probe: Path, known: Path, out: Path) -> str:
    """Continue a probe, and write it and a table into `out`.

    Args:
        features: of new recordings.
        probe: file of the probe that goes on.
        known: features of what it was fitted on, as `bonafide probe features --voices` wrote them.
        out: folder.

    Returns:
        What became of new and old recordings, as Markdown.

    Raises:
        InvalidInput: a file is not what it should be, or the features do not fit the probe.
    """
    plane = read_plane(probe)
    rows = [row for row in read(known) if row[1] in (WHOLE, DEGRADED)]
    if not rows:
        raise InvalidInput(f"{known} holds no features of old recordings")
    old = np.stack([found for _, _, found in rows])
    used = np.isin(features.view, (WHOLE, DEGRADED))
    tokens, positive = features.tokens[used], features.positive[used]
    if not old.shape[1:] == tokens.shape[1:] == plane.weight.shape:
        raise InvalidInput("the probe and the features are of different networks")
    kept = Known.of(old)
    made = continued(plane, kept, tokens, positive)
    plain = continued(plane, kept, tokens, positive, modified=False)
    out.mkdir(parents=True, exist_ok=True)
    card = {
        "id": CARD.id,
        "version": CARD.version,
        "recipe": "voice_continue",
        "settings": {"components": COMPONENTS, "steps": STEPS, "rate": RATE},
        "recordings": {"new": len(set(features.path.tolist())), "old": len({r[0] for r in rows})},
    }
    around = Subspace.of(np.concatenate([old, tokens]))
    write_probe(made, around, out / f"{CARD.id}-{CARD.version}.onnx", card)
    before = plane(old)
    lines = [
        "| probe | EER on the new recordings it saw | old recordings moved by, mean log-odds |",
        "|---|---|---|",
    ]
    for name, one in (("as it was", plane), ("continued", made), ("plain descent", plain)):
        rate = 100 * eer_value(positive, one(tokens))
        lines.append(f"| {name} | {rate:.1f} % | {np.abs(one(old) - before).mean():.2f} |")
    figures = "\n".join(lines) + "\n"
    with atomic_write(out / "figures.md") as partial:
        partial.write_text(figures, "utf-8")
    return figures
