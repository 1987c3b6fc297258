"""The rows of the history; the application's role may insert and read them, nothing else."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import BigInteger, CheckConstraint, Column, DateTime, LargeBinary, SmallInteger
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


class HistoryNode(SQLModel, table=True):
    """The hash of a complete subtree of the tree over the entries; derived from them, only to be fast."""

    __tablename__ = "history_node"

    level: int = Field(sa_column=Column(SmallInteger, primary_key=True, autoincrement=False))
    index: int = Field(sa_column=Column(BigInteger, primary_key=True, autoincrement=False))
    hash: bytes = Field(sa_column=Column(LargeBinary, nullable=False))


class HistoryCheckpoint(SQLModel, table=True):
    """A checkpoint that was signed, and where it has been put since: each stamp and copy is a step of its own."""

    __tablename__ = "history_checkpoint"

    size: int = Field(sa_column=Column(BigInteger, primary_key=True, autoincrement=False))
    root: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    note: str
    signed_at: datetime = Field(sa_column=Column(DateTime(timezone=True), nullable=False))
    #: The RFC 3161 token over the note, whose it is, and the time that it proves.
    token: bytes | None = Field(default=None, sa_column=Column(LargeBinary, nullable=True))
    stamped_by: str | None = None
    stamped_at: datetime | None = Field(
        default=None, sa_column=Column(DateTime(timezone=True), nullable=True)
    )
    #: The object in the archive bucket that holds note and token, and its version.
    key: str | None = None
    version_id: str | None = None
    #: When the witness had its copy.
    witnessed_at: datetime | None = Field(
        default=None, sa_column=Column(DateTime(timezone=True), nullable=True)
    )
