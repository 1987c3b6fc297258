"""What an official said about each document of a list."""

from __future__ import annotations

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make what this revision brings."""


def downgrade() -> None:
    """Take back what `upgrade` did."""
