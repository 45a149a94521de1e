"""A probe that goes on learning keeps the scores of old fakes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bonafide.errors import InvalidInput
from bonafide.train.probe_fit import Plane, Subspace, write_probe
from bonafide.train.voice_continue import Known, continued, read_plane, spread

WIDTH = 40


def voices(count: int, seed: int) -> np.ndarray:
    """What all voices share."""
    made = 0.2 * np.random.default_rng(seed).normal(size=(count, 1, WIDTH))
    made[:, :, 0] += 3.0
    return made.astype(np.float32)


def fakes(count: int, seed: int, axes: slice) -> np.ndarray:
    """Voices of systems that differ along some axes."""
    made = voices(count, seed)
    shape = made[:, :, axes].shape
    made[:, :, axes] += 0.6 + 0.8 * np.random.default_rng(seed + 100).normal(size=shape)
    return made


@pytest.fixture(scope="module")
def old() -> tuple[np.ndarray, np.ndarray, Plane]:
    """Old voices, their classes, and the plane that was fitted to them."""
    from sklearn.linear_model import LogisticRegression

    tokens = np.concatenate([voices(200, 1), fakes(200, 2, slice(1, 9))])
    positive = np.arange(400) >= 200
    model = LogisticRegression(C=1.0, max_iter=500).fit(tokens[:, 0], positive)
    return tokens, positive, Plane(model.coef_.astype(np.float32), float(model.intercept_[0]))


@pytest.fixture(scope="module")
def new() -> tuple[np.ndarray, np.ndarray]:
    """New voices, and fakes that are the opposite of the old ones along their axes."""
    made = fakes(100, 4, slice(20, 28))
    made[:, 0, 1:9] -= 1.2
    genuine = voices(100, 3)
    genuine[:, 0, 9] += 0.3  # another microphone
    return np.concatenate([genuine, made]), np.arange(200) >= 100


def error(plane: Plane, tokens: np.ndarray, positive: np.ndarray) -> float:
    return float(((plane(tokens) > 0) != positive).mean())


def test_old_fakes_keep_their_scores(
    old: tuple[np.ndarray, np.ndarray, Plane], new: tuple[np.ndarray, np.ndarray]
) -> None:
    tokens, positive, plane = old
    known = Known.of(tokens, components=16)
    kept = continued(plane, known, *new)
    plain = continued(plane, known, *new, modified=False)
    assert error(kept, tokens, positive) < 0.75 * error(plain, tokens, positive)
    fake, truth = tokens[positive], positive[positive]
    assert error(kept, fake, truth) < 0.8 * error(plain, fake, truth)


def test_new_fakes_are_learned(
    old: tuple[np.ndarray, np.ndarray, Plane], new: tuple[np.ndarray, np.ndarray]
) -> None:
    tokens, _, plane = old
    kept = continued(plane, Known.of(tokens, components=16), *new)
    fake = new[0][new[1]]
    assert kept(fake).mean() > plane(fake).mean() + 1
    assert error(kept, *new) < 0.5 * error(plane, *new)


def test_a_spread_class_moves_only_across_the_old_directions(
    old: tuple[np.ndarray, np.ndarray, Plane], new: tuple[np.ndarray, np.ndarray]
) -> None:
    tokens, _, plane = old
    known = Known.of(tokens, components=16)
    rows, positive = new
    assert spread(rows[positive]) > spread(rows[~positive])
    # Without a push from the compact class, nothing moves along the old directions.
    sure = Plane(plane.weight, plane.bias - 60.0)  # genuine speech is certain, fakes are missed
    kept = continued(sure, known, rows, positive, steps=1, rate=1.0)
    moved = (kept.weight - sure.weight).ravel() * known.deviation
    assert np.abs(known.basis.T @ moved).max() < 1e-3 * np.abs(moved).max()


def test_a_plane_is_read_from_the_file_of_a_probe(
    tmp_path: Path, old: tuple[np.ndarray, np.ndarray, Plane]
) -> None:
    _, _, plane = old
    path = tmp_path / "probe.onnx"
    around = Subspace(np.zeros(WIDTH, np.float32), np.eye(WIDTH, 2, dtype=np.float32), 1.0)
    write_probe(plane, around, path, {"id": "x", "version": "1"})
    read = read_plane(path)
    assert np.array_equal(read.weight, plane.weight) and read.bias == pytest.approx(plane.bias)
    path.write_bytes(b"nothing")
    with pytest.raises(InvalidInput, match="no probe"):
        read_plane(path)


def test_both_classes_and_some_old_recordings_are_needed(
    old: tuple[np.ndarray, np.ndarray, Plane],
) -> None:
    tokens, positive, plane = old
    with pytest.raises(InvalidInput, match="eight"):
        Known.of(tokens[:4])
    with pytest.raises(InvalidInput, match="both classes"):
        continued(plane, Known.of(tokens), tokens[positive], positive[positive])


def test_the_verb_continues_a_probe(
    tmp_path: Path,
    old: tuple[np.ndarray, np.ndarray, Plane],
    new: tuple[np.ndarray, np.ndarray],
) -> None:
    from click.testing import CliRunner

    from bonafide.cli.probe import probe
    from bonafide.train.probe_features import WHOLE
    from bonafide.train.voice_features import write

    tokens, _, plane = old
    around = Subspace(np.zeros(WIDTH, np.float32), np.eye(WIDTH, 2, dtype=np.float32), 1.0)
    write_probe(plane, around, tmp_path / "probe.onnx", {"id": "x", "version": "1"})
    write(tmp_path / "old.npz", [(f"{n}", WHOLE, one) for n, one in enumerate(tokens)])
    names = [tmp_path / f"{number}.wav" for number in range(len(new[1]))]
    lines = ["path,label,origin"]
    for name, fake in zip(names, new[1], strict=True):
        lines.append(f"{name},{'synthetic_speech' if fake else 'bona_fide'},a")
    (tmp_path / "new.csv").write_text("\n".join(lines))
    write(
        tmp_path / "new.npz", [(str(n), WHOLE, one) for n, one in zip(names, new[0], strict=True)]
    )
    arguments = ["continue", str(tmp_path / "new.csv"), "--features", str(tmp_path / "new.npz")]
    arguments += ["--probe", str(tmp_path / "probe.onnx"), "--known", str(tmp_path / "old.npz")]
    done = CliRunner().invoke(probe, [*arguments, "--out", str(tmp_path / "run")])
    assert done.exit_code == 0, done.output
    assert "continued" in done.output and "plain descent" in done.output
    made = read_plane(tmp_path / "run" / "voice_probe-1.onnx")
    assert error(made, *new) < error(plane, *new)
