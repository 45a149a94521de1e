"""From labelled pictures to a probe that the detector can open."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image as Pillow
from skimage import data as photographs

from bonafide.bench.labelled import read_labelled
from bonafide.bench.metrics import roc_auc
from bonafide.cli.probe import probe
from bonafide.detectors.generated.clip_probe import CARD, Detector
from bonafide.errors import InvalidInput
from bonafide.media.context import Context
from bonafide.media.image import Image
from bonafide.media.media import Media
from bonafide.networks import runtime
from bonafide.networks.clip import LAYERS
from bonafide.train import content_fit
from bonafide.train.probe_features import DEGRADED, WHOLE, Features, load
from bonafide.train.probe_fit import fit, layers_of, out_of_fold

SOURCES = 10


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Photographs against smooth colour gradients, one of each in every source; their features."""
    folder = tmp_path_factory.mktemp("probe")
    rows = []
    names = ("astronaut", "coffee", "chelsea", "rocket", "immunohistochemistry")
    for source in range(SOURCES):
        shift = 17 * source
        photograph = np.roll(getattr(photographs, names[source % len(names)])(), shift, axis=1)
        y, x = np.mgrid[:160, :160].astype(np.float32) / 160
        gradient = np.stack([x, y, (x + y * source / SOURCES) / 2], 2)
        for label, pixels in (("bona_fide", photograph), ("generated", 255 * gradient)):
            name = f"{label}{source}.png"
            Pillow.fromarray(np.asarray(pixels, np.uint8)).save(folder / name)
            generator = "gradients" if label == "generated" else ""
            rows.append((name, label, f"source{source}", generator))
    manifest, features = folder / "manifest.csv", folder / "features.npz"
    with manifest.open("w", newline="") as file:
        csv.writer(file).writerows([("path", "label", "source", "generator"), *rows])
    done = CliRunner().invoke(probe, ["features", str(manifest), "--out", str(features)])
    assert done.exit_code == 0, done.output
    return manifest, features


def test_features_hold_two_views_and_are_not_computed_twice(made: tuple[Path, Path]) -> None:
    manifest, features = made
    before = features.stat().st_mtime_ns
    CliRunner().invoke(probe, ["features", str(manifest), "--out", str(features)])
    assert features.stat().st_mtime_ns == before
    found = load(features, read_labelled([manifest]))
    assert found.tokens.shape == (4 * SOURCES, 7, 768) and np.isfinite(found.tokens).all()
    assert sorted(set(found.view.tolist())) == [DEGRADED, WHOLE]
    assert found.positive.sum() == 2 * SOURCES


def test_features_of_degraded_files_are_added(made: tuple[Path, Path], tmp_path: Path) -> None:
    manifest, features = made
    own = tmp_path / "features.npz"
    own.write_bytes(features.read_bytes())
    arguments = ["features", str(manifest), "--out", str(own), "--most-per-source", "1"]
    done = CliRunner().invoke(probe, [*arguments, "--degradation", "jpeg:50"])
    assert done.exit_code == 0, done.output
    found = load(own, read_labelled([manifest]))
    assert sorted(set(found.view.tolist())) == [DEGRADED, "jpeg:50", WHOLE]
    assert (found.view == "jpeg:50").sum() == 2 * SOURCES


def test_the_probe_separates_and_its_file_says_the_same(
    made: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest, features = made
    arguments = ["fit", str(manifest), "--features", str(features), "--out", str(tmp_path)]
    done = CliRunner().invoke(probe, arguments)
    assert done.exit_code == 0, done.output
    assert "| gradients | 10 | 1.000 |" in (tmp_path / "figures.md").read_text()
    found = load(features, read_labelled([manifest]))
    plane = fit(found, np.ones(len(found.view), np.bool_), layers_of(None, found.layers))
    monkeypatch.setenv("BONAFIDE_WEIGHTS", str(tmp_path))
    assert runtime.session(CARD.id).weights.origin == "own"
    row = int(np.flatnonzero((found.view == WHOLE) & found.positive)[0])
    picture = Path(found.path[row])
    ctx = Context(Media.of_image(Image(picture.read_bytes(), picture.name)))
    (measured,) = Detector().measure(ctx)  # type: ignore[misc]
    assert measured.score == pytest.approx(plane(found.tokens[[row]])[0], abs=0.05)
    with (tmp_path / "out_of_fold.csv").open() as file:
        scores = list(csv.DictReader(file))
    assert len(scores) == 4 * SOURCES
    assert {one["degradation"] for one in scores} == {"native", DEGRADED}


def test_out_of_fold_scores_have_not_seen_their_source() -> None:
    """A class that only the source tells apart cannot be learned out of fold."""
    random = np.random.default_rng(0)
    count, sources = 200, 20
    source = np.arange(count) % sources
    positive = source % 2 == 0
    tokens = random.normal(size=(count, len(LAYERS), 768)).astype(np.float16)
    tokens[:, -1, :sources] += 5 * np.eye(sources, dtype=np.float16)[source]
    texts = np.array([str(one) for one in source])
    views = np.full(count, WHOLE)
    features = Features(tokens, views, texts, texts, texts, texts, positive, LAYERS, texts, texts)
    inside = fit(features, np.ones(count, np.bool_))(tokens)
    assert roc_auc(positive, inside) > 0.95
    assert 0.3 < roc_auc(positive, out_of_fold(features, (-1,))[0]) < 0.7


def test_blocks_without_features_are_refused() -> None:
    assert layers_of("8.mean,7,8", LAYERS) == (2, 5, 6)
    with pytest.raises(InvalidInput, match="layer3"):
        layers_of("3", LAYERS)


def shown(sources: int = 12, each: int = 5) -> Features:
    """Features of drawings and photographs that differ along many axes, and of unclear pictures."""
    random = np.random.default_rng(0)
    count = 2 * sources * each
    drawn = np.arange(count) < count // 2
    tokens = random.normal(0, 1, (count, 2, 768)).astype(np.float16)
    tokens[:, 1, :200] += np.where(drawn, 1, -1).astype(np.float16)[:, None]
    source = np.array([f"s{number // each}" for number in range(count)])
    kind = np.where(drawn, "art", "photo")
    kind[::each] = "other"
    names = np.array([str(number) for number in range(count)])
    return Features(
        tokens, np.full(count, WHOLE), names, source, names, kind, random.random(count) < 0.5,
        ("layer7", "layer8"),
    )  # fmt: skip


def test_a_plane_of_content_is_fitted_to_kinds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    features = shown()
    figures = content_fit.run(features, tmp_path, ["art"], (1,))
    assert (tmp_path / "figures.md").read_text() == figures
    assert "AUC 1.000: 48 pictures of the kinds, 48 others" in figures
    assert "| art | drawn | 48 | 12 |" in figures and "| other |" not in figures
    monkeypatch.setenv("BONAFIDE_WEIGHTS", str(tmp_path))
    network = runtime.session(content_fit.NETWORK)
    assert network.weights.metadata["settings"]["blocks"] == ["layer8"]
    said = network.run(tokens=features.tokens[:, 1:].astype(np.float32))["logit"]
    own = content_fit.chosen(features, ["art"])
    plane = fit(own, np.ones(len(own.path), np.bool_), (1,), content_fit.STRENGTH)
    assert np.allclose(said, plane(features.tokens), atol=1e-3)
    with pytest.raises(InvalidInput, match="game"):
        content_fit.run(features, tmp_path, ["game"], (1,))
