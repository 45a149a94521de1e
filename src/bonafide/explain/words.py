"""Findings and verdict as plain sentences, without a language model.

Every sentence restates a field of the findings or the verdict, so none can be invented.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from bonafide import registry
from bonafide.errors import BonafideError
from bonafide.evidence.answers import LAUNDERED
from bonafide.evidence.verdict import evidence_words, shows_probability
from bonafide.types import (
    ACCUSATIONS,
    Answer,
    Decision,
    EditedRegion,
    EditKind,
    Edits,
    Event,
    Finding,
    Label,
    MediaFacts,
    Question,
    Stability,
    Statement,
    Status,
    Verdict,
    Where,
)

_NAMES: Mapping[Label, str] = {
    Label.AI_GENERATED: "AI-generated",
    Label.DECLARED_AI: "Declares AI",
}
VERDICT_WORDS: Mapping[Label, str] = {
    label: _NAMES.get(label, label.value.replace("_", " ").capitalize()) for label in Label
}

_MEANINGS: Mapping[Label, str] = {
    Label.AI_GENERATED: "The evidence says that a generator made this.",
    Label.MANIPULATED: "The evidence says that this was changed after it was captured or signed.",
    Label.FACE_FORGED: "The evidence says that a face in this was forged.",
    Label.VOICE_CLONED: "The evidence says that a voice in this is synthetic.",
    Label.SPOOFED: "The evidence says that this shows a print, a screen or a mask, not a live "
    "face.",
    Label.MISCAPTIONED: "The evidence says that the caption does not belong to this.",
    Label.AUTHENTICATED: "A trusted signature covers this file, and the file is unchanged since.",
    Label.DECLARED_AI: "The file itself says that it was made by AI, but anyone could have written "
    "that.",
    Label.NO_TRACE_FOUND: "None of the tests that ran found anything unusual.",
    Label.INCONCLUSIVE: "The evidence is not enough for a verdict.",
}
VERDICT_MEANING: Mapping[Label, str] = {
    label: _MEANINGS.get(label) or f"The evidence says: {ACCUSATIONS[label].words}."
    for label in Label
}

KIND_WORDS: Mapping[EditKind, str] = {
    EditKind.CLONE: "repeats another part of the picture",
    EditKind.SPLICE: "has a processing history of its own, as a pasted part has",
    EditKind.REGENERATED: "looks generated, the rest does not",
    EditKind.UNKNOWN: "differs from the rest; how it was changed is unknown",
}
MOST_REGIONS_SAID = 3
ODDS = "Probabilities at even odds before looking"
UNANSWERED = "Tests that gave no answer"


def explain(
    media: MediaFacts,
    findings: Sequence[Finding],
    verdict: Verdict,
    stability: Stability | None = None,
    edits: Edits | None = None,
) -> tuple[str, ...]:
    """Say what the verdict means, what moved it, what was not tested, and how far to trust it.

    Args:
        media: the file's own facts.
        findings: all findings of the report.
        verdict: the verdict drawn from them.
        stability: how it held on changed copies, where that was asked for.
        edits: where it was changed, where maps could say.

    Returns:
        Sentences in reading order.
    """
    return tuple(one.text for one in statements(media, findings, verdict, stability, edits))


def statements(
    media: MediaFacts,
    findings: Sequence[Finding],
    verdict: Verdict,
    stability: Stability | None = None,
    edits: Edits | None = None,
) -> tuple[Statement, ...]:
    """The sentences of `explain`, each with what it rests on."""
    said = [Statement(VERDICT_MEANING[verdict.label], ("verdict",))]
    moved = {reason.detector for reason in verdict.because}
    regions = edits.regions if edits else ()
    cited = [f"region.{number}" for number in range(1, len(regions) + 1)]
    said += [
        Statement(text, tuple(cited[number:] if number == MOST_REGIONS_SAID else [cited[number]]))
        for number, text in enumerate(where(edits))
    ]
    said += [
        Statement(reason.text, (f"finding.{reason.detector}",))
        for reason in verdict.because[:4]
        if reason.text
    ]
    said += [
        Statement(finding.summary, (f"finding.{finding.detector}",))
        for finding in findings
        if finding.detector not in moved and _worth_saying(finding)
    ]
    for finding in findings:
        own = (f"finding.{finding.detector}",)
        said += [Statement(text, own) for text in reservations(finding, finding.detector in moved)]
    said += _assessments(verdict)
    if stability is not None and stability.text != verdict.caveat:
        said.append(Statement(stability.text, ("stability",)))
    silent = [finding for finding in findings if finding.status is not Status.OK]
    if silent:
        named = "; ".join(f"{title(finding.detector)} ({finding.why})" for finding in silent[:6])
        more = f"; and {len(silent) - 6} more" if len(silent) > 6 else ""
        unanswered = tuple(f"finding.{finding.detector}" for finding in silent)
        said.append(Statement(f"{UNANSWERED}: {named}{more}.", unanswered))
    said.append(Statement(verdict.caveat, ("verdict",)))
    return tuple(said)


def where(edits: Edits | None) -> list[str]:
    """A sentence for each of the largest regions, and one for the others."""
    regions = edits.regions if edits else ()
    sentences = [f"{place(region)}, {tell(region)}" for region in regions[:MOST_REGIONS_SAID]]
    if len(regions) > MOST_REGIONS_SAID:
        more = len(regions) - MOST_REGIONS_SAID
        are = "regions are" if more > 1 else "region is"
        sentences.append(f"{more} smaller {are} marked as well.")
    return sentences


def place(region: EditedRegion) -> str:
    """Where a region lies and how large it is."""
    covered = 100 * region.share
    share = f"{covered:.0f}" if covered >= 10 else f"{max(covered, 0.1):.1f}"
    return (
        f"The region of {region.width} × {region.height} pixels at ({region.x}, {region.y}), "
        f"{share} % of the picture"
    )


def tell(region: EditedRegion) -> str:
    """What was done to a region and which detectors agree that something was, one sentence."""
    names = [title(detector) for detector in region.detectors]
    agree = " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)
    by = f"marked by {agree}" if len(names) == 1 else f"{agree} agree"
    return f"{_done(region)} ({by})."


def _done(region: EditedRegion) -> str:
    if region.kind is not EditKind.CLONE or region.other is None:
        return KIND_WORDS[region.kind]
    there = f"({region.other.x}, {region.other.y})"
    return {
        "source": f"was copied from {there}",
        "target": f"was copied to {there}",
    }.get(region.other.role, f"has the same content as the part at {there}")


def title(detector: str) -> str:
    """The plain name of a detector, made from its id where it is not installed here."""
    try:
        return registry.card(detector).title
    except BonafideError:
        return detector.replace("_", " ").capitalize()


def percent(probability: float | None) -> str:
    """A probability in words a reader cannot mistake for certainty; "not assessed" for None."""
    if probability is None or math.isnan(probability):
        return "not assessed"
    if probability < 0.01:
        return "below 1 %"
    if probability > 0.99:
        return "above 99 %"
    return f"{100 * probability:.0f} %"


def strength(answer: Answer | None) -> str:
    """A probability where the evidence is strong enough to state one, else how little there is.

    "97 %", "weak evidence", "no evidence", or "not assessed" where nothing calibrated spoke.
    """
    if answer is None or answer.probability is None:
        return percent(None)
    if answer.p_value is not None:
        return percent(answer.probability) if shows_probability(answer) else evidence_words(answer)
    if answer.decision is Decision.ACCUSED:  # a report of 0.1, which did not record p-values
        return percent(answer.probability)
    return "weak evidence" if answer.probability >= 0.5 else "no evidence"


def about(where: Where) -> str:
    """A place in a media in a few words, "" for the whole file: "face 2, 0:03.0 to 0:05.5"."""
    parts = [where.subject.replace("_", " ").strip()] if where.subject else []
    if where.track and not parts and where.span is None:
        parts.append(f"{where.track} track")
    if where.span is not None:
        start, end = clock(where.span.start), clock(where.span.end)
        parts.append(start if start == end else f"{start} to {end}")
    if where.box is not None:
        box = where.box
        parts.append(f"{box.width} × {box.height} pixels at ({box.x}, {box.y})")
    return ", ".join(parts)


def clock(seconds: float) -> str:
    """A time in a media, to a tenth of a second: "0:03.2", "1:02:03.0"."""
    tenths = round(10 * max(seconds, 0.0)) if math.isfinite(seconds) else 0
    minutes, rest = divmod(tenths, 600)
    hours, minutes = divmod(minutes, 60)
    past = f"{hours}:{minutes:02d}" if hours else f"{minutes}"
    return f"{past}:{rest / 10:04.1f}"


def history(finding: Finding) -> list[Event]:
    """What a finding tells of the file's history, as its detector's card reads the facts."""
    if finding.status is not Status.OK:
        return []
    try:
        return list(registry.card(finding.detector).history(finding.facts))
    except (BonafideError, ImportError):  # not installed here
        return []
    except (TypeError, ValueError, KeyError, AttributeError, IndexError):
        return []  # facts of a stored report that another version of the detector wrote


def _worth_saying(finding: Finding) -> bool:
    """What is not weighed and must not be missed, or answers what was asked for."""
    if finding.status is not Status.OK:
        return False
    if not finding.question.asked:
        return True
    if finding.question is not Question.PROVENANCE:
        return False
    stands = finding.hit or finding.main.contradiction or finding.claim is not None
    return stands or any(event.standing != "stated" for event in history(finding))


def reservations(finding: Finding, moved: bool) -> list[str]:
    """What keeps a finding from being taken at its word; limits of those that moved the verdict."""
    said = []
    if (finding.main.laundered or 0.0) >= LAUNDERED and (finding.llr or 0.0) > 0:
        said.append(
            f"What {title(finding.detector)} found is more like a photograph that went through an "
            "autoencoder, an upscaler or an enhancer than like a picture made from nothing."
        )
    if moved and finding.calibrated and finding.calibrated.warnings:
        said.append(
            f"{title(finding.detector)} was not calibrated on files like this one. "
            f"{' '.join(finding.calibrated.warnings)}"
        )
    return said


def _assessments(verdict: Verdict) -> list[Statement]:
    spoken, cited, counted = [], [], dict[Question, int]()
    for answer in verdict.answers:
        counted[answer.question] = number = counted.get(answer.question, 0) + 1
        if answer.probability is not None:
            subject = ", ".join(filter(None, (answer.question.words, about(answer.where))))
            spoken.append(f"{subject}: {strength(answer)}")
            cited.append(f"answer.{answer.question.value}{'' if number == 1 else f'.{number}'}")
    if not spoken:
        return []
    text = f"{ODDS}: {'; '.join(spoken)}."
    return [Statement(text, tuple(cited))]
