"""What the archive holds, as the store itself reported it."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import BigInteger, Column, UniqueConstraint
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


class PackageRow(SQLModel, table=True):
    """That a dossier is being archived: fixed before the first byte, so that a second try writes the same."""

    __tablename__ = "package"

    dossier: str = Field(primary_key=True, foreign_key="dossier.code")
    begun_at: datetime = moment(nullable=False)
    #: The package tells the history up to and including this position.
    history_position: int = Field(sa_column=Column(BigInteger, nullable=False))
    retain_until: datetime = moment(nullable=False)
    #: Who archives, as the inventory names them.
    user_name: str
    user_address: str
    #: SHA-256 of the metadata and of the validation report in the work store, rendered once.
    metadata_sha256: str | None = None
    validation_sha256: str | None = None
