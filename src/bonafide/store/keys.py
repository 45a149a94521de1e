"""API keys: random, shown once, kept as a hash."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterable

from sqlalchemy import select

from bonafide.errors import InvalidInput
from bonafide.store.audit import Audit
from bonafide.store.models import StoredKey
from bonafide.store.rows import Key
from bonafide.store.text import storable

LONGEST_NAME = 100  # characters
_RANDOM_BYTES = 32  # so many cannot be guessed, which is why a plain hash keeps them safe


class Keys(Audit):
    """The part of the store that knows who may ask."""

    def add_key(self, name: str, scopes: Iterable[str], rate: int, actor: str = "cli") -> str:
        """Make a key.

        Args:
            name: unique, for people.
            scopes: what it may do.
            rate: requests per minute, 0 for no bound.
            actor: who makes it.

        Returns:
            The secret, which cannot be read again.

        Raises:
            InvalidInput: the name is taken, empty or too long.
        """
        name = storable(name.strip())
        if not 0 < len(name) <= LONGEST_NAME:
            raise InvalidInput(f"a key needs a name of 1 to {LONGEST_NAME} characters")
        secret = f"bonafide_{secrets.token_urlsafe(_RANDOM_BYTES)}"
        kept, granted = _digest(secret), sorted(set(scopes))
        with self._write() as session:
            self._lock_chain(session)
            moment = self._now(session)
            if session.scalar(select(StoredKey.id).where(StoredKey.name == name)):
                raise InvalidInput(f"there is, or was, a key called {name}; names are not reused")
            session.add(
                StoredKey(
                    name=name,
                    digest=kept,
                    scopes=granted,
                    rate=rate,
                    created_at=moment,
                )
            )
            detail = {"scopes": granted, "rate": rate, "digest": kept}
            self._append(session, moment, actor, "add key", name, detail)
        return secret

    def key(self, secret: str) -> Key | None:
        """The key with this secret; None if there is none or it was revoked."""
        with self._read() as session:
            found = session.scalar(
                select(StoredKey).where(
                    StoredKey.digest == _digest(secret), StoredKey.revoked_at.is_(None)
                )
            )
            return _key(found) if found else None

    def keys(self) -> list[Key]:
        """Every key, revoked ones too, oldest first."""
        with self._read() as session:
            return [_key(row) for row in session.scalars(select(StoredKey).order_by(StoredKey.id))]

    def revoke(self, name: str, actor: str = "cli") -> bool:
        """End a key; False if none of that name is in force."""
        with self._write() as session:
            self._lock_chain(session)
            found = session.scalar(
                select(StoredKey).where(
                    StoredKey.name == storable(name), StoredKey.revoked_at.is_(None)
                )
            )
            if found is None:
                return False
            found.revoked_at = moment = self._now(session)
            self._append(session, moment, actor, "revoke key", found.name, {})
            return True


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "replace")).hexdigest()


def _key(row: StoredKey) -> Key:
    return Key(row.id, row.name, frozenset(row.scopes), row.rate, row.created_at, row.revoked_at)
