"""Try to paint a face from a stored template, by gradient: before and after protection.

    python tools/invert_template.py PHOTO... [--steps 100]

Whoever steals a template has the recogniser too, since it ships. A picture is changed until the
recogniser's vector of it fits the template. Three cases are tried for each photograph:

- "plain": the vector itself is stored.
- "no key": the protected template is stored, and its key lies elsewhere. The attacker guesses one.
- "key too": both were stolen.

Printed is the cosine between the vector of the painted picture and that of the photograph, which
the attacker does not have. From 0.36 on the recogniser takes both for one person.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch
from numpy.typing import NDArray
from onnx import helper
from torch import Tensor
from torch.nn import functional

from bonafide.media.context import Context
from bonafide.media.source import open_media
from bonafide.networks import runtime
from bonafide.networks.faces import RECOGNISER, align
from bonafide.persons import protect
from bonafide.subjects.faces import FACES

SIDE = 112
SMOOTH = 0.02  # weight of the differences between neighbouring pixels


def main() -> None:
    """Print a row for each photograph and the means."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("photos", nargs="+", type=Path)
    parser.add_argument("--steps", type=int, default=100)
    args = parser.parse_args()
    torch.manual_seed(0)
    recogniser, rows = network(), []
    for number, path in enumerate(args.photos):
        found = Context(open_media(path)).get(FACES)
        if len(found.tracks) != 1:
            continue
        face = found.tracks[0].faces[0]
        crop = torch.from_numpy(align(face.view, face.in_view(face.landmarks))).float() / 255
        vector = recogniser(crop.permute(2, 0, 1)[None])[0].detach()
        assert float(vector @ torch.from_numpy(face.vector)) > 0.9  # the same network
        row: dict[str, object] = {"photo": f"{number}"}
        key, guess = protect.new_key(), protect.new_key()
        kept = protected(vector[None], key)[0]
        attacks: dict[str, tuple[Callable[[Tensor], Tensor], Tensor]] = {
            "plain": (lambda rows: rows, vector),
            "no key": (lambda rows, key=guess: protected(rows, key), kept),
            "key too": (lambda rows, key=key: protected(rows, key), kept),
        }
        for name, (known, target) in attacks.items():
            row[name] = round(painted(recogniser, known, target, vector, args.steps), 3)
        rows.append(row)
        print(json.dumps(row), flush=True)
    if rows:
        names = ("plain", "no key", "key too")
        print(json.dumps({n: round(float(np.mean([r[n] for r in rows])), 3) for n in names}))


def painted(
    recogniser: Callable[[Tensor], Tensor],
    known: Callable[[Tensor], Tensor],
    target: Tensor,
    vector: Tensor,
    steps: int,
) -> float:
    """Cosine that a picture reaches to `vector`, painted from what is `known` of it."""
    logits = (0.1 * torch.randn(1, 3, SIDE, SIDE)).requires_grad_()
    optimiser = torch.optim.Adam([logits], lr=0.05)
    for _ in range(steps):
        picture = torch.sigmoid(logits)
        fit = (known(recogniser(picture)) * target).sum()
        rough = (picture.diff(dim=2).abs().mean() + picture.diff(dim=3).abs().mean()) * SMOOTH
        optimiser.zero_grad()
        (rough - fit).backward()
        optimiser.step()
    with torch.inference_mode():
        return float(recogniser(torch.sigmoid(logits))[0] @ vector)


def protected(rows: Tensor, key: bytes) -> Tensor:
    """`persons.protect.protect` with a gradient: (N, 128) → (N, 64)."""
    rotation, directions, kept = (torch.from_numpy(part) for part in protect._secrets(key))
    rotation, directions = rotation.float(), directions.float()
    groups = functional.normalize((rows @ rotation.mT).unflatten(1, directions.shape), dim=2)
    angle = (groups * directions).sum(2, keepdim=True).clamp(-0.999, 0.999).arccos()
    share = protect.SHARE
    moved = ((1 - share) * angle).sin() * groups + (share * angle).sin() * directions
    moved = moved / angle.sin() - np.sin(share * np.pi / 2) * directions
    chosen = moved.gather(2, kept[None].expand(len(rows), -1, -1))
    return functional.normalize(chosen.flatten(1), dim=1)


def network() -> Callable[[Tensor], Tensor]:
    """The recogniser in PyTorch, read from its ONNX file: RGB in [0, 1] → unit vectors."""
    model = onnx.load(runtime.checked(RECOGNISER).path)
    weights = _weights(model)

    def run(pixels: Tensor) -> Tensor:
        values = {model.graph.input[0].name: pixels}

        def value(name: str) -> Tensor:
            return values[name] if name in values else weights[name]

        for node in model.graph.node:
            if node.output[0] in weights:
                continue
            given = [value(name) for name in node.input if name]
            values[node.output[0]] = _apply(node, given)
        return functional.normalize(values[model.graph.output[0].name], dim=1)

    return run


def _apply(node: onnx.NodeProto, given: list[Tensor]) -> Tensor:
    told = {one.name: helper.get_attribute_value(one) for one in node.attribute}
    first = given[0]
    match node.op_type:
        case "Conv":
            bias = given[2] if len(given) > 2 else None
            pads = told["pads"]
            return functional.conv2d(
                first, given[1], bias, told["strides"], (pads[0], pads[1]), groups=told["group"]
            )
        case "BatchNormalization":
            gain, offset, mean, spread = given[1:]
            return functional.batch_norm(first, mean, spread, gain, offset, eps=told["epsilon"])
        case "PRelu":
            return functional.prelu(first, given[1].flatten())
        case "Mul":
            return first * given[1]
        case "Sub":
            return first - given[1]
        case "Flatten":
            return first.flatten(1)
        case "Gemm":
            return functional.linear(first, given[1], given[2])
        case "Dropout":
            return first
    raise ValueError(f"{node.op_type} is not known")


def _weights(model: onnx.ModelProto) -> dict[str, Tensor]:
    """Everything that does not depend on the picture, as ONNX Runtime computes it."""
    constant = {one.name for one in model.graph.initializer}
    made = []
    for node in model.graph.node:
        if all(name in constant for name in node.input if name):
            constant.update(node.output)
            made += list(node.output)
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    copy.graph.output.extend(helper.make_empty_tensor_value_info(name) for name in made)
    session = onnxruntime.InferenceSession(copy.SerializeToString())
    blank: NDArray[np.float32] = np.zeros((1, 3, SIDE, SIDE), np.float32)
    values = session.run(made, {model.graph.input[0].name: blank}) if made else []
    found = dict(zip(made, values, strict=True))
    found |= {one.name: onnx.numpy_helper.to_array(one) for one in model.graph.initializer}
    return {name: torch.from_numpy(np.array(value, np.float32)) for name, value in found.items()}


if __name__ == "__main__":
    main()
