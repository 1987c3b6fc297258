"""Which release carries dossiers on, and what it was checked against."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the table of releases; its newest row is the one that works."""
    # Whoever deploys asks how new the schema is; the table is the administrator's.
    op.execute("grant select on alembic_version to hoso_app")
    op.execute("set local role hoso_owner")
    op.create_table(
        "release",
        sa.Column("id", sa.BigInteger(), sa.Identity(), primary_key=True),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("code", sa.String(), nullable=False),
        sa.Column("lives", sa.Integer(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
    )
    op.execute("grant select, insert on release to hoso_app")
    op.execute("reset role")


def downgrade() -> None:
    """Drop it."""
    op.drop_table("release")
