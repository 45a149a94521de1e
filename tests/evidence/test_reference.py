"""The bound over sources: its arithmetic, and its coverage where sources differ."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bonafide.evidence.reference import HEAD, Reference, Shares, Stratum, needed

ALPHA = 0.05


def stored(rows: list[list[Any]], *detectors: str) -> Reference:
    weights = dict.fromkeys(detectors, 1.0)
    return Reference({"weights": weights, "columns": [*HEAD, *detectors], "files": rows})


def row(source: str, *said: float | None, **fields: Any) -> list[Any]:
    usual = {"altered": 0, "made": "", "container": "jpeg", "megapixels": 1.0, "hits": 0} | fields
    return [source, *usual.values(), *said]


def p_value(reference: Reference, evidence: float, *detectors: str, **where: str) -> float:
    compared = reference.compare(frozenset(detectors), Stratum(**where), 0.5)
    return compared.p_value(evidence)


def test_every_source_weighs_the_same_however_many_files_it_brings() -> None:
    rows = [row("many", 1.0) for _ in range(97)] + [row("many", 9.0) for _ in range(3)]
    reference = stored([*rows, row("few", 0.0), row("other", 0.0)], "a")
    assert p_value(reference, 5.0, "a") == pytest.approx((1 + 0.03) / 4)
    assert p_value(reference, 0.5, "a") == pytest.approx((1 + 1) / 4)
    assert p_value(reference, -1.0, "a") == 1.0


def test_files_are_compared_on_what_could_be_tested() -> None:
    both = [row(f"b{n}", 0.0, 4.0) for n in range(9)]
    alone = [row(f"a{n}", 3.0, None, container="other") for n in range(9)]
    reference = stored(both + alone, "a", "b")
    assert p_value(reference, 3.5, "a", "b") == pytest.approx(1.0)  # 0 + 4 beside 3.5
    assert p_value(reference, 2.0, "a") == pytest.approx((1 + 9) / 19)
    assert reference.compare(frozenset("b"), Stratum(), 0.5).pool.sources == 9


def test_with_too_few_files_for_all_detectors_what_there_is_is_added() -> None:
    both = [row(f"b{n}", 0.0, 4.0) for n in range(9)]
    alone = [row(f"a{n}", 3.0, None) for n in range(12)]
    reference = stored(both + alone, "a", "b")
    compare = reference.compare(frozenset("ab"), Stratum(), 0.05)  # needs 19 sources
    assert compare.pool.sources == 21 and compare.certifies(0.05)
    assert compare.p_value(3.5) == pytest.approx((1 + 9) / 22)
    assert reference.compare(frozenset("ab"), Stratum(), 0.1).pool.sources == 9


def test_a_band_that_looks_worse_is_not_accused_on_the_strength_of_the_rest() -> None:
    usual = [row(f"s{n}", -1.0) for n in range(99)]
    large = [row(f"l{n}", 3.0 if n == 0 else -1.0, megapixels=12.0) for n in range(4)]
    reference = stored(usual + large, "a")
    assert p_value(reference, 2.0, "a") == pytest.approx(2 / 104)
    assert p_value(reference, 2.0, "a", container="jpeg", band="medium") == pytest.approx(2 / 104)
    assert p_value(reference, 2.0, "a", container="jpeg", band="large") == pytest.approx(1 / 4)
    compared = reference.compare(frozenset("a"), Stratum("jpeg", "large"), 0.01)
    assert compared.stratum == "JPEG, large: 4 sources, 4 files; all: 103 sources, 103 files"


def test_sources_that_a_bound_takes() -> None:
    assert [needed(alpha) for alpha in (0.5, 0.1, 0.05, 0.01, 0.001)] == [1, 9, 19, 99, 999]
    reference = stored([row(f"s{n}", 0.0) for n in range(99)], "a")
    compare = reference.compare(frozenset("a"), Stratum(), 0.01)
    assert compare.certifies(0.01) and not compare.certifies(0.009)
    assert compare.p_value(1.0) == pytest.approx(0.01)


def test_pictures_certify_nothing_about_videos() -> None:
    reference = stored([row(f"s{n}", 0.0) for n in range(200)], "a")
    compare = reference.compare(frozenset("a"), Stratum("video", "medium"), 0.01)
    assert compare.foreign and not compare.certifies(0.01)
    assert compare.stratum.startswith("pictures, as there is no calibration for video")
    clips = [row(f"c{n}", 1.0, container="video") for n in range(3)]
    own = stored(reference.rows + clips, "a").compare(frozenset("a"), Stratum("video"), 0.01)
    assert own.pool.sources == 3 and not own.foreign


def test_miss_and_quiet_rates_are_those_of_the_stratum() -> None:
    fine = [row(f"s{n}", n / 100 - 3) for n in range(99)]
    found = [row("x", 9.0, altered=1) for _ in range(15)]
    missed = [row("x", -3.0, altered=1, hits=n % 2) for n in range(10)]
    elsewhere = [row("y", -3.0, altered=1, container="other") for _ in range(25)]
    reference = stored(fine + found + missed + elsewhere, "a")
    jpeg = reference.compare(frozenset("a"), Stratum("jpeg", "medium"), 0.01)
    assert jpeg.miss_rate(0.01, 2.9) == pytest.approx(0.4)
    assert jpeg.quiet_rate(0.1) == pytest.approx(0.2)
    assert reference.compare(frozenset("a"), Stratum(), 0.01).miss_rate(0.01, 2.9) == (
        pytest.approx(0.7)
    )
    assert stored(fine, "a").compare(frozenset("a"), Stratum(), 0.01).miss_rate(0.01, 0) is None


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 6), st.floats(-9, 9)), min_size=1, max_size=60),
    st.lists(st.floats(-10, 10), min_size=1, max_size=20),
)
def test_shares_are_what_counting_gives(files: list[tuple[int, float]], asked: list[float]) -> None:
    source = np.array([name for name, _ in files])
    evidence = np.array([value for _, value in files])
    shares = Shares.of(evidence, source)
    for value, told in zip(asked, shares.at_least(np.array(asked)), strict=True):
        counted = sum((evidence[source == name] >= value).mean() for name in np.unique(source))
        assert told == pytest.approx(counted)


def simulate(random: np.random.Generator, sources: int, spread: float) -> list[np.ndarray]:
    """Evidence of the files of each source: a random intercept, and noise per file."""
    sizes = random.integers(3, 40, sources)
    return [random.normal(random.normal(0, spread), 1, int(size)) for size in sizes]


def accused(random: np.random.Generator, by_source: bool) -> float:
    """Share of a new source's files that are accused at `ALPHA`, over many calibrations."""
    shares = []
    for _ in range(600):
        known, new = simulate(random, 40, 2.0), simulate(random, 1, 2.0)[0]
        evidence = np.concatenate(known)
        source = np.repeat(np.arange(len(known)), [len(files) for files in known])
        unit = source if by_source else np.arange(len(evidence))
        pool = Shares.of(evidence, unit)
        p = (1 + pool.at_least(new)) / (pool.sources + 1)
        shares.append(float((p <= ALPHA).mean()))
    return float(np.mean(shares)) - 2.3 * float(np.std(shares)) / np.sqrt(len(shares))


