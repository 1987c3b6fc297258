"""
The roles and the first tables.

`hoso_owner` owns every table and nobody works as it; `hoso_app` is what the application is. It may insert
and read history and nothing else there, which a trigger refuses to everybody, the owner included.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import context, op
from sqlalchemy.dialects import postgresql

from infra.history import GENESIS
from infra.settings import Settings, read_secret

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

#: The tables that only ever grow.
_GROWING = ("history_entry",)


def upgrade() -> None:
    """Make the roles, the tables, what each role may do, and the empty history."""
    chosen: Settings = context.config.attributes["settings"]
    _make_role("hoso_owner", read_secret(chosen.database_owner_password_file))
    _make_role("hoso_app", read_secret(chosen.database_password_file))
    op.execute(
        """
        do $$ begin
            execute format('grant connect on database %I to hoso_app, hoso_owner', current_database());
        end $$
        """
    )
    op.execute("grant hoso_owner to current_user")
    op.execute("grant usage, create on schema public to hoso_owner")
    op.execute("grant usage on schema public to hoso_app")
    op.execute("revoke create on schema public from public")
    op.execute("set local role hoso_owner")
    _make_tables()
    _let_app_work()
    op.execute("revoke update, delete, truncate on history_entry from hoso_app")
    op.execute("revoke update, truncate on history_payload from hoso_app")
    op.execute("revoke insert, delete, truncate on history_head from hoso_app")
    op.execute(
        "revoke delete, truncate on register_entry, register_book, signature, archived_object from hoso_app"
    )
    _let_only_grow()
    op.execute(
        sa.text(
            "insert into history_head (id, log, size, leaf_hash) values (1, :log, 0, :genesis)"
        ).bindparams(log=chosen.history_log, genesis=GENESIS)
    )
    op.execute("reset role")


def _make_role(name: str, password: str) -> None:
    """Create a role that may log in, or give the one that is there its password."""
    literal = "'" + password.replace("'", "''") + "'"
    op.execute(
        f"""
        do $$ begin
            if exists (select from pg_roles where rolname = '{name}') then
                alter role {name} login password {literal};
            else
                create role {name} login password {literal};
            end if;
        end $$
        """
    )


def _let_app_work() -> None:
    """Let the application read and write the owner's tables; what it may not is taken back afterwards."""
    op.execute(
        """
        do $$ declare name text; begin
            for name in select tablename from pg_tables where tableowner = 'hoso_owner' loop
                execute format('grant select, insert, update, delete on %I to hoso_app', name);
            end loop;
            for name in select sequencename from pg_sequences where sequenceowner = 'hoso_owner' loop
                execute format('grant usage on sequence %I to hoso_app', name);
            end loop;
        end $$
        """
    )


def _let_only_grow() -> None:
    """Refuse update, delete and truncate of history by trigger, whoever asks."""
    op.execute(
        """
        create function refuse_to_rewrite() returns trigger language plpgsql as $$
        begin
            raise exception 'history is never rewritten (% on %)', tg_op, tg_table_name
                using errcode = 'insufficient_privilege';
        end $$
        """
    )
    for table in _GROWING:
        op.execute(
            f"create trigger only_grows before update or delete on {table} "
            "for each row execute function refuse_to_rewrite()"
        )
        op.execute(
            f"create trigger never_emptied before truncate on {table} "
            "for each statement execute function refuse_to_rewrite()"
        )


