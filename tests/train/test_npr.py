"""The neighbour residual, the short ResNet over it, and its training."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import toys

from bonafide.train import npr
from bonafide.train.loop import fit

torch.set_num_threads(1)


def parameters(network: torch.nn.Module) -> int:
    return sum(weight.numel() for weight in network.parameters())


def test_residual_is_the_difference_to_the_corner_of_each_block() -> None:
    pixels = torch.arange(16.0).view(1, 1, 4, 4)
    expected = torch.tensor([[0.0, 1, 0, 1], [4, 5, 4, 5]]).repeat(2, 1)
    assert torch.equal(npr.neighbour_residual(pixels)[0, 0], expected)


@pytest.mark.parametrize("shape", [(1, 1), (5, 8), (7, 7)])
def test_residual_keeps_a_last_odd_row(shape: tuple[int, int]) -> None:
    pixels = torch.rand(2, 3, *shape)
    residual = npr.neighbour_residual(pixels)
    assert residual.shape == pixels.shape
    assert not residual[..., ::2, ::2].any()


def test_size_is_that_of_the_paper() -> None:
    assert parameters(npr.Network()) == 1_437_761  # "1.44 M"


def test_trunk_of_a_whole_resnet50_has_its_known_size() -> None:
    with torch.device("meta"):
        assert parameters(npr.ResNet((3, 4, 6, 3), stem=7)) == 23_508_032


def test_brightness_does_not_matter() -> None:
    torch.manual_seed(0)
    network = npr.Network(width=8).eval()
    pixels = torch.rand(2, 3, 31, 46) / 2
    with torch.inference_mode():
        plain, brighter = network(pixels), network(pixels + 0.3)
    assert plain.logit.shape == (2,)
    assert plain.map is None
    torch.testing.assert_close(plain.logit, brighter.logit, atol=1e-5, rtol=0)


@pytest.mark.parametrize("robust", [False, True])
def test_augmentation_gives_crops_and_tiles_what_is_smaller(robust: bool) -> None:
    recipe = npr.Method(npr.Settings(crop=64, robust=robust))
    pixels = np.random.default_rng(0).integers(0, 256, (40, 50, 3), np.uint8)
    first, again = (recipe.augment()(pixels, np.random.default_rng(1)) for _ in range(2))
    assert first.shape == (64, 64, 3)
    assert np.array_equal(first, again)


def test_learning_rate_falls_every_ten_epochs() -> None:
    recipe = npr.Method(npr.Settings())
    rates = [recipe.rate(step) for step in (0, 44_999, 45_000, 224_999)]
    assert rates == pytest.approx([1.0, 1.0, 0.9, 0.9**4])


def test_learns_doubled_pixels(tmp_path: Path) -> None:
    # The validation saves every picture as JPEG or WebP, which the published recipe never saw.
    settings = npr.Settings(steps=60, batch=8, crop=32, learning_rate=3e-3, width=8, robust=True)
    fitted = fit(npr.Method(settings), toys.doubled_noise(tmp_path), tmp_path / "out")
    assert fitted.progress.best_auc > 0.9
