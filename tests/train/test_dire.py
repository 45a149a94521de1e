"""DIRE on a diffusion model and a ResNet of a few thousand weights."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

torch = pytest.importorskip("torch")
diffusers = pytest.importorskip("diffusers")
transformers = pytest.importorskip("transformers")

import toys

from bonafide.errors import InvalidInput
from bonafide.train.diffusion import NoisePredictor, invert, load_pixel_diffusion, reconstruct
from bonafide.train.dire import Method, Settings
from bonafide.train.loop import fit
from bonafide.train.recipe import Batch

torch.set_num_threads(1)
SIDE = 16


def tiny_unet(outputs: int = 3) -> torch.nn.Module:
    torch.manual_seed(0)
    return diffusers.UNet2DModel(
        sample_size=SIDE,
        out_channels=outputs,
        block_out_channels=(8, 16),
        layers_per_block=1,
        down_block_types=("DownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "UpBlock2D"),
        norm_num_groups=4,
    )


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    pipeline = diffusers.DDPMPipeline(tiny_unet(), diffusers.DDPMScheduler())
    pipeline.save_pretrained(folder / "diffusion")
    torch.manual_seed(0)
    config = transformers.ResNetConfig(
        embedding_size=8, hidden_sizes=[8, 16], depths=[1, 1], layer_type="basic"
    )
    transformers.ResNetModel(config).save_pretrained(folder / "backbone")
    return folder


def settings(models: Path, **changes: object) -> Settings:
    return Settings(
        **{
            "crop": SIDE,
            "batch": 8,
            "learning_rate": 3e-3,
            "diffusion": str(models / "diffusion"),
            "backbone": str(models / "backbone"),
            "ddim_steps": 2,
            **changes,
        }
    )


def batch(pixels: torch.Tensor, label: torch.Tensor) -> Batch:
    return Batch(pixels, label, torch.full((len(label),), -1), None, {})


class Silent(torch.nn.Module):
    """Says that there is no noise."""

    def forward(self, state: torch.Tensor, times: torch.Tensor) -> object:
        return SimpleNamespace(sample=torch.zeros_like(state))


def test_a_model_that_sees_no_noise_copies_every_picture() -> None:
    predictor = NoisePredictor(Silent(), diffusers.DDIMScheduler())
    pixels = torch.rand(2, 3, SIDE, SIDE)
    copied = reconstruct(predictor, invert(predictor, pixels, 20), 20)
    assert (pixels - copied).abs().max() < 1e-3


def test_more_steps_trace_a_picture_back_more_closely() -> None:
    gentle = diffusers.DDIMScheduler(num_train_timesteps=200, beta_end=0.01)
    predictor = NoisePredictor(tiny_unet(), gentle)
    pixels = 0.25 + 0.5 * torch.rand(2, 3, SIDE, SIDE)
    errors = []
    for steps in (4, 12, 36):
        copied = reconstruct(predictor, invert(predictor, pixels, steps), steps)
        errors.append(float((pixels - copied).abs().mean()))
    assert errors[0] > 1.5 * errors[1] > 2.25 * errors[2], errors


def test_velocity_and_noise_are_two_names_of_one_prediction() -> None:
    torch.manual_seed(0)
    clean, noise = torch.randn(2, 1, 3, SIDE, SIDE)
    scheduler = diffusers.DDIMScheduler(prediction_type="v_prediction")
    times = torch.tensor([300])
    noisy = scheduler.add_noise(clean, noise, times)

    class Knowing(torch.nn.Module):
        def forward(self, state: torch.Tensor, times: torch.Tensor) -> object:
            velocity = scheduler.get_velocity(clean, noise, times)
            return SimpleNamespace(sample=velocity)

    found = NoisePredictor(Knowing(), scheduler)(noisy, 300)
    assert torch.allclose(found, noise, atol=1e-5)


def test_a_learned_variance_is_passed_over() -> None:
    predictor = NoisePredictor(tiny_unet(outputs=6), diffusers.DDIMScheduler())
    assert predictor(torch.randn(2, 3, SIDE, SIDE), 10).shape == (2, 3, SIDE, SIDE)


def test_a_schedule_of_other_predictions_is_refused() -> None:
    with pytest.raises(InvalidInput, match="sample"):
        NoisePredictor(Silent(), diffusers.DDIMScheduler(prediction_type="sample"))


def test_steps_must_fit_the_model(models: Path) -> None:
    predictor = load_pixel_diffusion(str(models / "diffusion"))
    with pytest.raises(InvalidInput, match="1000"):
        invert(predictor, torch.rand(1, 3, SIDE, SIDE), 1001)


def test_a_model_that_is_not_here_says_how_to_get_it(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="download=true"):
        load_pixel_diffusion(str(tmp_path / "nothing"))


def test_only_the_classifier_trains(models: Path) -> None:
    method = Method(settings(models))
    network = method.network()
    network.train()
    assert not any(module.training for module in network.diffusion.modules())
    pixels = torch.rand(4, 3, SIDE, SIDE)
    loss, parts = method.loss(network, batch(pixels, torch.tensor([0.0, 1, 0, 1])))
    loss.backward()
    assert parts["bce"] == pytest.approx(float(loss.detach()))
    for name, weight in network.named_parameters():
        assert (weight.grad is None) == name.startswith("diffusion."), name


def test_shapes_and_determinism(models: Path) -> None:
    network = Method(settings(models)).network().eval()
    pixels = torch.rand(3, 3, SIDE, SIDE)
    error = network.error(pixels)
    assert error.shape == pixels.shape
    assert error.min() >= 0 and error.max() <= 1
    first, second = network(pixels), network(pixels)
    assert first.logit.shape == (3,)
    assert first.map is None
    assert torch.equal(first.logit, second.logit)


def test_crops_are_native(models: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (40, 30, 3)).astype(np.uint8)
    cut = Method(settings(models)).augment()(pixels, np.random.default_rng(1))
    assert cut.shape == (SIDE, SIDE, 3)
    assert set(map(tuple, cut.reshape(-1, 3))) <= set(map(tuple, pixels.reshape(-1, 3)))


def test_a_toy_problem_is_learned(models: Path, tmp_path: Path) -> None:
    fitted = fit(
        Method(settings(models, steps=80, robust=True)),
        toys.grain(tmp_path, SIDE),
        tmp_path / "out",
    )
    assert fitted.progress.best_auc > 0.9
