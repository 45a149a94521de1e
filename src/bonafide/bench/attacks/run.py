"""Run attacks on labelled pictures, one line per picture and attack; a rerun does what is missing.

What is attacked is what was answered rightly: a generated or edited picture that is accused is to
be hidden, a bona fide one that is clear is to be framed. Sources are split in two halves, and what
an attacker has of their own comes from the half that is not attacked.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from bonafide.bench.attacks.attack import Aim, Attack, Budget, Pixels, Pool
from bonafide.bench.attacks.boundary import distance
from bonafide.bench.attacks.certified import certify
from bonafide.bench.attacks.target import Answered, Goal, Spent, Target
from bonafide.bench.labelled import Labelled
from bonafide.bench.masks import marked
from bonafide.bench.pixel_metrics import count_pixels
from bonafide.errors import InvalidInput, MediaError
from bonafide.media.source import open_media
from bonafide.types import Question

NONE, CERTIFIED = "none", "certified"
_POOL = 12  # pictures of each kind
_CHEAP = 12  # pictures that a cheap attack gets for one of a costly attack
_STEPS = (0.25, 0.5, 1.0)  # of the queries, at which the best picture so far is handed in

Record = dict[str, Any]
Progress = Callable[[int, int, int], None]


@dataclass(frozen=True)
class Plan:
    """What is attacked, with what.

    Attributes:
        question: whose answer.
        attacks: by name.
        detectors: that are asked; those of the standard profile that answer the question.
        budget: of each attack on each picture.
        most: pictures at most, half of each class.
        costly: pictures of each goal for an attack that asks many times.
        side: pictures are cut to so many pixels a side, from the middle.
        seed: of everything random.
        certify: id of a probe that votes on parts, and the area of the patch; None for none.
    """

    question: Question
    attacks: Mapping[str, Attack]
    detectors: tuple[str, ...]
    budget: Budget = field(default_factory=Budget)
    most: int = 200
    costly: int = 8
    side: int = 384
    seed: int = 0
    certify: tuple[str, float] | None = None


@dataclass(frozen=True)
class Shown:
    """A picture that can be attacked; `mask` marks what was edited, where that is known."""

    file: Labelled
    pixels: Pixels
    goal: Goal
    mask: Any = None


def run(files: Sequence[Labelled], out: Path, plan: Plan, progress: Progress | None = None) -> int:
    """Attack, and append to `out` what is missing there.

    Args:
        files: labelled pictures.
        out: JSON Lines.
        plan: what to do.
        progress: called with (done, total, failed).

    Returns:
        How many pictures could not be read.

    Raises:
        InvalidInput: no picture is labelled for the question, or `out` is of another plan.
        MissingExtra: what an attack needs is not installed.
    """
    known = read(out) if out.exists() else {}
    pictures, failed = _opened(files, plan)
    if not pictures:
        raise InvalidInput(f"no picture can be read that is labelled for {plan.question.value}")
    out.parent.mkdir(parents=True, exist_ok=True)
    if out.exists():  # a line that was cut by a kill
        whole_lines = out.read_bytes().rpartition(b"\n")
        out.write_bytes(whole_lines[0] + whole_lines[1])
    targets: dict[tuple[bool, int | None], Target] = {}
    with out.open("a", encoding="utf-8") as stream:

        def keep(record: Record) -> None:
            known[record["attack"], record["path"]] = record
            stream.write(json.dumps(record, separators=(",", ":")) + "\n")
            stream.flush()

        plain = _target(targets, plan, False, None)
        for done, one in enumerate(pictures, 1):
            if (NONE, one.file.path) not in known:
                keep(_asked(one, plain))
            if progress:
                progress(done, len(pictures), failed)
        right = [one for one in pictures if _right(known[NONE, one.file.path])]
        pools = _pools(right)
        work = list(_work(right, plan, known))
        whole: Target | None = None
        for done, (name, one) in enumerate(work, 1):
            if name == CERTIFIED:
                keep(_certified(one, plan))
            else:
                attack = plan.attacks[name]
                target = _target(targets, plan, attack.stability, attack.quality)
                record, made = _attacked(
                    name, attack, one, target, pools[one.goal, _half(one)], plan
                )
                if attack.stability:  # all detectors see the end, whatever their question
                    whole = whole or Target(plan.question, (), True, attack.quality)
                    record["label"] = whole.ask(made).report.verdict.label.value
                keep(record)
            if progress:
                progress(done, len(work), failed)
    return failed


def read(out: Path) -> dict[tuple[str, str], Record]:
    """(attack, path) → what `run` wrote of it.

    Raises:
        InvalidInput: the file cannot be read.
    """
    found: dict[tuple[str, str], Record] = {}
    try:
        for line in out.read_text("utf-8").splitlines(keepends=True):
            if line.endswith("\n"):
                record = json.loads(line)
                found[record["attack"], record["path"]] = record
    except (OSError, ValueError, KeyError, TypeError):
        raise InvalidInput(f"{out} is no file that `bonafide bench attack` wrote") from None
    return found


def choose(files: Sequence[Labelled], question: Question, most: int, seed: int) -> list[Labelled]:
    """At most `most` files, half of each class, from as many sources as there are, by hash."""
    by_class: dict[bool, dict[str, list[Labelled]]] = {True: {}, False: {}}
    for one in sorted(files, key=lambda one: _order(one.path, seed)):
        if question in one.answers:
            by_class[one.answers[question]].setdefault(one.source, []).append(one)
    chosen = []
    for sources in by_class.values():
        turns = max((len(held) for held in sources.values()), default=0)
        inside = [
            held[turn] for turn in range(turns) for held in sources.values() if turn < len(held)
        ]
        chosen += inside[: most // 2]
    return chosen


def _opened(files: Sequence[Labelled], plan: Plan) -> tuple[list[Shown], int]:
    """The middles of the chosen pictures, and how many could not be read."""
    found, failed = [], 0
    for one in choose(files, plan.question, plan.most, plan.seed):
        try:
            image = open_media(one.path).image
            if image is None:
                raise MediaError(one.path, "it is no picture")
            pixels, mask = image.pixels, None
            if one.mask and (held := open_media(one.mask).image) is not None:
                mask = marked(held.pixels)
        except MediaError:
            failed += 1
            continue
        height, width = pixels.shape[:2]
        tall, wide = min(height, plan.side), min(width, plan.side)
        # On the 8×8 grid, so that a JPEG's history stays where it was.
        top, left = ((room - kept) // 16 * 8 for room, kept in ((height, tall), (width, wide)))
        place = slice(top, top + tall), slice(left, left + wide)
        if mask is not None:
            mask = mask[place] if mask.shape == pixels.shape[:2] else None
        goal = Goal.HIDE if one.answers[plan.question] else Goal.FRAME
        found.append(Shown(one, np.ascontiguousarray(pixels[place]), goal, mask))
    return found, failed


def _work(
    right: Sequence[Shown], plan: Plan, known: Mapping[tuple[str, str], Record]
) -> Iterator[tuple[str, Shown]]:
    """What is still to be done: cheap attacks on all, costly ones on the first of each goal."""
    work: list[tuple[int, int, str, Shown]] = []
    for goal in Goal:
        aimed = [one for one in right if one.goal is goal]
        edited = [one for one in aimed if one.mask is not None and one.mask.any()]
        for place, (name, attack) in enumerate(plan.attacks.items()):
            these = edited if attack.needs_mask else aimed
            these = these[: plan.costly] if attack.costly else these
            pace = _CHEAP if attack.costly else 1
            work += [(pace * rank, place, name, one) for rank, one in enumerate(these)]
        if plan.certify is not None:
            these = aimed[: 4 * plan.costly]
            work += [(_CHEAP // 4 * rank, 0, CERTIFIED, one) for rank, one in enumerate(these)]
    # Picture by picture, so that a run that is stopped has some of each attack.
    for _, _, name, one in sorted(work, key=lambda one: one[:2]):
        if (name, one.file.path) not in known:
            yield name, one


def _target(
    targets: dict[tuple[bool, int | None], Target], plan: Plan, stability: bool, quality: int | None
) -> Target:
    """One for each way of being asked, so that networks stay open."""
    key = (stability, quality)
    if key not in targets:
        targets[key] = Target(plan.question, plan.detectors, stability, quality)
    return targets[key]


def _asked(one: Shown, target: Target) -> Record:
    target.begin()
    began = time.process_time()
    told = _told(one, target.ask(one.pixels))
    return _about(NONE, one) | told | {"seconds": round(time.process_time() - began, 3)}


def _attacked(
    name: str, attack: Attack, one: Shown, target: Target, pool: Pool, plan: Plan
) -> tuple[Record, Pixels]:
    """One picture under one attack, at each strength or each step of its budget, and the last."""
    began = time.process_time()
    aim = Aim(one.pixels, one.goal, pool, one.mask)
    results: list[Record] = []
    for strength in attack.strengths or (0.0,):
        random = np.random.default_rng([plan.seed, int(strength), *one.file.path.encode()])
        queries = max(1, round(attack.share * plan.budget.queries))
        target.begin(queries)
        kept: list[tuple[int, Pixels]] = [(0, one.pixels)]
        budget = replace(plan.budget, queries=queries)
        with suppress(Spent):
            for shown in attack.run(target, aim, budget, strength, random):
                kept.append((target.queries, shown))
                answered = target.asked(shown)
                if answered is not None and answered.decision is one.goal.wrong:
                    break  # more queries cannot make the answer more wrong
        spent = target.queries
        target.begin()
        if attack.strengths:
            result = _result(one, target, kept[-1][1])
            results.append(result | {"budget": strength, "queries": spent})
        else:
            shown_before: Pixels | None = None
            for step in _STEPS:
                allowed = round(step * queries)
                last = [held for asked, held in kept if asked <= allowed][-1]
                same = last is shown_before
                result = results[-1] if same else _result(one, target, last)
                shown_before = last
                results.append(result | {"budget": allowed, "queries": min(spent, allowed)})
    record = _about(name, one) | {
        "results": results,
        "seconds": round(time.process_time() - began, 3),
    }
    return record, kept[-1][1]


def _result(one: Shown, target: Target, shown: Pixels) -> Record:
    return _told(one, target.asked(shown) or target.ask(shown)) | {
        "rms": round(distance(shown, one.pixels), 2),
        "changed": round(float((shown != one.pixels).any(2).mean()), 4),
    }


def _told(one: Shown, answered: Answered) -> Record:
    """What an answer says, and how well it outlines an edit whose mask is known."""
    told: Record = {
        "outcome": one.goal.outcome(answered.decision),
        "score": round(answered.score, 3),
    }
    edits = answered.report.edits
    if one.mask is not None and one.mask.any():
        heatmap = edits.map.enlarge() if edits is not None and edits.map is not None else None
        if heatmap is None or heatmap.shape == one.mask.shape:
            told["f1"] = round(count_pixels(one.mask, heatmap).f1, 4)
    return told


def _certified(one: Shown, plan: Plan) -> Record:
    assert plan.certify is not None
    began = time.process_time()
    found = certify(one.pixels, *plan.certify)
    correct = found.accused is (one.goal is Goal.HIDE)
    return _about(CERTIFIED, one) | {
        "correct": correct,
        "certain": found.certain,
        "votes": [found.votes, found.parts, found.reached],
        "seconds": round(time.process_time() - began, 3),
    }


def _about(attack: str, one: Shown) -> Record:
    return {
        "attack": attack,
        "path": one.file.path,
        "source": one.file.source,
        "goal": one.goal.name.lower(),
    }


def _right(record: Record) -> bool:
    return bool(record["outcome"] == "right")


def _pools(right: Sequence[Shown]) -> dict[tuple[Goal, int], Pool]:
    """What an attacker of each half, with each goal, has of their own."""
    held: dict[tuple[Goal, int], list[Pixels]] = defaultdict(list)
    for one in right:
        held[one.goal, _half(one)].append(one.pixels)
    return {
        (goal, half): Pool(
            tuple(held[Goal.FRAME if goal is Goal.HIDE else Goal.HIDE, 1 - half][:_POOL]),
            tuple(held[goal, 1 - half][:_POOL]),
        )
        for goal in Goal
        for half in (0, 1)
    }


def _half(one: Shown) -> int:
    return hashlib.sha256(one.file.source.encode()).digest()[0] % 2


def _order(path: str, seed: int) -> bytes:
    return hashlib.sha256(f"{seed}\n{Path(path).name}\n{path}".encode()).digest()
