"""Taking over what an office's file says of posts and mandates: what is new is appended, nothing is edited."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from sqlmodel import Session

from infra.database import now
from infra.history import Json
from tasks.authority.acts import end_post, give_mandate, give_post, hold_office, revoke_mandate, tell_office
from tasks.authority.giving import check_post
from tasks.authority.seal import hand_over_seal, seal_keeper
from tasks.authority.tables import PostRow
from tasks.authority.values import Basis, Holding, Mandate, Post
from tasks.dossier.moves import Actor
from tasks.dossier.offices import OfficeData
from tasks.dossier.posts import AuthoritySaid, HoldingSaid, MandateSaid, first_moment, moment_after

#: Who loads an office from its file.
ENGINEER = Actor(role="engineer")

_SECOND = timedelta(seconds=1)


def load_authority(session: Session, office: OfficeData, *, by: Actor = ENGINEER) -> list[str]:
    """
    Put on record what an office's file says of posts and mandates, and return what was new, in words.

    Loading the same file again changes nothing. What the file no longer says stays on record: a post is
    ended and a mandate revoked by decisions, not by leaving out a line. An `until` that the file gained
    is such a decision and ends what it names.
    """
    said, code = office.authority, office.code
    new: list[str] = []
    for post in (Post(**p.model_dump()) for p in said.posts):
        new += _describe(session, code, post, by=by)
    new += _load_holdings(session, code, said, by)
    new += _load_mandates(session, code, said, by)
    if said.seal_keeper is not None and seal_keeper(session, code) is None:
        kept = said.seal_keeper
        hand_over_seal(
            session,
            code,
            kept.staff,
            approved_by=kept.approved_by,
            minutes=kept.minutes,
            since=first_moment(kept.since),
            by=by,
        )
        new.append(f"{kept.staff} keeps the seal")
    return new


def _describe(session: Session, office: str, post: Post, *, by: Actor) -> list[str]:
    """Record a post, or that it is called otherwise from now on."""
    _, records = hold_office(session, office)
    if post in records.posts:
        return []
    check_post(post, records)
    session.add(
        PostRow(
            office=office,
            code=post.code,
            title=post.title,
            rank=post.rank,
            under=post.under,
            described_at=now(session),
        )
    )
    session.flush()
    facts: dict[str, Json] = {
        "event": "post:described",
        "post": post.code,
        "title": post.title,
        "rank": post.rank,
        "under": post.under,
    }
    tell_office(session, office, by, facts)
    return [f"post {post.code}"]


def _load_holdings(session: Session, office: str, said: AuthoritySaid, by: Actor) -> list[str]:
    """Give the posts that the file names, in the order of time; end those that gained an end."""
    new = []
    for one in sorted(said.holdings, key=lambda h: first_moment(h.since)):
        wanted = holding_of(one)
        _, records = hold_office(session, office)
        known = next(
            (
                h
                for h in records.holdings
                if (h.post, h.staff, h.manner, h.since)
                == (wanted.post, wanted.staff, wanted.manner, wanted.since)
            ),
            None,
        )
        if known is None:
            give_post(session, office, wanted, by=by)
            new.append(f"{wanted.staff} holds {wanted.post}")
        elif one.until and wanted.before and (known.before is None or wanted.before < known.before):
            last = moment_after(one.until) - _SECOND
            end_post(session, office, known.id, wanted.decision, by=by, last=last)
            new.append(f"{wanted.staff} leaves {wanted.post}")
    return new


def _load_mandates(session: Session, office: str, said: AuthoritySaid, by: Actor) -> list[str]:
    """Give the mandates that the file names; revoke those that gained an end."""
    new = []
    for one in said.mandates:
        wanted = mandate_of(one)
        _, records = hold_office(session, office)
        known = next((m for m in records.mandates if _same(m, wanted)), None)
        if known is None:
            give_mandate(session, office, wanted, by=by)
            new.append(f"mandate {wanted.capacity} of {wanted.to or wanted.to_post}")
        elif one.until and wanted.before and (known.before is None or wanted.before < known.before):
            last = moment_after(one.until) - _SECOND
            revoke_mandate(session, office, known.id, wanted.basis.number, by=by, last=last)
            new.append(f"end of mandate {known.id}")
    return new


def _same(known: Mandate, wanted: Mandate) -> bool:
    """Tell whether a mandate on record is the one that the file names."""
    return replace(known, id=0, before=None, ended_by="") == replace(wanted, before=None)


def holding_of(said: HoldingSaid) -> Holding:
    """Return a holding as the file names it."""
    return Holding(
        id=0,
        post=said.post,
        staff=said.staff,
        manner=said.manner,
        since=first_moment(said.since),
        before=moment_after(said.until) if said.until else None,
        decision=said.decision,
    )


def mandate_of(said: MandateSaid) -> Mandate:
    """Return a mandate as the file names it."""
    return Mandate(
        id=0,
        capacity=said.capacity,
        giver_post=said.giver_post,
        giver=said.giver,
        to=said.to,
        to_post=said.to_post,
        covers=said.covers,
        limits=said.limits,
        basis=Basis(**said.basis.model_dump()),
        since=first_moment(said.since),
        before=moment_after(said.until) if said.until else None,
    )
