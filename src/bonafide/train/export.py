"""From a trained network to one ONNX file that stands alone, and the proof that both agree."""

from __future__ import annotations

import json
import logging
import math
import subprocess
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn

import bonafide
from bonafide.errors import BonafideError
from bonafide.files import atomic_write
from bonafide.networks.onnx_runtime import library
from bonafide.networks.runtime import METADATA
from bonafide.train.data import Fingerprint
from bonafide.train.recipe import Output, Recipe

BOUNDS = {"float32": 1e-3, "float16": 5e-2}  # largest difference, relative to 1 + |value|
# Values of a tensor below which 16 bits save little: small tensors sit in the first layers, whose
# rounding errors every later layer enlarges.
_SMALLEST_HALVED = 16_384
_AXES = ("batch", "height", "width")


@dataclass(frozen=True)
class Exported:
    """What was written.

    Attributes:
        path: of the file.
        bytes: its size.
        storage: of the weights, "float32" or "float16".
        dynamic: axes of the input that may have any size, of "batch", "height" and "width".
        difference: largest |ONNX - PyTorch| of all outputs, relative to 1 + |value|.
        compared: shapes of the inputs that were compared, (N, H, W) of pictures.
    """

    path: Path
    bytes: int
    storage: str
    dynamic: tuple[str, ...]
    difference: float
    compared: tuple[tuple[int, ...], ...]


