"""
What an office's file says of its posts, of who holds them, and of mandates (AUTH-01 to AUTH-08).

Only the words of the file are here; what they mean for a signature is decided in `tasks.authority`.
"""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from infra.clock import HANOI

#: `THU_TRUONG`: the head decides and answers alone; `TAP_THE`: a collective does, and its head signs for it.
RegimeKind = Literal["THU_TRUONG", "TAP_THE"]
Rank = Literal["head", "deputy", "unit-head", "unit-deputy", "civil-servant"]
#: How a post is held: appointed to it, acting in it (Q.), or, a deputy, in charge while there is no head.
Manner = Literal["appointed", "acting", "in-charge"]
BasisKind = Literal["authorisation", "assignment", "regulation"]


class _Said(BaseModel):
    """Checked data: unknown keys are mistakes, and nothing changes after loading."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Decree(_Said):
    """A document that something rests on: number, day, and who issued it."""

    number: str = Field(min_length=1)
    date: date
    issuer: str = Field(min_length=1)


class ExaminerDecision(Decree):
    """The office's decision that the one who compared an original may sign its copy too, while it is in force."""

    since: date | datetime
    until: date | datetime | None = None


class RegimeSaid(_Said):
    """How an office decides and signs; what is marked `[M]` in the law's notes is a value here, not code."""

    kind: RegimeKind = "TAP_THE"
    #: What follows `TM.` in a signature block: `Ủy ban nhân dân`.
    collective: str = ""
    #: Sectors that put titles before names (AUTH-07): education, health, science, armed-forces.
    sector: str = ""
    #: First line of a signature block by capacity, where it is not “KT. {head}”; `TUQ.` is [M] (AUTH-08).
    lines: dict[str, str] = {}
    #: Whether an authorisation (TUQ.) ends when the head who gave it leaves the post. [M]
    authorisation_ends_with_giver: bool = True
    examiner_may_sign: ExaminerDecision | None = None


class PostSaid(_Said):
    """One post: the title of its signature block, its rank, and the post above it."""

    code: str = Field(pattern=r"^[a-z0-9-]{2,40}$")
    title: str = Field(min_length=1)
    rank: Rank
    #: The head's post for a deputy or the head of a unit; the unit head's for the unit's deputy and its people.
    under: str = ""


class HoldingSaid(_Said):
    """Who holds a post, from the first second of `since` to the last of `until`, by which decision."""

    post: str
    staff: str
    manner: Manner = "appointed"
    since: date | datetime
    until: date | datetime | None = None
    decision: str = Field(min_length=1)


class BasisSaid(Decree):
    """What a mandate rests on: a written authorisation, an assignment of work, or the working regulation."""

    kind: BasisKind


class MandateSaid(_Said):
    """Who may sign what for whom: given by the holder of a post, to a person or to whoever holds a post."""

    capacity: Literal["own", "KT.", "TL.", "TUQ."]
    giver_post: str
    giver: str
    to: str = ""
    to_post: str = ""
    #: Codes of procedures, or a kind of procedure such as `certification`.
    covers: tuple[str, ...] = Field(min_length=1)
    limits: str = ""
    since: date | datetime
    until: date | datetime | None = None
    basis: BasisSaid

    @model_validator(mode="after")
    def _goes_to_one(self) -> Self:
        """Refuse a mandate to nobody, or to a person and a post at once."""
        if bool(self.to) == bool(self.to_post):
            raise ValueError("a mandate names either `to` (a person) or `to_post`")
        return self


class KeeperSaid(_Said):
    """Who keeps the token of the agency's seal, since when, and the minutes of the hand-over (SIG-13)."""

    staff: str
    since: date | datetime
    approved_by: str
    minutes: str = Field(min_length=1)


class AuthoritySaid(_Said):
    """The part of an office's file that is about posts and authority; kept as rows that only grow."""

    posts: tuple[PostSaid, ...] = ()
    holdings: tuple[HoldingSaid, ...] = ()
    mandates: tuple[MandateSaid, ...] = ()
    seal_keeper: KeeperSaid | None = None


def first_moment(said: date | datetime) -> datetime:
    """
    Return the moment that something begins: a day begins at midnight in Hanoi.

    >>> first_moment(date(2027, 1, 1)).isoformat()
    '2027-01-01T00:00:00+07:00'
    """
    if isinstance(said, datetime):
        return said if said.tzinfo else said.replace(tzinfo=HANOI)
    return datetime.combine(said, time.min, tzinfo=HANOI)


def moment_after(said: date | datetime) -> datetime:
    """
    Return the first moment after an end that is named by its last second, or by its last day.

    >>> moment_after(datetime(2026, 12, 31, 17)).isoformat()
    '2026-12-31T17:00:01+07:00'
    >>> moment_after(date(2026, 12, 31)).isoformat()
    '2027-01-01T00:00:00+07:00'
    """
    if isinstance(said, datetime):
        return first_moment(said).replace(microsecond=0) + timedelta(seconds=1)
    return first_moment(said + timedelta(days=1))
