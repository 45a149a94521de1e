"""Write and check the catalogues of messages in `src/bonafide/languages/locale`.

    python tools/languages.py update          # take up new messages, drop old ones
    python tools/languages.py check           # what is missing, fuzzy or unequal; exit status 1
    python tools/languages.py missing de      # the messages of a language without a translation
    python tools/languages.py take de FILE    # take translations from JSON {English: translation}

Three domains. "bonafide" holds what `_`, `gettext`, `ngettext` and `noop` are called with in Python
and in templates, and `say` and `tell` in scripts. "sentences" holds what reports store: every
f-string and sentence of the files in `TELLING`, with {0}, {1}… in place of values, and what
`sentence` is called with. "detectors" holds the same of detectors: the titles of their cards, what
they say of a file, why they do not. What a fact means, and the texts of a card, stay English. An
f-string that chooses between texts gives one template for each.
"""

from __future__ import annotations

import ast
import itertools
import json
import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from babel.messages.catalog import Catalog
from babel.messages.extract import extract_from_file
from babel.messages.pofile import read_po, write_po

from bonafide.languages.catalogue import DETECTORS, MESSAGES, SENTENCES, path
from bonafide.languages.current import ENGLISH, LANGUAGES

ROOT = Path(__file__).resolve().parent.parent


PACKAGE = ROOT / "src" / "bonafide"
SPEAKING = ("report", "server", "cli")
TELLING = (
    "questions.py", "explain/words.py", "examination.py", "evidence", "detectors",
    "comparison/relation.py", "report/comparison_words.py", "signals/video_quality.py",
)  # fmt: skip
# Classes whose sentences a report or a page shows, wherever they are made.
SHOWN = {
    "NotApplicable", "Failed", "Problem", "UnsupportedFormat", "DecodeError", "LimitExceeded",
    "SourceError",
}  # fmt: skip
# What is said of a statement of a model that was dropped stays English, as the statement does.
ENGLISH_ONLY = ("explain/check.py", "explain/scope.py", "explain/stances.py", "explain/figures.py",
                "explain/places.py", "explain/reading.py", "bench", "train", "cli")  # fmt: skip
# Tables of names and patterns that are compared with files, not shown.
TABLES = {
    "_months.py",
    "_container_table.py",
    "_container_form.py",
    "_container_names.py",
    "_container_movie.py",
}
HIDDEN = {
    "InvalidInput", "ValueError", "TypeError", "InvalidDetector", "compile", "extent",
    "replace", "join", "split", "startswith", "endswith", "partition", "removeprefix", "_",
    "gettext", "ngettext", "noop",
}  # fmt: skip
KEYWORDS = {"_": None, "gettext": None, "noop": None, "ngettext": (1, 2)}
DOMAINS = (MESSAGES, SENTENCES, DETECTORS)
MOST_CHOICES = 16
# Words that reports store or compose where no rule finds them.
VOCABULARY = (
    "image", "video", "audio", "document", "images", "videos", "sounds", "documents", "sound",
    "triage", "standard", "thorough", "evidence", "statement", "information",
    "synthetic", "edited", "face forged", "voice cloned", "spoofed", "miscaptioned", "provenance",
    "AI-generated", "Manipulated", "Face forged", "Voice cloned", "Spoofed", "Miscaptioned",
    "Authenticated", "Declares AI", "No trace found", "Inconclusive",
    "edited pictures",  # of reports until version 0.2
    "generation", "editing", "clone", "splice", "source", "target",
    "not assessed", "strong evidence", "some evidence", "weak evidence", "no evidence",
    "inconclusive",
    "What it looks for", "Why it works", "When it fails", "How to read it", "Reference",
    "signed", "measured", "stated", "broken", "running", "waiting", "done", "failed", "cancelled",
    "queued", "finished", "JPEG", "all", "not JPEG", "small", "medium", "large",
    "{0}: {1} sources, {2} files",
    "{0} of bona fide calibration files show as much evidence of {1}; {2} % of {3} show no trace "
    "either.",
    "Probabilities at even odds before looking: {0}.", "Tests that gave no answer: {0}.",
    "and {0} more", "the probability of {0} lies between {1} and {2}",
    "the probability of {0} is {1}",
    "The region of {0} × {1} pixels at ({2}, {3}), {4} % of the picture, {5}.",
    "no face was found in the picture", "no face was found in the video",
    "face {0}", "speaker {0}", "voice {0}", "shot {0}", "person {0}", "{0} track", "{0} to {1}",
    "{0} × {1} pixels at ({2}, {3})", "{0} × {1} at ({2}, {3})", "{0} at {1}", "{0} ({1})",
    "Not Found", "Bad Request", "Unauthorized", "Forbidden", "Method Not Allowed", "Gone",
    "Request Timeout", "Unsupported Media Type", "Too Many Requests", "Internal Server Error",
    "Service Unavailable", "Content Too Large", "Request Entity Too Large", "Conflict",
    "Unprocessable Entity", "Unprocessable Content", "Bad Gateway", "Gateway Timeout",
    "SourceError", "UnsupportedFormat", "DecodeError", "LimitExceeded", "InternalError",
    "duration seconds", "audio seconds", "frames", "frame rate", "codec", "audio codec",
    "audio channels", "audio rate", "colour mode", "bits per channel", "orientation",
    "findings", "regions", "picture", "unsupported", "profile", "only", "stability", "network",
    "trust", "calibration", "limits", "asked", "false accusation rate", "threads",
)  # fmt: skip


