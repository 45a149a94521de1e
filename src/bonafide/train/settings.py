"""Settings as text: `name=value` from a command line, typed by the dataclass that has the name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from types import NoneType, UnionType
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from bonafide.errors import InvalidInput

T = TypeVar("T")
_TRUTHS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


def split(texts: Sequence[str]) -> dict[str, str]:
    """Names and values of "name=value" texts; of a name given twice, the last counts.

    Raises:
        InvalidInput: a text has no "=".
    """
    for text in texts:
        if "=" not in text:
            raise InvalidInput(f"--set {text}: it is written NAME=VALUE")
    return {name.strip(): value for name, _, value in (text.partition("=") for text in texts)}


def check_names(given: Mapping[str, str], *kinds: type) -> None:
    """Refuse names that none of the dataclasses has.

    Raises:
        InvalidInput: listing those that there are, with their defaults.
    """
    known = {one.name: one.default for kind in kinds for one in fields(kind)}
    unknown = sorted(set(given) - set(known))
    if unknown:
        there = ", ".join(f"{name}={value}" for name, value in known.items())
        raise InvalidInput(f"there is no setting {', '.join(unknown)}; there are: {there}")


def build(kind: type[T], given: Mapping[str, str]) -> T:
    """A dataclass with its own share of the values given, and defaults for the rest.

    Raises:
        InvalidInput: a value is not of the field's type.
    """
    types = get_type_hints(kind)
    own = [one.name for one in fields(kind) if one.name in given]  # type: ignore[arg-type]
    return kind(**{name: _read(name, given[name], types[name]) for name in own})


def describe(*values: Any) -> str:
    """All settings of dataclass instances, one "name=value" a line."""
    return "\n".join(
        f"{one.name}={_written(getattr(value, one.name))}"
        for value in values
        for one in fields(value)
    )


def _read(name: str, text: str, kind: Any) -> Any:
    if get_origin(kind) is UnionType:
        options = [one for one in get_args(kind) if one is not NoneType]
        return None if text.lower() in ("", "none") else _read(name, text, options[0])
    if get_origin(kind) is tuple:
        parts = [part.strip() for part in text.split(",") if part.strip()]
        return tuple(_read(name, part, get_args(kind)[0]) for part in parts)
    try:
        return _TRUTHS[text.lower()] if kind is bool else kind(text)
    except (KeyError, ValueError):
        expected = {int: "a whole number", float: "a number", bool: "true or false"}
        raise InvalidInput(f"{name} must be {expected.get(kind, kind)}, not {text!r}") from None


def _written(value: Any) -> str:
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)
