"""Backbones of many families behind one call, and their two kinds of adapters."""

from __future__ import annotations

import json
from copy import deepcopy
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
pytest.importorskip("peft")

from bonafide.errors import InvalidInput
from bonafide.train import backbones
from bonafide.train.backbones import Backbone, SvdResidual, load_backbone

torch.set_num_threads(1)

VIT = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "image_size": 28}
CONFIGS = {
    "clip": transformers.CLIPVisionConfig(**VIT, intermediate_size=64, patch_size=14),
    "siglip": transformers.SiglipVisionConfig(**VIT, intermediate_size=64, patch_size=14),
    "vit": transformers.ViTConfig(**VIT, intermediate_size=64, patch_size=14),
    "dinov2": transformers.Dinov2Config(**VIT, patch_size=14),
    "dinov2 with registers": transformers.Dinov2WithRegistersConfig(**VIT, patch_size=14),
    "dinov3": transformers.DINOv3ViTConfig(**VIT, intermediate_size=64, patch_size=14),
}
CONVOLUTIONAL = {
    "resnet": transformers.ResNetConfig(embedding_size=8, hidden_sizes=[8, 16], depths=[1, 1]),
    "convnext": transformers.ConvNextConfig(hidden_sizes=[8, 8, 8, 16], depths=[1, 1, 1, 1]),
}


def backbone(family: str) -> Backbone:
    torch.manual_seed(0)
    config = {**CONFIGS, **CONVOLUTIONAL}[family]
    return Backbone(transformers.AutoModel.from_config(config)).eval()


@pytest.mark.parametrize("family", CONFIGS)
def test_a_transformer_takes_any_size(family: str) -> None:
    network = backbone(family)
    with torch.inference_mode():
        for height, width in ((28, 28), (56, 42), (30, 45), (9, 13)):
            features = network(torch.rand(2, 3, height, width))
            assert features.pooled.shape == (2, 32)
            assert features.map.shape == (2, 32, -(-height // 14), -(-width // 14))


@pytest.mark.parametrize("family", CONVOLUTIONAL)
def test_a_convolutional_network_gives_its_last_map(family: str) -> None:
    network = backbone(family)
    with torch.inference_mode():
        features = network(torch.rand(2, 3, 64, 70))
    assert features.pooled.shape == (2, 16)
    assert features.map.shape[:2] == (2, network.width)


@pytest.mark.parametrize("family", ["clip", "dinov2", "dinov3"])
def test_features_at_native_size_are_the_models_own(family: str) -> None:
    network = backbone(family)
    pixels = torch.rand(2, 3, 28, 28)
    with torch.inference_mode():
        features = network(pixels)
        plain = network.model((pixels - network.mean) / network.deviation)
    torch.testing.assert_close(features.pooled, plain.pooler_output)
    patches = plain.last_hidden_state[:, -4:]
    torch.testing.assert_close(features.map.flatten(2).transpose(1, 2), patches)


def test_a_layout_that_does_not_fit_is_refused() -> None:
    model = transformers.AutoModel.from_config(
        transformers.SwinConfig(embed_dim=8, depths=[1], num_heads=[2], image_size=32)
    )
    with pytest.raises(InvalidInput, match="swin"):
        Backbone(model)


def test_loads_from_a_folder_with_its_own_normalisation(tmp_path: Path) -> None:
    model = backbone("dinov2").model
    model.save_pretrained(tmp_path)
    written = {"image_mean": [0.1, 0.2, 0.3], "image_std": [0.4, 0.5, 0.6]}
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(written))
    loaded = load_backbone(str(tmp_path))
    assert loaded.mean.flatten().tolist() == pytest.approx(written["image_mean"])
    assert loaded.deviation.flatten().tolist() == pytest.approx(written["image_std"])
    for name, weight in model.state_dict().items():
        assert torch.equal(loaded.model.state_dict()[name], weight)


def test_takes_the_vision_part_of_a_model_for_pictures_and_text(tmp_path: Path) -> None:
    text = {**VIT, "intermediate_size": 64, "vocab_size": 99, "bos_token_id": 1, "eos_token_id": 2}
    vision = CONFIGS["clip"].to_dict()
    both = transformers.CLIPModel(
        transformers.CLIPConfig(text_config=text, vision_config=vision, projection_dim=8)
    )
    both.save_pretrained(tmp_path)
    loaded = load_backbone(str(tmp_path))
    own = both.vision_model.state_dict()
    assert loaded.mean.flatten().tolist() == pytest.approx(backbones.CLIP[0])
    assert all(torch.equal(own[name], weight) for name, weight in loaded.model.state_dict().items())


def test_weights_that_are_absent_are_not_drawn_at_random(tmp_path: Path) -> None:
    backbone("dinov2").model.save_pretrained(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**config, "num_hidden_layers": 3}))
    with pytest.raises(InvalidInput, match="lacks weights"):
        load_backbone(str(tmp_path))


