"""The folder of enrolled persons: one JSON card each; and the folder of their keys.

Both lie in the platform's place for a user's data, or where the environment variables
BONAFIDE_PERSONS and BONAFIDE_PERSON_KEYS point. Put the keys on another disk, or into a vault: a
card without its key shows no face and matches nothing.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from bonafide.errors import InvalidInput
from bonafide.files import atomic_write, cards_in, file_stem, user_folder
from bonafide.files import checksums as checksums_of

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

MOST_PERSONS = 200
MOST_CARD = 64 * 1024  # bytes


@dataclass(frozen=True)
class Person:
    """One enrolled person.

    Attributes:
        name: as the user gave it.
        method: of protection, `protect.METHOD`.
        key: what `protect.key_id` says of the key.
        count: photographs that the template was made from.
        agreement: lowest cosine between the mean vector and one of them, before protection.
        template: 64 values.
        created: UTC, ISO 8601.
    """

    name: str
    method: str
    key: str
    count: int
    agreement: float
    template: tuple[float, ...]
    created: str

    @property
    def card(self) -> Path:
        """The file with the template."""
        return folder() / f"{slug(self.name)}.json"

    @property
    def key_file(self) -> Path:
        """The file with the key."""
        return key_folder() / f"{slug(self.name)}.key"


def folder() -> Path:
    """Where templates are kept; it need not exist."""
    return user_folder("BONAFIDE_PERSONS", "persons")


def key_folder() -> Path:
    """Where keys are kept; it need not exist."""
    return user_folder("BONAFIDE_PERSON_KEYS", "person-keys")


def slug(name: str) -> str:
    """The file name of a person, without its ending.

    Raises:
        InvalidInput: the name has no letter or digit, is too long, or cannot be printed.
    """
    return file_stem(name, "a person")


def enrolled() -> list[Person]:
    """All persons, in the order of names.

    Raises:
        InvalidInput: a card is damaged.
    """
    return [_read(path) for path in cards_in(folder(), MOST_PERSONS)]


def named(name: str) -> Person:
    """One person by name.

    Raises:
        InvalidInput: nobody has that name, or the card is damaged.
    """
    path = folder() / f"{slug(name)}.json"
    if not path.is_file():
        raise InvalidInput(f"nobody is enrolled as {name}: see bonafide person list")
    return _read(path)


def checksums() -> Mapping[str, str]:
    """`person.<file name>` → SHA-256 of each card; cards that cannot be read are left out."""
    found = checksums_of(cards_in(folder(), MOST_PERSONS))
    return {f"person.{stem}": digest for stem, digest in found.items()}


def keep(name: str, vectors: Sequence[NDArray[np.float32]], replace: bool = False) -> Person:
    """Protect the mean of vectors with a fresh key and write both.

    Args:
        name: of the person.
        vectors: float32 (128,) of unit length, at least one.
        replace: whether a person of the same name may be overwritten.

    Raises:
        InvalidInput: the name cannot be used or is taken, or there are too many persons.
        OSError: a folder cannot be written.
    """
    import numpy as np

    from bonafide.persons import protect

    mean = np.mean(vectors, axis=0)
    mean = (mean / max(float(np.linalg.norm(mean)), 1e-9)).astype(np.float32)
    secret = protect.new_key()
    person = Person(
        name=name,
        method=protect.METHOD,
        key=protect.key_id(secret),
        count=len(vectors),
        agreement=round(min(float(one @ mean) for one in vectors), 3),
        template=tuple(round(float(value), 5) for value in protect.protect(mean, secret)),
        created=datetime.now(UTC).isoformat(timespec="seconds"),
    )
    taken = person.card.is_file()
    if taken and not replace:
        raise InvalidInput(f"{name} is enrolled already: give --replace, or remove the old one")
    if not taken and len(enrolled()) >= MOST_PERSONS:
        raise InvalidInput(f"{MOST_PERSONS} persons are enrolled, which is the most")
    for place in (folder(), key_folder()):
        place.mkdir(parents=True, exist_ok=True, mode=0o700)
    with atomic_write(person.key_file) as partial:
        place_of_key = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(place_of_key, "wb") as file:
            file.write(secret)
    with atomic_write(person.card) as partial:
        partial.write_text(json.dumps(asdict(person), indent=1, ensure_ascii=False), "utf-8")
    return person


def key_of(person: Person) -> bytes:
    """The key of a person.

    Raises:
        InvalidInput: it is missing, or of another enrolment.
    """
    from bonafide.persons import protect

    try:
        with person.key_file.open("rb") as file:
            secret = file.read(protect.KEY_BYTES + 1)
    except OSError as error:
        raise InvalidInput(
            f"the key of {person.name} cannot be read ({error.strerror}): set "
            "BONAFIDE_PERSON_KEYS to the folder that holds it"
        ) from None
    if len(secret) != protect.KEY_BYTES or protect.key_id(secret) != person.key:
        raise InvalidInput(f"the key of {person.name} is of another enrolment: enrol again")
    return secret


def remove(person: Person) -> None:
    """Forget a person: template and key."""
    person.card.unlink(missing_ok=True)
    person.key_file.unlink(missing_ok=True)


def _read(path: Path) -> Person:
    try:
        if path.stat().st_size > MOST_CARD:
            raise ValueError("it is too large")
        told = json.loads(path.read_text("utf-8"))
        known = {one.name: told[one.name] for one in fields(Person)}
        known["template"] = tuple(map(float, known["template"]))
        person = Person(**known)
        inside = all(-1 <= value <= 1 for value in person.template)  # not true of NaN
        if len(person.template) != 64 or not inside or slug(person.name) != path.stem:
            raise ValueError("its fields do not fit")
    except (OSError, ValueError, KeyError, TypeError, AttributeError, InvalidInput) as error:
        raise InvalidInput(
            f"{path} is no person's card ({error}): remove it and enrol again"
        ) from None
    return person
