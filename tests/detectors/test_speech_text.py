"""What is said, written down: pieces of sound, what a report shows, and real words."""

from __future__ import annotations

import io
import json
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from rich.console import Console

from bonafide import Settings, examine
from bonafide.cli.main import bonafide
from bonafide.detectors.speech import speech_text
from bonafide.errors import BonafideError, MissingWeights
from bonafide.media.source import open_media
from bonafide.networks import recognisers, runtime
from bonafide.networks.catalogue import RECOGNISERS
from bonafide.regions import Span
from bonafide.report import html, terminal
from bonafide.report.from_dict import from_dict
from bonafide.report.to_dict import to_dict
from bonafide.testing.sounds import RATE, babble, wav
from bonafide.types import Report, Status

ASKED = Settings(only=("voice_probe", "speech_text"), transcript=True, threads=1)
ENTRY = next(iter(RECOGNISERS.values()))


@pytest.fixture
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine without a recogniser; the folder for what is pulled."""
    monkeypatch.delenv("BONAFIDE_WEIGHTS", raising=False)
    monkeypatch.setattr(runtime, "user_folder", lambda: tmp_path / "pulled")
    return tmp_path / "pulled"


@pytest.fixture
def told(bare: Path, monkeypatch: pytest.MonkeyPatch) -> list[tuple[float, str | None]]:
    """A recogniser that hears two lines in each piece; (seconds, language) of what it was given."""
    given: list[tuple[float, str | None]] = []

    def hear(samples: np.ndarray, language: str | None = None) -> recognisers.Heard:
        given.append((len(samples) / RATE, language))
        lines = (
            recognisers.Line(0.5, 1.5, " Call me “back”,\n<b>now</b>. "),
            recognisers.Line(2.0, 99.0, "It is urgent."),
        )
        return recognisers.Heard("en", 0.9, lines)

    monkeypatch.setattr(speech_text, "find", lambda: (ENTRY, recognisers.folder_of(ENTRY)))
    monkeypatch.setattr(speech_text, "hear", hear)
    return given


def finding_of(report: Report) -> object:
    return next(one for one in report.findings if one.detector == "speech_text")


def test_stretches_become_pieces() -> None:
    spans = [Span(1, 3), Span(4, 10), Span(40, 41), Span(60, 130)]
    found = speech_text.joined(spans)
    assert [(one.start, one.end) for one in found] == [
        (1, 10), (40, 41), (60, 88), (88, 116), (116, 130),
    ]  # fmt: skip
    long = speech_text.joined([Span(0, 10_000)])
    assert long[-1].end <= speech_text.MOST + speech_text.PIECE


def test_pieces_hold_their_samples() -> None:
    ramp = np.linspace(-0.5, 0.5, 35 * RATE, dtype=np.float32)
    track = open_media(wav(ramp), "ramp.wav").audio
    assert track is not None
    spans = [Span(1.0, 2.5), Span(8.0, 25.0), Span(30.0, 50.0)]
    found = list(speech_text.pieces(track, spans))
    assert [begin for begin, _ in found] == [1.0, 8.0, 30.0]
    for (begin, samples), seconds in zip(found, (1.5, 17.0, 5.0), strict=True):
        assert len(samples) == round(seconds * RATE)
        first = round(begin * RATE)
        np.testing.assert_allclose(samples, ramp[first : first + len(samples)], atol=1e-4)


def test_lines_have_times_and_no_weight(told: list[tuple[float, str | None]]) -> None:
    data = wav(babble(34, seed=1))
    report = examine(data, ASKED)
    finding = finding_of(report)
    assert finding.status is Status.OK and finding.score is None
    assert len(told) >= 2 and told[0][1] is None and {one[1] for one in told[1:]} == {"en"}
    assert max(seconds for seconds, _ in told) <= speech_text.PIECE + 0.01
    spans = [measured.where.span for measured, _ in finding.parts[1:]]
    assert len(spans) == 2 * len(told) and all(span is not None for span in spans)
    assert all(one.end <= 34.1 for one in spans if one)
    assert finding.facts["language"] == "en" and "errs" in finding.facts["written_by"] + str(
        finding.summary
    )
    assert finding.facts["lines"][1].endswith("It is urgent.")
    without = examine(data, replace(ASKED, transcript=False, only=("voice_probe",)))
    assert report.verdict == without.verdict


def test_every_form_of_the_report_shows_it(
    told: list[tuple[float, str | None]], tmp_path: Path
) -> None:
    path = tmp_path / "call.wav"
    path.write_bytes(wav(babble(6, seed=1)))
    media = open_media(path)
    report = examine(media, ASKED)
    record = json.loads(json.dumps(to_dict(report)))
    (found,) = (one for one in record["findings"] if one["detector"] == "speech_text")
    assert found["parts"][2]["where"]["span"] and "It is urgent." in found["parts"][2]["summary"]
    assert finding_of(from_dict(record)).facts == finding_of(report).facts
    out = io.StringIO()
    terminal.print_card(report, Console(file=out, width=200))
    shown = " ".join(out.getvalue().split())
    assert "A machine (Whisper base), which errs" in shown and "It is urgent." in shown
    page = html.page_of(html.render_section(report, media), "call.wav")
    assert "It is urgent." in page and "<b>now</b>" not in page and "&lt;b&gt;now" in page
    pytest.importorskip("fpdf")
    from bonafide.report import pdf

    pdf.write_pdf(record, tmp_path / "report.pdf", media)
    assert (tmp_path / "report.pdf").stat().st_size > 5_000


def test_without_a_recogniser_it_says_what_to_run(bare: Path, tmp_path: Path) -> None:
    with pytest.raises(MissingWeights, match="bonafide weights pull transcribe_base"):
        recognisers.find()
    report = examine(wav(babble(6, seed=1)), ASKED)
    finding = finding_of(report)
    assert finding.status is Status.FAILED
    assert "run: bonafide weights pull transcribe_base" in finding.why
    path = tmp_path / "call.wav"
    path.write_bytes(wav(babble(4, seed=1)))
    done = CliRunner().invoke(bonafide, ["scan", str(path), "--transcript"])
    assert isinstance(done.exception, BonafideError)  # before a file is opened
    assert "bonafide weights pull transcribe_base" in str(done.exception)


def test_it_is_not_asked_unless_it_is_asked_for() -> None:
    report = examine(wav(babble(4, seed=1)), Settings(threads=1))
    assert report.untested["speech_text"] == "it needs --transcript"


def test_silence_is_not_written_down(told: list[tuple[float, str | None]]) -> None:
    report = examine(wav(np.zeros(5 * RATE, np.float32)), ASKED)
    assert finding_of(report).status is Status.NOT_APPLICABLE and not told


def test_files_of_the_users_own_are_called_so(bare: Path, tmp_path: Path) -> None:
    assert recognisers.title(ENTRY, tmp_path) == "Whisper base, files of your own"
    assert recognisers.title(ENTRY, recognisers.folder_of(ENTRY)) == "Whisper base"


def test_another_file_is_refused(bare: Path) -> None:
    pytest.importorskip("faster_whisper")
    folder = recognisers.folder_of(ENTRY)
    folder.mkdir(parents=True)
    (folder / "model.bin").write_bytes(b"something else")
    with pytest.raises(BonafideError, match="is not what was fetched"):
        recognisers.hear(np.zeros(RATE, np.float32))


def test_real_words_are_written_down(tmp_path: Path) -> None:
    pytest.importorskip("faster_whisper")
    try:
        recognisers.find()
    except MissingWeights as error:
        pytest.skip(str(error))
    if shutil.which("espeak-ng") is None:
        pytest.skip("espeak-ng is not installed")
    path = tmp_path / "said.wav"
    text = "Good morning. Please send the letter to my sister. The weather is very nice today."
    subprocess.run(["espeak-ng", "-v", "en-us", "-w", str(path), text], check=True)
    finding = finding_of(examine(path, ASKED))
    assert finding.status is Status.OK, finding.why
    heard = finding.summary.casefold()
    wanted = ("good", "morning", "please", "letter", "sister", "weather", "nice", "today")
    assert sum(word in heard for word in wanted) >= 6
    assert finding.facts["language"] == "en"
    spans = [measured.where.span for measured, _ in finding.parts[1:]]
    assert all(one and 0 <= one.start <= one.end < 10 for one in spans)
