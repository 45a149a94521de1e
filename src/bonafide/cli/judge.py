"""The `--judge…` options: have a model judge pictures, by an endpoint that you name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from bonafide.explain.judge import Judge

F = TypeVar("F", bound=Callable[..., Any])


def judge_options(function: F) -> F:
    """Add the options of a verb that may ask a model what it thinks of a picture."""
    options = (
        click.option(
            "--judge",
            metavar="MODEL",
            envvar="BONAFIDE_JUDGE",
            help="Send every picture, reduced, to this model and count its answers; they have no "
            "vote unless you calibrate them.  [default: $BONAFIDE_JUDGE]",
        ),
        click.option(
            "--judge-url",
            metavar="URL",
            envvar="BONAFIDE_JUDGE_URL",
            help="The endpoint of the judge, which speaks the OpenAI protocol. Its key is read "
            "from $BONAFIDE_EXPLAIN_KEY.  [default: $BONAFIDE_JUDGE_URL]",
        ),
        click.option(
            "--judge-by",
            metavar="PROMPT,...",
            default="defects",
            show_default=True,
            help="Prompts, each with one answer: defects, regions, sense, examples, structure, "
            "stereotypes, fusion, questions, domain, debate, rationale, premises; or all.",
        ),
    )
    for option in reversed(options):
        function = option(function)
    return function


def judge_of(options: Mapping[str, Any], quiet: bool) -> Judge | None:
    """The judge that the options name, None for none; says what it is sent.

    Raises:
        UsageError: it has no endpoint.
        InvalidInput: the address is none, or a prompt does not exist.
        MissingExtra: the package openai is not installed.
    """
    from importlib.util import find_spec

    from bonafide.errors import MissingExtra

    if not options.get("judge"):
        return None
    if not options.get("judge_url"):
        raise click.UsageError("--judge needs --judge-url URL, or BONAFIDE_JUDGE_URL")
    if find_spec("openai") is None:
        raise MissingExtra("explain", "asking a model")
    from bonafide.explain.judge import LONGEST, Judge, prompts

    names = tuple(part.strip() for part in options["judge_by"].split(",") if part.strip())
    by = prompts() if names == ("all",) else names
    judge = Judge(options["judge"], options["judge_url"], by)
    if not quiet:
        click.echo(
            f"asking {judge.model} at {judge.host} about every picture; sent: the picture, reduced "
            f"to {LONGEST:,} pixels, {len(by)} prompt{'s' * (len(by) != 1)}",
            err=True,
        )
    return judge
