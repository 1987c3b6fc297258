"""The exchange between agencies: their directory, documents, recipients, statuses, outbox and arrivals."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

#: What the application may do besides reading and inserting; files and statuses only grow.
_RIGHTS = {
    "exchange_organisation": "update",
    "exchange_counter": "update",
    "exchange_document": "update",
    "exchange_file": "",
    "exchange_recipient": "update",
    "exchange_status": "",
    "exchange_message": "update",
    "exchange_arrival": "update",
}


def upgrade() -> None:
    """Make the tables, owned by hoso_owner, and say what the application may do."""
    op.execute("set local role hoso_owner")
    _make_tables()
    for table, more in _RIGHTS.items():
        op.execute(f"grant select, insert{', ' + more if more else ''} on {table} to hoso_app")
    op.execute("grant usage on sequence exchange_status_id_seq to hoso_app")
    op.execute("reset role")


def _text(name: str, *, null: bool = False) -> sa.Column[str]:
    return sa.Column(name, sa.String(), nullable=null)


def _moment(name: str, *, null: bool = True) -> sa.Column[sa.DateTime]:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=null)


def _number(name: str) -> sa.Column[int]:
    return sa.Column(name, sa.Integer(), nullable=False)


def _large(name: str) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger(), nullable=False)


def _data(name: str, *, null: bool = False) -> sa.Column[object]:
    return sa.Column(name, postgresql.JSONB(astext_type=sa.Text()), nullable=null)


def _make_tables() -> None:
    """Create every table of the exchange."""
    op.create_table(
        "exchange_organisation",
        _text("code"), _text("name"), _text("old_code"), _text("email"),
        sa.Column("valid_from", sa.Date(), nullable=False), sa.Column("valid_until", sa.Date(), nullable=True),
        _text("successor"), _data("certificates"), _moment("imported_at", null=False),
        sa.PrimaryKeyConstraint("code"),
    )  # fmt: skip
    op.create_index("ix_exchange_organisation_old_code", "exchange_organisation", ["old_code"])
    op.create_table(
        "exchange_counter",
        _text("office"), _text("direction"), sa.Column("day", sa.Date(), nullable=False), _number("last"),
        sa.PrimaryKeyConstraint("office", "direction", "day"),
    )  # fmt: skip
    op.create_table(
        "exchange_document",
        _text("code"), _text("office"), _text("direction"), _text("document_id"), _number("business"),
        _number("round"), _text("sender"), _text("number"), _text("notation"),
        sa.Column("day", sa.Date(), nullable=False), _text("type_name"), _number("priority"), _data("letter"),
        _text("state"), _text("legal_effect"), _text("attention"), _text("dossier", null=True),
        _number("ordinal"), _text("about", null=True), _moment("signed_at"), _moment("made_at", null=False),
        _moment("due_at"), _moment("sent_at"), _moment("answered_at"), _moment("ended_at"),
        sa.Column("run_id", sa.Uuid(), nullable=True), _text("shown", null=True),
        sa.ForeignKeyConstraint(["office"], ["office.code"]),
        sa.PrimaryKeyConstraint("code"),
        sa.UniqueConstraint("office", "direction", "document_id", "business", "round"),
    )  # fmt: skip
    op.create_index("ix_exchange_document_office", "exchange_document", ["office"])
    op.create_index("ix_exchange_document_document_id", "exchange_document", ["document_id"])
    op.create_table(
        "exchange_file",
        _text("document"), _number("position"), _text("content_id"), _text("name"), _text("media_type"),
        _text("description"), _text("sha256"), _text("key"), _large("size"), _data("verdict"),
        sa.ForeignKeyConstraint(["document"], ["exchange_document.code"]),
        sa.PrimaryKeyConstraint("document", "position"),
    )  # fmt: skip
    op.create_table(
        "exchange_recipient",
        _text("document"), _text("organ"), _text("name"), sa.Column("internal", sa.Boolean(), nullable=False),
        _text("status"), _moment("status_at"), _moment("acknowledged_at"),
        sa.ForeignKeyConstraint(["document"], ["exchange_document.code"]),
        sa.PrimaryKeyConstraint("document", "organ"),
    )  # fmt: skip
    op.create_table(
        "exchange_status",
        sa.Column("id", sa.BigInteger(), autoincrement=True, nullable=False),
        _text("document"), _text("organ"), _number("place"), _text("code"), _text("sender"),
        _moment("at", null=False), _text("reason"), _moment("kept_at", null=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("document", "organ", "place"),
    )  # fmt: skip
    op.create_index("ix_exchange_status_of", "exchange_status", ["document", "organ"])
    op.create_table(
        "exchange_message",
        _text("key"), _text("office"), _text("document", null=True), _text("kind"), _data("to"),
        sa.Column("internal", sa.Boolean(), nullable=False), _data("status", null=True), _data("letter", null=True),
        _text("state"),
        _number("priority"), _text("sha256"), _text("store_key"), _large("size"), _number("signings"),
        _number("attempts"), _moment("next_try_at", null=False), _text("last_answer"), _text("axis_id"),
        _moment("queued_at", null=False), _moment("sent_at"), _moment("lease_until"), _large("fence"),
        sa.PrimaryKeyConstraint("key"),
    )  # fmt: skip
    for column in ("office", "document", "state", "next_try_at"):
        op.create_index(f"ix_exchange_message_{column}", "exchange_message", [column])
    op.create_table(
        "exchange_arrival",
        _text("office"), _text("axis_id"), _text("kind"), _text("sender"), _text("sha256"), _text("store_key"),
        _large("size"), _text("state"), _number("attempts"), _text("document", null=True), _data("faults"),
        _moment("arrived_at", null=False), _moment("confirmed_at"),
        sa.PrimaryKeyConstraint("office", "axis_id"),
    )  # fmt: skip
    op.create_index("ix_exchange_arrival_sha256", "exchange_arrival", ["office", "sha256"])


def downgrade() -> None:
    """Drop them."""
    for table in ("arrival", "message", "status", "recipient", "file", "document", "counter", "organisation"):
        op.drop_table(f"exchange_{table}")
