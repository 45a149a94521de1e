"""The verb `bonafide bench attack`."""

from __future__ import annotations

import json
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bonafide.cli.bench_options import (
    DONE,
    SOME_FAILED,
    bar,
    json_option,
    listed,
    manifests_argument,
    quiet_option,
)
from bonafide.errors import MissingExtra
from bonafide.questions import Kind, Question

if TYPE_CHECKING:
    from bonafide.bench.attacks.attack import Attack
    from bonafide.bench.attacks.run import Plan


@click.command()
@manifests_argument
@click.option("--out", required=True, type=click.Path(file_okay=False, path_type=Path),
              metavar="DIR", help="Folder of the run; one that exists is continued.")  # fmt: skip
@click.option("--attacks", "names", metavar="NAME,...",
              help="Attacks to run.  [default: all that fit the question]")  # fmt: skip
@click.option("--question", default=Question.SYNTHETIC.value, show_default=True,
              type=click.Choice([Question.SYNTHETIC.value, Question.EDITED.value]),
              help="Whose answer is attacked.")  # fmt: skip
@click.option("--detectors", metavar="ID,...",
              help="Detectors that are asked.  [default: those of the standard profile that answer "
              "the question]")  # fmt: skip
@click.option("--queries", type=click.IntRange(min=1), default=40, show_default=True,
              help="Answers that an attack may ask for on a picture.")  # fmt: skip
@click.option("--epsilon", type=click.IntRange(1, 255), default=8, show_default=True,
              help="Largest change of a channel, levels, where an attack has such a "
              "bound.")  # fmt: skip
@click.option("--most", type=click.IntRange(min=2), default=200, show_default=True,
              help="Pictures, half of each class, spread over sources.")  # fmt: skip
@click.option("--costly", type=click.IntRange(min=1), default=8, show_default=True,
              help="Pictures of each class for an attack that asks many times.")  # fmt: skip
@click.option("--side", type=click.IntRange(min=64), default=384, show_default=True,
              help="Pixels a side that pictures are cut to.")  # fmt: skip
@click.option("--certify", metavar="PROBE:SHARE",
              help="Let a probe vote on parts, and say what no patch of a share of the area can "
              "turn.")  # fmt: skip
@click.option("--autoencoder", type=click.Path(exists=True, dir_okay=False, path_type=Path),
              metavar="FILE.onnx", help="Launder through this network too.")  # fmt: skip
@click.option("--page", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE.md",
              help="Write the table there.  [default: DIR/attacks.md]")  # fmt: skip
@click.option("--seed", default=0, show_default=True, help="Seed of everything random.")
@json_option
@quiet_option
def attack(
    manifests: tuple[Path, ...],
    out: Path,
    names: str | None,
    question: str,
    detectors: str | None,
    queries: int,
    epsilon: int,
    most: int,
    costly: int,
    side: int,
    certify: str | None,
    autoencoder: Path | None,
    page: Path | None,
    seed: int,
    as_json: bool,
    quiet: bool,
) -> None:
    """Attack the answers about labelled pictures, and say how many still stand.

    Pictures that are answered rightly are attacked: accused ones to be hidden, bona fide ones to
    be accused. An attack that ends inconclusive has not brought about a wrong answer.

    \b
    Exit status: 0 done · 1 some picture could not be read · 2 wrong usage.
    """
    from bonafide import registry
    from bonafide.bench.attacks import figures, run
    from bonafide.bench.attacks.attack import Budget, chosen
    from bonafide.bench.attacks.autoencoder import Through
    from bonafide.bench.labelled import read_labelled
    from bonafide.types import Profile

    asked = Question(question)
    attacks = chosen(listed(names), _with_gradients())
    if not names:
        masked = asked is Question.EDITED
        attacks = {name: one for name, one in attacks.items() if masked or not one.needs_mask}
        absent = [
            name for name, one in attacks.items() if one.package and not find_spec(one.package)
        ]
        for name in absent:
            click.echo(f"left out: {name}: pip install 'bonafide[attack]'", err=True)
            del attacks[name]
    if autoencoder is not None:
        attacks[f"autoencoder:{autoencoder.stem}"] = Through.of(autoencoder)
    cards = [registry.card(name) for name in registry.usable()]
    usual = tuple(
        card.id for card in cards
        if card.question is asked and Kind.IMAGE in card.kinds
        and Profile.STANDARD.includes(card.profile)
    )  # fmt: skip
    plan = run.Plan(
        asked, attacks, listed(detectors) or usual, Budget(queries, epsilon), most, costly, side,
        seed, _certificate(certify),
    )  # fmt: skip
    lines = out / "attacks.jsonl"
    with bar("attacking", quiet) as tick:
        failed = run.run(read_labelled(manifests), lines, plan, tick)
    found = figures.figures(run.read(lines), attacks)
    (page or out / "attacks.md").write_text(
        figures.page(
            found, attacks, f"Attacks on the answer to the question {asked.value}", _about(plan)
        ),
        "utf-8",
    )
    click.echo(json.dumps(found, indent=2) if as_json else str(page or out / "attacks.md"))
    sys.exit(SOME_FAILED if failed else DONE)


def _about(plan: Plan) -> str:
    return (
        f"Pictures are cut to {plan.side} pixels a side and asked about with "
        f"{', '.join(plan.detectors)}. Those that are answered rightly are attacked: by cheap "
        f"attacks all of them, by costly ones the first {plan.costly} of each class, with "
        f"{plan.budget.queries} queries times the attack's share and changes of at most "
        f"{plan.budget.epsilon} levels where an attack has such a bound. *Robust accuracy* is the "
        "share of all pictures of the class that are still answered rightly. Intervals in "
        "brackets are 95 % by Wilson, over pictures. A run that was stopped has fewer."
    )


def _with_gradients() -> dict[str, Attack]:
    """The attack that needs PyTorch, where that is installed."""
    from bonafide.cli.train import library

    try:
        return {"surrogate": library("surrogate").ATTACK}
    except MissingExtra:
        return {}


def _certificate(text: str | None) -> tuple[str, float] | None:
    if text is None:
        return None
    probe, _, share = text.partition(":")
    try:
        area = float(share)
    except ValueError:
        area = -1.0
    if not probe or not 0 < area < 1:
        raise click.UsageError(f"--certify takes PROBE:SHARE with a share in (0, 1), not {text!r}")
    return probe, area
