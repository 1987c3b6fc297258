"""How many workers running died at a dossier."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Count them in the outbox; hardly a row counts any, and they are looked for at every look."""
    op.execute("set local role hoso_owner")
    op.add_column("outbox", sa.Column("deaths", sa.Integer(), nullable=False, server_default="0"))
    op.create_index(
        "ix_outbox_suspects", "outbox", ["lease_until"], unique=False, postgresql_where=sa.text("deaths > 0")
    )
    op.execute("reset role")


def downgrade() -> None:
    """Forget it."""
    op.drop_index("ix_outbox_suspects", table_name="outbox")
    op.drop_column("outbox", "deaths")
