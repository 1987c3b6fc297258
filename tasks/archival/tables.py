"""What the archive holds, as the store itself reported it."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, Column, UniqueConstraint
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field, SQLModel

from tasks.dossier.tables import moment


class ArchivedObjectRow(SQLModel, table=True):
    """One locked object version of one package, read back before it is believed."""

    __tablename__ = "archived_object"
    __table_args__ = (UniqueConstraint("dossier", "key"),)

    id: int | None = Field(default=None, sa_column=Column(BigInteger, primary_key=True, autoincrement=True))
    dossier: str = Field(foreign_key="dossier.code", index=True)
    key: str
    version_id: str
    sha256: str
    size: int
    mode: str
    retain_until: datetime = moment(nullable=False)
    read_back_at: datetime = moment(nullable=False)
    #: Whether the store was told that nobody may delete it, whatever its date says.
    held: bool = False
    destroyed_at: datetime | None = moment()


class KeptObjectRow(SQLModel, table=True):
    """One locked object version that belongs to no dossier, such as a checkpoint or a report."""

    __tablename__ = "kept_object"

    key: str = Field(primary_key=True)
    version_id: str = Field(primary_key=True)
    #: `checkpoint`, `time-stamp`, `root`, `fixity`, `destruction`, `register`, `standing`
    kind: str
    sha256: str
    size: int = Field(sa_column=Column(BigInteger, nullable=False))
    mode: str
    retain_until: datetime = moment(nullable=False)
    kept_at: datetime = moment(nullable=False)


class PackageRow(SQLModel, table=True):
    """That a dossier is being archived: fixed before the first byte, so that a second try writes the same."""

    __tablename__ = "package"

    dossier: str = Field(primary_key=True, foreign_key="dossier.code")
    begun_at: datetime = moment(nullable=False)
    #: The package tells the history up to and including this position.
    history_position: int = Field(sa_column=Column(BigInteger, nullable=False))
    retain_until: datetime = moment(nullable=False)
    #: Kept for ever: its locks are renewed before they end.
    permanent: bool = False
    #: Who archives, as the inventory names them.
    user_name: str
    user_address: str
    #: What was rendered for the package, by its name there: rendered once, and emptied when the archive has it.
    rendered: dict[str, Any] = Field(default_factory=dict, sa_column=Column(JSONB, nullable=False))
