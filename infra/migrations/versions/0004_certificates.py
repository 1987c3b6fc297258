"""The life of certificates and tokens."""

from __future__ import annotations

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make what this revision brings."""


def downgrade() -> None:
    """Take back what `upgrade` did."""
