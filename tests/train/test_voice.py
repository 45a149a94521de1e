"""From labelled speech to a probe that the detector can open."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from bonafide.bench.labelled import read_labelled
from bonafide.bench.metrics import roc_auc
from bonafide.cli.probe import probe
from bonafide.detectors.speech.voice_probe import CARD
from bonafide.errors import InvalidInput
from bonafide.networks import runtime
from bonafide.testing.sounds import babble, wav
from bonafide.train import voice_fit
from bonafide.train.probe_features import DEGRADED, WHOLE, Features
from bonafide.train.voice_features import TELEPHONE, load

SOURCES = 6


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A machine that babbles at two pitches, one file of each in every source; its features."""
    folder = tmp_path_factory.mktemp("voice")
    rows = []
    for source in range(SOURCES):
        for label, pitch in (("bona_fide", 105.0), ("synthetic_speech", 230.0)):
            name = f"{label}{source}.wav"
            (folder / name).write_bytes(wav(babble(4, seed=source, pitch=pitch)))
            system = f"system{source}" if label == "synthetic_speech" else ""
            rows.append((name, label, f"source{source}", system))
    (folder / "silence.wav").write_bytes(wav(np.zeros(50_000, np.float32)))
    rows.append(("silence.wav", "bona_fide", "source0", ""))
    manifest, features = folder / "manifest.csv", folder / "features.npz"
    with manifest.open("w", newline="") as file:
        csv.writer(file).writerows([("path", "label", "source", "generator"), *rows])
    done = CliRunner().invoke(
        probe, ["features", "--voices", str(manifest), "--out", str(features)]
    )
    assert done.exit_code == 1, done.output  # nobody speaks in one of them
    return manifest, features


def test_features_hold_three_views_and_are_not_computed_twice(made: tuple[Path, Path]) -> None:
    manifest, features = made
    found = load(features, read_labelled([manifest]))
    assert found.tokens.shape == (3 * 2 * SOURCES, 3, 384) and np.isfinite(found.tokens).all()
    assert sorted(set(found.view.tolist())) == sorted((DEGRADED, WHOLE, TELEPHONE))
    before = read_rows(features)
    CliRunner().invoke(probe, ["features", "--voices", str(manifest), "--out", str(features)])
    assert read_rows(features) == before


def read_rows(features: Path) -> list[tuple[str, str]]:
    with np.load(features) as kept:
        return list(zip(kept["path"].tolist(), kept["view"].tolist(), strict=True))


def test_the_probe_separates_and_its_file_says_the_same(
    made: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest, features = made
    arguments = ["fit", str(manifest), "--voices", "--features", str(features)]
    arguments += ["--out", str(tmp_path)]
    done = CliRunner().invoke(probe, arguments)
    assert done.exit_code == 0, done.output
    assert CliRunner().invoke(probe, [*arguments, "--squares"]).exit_code == 2
    assert "| telephone |" in done.output and "by source" in done.output
    with (tmp_path / "out_of_fold.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["degradation"] == WHOLE]
    assert len(rows) == 2 * SOURCES
    known = load(features, read_labelled([manifest]))
    monkeypatch.setenv("BONAFIDE_WEIGHTS", str(tmp_path))
    found = runtime.session(CARD.id).run(tokens=known.tokens.astype(np.float32))
    fitted = known.view != TELEPHONE
    assert roc_auc(known.positive[fitted], found["logit"][fitted]) > 0.95
    assert runtime.session(CARD.id).weights.metadata["recordings"]["sources"] == SOURCES


def test_a_system_is_scored_by_a_probe_that_has_not_seen_it() -> None:
    """Four systems of two sources each; what tells a system is a feature of its own."""
    random = np.random.default_rng(0)
    count = 320
    tokens = np.zeros((count, 3, 384), np.float16)
    tokens[..., :8] = random.normal(0, 1, (count, 3, 8))
    positive = np.arange(count) % 2 == 1
    source = np.arange(count) // 40
    for row in np.flatnonzero(positive):
        tokens[row, :, source[row] // 2] += 6
    made = np.array(
        [f"system{n // 2}" if yes else "" for n, yes in zip(source, positive, strict=True)]
    )
    views, names = np.array([WHOLE] * count), np.array([f"{n}.wav" for n in range(count)])
    sources = np.array([f"source{n}" for n in source])
    features = Features(tokens, views, names, sources, made, np.array([""] * count), positive)
    strict = voice_fit.out_of_fold(features)
    assert roc_auc(strict.positive, strict.score) < 0.75
    anonymous = Features(tokens, views, names, sources, names, np.array([""] * count), positive)
    loose = voice_fit.out_of_fold(anonymous)
    assert roc_auc(loose.positive, loose.score) > 0.9
    alike = np.array(["system" if yes else "" for yes in positive])
    with pytest.raises(InvalidInput, match="system"):
        voice_fit.out_of_fold(
            Features(tokens, views, names, sources, alike, np.array([""] * count), positive)
        )


def test_stretches_of_a_file_are_pooled(made: tuple[Path, Path]) -> None:
    manifest, features = made
    known = load(features, read_labelled([manifest]))
    scored = voice_fit.out_of_fold(known)
    assert len(scored.path) == len(set(zip(known.path.tolist(), known.view.tolist(), strict=True)))


def test_one_source_is_too_few(made: tuple[Path, Path]) -> None:
    manifest, features = made
    known = load(features, read_labelled([manifest]))
    together = dict.fromkeys(set(known.source.tolist()), "all")
    with pytest.raises(InvalidInput, match="two sources"):
        voice_fit.out_of_fold(known, groups=together)
