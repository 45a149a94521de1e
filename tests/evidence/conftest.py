"""Made-up calibrations: detectors, sources and evidence with known distributions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from bonafide.evidence.calibration import Calibration, calibrate
from bonafide.evidence.reference import HEAD, Reference
from bonafide.types import Card, Finding, Measurement, Question

JPEG = {"short_side": 1000.0, "megapixels": 1.5, "jpeg": 1.0, "jpeg_quality": 90.0}
PNG = {"short_side": 1000.0, "megapixels": 1.5, "jpeg": 0.0}


def entry(question: str = "edited", **more: Any) -> dict[str, Any]:
    usual = {
        "version": "1",
        "question": question,
        "knots": [[0.0, -1.0], [10.0, 6.0]],
        "threshold": 5.0,
        "false_positive_rate": 0.01,
    }
    return usual | more


def reference(
    detectors: Sequence[str],
    sources: int = 200,
    each: int = 4,
    altered: int = 100,
    weights: Mapping[str, float] | None = None,
    container: str = "jpeg",
    megapixels: float = 1.5,
    seed: int = 1,
    source: str = "",
) -> Reference:
    """Files whose evidence per detector is N(-1, 1) if bona fide, N(3, 2) if altered."""
    random = np.random.default_rng(seed)
    weights = weights or dict.fromkeys(detectors, 1.0)
    rows: list[list[Any]] = []
    for number in range(sources * each + altered):
        yes = number >= sources * each
        name = f"made{number % 9}" if yes else f"source{number // each}"
        drawn = random.normal(3, 2, len(detectors)) if yes else random.normal(-1, 1, len(detectors))
        said = [
            round(float(value) * weights[detector], 3)
            for detector, value in zip(detectors, drawn, strict=True)
        ]
        rows.append([name, int(yes), "clone" if yes else "photo", container, megapixels, 0, *said])
    return Reference(
        {"weights": weights, "columns": [*HEAD, *detectors], "files": rows, "source": source}
    )


def card(detector: str, question: Question = Question.EDITED, version: str = "1") -> Card:
    return Card(detector, version, question, detector)


def finding(
    detector: str,
    score: float | None = None,
    question: Question = Question.EDITED,
    version: str = "1",
    **fields: Any,
) -> Finding:
    measured = Measurement(score=score, **({"summary": "s."} | fields))
    return Finding.of(card(detector, question, version), measured)


@pytest.fixture(scope="session")
def made() -> SimpleNamespace:
    """The functions of this file, for tests of a folder that is no package."""
    table = Calibration(
        detectors={name: entry() for name in ("grid", "noise")}
        | {name: entry("synthetic") for name in ("traces", "lines")}
        | {"exif": {"version": "1", "question": "provenance", "threshold": 2.0,
                    "false_positive_rate": 0.01}},
        questions={
            "edited": reference(("grid", "noise"), weights={"grid": 1.0, "noise": 0.5}),
            "synthetic": reference(("traces", "lines"), seed=2),
        },
        source="made-up numbers",
        id="test",
    )  # fmt: skip

    def calibrated(
        detector: str, score: float | None = None, with_: Calibration = table, **fields: Any
    ) -> Finding:
        known = with_.detectors.get(detector, {"question": fields.pop("question", "edited")})
        question = Question(known["question"])
        return calibrate(finding(detector, score, question, **fields), with_, JPEG)

    return SimpleNamespace(
        table=table, entry=entry, reference=reference, card=card, finding=finding,
        calibrated=calibrated, JPEG=JPEG, PNG=PNG,
    )  # fmt: skip
