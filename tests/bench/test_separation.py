"""Separation tells leakage from distortion, and the map does not depend on order or scale."""

from __future__ import annotations

import numpy as np
import pytest

from bonafide.bench import separation
from bonafide.bench.separation import separated
from bonafide.errors import InvalidInput
from bonafide.testing.sounds import babble

SECONDS = 1.5


@pytest.fixture(scope="module")
def voices() -> tuple[np.ndarray, np.ndarray]:
    return babble(SECONDS, seed=1, pitch=100.0), babble(SECONDS, seed=2, pitch=220.0)


def test_the_sources_themselves_are_perfect(voices: tuple[np.ndarray, np.ndarray]) -> None:
    for one in separated(voices, voices):
        assert one.separation > 0.8 and one.match == 1.0 and one.moments > 20


def test_leakage_lowers_separation(voices: tuple[np.ndarray, np.ndarray]) -> None:
    one, other = voices
    found = [separated(voices, (one + share * other, other))[0] for share in (0.0, 0.3, 1.0)]
    assert found[0].separation > found[1].separation > found[2].separation
    assert separated(voices, (other, one))[0].separation < 0.3  # the wrong way round


def test_distortion_lowers_match_and_hardly_separation(
    voices: tuple[np.ndarray, np.ndarray],
) -> None:
    one, other = voices
    random = np.random.default_rng(5)
    harsh = np.asarray(np.sign(one) * np.abs(one) ** 0.3 + random.normal(0, 0.05, len(one)))
    bad = separated(voices, (harsh.astype(np.float32), other))[0]
    leaked = separated(voices, (one + other, other))[0]
    assert bad.match < 0.5 and bad.separation > leaked.separation


def test_loudness_does_not_count(voices: tuple[np.ndarray, np.ndarray]) -> None:
    one, other = voices
    plain, quiet = (separated(voices, (gain * one, other))[0] for gain in (1.0, 0.1))
    assert plain.separation == pytest.approx(quiet.separation, abs=0.02)


def test_the_map_keeps_clusters_apart_whatever_their_order() -> None:
    random = np.random.default_rng(0)
    points = np.concatenate([random.normal(0, 1, (10, 5)), random.normal(6, 1, (10, 5))])
    places = separation.diffusion_map(points)
    assert places.shape == (20, separation.DIMENSIONS)
    assert (places[:10, 0] > 0).all() != (places[10:, 0] > 0).all()
    order = random.permutation(20)
    turned = separation.diffusion_map(points[order])
    apart = [np.linalg.norm(p[:, None] - p[None], axis=2) for p in (places[order], turned)]
    np.testing.assert_allclose(*apart, atol=1e-6)
    scaled = separation.diffusion_map(100 * points)
    np.testing.assert_allclose(np.abs(scaled[:, 0]), np.abs(places[:, 0]), atol=1e-6)


def test_what_does_not_fit_is_refused(voices: tuple[np.ndarray, np.ndarray]) -> None:
    one, other = voices
    for sources, estimates in (((one,), (one,)), (voices, (one,)), (voices, (one, other[:-5]))):
        with pytest.raises(InvalidInput, match="one length"):
            separated(sources, estimates)
    with pytest.raises(InvalidInput, match="silent"):
        separated((one, np.zeros_like(one)), voices)
