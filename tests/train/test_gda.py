"""GDA: a frozen detector, and a generator that brings a target to what it knows."""

from __future__ import annotations

from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")
pytest.importorskip("peft")

import toys

from bonafide.errors import InvalidInput
from bonafide.train import gda
from bonafide.train.loop import fit
from bonafide.train.recipe import Batch

torch.set_num_threads(1)


def method(**changes: object) -> gda.Method:
    given = {"width": 8, "crop": 24, "batch": 8, "styled": 4, "blocks": 1}
    return gda.Method(gda.Settings(**{**given, **changes}))


@pytest.fixture(scope="module")
def old(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A detector that tells grain from smooth pictures."""
    out = tmp_path_factory.mktemp("old") / "run"
    material = toys.grain(tmp_path_factory.mktemp("grain"), 40)
    recipe = method(steps=30, learning_rate=5e-3, validate_every=30)
    assert fit(recipe, material, out).progress.best_auc > 0.9
    return out


def target(count: int = 24, seed: int = 0) -> Batch:
    """What the detector was trained on, through a camera that is flat."""
    torch.manual_seed(seed)
    label = torch.arange(count) % 2.0
    base = 0.4 + 0.2 * torch.rand(count, 3, 1, 1).expand(count, 3, 24, 24)
    grain = 0.47 * (torch.rand(count, 3, 24, 24) - 0.5) * label.view(-1, 1, 1, 1)
    pixels = 0.15 + 0.6 * (base + grain).clamp(0, 1)
    return Batch(pixels, label, torch.full((count,), -1), None, {})


def test_full_size() -> None:
    with torch.device("meta"):
        detector, generator = gda.Detector(128), gda.Generator(32, 4)
    assert sum(w.numel() for w in detector.parameters()) == 1_727_960 + 517_250
    assert sum(w.numel() for w in generator.parameters()) == 777_574


def test_a_generator_begins_with_the_picture_itself() -> None:
    pixels = torch.rand(2, 3, 21, 26)
    assert torch.equal(gda.Generator(4, 1)(pixels), pixels)


def test_spectra_are_mixed_and_phases_kept() -> None:
    torch.manual_seed(0)
    first, second = 0.4 + 0.2 * torch.rand(2, 1, 3, 16, 17)
    nothing, half = torch.zeros(1), torch.full((1,), 0.5)
    torch.testing.assert_close(gda.spectrum_mix(first, second, nothing), first)
    mixed = gda.spectrum_mix(first, second, half)
    spectra = [torch.fft.rfft2(one) for one in (first, second, mixed)]
    wanted = (spectra[0].abs() + spectra[1].abs()) / 2
    torch.testing.assert_close(spectra[2].abs(), wanted, atol=1e-3, rtol=1e-3)
    assert float(gda.phase_gap(first, mixed)) < 1e-3 < float(gda.phase_gap(first, second))
    # A gain and an offset of light are style: they leave the phase.
    assert float(gda.phase_gap(first, 0.5 * first + 0.2)) < 1e-3


def test_statistics_are_those_of_batch_norm(old: Path) -> None:
    network = method(old=str(old), held_out=0.0).network().train()
    assert network.generator is not None and not network.detector.training
    with gda.watched(network.detector) as found, torch.no_grad():
        network.detector(target().pixels)
    layers = gda.norms(network.detector)
    assert len(found) == len(layers) == 10
    for layer, (mean, variance) in zip(layers, found, strict=True):
        layer.running_mean.copy_(mean)
        layer.running_var.copy_(variance)
    assert float(gda.statistic_gap(network.detector, found)) == pytest.approx(0, abs=1e-4)


def test_a_target_becomes_familiar_without_labels(old: Path) -> None:
    recipe = method(old=str(old), held_out=0.0, learning_rate=3e-3)
    network, given = recipe.network().train(), target()
    kept = {name: w.clone() for name, w in network.detector.state_dict().items()}
    optimiser, seen = recipe.optimiser(network), []
    blind = Batch(given.pixels, given.label * 0, given.pair, None, {})
    for step in range(22):
        torch.manual_seed(step)
        loss, parts = recipe.loss(network, blind)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        seen.append(parts["statistics"])
    assert sum(seen[-5:]) < 0.7 * sum(seen[:5])
    assert all(torch.equal(w, kept[name]) for name, w in network.detector.state_dict().items())
    network.eval()
    other = target(seed=3)  # never seen
    with torch.inference_mode():
        alone = network.detector(other.pixels).logit
        after = network(other.pixels).logit
        styled = network.generator(other.pixels)
    wrong = [int(((logit > 0) != (other.label > 0.5)).sum()) for logit in (alone, after)]
    assert wrong[0] >= 10 and wrong[1] <= 4, wrong
    # Smooth pictures have no phase to keep.
    assert float(gda.phase_gap(other.pixels[1::2], styled[1::2])) < 0.5


def test_settings_that_cannot_work_are_refused(old: Path, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="held_out=0"):
        method(old=str(old)).network()
    with pytest.raises(InvalidInput, match="no training of gda"):
        method(old=str(tmp_path), held_out=0.0).network()
    with pytest.raises(InvalidInput, match="another method"):
        method(old=str(old), held_out=0.0, width=12).network()
