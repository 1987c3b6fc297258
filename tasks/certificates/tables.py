"""Certificates and tokens as records: whose they are, where the key is, and where each stands in its life."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import BigInteger, Column, Index, LargeBinary, String, text
from sqlmodel import Field, SQLModel

from tasks.certificates.lifecycle import CertificateState
from tasks.dossier.tables import moment


class CertificateRow(SQLModel, table=True):
    """
    One X.509 certificate, whose it is, and on which token its key is. Rows are never deleted.

    An office's person or agency has at most one active certificate (CER-14), which the database enforces;
    one that was renewed signs beside it until `ended_at`.
    """

    __tablename__ = "certificate"
    __table_args__ = (
        Index(
            "one_active_certificate",
            "office",
            "holder",
            unique=True,
            postgresql_where=text("state = 'active' and ended_at is null"),
        ),
    )

    sha256: str = Field(primary_key=True)
    office: str = Field(foreign_key="office.code", index=True)
    #: Staff code of the person; empty: the agency itself.
    holder: str
    #: What the office's file calls the key, when it was bound from there.
    key: str = Field(default="", index=True)
    state: CertificateState = Field(sa_column=Column(String, nullable=False, index=True))
    #: RFC 7512 name of the key; empty until a test signature proved that the key is there.
    token_uri: str = ""
    token_serial: str | None = Field(default=None, foreign_key="token.serial")
    #: CKA_ID of the key, in hexadecimal.
    key_id: str = ""
    der: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    image: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    #: The certificate's serial number in hexadecimal, its holder as it names them, and its validity.
    serial: str = Field(default="", index=True)
    subject: str = ""
    issuer: str = ""
    not_before: datetime | None = moment()
    not_after: datetime | None = moment(index=True)
    #: The certificate that this one renews or changes, and how many renewals led to it.
    follows: str | None = Field(default=None, foreign_key="certificate.sha256")
    renewals: int = 0
    #: Number of the minutes by which the device was handed over.
    minutes: str = ""
    tested_at: datetime | None = moment()
    registered_at: datetime = moment(nullable=False)
    activated_at: datetime | None = moment()
    #: From this moment on it signs nothing, whatever its state.
    ended_at: datetime | None = moment()
    revoked_at: datetime | None = moment()
    revocation_reason: str | None = None
    #: The smallest number of days left that a warning was given for.
    warned_days: int | None = None
    #: The version of the PIN file that the token refused last.
    pin_refused: str | None = None


class CertificateRequestRow(SQLModel, table=True):
    """A request to the provider: for a first certificate, a renewal, or a change (CER-02)."""

    __tablename__ = "certificate_request"
    __table_args__ = (
        Index(
            "one_open_certificate_request",
            "office",
            "holder",
            unique=True,
            postgresql_where=text("state = 'requested'"),
        ),
    )

    id: int | None = Field(default=None, sa_column=Column(BigInteger, primary_key=True, autoincrement=True))
    office: str = Field(foreign_key="office.code")
    holder: str
    #: `new`, `renewal`, `change`
    kind: str
    follows: str | None = Field(default=None, foreign_key="certificate.sha256")
    #: Number of the managing agency's letter.
    document: str
    state: CertificateState = Field(sa_column=Column(String, nullable=False, index=True))
    reason: str = ""
    certificate: str | None = Field(default=None, foreign_key="certificate.sha256")
    requested_at: datetime = moment(nullable=False)
    ended_at: datetime | None = moment()


class TokenRow(SQLModel, table=True):
    """A device that holds keys: which one it is, where it is, and who has it (SIG-13)."""

    __tablename__ = "token"

    serial: str = Field(primary_key=True)
    label: str
    model: str
    manufacturer: str
    office: str = Field(foreign_key="office.code", index=True)
    #: Who has it: a staff code; empty: nobody is on record.
    keeper: str = ""
    place: str = ""
    registered_at: datetime = moment(nullable=False)


class TokenHandOverRow(SQLModel, table=True):
    """One hand-over of a device, by minutes; rows are only added."""

    __tablename__ = "token_hand_over"

    id: int | None = Field(default=None, sa_column=Column(BigInteger, primary_key=True, autoincrement=True))
    token: str = Field(foreign_key="token.serial", index=True)
    from_keeper: str
    to_keeper: str
    approved_by: str
    minutes: str
    place: str
    recorded_by: str
    at: datetime = moment(nullable=False)


class RevocationTaskRow(SQLModel, table=True):
    """That a certificate must be revoked, by when, and why; ended by the record of its revocation (CER-09)."""

    __tablename__ = "revocation_task"
    __table_args__ = (
        Index(
            "one_open_revocation_task", "certificate", unique=True, postgresql_where=text("ended_at is null")
        ),
    )

    id: int | None = Field(default=None, sa_column=Column(BigInteger, primary_key=True, autoincrement=True))
    certificate: str = Field(foreign_key="certificate.sha256")
    office: str = Field(foreign_key="office.code", index=True)
    reason: str
    opened_at: datetime = moment(nullable=False)
    due_at: datetime = moment(nullable=False)
    ended_at: datetime | None = moment()
