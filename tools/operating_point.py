"""Choose what counts as a mark for the default localiser, and write it into its file.

    bonafide tamper heldout.csv --out made --count 500
    python tools/operating_point.py jpeg_history-1.onnx made/manifest.csv photographs.csv

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

from bonafide.bench.manifest import read_table, select
from bonafide.bench.masks import marked
from bonafide.bench.pixel_metrics import count_pixels
from bonafide.bench.protocol import load_protocol
from bonafide.detectors.edited.jpeg_history import BLOCK, Local, Operating, decide, localise
from bonafide.errors import MediaError
from bonafide.media.image import Image
from bonafide.media.limits import Limits
from bonafide.networks import runtime
from bonafide.train.export import METADATA, read_card

BIASES = np.arange(-1.0, 4.01, 0.25)
SMALLEST = (4, 6, 10, 16)


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
    parser.add_argument("--false-regions", type=float, default=0.01, metavar="SHARE")
    options = parser.parse_args()
    session = runtime.open_session(runtime.Found(*_named(options.network), options.network, "own"))
    seen = [one for table in options.manifest for one in look(session, table)]
    chosen, f1, false = choose(seen, options.false_regions)
    _write(options.network, chosen)
    edited = sum(one.mask is not None for one in seen)
    print(f"{chosen}: pixel F1 {f1:.3f} on {edited} edited pictures, ", end="")
    print(f"marks in {100 * false:.1f} % of {len(seen) - edited} authentic ones")


def look(session: runtime.Session, table: Path) -> list[Seen]:
    """Every JPEG of a manifest that can be read, at the size of blocks."""
    chosen = select(read_table(table), load_protocol("edited"), table.parent, both_classes=False)
    seen = []
    for sample in chosen.samples:
        try:
            local = localise(session, _opened(chosen.file(sample)))
        except MediaError as error:
            print(f"left out: {sample.path}: {error.why}", file=sys.stderr)
            continue
        if local is None:
            continue
        mask = None
        if sample.positive and (where := chosen.mask(sample)):
            mask = marked(_opened(where).pixels)[BLOCK // 2 :: BLOCK, BLOCK // 2 :: BLOCK]
            local = replace(local, odds=local.odds[: mask.shape[0], : mask.shape[1]])
            if not mask.any():
                continue
        seen.append(Seen(local, mask))
    return seen


def choose(seen: list[Seen], most: float) -> tuple[Operating, float, float]:
    """The best settings, their mean F1, and their rate of false regions."""
    best = (Operating(), -1.0, 1.0)
    edited = [(one.local, one.mask) for one in seen if one.mask is not None]
    authentic = [one.local for one in seen if one.mask is None]
    for bias, smallest in itertools.product(BIASES, SMALLEST):
        ungated = Operating(float(bias), -np.inf, smallest)
        outcomes = [
            (local.logit, count_pixels(mask, decide(local, ungated)).f1) for local, mask in edited
        ]
        loud = sorted(
            (one.logit for one in authentic if (decide(one, ungated) >= 0.5).any()), reverse=True
        )
        allowed = int(most * len(authentic))
        gate = loud[allowed] + 1e-3 if len(loud) > allowed else min(x for x, _ in outcomes)
        f1 = float(np.mean([value if logit >= gate else 0.0 for logit, value in outcomes]))
        if f1 > best[1]:
            false = sum(logit >= gate for logit in loud) / max(1, len(authentic))
            best = (replace(ungated, gate=round(float(gate), 4)), f1, false)
    return best


def _opened(path: Path) -> Image:
    return Image(path.read_bytes(), path.name, limits=Limits())


def _named(path: Path) -> tuple[str, str]:
    name, _, version = path.stem.rpartition("-")
    return name, version


def _write(path: Path, chosen: Operating) -> None:
    """Put the settings into the card that the file carries."""
    model = onnx.load(path)
    card = read_card(path) | {"operating": asdict(chosen)}
    del model.metadata_props[:]
    helper.set_model_props(model, {METADATA: json.dumps(card, ensure_ascii=False)})
    partial = path.with_suffix(".partial")
    partial.write_bytes(model.SerializeToString())
    partial.replace(path)


class _Plain(argparse.RawDescriptionHelpFormatter):
    """Keeps the lines of the text above."""


if __name__ == "__main__":
    main()
