"""The demonstration speaks where a voice is installed, and says so where none is."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from bonafide.cli.demo import DemoFile
from bonafide.cli.demo_speech import NAME, make_speech
from bonafide.media.source import open_media
from bonafide.testing.sounds import babble, wav


def install(folder: Path, name: str, lines: str) -> None:
    program = folder / name
    program.write_text(f"#!{sys.executable}\n{lines}\n")
    program.chmod(0o755)


def test_the_first_voice_that_works_speaks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    programs = tmp_path / "bin"
    programs.mkdir()
    (tmp_path / "said.wav").write_bytes(wav(babble(3)))
    install(programs, "espeak-ng", "raise SystemExit(1)")
    copy = f"import shutil, sys; shutil.copy({str(tmp_path / 'said.wav')!r}, sys.argv[-1])"
    install(programs, "flite", copy)
    monkeypatch.setenv("PATH", str(programs))
    (made,) = make_speech(tmp_path)
    assert isinstance(made, DemoFile) and made.path == tmp_path / NAME
    assert "flite" in made.done
    track = open_media(made.path).audio
    assert track is not None
    assert np.concatenate([one.samples for one in track.windows()]).size == 3 * 16_000


def test_without_a_voice_it_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    made = make_speech(tmp_path)
    assert isinstance(made, str) and "espeak-ng" in made
    assert not (tmp_path / NAME).exists()


def test_a_program_that_writes_nothing_is_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(tmp_path, "espeak-ng", "pass")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert isinstance(make_speech(tmp_path), str)
