"""Choose what counts as a mark for the default localiser, and write it into its file.

    bonafide tamper heldout.csv --out made --count 500
    python tools/operating_point.py edited_regions-1.onnx made/manifest.csv photographs.csv

The manifests must come from sources that the network was not trained on. Among all settings that
mark anything in at most the given share of the authentic pictures, the one with the best mean
pixel F1 on edited pictures is taken, what is not found counting as zero.
"""

from __future__ import annotations

import argparse
import itertools
import json
import sys
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper

from bonafide import runtime
from bonafide.bench.manifest import read_table, select
from bonafide.bench.masks import marked
from bonafide.bench.pixel_metrics import count_pixels
from bonafide.bench.protocol import load_protocol
from bonafide.detectors.edited_regions import CELL, Local, Operating, decide, localise
from bonafide.errors import MediaError
from bonafide.media.image import Image
from bonafide.media.limits import Limits

BIASES = np.arange(-1.0, 4.01, 0.25)
SMALLEST = (0.0005, 0.001, 0.002, 0.004)
METADATA = "bonafide"


@dataclass(frozen=True)
class Seen:
    """One picture: what the network says, and what is true (None where nothing was edited)."""

    local: Local
    mask: NDArray[np.bool_] | None


def main() -> None:
    """See the head of this file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=_Plain)
    parser.add_argument("network", type=Path)
    parser.add_argument("manifest", type=Path, nargs="+")
    parser.add_argument("--false-regions", type=float, default=0.02, metavar="SHARE")
    options = parser.parse_args()
    session = runtime.open_session(runtime.Found(*_named(options.network), options.network, "own"))
    seen = [one for table in options.manifest for one in look(session, table)]
    chosen, f1, false = choose(seen, options.false_regions)
    _write(options.network, chosen)
    edited = sum(one.mask is not None for one in seen)
    print(f"{chosen}: pixel F1 {f1:.3f} on {edited} edited pictures, ", end="")
    print(f"marks in {100 * false:.1f} % of {len(seen) - edited} authentic ones")


def look(session: runtime.Session, table: Path) -> list[Seen]:
    """Every picture of a manifest that can be read, at the size of cells."""
    chosen = select(read_table(table), load_protocol("edited"), table.parent, both_classes=False)
    seen = []
    for sample in chosen.samples:
        try:
            pixels = _pixels(chosen.file(sample))
        except MediaError as error:
            print(f"left out: {sample.path}: {error.why}", file=sys.stderr)
            continue
        if min(pixels.shape[:2]) < 64:
            continue
        local, mask = localise(session, pixels), None
        if sample.positive and (where := chosen.mask(sample)):
            mask = marked(_pixels(where))[CELL // 2 :: CELL, CELL // 2 :: CELL]
            local = replace(local, odds=local.odds[: mask.shape[0], : mask.shape[1]])
        seen.append(Seen(local, mask))
    return seen


def choose(seen: list[Seen], most: float) -> tuple[Operating, float, float]:
    """The best settings, their mean F1, and their rate of false regions."""
    best = (Operating(), -1.0, 1.0)
    edited = [one for one in seen if one.mask is not None]
    authentic = [one for one in seen if one.mask is None]
    for bias, smallest in itertools.product(BIASES, SMALLEST):
        ungated = Operating(float(bias), -np.inf, smallest)
        outcomes = [(one.local.logit, _f1(one, ungated)) for one in edited]
        loud = sorted((one.local.logit for one in authentic if _marks(one, ungated)), reverse=True)
        allowed = int(most * len(authentic))
        gate = loud[allowed] + 1e-3 if len(loud) > allowed else min(x for x, _ in outcomes)
        f1 = float(np.mean([value if logit >= gate else 0.0 for logit, value in outcomes]))
        if f1 > best[1]:
            false = sum(logit >= gate for logit in loud) / max(1, len(authentic))
            best = (replace(ungated, gate=round(float(gate), 4)), f1, false)
    return best


def _cells(one: Seen, operating: Operating) -> NDArray[np.float32]:
    height, width = (CELL * side for side in one.local.odds.shape)
    local = replace(one.local, trust=one.local.trust[: one.local.odds.shape[0]])
    local = replace(local, trust=local.trust[:, : local.odds.shape[1]])
    return decide(local, operating, height, width)[0]


def _marks(one: Seen, operating: Operating) -> bool:
    return bool((_cells(one, operating) >= 0.5).any())


def _f1(one: Seen, operating: Operating) -> float:
    assert one.mask is not None
    counts = count_pixels(one.mask, np.clip(_cells(one, operating), 0, 1))
    return counts.f1 if counts.edited else 0.0


def _pixels(path: Path) -> NDArray[np.uint8]:
    return Image(path.read_bytes(), path.name, limits=Limits()).pixels


def _named(path: Path) -> tuple[str, str]:
    name, _, version = path.stem.rpartition("-")
    return name, version


def _write(path: Path, chosen: Operating) -> None:
    """Put the settings into the card that the file carries."""
    model = onnx.load(path)
    card = json.loads(next(one.value for one in model.metadata_props if one.key == METADATA))
    card["operating"] = asdict(chosen)
    del model.metadata_props[:]
    helper.set_model_props(model, {METADATA: json.dumps(card, ensure_ascii=False)})
    partial = path.with_suffix(".partial")
    partial.write_bytes(model.SerializeToString())
    partial.replace(path)


class _Plain(argparse.RawDescriptionHelpFormatter):
    """Keeps the lines of the text above."""


if __name__ == "__main__":
    main()
