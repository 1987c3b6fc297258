"""What became of each document of an official's list, and how many tries a signature took."""

from __future__ import annotations

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the table of listed documents, and count the tries of a signature."""
    op.execute("set local role hoso_owner")
    op.execute("alter table signature add column tries integer not null default 0")
    op.execute("alter table signature add column open_try boolean not null default false")
    op.execute("create index ix_signature_open_try on signature (dossier) where open_try")
    op.execute(
        """
        create table listed_document (
            digest varchar not null references sign_list (digest),
            dossier varchar not null references dossier (code),
            ordinal integer not null,
            opened_at timestamptz,
            result varchar,
            why varchar not null default '',
            ended_at timestamptz,
            primary key (digest, dossier, ordinal)
        )
        """
    )
    op.execute("grant select, insert, update on listed_document to hoso_app")
    op.execute("reset role")


def downgrade() -> None:
    """Take back what `upgrade` did."""
    op.execute("set local role hoso_owner")
    op.execute("drop table listed_document")
    op.execute("drop index ix_signature_open_try")
    op.execute("alter table signature drop column open_try")
    op.execute("alter table signature drop column tries")
    op.execute("reset role")
