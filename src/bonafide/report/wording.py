"""The words and plain text shared by the terminal and the page, safe for both.

Whatever comes from a file (names, metadata, prompts) may try to pass for something else: control
characters, terminal escapes and characters that reverse the reading direction are shown by
their code, never obeyed.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bonafide import registry
from bonafide.errors import InvalidDetector, UnknownDetector
from bonafide.explain import words
from bonafide.explain.words import VERDICT_MEANING, VERDICT_WORDS
from bonafide.explain.words import clock as clock
from bonafide.languages.speak import gettext as _
from bonafide.languages.speak import noop, sentence, told
from bonafide.types import (
    ACCUSATIONS,
    WHOLE,
    Answer,
    Card,
    Carrier,
    Decision,
    Fact,
    Finding,
    Label,
    Question,
    Report,
    Series,
    Stability,
    Status,
    Where,
)

SHORT_FACT = 200  # characters; longer text is not ours
WEAK_SIGN = 0.4  # log-likelihood ratio from which a finding under its threshold is a weak sign


@dataclass(frozen=True)
class Words:
    """How a verdict is shown; name and meaning are English, `told` has them in other languages.

    Attributes:
        name: the verdict in one to three words.
        meaning: what it says and what it does not, one sentence.
        symbol: a shape of its own, so that colour never carries the meaning alone.
        plain_symbol: the same in ASCII.
        colour: name of a terminal colour.
    """

    name: str
    meaning: str
    symbol: str
    plain_symbol: str
    colour: str


# A shape, the same in ASCII, and a terminal colour. Other accusations take those of their question.
_SHAPES: Mapping[Label, tuple[str, str, str]] = {
    Label.AI_GENERATED: ("◆", "*", "magenta"),
    Label.MANIPULATED: ("▲", "!", "red"),
    Label.FACE_FORGED: ("■", "#", "red"),
    Label.VOICE_CLONED: ("♪", "~", "red"),
    Label.SPOOFED: ("▣", "@", "red"),
    Label.MISCAPTIONED: ("¶", "&", "red"),
    Label.AUTHENTICATED: ("✔", "+", "green"),
    Label.DECLARED_AI: ("◇", "%", "magenta"),
    Label.NO_TRACE_FOUND: ("○", "-", "cyan"),
    Label.INCONCLUSIVE: ("◐", "?", "yellow"),
}


def _shape(label: Label) -> tuple[str, str, str]:
    return _SHAPES.get(label) or (ACCUSATIONS[label].symbol, label.value[0].upper(), "red")


VERDICTS: Mapping[Label, Words] = {
    label: Words(VERDICT_WORDS[label], VERDICT_MEANING[label], *_shape(label)) for label in Label
}
FAILURE = Words(
    sentence("Not examined"),
    sentence("This file could not be examined."),
    "✖",
    "x",
    "bright_black",
)

# Controls, direction marks and overrides, invisible operators, lone surrogates (undecodable bytes
# of a file name), tag characters. Joiners (U+200C, U+200D) stay: scripts and emoji need them.
_UNSAFE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f"
    "\ud800-\udfff\ufeff\ufff9-\ufffb\U000e0000-\U000e007f]"
)


def clean(text: str) -> str:
    """`text` with every character that could steer a terminal or a page written as its code.

    Tabs and line feeds are kept.
    """
    return _UNSAFE.sub(_code, text.replace("\r\n", "\n"))


def one_line(text: str, longest: int = 400) -> str:
    """`clean` text on a single line of at most `longest` characters."""
    line = " ".join(clean(text[: 4 * longest]).split())
    return line if len(line) <= longest else line[: longest - 1] + "…"


def _code(match: re.Match[str]) -> str:
    number = ord(match.group())
    return f"\\x{number:02x}" if number < 0x100 else f"\\u{number:04x}"


def question(asked: Question) -> str:
    """A question in a few words, with a capital."""
    return told(asked.words[:1].upper() + asked.words[1:])


def title(detector: str) -> str:
    """The plain name of a detector, made from its id where it is not installed here."""
    return told(words.title(detector))


def percent(probability: float | None) -> str:
    """A probability in words a reader cannot mistake for certainty; "not assessed" for None."""
    return told(words.percent(probability))


def strength(answer: Answer | None) -> str:
    """A probability where the evidence is strong enough to state one, else how little there is."""
    return told(words.strength(answer))


def stated(answer: Answer | None) -> bool:
    """Whether `strength` states a probability."""
    return words.strength(answer).endswith("%")


def about(where: Where) -> str:
    """A place in a media in a few words, "" for the whole file."""
    place = words.about(where)
    return told(place) if place else ""


def answers(report: Report) -> list[tuple[Question, Answer | None]]:
    """The questions to show an answer for: those that this kind of media is asked by default.

    Questions that have to be asked for appear where they were answered. Answers about one place
    or subject follow that about the whole file.
    """
    shown: list[tuple[Question, Answer | None]] = []
    for asked in ACCUSATIONS.values():
        given = [answer for answer in report.verdict.answers if answer.question is asked]
        given.sort(key=lambda answer: answer.where != WHOLE)
        usual = asked.asked and report.media.kind in asked.kinds
        if not usual:
            given = [one for one in given if one.decision is not Decision.NOT_ASSESSED]
        shown += [(asked, answer) for answer in given] or ([(asked, None)] if usual else [])
    return shown


def asked_about(asked: Question, answer: Answer | None) -> str:
    """A question and what part of the file its answer is about."""
    part = about(answer.where) if answer else ""
    return (
        _("%(question)s, %(part)s", question=question(asked), part=part)
        if part
        else question(asked)
    )


CARRIERS: Mapping[Carrier, str] = {
    Carrier.TRUSTED_SIGNATURE: noop("trusted signature"),
    Carrier.INTERIM_SIGNATURE: noop("signature of a signer on the interim list"),
    Carrier.VALID_SIGNATURE: noop("valid signature of an unknown signer"),
    Carrier.WATERMARK: noop("watermark"),
    Carrier.BROKEN_SIGNATURE: noop("signature that does not hold"),
    Carrier.UNSIGNED_TEXT: noop("unsigned text"),
}


def limit(threshold: float) -> str:
    """The score from which a finding counts; some count at no score."""
    return number(threshold) if math.isfinite(threshold) else _("no score")


def along(series: Series, most: int = 200) -> str:
    """Times and values of a series, one pair a line, at most `most` of them."""
    pairs = list(zip(series.times.tolist(), series.values.tolist(), strict=True))
    lines = [f"{clock(time)}  {_fact(value)}" for time, value in pairs[:most]]
    more = [f"… ({len(pairs)})"] if len(pairs) > most else []
    return "\n".join(lines + more)


def rate(share: float) -> str:
    """A false-positive rate such as "0.8 %", with two significant digits."""
    return told(f"{100 * share:.2g} %" if share > 0 else "0 %")


def number(value: float) -> str:
    """A number with four significant digits and no needless zeros."""
    return told(plain_number(value))


def plain_number(value: float) -> str:
    """The same in English, for sentences that are translated as a whole."""
    if isinstance(value, int) or value.is_integer():
        return f"{value:,.0f}" if abs(value) >= 10_000 else f"{value:.0f}"
    return f"{value:,.4g}" if 1e-3 <= abs(value) < 1e6 else f"{value:.3g}"


def fact_text(value: Fact, longest: int = 2000) -> str:
    """A fact as text for reading, at most about `longest` characters."""
    if isinstance(value, str) and len(value) > SHORT_FACT:
        return _fact(value, longest)
    return told(_fact(value, longest))


def _fact(value: Fact, longest: int = 2000) -> str:
    if value is None:
        return sentence("none")
    if isinstance(value, bool):
        return sentence("yes") if value else sentence("no")
    if isinstance(value, int):
        return str(value)  # a seed or a tag, too, is a whole number
    if isinstance(value, float):
        return plain_number(value) if math.isfinite(value) else str(value)
    if isinstance(value, str):
        text = value
    elif isinstance(value, list) and all(not isinstance(item, list | dict) for item in value):
        text = ", ".join(_fact(item, longest) for item in value[:100])
        text += f" … ({len(value)} in all)" if len(value) > 100 else ""
    else:
        text = json.dumps(value, ensure_ascii=False, indent=1, default=str)
    text = clean(text[: longest + 1])
    return text if len(text) <= longest else f"{text[:longest]} …"


def moment(iso: str) -> str:
    """An ISO 8601 time for reading, unchanged where it is not in UTC."""
    return told(f"{iso[:10]} {iso[11:19]} UTC") if iso.endswith("+00:00") else iso


def likelihood(llr: float | None) -> str:
    """What a log-likelihood ratio amounts to, as a ratio a court would read."""
    if llr is None:
        return _("a fact, not weighed")
    ratio = math.exp(min(abs(llr), 40.0))
    if ratio < 1.05:
        return _("moves nothing")
    shown = f"{ratio:.1f}" if ratio < 9.95 else f"{ratio:,.0f}"
    if ratio > 1_000_000:
        shown = "over 1,000,000"
    if llr > 0:
        return _("%(ratio)s times likelier if true", ratio=told(shown))
    return _("%(ratio)s times likelier if not true", ratio=told(shown))


def headline(report: Report) -> str:
    """The one sentence for a list of many files."""
    verdict = report.verdict
    if verdict.because and verdict.label is not Label.NO_TRACE_FOUND:
        return told(verdict.because[0].text)
    return told(VERDICTS[verdict.label].meaning)


def state(finding: Finding) -> tuple[str, str]:
    """How a finding came out: a class name for styling, and words."""
    if finding.status is Status.FAILED:
        return "failed", _("Failed")
    if finding.status is Status.NOT_APPLICABLE:
        return "skipped", _("Not applicable")
    if finding.claim is not None:
        good = finding.claim.label is Label.AUTHENTICATED
        stated = _(
            "States: %(label)s (%(carrier)s)",
            label=told(VERDICT_WORDS[finding.claim.label]),
            carrier=_(CARRIERS[finding.claim.carrier]),
        )
        return ("good" if good else "hit"), stated
    if finding.question is Question.PROVENANCE:
        hit = finding.hit or finding.main.contradiction
        return ("hit", _("Contradiction found")) if hit else ("note", _("For information"))
    if finding.score is None:
        return "note", _("For information")
    if finding.calibrated is None:
        return "note", _("Measured, not calibrated")
    if finding.hit:
        return "hit", _("Trace found")
    weak = finding.llr is not None and finding.llr >= WEAK_SIGN
    return ("note", _("Weak sign")) if weak else ("quiet", _("No trace"))


def card(detector: str) -> Card | None:
    """The card of a detector, None where it is not installed here."""
    try:
        return registry.card(detector)
    except (UnknownDetector, InvalidDetector, ImportError):
        return None


def method(detector: str) -> dict[str, str]:
    """Heading → text, without back-ticks, of a detector's docstring; {} if not installed here."""
    if card(detector) is None:
        return {}
    sections: dict[str, str] = {}
    heading = ""
    base = detector.removesuffix(registry.FRAMES)  # on frames it is the same method
    for line in (registry.module(base).__doc__ or "").splitlines():
        if line and not line[0].isspace():
            heading = line.strip()
            sections[heading] = ""
        elif heading:
            sections[heading] = f"{sections[heading]} {line.strip()}".strip()
    return {name: text.replace("`", "") for name, text in sections.items() if text}


