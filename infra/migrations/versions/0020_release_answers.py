"""What the rules answered for each office under the release that works."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the table; each release that takes over writes its own answers in the place of those before."""
    op.execute("set local role hoso_owner")
    op.create_table(
        "release_answers",
        sa.Column("office", sa.String(), nullable=False),
        sa.Column("settings", sa.String(), nullable=False),
        sa.Column("reasons", sa.Integer(), nullable=False),
        sa.Column("answers", postgresql.JSONB(), nullable=False),
        sa.Column("release", sa.String(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("office"),
    )
    op.execute("grant select, insert, update on release_answers to hoso_app")
    op.execute("reset role")


def downgrade() -> None:
    """Forget them."""
    op.drop_table("release_answers")
