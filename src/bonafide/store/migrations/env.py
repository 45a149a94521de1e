"""Run by Alembic for every upgrade, on the connection that `store.database` hands over."""

from __future__ import annotations

from alembic import context

from bonafide.store.models import Base

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    # SQLite takes part in the caller's transaction too, which Alembic does not expect of it.
    transactional_ddl=True,
    render_as_batch=True,
    compare_type=True,
)
context.run_migrations()
