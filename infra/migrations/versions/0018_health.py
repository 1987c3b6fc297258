"""Maintenance, what was found of each part, who read what, and wrong passwords by the desk they came from."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables; what was read is never changed or deleted."""
    op.execute("set local role hoso_owner")
    op.create_table(
        "maintenance",
        sa.Column("id", sa.BigInteger(), autoincrement=True, nullable=False),
        _moment("begun_at", nullable=False),
        _moment("until_at", nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("begun_by", sa.String(), nullable=False),
        _moment("ended_at"),
        sa.Column("ended_by", sa.String(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    # Two who begin at once: one of them does.
    op.create_index(
        "one_maintenance",
        "maintenance",
        [sa.text("(ended_at is null)")],
        unique=True,
        postgresql_where=sa.text("ended_at is null"),
    )
    op.create_table(
        "health_check",
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("machine", sa.String(), nullable=False),
        _moment("at", nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("cause", sa.String(), nullable=False),
        sa.Column("remedy", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("name", "machine"),
    )
    _make_readings()
    _make_tries()
    op.execute("grant select, insert on maintenance, reading to hoso_app")
    op.execute("grant update (ended_at, ended_by) on maintenance to hoso_app")
    op.execute("grant select, insert, update on health_check, login_try to hoso_app")
    op.execute("grant usage on sequence maintenance_id_seq, reading_id_seq to hoso_app")
    op.execute("reset role")


def _make_readings() -> None:
    """Make the table of who read what; a trigger refuses to everybody to rewrite it."""
    op.create_table(
        "reading",
        sa.Column("id", sa.BigInteger(), autoincrement=True, nullable=False),
        _moment("at", nullable=False),
        sa.Column("office", sa.String(), nullable=False),
        sa.Column("dossier", sa.String(), nullable=True),
        sa.Column("act", sa.String(), nullable=False),
        sa.Column("reader_office", sa.String(), nullable=False),
        sa.Column("reader", sa.String(), nullable=False),
        sa.Column("role", sa.String(), nullable=False),
        sa.Column("address", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_reading_dossier", "reading", ["dossier"])
    op.create_index("ix_reading_reader", "reading", ["reader_office", "reader", "at"])
    op.create_index("ix_reading_office", "reading", ["office", "at"])
    op.execute(
        "create trigger only_grows before update or delete on reading "
        "for each row execute function refuse_to_rewrite()"
    )
    op.execute(
        "create trigger never_emptied before truncate on reading "
        "for each statement execute function refuse_to_rewrite()"
    )


def _make_tries() -> None:
    """Count wrong passwords by the desk that they come from, and no longer by the person alone."""
    op.create_table(
        "login_try",
        sa.Column("office", sa.String(), nullable=False),
        sa.Column("staff", sa.String(), nullable=False),
        sa.Column("address", sa.String(), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        _moment("last_at", nullable=False),
        _moment("not_before"),
        _moment("locked_at"),
        sa.ForeignKeyConstraint(["office", "staff"], ["person.office", "person.staff"]),
        sa.PrimaryKeyConstraint("office", "staff", "address"),
    )
    op.create_index("ix_login_try_last", "login_try", ["last_at"])
    for column in ("failures", "not_before", "locked_at"):
        op.drop_column("credential", column)


def _moment(name: str, *, nullable: bool = True) -> sa.Column[object]:
    """Return a column for an aware point in time."""
    return sa.Column(name, sa.DateTime(timezone=True), nullable=nullable)


def downgrade() -> None:
    """Drop what `upgrade` made."""
    op.add_column("credential", sa.Column("failures", sa.Integer(), nullable=False, server_default="0"))
    op.add_column("credential", _moment("not_before"))
    op.add_column("credential", _moment("locked_at"))
    for table in ("login_try", "reading", "health_check", "maintenance"):
        op.drop_table(table)
