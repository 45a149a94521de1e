"""One sentence of a statement beside what it cites: what it names, and which words it may use."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

from bonafide.explain import lexicon, reading
from bonafide.explain.citable import Citable, Stance
from bonafide.explain.reading import Clause
from bonafide.types import Question, Report


@dataclass(frozen=True)
class Problem:
    """A rule that a statement breaks: its name in `check.REASONS`, and how it is broken."""

    reason: str
    why: str


def _places(name: str, text: str) -> Iterator[tuple[int, int]]:
    """Where a name stands in a text as a whole word; both in lower case."""
    start = text.find(name) if len(name) > 2 else -1
    while start >= 0:
        end = start + len(name)
        before, after = text[start - 1 : start], text[end : end + 1]
        if not (before.isalnum() or before in ("-", "_")) and not (
            after.isalnum() or after in ("-", "_")
        ):
            yield start, end
        start = text.find(name, start + 1)


class Scope:
    """What the rules need to know of one sentence.

    Args:
        report: of which it speaks.
        known: everything that could be cited.
        cited: what is cited.
        sentence: with its quotations blanked out.
    """

    def __init__(
        self, report: Report, known: Mapping[str, Citable], cited: list[Citable], sentence: str
    ) -> None:
        self.report, self.known, self.cited, self.sentence = report, known, cited, sentence
        self.clauses = reading.clauses(sentence)

    @cached_property
    def vocabulary(self) -> frozenset[str]:
        """Stems of the words of what is cited; not those that the file brought along."""
        texts = [
            reading.QUOTE.sub(" ", text)
            for one in self.cited
            for text in (one.label, *one.texts, *one.names, one.kind)
        ]
        return frozenset(lexicon.stem(word) for text in texts for word in reading.words(text))

    @cached_property
    def mentions(self) -> list[tuple[int, Citable]]:
        """(place, citable) for every detector or question that the sentence names, in order."""
        low = self.sentence.lower()
        found: list[tuple[int, int, Citable]] = []
        for one in self.known.values():
            if not one.id.startswith(("finding.", "untested.", "answer.")):
                continue
            found += [(*span, one) for name in one.names for span in _places(name.lower(), low)]
        # A longer name that holds a shorter one is what was meant.
        longest = [
            (start, end, one)
            for start, end, one in found
            if not any(s <= start and end <= e and (e - s) > (end - start) for s, e, _ in found)
        ]
        return [(start, one) for start, _, one in sorted(longest, key=lambda item: item[0])]

    def strangers(self) -> Iterator[tuple[str, str]]:
        """(title, detector) of each detector that is named and of which nothing is cited."""
        groups = {group for one in self.cited for group in one.groups}
        for _, one in self.mentions:
            if one.id.startswith("answer.") or not one.groups:
                continue
            # A detector on frames has the name of the one on pictures.
            same = [
                other
                for place, other in self.mentions
                if set(other.names) & set(one.names) and other.groups
            ]
            if not any(other.groups[0] in groups for other in (*same, one)):
                yield one.label, one.groups[0]

    def near(self, place: int) -> frozenset[str]:
        """Groups of what was named last before `place`, else first after it; empty for none."""
        before = [one for start, one in self.mentions if start <= place]
        if before:
            last = max(start for start, _ in self.mentions if start <= place)
            named = [one for start, one in self.mentions if start == last]
        else:
            first = min((start for start, _ in self.mentions), default=-1)
            named = [one for start, one in self.mentions if start == first]
        return frozenset(one.groups[0] for one in named if one.groups)

    def about(self, clause: Clause) -> list[Citable]:
        """What a clause speaks of: what it names among the cited, else everything cited.

        Names in the same segment count too where the clause itself has none.
        """
        own = self._named_in([clause])
        if not own:
            own = self._named_in([one for one in self.clauses if one.segment == clause.segment])
        else:  # a list: "this, that and the other found nothing"
            index = self.clauses.index(clause)
            while index and self.clauses[index - 1].segment == clause.segment:
                index -= 1
                before = self.clauses[index]
                if before.denies or self.affirms(before):
                    break
                own |= self._named_in([before])
        weighed = [one for one in self.cited if not one.id.startswith(("file.", "fact."))]
        chosen = [one for one in weighed if own & set(one.groups[:1])]
        return chosen or weighed or self.cited

    def affirms(self, clause: Clause) -> bool:
        """Whether a clause says that there is a trace."""
        spoken = {lexicon.stem(word) for word in reading.words(clause.text)}
        return bool(spoken & (lexicon.TRACE_STEMS | lexicon.every_accusation()))

    def _named_in(self, clauses: list[Clause]) -> set[str]:
        return {
            one.groups[0]
            for place, one in self.mentions
            if one.groups
            and any(part.start <= place < part.start + len(part.text) for part in clauses)
        }

    def repeats(self, clause: Clause) -> bool:
        """Whether a clause of at least four words is a whole clause of a cited text."""
        told = reading.plain(clause.text)
        return len(told.split()) >= 4 and told in self._cited_clauses

    @cached_property
    def _cited_clauses(self) -> frozenset[str]:
        return frozenset(
            reading.plain(clause.text)
            for one in self.cited
            for text in one.texts
            for sentence in reading.sentences(reading.QUOTE.sub("“”", text))
            for clause in (*reading.clauses(sentence), Clause(sentence, 0, 0))
        )

    @cached_property
    def polarity(self) -> dict[str, set[bool]]:
        """Stem → whether cited clauses with it deny (True) or affirm (False)."""
        found: dict[str, set[bool]] = {}
        for one in self.cited:
            for text in one.texts:
                for sentence in reading.sentences(text):
                    for clause in reading.clauses(sentence):
                        denies = clause.denies
                        for word in reading.content(clause.text, lexicon.PLAIN_STEMS):
                            found.setdefault(word, set()).add(denies)
        return found

    @cached_property
    def cited_contents(self) -> list[tuple[frozenset[str], bool, bool]]:
        """(content stems, denies, compares) of every cited clause."""
        return [
            (
                frozenset(reading.content(clause.text, lexicon.PLAIN_STEMS)),
                clause.denies,
                bool(re.search(r"\b(than|rather|instead|unlike|or|more|less)\b", clause.text)),
            )
            for one in self.cited
            for text in one.texts
            for sentence in reading.sentences(text)
            for clause in reading.clauses(sentence)
        ]

    def grounded(self, clause: Clause) -> bool:
        """Whether all that a clause names stands in one cited clause, denied or affirmed alike."""
        told = frozenset(reading.content(clause.text, lexicon.PLAIN_STEMS | self.labels))
        return bool(told) and any(
            told <= words and denies == clause.denies and not compares
            for words, denies, compares in self.cited_contents
        )

    def nearest(self, clause: Clause) -> set[bool]:
        """Whether the cited clauses that are most like a clause deny; empty if none is like it."""
        told = frozenset(reading.content(clause.text, lexicon.FUNCTION_STEMS))
        if not told:
            return set()
        likeness: dict[bool, float] = {}
        for one in self.cited:
            for text in one.texts:
                for sentence in reading.sentences(text):
                    for other in reading.clauses(sentence):
                        words = reading.content(other.text, lexicon.FUNCTION_STEMS)
                        share = len(told.intersection(words)) / len(told)
                        likeness[other.denies] = max(likeness.get(other.denies, 0.0), share)
        most = max(likeness.values(), default=0.0)
        return {denies for denies, share in likeness.items() if share == most and most > 0.5}

    @cached_property
    def labels(self) -> frozenset[str]:
        """Stems of the names of what is cited."""
        return (
            frozenset(
                lexicon.stem(word)
                for one in self.cited
                if one.id.startswith("finding.")
                for name in one.names
                for word in reading.words(name)
            )
            - lexicon.every_accusation()
        )

    def cites(self, *beginnings: str) -> list[Citable]:
        """What is cited of some kinds: `cites("region.")`."""
        return [one for one in self.cited if one.id.startswith(beginnings)]

    def speaks(self, stances: set[Stance]) -> list[Citable]:
        """What is cited that says one of some things."""
        return [one for one in self.cited if one.stance in stances]

    def questions(self, stems: set[str]) -> list[Question]:
        """The questions of which some stems accuse."""
        return [
            question
            for question in Question
            if question.accusation is not None and stems & lexicon.accusing(question)
        ]
