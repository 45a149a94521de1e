"""Every axis of the family works, and what is learned survives a file."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

from bonafide.errors import InvalidInput
from bonafide.train import autoencoders
from bonafide.train.autoencoders import Autoencoder, Discriminator, Member

TINY = Member("tiny", factor=4, latent=4, bottleneck="plain", codes=16, width=8)


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)
    torch.manual_seed(0)


def pictures(side: int = 32, count: int = 2) -> torch.Tensor:
    return torch.rand(count, 3, side, side, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("norm", autoencoders.NORMS)
@pytest.mark.parametrize("bottleneck", autoencoders.BOTTLENECKS)
@pytest.mark.parametrize("enlarge", autoencoders.ENLARGERS)
@pytest.mark.parametrize("factor", autoencoders.FACTORS)
def test_every_combination_keeps_size_and_reaches_every_weight(
    factor: int, enlarge: str, bottleneck: str, norm: str
) -> None:
    member = replace(TINY, factor=factor, enlarge=enlarge, bottleneck=bottleneck, norm=norm)
    autoencoder = Autoencoder(member)
    # Layers that start at zero pass no gradient on until they have moved.
    for weight in autoencoder.parameters():
        torch.nn.init.normal_(weight, std=0.1)
    x = pictures()
    assert autoencoder.encoder(x).shape[2:] == (32 // factor, 32 // factor)
    result = autoencoder(x)
    assert result.pixels.shape == x.shape
    assert result.pixels.dtype == torch.float32
    ((result.pixels - x).abs().mean() + result.penalty).backward()
    without = [name for name, w in autoencoder.named_parameters() if w.grad is None]
    assert not without


@pytest.mark.parametrize("activation", autoencoders.ACTIVATIONS)
def test_activations(activation: str) -> None:
    assert Autoencoder(replace(TINY, activation=activation))(pictures()).pixels.isfinite().all()


def test_an_untrained_member_already_has_the_colours() -> None:
    x = torch.ones(1, 3, 32, 32) * torch.tensor([0.8, 0.2, 0.4]).view(1, 3, 1, 1)
    torch.manual_seed(0)
    result = Autoencoder(replace(TINY, latent=8)).eval()(x).pixels.mean(dim=(0, 2, 3))
    assert result[0] > result[2] > result[1]


@pytest.mark.parametrize(
    "wrong",
    [{"factor": 3}, {"enlarge": "magic"}, {"width": 12}, {"norm": "batch"}, {"bottleneck": "x"}],
)
def test_an_impossible_member_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(InvalidInput):
        replace(TINY, **wrong)


def test_quantised_latents_are_codes_and_gradients_pass_straight_through() -> None:
    quantiser = Autoencoder(replace(TINY, bottleneck="vq")).bottleneck.eval()
    latent = torch.randn(1, 4, 5, 5, requires_grad=True)
    chosen, _ = quantiser(latent)
    codes = quantiser.codes.detach()
    distances = torch.cdist(chosen.detach().movedim(1, -1).reshape(-1, 4), codes)
    assert distances.min(1).values.max() < 1e-5
    weights = torch.randn_like(chosen)
    (gradient,) = torch.autograd.grad((chosen * weights).sum(), latent)
    torch.testing.assert_close(gradient, weights)


def test_codes_that_are_never_picked_are_replaced_by_latents() -> None:
    quantiser = Autoencoder(replace(TINY, bottleneck="vq")).bottleneck.train()
    latent = 100 + torch.randn(1, 4, 8, 8)
    quantiser(latent)
    assert (quantiser.codes > 50).all(1).sum() >= 8  # all but those that happened to be nearest
    _, penalty = quantiser.eval()(latent)
    assert penalty < 10


def test_a_gaussian_latent_is_sampled_in_training_only() -> None:
    autoencoder = Autoencoder(replace(TINY, bottleneck="kl"))
    x = pictures()
    assert not torch.equal(autoencoder(x).pixels, autoencoder(x).pixels)
    assert autoencoder(x).penalty > 0
    autoencoder.eval()
    assert torch.equal(autoencoder(x).pixels, autoencoder(x).pixels)


def test_the_discriminator_scores_patches() -> None:
    assert Discriminator(8)(pictures(64)).shape == (2, 1, 8, 8)


def test_a_file_gives_back_what_was_saved(tmp_path: Path) -> None:
    autoencoder = Autoencoder(replace(TINY, bottleneck="vq")).eval()
    autoencoders.save(autoencoder, tmp_path / "a.pt", {"psnr": 1.0})
    again = autoencoders.load(tmp_path / "a.pt")
    assert again.member == autoencoder.member
    assert torch.equal(again(pictures()).pixels, autoencoder(pictures()).pixels)
    assert [file.name for file in tmp_path.iterdir()] == ["a.pt"]


def test_a_foreign_file_is_refused(tmp_path: Path) -> None:
    torch.save({"something": 1}, tmp_path / "a.pt")
    (tmp_path / "b.pt").write_bytes(b"no")
    for name in ("a.pt", "b.pt", "c.pt"):
        with pytest.raises(InvalidInput, match=name):
            autoencoders.load(tmp_path / name)