def _make_tables() -> None:
    """Create every table, owned by hoso_owner."""
    op.create_table(
        "command",
        sa.Column("request_id", sa.String(), nullable=False),
        sa.Column("request_hash", sa.String(), nullable=False),
        sa.Column("answer", sa.String(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("request_id"),
    )
    op.create_table(
        "history_entry",
        sa.Column("position", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("leaf_hash", sa.LargeBinary(), nullable=False),
        sa.Column("entry", sa.LargeBinary(), nullable=False),
        sa.Column("subject", sa.LargeBinary(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("length(leaf_hash) = 32"),
        sa.CheckConstraint("position >= 0"),
        sa.PrimaryKeyConstraint("position"),
    )
    op.create_index(op.f("ix_history_entry_subject"), "history_entry", ["subject"], unique=False)
    op.create_table(
        "history_head",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("log", sa.String(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("leaf_hash", sa.LargeBinary(), nullable=False),
        sa.CheckConstraint("id = 1"),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "history_payload",
        sa.Column("commitment", sa.LargeBinary(), nullable=False),
        sa.Column("subject", sa.LargeBinary(), nullable=False),
        sa.Column("salt", sa.LargeBinary(), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("commitment"),
    )
    op.create_index(op.f("ix_history_payload_subject"), "history_payload", ["subject"], unique=False)
    op.create_table(
        "office",
        sa.Column("code", sa.String(), nullable=False),
        sa.Column("body", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("loaded_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("code"),
    )
    op.create_table(
        "procedure",
        sa.Column("code", sa.String(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("effective_from", sa.Date(), nullable=False),
        sa.Column("sha256", sa.String(), nullable=False),
        sa.Column("body", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.PrimaryKeyConstraint("code", "version"),
    )
    op.create_table(
        "certificate",
        sa.Column("sha256", sa.String(), nullable=False),
        sa.Column("office", sa.String(), nullable=False),
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("token_uri", sa.String(), nullable=False),
        sa.Column("der", sa.LargeBinary(), nullable=False),
        sa.Column("image", sa.LargeBinary(), nullable=False),
        sa.Column("registered_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("pin_refused", sa.String(), nullable=True),
        sa.ForeignKeyConstraint(
            ["office"],
            ["office.code"],
        ),
        sa.PrimaryKeyConstraint("sha256"),
    )
    op.create_index(op.f("ix_certificate_key"), "certificate", ["key"], unique=False)
    op.create_index(op.f("ix_certificate_office"), "certificate", ["office"], unique=False)
    op.create_table(
        "day_counter",
        sa.Column("office", sa.String(), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("last", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["office"],
            ["office.code"],
        ),
        sa.PrimaryKeyConstraint("office", "day"),
    )
    op.create_table(
        "dossier",
        sa.Column("code", sa.String(), nullable=False),
        sa.Column("office", sa.String(), nullable=False),
        sa.Column("resolving_office", sa.String(), nullable=False),
        sa.Column("procedure", sa.String(), nullable=False),
        sa.Column("procedure_version", sa.Integer(), nullable=False),
        sa.Column("stage", sa.String(), nullable=False),
        sa.Column("portal_code", sa.Integer(), nullable=False),
        sa.Column("channels", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("opened_by", sa.String(), nullable=False),
        sa.Column("opened_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("walk_in", sa.Boolean(), nullable=False),
        sa.Column("examiner", sa.String(), nullable=True),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("extended_by", sa.Integer(), nullable=False),
        sa.Column("paused_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("supplements", sa.Integer(), nullable=False),
        sa.Column("confidential", sa.Boolean(), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("archive_asked", sa.Boolean(), nullable=False),
        sa.Column("run_id", sa.Uuid(), nullable=True),
        sa.Column("shown", sa.String(), nullable=True),
        sa.ForeignKeyConstraint(
            ["office"],
            ["office.code"],
        ),
        sa.PrimaryKeyConstraint("code"),
    )
    op.create_index(op.f("ix_dossier_due_at"), "dossier", ["due_at"], unique=False)
    op.create_index(op.f("ix_dossier_office"), "dossier", ["office"], unique=False)
    op.create_index(op.f("ix_dossier_stage"), "dossier", ["stage"], unique=False)
    op.create_table(
        "register_book",
        sa.Column("office", sa.String(), nullable=False),
        sa.Column("year", sa.Integer(), nullable=False),
        sa.Column("symbol", sa.String(), nullable=False),
        sa.Column("book", sa.Integer(), nullable=False),
        sa.Column("last_number", sa.Integer(), nullable=False),
        sa.Column("locked_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["office"],
            ["office.code"],
        ),
        sa.PrimaryKeyConstraint("office", "year", "symbol"),
    )
    op.create_table(
        "sign_list",
        sa.Column("digest", sa.String(), nullable=False),
        sa.Column("office", sa.String(), nullable=False),
        sa.Column("official", sa.String(), nullable=False),
        sa.Column("for_day", sa.Date(), nullable=False),
        sa.Column("body", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("written_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("unlocked_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["office"],
            ["office.code"],
        ),
        sa.PrimaryKeyConstraint("digest"),
    )
    op.create_table(
        "applicant",
        sa.Column("dossier", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("identity", sa.String(), nullable=False),
        sa.Column("address", sa.String(), nullable=False),
        sa.Column("telephone", sa.String(), nullable=False),
        sa.Column("email", sa.String(), nullable=True),
        sa.Column("account", sa.String(), nullable=True),
        sa.Column("kin_of", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.ForeignKeyConstraint(
            ["dossier"],
            ["dossier.code"],
        ),
        sa.PrimaryKeyConstraint("dossier"),
    )
    op.create_index(op.f("ix_applicant_identity"), "applicant", ["identity"], unique=False)
    op.create_table(
        "appointment",
        sa.Column("id", sa.BigInteger(), autoincrement=True, nullable=False),
        sa.Column("dossier", sa.String(), nullable=False),
        sa.Column("office", sa.String(), nullable=False),
        sa.Column("starts_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ends_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("seat", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(
            ["dossier"],
            ["dossier.code"],
        ),
        sa.ForeignKeyConstraint(
            ["office"],
            ["office.code"],
        ),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(op.f("ix_appointment_dossier"), "appointment", ["dossier"], unique=False)
    op.create_index(
        "ix_appointment_seat",
        "appointment",
        ["office", "starts_at", "seat"],
        unique=True,
        postgresql_where=sa.text("state in ('held', 'kept')"),
    )
    op.create_table(
        "archived_object",
        sa.Column("id", sa.BigInteger(), autoincrement=True, nullable=False),
        sa.Column("dossier", sa.String(), nullable=False),
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("version_id", sa.String(), nullable=False),
        sa.Column("sha256", sa.String(), nullable=False),
        sa.Column("size", sa.Integer(), nullable=False),
        sa.Column("mode", sa.String(), nullable=False),
        sa.Column("retain_until", sa.DateTime(timezone=True), nullable=False),
        sa.Column("read_back_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["dossier"],
            ["dossier.code"],
        ),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("dossier", "key"),
    )
    op.create_index(op.f("ix_archived_object_dossier"), "archived_object", ["dossier"], unique=False)
    op.create_table(
        "counter_task",
        sa.Column("id", sa.BigInteger(), autoincrement=True, nullable=False),
        sa.Column("dossier", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("ordinal", sa.Integer(), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("opened_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("ended_by", sa.String(), nullable=True),
        sa.ForeignKeyConstraint(
            ["dossier"],
            ["dossier.code"],
        ),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("dossier", "kind", "ordinal"),
    )
    op.create_index(op.f("ix_counter_task_dossier"), "counter_task", ["dossier"], unique=False)
    op.create_table(
        "delivery_leg",
        sa.Column("dossier", sa.String(), nullable=False),
        sa.Column("channel", sa.String(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("errand", sa.Integer(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("ambiguous", sa.Integer(), nullable=False),
        sa.Column("message_id", sa.String(), nullable=True),
        sa.Column("next_try_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("last_answer", sa.String(), nullable=False),
        sa.Column("receipt", sa.String(), nullable=True),
        sa.Column("opened_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["dossier"],
            ["dossier.code"],
        ),
        sa.PrimaryKeyConstraint("dossier", "channel"),
    )
    op.create_table(
        "document",
        sa.Column("id", sa.BigInteger(), autoincrement=True, nullable=False),
        sa.Column("dossier", sa.String(), nullable=False),
        sa.Column("ordinal", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("sha256", sa.String(), nullable=False),
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("size", sa.Integer(), nullable=False),
        sa.Column("media_type", sa.String(), nullable=False),
        sa.Column("for_day", sa.Date(), nullable=True),
        sa.Column("facts", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("made_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["dossier"],
            ["dossier.code"],
        ),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("dossier", "ordinal", "kind", "revision", "position"),
    )
    op.create_index("ix_document_current", "document", ["dossier", "ordinal", "kind"], unique=False)
    op.create_table(
        "notice",
        sa.Column("id", sa.BigInteger(), autoincrement=True, nullable=False),
        sa.Column("dossier", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("ordinal", sa.Integer(), nullable=False),
        sa.Column("occasion", sa.Integer(), nullable=False),
        sa.Column("facts", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("ambiguous", sa.Integer(), nullable=False),
        sa.Column("next_try_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("last_answer", sa.String(), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["dossier"],
            ["dossier.code"],
        ),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("dossier", "kind", "ordinal", "occasion"),
    )
    op.create_index(op.f("ix_notice_dossier"), "notice", ["dossier"], unique=False)
    op.create_table(
        "original",
        sa.Column("dossier", sa.String(), nullable=False),
        sa.Column("ordinal", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("pages", sa.Integer(), nullable=False),
        sa.Column("copies", sa.Integer(), nullable=False),
        sa.Column("fee", sa.Integer(), nullable=False),
        sa.Column("compared_pages", sa.Integer(), nullable=False),
        sa.Column("compared_by", sa.String(), nullable=False),
        sa.Column("compared_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("foreign", sa.Boolean(), nullable=False),
        sa.Column("legalised", sa.Boolean(), nullable=False),
        sa.Column("standing", sa.String(), nullable=False),
        sa.Column("reason_code", sa.String(), nullable=True),
        sa.Column("reason", sa.String(), nullable=True),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["dossier"],
            ["dossier.code"],
        ),
        sa.PrimaryKeyConstraint("dossier", "ordinal"),
    )
    op.create_index(op.f("ix_original_standing"), "original", ["standing"], unique=False)
    op.create_table(
        "outbox",
        sa.Column("dossier", sa.String(), nullable=False),
        sa.Column("asked", sa.BigInteger(), nullable=False),
        sa.Column("done", sa.BigInteger(), nullable=False),
        sa.Column("asked_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("not_before", sa.DateTime(timezone=True), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("lease_owner", sa.String(), nullable=True),
        sa.Column("lease_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("fence", sa.BigInteger(), nullable=False),
        sa.Column("last_error", sa.String(), nullable=True),
        sa.ForeignKeyConstraint(
            ["dossier"],
            ["dossier.code"],
        ),
        sa.PrimaryKeyConstraint("dossier"),
    )
    op.create_index(op.f("ix_outbox_not_before"), "outbox", ["not_before"], unique=False)
    op.create_table(
        "package",
        sa.Column("dossier", sa.String(), nullable=False),
        sa.Column("begun_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("history_position", sa.BigInteger(), nullable=False),
        sa.Column("retain_until", sa.DateTime(timezone=True), nullable=False),
        sa.Column("user_name", sa.String(), nullable=False),
        sa.Column("user_address", sa.String(), nullable=False),
        sa.Column("metadata_sha256", sa.String(), nullable=True),
        sa.Column("validation_sha256", sa.String(), nullable=True),
        sa.ForeignKeyConstraint(
            ["dossier"],
            ["dossier.code"],
        ),
        sa.PrimaryKeyConstraint("dossier"),
    )
    op.create_table(
        "payment",
        sa.Column("dossier", sa.String(), nullable=False),
        sa.Column("amount", sa.Integer(), nullable=False),
        sa.Column("paid", sa.Integer(), nullable=False),
        sa.Column("paid_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("paid_to", sa.String(), nullable=True),
        sa.Column("receipt", sa.String(), nullable=True),
        sa.ForeignKeyConstraint(
            ["dossier"],
            ["dossier.code"],
        ),
        sa.PrimaryKeyConstraint("dossier"),
    )
    op.create_table(
        "publication",
        sa.Column("dossier", sa.String(), nullable=False),
        sa.Column("ordinal", sa.Integer(), nullable=False),
        sa.Column("number", sa.String(), nullable=False),
        sa.Column("sha256", sa.String(), nullable=False),
        sa.Column("standing", sa.String(), nullable=False),
        sa.Column("published_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["dossier"],
            ["dossier.code"],
        ),
        sa.PrimaryKeyConstraint("dossier", "ordinal"),
    )
    op.create_table(
        "register_entry",
        sa.Column("office", sa.String(), nullable=False),
        sa.Column("year", sa.Integer(), nullable=False),
        sa.Column("symbol", sa.String(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("book", sa.Integer(), nullable=False),
        sa.Column("dossier", sa.String(), nullable=False),
        sa.Column("ordinal", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("reason", sa.String(), nullable=True),
        sa.Column("by", sa.String(), nullable=True),
        sa.Column("reserved_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["dossier"],
            ["dossier.code"],
        ),
        sa.PrimaryKeyConstraint("office", "year", "symbol", "number"),
        sa.UniqueConstraint("dossier", "ordinal"),
    )
    op.create_table(
        "signature",
        sa.Column("id", sa.BigInteger(), autoincrement=True, nullable=False),
        sa.Column("dossier", sa.String(), nullable=False),
        sa.Column("ordinal", sa.Integer(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("field", sa.String(), nullable=False),
        sa.Column("role", sa.String(), nullable=False),
        sa.Column("signer", sa.String(), nullable=False),
        sa.Column("certificate_sha256", sa.String(), nullable=False),
        sa.Column("document_sha256", sa.String(), nullable=False),
        sa.Column("intended_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("kept_key", sa.String(), nullable=False),
        sa.Column("kept_sha256", sa.String(), nullable=True),
        sa.Column("level", sa.String(), nullable=True),
        sa.Column("signed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("kept_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["dossier"],
            ["dossier.code"],
        ),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("document_sha256", "field"),
    )
    op.create_index(op.f("ix_signature_dossier"), "signature", ["dossier"], unique=False)
    op.create_table(
        "status_report",
        sa.Column("dossier", sa.String(), nullable=False),
        sa.Column("sequence", sa.Integer(), nullable=False),
        sa.Column("code", sa.Integer(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("next_try_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("sent_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["dossier"],
            ["dossier.code"],
        ),
        sa.PrimaryKeyConstraint("dossier", "sequence"),
    )


def downgrade() -> None:
    """Drop everything but the roles, which other databases of the cluster may use."""
    op.drop_table("status_report")
    op.drop_index(op.f("ix_signature_dossier"), table_name="signature")
    op.drop_table("signature")
    op.drop_table("register_entry")
    op.drop_table("publication")
    op.drop_table("payment")
    op.drop_table("package")
    op.drop_index(op.f("ix_outbox_not_before"), table_name="outbox")
    op.drop_table("outbox")
    op.drop_index(op.f("ix_original_standing"), table_name="original")
    op.drop_table("original")
    op.drop_index(op.f("ix_notice_dossier"), table_name="notice")
    op.drop_table("notice")
    op.drop_index("ix_document_current", table_name="document")
    op.drop_table("document")
    op.drop_table("delivery_leg")
    op.drop_index(op.f("ix_counter_task_dossier"), table_name="counter_task")
    op.drop_table("counter_task")
    op.drop_index(op.f("ix_archived_object_dossier"), table_name="archived_object")
    op.drop_table("archived_object")
    op.drop_index(
        "ix_appointment_seat", table_name="appointment", postgresql_where=sa.text("state in ('held', 'kept')")
    )
    op.drop_index(op.f("ix_appointment_dossier"), table_name="appointment")
    op.drop_table("appointment")
    op.drop_index(op.f("ix_applicant_identity"), table_name="applicant")
    op.drop_table("applicant")
    op.drop_table("sign_list")
    op.drop_table("register_book")
    op.drop_index(op.f("ix_dossier_stage"), table_name="dossier")
    op.drop_index(op.f("ix_dossier_office"), table_name="dossier")
    op.drop_index(op.f("ix_dossier_due_at"), table_name="dossier")
    op.drop_table("dossier")
    op.drop_table("day_counter")
    op.drop_index(op.f("ix_certificate_office"), table_name="certificate")
    op.drop_index(op.f("ix_certificate_key"), table_name="certificate")
    op.drop_table("certificate")
    op.drop_table("procedure")
    op.drop_table("office")
    op.drop_index(op.f("ix_history_payload_subject"), table_name="history_payload")
    op.drop_table("history_payload")
    op.drop_table("history_head")
    op.drop_index(op.f("ix_history_entry_subject"), table_name="history_entry")
    op.drop_table("history_entry")
    op.drop_table("command")
    op.execute("drop function refuse_to_rewrite()")
