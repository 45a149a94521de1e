"""Patch scores: what a score sees, how they make a picture's, and how a student learns them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
onnxruntime = pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")

import toys

from bonafide.errors import InvalidInput
from bonafide.train import ladeda
from bonafide.train.loop import fit
from bonafide.train.recipe import Batch

torch.set_num_threads(1)


def parameters(network: torch.nn.Module) -> int:
    return sum(weight.numel() for weight in network.parameters())


def warm(network: ladeda.PatchNetwork) -> ladeda.PatchNetwork:
    """With statistics of some pictures, as after training."""
    with torch.no_grad():
        for _ in range(20):
            network.train()(torch.rand(4, 3, 40, 40))
    return network.eval()


@pytest.fixture(scope="module")
def teacher() -> ladeda.PatchNetwork:
    torch.manual_seed(0)
    return warm(ladeda.teacher_network(width=4))


@pytest.fixture(scope="module")
def student() -> ladeda.PatchNetwork:
    torch.manual_seed(1)
    return warm(ladeda.student_network())


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A teacher with LaDeDa's patches and one layer, since exporting all of it takes long."""
    torch.manual_seed(2)
    trunk = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 9, 8), torch.nn.ReLU())
    path = tmp_path_factory.mktemp("teacher") / "ladeda.onnx"
    torch.onnx.export(
        ladeda.PatchNetwork(trunk, 4, gain=1.0).eval(),
        (torch.rand(2, 3, 40, 48),),
        str(path),
        input_names=["pixels"],
        output_names=["logit", "map"],
        dynamic_shapes={"pixels": {0: "batch", 2: "height", 3: "width"}},
        dynamo=True,
        external_data=False,
        verbose=False,
    )
    return path


def test_sizes_are_those_of_the_paper() -> None:
    with torch.device("meta"):
        assert parameters(ladeda.teacher_network()) == 13_641_793
    assert parameters(ladeda.student_network()) == 1_297


@pytest.mark.parametrize(("side", "stride"), [(9, 8), (5, 2)])
def test_a_score_sees_its_patch_alone(
    teacher: ladeda.PatchNetwork, student: ladeda.PatchNetwork, side: int, stride: int
) -> None:
    network = teacher if side == 9 else student
    pixels = torch.rand(1, 3, 41, 57, requires_grad=True)
    network(pixels).map[0, 1, 2].backward()
    rows, columns = pixels.grad[0].abs().sum(0).nonzero().T
    top, left = stride * 1, stride * 2
    assert (rows.min(), rows.max()) == (top, top + side - 1)
    assert (columns.min(), columns.max()) == (left, left + side - 1)


def test_a_patch_scores_alone_as_it_does_in_its_picture(
    teacher: ladeda.PatchNetwork, student: ladeda.PatchNetwork
) -> None:
    pixels = torch.rand(2, 3, 43, 52)
    patch = pixels[..., 8:17, 24:33]
    with torch.inference_mode():
        torch.testing.assert_close(teacher(pixels).map[:, 1, 3], teacher(patch).logit)
        of_patches = ladeda.scores_of_teacher_patches(student(pixels).map)
        assert of_patches.shape == teacher(pixels).map.shape
        torch.testing.assert_close(of_patches[:, 1, 3], student(patch).logit)


@pytest.mark.parametrize("side", range(36, 52))
def test_student_and_teacher_lay_patches_alike(
    teacher: ladeda.PatchNetwork, student: ladeda.PatchNetwork, side: int
) -> None:
    pixels = torch.rand(1, 3, side, side + 3)
    with torch.inference_mode():
        output = teacher(pixels)
        of_patches = ladeda.scores_of_teacher_patches(student(pixels).map)
    assert of_patches.shape == output.map.shape
    torch.testing.assert_close(output.logit, output.map.mean((1, 2)))


def test_student_learns_its_teachers_scores(exported: Path) -> None:
    recipe = ladeda.Method(ladeda.Settings(teacher=str(exported), learning_rate=1e-2))
    torch.manual_seed(0)
    network = recipe.network()
    assert parameters(network) == 1_297
    optimiser = recipe.optimiser(network)
    distances = []
    for step in range(60):
        generator = torch.Generator().manual_seed(step % 4)
        pixels = torch.rand(8, 3, 40, 40, generator=generator) ** (1 + step % 2)
        batch = Batch(pixels, torch.zeros(8), torch.full((8,), -1), None, {})
        loss, parts = recipe.loss(network, batch)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        distances.append(parts["distance"])
    assert np.mean(distances[-10:]) < 0.5 * np.mean(distances[:10])


def test_a_teacher_must_be_a_patch_network(tmp_path: Path) -> None:
    absent = ladeda.Method(ladeda.Settings(teacher=str(tmp_path / "absent.onnx")))
    with pytest.raises(InvalidInput, match="no such file"):
        _ = absent.teacher
    other = tmp_path / "other.onnx"
    other.write_bytes(b"not a network")
    with pytest.raises(InvalidInput, match="no exported network"):
        _ = ladeda.Method(ladeda.Settings(teacher=str(other))).teacher


def test_learns_doubled_pixels(tmp_path: Path) -> None:
    settings = ladeda.Settings(steps=60, batch=8, crop=32, learning_rate=3e-3, width=8, robust=True)
    fitted = fit(ladeda.Method(settings), toys.doubled_noise(tmp_path), tmp_path / "out")
    assert fitted.progress.best_auc > 0.9