def messages() -> Catalog:
    """The domain "bonafide", without translations."""
    found = Catalog(project="bonafide", fuzzy=False)
    for file in files(SPEAKING, (".py", ".html", ".js")):
        name = file.relative_to(PACKAGE).as_posix()
        if file.suffix == ".js":
            taken: Iterable[tuple[str | tuple[str, ...], list[str]]] = (
                (text, [])
                for text in re.findall(r'\b(?:say|tell)\("([^"]+)"', file.read_text("utf-8"))
            )
        else:
            how = "python" if file.suffix == ".py" else "jinja2.ext:babel_extract"
            taken = (
                (text, []) for _, text, _, _ in extract_from_file(how, str(file), keywords=KEYWORDS)
            )
        for text, _ in taken:
            if text:
                found.add(text, locations=[(name, None)], flags=_flags(text))
    return found


def sentences() -> tuple[Catalog, Catalog]:
    """The domains "sentences" and "detectors", without translations."""
    found, own = Catalog(project="bonafide", fuzzy=False), Catalog(project="bonafide", fuzzy=False)
    for text in VOCABULARY:
        found.add(text, locations=[("vocabulary", None)])
    both = files((".",), (".py",))
    for file in sorted(both, key=lambda one: "detectors" in one.parts):
        name = file.relative_to(PACKAGE).as_posix()
        if name.startswith(ENGLISH_ONLY):
            continue
        into = own if name.startswith("detectors/") else found
        tells = any(name == one or name.startswith(f"{one}/") for one in TELLING)
        for text in told_in(ast.parse(file.read_text("utf-8")), tells, file.name in TABLES):
            if into is found or text not in found:
                into.add(text, locations=[(name, None)])
    return found, own


def told_in(tree: ast.Module, tells: bool, table: bool = False) -> list[str]:
    """The sentences that a file tells.

    Args:
        tree: of the file.
        tells: whether every sentence of it may be shown, or only those given to `SHOWN`.
        table: whether its constants are compared with files, and only its f-strings are shown.
    """
    hidden = set(_docstrings(tree))
    shown, found = set[int](), list[str]()
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        name = getattr(node.func, "id", getattr(node.func, "attr", ""))
        inside = [id(part) for given in (*node.args, *node.keywords) for part in ast.walk(given)]
        if name in SHOWN:
            shown.update(inside)
        if name in HIDDEN:
            hidden.update(inside)
        if name == "sentence":
            found += [one.value for one in node.args if isinstance(one, ast.Constant)]
        if name == "Card":
            hidden.update(inside)
            found += _of_card(node)
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            parts = {id(part) for value in node.values for part in ast.walk(value)}
            constants = [id(v) for v in node.values if isinstance(v, ast.Constant)]
            hidden.update(constants)
            if (tells or id(node) in shown) and id(node) not in hidden:
                found += [text for text in templates(node) if is_sentence(text)]
                hidden.update(_chosen(node))
            del parts
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            if id(node) in hidden or not (tells or id(node) in shown) or table:
                continue
            if is_sentence(node.value) and " " in node.value.strip():
                found.append(node.value)
    return [" ".join(text.split(" ")).strip(" ") for text in found if "\n" not in text]


