"""Lets a model explain a report: ask, check, ask again about what failed, drop the rest.

A model sees the report and adds sentences. It changes no finding, no answer and no verdict, since
it is asked after they are drawn.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

from bonafide.errors import InvalidInput
from bonafide.explain import captioned, reading, replies
from bonafide.explain.agent import Bounds, Seen, Toolbox, investigate
from bonafide.explain.cache import Cache, folder
from bonafide.explain.check import Checker
from bonafide.explain.endpoint import Endpoint, EndpointError, Reply, estimate
from bonafide.explain.sending import (
    MOST_STATEMENTS,
    Payload,
    Picture,
    Share,
    item_payloads,
    item_schema,
    joined,
    payload,
    prompt,
    schema,
)
from bonafide.types import Dropped, Explained, Report, Role, Statement, Step

ANSWER_TOKENS = 1_200  # of one answer
STEP = 0.05  # by which the temperature rises with every further try
HOTTEST = 0.5
ITEM_TOKENS = 80  # of an answer about one item
ITEM_STEP = 0.4  # the same as `STEP`, for one item: a small model repeats itself below that


NO_STATEMENT = "The answer holds no statement."
OVER = "the time for one file was over before every statement was made again"


class By(StrEnum):
    """What one request asks about."""

    REPORT = "report"  # the whole report; for models that can follow it
    ITEM = "item"  # one item of it; for small models


@dataclass(frozen=True)
class Asking:
    """How a model is asked.

    Attributes:
        model: its name at the endpoint.
        url: of the endpoint.
        share: what may be sent.
        key: of the endpoint, "" for none.
        seed: of the sampling.
        by: what one request asks about.
        items: that a model is asked about one by one.
        tries: how often what failed is asked for again.
        timeout: of one request, seconds.
        seconds: wall time for one file, after which nothing more is asked.
        most_tokens: of all requests about one file, both ways.
        prices: per million tokens in and out, in one currency; None if unknown.
        most_cost: of all requests about one file; needs `prices`.
    """

    model: str
    url: str
    share: Share = Share.FINDINGS
    key: str = field(default="", repr=False)
    seed: int = 1
    by: By = By.REPORT
    items: int = 4
    tries: int = 2
    timeout: float = 60.0
    seconds: float = 180.0
    most_tokens: int = 40_000
    prices: tuple[float, float] | None = None
    most_cost: float | None = None

    def __post_init__(self) -> None:
        if self.most_cost is not None and self.prices is None:
            raise InvalidInput("a bound on the cost needs the prices of the endpoint")
        if self.by is By.ITEM and self.share is not Share.FINDINGS:
            raise InvalidInput("a model that is asked by item is sent findings alone")
        Endpoint(self.url, self.model)  # refuses what is no address

    def cost(self, tokens_in: float, tokens_out: float) -> float | None:
        """What so many tokens cost; None without prices."""
        if self.prices is None:
            return None
        return (tokens_in * self.prices[0] + tokens_out * self.prices[1]) / 1e6


@dataclass
class _Tally:
    requests: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    cached: int = 0


def explain(
    report: Report,
    asking: Asking,
    pictures: Iterable[Picture] = (),
    announce: Callable[[Payload], None] | None = None,
    cache: Cache | None = None,
    toolbox: Toolbox | None = None,
    bounds: Bounds | None = None,
    watch: Callable[[Step], None] | None = None,
) -> Explained:
    """Ask a model to explain a report, and keep the statements that hold.

    Args:
        report: with its verdict.
        asking: which model, and within which bounds.
        pictures: what `asking.share` allows; ignored if it allows findings alone.
        announce: called with what will be sent, before it is.
        cache: of answers; the user's own by default.
        toolbox: what the model may call first; nothing by default.
        bounds: on what it calls.
        watch: called with each call that it made.

    Returns:
        What became of it; trouble with the endpoint is its `failure`, never an exception.

    Raises:
        MissingExtra: the package openai is not installed.
    """
    began = time.monotonic()
    asked = _Asked(report, asking, cache or Cache(folder()))
    if asking.by is By.ITEM:
        parts = item_payloads(report, asking.items)
    else:
        parts = (payload(report, asking.share, pictures),)
    sent = joined(parts)
    kept: list[Statement] = []
    dropped: list[Dropped] = []
    failure = ""
    if announce is not None:
        announce(sent)
    seen = Seen((), "", "")
    if toolbox is not None and asking.by is By.REPORT:
        seen = investigate(sent, toolbox, asked.act, bounds or Bounds(), watch)
        if seen.data:  # what it saw goes along, and is no part of what can be cited
            parts = (replace(sent, data=f"{sent.data}\n{seen.data}"),)
    try:
        for conversation in [_Conversation(part, asked) for part in parts]:
            for attempt in range(asking.tries + 1):
                if (kept or dropped) and time.monotonic() - began > asking.seconds:
                    raise EndpointError(OVER)
                fresh, failed = conversation.round(attempt)
                kept += fresh
                dropped += failed
                if len(kept) >= MOST_STATEMENTS or not conversation.open(failed):
                    break
    except EndpointError as error:
        failure = str(error)
    roles: tuple[Role, ...] = ()
    if captioned.caption_of(report) and not failure:
        try:
            roles = _roles(asked, captioned.payload(report, sent.pictures), announce)
        except EndpointError as error:
            failure = str(error)
    tally = asked.tally
    return Explained(
        model=asking.model,
        endpoint=asked.endpoint.host,
        share=asking.share.value,
        prompt=sent.prompt,
        sent=sent.digest,
        seed=asking.seed,
        kept=tuple(kept[:MOST_STATEMENTS]),
        dropped=tuple(dropped),
        requests=tally.requests,
        tokens_in=tally.tokens_in,
        tokens_out=tally.tokens_out,
        cost=_rounded(asking.cost(tally.tokens_in, tally.tokens_out)),
        cached=bool(tally.cached) and tally.cached == tally.requests,
        failure=failure,
        seconds=round(time.monotonic() - began, 3),
        steps=seen.steps,
        stopped=seen.stopped,
        roles=roles,
    )


def _roles(
    asked: _Asked, sent: Payload, announce: Callable[[Payload], None] | None
) -> tuple[Role, ...]:
    """How the model holds the caption against the report.

    Raises:
        EndpointError: no usable answer, or a bound is reached.
    """
    if announce is not None:
        announce(sent)
    reply = asked.ask(
        sent.messages(), captioned.schema(sent.ids), 0.0, asked.asking.seed, captioned.TOKENS
    )
    return captioned.roles(reply.text, asked.report, bool(sent.pictures))


class _Asked:
    """What all requests about one report share: the endpoint, the bounds, what was said."""

    def __init__(self, report: Report, asking: Asking, cache: Cache) -> None:
        self.asking, self.report, self.cache = asking, report, cache
        self.endpoint = Endpoint(asking.url, asking.model, asking.key, asking.timeout)
        self.checker = Checker(report)
        self.tally = _Tally()

    def ask(
        self,
        messages: list[dict[str, Any]],
        schema: dict[str, Any],
        temperature: float,
        seed: int,
        most: int,
    ) -> Reply:
        """Ask, or find the answer in the cache.

        Raises:
            EndpointError: no usable answer, or a bound is reached.
        """
        key = self.cache.key(
            url=self.asking.url,
            model=self.asking.model,
            messages=messages,
            schema=schema,
            temperature=temperature,
            seed=seed,
            most=most,
        )
        reply = self.cache.get(key)
        if reply is not None:
            self.tally.requests += 1
            self.tally.cached += 1
            return reply
        self._within_bounds(messages, most)
        reply = self.endpoint.ask(messages, schema, seed=seed, temperature=temperature, most=most)
        self.tally.requests += 1
        self.tally.tokens_in += reply.tokens_in
        self.tally.tokens_out += reply.tokens_out
        self.cache.put(key, reply)
        return reply

    def act(self, messages: list[dict[str, Any]], schema: dict[str, Any], most: int) -> Reply:
        """Ask for a call of a tool.

        Raises:
            EndpointError: no usable answer, or a bound is reached.
        """
        return self.ask(messages, schema, 0.0, self.asking.seed, most)

    def _within_bounds(self, messages: list[dict[str, Any]], most: int) -> None:
        """Refuse a request that could pass a bound.

        Raises:
            EndpointError: it could.
        """
        asking, tally = self.asking, self.tally
        tokens_in = tally.tokens_in + estimate(messages)
        tokens_out = tally.tokens_out + most
        if tokens_in + tokens_out > asking.most_tokens:
            raise EndpointError(
                f"another request could pass the bound of {asking.most_tokens:,} tokens"
            )
        cost = asking.cost(tokens_in, tokens_out)
        if asking.most_cost is not None and cost is not None and cost > asking.most_cost:
            raise EndpointError(f"another request could cost more than {asking.most_cost:g}")


class _Conversation:
    """The rounds of one request: what fails is asked for again, or, of one item, sampled again."""

    def __init__(self, sent: Payload, asked: _Asked) -> None:
        self.sent, self.asked = sent, asked
        self.single = asked.asking.by is By.ITEM
        self.messages = sent.messages()
        self.schema = (item_schema if self.single else schema)(sent.ids)
        asked.checker.secret = reading.plain(sent.instructions)

    def round(self, attempt: int) -> tuple[list[Statement], list[Dropped]]:
        """Ask once and check what comes.

        Raises:
            EndpointError: no usable answer, or a bound is reached.
        """
        asking = self.asked.asking
        temperature = ITEM_STEP * attempt if self.single else min(HOTTEST, STEP * attempt)
        most = ITEM_TOKENS if self.single else ANSWER_TOKENS
        reply = self.asked.ask(self.messages, self.schema, temperature, asking.seed + attempt, most)
        made = replies.statements(reply.text, asking.model)
        if self.single:  # of what a small model says, the first sentence
            made = [replace(one, text=_first(one.text)) for one in made[:1]]
        kept: list[Statement] = []
        dropped: list[Dropped] = []
        if not made and self.single:
            unread = Statement(reply.text, self.sent.ids, asking.model)
            dropped.append(Dropped(_bounded(unread), "malformed", NO_STATEMENT))
        elif not made and not attempt:
            raise EndpointError("the answer holds no statement")
        for statement in made:
            problem = self.asked.checker.problem(statement)
            if problem is None:
                self.asked.checker.remember(statement)
                kept.append(statement)
            else:
                dropped.append(Dropped(_bounded(statement), problem.reason, problem.why))
        if not self.single:
            told = "\n".join(f"- {one.statement.text} ({one.why})" for one in dropped)
            # The first data is sent again with every round; of the answers only the last one.
            self.messages = [
                *self.sent.messages(),
                {"role": "assistant", "content": reply.text[: replies.LONGEST]},
                {"role": "user", "content": prompt("again", dropped=told)},
            ]
        return kept, dropped

    def open(self, dropped: list[Dropped]) -> bool:
        """Whether something is worth asking for again."""
        return any(one.reason != "repeated" for one in dropped)


def _first(text: str) -> str:
    return next(iter(reading.sentences(text)), text)


def _bounded(statement: Statement) -> Statement:
    """A dropped statement short enough for a report."""
    return Statement(
        statement.text[:400], tuple(c[:80] for c in statement.cites[:8]), statement.author
    )


def _rounded(cost: float | None) -> float | None:
    return None if cost is None else round(cost, 6)


def options(asking: Asking) -> dict[str, Any]:
    """What of the settings decides an explanation, for keys of stored reports."""
    return {
        "model": asking.model,
        "url": asking.url,
        "share": asking.share.value,
        "by": asking.by.value,
    }
