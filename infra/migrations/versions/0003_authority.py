"""Posts, who holds them, mandates, the keepers of the seal, and the decision beside each signature."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

#: What only ever grows: a post that was given stays given; its end is a row of its own.
_GROWING = ("post", "holding", "holding_end", "mandate", "mandate_end", "seal_keeper")


def upgrade() -> None:
    """Make the tables; the application may add rows and read them, nothing else."""
    op.execute("set local role hoso_owner")
    op.create_table(
        "post",
        *_head(),
        sa.Column("code", sa.String(), nullable=False),
        sa.Column("title", sa.String(), nullable=False),
        sa.Column("rank", sa.String(), nullable=False),
        sa.Column("under", sa.String(), nullable=False),
        _moment("described_at"),
    )
    op.create_table(
        "holding",
        *_head(),
        sa.Column("post", sa.String(), nullable=False),
        sa.Column("staff", sa.String(), nullable=False),
        sa.Column("manner", sa.String(), nullable=False),
        *_span(),
        sa.Column("decision", sa.String(), nullable=False),
        *_recorded(),
    )
    op.create_table("holding_end", *_end_of("holding"))
    op.create_table(
        "mandate",
        *_head(),
        sa.Column("capacity", sa.String(), nullable=False),
        sa.Column("giver_post", sa.String(), nullable=False),
        sa.Column("giver", sa.String(), nullable=False),
        sa.Column("to_staff", sa.String(), nullable=False),
        sa.Column("to_post", sa.String(), nullable=False),
        sa.Column("covers", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("limits", sa.String(), nullable=False),
        sa.Column("basis_kind", sa.String(), nullable=False),
        sa.Column("basis_number", sa.String(), nullable=False),
        sa.Column("basis_date", sa.Date(), nullable=False),
        sa.Column("basis_issuer", sa.String(), nullable=False),
        *_span(),
        *_recorded(),
    )
    op.create_table("mandate_end", *_end_of("mandate"))
    op.create_table(
        "seal_keeper",
        *_head(),
        sa.Column("keeper", sa.String(), nullable=False),
        sa.Column("handed_by", sa.String(), nullable=False),
        sa.Column("approved_by", sa.String(), nullable=False),
        sa.Column("minutes", sa.String(), nullable=False),
        _moment("since"),
        *_recorded(),
    )
    for name in ("post", "holding", "mandate", "seal_keeper"):
        op.create_index(f"ix_{name}_office", name, ["office"])
    for name in ("holding", "mandate"):
        op.create_index(f"ix_{name}_end_{name}", f"{name}_end", [name])
    op.add_column("signature", sa.Column("decision", postgresql.JSONB(astext_type=sa.Text()), nullable=True))
    for name in _GROWING:
        op.execute(f"grant select, insert on {name} to hoso_app")
        op.execute(f"grant usage on sequence {name}_id_seq to hoso_app")
    op.execute("reset role")


def _head() -> tuple[sa.Column, sa.Column]:
    """Return the first columns of a table about an office."""
    return (
        sa.Column("id", sa.BigInteger(), primary_key=True, autoincrement=True),
        sa.Column("office", sa.String(), sa.ForeignKey("office.code"), nullable=False),
    )


def _end_of(name: str) -> tuple[sa.Column, ...]:
    """Return the columns of a table of ends."""
    return (
        sa.Column("id", sa.BigInteger(), primary_key=True, autoincrement=True),
        sa.Column(name, sa.BigInteger(), sa.ForeignKey(f"{name}.id"), nullable=False),
        _moment("ends_before"),
        sa.Column("decision", sa.String(), nullable=False),
        *_recorded(),
    )


def _span() -> tuple[sa.Column, ...]:
    """Return the columns of a span of time, and the rule that it is not empty."""
    return (
        _moment("since"),
        sa.Column("ends_before", sa.DateTime(timezone=True), sa.CheckConstraint("ends_before > since")),
    )


def _recorded() -> tuple[sa.Column, sa.Column]:
    """Return the columns that say when and by whom something was put on record."""
    return _moment("recorded_at"), sa.Column("recorded_by", sa.String(), nullable=False)


def _moment(name: str) -> sa.Column:
    """Return a column for an aware point in time."""
    return sa.Column(name, sa.DateTime(timezone=True), nullable=False)


def downgrade() -> None:
    """Take the tables away again."""
    op.drop_column("signature", "decision")
    for name in reversed(_GROWING):
        op.drop_table(name)
