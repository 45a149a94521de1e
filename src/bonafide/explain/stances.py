"""What a sentence affirms, denies or accuses of, beside what is cited for it."""

from __future__ import annotations

import re

from bonafide.explain import lexicon, reading
from bonafide.explain.citable import Citable, Stance
from bonafide.explain.reading import Clause
from bonafide.explain.scope import Problem, Scope
from bonafide.types import ACCUSATIONS, Label, Question

_OVER = re.compile(
    r"\b(above|over|beyond|reach(?:es|ed)?|exceed(?:s|ed)?|pass(?:es|ed)?|cross\w*)\b"
)
_UNDER = re.compile(r"\b(below|under|short of|lower than|less than|not reach|beneath)\b")
_REGION = re.compile(r"\b(region|part|area|patch|place|rectangle|spot)s?\b")
_STRENGTH = re.compile(r"\b(strong|some|weak|no)\s+evidence\b")
_DECLARES = re.compile(
    r"\b(metadata|file itself|file|credentials|signer|signature|manifest|exif|software|watermark)\b"
    r"[^.;]*\b(states?|says?|declares?|names?|claims?|lists?|carries|records?)\b"
)


def problem(scope: Scope) -> Problem | None:
    """The first rule on claims that a sentence breaks; None if it breaks none."""
    for clause in scope.clauses:
        if scope.repeats(clause):
            continue
        found = _silent(scope, clause)
        if found is None and lexicon.SILENT.search(clause.text.lower()):
            continue
        found = (
            found
            or _genuine(scope, clause)
            or _accusation(scope, clause)
            or _strength(scope, clause)
            or _threshold(scope, clause)
            or _outcome(scope, clause)
            or _reversed(scope, clause)
        )
        if found is not None:
            return found
    return None


def _silent(scope: Scope, clause: Clause) -> Problem | None:
    """A test that gave no answer may only be said to have given none."""
    about = scope.about(clause)
    quiet = [one for one in about if one.stance is Stance.SILENT]
    says_so = lexicon.SILENT.search(clause.text.lower()) is not None
    if says_so and len(quiet) < len(about):
        other = next(one for one in about if one.stance is not Stance.SILENT)
        return Problem("silent", f"{other.label} did give an answer.")
    if (
        quiet
        and not says_so
        and (scope.affirms(clause) or clause.denies)
        and not (scope.grounded(clause))
    ):
        return Problem("silent", f"{quiet[0].label} gave no answer.")
    return None


def _genuine(scope: Scope, clause: Clause) -> Problem | None:
    """Only a verdict from a trusted signature may be called authenticated; nothing else."""
    spoken = reading.words(clause.text)
    found = [word for word in spoken if word in lexicon.GENUINE]
    if not found:
        return None
    denied = reading.negations(clause.text)
    # "Not a proof of authenticity": what it denies is the proof.
    if denied and any(word in lexicon.PROOF for word in spoken):
        return None
    if scope.grounded(clause) and not denied:
        allowed = scope.report.verdict.label is Label.AUTHENTICATED
        signed = [one for one in scope.cites("finding.") if one.stance is Stance.TRACE]
        if allowed or (signed and not {"genuine", "authentic", "real", "true"} & set(found)):
            return None
    return Problem("genuine", f"“{found[0]}”: no test can say that.")


def _accusation(scope: Scope, clause: Clause) -> Problem | None:
    """The file as a whole may be accused of nothing but what the verdict says."""
    low = clause.text.lower()
    spoken = [lexicon.stem(word) for word in reading.words(low)]
    asked = scope.questions(set(spoken))
    if not asked or clause.denies or _neutral(clause):
        return None
    first = min(place for place, word in enumerate(spoken) if word in lexicon.every_accusation())
    label = scope.report.verdict.label
    if _is_name(scope, clause):
        return None
    if _REGION.search(low) and scope.cites("region."):
        return _kind(scope, set(spoken))
    if any(question.accusation is label for question in asked):
        return None
    if set(spoken[:first]) & lexicon.EVIDENCE_STEMS:
        return None  # what it says of the evidence is checked by `_outcome` and `_strength`
    declared = [one for one in scope.cites("finding.") if one.stance is Stance.TRACE]
    if declared and _DECLARES.search(scope.sentence.lower()) and _claims(scope, declared, asked):
        return None
    if (
        scope.grounded(clause)
        and all(one.stance is Stance.TRACE for one in scope.about(clause))
        and scope.cites("finding.")
    ):
        return None  # the words of a test that found something, about what it found
    word = next(word for word in reading.words(low) if lexicon.stem(word) == spoken[first])
    return Problem("accusation", f"“{word}”: the verdict is {label.value.replace('_', ' ')}.")


def _claims(scope: Scope, declared: list[Citable], asked: list[Question]) -> bool:
    """Whether a cited finding claims what it is said to declare."""
    labels = {
        finding.claim.label
        for finding in scope.report.findings
        if finding.claim is not None
        and any(one.groups and one.groups[0] == finding.detector for one in declared)
    }
    generated = {Label.AI_GENERATED, Label.DECLARED_AI} & labels
    return any(
        question.accusation in labels or (question is Question.SYNTHETIC and bool(generated))
        for question in asked
    )


def _is_name(scope: Scope, clause: Clause) -> bool:
    """Whether the accusing words of a clause are all part of the name of something cited."""
    low = clause.text.lower()
    for one in sorted(
        (one for _, one in scope.mentions), key=lambda one: -max(map(len, one.names), default=0)
    ):
        if one.id.startswith("finding."):
            for name in one.names:
                low = low.replace(name.lower(), " ")
    left = {lexicon.stem(word) for word in reading.words(low)}
    return not left & lexicon.every_accusation()