def ordered(report: Report) -> list[Finding]:
    """Findings that say something, those that moved the verdict first, then hits, then the rest."""
    moved = {reason.detector: index for index, reason in enumerate(report.verdict.because)}
    rank = {"hit": 0, "good": 0, "note": 1, "quiet": 2}
    spoke = [finding for finding in report.findings if finding.status is Status.OK]
    return sorted(
        spoke, key=lambda f: (moved.get(f.detector, len(moved)), rank.get(state(f)[0], 3))
    )


def extent(probabilities: Sequence[float]) -> str:
    """From the least to the greatest of some probabilities, "64 % to 97 %"."""
    low, high = percent(min(probabilities)), percent(max(probabilities))
    return low if low == high else _("%(low)s to %(high)s", low=low, high=high)


def moved(report: Report) -> list[tuple[Question, list[float]]]:
    """Question → its probability on each changed copy that was a fair test of it.

    Only questions of which the probability is stated for the file as it is.
    """
    held = report.stability
    shown = {asked for asked, answer in answers(report) if answer and stated(answer)}
    if held is None:
        return []
    return [
        (
            question,
            [v.probabilities[question] for v in held.variants if question in v.probabilities],
        )
        for question in Question
        if question in shown and any(question in variant.probabilities for variant in held.variants)
    ]


def not_tried(held: Stability) -> list[str]:
    """Which changes were not tried and why, those of one reason together."""
    by_reason: dict[str, list[str]] = {}
    for name, why in held.skipped.items():
        by_reason.setdefault(why, []).append(name)
    return [
        _("Not tried: %(names)s: %(why)s", names=", ".join(names), why=told(why))
        for why, names in by_reason.items()
    ]


def untested(report: Report) -> list[tuple[str, str, str]]:
    """(detector, what happened, why in English) for every test that gave no answer."""
    rows = [
        (finding.detector, state(finding)[1], finding.why)
        for finding in report.findings
        if finding.status is not Status.OK
    ]
    return rows + [(one, _("Not asked"), why) for one, why in report.untested.items()]
