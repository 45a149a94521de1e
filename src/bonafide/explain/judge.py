"""Lets a model judge a picture by written prompts, and counts its answers.

A prompt is a file of turns: `## user picture` is sent with the picture, `## user crop` with its
middle, `## assistant` is a turn that is put into the model's mouth, `fresh` begins a conversation
of its own, and {1}, {2}… or the name of another prompt stand for earlier answers. After each turn
of the user that no turn of the assistant follows, the model is asked; its last answer decides.

An answer is "generated", "photograph" or "undetermined". What cannot be read is undetermined, and
so is what was not answered in time.

Sources: the six prompts and their fusion by the description of mllm-defake (2025); questions in the
manner of AIGI-Holmes (Zhou et al., ICCV 2025), the domain tag of FakeShield (Xu et al., ICLR 2025),
accuser, defender and judge of VHD11K (2024), rationales in pairs after SRC, premises after Antidote
(Wu et al., CVPR 2025). All texts are our own.
"""

from __future__ import annotations

import base64
import io
import os
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bonafide.errors import InvalidInput
from bonafide.explain import replies
from bonafide.explain.cache import Cache, folder
from bonafide.explain.endpoint import Endpoint, EndpointError
from bonafide.types import Opinion

GENERATED, PHOTOGRAPH, UNDETERMINED = "generated", "photograph", "undetermined"
VERSION = 1  # of the prompts
LONGEST = 1024  # of the picture that is sent, pixels
QUALITY = 90  # of its JPEG
TURN_TOKENS = 400  # of an answer on the way
LAST_TOKENS = 300  # of the last one
LONGEST_ANSWER = 1_200  # characters of an answer that are used later
SECONDS = 90.0  # wall time for one picture, after which nothing more is asked
SCHEMA: dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "required": ["reason", "answer"],
    "properties": {
        "reason": {"type": "string", "maxLength": 600},
        "answer": {"type": "string", "enum": [GENERATED, PHOTOGRAPH, UNDETERMINED]},
    },
}
_WORDS = {
    GENERATED: r"generated|synthetic|fake|ai[- ]made",
    PHOTOGRAPH: r"photograph|photo|real|authentic",
    UNDETERMINED: r"undetermined|unsure|uncertain|unclear|cannot (?:tell|decide|say)",
}
_BLANK = re.compile(r"\{(\w+)\}")
_PROMPTS = Path(__file__).parent / "prompts"


@cache
def prompts() -> tuple[str, ...]:
    """Names of the prompts, in alphabetical order."""
    end = f"-{VERSION}"
    stems = (path.stem for path in _PROMPTS.glob(f"judge-*{end}.txt"))
    return tuple(sorted(stem.removeprefix("judge-").removesuffix(end) for stem in stems))


@dataclass(frozen=True)
class Judge:
    """A model that judges pictures. Its key is read from `BONAFIDE_EXPLAIN_KEY`.

    Attributes:
        model: its name at the endpoint.
        url: of the endpoint.
        by: names of prompts, each of which has one vote.
        seed: of the sampling.
        timeout: of one request, seconds.

    Raises:
        InvalidInput: the address is none, or a prompt does not exist.
    """

    model: str
    url: str
    by: tuple[str, ...] = ("defects",)
    seed: int = 1
    timeout: float = 60.0

    def __post_init__(self) -> None:
        known = prompts()
        for name in self.by:
            if name not in known:
                raise InvalidInput(f"no prompt is called {name!r}; there are: {', '.join(known)}")
        if not self.by:
            raise InvalidInput("a judge needs a prompt")
        Endpoint(self.url, self.model)  # refuses what is no address

    @property
    def host(self) -> str:
        """Host and port that are asked, without anything secret."""
        return Endpoint(self.url, self.model).host

    def describe(self) -> dict[str, Any]:
        """What of it decides an answer, as JSON values."""
        by = [f"{name}-{VERSION}" for name in self.by]
        return {"model": self.model, "endpoint": self.host, "by": by, "seed": self.seed}

    def ask(self, pixels: NDArray[np.uint8]) -> Opinion:
        """What the model says of a picture.

        Args:
            pixels: uint8 H×W×3, RGB; sent reduced to `LONGEST` pixels, as JPEG without metadata.

        Returns:
            An answer per prompt; trouble with the endpoint is its `failure`.

        Raises:
            MissingExtra: the package openai is not installed.
        """
        return _Session(self, pixels).run()


@dataclass(frozen=True)
class Turn:
    """A part of a prompt: who speaks ("system", "user", "assistant"), with what, and the text."""

    who: str
    shows: str
    fresh: bool
    text: str


@cache
def turns(name: str) -> tuple[Turn, ...]:
    """The turns of a prompt."""
    text = (_PROMPTS / f"judge-{name}-{VERSION}.txt").read_text("utf-8")
    parts = re.split(r"^## (.+)$", text, flags=re.MULTILINE)[1:]
    found = []
    for head, body in zip(parts[::2], parts[1::2], strict=True):
        words = head.split()
        shows = next((word for word in words[1:] if word != "fresh"), "")
        found.append(Turn(words[0], shows, "fresh" in words, body.strip()))
    return tuple(found)


