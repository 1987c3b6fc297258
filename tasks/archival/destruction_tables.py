"""Lists of dossiers that are to be destroyed: drawn up, decided, carried out."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import BigInteger, Column, ForeignKey
from sqlmodel import Field, SQLModel

from tasks.dossier.tables import moment


class DestructionListRow(SQLModel, table=True):
    """One list of an office, named by the digest of what is on it."""

    __tablename__ = "destruction_list"

    id: int | None = Field(default=None, sa_column=Column(BigInteger, primary_key=True, autoincrement=True))
    office: str = Field(foreign_key="office.code")
    digest: str = Field(unique=True)
    drawn_by: str
    drawn_at: datetime = moment(nullable=False)
    #: The number of the decision that approves it.
    decision: str | None = None
    approved_by: str | None = None
    approved_at: datetime | None = moment()
    begun_by: str | None = None
    begun_at: datetime | None = moment()
    ended_at: datetime | None = moment()
    certificate_key: str | None = None


class DestructionItemRow(SQLModel, table=True):
    """One dossier on a list, and what became of it."""

    __tablename__ = "destruction_item"

    list: int = Field(sa_column=Column(BigInteger, ForeignKey("destruction_list.id"), primary_key=True))
    dossier: str = Field(primary_key=True, foreign_key="dossier.code")
    retain_until: datetime = moment(nullable=False)
    rule: str
    objects: int
    size: int = Field(sa_column=Column(BigInteger, nullable=False))
    inventory_sha256: str
    destroyed_at: datetime | None = moment()
    #: Why it was not destroyed after all.
    left_out: str | None = None
