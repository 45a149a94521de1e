"""Random checkpoints of the published architectures, small enough for tests."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import torch
from safetensors.torch import save_file

from bonafide.networks.catalogue import CATALOGUE, Published
from bonafide.train.published import expected_shapes

TINY = {
    "community_forensics": replace(
        CATALOGUE["community_forensics"].transformer, width=16, depth=2, heads=2, trained_side=32
    ),
    "dda": replace(
        CATALOGUE["dda"].transformer, width=16, depth=2, heads=2, trained_side=84, rank=4
    ),
    "univfd": replace(
        CATALOGUE["univfd"].transformer, width=16, depth=2, heads=2, trained_side=28, projection=8
    ),
}
SIDES = {"community_forensics": 32, "dda": 56, "univfd": 28}


def tiny(name: str) -> Published:
    """The entry with a network small enough for a test; names and order are the real ones."""
    entry = CATALOGUE[name]
    entry = replace(
        entry,
        transformer=TINY[name],
        reading=replace(entry.reading, side=SIDES[name], shorter=None),
    )
    return replace(entry, parameters=sum(map(math.prod, expected_shapes(entry).values())))


def write_checkpoint(entry: Published, folder: Path, seed: int = 0) -> list[Path]:
    """Random numbers in the published files' own formats."""
    generator = torch.Generator().manual_seed(seed)
    state = {
        name: torch.randn(shape, generator=generator) * 0.2
        for name, shape in expected_shapes(entry).items()
    }
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / Path(file.path).name for file in entry.files]
    if entry.transformer.layout == "dinov2_lora":
        torch.save({"model": state, "optimizer": {"state": {}}, "total_steps": 3}, paths[0])
    elif entry.transformer.layout == "clip":
        head = {name: state.pop(f"fc.{name}") for name in ("weight", "bias")}
        state["text_model.final_layer_norm.weight"] = torch.ones(4)
        state["logit_scale"] = torch.ones(())
        state["vision_model.embeddings.position_ids"] = torch.arange(5)[None]
        save_file(state, paths[0])
        torch.save(head, paths[1])
    else:
        save_file(state, paths[0])
    return paths
