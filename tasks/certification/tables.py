"""What was paid."""

from __future__ import annotations

from datetime import datetime

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
