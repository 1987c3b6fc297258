"""The snapshots of the periodic reports, and what they are counted from: what was promised and paid when."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None

_GROWING = ("promised_time", "fee_taken", "report", "report_paper")


def upgrade() -> None:
    """Make the tables, the triggers that fill two of them, and the indices by which reports find their rows."""
    op.execute("set local role hoso_owner")
    _say_how_dossiers_came()
    _make_what_is_counted()
    _make_reports()
    _let_superiors_answer()
    _index()
    for table in _GROWING:
        op.execute(
            f"create trigger only_grows before update or delete on {table} "
            "for each row execute function refuse_to_rewrite()"
        )
    # Those two are written by the triggers alone, as their owner.
    op.execute("grant select on promised_time, fee_taken to hoso_app")
    op.execute("grant select, insert on report, report_paper to hoso_app")
    op.execute("grant select, insert, update on report_signature to hoso_app")
    op.execute("grant usage on sequence report_number_seq to hoso_app")
    op.execute("reset role")


def _text(name: str) -> sa.Column[str]:
    return sa.Column(name, sa.String(), nullable=False)


def _moment(name: str, *, null: bool = False) -> sa.Column[sa.DateTime]:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=null)


def _large(name: str) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger(), nullable=False)


def _counted(name: str) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger(), autoincrement=True, nullable=False, primary_key=True)


def _say_how_dossiers_came() -> None:
    """Add the channel to dossiers, and to units since when they are asked; older rows are judged by what is known."""
    came = sa.Column("came_by", sa.String(), nullable=False, server_default="counter")
    op.add_column("dossier", came)
    op.execute(
        "update dossier d set came_by = 'portal' where exists (select from person_role r "
        "where r.office = d.office and r.staff = d.opened_by and r.role = 'portal')"
    )
    since = sa.Column(
        "added_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.text("clock_timestamp()")
    )
    op.add_column("registration_unit", since)
    op.execute(
        "update registration_unit u set added_at = r.opened_at from registration_round r where r.code = u.round"
    )


def _make_what_is_counted() -> None:
    """Keep every promised time and every payment; the program of the release before is caught as well."""
    op.create_table("promised_time", _counted("id"), _text("subject"), _moment("at"), _moment("due_at"))
    op.create_table("fee_taken", _counted("id"), _text("dossier"), _moment("at"), _large("amount"))
    op.execute(
        "insert into promised_time (subject, at, due_at) select code, coalesce(received_at, opened_at), due_at"
        " from dossier where due_at is not null"
    )
    op.execute(
        "insert into promised_time (subject, at, due_at)"
        " select 'registration/' || code, opened_at, deadline from registration_round"
    )
    op.execute(
        "insert into fee_taken (dossier, at, amount)"
        " select dossier, paid_at, paid from payment where paid > 0 and paid_at is not null"
    )
    _keep("dossier", "due_at", "new.code", "new.due_at")
    _keep("registration_round", "deadline", "'registration/' || new.code", "new.deadline")
    op.execute(
        """
        create function keep_fee() returns trigger
            language plpgsql security definer set search_path = public, pg_temp as $$
        declare before bigint := 0;
        begin
            if tg_op = 'UPDATE' then before := old.paid; end if;
            if new.paid <> before then
                insert into fee_taken (dossier, at, amount)
                    values (new.dossier, clock_timestamp(), new.paid - before);
            end if;
            return null;
        end $$
        """
    )
    op.execute(
        "create trigger keeps_fee after insert or update of paid on payment "
        "for each row execute function keep_fee()"
    )


def _keep(table: str, column: str, subject: str, due: str) -> None:
    """Let the database keep every value of a column that promises a time."""
    op.execute(
        f"""
        create function keep_time_of_{table}() returns trigger
            language plpgsql security definer set search_path = public, pg_temp as $$
        begin
            if new.{column} is not null and (tg_op = 'INSERT' or new.{column} is distinct from old.{column}) then
                insert into promised_time (subject, at, due_at) values ({subject}, clock_timestamp(), {due});
            end if;
            return null;
        end $$
        """  # noqa: S608  Nothing in it comes from outside.
    )
    op.execute(
        f"create trigger keeps_time after insert or update of {column} on {table} "
        f"for each row execute function keep_time_of_{table}()"
    )


def _make_reports() -> None:
    """Create reports, their papers and their signatures."""
    op.create_table(
        "report",
        _counted("number"), sa.Column("office", sa.String(), sa.ForeignKey("office.code"), nullable=False),
        _text("about"), _text("kind"), _text("name"), sa.Column("first", sa.Date(), nullable=False),
        sa.Column("last", sa.Date(), nullable=False), sa.Column("rules", sa.Integer(), nullable=False),
        _moment("made_at"), _text("made_by"), _text("figures"), _text("sha256"),
        sa.Column("names", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        _text("dossiers_sha256"), _text("dossiers_key"),
        sa.UniqueConstraint("office", "about", "first", "last"),
    )  # fmt: skip
    op.create_table(
        "report_paper",
        sa.Column("report", sa.BigInteger(), sa.ForeignKey("report.number"), nullable=False),
        _text("kind"), _text("sha256"), _text("key"),
        sa.Column("size", sa.Integer(), nullable=False), _moment("made_at"),
        sa.PrimaryKeyConstraint("report", "kind"),
    )  # fmt: skip
    op.create_table(
        "report_signature",
        sa.Column("report", sa.BigInteger(), sa.ForeignKey("report.number"), nullable=False),
        _text("certificate_sha256"), _text("kept_key"), sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("open_try", sa.Boolean(), nullable=False),
        sa.Column("decision", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        _moment("intended_at"), sa.Column("level", sa.String(), nullable=True),
        _moment("signed_at", null=True), _moment("kept_at", null=True),
        sa.PrimaryKeyConstraint("report"),
    )  # fmt: skip


def _let_superiors_answer() -> None:
    """Say of an escalated deadline when it was given back, and who was told of that and of its end."""
    for name in ("answered_at", "answer_told_at", "end_told_at"):
        op.add_column("deadline_alert", _moment(name, null=True))
    op.add_column("deadline_alert", sa.Column("answered_by", sa.String(), nullable=True))
    # What is over already was over before anybody was to be told so.
    op.execute("update deadline_alert set end_told_at = ended_at where ended_at is not null")
    op.execute(
        "grant update (answered_at, answered_by, answer_told_at, end_told_at) on deadline_alert to hoso_app"
    )


def _index() -> None:
    """Let a report find what ended in its period, and what was open at its end, without reading everything."""
    op.create_index("ix_promised_time_of", "promised_time", ["subject", "at"])
    op.create_index("ix_fee_taken_at", "fee_taken", ["at"])
    where = sa.text("code in (7, 9, 10)")
    op.create_index("ix_status_report_ends", "status_report", ["at"], postgresql_where=where)
    unfinished = sa.text("portal_code in (2, 4, 5, 6, 8)")
    op.create_index("ix_dossier_unfinished", "dossier", ["received_at"], postgresql_where=unfinished)
    certified = sa.text("state = 'certified'")
    op.create_index("ix_register_entry_certified", "register_entry", ["ended_at"], postgresql_where=certified)
    kept = sa.text("kept_at is not null")
    op.create_index("ix_signature_kept", "signature", ["kept_at"], postgresql_where=kept)


def downgrade() -> None:
    """Drop them."""
    for table, name in (
        ("status_report", "ends"),
        ("dossier", "unfinished"),
        ("register_entry", "certified"),
    ):
        op.drop_index(f"ix_{table}_{name}", table)
    op.drop_index("ix_signature_kept", "signature")
    for name in ("answered_at", "answered_by", "answer_told_at", "end_told_at"):
        op.drop_column("deadline_alert", name)
    for table in ("report_signature", "report_paper", "report"):
        op.drop_table(table)
    for table, trigger in (
        ("dossier", "keeps_time"),
        ("registration_round", "keeps_time"),
        ("payment", "keeps_fee"),
    ):
        op.execute(f"drop trigger {trigger} on {table}")
    for function in ("keep_time_of_dossier", "keep_time_of_registration_round", "keep_fee"):
        op.execute(f"drop function {function}()")
    op.drop_table("fee_taken")
    op.drop_table("promised_time")
    op.drop_column("registration_unit", "added_at")
    op.drop_column("dossier", "came_by")
