"""Signature routes of several officials: the steps that one original's route does without."""

from __future__ import annotations

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the table of dropped steps; the application adds rows and never takes one back."""
    op.execute("set local role hoso_owner")
    op.execute(
        """
        create table dropped_step (
            dossier varchar not null references dossier (code),
            ordinal integer not null,
            field varchar not null,
            dropped_by varchar not null,
            dropped_at timestamptz not null,
            primary key (dossier, ordinal, field)
        )
        """
    )
    op.execute("grant select, insert on dropped_step to hoso_app")
    op.execute("reset role")


def downgrade() -> None:
    """Take back what `upgrade` did."""
    op.execute("set local role hoso_owner")
    op.execute("drop table dropped_step")
    op.execute("reset role")
