"""What was paid, and what was ordered in bulk."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Column
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field, SQLModel

from tasks.dossier.tables import moment


class PaymentRow(SQLModel, table=True):
    """What a dossier owes and whether it was paid, in đồng."""

    __tablename__ = "payment"

    dossier: str = Field(primary_key=True, foreign_key="dossier.code")
    amount: int
    paid: int = 0
    paid_at: datetime | None = moment()
    paid_to: str | None = None
    receipt: str | None = None


class BulkOrderRow(SQLModel, table=True):
    """One bulk order, named by a hash of what was ordered; who ordered it stands in its dossiers."""

    __tablename__ = "bulk_order"

    id: str = Field(primary_key=True)
    office: str = Field(foreign_key="office.code")
    procedure: str
    placed_by: str
    rows: int
    extended_by: int = 0
    begun_at: datetime = moment(nullable=False)
    ended_at: datetime | None = moment()


class OrderedOriginalRow(SQLModel, table=True):
    """Which original a row of an order became."""

    __tablename__ = "bulk_order_row"

    bulk_order: str = Field(primary_key=True, foreign_key="bulk_order.id")
    row: int = Field(primary_key=True)
    dossier: str = Field(foreign_key="dossier.code")
    ordinal: int
    facts: dict[str, Any] = Field(default_factory=dict, sa_column=Column(JSONB, nullable=False))
