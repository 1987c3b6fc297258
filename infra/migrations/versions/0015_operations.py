"""Of which deadline whom was told what."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the table of alerts, and what the board reads quickly."""
    op.execute("set local role hoso_owner")
    op.create_table(
        "deadline_alert",
        sa.Column("dossier", sa.String(), sa.ForeignKey("dossier.code"), nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("office", sa.String(), nullable=False),
        sa.Column("raised_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("mailed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("dossier", "due_at", "kind"),
    )
    still = sa.text("ended_at is null")
    op.create_index("ix_deadline_alert_open", "deadline_alert", ["office"], postgresql_where=still)
    op.create_index("ix_dossier_open", "dossier", ["due_at"], postgresql_where=still)
    op.execute("grant select, insert on deadline_alert to hoso_app")
    op.execute("grant update (mailed_at, ended_at) on deadline_alert to hoso_app")
    op.execute("reset role")


def downgrade() -> None:
    """Drop it."""
    op.drop_index("ix_dossier_open", "dossier")
    op.drop_table("deadline_alert")
