"""
What is asked about authority and what is answered: plain values, the same for a rule, a test and a history entry.

Every span of time here is half open: it begins with `since` and ends just before `before`. A mandate that
is valid until 17:00:00 has `before` 17:00:01, so that it signs in that whole second and not in the next.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import date, datetime, timedelta
from hashlib import sha256
from typing import Any

import rfc8785

from infra.clock import HANOI
from infra.errors import Forbidden
from infra.history import Json
from tasks.dossier.posts import Manner, Rank, RegimeSaid


@dataclass(frozen=True, slots=True, kw_only=True)
class Post:
    """One post of an office, as it is described now."""

    code: str
    title: str
    rank: Rank
    under: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """From the first moment to just before the last; `None`: until somebody ends it."""

    since: datetime
    before: datetime | None = None

    def holds_at(self, moment: datetime) -> bool:
        """Tell whether a moment lies within."""
        return self.since <= moment and (self.before is None or moment < self.before)

    def meets(self, other: Span) -> bool:
        """Tell whether two spans have a moment in common."""
        return (other.before is None or self.since < other.before) and (
            self.before is None or other.since < self.before
        )

    def said(self) -> str:
        """Return it in words, with the last second or day that belongs to it."""
        return f"from {wall(self.since)} " + (f"to {last_second(self.before)}" if self.before else "on")


@dataclass(frozen=True, slots=True, kw_only=True)
class Holding(Span):
    """That a person holds a post."""

    id: int
    post: str
    staff: str
    manner: Manner = "appointed"
    decision: str
    #: The decision that ended it, where there is one.
    ended_by: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Basis:
    """The document that a mandate rests on."""

    kind: str
    number: str
    date: date
    issuer: str

    def said(self) -> str:
        """Return it as one names a document."""
        return f"{self.number} of {self.date:%d/%m/%Y}, {self.issuer}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Mandate(Span):
    """That somebody may sign something for the holder of a post."""

    id: int
    capacity: str
    giver_post: str
    giver: str
    to: str = ""
    to_post: str = ""
    covers: tuple[str, ...]
    limits: str = ""
    basis: Basis
    ended_by: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Records:
    """What an office has on record about posts and mandates."""

    posts: tuple[Post, ...] = ()
    holdings: tuple[Holding, ...] = ()
    mandates: tuple[Mandate, ...] = ()

    def post(self, code: str) -> Post:
        """Return a post; refuses a code that no post has."""
        for post in self.posts:
            if post.code == code:
                return post
        raise Forbidden(
            f"there is no post “{code}”.",
            rule="AUTH-01",
            way_out=f"Known posts: {', '.join(p.code for p in self.posts) or 'none'}.",
        )

    def holders(self, post: str, moment: datetime) -> tuple[Holding, ...]:
        """Return who holds a post at a moment."""
        return tuple(h for h in self.holdings if h.post == post and h.holds_at(moment))

    def held_by(self, staff: str, moment: datetime) -> tuple[Holding, ...]:
        """Return what a person holds at a moment."""
        return tuple(h for h in self.holdings if h.staff == staff and h.holds_at(moment))


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """Everything that a decision about one signature of one person depends on."""

    office: str
    regime: RegimeSaid
    staff: str
    name: str
    identity: str = ""
    #: Whether the person works at the office that day, as an official of this procedure.
    is_official: bool = True
    procedure: str
    kind: str
    #: The capacities that the step takes, preferred ones first.
    capacities: tuple[str, ...]
    records: Records
    moment: datetime
    applicant: str = ""
    kin_of: tuple[str, ...] = ()
    examiner: str = ""

    @property
    def own_papers(self) -> bool:
        """Whether the one who would sign is the one who asks."""
        return bool(self.identity) and self.identity == self.applicant

    def digest(self) -> str:
        """
        Return the SHA-256 of the inputs in canonical JSON (RFC 8785), in hexadecimal.

        Identity numbers are not in it, only whether they are the same: a number of twelve digits can be
        guessed from a hash.
        """
        body = plain(asdict(self))
        for known in ("identity", "applicant", "name", "kin_of"):
            del body[known]
        body |= {"own_papers": self.own_papers, "kin": self.staff in self.kin_of}
        body["regime"] = self.regime.model_dump(mode="json")
        return sha256(rfc8785.dumps(body)).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class SealAsked:
    """Everything that a decision about the agency's signature depends on."""

    office: str
    agency: str
    procedure: str
    #: How many officials' signatures the route has, and how many of them are kept.
    officials: int
    signed: int
    #: The rule by which the agency may sign without an official here, or nothing.
    alone: str
    keeper: str
    moment: datetime

    def digest(self) -> str:
        """Return the SHA-256 of the inputs in canonical JSON (RFC 8785), in hexadecimal."""
        return sha256(rfc8785.dumps(plain(asdict(self)))).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """Whether somebody may sign at a moment, in which capacity and on what it rests; or why not."""

    staff: str
    moment: datetime
    #: The rule that was decisive.
    rule: str
    #: Empty where the answer is no.
    capacity: str = ""
    lines: tuple[str, ...] = ()
    post: str = ""
    holding: int | None = None
    holding_decision: str = ""
    mandates: tuple[int, ...] = ()
    basis: str = ""
    limits: str = ""
    #: For whom it is signed, where it is for somebody else.
    giver: str = ""
    #: For the agency's signature: who keeps its token (SIG-13).
    keeper: str = ""
    warnings: tuple[str, ...] = ()
    message: str = ""
    way_out: str = ""
    #: Staff codes of those whom a refusal is about; both, where there are two.
    officials: tuple[str, ...] = ()
    inputs: str = ""

    @property
    def allowed(self) -> bool:
        """Whether the answer is yes."""
        return not self.message

    @property
    def rests_on(self) -> str:
        """The numbers of holding and mandates: `2.1`; empty for the agency."""
        return ".".join(str(one) for one in (self.holding, *self.mandates) if one is not None)

    def or_refuse(self) -> Decision:
        """Return the decision if it allows the signature; raises `NoAuthority` otherwise."""
        if self.message:
            raise NoAuthority(self)
        return self

    def kept(self) -> dict[str, Any]:
        """Return what is stored beside a signature, so that it stays explained: JSON, no name, no identity."""
        return {"v": 1, **{k: v for k, v in plain(asdict(self)).items() if v}}

    def facts(self) -> dict[str, Json]:
        """Return what the history says of an authority that was found."""
        said: dict[str, Json] = {"rule": self.rule, "capacity": self.capacity, "inputs": self.inputs}
        if self.holding is not None:
            said |= {"holding": self.holding, "basis": self.basis or self.holding_decision}
        if self.mandates:
            said["mandates"] = list(self.mandates)
        return said