def templates(node: ast.JoinedStr) -> list[str]:
    """The templates of an f-string: one for each way through its choices of texts."""
    slots = itertools.count()
    choices: list[list[str]] = []
    for value in node.values:
        if isinstance(value, ast.Constant):
            choices.append([str(value.value)])
            continue
        assert isinstance(value, ast.FormattedValue)
        texts = _texts(value.value)
        choices.append(texts if texts else [f"{{{next(slots)}}}"])
    ways = list(itertools.islice(itertools.product(*choices), MOST_CHOICES))
    return ["".join(way) for way in ways]


def is_sentence(text: str) -> bool:
    """Whether a text is for people, not a pattern, a name or a key."""
    if re.search(r"\\|\^|\(\?|%s|^[a-z_]+[.:/]|^#|[{]\d[}]_|_[{]|\w_\w|^\s*$|[{][a-z]", text):
        return False
    words = re.findall(r"[A-Za-z]{2,}", re.sub(r"\{\d\}", "", text))
    return bool(words) and sum(map(len, words)) >= 4 and (" " in text.strip() or len(words) > 1)


def _texts(node: ast.expr) -> list[str]:
    """The texts between which an expression chooses, [] for one that does not."""
    if isinstance(node, ast.IfExp):
        sides = [
            [side.value] if isinstance(side, ast.Constant) and isinstance(side.value, str) else []
            for side in (node.body, node.orelse)
        ]
        return sides[0] + sides[1] if all(sides) else []
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mult):
        left, right = node.left, node.right
        if isinstance(left, ast.Constant) and isinstance(left.value, str) and isinstance(
            right, ast.Compare
        ):  # fmt: skip
            return ["", left.value]
    return []


def _chosen(node: ast.JoinedStr) -> Iterator[int]:
    for value in node.values:
        if isinstance(value, ast.FormattedValue) and _texts(value.value):
            yield from (id(part) for part in ast.walk(value.value))


def _of_card(node: ast.Call) -> Iterator[str]:
    for keyword in node.keywords:
        if keyword.arg == "title" and isinstance(keyword.value, ast.Constant):
            yield keyword.value.value


def _docstrings(tree: ast.Module) -> Iterator[int]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            for one in node.body:
                if isinstance(one, ast.Expr) and isinstance(one.value, ast.Constant):
                    yield id(one.value)


def files(folders: Iterable[str], kinds: tuple[str, ...]) -> list[Path]:
    """Files of the package, in order."""
    return sorted(
        file
        for folder in folders
        for file in (PACKAGE / folder).rglob("*")
        if file.suffix in kinds and "locale" not in file.parts
    )


def _flags(text: str | tuple[str, ...]) -> list[str]:
    return ["python-format"] if "%(" in "".join(text) else []


def read(language: str, domain: str) -> Catalog:
    """A catalogue as it is; an empty one where there is none yet."""
    file = path(language, domain)
    if not file.exists():
        return Catalog(locale=language, project="bonafide", fuzzy=False)
    with file.open("rb") as opened:
        return read_po(opened, locale=language)


def write(language: str, domain: str, catalog: Catalog) -> None:
    """Write a catalogue, without line numbers and dates, which would change with every edit."""
    file = path(language, domain)
    file.parent.mkdir(parents=True, exist_ok=True)
    made = Catalog(locale=language, project="bonafide", fuzzy=False, header_comment="")
    for message in sorted(catalog, key=lambda one: (one.locations or [("", 0)], str(one.id))):
        if message.id:
            made.add(message.id, message.string, sorted(set(message.locations))[:3], message.flags)
    with file.open("wb") as opened:
        write_po(opened, made, width=100, omit_header=False, include_lineno=False)
    text = file.read_text("utf-8")
    kept = [line for line in text.split("\n") if not re.match(r'"(POT-Creation|PO-Revision|Last-Tr'
            r'anslator|Language-Team|Report-Msgid|Generated-By|Project-Id)', line)]  # fmt: skip
    file.write_text("\n".join(kept), "utf-8")


