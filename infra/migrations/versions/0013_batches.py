"""Batches, their chunks, what became of each dossier in them, and bulk orders."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def _moment(name: str, *, nullable: bool = True) -> sa.Column[object]:
    """Return a column for an aware point in time."""
    return sa.Column(name, sa.DateTime(timezone=True), nullable=nullable)


def upgrade() -> None:
    """Make the tables; what became of a dossier is written once it is known, and a retry writes it anew."""
    op.execute("set local role hoso_owner")
    op.add_column("outbox", _moment("batch_until"))
    op.create_index("ix_dossier_waiting", "dossier", ["office", "stage", "due_at", "code"])
    op.create_table(
        "batch",
        sa.Column("id", sa.BigInteger(), sa.Identity(), primary_key=True),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("office", sa.String(), sa.ForeignKey("office.code"), nullable=False),
        sa.Column("procedure", sa.String(), nullable=True),
        _moment("slot"),
        sa.Column("asked_by", sa.String(), nullable=False),
        _moment("begun_at", nullable=False),
        _moment("ended_at"),
        sa.Column("cause", sa.String(), nullable=True),
        sa.Column("paused_by", sa.Integer(), nullable=True),
        _moment("lease_until"),
        sa.Column("result_key", sa.String(), nullable=True),
        sa.UniqueConstraint("kind", "office", "slot", name="uq_batch_slot"),
    )
    op.create_table(
        "batch_chunk",
        sa.Column("batch", sa.BigInteger(), sa.ForeignKey("batch.id"), primary_key=True),
        sa.Column("number", sa.Integer(), primary_key=True),
        sa.Column("urgent", sa.Boolean(), nullable=False),
        sa.Column("run_id", sa.Uuid(), nullable=True),
        sa.Column("lease_owner", sa.String(), nullable=True),
        _moment("lease_until"),
        sa.Column("fence", sa.BigInteger(), nullable=False),
        _moment("ended_at"),
    )
    op.create_table(
        "batch_dossier",
        sa.Column("batch", sa.BigInteger(), primary_key=True),
        sa.Column("dossier", sa.String(), sa.ForeignKey("dossier.code"), primary_key=True),
        sa.Column("chunk", sa.Integer(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("result", sa.String(), nullable=True),
        sa.Column("cause", sa.String(), nullable=False, server_default=""),
        _moment("at"),
        sa.ForeignKeyConstraint(["batch", "chunk"], ["batch_chunk.batch", "batch_chunk.number"]),
    )
    op.create_index("ix_batch_dossier_order", "batch_dossier", ["batch", "chunk", "position"])
    op.create_table(
        "bulk_order",
        sa.Column("id", sa.String(), primary_key=True),
        sa.Column("office", sa.String(), sa.ForeignKey("office.code"), nullable=False),
        sa.Column("procedure", sa.String(), nullable=False),
        sa.Column("placed_by", sa.String(), nullable=False),
        sa.Column("rows", sa.Integer(), nullable=False),
        sa.Column("extended_by", sa.Integer(), nullable=False),
        _moment("begun_at", nullable=False),
        _moment("ended_at"),
    )
    op.create_table(
        "bulk_order_row",
        sa.Column("bulk_order", sa.String(), sa.ForeignKey("bulk_order.id"), primary_key=True),
        sa.Column("row", sa.Integer(), primary_key=True),
        sa.Column("dossier", sa.String(), sa.ForeignKey("dossier.code"), nullable=False),
        sa.Column("ordinal", sa.Integer(), nullable=False),
        sa.Column("facts", JSONB(), nullable=False),
    )
    op.execute("grant select, insert, update on batch, batch_chunk, batch_dossier, bulk_order to hoso_app")
    op.execute("grant select, insert on bulk_order_row to hoso_app")
    op.execute("reset role")


def downgrade() -> None:
    """Drop the tables."""
    for name in ("bulk_order_row", "bulk_order", "batch_dossier", "batch_chunk", "batch"):
        op.drop_table(name)
    op.drop_index("ix_dossier_waiting", "dossier")
    op.drop_column("outbox", "batch_until")
