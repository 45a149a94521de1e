"""Whether a statement says what a report says, and no more.

A statement passes if each of its sentences passes. A sentence that repeats a sentence of what it
cites passes at once. Any other sentence passes the rules of `REASONS`, in their order; the first
that it breaks is why it is dropped. The rules err on the side of dropping: a good statement that
is lost costs a sentence, a wrong one that is shown costs trust.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from bonafide.explain import figures, lexicon, places, reading, stances, words
from bonafide.explain.citable import Citable, citables, quoted
from bonafide.explain.scope import Problem, Scope
from bonafide.types import Dropped, Report, Statement

LONGEST = 400  # characters
MOST_SENTENCES = 3
MOST_CITES = 8
LONGEST_QUOTE = 80  # characters

REASONS: Mapping[str, str] = {
    "malformed": "it is empty, too long, repeats itself, or holds characters that steer a terminal",
    "address": "it holds an address, markup or code",
    "uncited": "it cites nothing, or names a test that it does not cite",
    "unknown": "it cites what the report does not have",
    "repeated": "it was said before",
    "leak": "it repeats the instructions that the model was given",
    "quote": "it quotes what the file does not say, or speaks with the file's own words unquoted",
    "reader": "it speaks to the reader or of instructions",
    "identity": "it speaks of persons",
    "intent": "it speaks of intentions or of guilt",
    "scene": "it speaks of what the picture shows, or whether that is true",
    "certainty": "it claims certainty or proof",
    "genuine": "it calls the file genuine, which no test can",
    "accusation": "it accuses beyond the verdict",
    "silent": "it says that a test answered that did not, or the other way round",
    "presence": "it says that something was found where nothing was",
    "absence": "it says that nothing was found where no test that ran says so",
    "reversed": "it affirms what the report denies, or the other way round",
    "number": "a number in it is none of the values that it cites",
    "region": "a place in it is not where the report marks one",
    "time": "a time in it is none that the report names",
    "amount": "it compares or counts in words as the report does not",
    "unsupported": "it uses words for which nothing was measured",
}

_UNSAFE = re.compile(
    "[\x00-\x1f\x7f-\x9f\xad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ud800-\udfff\ufeff"
    "\U000e0000-\U000e007f]"
)


@dataclass(frozen=True)
class Checked:
    """What became of some statements; both in the order in which they were made."""

    kept: tuple[Statement, ...]
    dropped: tuple[Dropped, ...]


def check(report: Report, statements: Iterable[Statement], secret: str = "") -> Checked:
    """Keep the statements that hold.

    Args:
        report: what they speak of; with its maps a place may also be any marked one.
        statements: in the order in which they would be shown.
        secret: a text of the model's instructions that no statement may repeat.

    Returns:
        Those that hold, and the others with the rule that each broke.
    """
    checker = Checker(report, secret)
    kept: list[Statement] = []
    dropped: list[Dropped] = []
    for statement in statements:
        problem = checker.problem(statement)
        if problem is None:
            kept.append(statement)
            checker.remember(statement)
        else:
            dropped.append(Dropped(statement, problem.reason, problem.why))
    return Checked(tuple(kept), tuple(dropped))


class Checker:
    """Checks statements about one report, one after the other.

    Args:
        report: what they speak of.
        secret: as for `check`.
    """

    def __init__(self, report: Report, secret: str = "") -> None:
        self.report = report
        self.known = citables(report)
        self.secret = reading.plain(secret)
        self._brought = [reading.plain(text) for text in quoted(report)]
        self._said: set[str] = set()

    def remember(self, statement: Statement) -> None:
        """Take a statement as said, so that the same one is dropped."""
        self._said.add(reading.plain(statement.text))

    def problem(self, statement: Statement) -> Problem | None:
        """The first rule that a statement breaks; None if it holds."""
        text = statement.text
        if not text.strip() or (len(text) > LONGEST and not self._is_ours(statement)):
            return Problem("malformed", f"It has {len(text)} characters, not 1 to {LONGEST}.")
        if _UNSAFE.search(text):
            return Problem("malformed", "It holds a control character.")
        if _stutters(text) and not self._is_ours(statement):
            return Problem("malformed", "It repeats itself.")
        if not statement.cites or (
            len(statement.cites) > MOST_CITES and not self._is_ours(statement)
        ):
            return Problem(
                "uncited", f"It has {len(statement.cites)} cites, not 1 to {MOST_CITES}."
            )
        for cite in statement.cites:
            if cite not in self.known:
                return Problem("unknown", f"The report has no {cite[:80]!r}.")
        if reading.plain(text) in self._said:
            return Problem("repeated", "It was said before.")
        if self._leaks(text):
            return Problem("leak", "It repeats the instructions.")
        cited = [self.known[cite] for cite in dict.fromkeys(statement.cites)]
        parts = reading.sentences(text)
        if len(parts) > MOST_SENTENCES and not self._is_ours(statement):
            return Problem("malformed", f"It has {len(parts)} sentences.")
        for sentence in parts:
            problem = self._sentence(sentence, cited)
            if problem is not None:
                return problem
        return None

    def copies(self, statement: Statement) -> bool:
        """Whether each of its sentences is one of what it cites, word for word."""
        cited = [self.known[cite] for cite in statement.cites if cite in self.known]
        return all(self._repeats(one, cited) for one in reading.sentences(statement.text))

    def _is_ours(self, statement: Statement) -> bool:
        """Whether it is a whole text of the report, which may be longer than a model's."""
        told = reading.plain(statement.text)
        return (
            any(
                told == reading.plain(text)
                for cite in statement.cites
                if cite in self.known
                for text in self.known[cite].texts
            )
            or statement.author == "words"
        )

    def _leaks(self, text: str) -> bool:
        """Whether seven words in a row are those of the instructions."""
        if not self.secret:
            return False
        told = reading.plain(text).split()
        return any(
            " ".join(told[at : at + 7]) in self.secret for at in range(max(0, len(told) - 6))
        )

    def _sentence(self, sentence: str, cited: list[Citable]) -> Problem | None:
        if self._repeats(sentence, cited):
            return None
        if any(reading.plain(sentence) in text for text in self._brought):
            return Problem("quote", "It is a text of the file, without quotation marks.")
        if reading.ADDRESS.search(sentence):
            return Problem("address", "It holds an address, markup or code.")
        unquoted = reading.QUOTE.sub(lambda match: "“”".ljust(len(match.group())), sentence)
        if unquoted != sentence:
            problem = self._quotes(sentence, cited)
            if problem is not None:
                return problem
        scope = Scope(self.report, self.known, cited, unquoted)
        rules = (
            self._uncited,
            self._forbidden,
            stances.problem,
            figures.problem,
            places.problem,
            self._amounts,
            self._words,
        )
        found = next(filter(None, (rule(scope) for rule in rules)), None)
        if found is None and not set(reading.words(sentence)) & lexicon.VERBS:
            return Problem("malformed", "It is no sentence.")
        return found

    def _repeats(self, sentence: str, cited: list[Citable]) -> bool:
        """Whether a sentence is one of the cited texts, and not one that the file brought along.

        It may also be a list of cited texts under one of the headings of `words`.
        """
        told = reading.plain(sentence)
        if any(told in text for text in self._brought):
            return False
        for heading, own in ((words.ODDS, "answer."), (words.UNANSWERED, "finding.")):
            if told.startswith(reading.plain(heading) + ":"):
                return _is_list(told, [one for one in cited if one.id.startswith(own)])
        return any(
            told == reading.plain(text)
            or any(told == reading.plain(one) for one in reading.sentences(text))
            for one in cited
            for text in one.texts
        )

    def _quotes(self, sentence: str, cited: list[Citable]) -> Problem | None:
        said = [reading.plain(text) for one in cited for text in (*one.quotes, *one.texts)]
        for match in reading.QUOTE.finditer(sentence):
            inner = next((group for group in match.groups() if group is not None), "")
            told = reading.plain(inner)
            if len(inner) > LONGEST_QUOTE:
                return Problem("quote", f"A quotation has more than {LONGEST_QUOTE} characters.")
            if reading.ADDRESS.search(inner):
                return Problem("address", "A quotation holds an address.")
            if not told or not any(told in text for text in said):
                return Problem("quote", f"The file does not say {inner[:40]!r}.")
            before = {lexicon.stem(word) for word in reading.words(sentence[: match.start()])}
            if not before & lexicon.ATTRIBUTION_STEMS:
                return Problem("quote", "It does not say whose words it quotes.")
        return None

    def _uncited(self, scope: Scope) -> Problem | None:
        for name, group in scope.strangers():
            return Problem("uncited", f"It names {name!r} and does not cite finding.{group}.")
        return None

    def _forbidden(self, scope: Scope) -> Problem | None:
        """Words that no measurement supports, unless what is cited has them itself."""
        spoken = reading.words(scope.sentence)
        allowed = scope.vocabulary
        for reason, banned in (
            ("reader", lexicon.READER),
            ("identity", lexicon.IDENTITY),
            ("intent", lexicon.INTENT),
            ("scene", lexicon.SCENE),
        ):
            for word in spoken:
                if word in banned and lexicon.stem(word) not in allowed:
                    return Problem(reason, f"“{word}”: {REASONS[reason]}.")
        denied = bool(reading.negations(scope.sentence)) or "nothing" in spoken
        for word in spoken:
            if word in lexicon.CERTAINTY or (word in lexicon.PROOF and not denied):
                return Problem("certainty", f"“{word}”: {REASONS['certainty']}.")
        return None

    def _amounts(self, scope: Scope) -> Problem | None:
        """Words that compare or count need the same neighbour in a cited text."""
        pairs = {
            pair
            for one in scope.cited
            for text in (*one.texts, *one.names)
            for pair in _pairs(text)
        }
        for clause in scope.clauses:
            if scope.repeats(clause):
                continue
            spoken = [lexicon.stem(word) for word in reading.words(clause.text)]
            for place, word in enumerate(reading.words(clause.text)):
                after = spoken[place + 1] if place + 1 < len(spoken) else ""
                if word in lexicon.RESTRICTED and (spoken[place], after) not in pairs:
                    return Problem("amount", f"The report does not say “{word} {after}”.")
        return None

    def _words(self, scope: Scope) -> Problem | None:
        spoken = [word for word in reading.words(scope.sentence) if word not in lexicon.VERBS]
        named = {lexicon.stem(word) for word in spoken} - lexicon.FUNCTION_STEMS
        if not named & scope.vocabulary and not reading.numbers(scope.sentence):
            return Problem("unsupported", "It says nothing of what it cites.")
        for clause in scope.clauses:
            for word in reading.words(clause.text):
                if lexicon.stem(word) not in scope.vocabulary | lexicon.PLAIN_STEMS and (
                    word not in lexicon.NEGATIONS and word not in lexicon.NUMBER_WORDS
                ):
                    return Problem("unsupported", f"Nothing that it cites speaks of “{word}”.")
        said = [text.lower() for one in scope.cited for text in (*one.texts, *one.names)]
        for name in reading.named(scope.sentence):
            if not any(name.lower() in text for text in said):
                return Problem("unsupported", f"Nothing that it cites speaks of “{name}”.")
        return None


def _stutters(text: str) -> bool:
    """Whether three words in a row come at least three times, as small models do."""
    spoken = reading.words(text)
    runs = [tuple(spoken[at : at + 3]) for at in range(len(spoken) - 2)]
    return any(runs.count(run) >= 3 for run in set(runs))


def _is_list(told: str, cited: list[Citable]) -> bool:
    """Whether a text is a heading, a text of each of `cited`, and how many more there are."""
    rest, named = told.partition(": ")[2], 0
    for one in cited:
        texts = sorted((reading.plain(text) for text in one.texts), key=lambda text: -len(text))
        text = next((text for text in texts if text and text in rest), None)
        if text is not None:
            rest, named = rest.replace(text, "", 1), named + 1
    more = re.fullmatch(r"[\s;]*(?:and (\d+) more)?", rest)
    return more is not None and int(more.group(1) or 0) == len(cited) - named


def _pairs(text: str) -> Iterator[tuple[str, str]]:
    spoken = [lexicon.stem(word) for word in reading.words(text)]
    yield from zip(spoken, [*spoken[1:], ""], strict=False)
