"""Registration rounds: units, rows, lists and their documents, and what the provider issued."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

#: What the application may do besides reading and inserting. Nothing is deleted but what people are known by.
_RIGHTS = {
    "registration_round": "update",
    "registration_unit": "update",
    "registration_entry": "update",
    "registration_version": "",
    "registration_person": "update, delete",
    "registration_list": "update",
    "registration_paper": "",
    "registration_signature": "update",
    "registration_certificate": "",
}


def upgrade() -> None:
    """Make the tables, owned by hoso_owner, and say what the application may do."""
    op.execute("set local role hoso_owner")
    _make_tables()
    for table, more in _RIGHTS.items():
        op.execute(f"grant select, insert{', ' + more if more else ''} on {table} to hoso_app")
    for table in ("registration_entry", "registration_signature"):
        op.execute(f"grant usage on sequence {table}_id_seq to hoso_app")
    op.execute("reset role")


def _make_tables() -> None:
    """Create every table of a round."""
    op.create_table(
        "registration_certificate",
        sa.Column("entry", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("sha256", sa.String(), nullable=False),
        sa.Column("serial", sa.String(), nullable=False),
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("not_before", sa.DateTime(timezone=True), nullable=False),
        sa.Column("not_after", sa.DateTime(timezone=True), nullable=False),
        sa.Column("matched_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("entry"),
        sa.UniqueConstraint("sha256"),
    )
    op.create_index(
        op.f("ix_registration_certificate_serial"), "registration_certificate", ["serial"], unique=False
    )
    op.create_table(
        "registration_person",
        sa.Column("entry", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("round", sa.String(), nullable=False),
        sa.Column("subject", sa.String(), nullable=False),
        sa.Column("identity", sa.String(), nullable=False),
        sa.Column("email", sa.String(), nullable=False),
        sa.Column("live", sa.Boolean(), nullable=False),
        sa.Column("salt", sa.LargeBinary(), nullable=False),
        sa.Column("content", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("remark", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("entry", "version"),
    )
    op.create_index(
        "ux_registration_email",
        "registration_person",
        ["round", "email"],
        unique=True,
        postgresql_where=sa.text("live"),
    )
    op.create_index(
        "ux_registration_identity",
        "registration_person",
        ["round", "subject", "identity"],
        unique=True,
        postgresql_where=sa.text("live"),
    )
    op.create_table(
        "registration_signature",
        sa.Column("id", sa.BigInteger(), autoincrement=True, nullable=False),
        sa.Column("round", sa.String(), nullable=False),
        sa.Column("list_ordinal", sa.Integer(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("field", sa.String(), nullable=False),
        sa.Column("signer", sa.String(), nullable=False),
        sa.Column("certificate_sha256", sa.String(), nullable=False),
        sa.Column("document_sha256", sa.String(), nullable=False),
        sa.Column("intended_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("open_try", sa.Boolean(), nullable=False),
        sa.Column("decision", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("kept_key", sa.String(), nullable=False),
        sa.Column("kept_sha256", sa.String(), nullable=True),
        sa.Column("level", sa.String(), nullable=True),
        sa.Column("signed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("kept_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("round", "list_ordinal", "revision", "field"),
    )
    op.create_index(
        op.f("ix_registration_signature_round"), "registration_signature", ["round"], unique=False
    )
    op.create_table(
        "registration_version",
        sa.Column("entry", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("commitment", sa.LargeBinary(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("entry", "version"),
    )
    op.create_table(
        "registration_round",
        sa.Column("code", sa.String(), nullable=False),
        sa.Column("office", sa.String(), nullable=False),
        sa.Column("body", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("forms", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("deadline", sa.DateTime(timezone=True), nullable=False),
        sa.Column("opened_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("erased_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["office"],
            ["office.code"],
        ),
        sa.PrimaryKeyConstraint("code"),
    )
    op.create_index(op.f("ix_registration_round_office"), "registration_round", ["office"], unique=False)
    op.create_table(
        "registration_list",
        sa.Column("round", sa.String(), nullable=False),
        sa.Column("ordinal", sa.Integer(), nullable=False),
        sa.Column("subject", sa.String(), nullable=False),
        sa.Column("number", sa.String(), nullable=False),
        sa.Column("official", sa.String(), nullable=True),
        sa.Column("made_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("sent_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("sent_with", sa.String(), nullable=True),
        sa.ForeignKeyConstraint(
            ["round"],
            ["registration_round.code"],
        ),
        sa.PrimaryKeyConstraint("round", "ordinal"),
    )
    op.create_table(
        "registration_unit",
        sa.Column("round", sa.String(), nullable=False),
        sa.Column("code", sa.String(), nullable=False),
        sa.Column("place", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("mailbox", sa.String(), nullable=False),
        sa.Column("managed_by", sa.String(), nullable=False),
        sa.Column("late_decision", sa.String(), nullable=True),
        sa.Column("answered_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("answer", sa.String(), nullable=True),
        sa.Column("nothing", sa.Boolean(), nullable=False),
        sa.Column("confirmed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("confirmation", sa.String(), nullable=True),
        sa.ForeignKeyConstraint(
            ["round"],
            ["registration_round.code"],
        ),
        sa.PrimaryKeyConstraint("round", "code"),
    )
    op.create_table(
        "registration_entry",
        sa.Column("id", sa.BigInteger(), autoincrement=True, nullable=False),
        sa.Column("round", sa.String(), nullable=False),
        sa.Column("unit", sa.String(), nullable=False),
        sa.Column("subject", sa.String(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("list_ordinal", sa.Integer(), nullable=True),
        sa.Column("number", sa.Integer(), nullable=True),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["round", "unit"],
            ["registration_unit.round", "registration_unit.code"],
        ),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_registration_entry_unit", "registration_entry", ["round", "unit"], unique=False)
    op.create_table(
        "registration_paper",
        sa.Column("round", sa.String(), nullable=False),
        sa.Column("list_ordinal", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("sha256", sa.String(), nullable=False),
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("size", sa.Integer(), nullable=False),
        sa.Column("for_day", sa.Date(), nullable=False),
        sa.Column("rows_sha256", sa.String(), nullable=False),
        sa.Column("facts", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("made_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["round", "list_ordinal"],
            ["registration_list.round", "registration_list.ordinal"],
        ),
        sa.PrimaryKeyConstraint("round", "list_ordinal", "kind", "revision"),
    )


def downgrade() -> None:
    """Drop them."""
    op.drop_table("registration_paper")
    op.drop_table("registration_entry")
    op.drop_table("registration_unit")
    op.drop_table("registration_list")
    op.drop_table("registration_round")
    op.drop_table("registration_version")
    op.drop_table("registration_signature")
    op.drop_table("registration_person")
    op.drop_table("registration_certificate")
