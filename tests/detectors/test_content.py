"""What a picture shows: the plane that ships, on photographs and without its network."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from skimage import data

from bonafide.media.context import Context
from bonafide.media.image import Image
from bonafide.media.media import Media
from bonafide.networks import content, runtime
from bonafide.networks.content import DRAWN, NETWORK


def drawn(pixels: np.ndarray) -> float | None:
    media = Media.of_image(Image.of_pixels(np.ascontiguousarray(pixels), "picture"))
    return Context(media).get(DRAWN)


@pytest.mark.parametrize("name", ["astronaut", "chelsea", "coffee", "rocket"])
def test_photographs_are_not_called_drawn(name: str) -> None:
    said = drawn(getattr(data, name)())
    assert said is not None and said < 0.75


def test_a_page_of_print_looks_less_like_a_photograph() -> None:
    page = np.repeat(data.page()[:, :, None], 3, axis=2)
    cat, print_ = drawn(data.chelsea()), drawn(page)
    assert cat is not None and print_ is not None and print_ > cat + 0.1


def test_the_network_carries_its_card() -> None:
    weights = runtime.session(NETWORK).weights
    assert weights.origin == "shipped" and weights.path.stat().st_size < 10_000
    assert weights.metadata["settings"]["kinds"] == ["art", "cgi", "game", "screenshot", "scan"]


def test_nothing_is_known_without_the_network(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(content, "NETWORK", "absent")
    assert drawn(data.chelsea()) is None
