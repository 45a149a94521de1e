"""Large stores, fair queues, deletion: indexes, the turns of files, holds and feedback.

On PostgreSQL names are searched by trigrams, if the extension `pg_trgm` may be created (it comes
with PostgreSQL, and who owns the database may create it); without it a search reads all names.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.exc import DBAPIError

revision = "0002"
down_revision = "0001"

IDENTITY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
INDEXES = (
    ("media", ["perceptual_hash"]),
    ("job_files", ["sha256"]),
    ("job_files", ["report_id"]),
    ("job_files", ["state", "turn", "id"]),
    ("job_files", ["state", "owner", "step", "id"]),
)


def upgrade() -> None:
    """Add tables, columns and indexes; files that wait keep their order."""
    op.create_table(
        "holds",
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("why", sa.Text(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("sha256", name=op.f("pk_holds")),
    )
    op.create_table(
        "numbers",
        sa.Column("name", sa.String(length=32), nullable=False),
        sa.Column("value", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_numbers")),
    )
    op.create_table(
        "feedback",
        sa.Column("id", IDENTITY, nullable=False),
        sa.Column("report_id", IDENTITY, nullable=False),
        sa.Column("truth", sa.String(length=32), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("consent", sa.Boolean(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["report_id"], ["reports.id"], name=op.f("fk_feedback_report_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_feedback")),
    )
    op.create_index(op.f("ix_feedback_report_id"), "feedback", ["report_id"])
    columns = (
        ("owner", sa.String(length=200)),
        ("turn", sa.BigInteger()),
        ("step", sa.BigInteger()),
    )
    for name, kind in columns:
        op.add_column("job_files", sa.Column(name, kind, nullable=True))
    op.execute(
        "UPDATE job_files SET turn = position + 1, step = position + 1, "
        "owner = (SELECT owner FROM jobs WHERE jobs.id = job_files.job_id)"
    )
    with op.batch_alter_table("job_files") as table:
        for name, kind in columns:
            table.alter_column(name, existing_type=kind, nullable=False)
    op.drop_index(op.f("ix_job_files_state_position_id"), "job_files")
    for table_name, names in INDEXES:
        op.create_index(op.f(f"ix_{table_name}_{'_'.join(names)}"), table_name, names)
    if op.get_bind().dialect.name == "postgresql" and _trigrams():
        for column in ("name", "path"):
            op.execute(
                f"CREATE INDEX ix_names_{column}_trigrams "
                f"ON names USING gin ({column} gin_trgm_ops)"
            )


def downgrade() -> None:
    """Take them away again; the extension stays, since others may use it."""
    if op.get_bind().dialect.name == "postgresql":
        for column in ("name", "path"):
            op.execute(f"DROP INDEX IF EXISTS ix_names_{column}_trigrams")
    for table_name, names in INDEXES:
        op.drop_index(op.f(f"ix_{table_name}_{'_'.join(names)}"), table_name)
    op.create_index(
        op.f("ix_job_files_state_position_id"), "job_files", ["state", "position", "id"]
    )
    with op.batch_alter_table("job_files") as table:
        for name in ("owner", "turn", "step"):
            table.drop_column(name)
    op.drop_table("feedback")
    op.drop_table("numbers")
    op.drop_table("holds")


def _trigrams() -> bool:
    """Have the extension; whether there is one."""
    connection = op.get_bind()
    try:
        with connection.begin_nested():
            connection.execute(sa.text("CREATE EXTENSION IF NOT EXISTS pg_trgm"))
    except DBAPIError:
        return False
    return True
