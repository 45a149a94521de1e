"""Findings and verdict as plain sentences, without a language model.

Every sentence restates a field of the findings or the verdict, so none can be invented.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from bonafide import registry
from bonafide.errors import BonafideError
from bonafide.evidence.verdict import laundered
from bonafide.types import (
    EditedRegion,
    EditKind,
    Edits,
    Finding,
    Label,
    MediaFacts,
    Question,
    Stability,
    Status,
    Verdict,
)

VERDICT_WORDS: Mapping[Label, str] = {
    Label.AI_GENERATED: "AI-generated",
    Label.MANIPULATED: "Manipulated",
    Label.FACE_FORGED: "Face forged",
    Label.AUTHENTICATED: "Authenticated",
    Label.NO_TRACE_FOUND: "No trace found",
    Label.INCONCLUSIVE: "Inconclusive",
}

VERDICT_MEANING: Mapping[Label, str] = {
    Label.AI_GENERATED: "The evidence says that this was made by a generator.",
    Label.MANIPULATED: "The evidence says that this was changed after it was captured or signed.",
    Label.FACE_FORGED: "The evidence says that a face in it was forged.",
    Label.AUTHENTICATED: "A trusted signature covers this file, and the file is unchanged since.",
    Label.NO_TRACE_FOUND: "None of the tests that ran found anything unusual.",
    Label.INCONCLUSIVE: "The evidence does not suffice for a verdict either way.",
}

QUESTION_WORDS: Mapping[Question, str] = {
    Question.SYNTHETIC: "made by a generator",
    Question.EDITED: "edited after capture",
    Question.FACE_FORGED: "face forged",
    Question.SPOOFED: "presentation attack",
    Question.PROVENANCE: "what the file says about itself",
}

KIND_WORDS: Mapping[EditKind, str] = {
    EditKind.CLONE: "repeats another part of the picture",
    EditKind.SPLICE: "has a history of its own, as a pasted part has",
    EditKind.REGENERATED: "looks generated while the rest does not",
    EditKind.UNKNOWN: "differs from the rest; in what way it was changed cannot be told",
}
MOST_REGIONS_SAID = 3


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
    sentences = [VERDICT_MEANING[verdict.label]]
    moved = {reason.detector for reason in verdict.because}
    sentences += where(edits)
    sentences += [reason.text for reason in verdict.because[:4] if reason.text]
    sentences += [
        finding.summary
        for finding in findings
        if finding.detector not in moved and _worth_saying(finding)
    ]
    for finding in findings:
        sentences += _reservations(finding, finding.detector in moved)
    sentences += _assessments(verdict)
    if stability is not None and stability.text != verdict.caveat:
        sentences.append(stability.text)
    silent = [finding for finding in findings if finding.status is not Status.OK]
    if silent:
        named = "; ".join(f"{title(finding.detector)} ({finding.why})" for finding in silent[:6])
        more = f" and {len(silent) - 6} more" if len(silent) > 6 else ""
        sentences.append(f"Tests that could not be made: {named}{more}.")
    sentences.append(verdict.caveat)
    return tuple(sentences)


def where(edits: Edits | None) -> list[str]:
    """A sentence for each of the largest regions, and one for the others."""
    regions = edits.regions if edits else ()
    sentences = [f"{place(region)}, {tell(region)}" for region in regions[:MOST_REGIONS_SAID]]
    if len(regions) > MOST_REGIONS_SAID:
        sentences.append(f"{len(regions) - MOST_REGIONS_SAID} smaller regions are marked as well.")
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
        "source": f"was copied from the place at {there}",
        "target": f"was copied to the place at {there}",
    }.get(region.other.role, f"has the same content as the place at {there}")


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


def _worth_saying(finding: Finding) -> bool:
    """Provenance that is not weighed but that a reader must not miss."""
    if finding.question is not Question.PROVENANCE or finding.status is not Status.OK:
        return False
    hit = finding.threshold is not None and (finding.score or 0.0) >= finding.threshold
    return hit or finding.facts.get("state", "none") != "none"


def _reservations(finding: Finding, moved: bool) -> list[str]:
    """What keeps a finding from being taken at its word; limits of those that moved the verdict."""
    said = []
    if laundered(finding) and (finding.llr or 0.0) > 0:
        said.append(
            f"What {title(finding.detector)} found is more like a photograph that went through an "
            "autoencoder, upscaler or enhancer than like one generated from nothing."
        )
    if moved and finding.outside:
        said.append(
            f"{title(finding.detector)} was not calibrated on files like this one. "
            f"{' '.join(finding.outside)}"
        )
    return said


def _assessments(verdict: Verdict) -> list[str]:
    spoken = [
        f"{QUESTION_WORDS[question]}: {percent(probability)}"
        for question, probability in verdict.probabilities.items()
        if probability is not None
    ]
    if not spoken:
        return []
    return [f"Probabilities if either answer had been equally likely before: {'; '.join(spoken)}."]
