"""What was examined, what is to be examined, who may ask, and what was done: kept in a database.

SQLite in one file by default, PostgreSQL by URL. Importing this loads no database library.
"""

from __future__ import annotations

import os
from importlib.util import find_spec
from typing import TYPE_CHECKING

from bonafide.errors import MissingExtra

if TYPE_CHECKING:
    from bonafide.store.store import Store


def open_store(url: str | None = None, *, migrate: bool = True) -> Store:
    """Open the store, made or brought up to date if need be.

    Args:
        url: "postgresql://…", "sqlite:///…" or the path of an SQLite file; by default what the
            environment variable BONAFIDE_STORE says, else a file in the user's data folder.
        migrate: whether to bring the tables up to date.

    Raises:
        MissingExtra: the database library is not installed.
        InvalidInput: the address cannot be followed, or a newer bonafide made the tables.
    """
    if find_spec("sqlalchemy") is None or find_spec("alembic") is None:
        raise MissingExtra("store", "the store")
    from bonafide.store.store import Store

    return Store(url or os.environ.get("BONAFIDE_STORE") or None, migrate=migrate)
