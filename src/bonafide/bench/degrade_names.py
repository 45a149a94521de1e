"""The grammar of degradation names, shared by pictures and videos.

A name is steps joined by "+"; a step is its kind and its parameters, joined by ":", as in
"resize:0.5:bicubic+jpeg:75". Parameters at the end may be left out where they have defaults.
Every name has one canonical spelling, in which such defaults are left out and numbers are plain
("jpeg:075:420" is "jpeg:75"): results, file names and random draws go by that.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np


class Parameter(Protocol):
    """One parameter of a step."""

    @property
    def name(self) -> str:
        """What it is called in help texts."""
        ...

    @property
    def default(self) -> Any:
        """Its value when left out; None when it must be given."""
        ...

    def read(self, text: str) -> Any:
        """The value of `text`.

        Raises:
            ValueError: with a sentence that says what is expected.
        """
        ...

    def write(self, value: Any) -> str:
        """The canonical spelling of a value."""
        ...


@dataclass(frozen=True)
class Number:
    """A number in [low, high]; `whole` numbers are ints."""

    name: str
    low: float
    high: float
    default: float | None = None
    whole: bool = False

    def read(self, text: str) -> float:
        """Read a plain decimal number."""
        kind = "a whole number" if self.whole else "a number"
        expected = f"{self.name} must be {kind} from {self.low:g} to {self.high:g}"
        try:
            value = int(text) if self.whole else float(text)
        except ValueError:
            raise ValueError(f"{expected}, not {text!r}") from None
        if not (math.isfinite(value) and self.low <= value <= self.high):
            raise ValueError(f"{expected}, not {text!r}")
        return value

    def write(self, value: float) -> str:
        """Without needless digits."""
        return str(value) if self.whole else repr(value).removesuffix(".0")


@dataclass(frozen=True)
class Choice:
    """One of a few words."""

    name: str
    options: tuple[str, ...]
    default: str | None = None

    def read(self, text: str) -> str:
        """Read one of the options."""
        if text not in self.options:
            raise ValueError(f"{self.name} must be one of {', '.join(self.options)}, not {text!r}")
        return text

    def write(self, value: str) -> str:
        """As it is."""
        return value


@dataclass(frozen=True)
class Extent:
    """A share of each side in (0, 1], or a size "WIDTHxHEIGHT" in pixels."""

    name: str
    default: None = None

    def read(self, text: str) -> float | tuple[int, int]:
        """Read a float, or a tuple (width, height)."""
        width, times, height = text.partition("x")
        try:
            if times:
                size = int(width), int(height)
                if min(size) >= 1:
                    return size
            elif 0 < float(text) <= 1:
                return float(text)
        except ValueError:
            pass
        raise ValueError(
            f"{self.name} must be a share in (0, 1] or a size like 256x256, not {text!r}"
        )

    def write(self, value: float | tuple[int, int]) -> str:
        """As a share or as a size."""
        if isinstance(value, tuple):
            return f"{value[0]}x{value[1]}"
        return repr(value).removesuffix(".0")


@dataclass(frozen=True)
class Kind:
    """A kind of step.

    Attributes:
        name: as it stands in degradation names.
        says: what it does, with parameters in braces: "save as JPEG at quality {quality}".
        parameters: in the order in which they are written.
        run: called with the state and one keyword for each parameter; its meaning is the caller's.
    """

    name: str
    says: str
    parameters: tuple[Parameter, ...] = ()
    run: Callable[..., None] = lambda state: None

    @property
    def usage(self) -> str:
        """Its form, such as "jpeg:QUALITY[:SUBSAMPLING]"."""
        parts = [self.name]
        for parameter in self.parameters:
            part = f":{parameter.name.upper()}"
            parts.append(part if parameter.default is None else f"[{part}]")
        return "".join(parts)


@dataclass(frozen=True)
class Step:
    """A kind of step with its parameters."""

    kind: Kind
    values: Mapping[str, Any]

    @property
    def name(self) -> str:
        """The canonical spelling."""
        pairs = [(parameter, self.values[parameter.name]) for parameter in self.kind.parameters]
        while pairs and pairs[-1][1] == pairs[-1][0].default:
            pairs.pop()
        return ":".join([self.kind.name, *(item.write(value) for item, value in pairs)])

    @property
    def sentence(self) -> str:
        """What it does, in words."""
        return self.kind.says.format_map(
            {item.name: item.write(self.values[item.name]) for item in self.kind.parameters}
        )


class Grammar:
    """The kinds of step that exist, and names made of them."""

    def __init__(self, kinds: tuple[Kind, ...], what: str) -> None:
        """Take the kinds in the order of help texts; `what` names the media: "pictures"."""
        self._kinds = {kind.name: kind for kind in kinds}
        self._what = what

    @property
    def names(self) -> tuple[str, ...]:
        """The names of all kinds of step."""
        return tuple(self._kinds)

    @property
    def usage(self) -> dict[str, str]:
        """Form → meaning of every kind of step, such as "jpeg:QUALITY[:SUBSAMPLING]" → …."""
        return {
            kind.usage: kind.says.format_map(
                {item.name: item.name.upper() for item in kind.parameters}
            )
            for kind in self._kinds.values()
        }

    def parse(self, name: str) -> tuple[Step, ...]:
        """The steps of a degradation.

        Raises:
            ValueError: a step is unknown (lists those that exist) or a parameter is wrong; the
                message names the step.
        """
        steps = tuple(self._step(part.strip()) for part in name.split("+"))
        if len(steps) > 1 and any(step.kind.name == "native" for step in steps):
            raise ValueError(f"{name!r}: native means untouched, and stands alone")
        return steps

    def canonical(self, name: str) -> str:
        """The one spelling of a degradation.

        Raises:
            ValueError: as `parse`.
        """
        return "+".join(step.name for step in self.parse(name))

    def describe(self, name: str) -> str:
        """What a degradation does, as a sentence without a full stop.

        Raises:
            ValueError: as `parse`.
        """
        return ", then ".join(step.sentence for step in self.parse(name))

    def _step(self, text: str) -> Step:
        head, *given = text.split(":")
        kind = self._kinds.get(head)
        if kind is None:
            forms = ", ".join(known.usage for known in self._kinds.values())
            raise ValueError(
                f"no degradation of {self._what} is called {head!r}; there are: {forms}"
            )
        if len(given) > len(kind.parameters):
            raise ValueError(f"{text!r} has too many parameters; it is written {kind.usage}")
        values = {}
        for index, parameter in enumerate(kind.parameters):
            if index < len(given):
                try:
                    values[parameter.name] = parameter.read(given[index])
                except ValueError as error:
                    raise ValueError(f"{text!r}: {error}") from None
            elif parameter.default is None:
                raise ValueError(f"{text!r} lacks {parameter.name}; it is written {kind.usage}")
            else:
                values[parameter.name] = parameter.default
        return Step(kind, values)


def random_for(data: bytes, name: str, seed: int) -> np.random.Generator:
    """Random numbers that depend on the file, the degradation and the seed alone.

    Neither the order of files nor the process that works on them matters.
    """
    digest = hashlib.sha256(data).hexdigest()
    key = hashlib.sha256(f"{seed}\n{name}\n{digest}".encode()).digest()
    return np.random.default_rng(int.from_bytes(key, "big"))
