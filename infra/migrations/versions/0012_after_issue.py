"""After issue: copies that were sent, what stands, corrections; erasure; findings; locked years."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

_MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Make the tables; what only grows may only be added to, by whoever asks."""
    op.execute("set local role hoso_owner")
    _copies_and_standings()
    _corrections()
    _erasures_and_findings()
    _locked_years()
    op.execute(
        "grant select, insert on sent_copy, standing_change, standing_list, erasure, register_lock,"
        " register_paper to hoso_app"
    )
    op.execute("grant select, insert, update on correction, finding, register_signature to hoso_app")
    op.execute(
        "grant usage on sequence sent_copy_id_seq, standing_change_id_seq, correction_id_seq, finding_id_seq,"
        " register_paper_id_seq, register_signature_id_seq to hoso_app"
    )
    for table in ("sent_copy", "standing_change", "standing_list", "erasure", "register_lock"):
        op.execute(
            f"create trigger only_grows before update or delete on {table} "
            "for each row execute function refuse_to_rewrite()"
        )
    op.execute("reset role")


def _copies_and_standings() -> None:
    """Make every copy that was sent, what stopped standing, and the lists that say so."""
    op.create_table(
        "sent_copy",
        sa.Column("id", sa.BigInteger(), autoincrement=True, nullable=False),
        sa.Column("dossier", sa.String(), nullable=False),
        sa.Column("ordinal", sa.Integer(), nullable=False),
        sa.Column("channel", sa.String(), nullable=False),
        sa.Column("errand", sa.Integer(), nullable=False),
        sa.Column("address_kind", sa.String(), nullable=False),
        sa.Column("part", sa.String(), nullable=False),
        sa.Column("sha256", sa.String(), nullable=False),
        sa.Column("size", sa.Integer(), nullable=False),
        sa.Column("outcome", sa.String(), nullable=False),
        sa.Column("at", _MOMENT, nullable=False),
        sa.ForeignKeyConstraint(["dossier"], ["dossier.code"]),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(op.f("ix_sent_copy_dossier"), "sent_copy", ["dossier"], unique=False)
    op.create_table(
        "standing_change",
        sa.Column("id", sa.BigInteger(), autoincrement=True, nullable=False),
        sa.Column("dossier", sa.String(), nullable=False),
        sa.Column("ordinal", sa.Integer(), nullable=False),
        sa.Column("standing", sa.String(), nullable=False),
        sa.Column("at", _MOMENT, nullable=False),
        sa.Column("by", sa.String(), nullable=False),
        sa.Column("decision", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("replaced_by", sa.String(), nullable=True),
        sa.ForeignKeyConstraint(["dossier"], ["dossier.code"]),
        sa.ForeignKeyConstraint(["replaced_by"], ["dossier.code"]),
        sa.PrimaryKeyConstraint("id"),
        # A result stops standing once.
        sa.UniqueConstraint("dossier", "ordinal"),
    )
    op.create_table(
        "standing_list",
        sa.Column("issued_at", _MOMENT, nullable=False),
        sa.Column("next_update", _MOMENT, nullable=False),
        sa.Column("documents", sa.Integer(), nullable=False),
        sa.Column("changes", sa.Integer(), nullable=False),
        sa.Column("sha256", sa.String(), nullable=False),
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("version_id", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("issued_at"),
    )


def _corrections() -> None:
    """Make the requests to correct what was issued; one open request an original."""
    op.create_table(
        "correction",
        sa.Column("id", sa.BigInteger(), autoincrement=True, nullable=False),
        sa.Column("dossier", sa.String(), nullable=False),
        sa.Column("ordinal", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("pages", sa.Integer(), nullable=False),
        sa.Column("files", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("asked_by", sa.String(), nullable=False),
        sa.Column("asked_at", _MOMENT, nullable=False),
        sa.Column("decided_by", sa.String(), nullable=True),
        sa.Column("decided_at", _MOMENT, nullable=True),
        sa.Column("decision", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("new_dossier", sa.String(), nullable=True),
        sa.ForeignKeyConstraint(["dossier"], ["dossier.code"]),
        sa.ForeignKeyConstraint(["new_dossier"], ["dossier.code"]),
        sa.CheckConstraint("decided_by is null or decided_by <> asked_by", name="four_eyes"),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(
        "ix_correction_open",
        "correction",
        ["dossier", "ordinal"],
        unique=True,
        postgresql_where=sa.text("state in ('asked', 'approved')"),
    )
    op.create_index("ix_correction_new_dossier", "correction", ["new_dossier"], unique=True)


def _erasures_and_findings() -> None:
    """Make whose personal data is gone, and what the nightly comparison found."""
    op.create_table(
        "erasure",
        sa.Column("dossier", sa.String(), nullable=False),
        sa.Column("erased_at", _MOMENT, nullable=False),
        sa.Column("by", sa.String(), nullable=False),
        sa.Column("counts", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.ForeignKeyConstraint(["dossier"], ["dossier.code"]),
        sa.PrimaryKeyConstraint("dossier"),
    )
    op.create_table(
        "finding",
        sa.Column("id", sa.BigInteger(), autoincrement=True, nullable=False),
        sa.Column("code", sa.String(), nullable=False),
        sa.Column("subject", sa.String(), nullable=False),
        sa.Column("ordinal", sa.Integer(), nullable=False),
        sa.Column("facts", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("found_at", _MOMENT, nullable=False),
        sa.Column("seen_at", _MOMENT, nullable=False),
        sa.Column("repaired_by", sa.String(), nullable=True),
        sa.Column("repaired_at", _MOMENT, nullable=True),
        sa.Column("ended_at", _MOMENT, nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(
        "ix_finding_open",
        "finding",
        ["code", "subject", "ordinal"],
        unique=True,
        postgresql_where=sa.text("ended_at is null"),
    )


def _locked_years() -> None:
    """Make the closed years of the register, their pages, and what keeps them closed (CERT-29)."""
    op.create_table(
        "register_lock",
        sa.Column("office", sa.String(), nullable=False),
        sa.Column("year", sa.Integer(), nullable=False),
        sa.Column("symbol", sa.String(), nullable=False),
        sa.Column("locked_at", _MOMENT, nullable=False),
        sa.Column("locked_by", sa.String(), nullable=False),
        sa.Column("certified", sa.Integer(), nullable=False),
        sa.Column("void", sa.Integer(), nullable=False),
        sa.Column("last_number", sa.Integer(), nullable=False),
        sa.Column("lines_sha256", sa.String(), nullable=False),
        sa.Column("decision", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.ForeignKeyConstraint(["office", "year", "symbol"], ["register_book.office", "register_book.year",
                                                               "register_book.symbol"]),
        sa.PrimaryKeyConstraint("office", "year", "symbol"),
    )  # fmt: skip
    op.create_table(
        "register_paper",
        sa.Column("id", sa.BigInteger(), autoincrement=True, nullable=False),
        sa.Column("office", sa.String(), nullable=False),
        sa.Column("year", sa.Integer(), nullable=False),
        sa.Column("symbol", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("for_day", sa.Date(), nullable=False),
        sa.Column("official", sa.String(), nullable=False),
        sa.Column("lines", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("sha256", sa.String(), nullable=False),
        sa.Column("size", sa.Integer(), nullable=False),
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("made_at", _MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("office", "year", "symbol", "kind", "revision"),
    )
    op.create_table(
        "register_signature",
        sa.Column("id", sa.BigInteger(), autoincrement=True, nullable=False),
        sa.Column("paper", sa.BigInteger(), nullable=False),
        sa.Column("field", sa.String(), nullable=False),
        sa.Column("certificate_sha256", sa.String(), nullable=False),
        sa.Column("kept_key", sa.String(), nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("open_try", sa.Boolean(), nullable=False),
        sa.Column("decision", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("intended_at", _MOMENT, nullable=False),
        sa.Column("kept_sha256", sa.String(), nullable=True),
        sa.Column("level", sa.String(), nullable=True),
        sa.Column("signed_at", _MOMENT, nullable=True),
        sa.Column("kept_at", _MOMENT, nullable=True),
        sa.ForeignKeyConstraint(["paper"], ["register_paper.id"]),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("paper", "field"),
    )
    _refuse_after_the_lock()


def _refuse_after_the_lock() -> None:
    """
    Close a year by inserting its lock, and refuse every change of its lines from then on.

    The lock is only taken when its totals are the register's own and no number is reserved or missing; the
    book's row is locked first, so that nobody reserves a number meanwhile.
    """
    op.execute(
        """
        create function close_register() returns trigger
            language plpgsql security definer set search_path = public, pg_temp as $$
        declare last integer; counted integer; certified integer; void integer; reserved integer;
        begin
            update register_book set locked_at = new.locked_at
                where office = new.office and year = new.year and symbol = new.symbol and locked_at is null
                returning last_number into last;
            if last is null then
                raise exception 'CERT-29: the register is locked already' using errcode = 'check_violation';
            end if;
            select count(*), count(*) filter (where e.state = 'certified'),
                   count(*) filter (where e.state = 'void'), count(*) filter (where e.state = 'reserved')
                into counted, certified, void, reserved from register_entry e
                where e.office = new.office and e.year = new.year and e.symbol = new.symbol;
            if reserved > 0 or counted <> last or last <> new.last_number
               or certified <> new.certified or void <> new.void then
                raise exception 'CERT-29: the totals are not those of the register'
                    using errcode = 'check_violation';
            end if;
            return new;
        end $$
        """
    )
    op.execute(
        """
        create function refuse_after_lock() returns trigger
            language plpgsql security definer set search_path = public, pg_temp as $$
        declare line register_entry; locked timestamptz;
        begin
            if tg_op = 'DELETE' then line := old; else line := new; end if;
            -- Not locked here, because whoever writes history holds its head already: who closes the year sees a
            -- line that somebody is just ending as reserved, and refuses; who reserves one holds the book.
            select locked_at into locked from register_book
                where office = line.office and year = line.year and symbol = line.symbol;
            if locked is not null then
                raise exception 'CERT-29: the register of % is locked', line.year
                    using errcode = 'check_violation';
            end if;
            if tg_op = 'UPDATE' and (old.office, old.year, old.symbol, old.number, old.dossier, old.ordinal)
               is distinct from (new.office, new.year, new.symbol, new.number, new.dossier, new.ordinal) then
                raise exception 'CERT-22: a number is never moved' using errcode = 'check_violation';
            end if;
            return line;
        end $$
        """
    )
    op.execute(
        """
        create function refuse_to_reopen() returns trigger language plpgsql as $$
        begin
            if old.locked_at is not null then
                raise exception 'CERT-29: the register of % is locked', old.year
                    using errcode = 'check_violation';
            end if;
            return new;
        end $$
        """
    )
    op.execute(
        "create trigger closes_the_register before insert on register_lock "
        "for each row execute function close_register()"
    )
    op.execute(
        "create trigger after_the_lock before insert or update or delete on register_entry "
        "for each row execute function refuse_after_lock()"
    )
    op.execute(
        "create trigger stays_locked before update or delete on register_book "
        "for each row execute function refuse_to_reopen()"
    )


def downgrade() -> None:
    """Drop the tables, their triggers and functions."""
    op.execute("drop trigger stays_locked on register_book")
    op.execute("drop trigger after_the_lock on register_entry")
    for table in (
        "register_signature",
        "register_paper",
        "register_lock",
        "finding",
        "erasure",
        "correction",
        "standing_list",
        "standing_change",
        "sent_copy",
    ):
        op.drop_table(table)
    for function in ("close_register", "refuse_after_lock", "refuse_to_reopen"):
        op.execute(f"drop function {function}()")
