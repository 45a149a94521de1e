"""Whether two records of one file say the same: the one that was kept, and one made again.

Computers differ in the last digits, so numbers with a fraction may differ by `ABSOLUTE` and
`RELATIVE` together; whole numbers count something, and may not. If any do, the numbers in sentences
may be rounded otherwise, by a step of the last digit shown. Everything else must be equal. What
cannot be made again is not compared: when the report was made, how long it took, and what the file
was called.

A report of schema 1 is compared on what both schemas have: file, verdict, probabilities, regions,
and scores, facts, claims and regions of its detectors. Sentences have been rewritten since.
"""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from bonafide import registry
from bonafide.errors import InvalidInput
from bonafide.examination import Settings
from bonafide.media.limits import Limits
from bonafide.types import Profile, Question

ABSOLUTE = RELATIVE = 0.002
_PASSED_OVER = {
    "": {"examined_at", "signature", "maps", "versions", "settings", "explained"},
    "media": {"name", "path"},
    "findings[]": {"seconds"},
}
_SETTINGS = ("profile", "only", "false_accusation_rate", "network", "stability", "asked")
_DECISIVE = ("calibration", "trust")  # of the versions, besides networks
_SENTENCES = {
    "because[].text",
    "explanation[]",
    "caveat",
    "stability.text",
    "answers[].why",
    "answers[].stratum",
    "answers[].because[].text",
    "findings[].summary",
    "findings[].why",
    "findings[].parts[].summary",
    "findings[].parts[].calibrated.warnings[]",
}
_MEDIA = ("sha256", "bytes", "kind", "width", "height", "format")
_NUMBER = re.compile(r"\d[\d,]*(?:\.\d+)?(?:e[-+]?\d+)?")


@dataclass(frozen=True)
class Difference:
    """Something that came out otherwise.

    Attributes:
        where: path of the value, "findings[ela].score".
        then, now: as kept, as made again; None where it is absent.
    """

    where: str
    then: Any
    now: Any


def differences(then: Mapping[str, Any], now: Mapping[str, Any]) -> list[Difference]:
    """Everything in which two records differ, see above, in the order of the first."""
    return _compared(then, now).result()


def within_tolerance(then: Mapping[str, Any], now: Mapping[str, Any]) -> list[Difference]:
    """Numbers that are not equal and still pass, in the order of the first record."""
    return _compared(then, now).inexact


def _compared(then: Mapping[str, Any], now: Mapping[str, Any]) -> _Comparison:
    compared = _Comparison()
    one, two = then, now
    if older(then) != older(now):
        try:
            one, two = _common(then, then, now), _common(now, then, now)
        except (KeyError, TypeError, AttributeError) as error:
            raise InvalidInput(
                f"the report is not as schema 1 has it: {type(error).__name__} {error}"
            ) from None
    compared.values("", "", dict(one), dict(two))
    for part, names in (("settings", _SETTINGS), ("versions", _rests_on(then, now))):
        for name in names:
            old, new = (record.get(part, {}).get(name) for record in (then, now))
            if old is None and _says_nothing(new):
                continue
            compared.values(f"{part}.{name}", part, old, new)
    return compared


def older(record: Mapping[str, Any]) -> bool:
    """Whether a record has schema 1."""
    return record.get("schema") == 1


def gone(record: Mapping[str, Any]) -> list[str]:
    """Detectors that a record names and that are not installed here, each once."""
    try:
        names = [*record["settings"]["only"], *(one["detector"] for one in record["findings"])]
    except (KeyError, TypeError):  # a damaged record, which is told elsewhere
        return []
    known = set(registry.ids())
    return [name for name in dict.fromkeys(map(str, names)) if name not in known]


def other_processor(then: Mapping[str, Any], now: Mapping[str, Any]) -> bool:
    """Whether two reports were made by processors that may compute other last digits."""
    old, new = (record.get("versions", {}).get("cpu") for record in (then, now))
    return old is not None and old != new


def other_versions(then: Mapping[str, Any], now: Mapping[str, Any]) -> list[Difference]:
    """Programs and libraries of other versions, which may explain differences."""
    old, new = then.get("versions", {}), now.get("versions", {})
    return [
        Difference(f"versions.{name}", old.get(name), new.get(name))
        for name in sorted({*old, *new})
        if name not in _rests_on(then, now) and old.get(name) != new.get(name)
    ]


def settings_of(record: Mapping[str, Any], allowed: Limits) -> Settings:
    """The settings with which a report was made.

    Args:
        record: of the report. It may come from anybody.
        allowed: the limits of the record hold where they are stricter than these.

    Raises:
        InvalidInput: the record does not say, or says what cannot be set.
    """
    try:
        told = record["settings"]
        if not isinstance(record["versions"], dict):
            raise TypeError("versions without names")
        limits = {
            # A report of an older version does not know the limits that came later.
            name: min(type(most)(told["limits"].get(name, most)), most)
            for name, most in vars(allowed).items()
        }
        return Settings(
            profile=Profile(told["profile"]),
            only=tuple(str(name) for name in told["only"]),
            limits=Limits(**limits),
            false_accusation_rate=_rate(told["false_accusation_rate"]),
            trust=_path(told["trust"]),
            network=bool(told["network"]),
            stability=bool(told["stability"]),
            calibration=_path(told["calibration"]),
            asked=tuple(Question(name) for name in told.get("asked", ())),
            caption=_path(told.get("caption")),
        )
    except (KeyError, TypeError, ValueError, OverflowError, AttributeError) as error:
        raise InvalidInput(
            f"the report does not say how it was made: {type(error).__name__} {error}"
        ) from None


