"""What the user changed about trust: newer lists, own certificates, lists that are switched off.

Everything lies in one folder: the platform's place for a user's data, or the one that the
environment variable BONAFIDE_TRUST names.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from bonafide.errors import InvalidInput
from bonafide.files import atomic_write, user_data
from bonafide.trust import lists
from bonafide.trust.der import read_certificate
from bonafide.trust.lists import Purpose, Tier, TrustList

OFFICIAL_ADDRESSES = tuple(
    f"https://raw.githubusercontent.com/c2pa-org/conformance-public/main/trust-list/{name}"
    for name in lists.OFFICIAL_FILES
)
SWITCHES = (Tier.OFFICIAL, Tier.INTERIM, Tier.OWN)
_FILES = {
    Purpose.CLAIMS: lists.OFFICIAL_FILES[0],
    Purpose.TIME_STAMPS: lists.OFFICIAL_FILES[1],
}
_MOST_OWN = 200  # files


@dataclass(frozen=True)
class Trust:
    """What is trusted now.

    Attributes:
        lists: those that count, the strictest first.
        usages: extended key usages that a signer may have, one a line.
        off: tiers that the user switched off.
    """

    lists: tuple[TrustList, ...]
    usages: str
    off: tuple[Tier, ...] = ()

    @property
    def warnings(self) -> tuple[str, ...]:
        """One sentence per list that is past its own date of replacement."""
        return tuple(
            f"the {one.name} was to be replaced by {one.next_update[:10]}: "
            "`bonafide trust update` fetches the newest"
            for one in self.lists
            if one.overdue()
        )


def folder() -> Path:
    """Where the user's own trust is kept; it need not exist."""
    named = os.environ.get("BONAFIDE_TRUST")
    return Path(named) if named else user_data("trust")


def in_use(given: str | None = None) -> Trust:
    """The lists that count.

    Args:
        given: a PEM file or folder that replaces all others; None for the usual ones.

    Raises:
        OSError: a list cannot be read.
        ValueError: a given list is not text, or holds no certificate.
        InvalidInput: a list of the user is damaged.
    """
    if given is not None:
        only, usages = lists.given_list(given)
        return Trust((only,), usages)
    off = switched_off()
    found = [newest(one) if one.tier is Tier.OFFICIAL else one for one in lists.shipped()]
    found += own()
    return Trust(tuple(one for one in found if one.tier not in off), lists.key_usages(), off)


def newest(one: TrustList) -> TrustList:
    """The shipped list, or the user's newer edition of it.

    Raises:
        InvalidInput: that edition is damaged.
    """
    path = folder() / _FILES[one.purpose]
    if not path.is_file():
        return one
    other = lists.read_official(path.read_bytes(), str(path))
    return other if other.purpose is one.purpose and other.sequence >= one.sequence else one


def own() -> list[TrustList]:
    """The user's own certificates, one list per file and purpose, in the order of names."""
    found = []
    for purpose in Purpose:
        place = folder() / purpose.value
        if not place.is_dir():
            continue
        for path in sorted(place.glob("*.pem"))[:_MOST_OWN]:
            data = path.read_bytes()
            found.append(
                TrustList(
                    path.stem,
                    Tier.OWN,
                    purpose,
                    data.decode("utf-8", "replace"),
                    source=str(path),
                    sha256=hashlib.sha256(data).hexdigest(),
                )
            )
    return found


def add(path: Path, purpose: Purpose = Purpose.CLAIMS) -> TrustList:
    """Trust the certificates of a PEM file from now on.

    Raises:
        OSError: it cannot be read, or the user's folder not be written.
        InvalidInput: it holds no certificate that can be read.
    """
    if path.stat().st_size > lists.MOST_BYTES:
        raise InvalidInput(f"{path} has more than 8 MiB")
    certificates = lists.certificates_of(path.read_text("utf-8", "replace"))
    try:
        for certificate in certificates:
            read_certificate(certificate)
    except ValueError as error:
        raise InvalidInput(f"{path} holds a damaged certificate: {error}") from None
    if not certificates:
        raise InvalidInput(f"{path} holds no PEM certificate")
    name = re.sub(r"[^\w.-]+", "-", path.stem)[:60].strip(".-") or "certificate"
    target = folder() / purpose.value / f"{name}.pem"
    target.parent.mkdir(parents=True, exist_ok=True)
    text = "".join(map(lists.pem_of, certificates))
    if target.exists() and target.read_text("utf-8") != text:
        raise InvalidInput(f"another file was added as {name}: bonafide trust remove {name}")
    with atomic_write(target) as partial:
        partial.write_text(text, "utf-8")
    return next(one for one in own() if one.source == str(target))


def remove(name: str) -> int:
    """Forget the certificates that were added under a name; how many files that were."""
    paths = [Path(one.source) for one in own() if one.name == name]
    for path in paths:
        path.unlink()
    return len(paths)


def switched_off() -> tuple[Tier, ...]:
    """The tiers that do not count."""
    try:
        kept = json.loads((folder() / "off.json").read_text("utf-8"))
    except FileNotFoundError:
        return ()
    except (OSError, ValueError) as error:
        raise InvalidInput(f"{folder() / 'off.json'} cannot be read: {error}") from None
    return tuple(tier for tier in SWITCHES if isinstance(kept, list) and tier.value in kept)


def switch(tiers: Iterable[Tier], off: bool) -> None:
    """Make tiers count, or not."""
    now = set(switched_off())
    now = now | set(tiers) if off else now - set(tiers)
    path = folder() / "off.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(path) as partial:
        partial.write_text(json.dumps(sorted(tier.value for tier in now)), "utf-8")


def update(data: bytes, source: str) -> TrustList:
    """Use a newer edition of an official list.

    Args:
        data: the JSON that the C2PA publishes.
        source: where it is from, for messages.

    Returns:
        The list that counts now.

    Raises:
        InvalidInput: it is no such list, or older than the one that counts.
    """
    new = lists.read_official(data, source)
    shipped = next(
        one for one in lists.shipped() if one.tier is Tier.OFFICIAL and one.purpose is new.purpose
    )
    present = newest(shipped)
    if (new.sequence, new.issued) < (present.sequence, present.issued):
        raise InvalidInput(
            f"{source} is edition {new.sequence} of {new.issued[:10]}, older than edition "
            f"{present.sequence} of {present.issued[:10]}, which is in use"
        )
    path = folder() / _FILES[new.purpose]
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(path) as partial:
        partial.write_bytes(data)
    return replace(new, source=str(path))
