"""Files that are attached to another original, and what number their document has (SIG-06)."""

from __future__ import annotations

from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Let an original name the one that it is attached to."""
    op.execute("set local role hoso_owner")
    op.execute("alter table original add column attached_to integer")
    op.execute("alter table original add column notation varchar not null default ''")
    op.execute("reset role")


def downgrade() -> None:
    """Drop both."""
    op.execute("alter table original drop column notation")
    op.execute("alter table original drop column attached_to")
