"""LaRE² on a latent diffusion model and a CLIP of a few thousand weights."""

from __future__ import annotations

from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
diffusers = pytest.importorskip("diffusers")
transformers = pytest.importorskip("transformers")

import toys

from bonafide.errors import InvalidInput
from bonafide.train.diffusion import load_latent_diffusion
from bonafide.train.lare import ChannelRefinement, Method, Settings, SpatialRefinement
from bonafide.train.loop import fit
from bonafide.train.recipe import Batch

torch.set_num_threads(1)
SIDE = 32
TOKENS = 4


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    torch.manual_seed(0)
    diffusion = folder / "diffusion"
    diffusers.UNet2DConditionModel(
        sample_size=4,
        block_out_channels=(8, 16),
        layers_per_block=1,
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
        cross_attention_dim=8,
        attention_head_dim=4,
        norm_num_groups=4,
    ).save_pretrained(diffusion / "unet")
    diffusers.AutoencoderKL(
        block_out_channels=(8,) * 4,
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        layers_per_block=1,
        norm_num_groups=4,
    ).save_pretrained(diffusion / "vae")
    diffusers.DDIMScheduler().save_pretrained(diffusion / "scheduler")
    vocabulary = {"<|startoftext|>": 0, "<|endoftext|>": 1, "a</w>": 2}
    transformers.CLIPTokenizer(
        vocab=vocabulary, merges=[], model_max_length=TOKENS
    ).save_pretrained(diffusion / "tokenizer")
    transformers.CLIPTextModel(
        transformers.CLIPTextConfig(
            vocab_size=3,
            hidden_size=8,
            intermediate_size=8,
            num_hidden_layers=1,
            num_attention_heads=2,
            max_position_embeddings=TOKENS,
            bos_token_id=0,
            eos_token_id=1,
        )
    ).save_pretrained(diffusion / "text_encoder")
    transformers.CLIPVisionModel(
        transformers.CLIPVisionConfig(
            hidden_size=16,
            intermediate_size=16,
            num_hidden_layers=1,
            num_attention_heads=2,
            image_size=SIDE,
            patch_size=8,
        )
    ).save_pretrained(folder / "backbone")
    return folder


def settings(models: Path, **changes: object) -> Settings:
    return Settings(
        **{
            "crop": SIDE,
            "batch": 8,
            "learning_rate": 3e-3,
            "diffusion": str(models / "diffusion"),
            "backbone": str(models / "backbone"),
            **changes,
        }
    )


def batch(pixels: torch.Tensor, label: torch.Tensor) -> Batch:
    return Batch(pixels, label, torch.full((len(label),), -1), None, {})


def test_the_prompt_is_empty(models: Path) -> None:
    diffusion = load_latent_diffusion(str(models / "diffusion"))
    folder = models / "diffusion"
    encoder = transformers.CLIPTextModel.from_pretrained(folder / "text_encoder")
    expected = encoder(torch.tensor([[0, 1, 1, 1]])).last_hidden_state
    assert torch.allclose(diffusion.predictor.context, expected, atol=1e-6)


def test_a_model_that_is_not_here_says_how_to_get_it(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="download=true"):
        load_latent_diffusion(str(tmp_path))


def test_the_error_is_that_of_the_paper(models: Path) -> None:
    """Against diffusers' own way of adding noise."""
    error = Method(settings(models)).network().error
    pixels = torch.rand(2, 3, SIDE, SIDE)
    diffusion = error.diffusion
    latent = diffusion.vae.encode(pixels * 2 - 1).latent_dist.mode() * 0.18215
    scheduler, time = diffusers.DDIMScheduler(), torch.tensor([200, 200])
    expected = []
    for draw in error.draws:
        noise = draw.expand_as(latent)
        noisy = scheduler.add_noise(latent, noise, time)
        context = diffusion.predictor.context.expand(2, -1, -1)
        guess = diffusion.predictor.unet(noisy, time, encoder_hidden_states=context).sample
        expected.append((guess - noise).square())
    found = error(pixels)
    assert len(expected) == 4
    assert found.shape == (2, 4, SIDE // 8, SIDE // 8)
    assert torch.allclose(found, torch.stack(expected).mean(0), atol=1e-5)


def test_draws_follow_the_seed(models: Path) -> None:
    first, second, third = (
        Method(settings(models, seed=seed)).network().error.draws for seed in (0, 0, 1)
    )
    assert torch.equal(first, second)
    assert not torch.equal(first, third)


def test_only_backbone_and_refinement_train(models: Path) -> None:
    method = Method(settings(models))
    network = method.network()
    network.train()
    assert not any(module.training for module in network.error.diffusion.modules())
    loss, _ = method.loss(network, batch(torch.rand(2, 3, SIDE, SIDE), torch.tensor([0.0, 1])))
    loss.backward()
    for name, weight in network.named_parameters():
        assert (weight.grad is None) == name.startswith("error."), name


def test_attention_goes_where_the_error_is() -> None:
    torch.manual_seed(0)
    pool = SpatialRefinement(16, 4)
    features, error = torch.randn(1, 16, 4, 4), torch.zeros(1, 4, 8, 8)
    indifferent = pool(features, error)
    with torch.no_grad():
        pool.bias.weight.fill_(25.0)
    assert torch.allclose(pool(features, error), indifferent, atol=1e-5)
    error[..., :2, :2] = 1.0  # one position of the 4×4 features
    attended = pool(features, error)
    assert not torch.allclose(attended, indifferent, atol=1e-2)
    moved = features.clone()
    moved[..., 3, 3] += 1e-3 * torch.randn(16)  # elsewhere: felt through the mean that asks only
    here = features.clone()
    here[..., 0, 0] += 1e-3 * torch.randn(16)
    assert (pool(here, error) - attended).norm() > 2 * (pool(moved, error) - attended).norm()


def test_the_gate_is_between_nothing_and_all() -> None:
    torch.manual_seed(0)
    features = torch.rand(3, 16, 4, 4)
    gated = ChannelRefinement(16, 4)(features, torch.rand(3, 4, 8, 8))
    assert gated.shape == (3, 16)
    assert ((gated > 0) & (gated < features.mean((2, 3)))).all()


def test_a_toy_problem_is_learned(models: Path, tmp_path: Path) -> None:
    method = Method(settings(models, steps=40, draws=1, learning_rate=1e-2))
    fitted = fit(method, toys.grain(tmp_path, SIDE), tmp_path / "out")
    assert fitted.progress.best_auc > 0.9