def test_the_bound_holds_for_files_of_a_new_source() -> None:
    assert accused(np.random.default_rng(0), by_source=True) <= ALPHA


def test_a_bound_over_pictures_alone_is_broken_by_a_source_that_repeats_itself() -> None:
    """One collection of a thousand alike pictures makes a bound over pictures too small."""
    random = np.random.default_rng(0)
    by_picture, by_source = [], []
    for _ in range(400):
        known = [random.normal(random.normal(0, 2), 1, 10) for _ in range(39)]
        known.append(random.normal(-4, 1, 4000))  # one large, unsuspicious collection
        new = random.normal(random.normal(0, 2), 1, 10)
        evidence = np.concatenate(known)
        source = np.repeat(np.arange(40), [len(files) for files in known])
        for unit, found in ((source, by_source), (np.arange(len(evidence)), by_picture)):
            pool = Shares.of(evidence, unit)
            p = (1 + pool.at_least(new)) / (pool.sources + 1)
            found.append(float((p <= ALPHA).mean()))
    assert np.mean(by_picture) > 3 * ALPHA
    assert np.mean(by_source) <= ALPHA + 0.01


def test_a_comparison_is_made_once(
    made: SimpleNamespace,
) -> None:
    reference = made.reference(("grid", "noise"), sources=400, each=5)
    first = reference.compare(frozenset(("grid",)), Stratum("jpeg", "medium"), 0.01)
    assert reference.compare(frozenset(("grid",)), Stratum("jpeg", "medium"), 0.01) is first
