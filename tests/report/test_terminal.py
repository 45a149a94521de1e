"""What the terminal shows, and what it must not obey."""

from __future__ import annotations

import io
import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from bonafide.report import terminal, wording
from bonafide.types import WHOLE, Answer, Decision, Failure, Label, Question, Report


def shown(
    outcome: Report | Failure, line: bool = False, width: int = 100, tty: bool = False
) -> str:
    out = io.StringIO()
    console = Console(
        file=out, width=width, force_terminal=tty, color_system="standard" if tty else None
    )
    (terminal.print_line if line else terminal.print_card)(outcome, console)  # type: ignore[arg-type]
    return out.getvalue()


def test_the_card_says_everything_once(report: Report) -> None:
    text = " ".join(shown(report, width=200).split())
    told = ("▲ Manipulated", "above 99 %", "inconclusive", "not assessed", report.verdict.caveat)
    for words in told:
        assert words in text
    assert "Not tested (3): cfa_pattern, prnu, patchmatch_moves" in text
    for reason in report.verdict.because:
        assert reason.text in text
    assert [row for row in ("jpeg_ghost", "Trace found", "18.42") if row not in text] == []


def test_a_question_of_other_media_is_not_listed_as_unanswered(report: Report) -> None:
    other = Answer(Question.VOICE_CLONED, WHOLE, None, None, Decision.NOT_ASSESSED)
    drawn = replace(report.verdict, answers=(*report.verdict.answers, other))
    assert "Synthetic speech" not in shown(replace(report, verdict=drawn))


@pytest.mark.parametrize("width", [20, 40, 80, 300])
def test_no_line_is_wider_than_the_screen(checked: Report, width: int) -> None:
    assert all(len(line) <= width for line in shown(checked, width=width).splitlines())


def test_changed_copies_and_limits_are_shown(checked: Report) -> None:
    text = " ".join(shown(checked, width=200).split())
    for words in (
        "On 1 of 1 mildly changed copies it falls.",
        "as it is above 99 %",
        "saved as JPEG at quality 90 31 %",
        "reduced to 50 % (strong) 42 %",
        "all copies 31 % to 42 %",
        "Not tried: crop:1: no time was left",
        "Outside the calibrated range: Its JPEG quality is 20.",
    ):
        assert words in text


def test_a_line_per_file(report: Report, quiet: Report, failure: Failure) -> None:
    for outcome in (report, quiet, failure):
        assert shown(outcome, line=True).count("\n") == 1
    assert shown(report, line=True).startswith("▲ Manipulated")
    assert "broken.jpg  the pixels cannot be decoded" in shown(failure, line=True, width=30)
    assert len(shown(report, line=True, width=40, tty=True).splitlines()) == 1


def test_markup_and_escapes_in_names_are_printed_not_obeyed(report: Report) -> None:
    name = "[bold red]x[/] \x1b[2J\x1b]8;;http://a\x07link\u202e\x9b31m\nnew line.jpg"
    hostile = replace(report, media=replace(report.media, name=name))
    for line in (True, False):
        text = shown(hostile, line=line, width=200)
        assert "[bold red]x[/] \\x1b[2J\\x1b]8;;http://a\\x07link\\u202e\\x9b31m new" in text
        assert not any(sign in text for sign in "\x1b\x07\x9b\u202e")


@given(st.text())
def test_clean_text_has_no_control_characters(text: str) -> None:
    cleaned = wording.clean(text + "\x1b\u202e\udc80")
    assert all(ch in "\t\n" or (ord(ch) >= 0x20 and not 0x7F <= ord(ch) < 0xA0) for ch in cleaned)
    cleaned.encode("utf-8")
    assert "\n" not in wording.one_line(text)


@pytest.mark.parametrize("label", list(Label))
def test_verdicts_are_told_apart_without_colour_and_without_unicode(
    report: Report, label: Label
) -> None:
    told = replace(report, verdict=replace(report.verdict, label=label))
    raw = io.BytesIO()
    out = io.TextIOWrapper(raw, "ascii")
    terminal.print_line(replace(told, verdict=replace(told.verdict, because=())), Console(file=out))
    out.flush()
    assert raw.getvalue().decode().startswith(wording.VERDICTS[label].plain_symbol)
    symbols = [words.symbol for words in wording.VERDICTS.values()]
    plain = [words.plain_symbol for words in wording.VERDICTS.values()]
    assert len(set(symbols)) == len(set(plain)) == len(Label)


@pytest.mark.parametrize(
    ("probability", "told"),
    [(None, "not assessed"), (0.0, "below 1 %"), (1.0, "above 99 %"), (0.5, "50 %")],
)
def test_no_probability_reads_as_certainty(probability: float | None, told: str) -> None:
    assert wording.percent(probability) == told


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (True, "yes"), (None, "none"), (123456789, "123456789"), (0.1423123, "0.1423"),
        (2.0, "2"), (1e-9, "1e-09"), ([1, 2.5, "a"], "1, 2.5, a"), (float("inf"), "inf"),
    ],
)  # fmt: skip
def test_facts_read_well(value: wording.Fact, told: str) -> None:
    assert wording.fact_text(value) == told


@pytest.mark.parametrize(
    ("llr", "told"),
    [(None, "not weighed"), (0.0, "nothing"), (3.0, "20 times likelier if true"),
     (-3.0, "if not true"), (500.0, "over 1,000,000")],
)  # fmt: skip
def test_likelihood_in_words(llr: float | None, told: str) -> None:
    assert told in wording.likelihood(llr)


def test_regions_are_named_in_a_line_each(marked: Report) -> None:
    text = " ".join(shown(marked, width=200).split())
    assert "Where The region of 184 × 180 pixels at (120, 70), 14 % of the picture, has a" in text
    assert "was copied from (60, 240)" in text


def test_scores_along_time_take_a_line_each(video_report: Report, sound_report: Report) -> None:
    text = " ".join(shown(video_report, width=200).split())
    assert "frame by frame" in text
    assert "█" in text
    assert re.search(r"to 0:08\.0\. Highest: [\d.]+ at 0:0\d\.\d, .* Counts from 0\.8\.", text)
    text = shown(sound_report, width=200)
    assert re.search(r"[▁-█]+ +[▁-█]+ to 0:30\.0", text)  # nobody spoke in between


def test_scores_along_time_in_ascii(video_report: Report) -> None:
    raw = io.BytesIO()
    out = io.TextIOWrapper(raw, "ascii", errors="replace")
    terminal.print_card(video_report, Console(file=out, width=120))
    out.flush()
    assert re.search(r"frame [_.\-=+*%#]{16} to 0:08", raw.getvalue().decode())


@pytest.mark.parametrize(
    ("seconds", "told"),
    [(0, "0:00.0"), (3.21, "0:03.2"), (59.96, "1:00.0"), (3723, "1:02:03.0"), (-1, "0:00.0")],
)
def test_times_read_well(seconds: float, told: str) -> None:
    assert wording.clock(seconds) == told