def _rests_on(*records: Mapping[str, Any]) -> list[str]:
    """Names of versions that decide the outcome, and are not those of programs."""
    names = {name for record in records for name in record.get("versions", {})}
    return sorted(name for name in names if name in _DECISIVE or name.startswith("weights."))


def _rate(value: Any) -> float | None:
    if value is None:  # the bound of each question
        return None
    if not 0.0 < float(value) <= 0.5:
        raise ValueError(f"a false-accusation rate of {value}")
    return float(value)


def _path(value: Any) -> str | None:
    return None if value is None else str(value)


def _common(
    record: Mapping[str, Any], then: Mapping[str, Any], now: Mapping[str, Any]
) -> dict[str, Any]:
    """What schema 1 and 2 both have of a record, for the detectors and questions of `then`."""
    findings = {finding["detector"]: finding for finding in record["findings"]}
    asked = {finding["detector"] for finding in now["findings"]}
    edits = record.get("edits")
    return {
        "media": {name: record["media"][name] for name in _MEDIA},
        "verdict": record["verdict"],
        "probabilities": {
            name: record["probabilities"].get(name) for name in then["probabilities"]
        },
        "findings": [
            _common_of(finding["detector"], findings.get(finding["detector"]), asked)
            for finding in then["findings"]
        ],
        "edits": edits and {name: edits[name] for name in ("regions", "marked_share")},
    }


def _common_of(
    detector: str, finding: Mapping[str, Any] | None, asked: Collection[str]
) -> dict[str, Any]:
    if finding is None:
        return {"detector": detector, "status": "not asked"}
    if detector not in asked:
        return {"detector": detector, "status": finding["status"]}
    kept = {name: finding[name] for name in ("detector", "version", "question", "status", "score")}
    if kept["status"] != "ok":
        return kept
    part = finding["parts"][0] if "parts" in finding else finding
    claim = part["claim"]
    claimed = claim["label"] if isinstance(claim, Mapping) else claim
    return kept | {"facts": part["facts"], "regions": part["regions"], "claim": claimed}


class _Comparison:
    """Walks two values side by side."""

    def __init__(self) -> None:
        self.found: list[Difference] = []
        self.rounded: list[Difference] = []  # sentences that differ in last digits only
        self.inexact: list[Difference] = []  # numbers within the tolerance

    def result(self) -> list[Difference]:
        """Sentences are made from numbers: where those are equal to the last digit, so are they."""
        return self.found if self.inexact else [*self.found, *self.rounded]

    def values(self, where: str, kind: str, then: Any, now: Any) -> None:
        """Compare two values of any sort; `kind` is `where` without names and numbers."""
        if isinstance(then, dict) and isinstance(now, dict):
            self._dicts(where, kind, then, now)
        elif isinstance(then, list) and isinstance(now, list):
            self._lists(where, kind, then, now)
        elif _equal(then, now):
            return
        elif _is_fraction(then, now) and _close(float(then), now, 0.0):
            self.inexact.append(Difference(where, then, now))
        elif kind in _SENTENCES and _same_but_for_last_digits(str(then), str(now)):
            self.rounded.append(Difference(where, then, now))
        else:
            self.found.append(Difference(where, then, now))

    def _dicts(
        self, where: str, kind: str, then: Mapping[str, Any], now: Mapping[str, Any]
    ) -> None:
        for name in dict.fromkeys([*then, *now]):
            if name in _PASSED_OVER.get(kind, ()):
                continue
            path = f"{where}.{name}" if where else str(name)
            if name not in then and _says_nothing(now[name]):
                continue  # a key that came with a later version
            if (name in then) != (name in now):
                self.found.append(Difference(path, then.get(name), now.get(name)))
                continue
            self.values(path, f"{kind}.{name}" if kind else str(name), then[name], now[name])

    def _lists(self, where: str, kind: str, then: list[Any], now: list[Any]) -> None:
        if len(then) != len(now):
            self.found.append(Difference(where, f"{len(then)} entries", f"{len(now)} entries"))
            return
        for number, (old, new) in enumerate(zip(then, now, strict=True)):
            name = old.get("detector", number) if isinstance(old, dict) else number
            self.values(f"{where}[{name}]", f"{kind}[]", old, new)


def _says_nothing(value: Any) -> bool:
    return value is None or value == "" or value == []


def _equal(then: Any, now: Any) -> bool:
    alike = type(then) is type(now) or (_is_number(then) and _is_number(now))
    return alike and then == now


def _is_fraction(then: Any, now: Any) -> bool:
    """What was made here tells the two kinds apart: other programs write 1.0 as 1."""
    return isinstance(now, float) and _is_number(then) and abs(then) <= sys.float_info.max


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _close(then: float, now: float, step: float) -> bool:
    allowed = ABSOLUTE + RELATIVE * max(abs(then), abs(now)) + step
    return math.isfinite(then - now) and abs(then - now) <= allowed


def _same_but_for_last_digits(then: str, now: str) -> bool:
    if _NUMBER.split(then) != _NUMBER.split(now):
        return False
    pairs = zip(_NUMBER.findall(then), _NUMBER.findall(now), strict=True)
    return all(one == two or _near(one, two) for one, two in pairs)


def _near(one: str, two: str) -> bool:
    step = max(10.0 ** -len(text.partition(".")[2].partition("e")[0]) for text in (one, two))
    values = [float(text.replace(",", "")) for text in (one, two)]
    return _close(values[0], values[1], step)
