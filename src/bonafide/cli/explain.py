"""The `--explain…` options: have a model explain each report, and check what it says."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

import click

from bonafide.types import Failure

if TYPE_CHECKING:
    from bonafide.batch.job import Outcome
    from bonafide.examination import Settings
    from bonafide.explain.agent import Toolbox
    from bonafide.explain.model import Asking
    from bonafide.explain.sending import Payload
    from bonafide.types import Report, Step

F = TypeVar("F", bound=Callable[..., Any])
_SHARES = ("findings", "regions", "picture")
_BY = ("report", "item")


def explain_options(function: F) -> F:
    """Add the options of a verb that may ask a model."""
    options = (
        click.option(
            "--explain",
            metavar="MODEL",
            envvar="BONAFIDE_EXPLAIN",
            help="Let a model add sentences, each checked against the findings; it has no part in "
            "the verdict.  [default: $BONAFIDE_EXPLAIN]",
        ),
        click.option(
            "--explain-url",
            metavar="URL",
            envvar="BONAFIDE_EXPLAIN_URL",
            help="The endpoint of the model, which speaks the OpenAI protocol: "
            "http://127.0.0.1:8080/v1. Its key is read from $BONAFIDE_EXPLAIN_KEY.  [default: "
            "$BONAFIDE_EXPLAIN_URL]",
        ),
        click.option(
            "--share",
            type=click.Choice(_SHARES),
            default=_SHARES[0],
            show_default=True,
            envvar="BONAFIDE_EXPLAIN_SHARE",
            help="What is sent to the model: findings alone, with cut-outs of marked regions, or "
            "with the picture, reduced. It is printed before it is sent.",
        ),
        click.option(
            "--explain-by",
            type=click.Choice(_BY),
            default=_BY[0],
            show_default=True,
            envvar="BONAFIDE_EXPLAIN_BY",
            help="What one request asks about: the whole report, or one item of it, which suits "
            "small models.",
        ),
        click.option(
            "--explain-items",
            type=click.IntRange(min=1, max=8),
            default=4,
            show_default=True,
            help="Items of a report that --explain-by item asks about.",
        ),
        click.option(
            "--explain-tries",
            type=click.IntRange(min=0, max=5),
            default=2,
            show_default=True,
            help="How often what fails the check is asked for again.",
        ),
        click.option(
            "--explain-steps",
            type=click.IntRange(min=0, max=20),
            default=0,
            show_default=True,
            help="Tools that the model may call before it writes: single detectors, provenance, "
            "measures of a part; with --share picture also zoom, noise and spectrum.",
        ),
        click.option(
            "--explain-timeout",
            type=click.FloatRange(min=1.0, max=3600.0),
            default=60.0,
            show_default=True,
            help="Seconds that one answer of the model may take; one file may take three times as "
            "long.",
        ),
        click.option(
            "--explain-seed", type=int, default=1, show_default=True, help="Seed of the model."
        ),
        click.option(
            "--explain-tokens",
            type=click.IntRange(min=1),
            default=40_000,
            show_default=True,
            help="Tokens, sent and received, that the explanation of one file may take.",
        ),
        click.option(
            "--prices",
            metavar="IN,OUT",
            help="What the endpoint takes per million tokens sent and received.",
        ),
        click.option(
            "--max-cost",
            "explain_cost",
            type=click.FloatRange(min=0.0),
            help="What the explanation of one file may cost; needs --prices.",
        ),
    )
    for option in reversed(options):
        function = option(function)
    return function


def asking_of(options: Mapping[str, Any]) -> Asking | None:
    """How the options ask for a model; None if they do not.

    Raises:
        UsageError: they contradict each other.
        InvalidInput: the address is none.
        MissingExtra: the package openai is not installed.
    """
    from importlib.util import find_spec

    from bonafide.errors import MissingExtra

    if not options.get("explain"):
        for name, flag in (("prices", "--prices"), ("explain_cost", "--max-cost")):
            if options.get(name) is not None:
                raise click.UsageError(f"{flag} needs --explain MODEL")
        return None
    if not options.get("explain_url"):
        raise click.UsageError("--explain needs --explain-url URL, or BONAFIDE_EXPLAIN_URL")
    if options.get("explain_cost") is not None and not options.get("prices"):
        raise click.UsageError("--max-cost needs --prices IN,OUT")
    if find_spec("openai") is None:
        raise MissingExtra("explain", "asking a model")
    from bonafide.explain.model import Asking, By
    from bonafide.explain.sending import Share

    if options["explain_by"] == "item" and options["share"] != "findings":
        raise click.UsageError("--explain-by item sends findings alone: leave --share out")
    if options["explain_by"] == "item" and options["explain_steps"]:
        raise click.UsageError("--explain-steps needs --explain-by report")
    return Asking(
        model=options["explain"],
        url=options["explain_url"],
        share=Share(options["share"]),
        key=os.environ.get("BONAFIDE_EXPLAIN_KEY", ""),
        seed=options["explain_seed"],
        by=By(options["explain_by"]),
        items=options["explain_items"],
        tries=options["explain_tries"],
        timeout=options["explain_timeout"],
        seconds=3 * options["explain_timeout"],
        most_tokens=options["explain_tokens"],
        prices=_prices(options.get("prices")),
        most_cost=options.get("explain_cost"),
    )


def _prices(text: str | None) -> tuple[float, float] | None:
    if not text:
        return None
    try:
        tokens_in, tokens_out = (float(part) for part in text.split(","))
    except ValueError:
        raise click.UsageError("--prices takes two numbers: IN,OUT") from None
    if not (0 <= tokens_in < 1e6 and 0 <= tokens_out < 1e6):
        raise click.UsageError("--prices takes two numbers that are not negative: IN,OUT")
    return tokens_in, tokens_out


class Explainer:
    """Called with each outcome, in this process; returns it with what a model added.

    Args:
        asking: how the model is asked.
        quiet: print less of what is sent: its size, and not its text.
        settings: of the examination, for the tools.
        steps: calls of tools that the model may make for one file.
    """

    def __init__(
        self,
        asking: Asking,
        quiet: bool = False,
        settings: Settings | None = None,
        steps: int = 0,
    ) -> None:
        self.asking, self.quiet = asking, quiet
        self.settings, self.steps = settings, steps

    def __call__(self, outcome: Outcome) -> Outcome:
        """Explain a report; failures are passed on as they are."""
        if isinstance(outcome.report, Failure):
            return outcome
        from bonafide.batch.job import with_explained
        from bonafide.explain.agent import Bounds
        from bonafide.explain.model import explain

        added = explain(
            outcome.report,
            self.asking,
            outcome.pictures,
            self.announce,
            toolbox=self._tools(outcome.report),
            bounds=Bounds(self.steps, seconds=self.asking.seconds),
            watch=self.watch,
        )
        if added.failure:
            click.echo(f"warning: {self.asking.model}: {_shown(added.failure)}", err=True)
        return with_explained(replace(outcome, pictures=()), added)

    def _tools(self, report: Report) -> Toolbox | None:
        """The tools for a file; none where none were asked for, or it has no place."""
        path = report.media.path
        if not self.steps or self.settings is None or path is None:
            return None
        from bonafide.batch.instruments import Instruments

        return Instruments(path, self.settings, self.asking.share == "picture")

    def watch(self, step: Step) -> None:
        """Say what the model called; its result is sent back to it."""
        from bonafide.report.explained import called

        click.echo(f"{_shown(self.asking.model)} calls {_shown(called(step))}", err=True)

    def announce(self, payload: Payload) -> None:
        """Say what is about to be sent, and where."""
        from bonafide.explain.endpoint import Endpoint

        host = Endpoint(self.asking.url, self.asking.model).host
        pictures = len(payload.pictures)
        told = f", {pictures} picture{'s' * (pictures != 1)}" if pictures else ", no picture"
        size = len(payload.instructions) + len(payload.data)
        click.echo(
            f"asking {_shown(self.asking.model)} at {host}; sent: {self.asking.share}, "
            f"{size:,} characters{told}",
            err=True,
        )
        if not self.quiet:
            click.echo(payload.shown(), err=True)


def _shown(text: str) -> str:
    from bonafide.report.wording import one_line

    return one_line(text, 200)