class NoAuthority(Forbidden):
    """A signature that nobody may give, or not this person, or not now; knows the whole decision."""

    decision: Decision | None = None

    def __init__(self, said: Decision | str, *, rule: str = "", way_out: str = "") -> None:
        if isinstance(said, Decision):
            self.decision = said
            super().__init__(said.message, rule=said.rule, way_out=said.way_out)
        else:
            super().__init__(said, rule=rule, way_out=way_out)


def last_second(before: datetime) -> str:
    """
    Return the last second of a span on the wall's clock.

    >>> last_second(datetime(2026, 12, 31, 17, 0, 1, tzinfo=HANOI))
    '2026-12-31 17:00:00'
    """
    end = before - timedelta(seconds=1) if before.microsecond == 0 else before
    return wall(end)


def wall(moment: datetime) -> str:
    """Return a moment as clocks in the office showed it, to the second."""
    return f"{moment.astimezone(HANOI):%Y-%m-%d %H:%M:%S}"


def plain(value: Any) -> Any:
    """Return what JSON can hold; times in UTC to the microsecond."""
    if isinstance(value, dict):
        return {key: plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [plain(one) for one in value]
    if isinstance(value, datetime):
        return value.astimezone(HANOI).isoformat(timespec="microseconds")
    if isinstance(value, date):
        return value.isoformat()
    return value
