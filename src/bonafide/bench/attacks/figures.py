"""The table of attacks: what was still answered rightly, what ended inconclusive, what wrong."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

import numpy as np

from bonafide.bench.attacks.attack import Attack
from bonafide.bench.attacks.run import CERTIFIED, NONE
from bonafide.bench.statistics import Interval, wilson

_GOALS = {"hide": "altered, to be hidden", "frame": "bona fide, to be accused"}


def figures(
    records: Mapping[tuple[str, str], Mapping[str, Any]], attacks: Mapping[str, Attack]
) -> dict[str, Any]:
    """Everything the table shows, as JSON values.

    Args:
        records: as `bonafide.bench.attacks.run.read` gives them.
        attacks: by name.

    Returns:
        `clean`, by goal; `attacks`, a row for each attack, goal and budget; `certified`, by goal.
        Shares come with Wilson intervals over pictures, which are too narrow where pictures of one
        source are alike.
    """
    clean, certified = defaultdict(list), defaultdict(list)
    rows: dict[tuple[str, str, float], list[Mapping[str, Any]]] = defaultdict(list)
    seconds: dict[tuple[str, str], list[float]] = defaultdict(list)
    for (name, _), record in records.items():
        goal = record["goal"]
        if name == NONE:
            clean[goal].append(record["outcome"])
        elif name == CERTIFIED:
            certified[goal].append(record)
        elif name in attacks:
            seconds[name, goal].append(record["seconds"])
            for result in record["results"]:
                rows[name, goal, result["budget"]].append(result)
    return {
        "clean": {goal: _shares(found) for goal, found in sorted(clean.items())},
        "attacks": [
            {
                "attack": name,
                "goal": goal,
                "budget": budget,
                "queries": float(np.median([one["queries"] for one in found])),
                "seconds": round(float(np.median(seconds[name, goal])), 2),
                "rms": round(float(np.median([one["rms"] for one in found])), 1),
                "f1": _mean([one["f1"] for one in found if "f1" in one]),
                "robust": _robust(_shares(clean[goal]), found),
                **_shares([one["outcome"] for one in found]),
            }
            for (name, goal, budget), found in sorted(rows.items())
        ],
        "certified": {
            goal: {
                "pictures": len(found),
                "correct": _share([one["correct"] for one in found]),
                "certified": _share([one["correct"] and one["certain"] for one in found]),
            }
            for goal, found in sorted(certified.items())
        },
    }


def page(found: Mapping[str, Any], attacks: Mapping[str, Attack], heading: str) -> str:
    """The table in Markdown."""
    lines = [f"# {heading}", "", "Before any attack:", ""]
    lines += _table(
        ("Pictures", "number", "answered rightly", "inconclusive", "wrong"),
        [
            (_GOALS[goal], str(one["pictures"]), *_cells(one))
            for goal, one in found["clean"].items()
        ],
    )
    for goal, words in _GOALS.items():
        rows = [one for one in found["attacks"] if one["goal"] == goal]
        if not rows:
            continue
        lines += ["", f"## Pictures that are {words}", ""]
        lines += _table(
            ("Attack", "budget", "pictures", "still right", "inconclusive", "wrong",
             "robust accuracy", "queries", "CPU s", "change, rms levels"),
            [
                (
                    f"`{one['attack']}`",
                    _budget(one["budget"], attacks[one["attack"]]),
                    str(one["pictures"]),
                    *_cells(one),
                    _percent(one["robust"]),
                    f"{one['queries']:.0f}",
                    f"{one['seconds']:.1f}",
                    f"{one['rms']:.1f}",
                )
                for one in rows
            ],
        )  # fmt: skip
    if found["certified"]:
        lines += ["", "## Certified against patches", ""]
        lines += _table(
            ("Pictures", "number", "majority of parts is right", "and no patch can turn it"),
            [
                (_GOALS[goal], str(one["pictures"]), _interval(one["correct"]),
                 _interval(one["certified"]))
                for goal, one in found["certified"].items()
            ],
        )  # fmt: skip
    lines += ["", "## Attacks", ""]
    lines += _table(
        ("Attack", "what it does", "what it knows", "from"),
        [(f"`{name}`", one.title, one.knows, one.paper) for name, one in attacks.items()],
    )
    return "\n".join(lines) + "\n"


def _shares(outcomes: list[str]) -> dict[str, Any]:
    return {
        "pictures": len(outcomes),
        **{
            name: _share([outcome == name for outcome in outcomes])
            for name in ("right", "open", "wrong")
        },
    }


def _share(values: list[bool]) -> dict[str, float]:
    found: Interval = wilson(sum(values), len(values))
    return {"value": found.value, "low": found.low, "high": found.high}


def _robust(clean: Mapping[str, Any], found: list[Mapping[str, Any]]) -> float:
    """Share of all pictures, attacked or wrong before, that are answered rightly."""
    still = [one["outcome"] == "right" for one in found]
    return float(clean["right"]["value"] * np.mean(still))


def _mean(values: list[float]) -> float | None:
    return round(float(np.mean(values)), 4) if values else None


def _budget(budget: float, attack: Attack) -> str:
    return f"strength {budget:g}" if attack.strengths else f"{budget:.0f} queries"


def _cells(one: Mapping[str, Any]) -> tuple[str, str, str]:
    return _interval(one["right"]), _percent(one["open"]["value"]), _percent(one["wrong"]["value"])


def _interval(one: Mapping[str, float]) -> str:
    return f"{_percent(one['value'])} [{100 * one['low']:.0f}–{100 * one['high']:.0f}]"


def _percent(value: float) -> str:
    return f"{100 * value:.0f} %" if value == value else "–"


def _table(heads: tuple[str, ...], rows: list[tuple[str, ...]]) -> list[str]:
    return [
        f"| {' | '.join(heads)} |",
        f"|{'---|' * len(heads)}",
        *(f"| {' | '.join(row)} |" for row in rows),
    ]
