"""People, their roles, their credentials and their logins."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_TABLES = ("login_challenge", "login", "enrolment", "credential", "person_role", "person")


def upgrade() -> None:
    """Make the tables, and let the application work in them; nothing of people is ever deleted."""
    op.execute(
        """
        do $$ begin
            if not exists (select from pg_roles where rolname = 'hoso_desk') then
                create role hoso_desk nologin;
            end if;
        end $$
        """
    )
    op.execute("grant usage on schema public to hoso_desk")
    op.execute("set local role hoso_owner")
    _make_desks()
    op.create_table(
        "person",
        sa.Column("office", sa.String(), sa.ForeignKey("office.code"), nullable=False),
        sa.Column("staff", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("post", sa.String(), nullable=False),
        sa.Column("identity", sa.String(), nullable=False),
        sa.Column("email", sa.String(), nullable=False),
        _moment("joined_at", nullable=False),
        sa.Column("leaves_on", sa.Date(), nullable=True),
        sa.PrimaryKeyConstraint("office", "staff"),
    )
    op.create_table(
        "person_role",
        sa.Column("id", sa.BigInteger(), autoincrement=True, nullable=False),
        *_whose(),
        sa.Column("role", sa.String(), nullable=False),
        sa.Column("at", sa.String(), nullable=False),
        sa.Column("procedure", sa.String(), nullable=False),
        sa.Column("from_on", sa.Date(), nullable=False),
        sa.Column("until_on", sa.Date(), nullable=True),
        sa.Column("source", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_person_role_person", "person_role", ["office", "staff"])
    op.create_table(
        "credential",
        *_whose(),
        sa.Column("password", sa.String(), nullable=False),
        _moment("set_at", nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        _moment("not_before"),
        _moment("locked_at"),
        sa.PrimaryKeyConstraint("office", "staff"),
    )
    op.create_table(
        "enrolment",
        sa.Column("code_sha256", sa.String(), nullable=False),
        *_whose(),
        _moment("expires_at", nullable=False),
        _moment("ended_at"),
        sa.PrimaryKeyConstraint("code_sha256"),
    )
    op.create_table(
        "login",
        sa.Column("token_sha256", sa.String(), nullable=False),
        *_whose(),
        sa.Column("way", sa.String(), nullable=False),
        sa.Column("address", sa.String(), nullable=False),
        _moment("opened_at", nullable=False),
        _moment("seen_at", nullable=False),
        _moment("expires_at", nullable=False),
        _moment("ended_at"),
        sa.Column("ended_by", sa.String(), nullable=True),
        sa.PrimaryKeyConstraint("token_sha256"),
    )
    op.create_index("ix_login_person", "login", ["office", "staff"])
    op.create_table(
        "login_challenge",
        sa.Column("nonce", sa.LargeBinary(), nullable=False),
        *_whose(),
        _moment("expires_at", nullable=False),
        _moment("answered_at"),
        sa.PrimaryKeyConstraint("nonce"),
    )
    op.execute(f"grant select, insert, update on {', '.join(_TABLES)} to hoso_app")
    op.execute(f"revoke delete, truncate on {', '.join(_TABLES)} from hoso_app")
    op.execute("grant usage on sequence person_role_id_seq to hoso_app")
    op.execute("reset role")


def _make_desks() -> None:
    """Make what says which database role belongs to the desks of which office."""
    op.execute(
        """
        create table desk_role (
            role varchar primary key,
            office varchar not null references office (code)
        )
        """
    )
    # The role that logged in is asked for, so that no “set role” makes a desk another office's.
    op.execute(
        """
        create function hoso_desk_office() returns varchar
            language sql stable security definer set search_path = pg_catalog, public
            return (select office from public.desk_role where role = session_user)
        """
    )


def _whose() -> tuple[sa.Column[str] | sa.ForeignKeyConstraint, ...]:
    """Return the columns that say which person a row is about."""
    return (
        sa.Column("office", sa.String(), nullable=False),
        sa.Column("staff", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(["office", "staff"], ["person.office", "person.staff"]),
    )


def _moment(name: str, *, nullable: bool = True) -> sa.Column[object]:
    """Return a column for an aware point in time."""
    return sa.Column(name, sa.DateTime(timezone=True), nullable=nullable)


def downgrade() -> None:
    """Drop what `upgrade` made."""
    for table in _TABLES:
        op.drop_table(table)
    op.execute("drop function hoso_desk_office() cascade")
    op.execute("drop table desk_role")
