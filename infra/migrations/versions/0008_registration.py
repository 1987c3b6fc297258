"""Registration rounds."""

from __future__ import annotations

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make what this revision brings."""


def downgrade() -> None:
    """Take back what `upgrade` did."""
