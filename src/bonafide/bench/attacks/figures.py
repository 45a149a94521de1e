"""The table of attacks: what was still answered rightly, what ended inconclusive, what wrong."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from typing import Any

import numpy as np

from bonafide.bench.attacks.attack import Attack
from bonafide.bench.attacks.run import CERTIFIED, NONE
from bonafide.bench.statistics import Interval, wilson

_LEAST = 5  # pictures of which a share of all is estimated
_GOALS = {"hide": "altered, to be hidden", "frame": "bona fide, to be accused"}


def figures(
    records: Mapping[tuple[str, str], Mapping[str, Any]], attacks: Mapping[str, Attack]
) -> dict[str, Any]:
    """Everything the table shows, as JSON values.

    Args:
        records: as `bonafide.bench.attacks.run.read` gives them.
        attacks: by name.

    Returns:
        `clean`, by goal; `attacks`, a row for each attack, goal and budget; `headlines` of the
        whole verdict where an attack was run on it; `certified`, by goal.
        Shares come with Wilson intervals over pictures, which are too narrow where pictures of one
        source are alike.
    """
    clean, certified = defaultdict(list), defaultdict(list)
    rows: dict[tuple[str, str, float], list[Mapping[str, Any]]] = defaultdict(list)
    seconds: dict[tuple[str, str], list[float]] = defaultdict(list)
    before: dict[tuple[str, str], list[float]] = defaultdict(list)
    headlines: dict[str, Counter[str]] = defaultdict(Counter)
    for (name, path), record in records.items():
        goal = record["goal"]
        if name == NONE:
            clean[goal].append(record["outcome"])
        elif name == CERTIFIED:
            certified[goal].append(record)
        elif name in attacks:
            seconds[name, goal].append(record["seconds"])
            untouched = records[NONE, path]
            if "f1" in untouched:
                before[name, goal].append(untouched["f1"])
            if "label" in record:
                headlines[f"{name}, {goal}"][record["label"]] += 1
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
                "f1_before": _mean(before[name, goal]),
                "robust": _robust(_shares(clean[goal]), found),
                **_shares([one["outcome"] for one in found]),
            }
            for (name, goal, budget), found in sorted(rows.items())
        ],
        "headlines": {name: dict(counts) for name, counts in sorted(headlines.items())},
        "certified": {
            goal: {
                "pictures": len(found),
                "correct": _share([one["correct"] for one in found]),
                "certified": _share([one["correct"] and one["certain"] for one in found]),
            }
            for goal, found in sorted(certified.items())
        },
    }


def page(found: Mapping[str, Any], attacks: Mapping[str, Attack], heading: str, about: str) -> str:
    """The table in Markdown; `about` says in sentences how it was made."""
    lines = [f"# {heading}", "", "Written by `bonafide bench attack`; do not edit.", "", about]
    lines += ["", "Before any attack:", ""]
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
        marked = any(one["f1"] is not None for one in rows)
        lines += ["", f"## Pictures that are {words}", ""]
        lines += _table(
            ("Attack", "budget", "pictures", "still right", "inconclusive", "wrong",
             "robust accuracy", "queries", "CPU s", "change, rms levels",
             *(["pixel F1 before", "after"] if marked else [])),
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
                    *((_number(one["f1_before"]), _number(one["f1"])) if marked else ()),
                )
                for one in rows
            ],
        )  # fmt: skip
    if found["headlines"]:
        lines += ["", "The whole verdict, with all detectors and changed copies, at the end:", ""]
        lines += [
            f"- {name}: " + ", ".join(f"{count} `{label}`" for label, count in counts.items())
            for name, counts in found["headlines"].items()
        ]
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


def _robust(clean: Mapping[str, Any], found: list[Mapping[str, Any]]) -> float | None:
    """Share of all pictures, attacked or wrong before, that are answered rightly; None of few."""
    if len(found) < _LEAST:
        return None
    still = [one["outcome"] == "right" for one in found]
    return float(clean["right"]["value"] * np.mean(still))


def _mean(values: list[float]) -> float | None:
    return round(float(np.mean(values)), 4) if values else None


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"


def _budget(budget: float, attack: Attack) -> str:
    return f"strength {budget:g}" if attack.strengths else f"{budget:.0f} queries"


def _cells(one: Mapping[str, Any]) -> tuple[str, str, str]:
    return _interval(one["right"]), _percent(one["open"]["value"]), _percent(one["wrong"]["value"])


def _interval(one: Mapping[str, float]) -> str:
    return f"{_percent(one['value'])} [{100 * one['low']:.0f}–{100 * one['high']:.0f}]"


def _percent(value: float | None) -> str:
    return "–" if value is None or value != value else f"{100 * value:.0f} %"


def _table(heads: tuple[str, ...], rows: list[tuple[str, ...]]) -> list[str]:
    return [
        f"| {' | '.join(heads)} |",
        f"|{'---|' * len(heads)}",
        *(f"| {' | '.join(row)} |" for row in rows),
    ]
