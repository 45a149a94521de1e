"""Scores that were computed elsewhere, to stand in the same tables under the same rules."""

from __future__ import annotations

import csv
import hashlib
import math
from pathlib import Path

from bonafide.bench.manifest import Manifest
from bonafide.bench.scores import Row
from bonafide.bench.scoring import NATIVE, canonical
from bonafide.errors import InvalidInput
from bonafide.types import Status


def read_foreign(
    name: str, path: Path, manifest: Manifest, degradations: tuple[str, ...]
) -> dict[tuple[str, str, str], Row]:
    """Read a CSV with the columns path, score, and perhaps probability and degradation.

    Without a degradation it is taken to be of the files as the protocol's first one leaves them;
    only where that is "native", or the only one, can the scorer have known.

    Args:
        name: what the detector is to be called.
        path: of the CSV; its paths are written as in the manifest.
        manifest: what is scored.
        degradations: canonical names, of the protocol.

    Returns:
        (name, path, degradation) → what the table holds; an empty or infinite score is a failure.

    Raises:
        InvalidInput: the file cannot be followed.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            lines = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InvalidInput(f"{path} cannot be read: {error}") from None
    if not lines or not {"path", "score"} <= set(lines[0]):
        raise InvalidInput(f"{path} needs the columns path and score")
    only = degradations[0]
    if "degradation" not in lines[0] and len(degradations) > 1 and only != NATIVE:
        raise InvalidInput(
            f"{path} needs a column degradation, since the protocol has {len(degradations)}"
        )
    version = hashlib.sha256(path.read_bytes()).hexdigest()[:12]
    found: dict[tuple[str, str, str], Row] = {}
    for number, line in enumerate(lines, 2):
        try:
            score = float(line["score"]) if line["score"] else None
            probability = float(line["probability"]) if line.get("probability") else None
            degradation = canonical(line.get("degradation") or only)
        except ValueError as error:
            raise InvalidInput(f"{path}, line {number}: {error}") from None
        finite = score is not None and math.isfinite(score)
        if probability is not None and not 0 <= probability <= 1:
            raise InvalidInput(f"{path}, line {number}: a probability lies in [0, 1]")
        found[name, line["path"], degradation] = {
            "sha256": "",
            "mask_sha256": "",
            "notes": "",
            "version": version,
            "status": Status.OK.value if finite else Status.FAILED.value,
            "why": "" if finite else f"its score is {line['score'] or 'empty'}",
            "score": score if finite else None,
            "probability": probability,
        }
    paths = {sample.path for sample in manifest.samples}
    if not paths.intersection(path_ for _, path_, _ in found):
        raise InvalidInput(f"{path} has no path of the manifest; they are written as there")
    return found
