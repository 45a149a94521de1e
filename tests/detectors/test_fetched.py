"""Detectors of published networks: silent until there is one, then faithful to its reading."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pillow

from bonafide import registry
from bonafide.media.source import open_media
from bonafide.networks import runtime
from bonafide.networks.catalogue import CATALOGUE
from bonafide.testing import check_detector, measure
from bonafide.types import Finding, Status

pytest.importorskip("onnxruntime")


@pytest.fixture(autouse=True)
def empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("BONAFIDE_WEIGHTS", str(tmp_path / "own"))
    monkeypatch.setenv("BONAFIDE_THREADS", "1")
    monkeypatch.setattr(runtime, "user_folder", lambda: tmp_path / "pulled")
    runtime._sessions.clear()
    yield
    runtime._sessions.clear()


def examine(detector: str, pixels: np.ndarray, tmp_path: Path) -> Finding:
    Pillow.fromarray(pixels).save(tmp_path / "picture.png")
    media = open_media(tmp_path / "picture.png")
    return measure(registry.load(detector), media, registry.card(detector))


@pytest.mark.parametrize("detector", CATALOGUE)
def test_without_its_network_a_detector_says_how_to_get_it(detector: str, tmp_path: Path) -> None:
    finding = examine(detector, np.zeros((70, 80, 3), np.uint8), tmp_path)
    assert finding.status is Status.NOT_APPLICABLE
    assert finding.why.endswith(f"bonafide weights pull {detector}")


@pytest.mark.parametrize("detector", CATALOGUE)
def test_with_a_network_the_contract_holds(
    detector: str, tmp_path: Path, write_network: Callable[..., Path]
) -> None:
    write_network(tmp_path / "own" / f"{detector}-1.onnx")
    check_detector(detector)


@pytest.mark.parametrize("detector", CATALOGUE)
def test_a_network_that_is_none_is_a_failure(detector: str, tmp_path: Path) -> None:
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / f"{detector}-1.onnx").write_bytes(b"no network")
    finding = examine(detector, np.zeros((70, 80, 3), np.uint8), tmp_path)
    assert finding.status is Status.FAILED and "cannot be opened" in finding.why


def test_an_answer_that_is_not_a_number_is_a_failure(
    tmp_path: Path, write_network: Callable[..., Path]
) -> None:
    write_network(tmp_path / "own" / "dda-1.onnx", logit=float("nan"))
    finding = examine("dda", np.zeros((70, 80, 3), np.uint8), tmp_path)
    assert finding.status is Status.FAILED


@pytest.mark.parametrize(("detector", "side", "most"), [("dda", 336, 9), ("univfd", 224, 16)])
def test_native_pixels_are_read_square_by_square(
    detector: str, side: int, most: int, tmp_path: Path, write_network: Callable[..., Path]
) -> None:
    """The network answers with the mean of the pixels, so squares that resized would show it."""
    write_network(tmp_path / "own" / f"{detector}-1.onnx")
    pixels = np.zeros((side, 3 * side, 3), np.uint8)
    pixels[:, side : 2 * side : 2] = 255
    facts = examine(detector, pixels, tmp_path).facts
    assert (facts["squares"], facts["covered"]) == (3, 1.0)
    assert (facts["lowest"], facts["highest"]) == (0.0, 0.5)
    assert facts["logit"] == pytest.approx(0.5 / 3, abs=1e-4)
    large = examine(detector, np.zeros((8 * side, 9 * side, 3), np.uint8), tmp_path)
    assert large.facts["squares"] == most
    assert large.facts["covered"] == pytest.approx(most / 72, abs=1e-4)


def test_community_forensics_sees_the_central_square_of_the_resized_picture(
    tmp_path: Path, write_network: Callable[..., Path]
) -> None:
    write_network(tmp_path / "own" / "community_forensics-1.onnx")
    pixels = np.zeros((880, 1320, 3), np.uint8)
    pixels[56:-56, 276:-276] = 255  # 768 × 768, that is 384 × 384 after halving
    finding = examine("community_forensics", pixels, tmp_path)
    assert finding.score == pytest.approx(1.0, abs=2e-3)
    assert finding.facts["covered"] == pytest.approx(768 * 768 / (880 * 1320), abs=1e-3)
    pixels[100:-100, 320:-320] = 0  # what is left is a frame just inside the square
    framed = examine("community_forensics", pixels, tmp_path)
    assert framed.score == pytest.approx(1 - 680 * 680 / 768**2, abs=5e-3)


@pytest.mark.parametrize("shape", [(64, 20_000), (20_000, 64), (64, 64), (441, 440)])
def test_odd_shapes_are_resized_in_little_memory(
    shape: tuple[int, int], tmp_path: Path, write_network: Callable[..., Path]
) -> None:
    write_network(tmp_path / "own" / "community_forensics-1.onnx")
    finding = examine("community_forensics", np.full((*shape, 3), 255, np.uint8), tmp_path)
    assert finding.score == pytest.approx(1.0, abs=1e-6)
    assert 0 < float(str(finding.facts["covered"])) < 1
