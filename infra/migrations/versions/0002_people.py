"""People, their credentials and their logins."""

from __future__ import annotations

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make what this revision brings."""


def downgrade() -> None:
    """Take back what `upgrade` did."""