class _Flat(nn.Module):
    """The network with a tuple of what it gives for an output, as ONNX has it."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        output: Output = self.network(*inputs)
        return tuple(part for part in output if part is not None)

    def inputs(self, pixels: Tensor) -> tuple[Tensor, ...]:
        """What the network takes besides: a context made of the pixels, one row without any."""
        if not getattr(self.network, "context", 0):
            return (pixels,)
        with torch.inference_mode():
            summary = self.network(pixels).summary
        shared = summary.mean(0, keepdim=True).repeat(len(pixels), 1)
        shared[0] = 0
        return pixels, shared.clone()


def export(
    recipe: Recipe,
    network: nn.Module,
    path: Path,
    tables: Sequence[Fingerprint] = (),
    crops: NDArray[np.float32] | None = None,
    storage: str = "float32",
    version: str = "1",
    facts: Mapping[str, Any] | None = None,
) -> Exported:
    """Write `network` as ONNX with its card, and compare it with PyTorch.

    Height and width are left open where the network gives the same results at other sizes than
    that of its training crops.

    Args:
        recipe: the method that trained it.
        network: on the CPU.
        path: of the file; it appears whole or not at all.
        tables: what it was trained on.
        crops: float32 (N, channels, H, W) of real pictures in [0, 1], or real sounds, to compare
            on, besides random ones.
        storage: "float16" halves the file; computation stays in float32.
        version: of these weights.
        facts: more for the card, such as calibration.

    Raises:
        BonafideError: it cannot be exported, or ONNX Runtime and PyTorch differ by more than
            `BOUNDS` allows.
    """
    shape = recipe.shape
    flat = _Flat(network).eval().requires_grad_(False)
    random = np.random.default_rng(recipe.settings.seed)
    inputs = [random.random((2, *shape), np.float32)]
    if crops is not None and len(crops):
        inputs.append(np.asarray(crops, np.float32))
    attempts = [False]
    if recipe.any_size:
        channels, height, width = shape
        other = random.random((1, channels, height + 24, width + 56), np.float32)
        attempts = [True, False] if _runs(flat, other) else [False]
    for sizes_open in attempts:
        compared = [*inputs, other] if sizes_open else [*inputs, inputs[0][:1]]
        try:
            model = _traced(flat, shape, recipe.input, sizes_open)
            if storage == "float16":
                _halve(model)
            difference = _difference(flat, model.SerializeToString(), compared)
        except BonafideError:
            if sizes_open is attempts[-1]:
                raise
            continue
        if difference <= BOUNDS[storage]:
            break
    else:
        raise BonafideError(
            f"{path.name}: ONNX Runtime and PyTorch differ by {difference:.2g}, more than "
            f"{BOUNDS[storage]:g}; nothing was written"
        )
    fixed = None if sizes_open or recipe.needs_sound else shape[-1]
    card = _card(recipe, version, tables, fixed) | dict(facts or {})
    helper.set_model_props(model, {METADATA: json.dumps(card, ensure_ascii=False)})
    data = model.SerializeToString()
    with atomic_write(path) as partial:
        partial.write_bytes(data)
    skipped = 1 if recipe.needs_sound else 2  # planes say nothing of a picture's size
    shapes = tuple((len(one), *one.shape[skipped:]) for one in compared)
    axes = _AXES if sizes_open else _AXES[:1]
    return Exported(path, len(data), storage, axes, difference, shapes)


def read_card(path: Path) -> dict[str, Any]:
    """The card inside an exported file.

    Raises:
        BonafideError: there is none.
    """
    model = onnx.load(path, load_external_data=False)
    for entry in model.metadata_props:
        if entry.key == METADATA:
            card: dict[str, Any] = json.loads(entry.value)
            return card
    raise BonafideError(f"{path} was not exported by bonafide: it has no card")


def commit() -> str | None:
    """The commit of the checkout that this code runs from, "+" behind it if files were changed."""
    try:
        found = subprocess.run(
            ["git", "describe", "--always", "--abbrev=40", "--exclude=*", "--dirty=+"],
            cwd=Path(bonafide.__file__).parent,
            capture_output=True,
            text=True,
            timeout=30,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return found.stdout.strip()


def _card(
    recipe: Recipe, version: str, tables: Sequence[Fingerprint], side: int | None
) -> dict[str, Any]:
    return {
        "id": recipe.id,
        "version": version,
        "recipe": recipe.id,
        "title": recipe.title,
        "paper": recipe.paper,
        "settings": asdict(recipe.settings),
        "preprocessing": {
            "input": recipe.input,
            "layout": recipe.layout,
            "side": side,  # pixels of height and width; None where any will do
        },
        "training_data": [asdict(table) for table in tables],
        "commit": commit(),
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def _runs(network: nn.Module, pixels: NDArray[np.float32]) -> bool:
    """Whether the network takes pictures of this size."""
    try:
        with torch.inference_mode():
            network(torch.from_numpy(pixels))
    except Exception:  # whatever a network raises that is bound to one size
        return False
    return True


def _traced(network: _Flat, shape: tuple[int, ...], name: str, sizes_open: bool) -> onnx.ModelProto:
    # Unequal, lest height and width become one.
    example = torch.rand(2, *shape[:-1], shape[-1] + 8 * sizes_open)
    with torch.inference_mode():
        names = [
            one for one, part in network.network(example)._asdict().items() if part is not None
        ]
    inputs = network.inputs(example)
    input_names = [name, "context"][: len(inputs)]
    axes = dict(enumerate(_AXES)) if sizes_open else {0: _AXES[0]}
    places = {0: 0, 1: 2, 2: 3}  # of batch, height and width in (N, 3, H, W)
    open_axes = {places[axis]: torch.export.Dim.DYNAMIC for axis in axes}
    dynamic = (open_axes, {0: torch.export.Dim.DYNAMIC})[: len(inputs)]
    try:
        with warnings.catch_warnings(), _quiet(), _written_out():
            warnings.simplefilter("ignore")
            program = torch.onnx.export(
                network,
                inputs,
                input_names=input_names,
                output_names=names,
                dynamic_shapes=(dynamic,),
                external_data=False,
                verbose=False,
            )
    except Exception as error:  # the exporter raises nearly anything
        first = str(error).strip().splitlines()[:1] or [type(error).__name__]
        raise BonafideError(f"the network cannot be exported to ONNX: {first[0]}") from error
    assert program is not None
    model: onnx.ModelProto = program.model_proto
    _clean(model, {places[axis]: name for axis, name in axes.items()})
    return model


def _clean(model: onnx.ModelProto, axes: Mapping[int, str]) -> None:
    """Name open axes, and drop what the exporter notes about the machine that it ran on."""
    shape = model.graph.input[0].type.tensor_type.shape
    given = {shape.dim[place].dim_param: name for place, name in axes.items()}
    for context in model.graph.input[1:]:
        given.setdefault(context.type.tensor_type.shape.dim[0].dim_param, axes[0])
    for value in (*model.graph.input, *model.graph.output):
        for dim in value.type.tensor_type.shape.dim:
            if dim.dim_param:
                dim.dim_param = given.get(dim.dim_param, dim.dim_param)
        del value.metadata_props[:]
    for part in (*model.graph.node, *model.graph.initializer):
        del part.metadata_props[:]
        part.doc_string = ""
    del model.graph.metadata_props[:]
    del model.graph.value_info[:]  # shapes that quantisers would take for facts


def _halve(model: onnx.ModelProto) -> None:
    """Store large weights in 16 bits; the runtime widens them once, when it loads the file."""
    casts = []
    for weights in model.graph.initializer:
        if weights.data_type != TensorProto.FLOAT:
            continue
        values = numpy_helper.to_array(weights)
        halved = values.astype(np.float16)
        if values.size < _SMALLEST_HALVED or not np.isfinite(halved).all():
            continue
        name, half = weights.name, f"{weights.name}.half"
        weights.CopyFrom(numpy_helper.from_array(halved, half))
        casts.append(helper.make_node("Cast", [half], [name], to=TensorProto.FLOAT))
    nodes = [*casts, *model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)


def _difference(network: _Flat, data: bytes, inputs: Sequence[NDArray[np.float32]]) -> float:
    """Largest |ONNX - PyTorch| / (1 + |PyTorch|) over all outputs; NaN counts as infinite."""
    session = library().InferenceSession(data, providers=["CPUExecutionProvider"])
    largest = 0.0
    for pixels in inputs:
        tensors = network.inputs(torch.from_numpy(pixels))
        with torch.inference_mode():
            expected = [part.numpy() for part in network(*tensors)]
        given = {
            one.name: part.numpy() for one, part in zip(session.get_inputs(), tensors, strict=True)
        }
        for want, got in zip(expected, session.run(None, given), strict=True):
            apart = float(np.max(np.abs(got - want) / (1 + np.abs(want)), initial=0.0))
            largest = max(largest, apart if np.isfinite(apart) else math.inf)
    return largest


@contextmanager
def _written_out() -> Iterator[None]:
    """Attention as its single steps: its fused form of evaluation is unknown to ONNX."""
    before = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(before)


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the exporter's remarks about packages that nobody needs."""
    logger = logging.getLogger("torch.onnx")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(before)
