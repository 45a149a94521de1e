"""HDP: a perturbation that stands for the old forgery, and a detector that does not forget it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
pytest.importorskip("peft")

import localisers
import toys

from bonafide.errors import InvalidInput
from bonafide.train import hdp, loop
from bonafide.train.backbones import Backbone
from bonafide.train.data import Picture, TrainingData
from bonafide.train.recipe import Batch

torch.set_num_threads(1)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> str:
    return localisers.resnet(tmp_path_factory.mktemp("resnet"))


@pytest.fixture(scope="module")
def old(folder: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A training that tells grain from smooth pictures."""
    out = tmp_path_factory.mktemp("old")
    material = toys.grain(tmp_path_factory.mktemp("grain"), 40)
    fitted = loop.fit(method(folder, steps=40, learning_rate=5e-3), material, out / "run")
    assert fitted.progress.best_auc > 0.9
    return out / "run"


def method(folder: str, **changes: object) -> hdp.Method:
    given = {"backbone": folder, "crop": 32, "batch": 16, "bound": 0.15, "search": 30}
    return hdp.Method(hdp.Settings(**{**given, **changes}))


def smooth(count: int, seed: int = 0) -> torch.Tensor:
    return 0.4 + 0.2 * torch.rand(
        count, 3, 1, 1, generator=torch.Generator().manual_seed(seed)
    ).expand(count, 3, 32, 32)


def grainy(count: int) -> torch.Tensor:
    torch.manual_seed(9)
    return (smooth(count, 1) + 0.4 * (torch.rand(count, 3, 32, 32) - 0.5)).clamp(0, 1)


def red(pixels: torch.Tensor) -> torch.Tensor:
    """Another forgery, of colour alone."""
    return pixels * torch.tensor([1.0, 0.6, 0.6]).view(3, 1, 1)


def new_task(seed: int, count: int = 16) -> Batch:
    label = torch.arange(count) % 2.0
    genuine = smooth(count, seed)
    pixels = torch.where(label.view(-1, 1, 1, 1) > 0, red(genuine), genuine)
    return Batch(pixels, label, torch.full((count,), -1), None, {})


def test_full_size_trains_one_detector_of_two() -> None:
    with torch.device("meta"):
        model = transformers.AutoModel.from_config(transformers.ResNetConfig())
        detector = hdp.Detector(Backbone(model))
    assert sum(w.numel() for w in detector.parameters()) == 23_508_032 + 2048 + 1


def test_the_perturbation_is_bounded_and_taken_for_the_old_forgery(folder: str, old: Path) -> None:
    recipe = method(folder, old=str(old))
    network = recipe.network().train()
    assert network.old is not None
    others = smooth(12, 7)  # the search never sees them
    before = network.old(others)[0].mean().detach()
    for seed in range(30):
        recipe.search(network, smooth(8, 10 + seed))
    assert float(network.perturbation.abs().max()) <= 0.15 + 1e-6
    after = network.old(network.perturbed(others))[0].mean().detach()
    assert bool(after > before + 1)


def test_the_old_forgery_is_forgotten_without_it(folder: str, old: Path) -> None:
    margins = {True: 0.0, False: 0.0}  # of two courses of training, since one may go either way
    for replayed in margins:
        for seed in (2, 12):
            weight = 1.0 if replayed else 0.0
            recipe = method(folder, old=str(old), replay=weight, distillation=weight,
                            learning_rate=1e-2)  # fmt: skip
            network = recipe.network().train()
            assert network.old is not None
            frozen = {name: w.clone() for name, w in network.old.state_dict().items()}
            optimiser = recipe.optimiser(network)
            for step in range(60):
                loss, _ = recipe.loss(network, new_task(seed + 100 * step))
                optimiser.zero_grad()
                loss.backward()
                optimiser.step()
            assert all(torch.equal(w, frozen[n]) for n, w in network.old.state_dict().items())
            network.eval()
            with torch.inference_mode():
                apart = network(grainy(16)).logit.mean() - network(smooth(16, 3)).logit.mean()
            margins[replayed] += float(apart)
    assert margins[True] > margins[False]


def test_a_folder_without_a_training_is_refused(folder: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="no training of hdp"):
        method(folder, old=str(tmp_path)).network()
    torch.save({"network": {"other": torch.zeros(1)}}, tmp_path / "checkpoint.pt")
    with pytest.raises(InvalidInput, match="another method"):
        method(folder, old=str(tmp_path)).network()


def test_only_one_detector_is_exported(folder: str, old: Path) -> None:
    network = method(folder, old=str(old)).network().eval()
    pixels = torch.rand(2, 3, 40, 48)
    assert torch.equal(network(pixels).logit, network.now(pixels)[0])


def test_a_second_task_is_trained_from_the_command_line_parts(
    folder: str, old: Path, tmp_path: Path
) -> None:
    pictures = []
    for number in range(48):
        pixels = red(smooth(1, number))[0] if number % 2 else smooth(1, number)[0]
        file = tmp_path / f"{number}.npy"
        np.save(file, (pixels * 255).permute(1, 2, 0).byte().numpy())
        pictures.append(
            Picture(f"{number}", number % 2 == 1, f"s{number % 4}", f"s{number % 4}", file)
        )
    data = TrainingData(tuple(pictures[:32]), (), tuple(pictures[32:]), (), {}, ())
    fitted = loop.fit(
        method(folder, old=str(old), steps=25, learning_rate=3e-3), data, tmp_path / "o"
    )
    assert fitted.progress.best_auc > 0.9
