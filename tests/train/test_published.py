"""Published checkpoints become networks that compute what their authors' code computes."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("safetensors")
pytest.importorskip("onnxscript")

import torch
from checkpoints import tiny, write_checkpoint
from safetensors.torch import save_file

from bonafide.errors import DamagedWeights
from bonafide.networks.catalogue import CATALOGUE, Published
from bonafide.train.published import convert, expected_shapes, load, read_checkpoint


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


def normalised(entry: Published, pixels: torch.Tensor) -> torch.Tensor:
    mean, deviation = (torch.tensor(v).view(1, 3, 1, 1) for v in (entry.mean, entry.deviation))
    return (pixels - mean) / deviation


# ---- the full-size architectures hold what the public files hold ----


@pytest.mark.parametrize("name", CATALOGUE)
def test_full_size_parameter_counts_are_the_published_ones(name: str) -> None:
    entry = CATALOGUE[name]
    assert sum(map(math.prod, expected_shapes(entry).values())) == entry.parameters


def test_names_and_shapes_of_community_forensics() -> None:
    shapes = expected_shapes(CATALOGUE["community_forensics"])
    assert len(shapes) == 4 + 12 * 12 + 4
    assert shapes["vit.pos_embed"] == (1, 577, 384)
    assert shapes["vit.patch_embed.proj.weight"] == (384, 3, 16, 16)
    assert shapes["vit.blocks.11.attn.qkv.weight"] == (1152, 384)
    assert shapes["vit.blocks.11.mlp.fc1.weight"] == (1536, 384)
    assert shapes["vit.head.weight"] == (1, 384)


def test_names_and_shapes_of_dda() -> None:
    shapes = expected_shapes(CATALOGUE["dda"])
    block = {
        name.removeprefix("base_model.model.blocks.23.") for name in shapes if ".blocks.23." in name
    }
    linear = {"original_layer.weight", "original_layer.bias", "lora.lora_A", "lora.lora_B"}
    assert block == {
        *(f"{norm}.{kind}" for norm in ("norm1", "norm2") for kind in ("weight", "bias")),
        *(f"{layer}.{part}" for layer in ("attn.qkv", "attn.proj", "mlp.fc1", "mlp.fc2")
          for part in linear),
        "ls1.gamma", "ls2.gamma",
    }  # fmt: skip
    assert shapes["base_model.model.pos_embed"] == (1, 1370, 1024)
    assert shapes["base_model.model.blocks.0.attn.qkv.lora.lora_B"] == (3072, 8)
    assert shapes["base_model.model.mask_token"] == (1, 1024)
    assert shapes["base_model.fc.weight"] == (1, 1024)


def test_names_and_shapes_of_clip_are_those_of_transformers() -> None:
    transformers = pytest.importorskip("transformers")
    config = transformers.CLIPVisionConfig(
        hidden_size=1024, intermediate_size=4096, num_hidden_layers=1, num_attention_heads=16,
        image_size=224, patch_size=14, projection_dim=768,
    )  # fmt: skip
    with torch.device("meta"):
        reference = transformers.CLIPVisionModelWithProjection(config)
    theirs = {name: tuple(value.shape) for name, value in reference.named_parameters()}
    entry = CATALOGUE["univfd"]
    entry = replace(entry, transformer=replace(entry.transformer, depth=1))  # the others are alike
    assert expected_shapes(entry) == theirs | {
        "fc.weight": (1, 768),
        "fc.bias": (1,),
    }


# ---- the computation is that of independent implementations ----


def test_clip_computes_what_transformers_computes(tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    entry = tiny("univfd")
    paths = write_checkpoint(entry, tmp_path)
    config = transformers.CLIPVisionConfig(
        hidden_size=16, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2,
        image_size=28, patch_size=14, projection_dim=8, hidden_act="quick_gelu",
    )  # fmt: skip
    reference = transformers.CLIPVisionModelWithProjection(config).eval()
    state = read_checkpoint(entry, paths)
    reference.load_state_dict({k: v for k, v in state.items() if not k.startswith("fc.")})
    pixels = torch.rand(3, 3, 28, 28)
    with torch.inference_mode():
        features = reference(normalised(entry, pixels)).image_embeds
        expected = features @ state["fc.weight"][0] + state["fc.bias"]
        torch.testing.assert_close(load(entry, paths)(pixels).logit, expected)


def test_vit_computes_what_transformers_computes(tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    entry = tiny("community_forensics")
    paths = write_checkpoint(entry, tmp_path)
    state = {k.removeprefix("vit."): v for k, v in read_checkpoint(entry, paths).items()}
    config = transformers.ViTConfig(
        hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64,
        image_size=32, patch_size=16, layer_norm_eps=1e-6,
    )  # fmt: skip
    reference = transformers.ViTModel(config, add_pooling_layer=False).eval()
    _fill(reference, state, VIT)
    pixels = torch.rand(2, 3, 32, 32)
    with torch.inference_mode():
        token = reference(normalised(entry, pixels)).last_hidden_state[:, 0]
        expected = token @ state["head.weight"][0] + state["head.bias"]
        torch.testing.assert_close(load(entry, paths)(pixels).logit, expected)


def test_dinov2_computes_what_transformers_computes(tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    entry = tiny("dda")
    entry = replace(entry, reading=replace(entry.reading, side=84))  # positions as they are
    paths = write_checkpoint(entry, tmp_path)
    state = _merged(read_checkpoint(entry, paths), rank=4)
    config = transformers.Dinov2Config(
        hidden_size=16, num_hidden_layers=2, num_attention_heads=2, mlp_ratio=4,
        image_size=84, patch_size=14, layer_norm_eps=1e-6,
    )  # fmt: skip
    reference = transformers.Dinov2Model(config).eval()
    _fill(reference, state, DINO)
    pixels = torch.rand(2, 3, 84, 84)
    with torch.inference_mode():
        token = reference(normalised(entry, pixels)).last_hidden_state[:, 0]
        expected = token @ state["fc.weight"][0] + state["fc.bias"]
        torch.testing.assert_close(load(entry, paths)(pixels).logit, expected)


def _merged(state: dict[str, torch.Tensor], rank: int) -> dict[str, torch.Tensor]:
    """The updates added one by one, x → Wx + B(Ax)/rank, written apart from the code under test."""
    plain = {}
    for name, value in state.items():
        name = name.removeprefix("base_model.").removeprefix("model.")
        if name.endswith("original_layer.weight"):
            module = f"base_model.model.{name.removesuffix('original_layer.weight')}"
            value = value + torch.einsum(
                "or,rd->od", state[f"{module}lora.lora_B"], state[f"{module}lora.lora_A"] / rank
            )
        if ".lora." not in name:
            plain[name.replace(".original_layer", "")] = value
    return plain


def _renamed(state: dict[str, torch.Tensor], renaming: dict[str, str]) -> dict[str, torch.Tensor]:
    """The names of timm and DINOv2 turned into those of transformers, q, k and v apart."""
    result = {}
    for name, value in state.items():
        for ours, theirs in renaming.items():
            name = name.replace(ours, theirs)
        parts = value.chunk(3) if ".qkv." in name else (value,)
        names = [name.replace(".qkv.", f".{part}_proj.") for part in "qkv"][: len(parts)]
        result |= dict(zip(names, parts, strict=True))
    return {name: v for name, v in result.items() if not name.startswith(("head.", "fc."))}


_COMMON = {
    "cls_token": "embeddings.cls_token",
    "pos_embed": "embeddings.position_embeddings",
    "mask_token": "embeddings.mask_token",
    "patch_embed.proj": "embeddings.patch_embeddings.projection",
    "attn.proj": "attention.o_proj",
    "attn.": "attention.",
}
VIT = _COMMON | {
    "blocks.": "layers.",
    "norm1": "layernorm_before",
    "norm2": "layernorm_after",
}
DINO = _COMMON | {
    "blocks.": "encoder.layer.",
    "ls1.gamma": "layer_scale1.lambda1",
    "ls2.gamma": "layer_scale2.lambda1",
}


def _fill(
    reference: torch.nn.Module, state: dict[str, torch.Tensor], renaming: dict[str, str]
) -> None:
    renamed = _renamed(state, renaming)
    for end in ("weight", "bias"):
        renamed[f"layernorm.{end}"] = renamed.pop(f"norm.{end}")
    reference.load_state_dict(renamed)


# ---- positions, and what is refused ----


def test_positions_are_interpolated_as_dinov2_does_when_it_runs(tmp_path: Path) -> None:
    entry = tiny("dda")  # a table of 6×6 places for pictures of 4×4 patches
    paths = write_checkpoint(entry, tmp_path)
    table = read_checkpoint(entry, paths)["base_model.model.pos_embed"]
    ours = load(entry, paths).pos_embed.detach()
    assert torch.equal(ours[:, 0], table[:, 0])
    places = table[0, 1:].reshape(6, 6, 16).permute(2, 0, 1)[None]
    expected = torch.nn.functional.interpolate(
        places, scale_factor=(4 + 0.1) / 6, mode="bicubic", antialias=False
    )
    torch.testing.assert_close(ours[0, 1:].T.reshape(1, 16, 4, 4), expected)


def test_every_number_of_the_checkpoint_matters(tmp_path: Path) -> None:
    entry = tiny("dda")
    pixels = torch.rand(1, 3, 56, 56)
    paths = write_checkpoint(entry, tmp_path)
    stored = torch.load(paths[0], weights_only=True)["model"]
    with torch.inference_mode():
        before = load(entry, paths)(pixels).logit
        for name in stored:
            if name.endswith("mask_token"):  # hides patches in pre-training only
                continue
            # Not by a constant, since a layer norm would take it away again.
            torch.save({"model": stored | {name: torch.randn_like(stored[name])}}, paths[0])
            assert not torch.equal(load(entry, paths)(pixels).logit, before), name


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: s.pop("vit.blocks.1.attn.qkv.bias"), "lacks vit.blocks.1.attn.qkv.bias"),
        (lambda s: s.update({"vit.extra": torch.zeros(1)}), "also holds vit.extra"),
        (lambda s: s.update({"vit.head.bias": torch.zeros(2)}), "reshapes vit.head.bias"),
    ],
)
def test_another_architecture_is_refused(tmp_path: Path, change: object, message: str) -> None:
    entry = tiny("community_forensics")
    (path,) = write_checkpoint(entry, tmp_path)
    state = read_checkpoint(entry, [path])
    change(state)  # type: ignore[operator]
    save_file(state, path)
    with pytest.raises(DamagedWeights, match=message):
        load(entry, [path])


def test_a_pickle_that_would_run_code_is_refused(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return (Path.touch, (tmp_path / "ran",))  # type: ignore[return-value]

    path = tmp_path / "DDA_ckpt.pth"
    torch.save({"model": Evil()}, path)
    with pytest.raises(DamagedWeights, match="cannot be read"):
        load(tiny("dda"), [path])
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("name", CATALOGUE)
def test_the_onnx_file_computes_what_pytorch_computes(name: str, tmp_path: Path) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    entry = tiny(name)
    paths = write_checkpoint(entry, tmp_path)
    written = convert(entry, paths, tmp_path / f"{name}-1.onnx")
    assert written.difference < 1e-4
    opened = onnxruntime.InferenceSession(written.path)
    side = entry.reading.side
    pixels = np.random.default_rng(0).random((3, 3, side, side), np.float32)
    (logit,) = opened.run(["logit"], {"pixels": pixels})
    with torch.inference_mode():
        expected = load(entry, paths)(torch.from_numpy(pixels)).logit
    np.testing.assert_allclose(logit, expected, atol=1e-4)
    assert f'"id": "{name}"' in opened.get_modelmeta().custom_metadata_map["bonafide"]
