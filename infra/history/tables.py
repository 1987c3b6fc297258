"""The rows of the history; the application's role may insert and read them, nothing else."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import BigInteger, CheckConstraint, Column, DateTime, LargeBinary
from sqlmodel import Field, SQLModel


class HistoryEntry(SQLModel, table=True):
    """One fact, for ever: its bytes exactly as they were hashed, and its place."""

    __tablename__ = "history_entry"
    __table_args__ = (CheckConstraint("position >= 0"), CheckConstraint("length(leaf_hash) = 32"))

    position: int = Field(sa_column=Column(BigInteger, primary_key=True, autoincrement=False))
    leaf_hash: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    entry: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    #: SHA-256 of the subject's code, so that one life can be found without reading every entry.
    subject: bytes = Field(sa_column=Column(LargeBinary, nullable=False, index=True))
    at: datetime = Field(sa_column=Column(DateTime(timezone=True), nullable=False))


class HistoryHead(SQLModel, table=True):
    """The one row that says how long the history is; locking it gives positions without gaps."""

    __tablename__ = "history_head"
    __table_args__ = (CheckConstraint("id = 1"),)

    id: int = Field(default=1, primary_key=True)
    log: str
    size: int = Field(sa_column=Column(BigInteger, nullable=False))
    leaf_hash: bytes = Field(sa_column=Column(LargeBinary, nullable=False))


class HistoryPayload(SQLModel, table=True):
    """Personal data that an entry commits to; erasing a row leaves every proof valid."""

    __tablename__ = "history_payload"

    commitment: bytes = Field(sa_column=Column(LargeBinary, primary_key=True))
    subject: bytes = Field(sa_column=Column(LargeBinary, nullable=False, index=True))
    salt: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    content: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
