"""Secrets are shown once and never kept."""

from __future__ import annotations

import pytest
from sqlalchemy import text

from bonafide.errors import InvalidInput
from bonafide.store.store import Store


def test_a_key_is_found_by_its_secret_until_it_is_revoked(store: Store) -> None:
    secret = store.add_key("desk", ["read", "examine", "read"], rate=60)
    key = store.key(secret)
    assert key is not None
    assert (key.name, key.scopes, key.rate) == ("desk", {"examine", "read"}, 60)
    assert store.key(secret + "x") is None
    assert store.key("") is None
    assert store.key("\udcff\0") is None
    assert store.revoke("desk")
    assert store.key(secret) is None
    assert not store.revoke("desk")
    assert store.keys()[0].revoked_at is not None


def test_secrets_differ_and_are_not_kept(store: Store) -> None:
    first, second = (store.add_key(name, [], 0) for name in ("one", "two"))
    assert first != second
    with store._read() as session:
        kept = repr(session.execute(text("SELECT * FROM keys")).all())
        kept += repr(session.execute(text("SELECT * FROM audit")).all())
    assert first not in kept
    assert first.removeprefix("bonafide_") not in kept


@pytest.mark.parametrize("name", ["", "  ", "x" * 101])
def test_names_are_checked(store: Store, name: str) -> None:
    with pytest.raises(InvalidInput, match="name"):
        store.add_key(name, [], 0)


def test_names_are_not_reused(store: Store) -> None:
    store.add_key("desk", [], 0)
    store.revoke("desk")
    with pytest.raises(InvalidInput, match="not reused"):
        store.add_key("desk", [], 0)


def test_keys_leave_traces_in_the_audit_trail(store: Store) -> None:
    store.add_key("desk", ["read"], 5, actor="chief")
    store.revoke("desk", actor="other")
    told = [(entry.actor, entry.action, entry.subject) for entry in store.audit()]
    assert told == [("chief", "add key", "desk"), ("other", "revoke key", "desk")]
