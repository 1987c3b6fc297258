"""Posts, who holds them, and mandates."""

from __future__ import annotations

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make what this revision brings."""


def downgrade() -> None:
    """Take back what `upgrade` did."""
