"""Choose what counts as a mark for the default localiser, and write it into its file.

The manifests must come from sources that the network was not trained on. Among all settings that
mark anything in at most the given share of the authentic pictures, the one with the best mean
pixel F1 on edited pictures is taken, what is not found counting as zero.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Sequence
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
from bonafide.errors import InvalidInput, MediaError
from bonafide.files import atomic_write
from bonafide.media.image import Image
from bonafide.media.limits import Limits
from bonafide.networks import runtime
from bonafide.networks.runtime import METADATA
from bonafide.train.export import read_card

BIASES = np.arange(-1.0, 4.01, 0.25)
SMALLEST = (4, 6, 10, 16)


@dataclass(frozen=True)
class Seen:
    """One picture: what the network says, and what is true (None where nothing was edited)."""

    local: Local
    mask: NDArray[np.bool_] | None


@dataclass(frozen=True)
class Chosen:
    """What was chosen, and what it gives on the pictures that it was chosen on.

    Attributes:
        operating: the settings.
        f1: mean pixel F1 over edited pictures.
        false: share of authentic pictures with any mark.
        edited, authentic: how many there were.
    """

    operating: Operating
    f1: float
    false: float
    edited: int
    authentic: int


def set_operating_point(
    network: Path, manifests: Sequence[Path], false_regions: float
) -> tuple[Chosen, list[str]]:
    """Choose the settings and write them into the card that the network's file carries.

    Args:
        network: ONNX file, named ID-VERSION.onnx.
        manifests: edited pictures with masks, and authentic ones; JPEGs.
        false_regions: share of authentic pictures in which anything may be marked.

    Returns:
        What was chosen, and "name: why" of pictures that could not be read.

    Raises:
        InvalidInput: there is no edited or no authentic JPEG.
    """
    found = runtime.Found(*_named(network), network, "own")
    session = runtime.open_session(found)
    left_out: list[str] = []
    seen = [one for table in manifests for one in look(session, table, left_out)]
    edited = sum(one.mask is not None for one in seen)
    if not edited or edited == len(seen):
        raise InvalidInput("an operating point is chosen on edited and on authentic JPEGs")
    operating, f1, false = choose(seen, false_regions)
    _write(network, operating)
    return Chosen(operating, f1, false, edited, len(seen) - edited), left_out


def look(session: runtime.Session, table: Path, left_out: list[str]) -> list[Seen]:
    """Every JPEG of a manifest that can be read, at the size of blocks."""
    chosen = select(read_table(table), load_protocol("edited"), table.parent, both_classes=False)
    seen = []
    for sample in chosen.samples:
        try:
            local = localise(session, _opened(chosen.file(sample)))
        except MediaError as error:
            left_out.append(f"{sample.path}: {error.why}")
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
    with atomic_write(path) as partial:
        partial.write_bytes(model.SerializeToString())
