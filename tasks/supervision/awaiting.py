"""What open dossiers wait for, and how long they have been open: the word of each run's state, counted by age."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy import case, func
from sqlmodel import Session, col

from infra.database import now
from tasks.dossier.tables import DossierRow
from tasks.people.acting import Scope

#: The ages that are told apart, youngest first: what each is called, and how many days it ends after (`None`: never).
AGES = (("a day", 1), ("a week", 7), ("a month", 30), ("longer", None))


@dataclass(frozen=True, slots=True, kw_only=True)
class Awaited:
    """How many open dossiers wait under one name, and how many of them are of which age."""

    waits_for: str
    open: int
    #: As many as `AGES`, in its order; together they are `open`.
    by_age: tuple[int, ...]


def read_awaited(
    session: Session, *, seen: Scope | None = None, office: str | None = None
) -> tuple[Awaited, ...]:
    """
    Return what open dossiers wait for, in the order of the names; one query.

    The name is the one that the dossier's run was told last, else its stage. The age is counted in days since it was
    opened, not in working time: it shows what lies, not what is late. `seen` is `None` for the program itself.
    """
    moment = now(session)
    word = case(
        (col(DossierRow.shown).contains("|"), func.split_part(col(DossierRow.shown), "|", 2)),
        else_=col(DossierRow.stage),
    ).label("word")
    ages = [func.count().filter(condition) for condition in _ages(moment)]
    mine: list[sa.ColumnElement[bool]] = [col(DossierRow.ended_at).is_(None)]
    if seen is not None:
        mine.append(seen.within(DossierRow.office, DossierRow.procedure))
    if office is not None:
        mine.append(col(DossierRow.office) == office)
    found = session.connection().execute(
        sa.select(word, func.count(), *ages).where(*mine).group_by(word).order_by(word)
    )
    return tuple(Awaited(waits_for=name, open=n, by_age=tuple(counts)) for name, n, *counts in found)


def _ages(moment: datetime) -> list[sa.ColumnElement[bool]]:
    """Return the conditions of being of each age; every dossier meets one of them."""
    opened, conditions = col(DossierRow.opened_at), []
    younger = moment
    for place, (_, days) in enumerate(AGES):
        until = moment - timedelta(days=days) if days is not None else None
        older = [opened > until] if until is not None else []
        conditions.append(sa.and_(sa.true(), *older, *([opened <= younger] if place else [])))
        younger = until or moment
    return conditions