def test_nothing_is_fetched_unless_allowed(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="download=true"):
        load_backbone("bonafide-tests/absent")
    with pytest.raises(InvalidInput, match="cannot be loaded"):
        load_backbone(str(tmp_path / "absent"))


@pytest.mark.parametrize("family", CONFIGS)
def test_finds_the_linear_layers_of_every_block(family: str) -> None:
    model = backbone(family).model
    attention = backbones.linear_layers(model)
    assert len(attention) == 2 * 4
    assert len(backbones.linear_layers(model, ("attention", "mlp"))) == 2 * (4 + 2)


def test_a_convolutional_network_has_no_attention() -> None:
    with pytest.raises(InvalidInput, match="attention"):
        backbones.linear_layers(backbone("resnet").model)


@pytest.mark.parametrize("family", CONFIGS)
def test_lora_starts_as_the_model_was_and_trains_alone(family: str) -> None:
    network = backbone(family)
    pixels = torch.rand(2, 3, 28, 42)
    before = network(pixels).map
    backbones.add_lora(network.model, rank=2, alpha=4)
    torch.testing.assert_close(network.eval()(pixels).map, before)
    network(pixels).map.square().sum().backward()
    trained = {n: w for n, w in network.named_parameters() if w.requires_grad}
    assert trained
    assert all("lora" in name for name in trained)
    assert {n for n, w in network.named_parameters() if w.grad is not None} == set(trained)


def test_lora_of_the_full_size_is_as_small_as_it_should_be() -> None:
    """DDA's: rank 8 on every linear layer of DINOv2 ViT-L/14."""
    with torch.device("meta"):
        config = transformers.Dinov2Config(
            hidden_size=1024, num_hidden_layers=24, num_attention_heads=16, image_size=518
        )
        model = transformers.AutoModel.from_config(config)
        backbones.add_lora(model, rank=8, alpha=16)
    count = sum(weight.numel() for weight in model.parameters() if weight.requires_grad)
    assert count == 24 * 8 * (4 * (1024 + 1024) + 2 * (1024 + 4096))


@pytest.mark.parametrize(("inputs", "outputs"), [(24, 24), (16, 40), (40, 16), (256, 256)])
def test_svd_residual_starts_as_the_layer_was(inputs: int, outputs: int) -> None:
    torch.manual_seed(0)
    linear = torch.nn.Linear(inputs, outputs)
    layer = SvdResidual(linear, rank=1)
    features = torch.rand(3, inputs)
    torch.testing.assert_close(layer(features), linear(features), atol=1e-4, rtol=0)
    torch.testing.assert_close(layer.weight(), linear.weight, atol=1e-5, rtol=0)
    assert layer.orthogonality_loss().item() < 1e-5
    trained = [name for name, weight in layer.named_parameters() if weight.requires_grad]
    assert trained == ["left", "values", "right"]


@pytest.mark.parametrize(("inputs", "outputs"), [(12, 12), (8, 20), (20, 8)])
def test_penalties_equal_what_they_are_by_definition(inputs: int, outputs: int) -> None:
    torch.manual_seed(0)
    linear = torch.nn.Linear(inputs, outputs)
    layer = SvdResidual(linear, rank=3)
    with torch.no_grad():
        for weight in (layer.left, layer.values, layer.right):
            weight.add_(0.1 * torch.randn_like(weight))
    left, _, right = torch.linalg.svd(linear.weight.detach(), full_matrices=False)
    norms = []
    for frozen, trained in ((left[:, :-3], layer.left), (right[:-3].mT, layer.right)):
        vectors = torch.cat([frozen, trained], dim=1)
        departure = vectors.mT @ vectors - torch.eye(vectors.shape[1])
        norms.append(torch.linalg.matrix_norm(departure))
    torch.testing.assert_close(layer.orthogonality_loss(), sum(norms) / 2)
    change = layer.weight().square().sum() - linear.weight.square().sum()
    torch.testing.assert_close(layer.energy_loss(), change.abs())


def test_svd_residual_leaves_its_source_alone() -> None:
    linear = torch.nn.Linear(8, 8)
    before = deepcopy(linear.state_dict())
    layer = SvdResidual(linear, rank=2)
    with torch.no_grad():
        layer.values.zero_()
    assert all(torch.equal(linear.state_dict()[name], value) for name, value in before.items())
