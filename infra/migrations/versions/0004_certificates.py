"""The life of certificates and tokens: states, requests, devices, hand-overs, what must be revoked."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from cryptography import x509

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_NEW = ("certificate_request", "token", "token_hand_over", "revocation_task")


def upgrade() -> None:
    """Make the new tables, and give every certificate that is there its place in its life."""
    op.execute("set local role hoso_owner")
    _make_token()
    _extend_certificate()
    _describe_known()
    _make_request()
    _make_revocation_task()
    for table in _NEW:
        op.execute(f"grant select, insert, update on {table} to hoso_app")
    op.execute("grant usage on all sequences in schema public to hoso_app")
    op.execute("revoke update on token_hand_over from hoso_app")
    op.execute("revoke delete, truncate on certificate from hoso_app")
    op.execute("reset role")


def _make_token() -> None:
    """Create the devices and their hand-overs."""
    op.create_table(
        "token",
        sa.Column("serial", sa.String(), primary_key=True),
        sa.Column("label", sa.String(), nullable=False),
        sa.Column("model", sa.String(), nullable=False),
        sa.Column("manufacturer", sa.String(), nullable=False),
        sa.Column("office", sa.String(), sa.ForeignKey("office.code"), nullable=False),
        sa.Column("keeper", sa.String(), nullable=False),
        sa.Column("place", sa.String(), nullable=False),
        sa.Column("registered_at", sa.DateTime(timezone=True), nullable=False),
    )
    op.create_index("ix_token_office", "token", ["office"])
    op.create_table(
        "token_hand_over",
        sa.Column("id", sa.BigInteger(), primary_key=True, autoincrement=True),
        sa.Column("token", sa.String(), sa.ForeignKey("token.serial"), nullable=False),
        *(
            sa.Column(name, sa.String(), nullable=False)
            for name in ("from_keeper", "to_keeper", "approved_by", "minutes", "place", "recorded_by")
        ),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
    )
    op.create_index("ix_token_hand_over_token", "token_hand_over", ["token"])


def _extend_certificate() -> None:
    """Add the columns; the defaults serve the rows that are there and are taken away again."""
    texts = ("holder", "state", "key_id", "serial", "subject", "issuer", "minutes")
    for name in texts:
        default = "active" if name == "state" else ""
        op.add_column("certificate", sa.Column(name, sa.String(), nullable=False, server_default=default))
    op.add_column("certificate", sa.Column("renewals", sa.Integer(), nullable=False, server_default="0"))
    for name in ("not_before", "not_after", "tested_at", "activated_at", "revoked_at"):
        op.add_column("certificate", sa.Column(name, sa.DateTime(timezone=True)))
    op.add_column("certificate", sa.Column("token_serial", sa.String(), sa.ForeignKey("token.serial")))
    op.add_column("certificate", sa.Column("follows", sa.String(), sa.ForeignKey("certificate.sha256")))
    op.add_column("certificate", sa.Column("revocation_reason", sa.String()))
    op.add_column("certificate", sa.Column("warned_days", sa.Integer()))
    for name in (*texts, "renewals"):
        op.alter_column("certificate", name, server_default=None)
    for name in ("state", "serial", "not_after"):
        op.create_index(f"ix_certificate_{name}", "certificate", [name])


def _describe_known() -> None:
    """Say of every certificate that was bound before whose it is, what it says, and whether it was replaced."""
    op.execute(
        """
        update certificate c set
            state = case when c.ended_at is null then 'active' else 'changed' end,
            activated_at = c.registered_at,
            holder = coalesce(
                (select o->>'staff' from office f, jsonb_array_elements(f.body->'officers') o
                 where f.code = c.office and o->>'key' = c.key limit 1), '')
        """
    )
    connection = op.get_bind()
    for sha256, der in connection.execute(sa.text("select sha256, der from certificate")).all():
        found = x509.load_der_x509_certificate(bytes(der))
        connection.execute(
            sa.text(
                "update certificate set serial = :serial, subject = :subject, issuer = :issuer,"
                " not_before = :start, not_after = :end where sha256 = :sha256"
            ),
            {
                "serial": f"{found.serial_number:x}",
                "subject": found.subject.rfc4514_string(),
                "issuer": found.issuer.rfc4514_string(),
                "start": found.not_valid_before_utc,
                "end": found.not_valid_after_utc,
                "sha256": sha256,
            },
        )
    op.create_index(
        "one_active_certificate",
        "certificate",
        ["office", "holder"],
        unique=True,
        postgresql_where=sa.text("state = 'active' and ended_at is null"),
    )


def _make_request() -> None:
    """Create the requests to the provider."""
    op.create_table(
        "certificate_request",
        sa.Column("id", sa.BigInteger(), primary_key=True, autoincrement=True),
        sa.Column("office", sa.String(), sa.ForeignKey("office.code"), nullable=False),
        sa.Column("holder", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("follows", sa.String(), sa.ForeignKey("certificate.sha256")),
        sa.Column("document", sa.String(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("certificate", sa.String(), sa.ForeignKey("certificate.sha256")),
        sa.Column("requested_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True)),
    )
    op.create_index("ix_certificate_request_state", "certificate_request", ["state"])
    op.create_index(
        "one_open_certificate_request",
        "certificate_request",
        ["office", "holder"],
        unique=True,
        postgresql_where=sa.text("state = 'requested'"),
    )


def _make_revocation_task() -> None:
    """Create what must be revoked."""
    op.create_table(
        "revocation_task",
        sa.Column("id", sa.BigInteger(), primary_key=True, autoincrement=True),
        sa.Column("certificate", sa.String(), sa.ForeignKey("certificate.sha256"), nullable=False),
        sa.Column("office", sa.String(), sa.ForeignKey("office.code"), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("opened_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True)),
    )
    op.create_index("ix_revocation_task_office", "revocation_task", ["office"])
    op.create_index(
        "one_open_revocation_task",
        "revocation_task",
        ["certificate"],
        unique=True,
        postgresql_where=sa.text("ended_at is null"),
    )


def downgrade() -> None:
    """Take back what `upgrade` did."""
    op.execute("set local role hoso_owner")
    op.execute("drop table revocation_task")
    op.execute("drop table certificate_request")
    op.execute("drop index one_active_certificate")
    op.execute("alter table certificate drop column token_serial")
    op.execute("drop table token_hand_over")
    op.execute("drop table token")
    for name in (
        "holder", "state", "key_id", "serial", "subject", "issuer", "minutes", "renewals", "not_before", "not_after",
        "tested_at", "activated_at", "revoked_at", "follows", "revocation_reason", "warned_days",
    ):  # fmt: skip
        op.execute(f"alter table certificate drop column {name}")
    op.execute("grant delete on certificate to hoso_app")
    op.execute("reset role")