def fresh() -> dict[str, Catalog]:
    """Both domains, as the source has them."""
    found, own = sentences()
    return {MESSAGES: messages(), SENTENCES: found, DETECTORS: own}


def update() -> None:
    """Bring the catalogues of all languages up to the source."""
    for domain, template in fresh().items():
        for language in LANGUAGES:
            if language == ENGLISH:
                continue
            old = read(language, domain)
            kept = {message.id: message.string for message in old if message.id}
            made = Catalog(locale=language, fuzzy=False)
            for message in template:
                if message.id:
                    made.add(
                        message.id, kept.get(message.id, ""), message.locations, flags=message.flags
                    )
            write(language, domain, made)
            total = len([m for m in made if m.id])
            done = len([m for m in made if m.id and whole(m.string)])
            print(f"{language} {domain}: {done} of {total}")


def whole(string: str | tuple[str, ...] | list[str]) -> bool:
    """Whether every form is there."""
    return bool(string) and (isinstance(string, str) or all(string))


def faults() -> list[str]:
    """What is wrong with the catalogues."""

    found = []
    for domain, template in fresh().items():
        wanted = {message.id for message in template if message.id}
        for language in LANGUAGES:
            if language == ENGLISH:
                continue
            catalog = read(language, domain)
            have = {message.id: message for message in catalog if message.id}
            where = f"{language} {domain}"
            found += [f"{where}: not in the catalogue: {one}" for one in wanted - have.keys()]
            found += [f"{where}: no longer used: {one}" for one in have.keys() - wanted]
            for message in have.values():
                if message.fuzzy:
                    found.append(f"{where}: fuzzy: {message.id}")
                if not whole(message.string):
                    found.append(f"{where}: not translated: {message.id}")
                elif isinstance(message.id, tuple) and len(message.string) != catalog.num_plurals:
                    found.append(f"{where}: {len(message.string)} plural forms: {message.id}")
                else:
                    found += [f"{where}: {one}" for one in unequal(message.id, message.string)]
    return found


def unequal(ids: str | tuple[str, ...], strings: str | tuple[str, ...]) -> Iterator[str]:
    """Translations whose placeholders are not those of the message."""
    wanted = slots(ids if isinstance(ids, str) else ids[1])
    for string in [strings] if isinstance(strings, str) else strings:
        lost = wanted - slots(string) - ({"%(n)s"} if not isinstance(ids, str) else set())
        added = slots(string) - wanted
        if lost or added:
            yield f"placeholders {sorted(lost | added)}: {ids}"


def slots(text: str) -> set[str]:
    """The placeholders of a text."""
    return set(re.findall(r"%\(\w+\)s|\{\d\}", text))


def missing(language: str) -> None:
    """Print what has no translation, as JSON."""
    lacking = {
        domain: [m.id for m in read(language, domain) if m.id and not whole(m.string)]
        for domain in DOMAINS
    }
    print(json.dumps(lacking, ensure_ascii=False, indent=0))


def take(language: str, file: Path) -> None:
    """Take translations from a file; English that is in no catalogue is named."""
    given = json.loads(file.read_text("utf-8"))
    for domain in DOMAINS:
        catalog = read(language, domain)
        for message in catalog:
            key = message.id if isinstance(message.id, str) else "|".join(message.id or ())
            if key and key in given:
                message.string = given[key]
        write(language, domain, catalog)
    known = {
        m.id if isinstance(m.id, str) else "|".join(m.id)
        for domain in DOMAINS
        for m in read(language, domain)
        if m.id
    }
    for text in given.keys() - known:
        print(f"not in a catalogue: {text}")


def main() -> None:
    """See the docstring of this file."""
    what = sys.argv[1] if len(sys.argv) > 1 else "check"
    if what == "update":
        update()
    elif what == "missing":
        missing(sys.argv[2])
    elif what == "take":
        take(sys.argv[2], Path(sys.argv[3]))
    else:
        found = faults()
        print("\n".join(found))
        sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
