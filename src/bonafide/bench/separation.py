"""How well sources of sound were separated: leakage of others, and distortion of their own.

Where a recording of two voices was taken apart, each estimate is asked two things. *Separation*:
does it lie with its own source or with another one? *Match*: does it lie as near to its source as
that source does after mild distortions? Both are in [0, 1], 1 for the source itself. They need the
true sources.

For each moment of 20 ms every source, a dozen distortions of it and all estimates are points:
features of the first block of Whisper's encoder. A diffusion map (density taken out, α = 1) lays
them out by how they hang together. A source and its distortions are a cluster; Mahalanobis
distances to the clusters give separation, 1 − own / (own + nearest other), and the distances of the
distortions from their source give match: the share of them that is at least as far as the estimate.

Source: after A. Ivry, S. Cornell, S. Watanabe, "MAPSS: Manifold-based Assessment of Perceptual
Source Separation", ICLR 2026 (arXiv:2509.09212), of which the abstract and notes could be read.
Features are of wav2vec 2.0 there, second layer, which cannot be had here; distortions, their
number, the width of the kernel and how match is counted are our own, and how well the two follow
what people hear was not measured. R. Coifman, S. Lafon, "Diffusion Maps", Applied and Computational
Harmonic Analysis 21, 2006.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bonafide.errors import InvalidInput
from bonafide.networks import runtime
from bonafide.networks.whisper import LAYERS, NETWORK, POSITIONS, SAMPLES, spectrum_view
from bonafide.signals.speech import RATE, band_limited

LAYER = LAYERS[0]
STEP = 2 * 160  # samples of a moment
SILENT = 1e-3  # power of a moment, of the largest of its source, below which it is passed over
DIMENSIONS = 8  # of the map that are kept
SHRUNK = 0.1  # share of the mean variance in a cluster's covariance
ALPHA = 1.0

Sound = NDArray[np.float32]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Separated:
    """How one estimate compares with the sources.

    Attributes:
        separation: mean over the moments in which its source sounds, in [0, 1].
        match: the same.
        moments: their number.
    """

    separation: float
    match: float
    moments: int


def separated(sources: Sequence[Sound], estimates: Sequence[Sound]) -> tuple[Separated, ...]:
    """Compare each estimate with the source in the same place.

    Args:
        sources: two or more, float32 (n,) of equal length, 16,000 per second, in [-1, 1].
        estimates: as many, of the same length; their loudness does not count.

    Raises:
        InvalidInput: numbers or lengths do not fit, there are fewer than two sources, or one of
            them is silent.
        WeightsError: the network cannot be opened.
    """
    lengths = {len(one) for one in (*sources, *estimates)}
    if len(sources) < 2 or len(sources) != len(estimates) or len(lengths) != 1:
        raise InvalidInput("two or more sources and as many estimates of one length are needed")
    sounding = [_sounding(one) for one in sources]
    if not all(one.any() for one in sounding):
        raise InvalidInput("a source is silent")
    groups = [np.stack([_moments(one) for one in (own, *distorted(own))]) for own in sources]
    heard = np.stack([_moments(one) for one in estimates])
    count = min(len(sounding[0]), heard.shape[1])
    found: list[list[tuple[float, float]]] = [[] for _ in sources]
    for moment in range(count):
        if not any(one[moment] for one in sounding):
            continue
        points = [*(group[:, moment] for group in groups), heard[:, moment]]
        places = diffusion_map(np.concatenate(points))
        sizes = np.cumsum([len(one) for one in points])[:-1]
        *clusters, guessed = np.split(places, sizes)
        for number, place in enumerate(guessed):
            if sounding[number][moment]:
                found[number].append(_compared(place, number, clusters))
    return tuple(
        Separated(
            float(np.mean([one for one, _ in pairs])),
            float(np.mean([one for _, one in pairs])),
            len(pairs),
        )
        for pairs in found
    )


def diffusion_map(points: Floats) -> Floats:
    """Places of points, (n, d) → (n, at most `DIMENSIONS`), by how they hang together.

    The width of the kernel is the median of the squared distances.
    """
    squares = (points**2).sum(1)
    apart = np.maximum(squares[:, None] + squares[None] - 2 * points @ points.T, 0)
    near = np.exp(-apart / max(float(np.median(apart[apart > 0], axis=None)), 1e-12))
    density = near.sum(1)
    near /= (density[:, None] * density[None]) ** ALPHA
    weight = near.sum(1)
    root = np.sqrt(weight)
    values, vectors = np.linalg.eigh(near / root[:, None] / root[None])
    kept = slice(-2, -2 - min(DIMENSIONS, len(points) - 2), -1)  # the largest says nothing
    places = values[kept] * (vectors[:, kept] / root[:, None]) * np.sqrt(weight.sum())
    return np.asarray(places, np.float64)


def distorted(sound: Sound) -> Iterator[Sound]:
    """Twelve mild distortions: bands, slopes of the spectrum, echoes, noise, overdrive."""
    random = np.random.default_rng(0)
    for highest in (2_500.0, 3_400.0, 4_500.0, 6_000.0):
        yield band_limited(sound, highest)
    for slope in (-0.6, 0.6):
        yield np.asarray(sound - slope * np.pad(sound, (1, 0))[:-1], np.float32)
    for seconds, share in ((0.012, 0.4), (0.045, 0.25)):
        late = int(seconds * RATE)
        yield np.asarray(sound + share * np.pad(sound, (late, 0))[: len(sound)], np.float32)
    spread = float(np.sqrt(np.mean(sound**2)))
    for below in (15, 25):
        noise = random.standard_normal(len(sound)) * spread * 10 ** (-below / 20)
        yield np.asarray(sound + noise, np.float32)
    for gain in (2.0, 4.0):
        limit = float(np.abs(sound).max())
        yield np.asarray(np.clip(gain * sound, -limit, limit), np.float32)


def _compared(place: Floats, number: int, clusters: Sequence[Floats]) -> tuple[float, float]:
    """Separation and match of one estimate at one moment."""
    distances = [_mahalanobis(place, cluster) for cluster in clusters]
    own = distances[number]
    other = min(one for index, one in enumerate(distances) if index != number)
    reference, *mild = clusters[number]
    limits = np.array([np.linalg.norm(one - reference) for one in mild])
    away = float(np.linalg.norm(place - reference))
    return 1 - own / max(own + other, 1e-12), float((limits >= away - 1e-9).mean())


def _mahalanobis(place: Floats, cluster: Floats) -> float:
    covariance = np.cov(cluster.T)
    ridge = SHRUNK * max(float(np.trace(covariance)) / len(covariance), 1e-12)
    apart = place - cluster.mean(0)
    return float(
        np.sqrt(apart @ np.linalg.solve(covariance + ridge * np.eye(len(covariance)), apart))
    )


def _sounding(sound: Sound) -> NDArray[np.bool_]:
    whole = len(sound) // STEP * STEP
    power = (sound[:whole].reshape(-1, STEP).astype(np.float64) ** 2).mean(1)
    return np.asarray(power > SILENT * max(float(power.max(initial=0.0)), 1e-12))


def _moments(sound: Sound) -> Floats:
    """Features of each moment, float64 (n // 320, d)."""
    count = len(sound) // STEP
    parts = -(-len(sound) // SAMPLES)
    padded = np.pad(sound, (0, parts * SAMPLES - len(sound)))
    rows = []
    for part in padded.reshape(parts, SAMPLES):
        given = spectrum_view(part)[None]
        rows.append(runtime.session(NETWORK).run(only=(LAYER,), spectrum=given)[LAYER][0])
    found = np.concatenate(rows)[:count].astype(np.float64)
    assert len(rows[0]) == POSITIONS
    return found