def _kind(scope: Scope, spoken: set[str]) -> Problem | None:
    """A region may be called what it is, and changed only where the verdict says so."""
    kinds = {one.kind for one in scope.cites("region.")}
    rest = spoken & lexicon.every_accusation()
    for kind, words in lexicon.KINDS.items():
        used = {lexicon.stem(word) for word in words} & spoken
        if used and kind not in kinds:
            return Problem("accusation", f"The region is not known to be “{sorted(used)[0]}”.")
        rest -= used
    if rest and scope.report.verdict.label is not Label.MANIPULATED:
        return Problem("accusation", "The verdict does not say that a region was changed.")
    return None


def _strength(scope: Scope, clause: Clause) -> Problem | None:
    """ "Some evidence of editing" has to be what the answer to that question is called."""
    for match in _STRENGTH.finditer(clause.text.lower()):
        told = match.group()
        answers = [one for one in scope.about(clause) if one.id.startswith("answer.")]
        asked = scope.questions({lexicon.stem(word) for word in reading.words(clause.text)})
        if asked:
            values = {question.value for question in asked}
            answers = [one for one in scope.cites("answer.") if set(one.groups) & values]
        if not answers:
            continue
        wrong = next((one for one in answers if one.strength != told), None)
        if wrong is not None:
            reason = "absence" if told.startswith("no") else "presence"
            return Problem(reason, f"For “{wrong.label}” there is {wrong.strength}.")
    return None


def _threshold(scope: Scope, clause: Clause) -> Problem | None:
    """Above or below a threshold."""
    low = clause.text.lower()
    if "threshold" not in low and "limit" not in low:
        return None
    under = _UNDER.search(low) or (clause.denies and _OVER.search(low))
    over = None if under else _OVER.search(low)
    hits = {finding.detector: finding.hit for finding in scope.report.findings}
    for one in scope.about(clause):
        if not one.id.startswith("finding."):
            continue
        hit = hits.get(one.groups[0], False)
        if over and not hit:
            return Problem("presence", f"{one.label} is not at or above its threshold.")
        if under and (hit or one.stance in (Stance.NEUTRAL, Stance.SILENT)):
            return Problem("absence", f"{one.label} is not below a threshold.")
    return None


def _outcome(scope: Scope, clause: Clause) -> Problem | None:
    """That something was found, or that nothing was."""
    if _neutral(clause) or not scope.affirms(clause):
        return None
    if lexicon.SILENT.search(clause.text.lower()) or scope.grounded(clause):
        return None
    spoken = {lexicon.stem(word) for word in reading.words(clause.text)}
    about = [one for one in scope.about(clause) if one.stance is not Stance.SILENT]
    asked = {question.value for question in scope.questions(spoken)}
    if asked:  # what it says of editing, the tests for editing have to bear out
        about = [one for one in about if asked & set(one.groups)] or about
        if not any(asked & set(one.groups) for one in about) and not scope.cites("verdict"):
            return Problem("presence", "Nothing that it cites is about that question.")
    for one in about:
        if one.id == "verdict":
            label = scope.report.verdict.label
            if clause.denies and label is not Label.NO_TRACE_FOUND:
                return Problem("absence", f"The verdict is {label.value.replace('_', ' ')}.")
            if (
                not clause.denies
                and label not in ACCUSATIONS
                and spoken
                & (
                    lexicon.every_accusation()
                    | {lexicon.stem("unusual"), lexicon.stem("suspicious")}
                )
            ):
                return Problem("presence", f"The verdict is {label.value.replace('_', ' ')}.")
        elif clause.denies and one.stance is not Stance.CLEAR:
            return Problem("absence", f"{one.label} does not say that nothing was found.")
        elif not clause.denies and one.stance is Stance.WEAK:
            if not spoken & lexicon.stems(lexicon.HEDGES):
                return Problem("presence", f"{one.label} is a weak sign and no more.")
        elif (
            not clause.denies
            and one.stance in (Stance.CLEAR, Stance.NEUTRAL)
            and not (one.id.startswith(("file.", "fact.", "stability", "time.")))
        ):
            return Problem("presence", f"{one.label} found nothing that counts.")
    return None


def _reversed(scope: Scope, clause: Clause) -> Problem | None:
    """A word that the report only denies may not be affirmed, nor the other way round."""
    denies = clause.denies
    for word in reading.content(clause.text, lexicon.PLAIN_STEMS | scope.labels):
        found = scope.polarity.get(word)
        if found is not None and denies not in found:
            how = "affirms" if denies else "denies"
            return Problem("reversed", f"The report {how} what it says of “{word}”.")
    opposite = scope.nearest(clause)
    if opposite and denies not in opposite:
        how = "affirms" if denies else "denies"
        return Problem("reversed", f"The report {how} what it says.")
    if len(reading.negations(clause.text)) > 1 and not scope.grounded(clause):
        return Problem("reversed", "It denies twice, so that its sense is unclear.")
    return None


def _neutral(clause: Clause) -> bool:
    """Whether a clause tells what a test is for, and nothing of its outcome."""
    found = lexicon.PURPOSE.search(clause.text.lower())
    if found is None:
        return False
    rest = clause.text.lower().replace(found.group(), " ")
    spoken = {lexicon.stem(word) for word in reading.words(rest)}
    return not spoken & lexicon.OUTCOME_STEMS and not reading.negations(rest)