def answer(text: str) -> str:
    """The decision in a last answer, whatever its case; undetermined where there is none.

    JSON counts first, then the last line that says something.
    """
    for given in replies.objects(text):
        said = str(given.get("answer", "")).strip().lower().rstrip(".")
        if said:
            return said if said in _WORDS else _in_words(said)
    lines = [line for line in text[: replies.LONGEST].splitlines() if line.strip()]
    return _in_words(lines[-1]) if lines else UNDETERMINED


def _in_words(line: str) -> str:
    """The one decision that a line names; undetermined for none, several, or a denial."""
    low = line.lower()
    named = [name for name, words in _WORDS.items() if re.search(rf"\b(?:{words})\b", low)]
    denied = re.search(r"\b(?:not|neither|no|isn't)\b", low)
    return named[0] if len(named) == 1 and not denied else UNDETERMINED


@dataclass
class _Session:
    """All questions about one picture."""

    judge: Judge
    pixels: NDArray[np.uint8]
    began: float = field(default_factory=time.monotonic)
    requests: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    failure: str = ""

    def __post_init__(self) -> None:
        key = os.environ.get("BONAFIDE_EXPLAIN_KEY", "")
        judge = self.judge
        self.cache = Cache(folder())
        self.last = Endpoint(judge.url, judge.model, key, judge.timeout)
        self.turn = Endpoint(judge.url, judge.model, key, judge.timeout, form="text")
        self.shown = {"picture": _encoded(self.pixels), "crop": _encoded(_middle(self.pixels))}
        self.said: dict[str, str] = {}

    def run(self) -> Opinion:
        """Ask by every prompt."""
        answers = {name: answer(self._answer(name)) for name in self.judge.by}
        return Opinion(answers, self.requests, self.tokens_in, self.tokens_out, self.failure)

    def _answer(self, name: str) -> str:
        """The last answer by a prompt, "" for none; asked once."""
        if name not in self.said:
            try:
                self.said[name] = self._converse(turns(name))
            except EndpointError as error:
                self.failure = self.failure or str(error)
                self.said[name] = ""
        return self.said[name]

    def _converse(self, script: Sequence[Turn]) -> str:
        messages: list[dict[str, Any]] = []
        system, answers = "", list[str]()
        for number, turn in enumerate(script):
            text = self._filled(turn.text, answers)
            if turn.who == "system":
                system = text
                continue
            if turn.fresh:
                messages = []
            if system and not messages:
                messages.append({"role": "system", "content": system})
            messages.append({"role": turn.who, "content": self._content(turn, text)})
            follows = script[number + 1].who if number + 1 < len(script) else "user"
            if turn.who == "user" and follows != "assistant":
                told = self._ask(messages, last=number + 1 == len(script))
                answers.append(told[:LONGEST_ANSWER])
                messages.append({"role": "assistant", "content": told[:LONGEST_ANSWER]})
        return answers[-1] if answers else ""

    def _filled(self, text: str, answers: Sequence[str]) -> str:
        """A text with earlier answers in place of {1}, and of the names of other prompts."""

        def one(match: re.Match[str]) -> str:
            name = match[1]
            if name.isdecimal():
                return answers[int(name) - 1]
            return self._answer(name) or "no answer"

        return _BLANK.sub(one, text)

    def _content(self, turn: Turn, text: str) -> Any:
        if not turn.shows:
            return text
        picture = {"type": "image_url", "image_url": {"url": self.shown[turn.shows]}}
        return [{"type": "text", "text": text}, picture]

    def _ask(self, messages: list[dict[str, Any]], last: bool) -> str:
        """One request, or its answer from the cache.

        Raises:
            EndpointError: no usable answer, or the time is over.
        """
        if time.monotonic() - self.began > SECONDS:
            raise EndpointError("the time for one picture was over")
        judge, endpoint = self.judge, self.last if last else self.turn
        most = LAST_TOKENS if last else TURN_TOKENS
        key = self.cache.key(
            url=judge.url, model=judge.model, messages=messages, last=last, seed=judge.seed
        )
        reply = self.cache.get(key)
        if reply is None:
            reply = endpoint.ask(messages, SCHEMA, seed=judge.seed, temperature=0.0, most=most)
            self.cache.put(key, reply)
            self.tokens_in += reply.tokens_in
            self.tokens_out += reply.tokens_out
        self.requests += 1
        return reply.text


def _middle(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The middle half of a picture, of each side."""
    height, width = pixels.shape[:2]
    top, left = height // 4, width // 4
    return pixels[top : max(top + 1, height - top), left : max(left + 1, width - left)]


def _encoded(pixels: NDArray[np.uint8]) -> str:
    """A picture as an address that holds its bytes."""
    from PIL import Image

    made, data = Image.fromarray(np.ascontiguousarray(pixels)), io.BytesIO()
    made.thumbnail((LONGEST, LONGEST))
    made.save(data, "JPEG", quality=QUALITY)
    return f"data:image/jpeg;base64,{base64.b64encode(data.getvalue()).decode('ascii')}"
