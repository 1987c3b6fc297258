"""
The official's list: reviewed, named by its digest, unlocked once, signed exactly.

What was shown is what is signed: the manifest holds the SHA-256 of every document, its digest goes into
the history with the unlock, and a document that changed since is left out and reported.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Sequence

import rfc8785

from infra.database import now
from infra.errors import Broken, Forbidden, HosoError, Unavailable
from infra.history import Json
from infra.services import services
from infra.token import PinLocked, WrongPin
from tasks.dossier.calendar import local
from tasks.dossier.lifecycle import Standing
from tasks.dossier.looking import hold, office_of, original_of
from tasks.dossier.moves import Actor, Telling, follow, person
from tasks.dossier.waiting import frozen_at
from tasks.people.acting import acting_on
from tasks.signing.lists import (
    STOPS,
    Listed,
    SignList,
    SignOutcome,
    list_row,
    manifest,
    may_sign,
    own_list,
    read_list,
    tell_list,
)
from tasks.signing.outcomes import find_listed, keep_outcomes, outcome_of, put_back, results_of
from tasks.signing.tables import SignListRow


def write_list(
    office_code: str, official: str, *, only: Sequence[str] | None = None, limit: int = 500
) -> SignList:
    """
    Write down what an official is asked to sign today and return it; the digest names exactly those bytes.

    `only` restricts it to some dossiers. The same documents on the same day give the same digest; what was
    left out of it before and is put forward again may then be signed.
    """
    with services().database.transaction() as session:
        office = office_of(session, office_code)
        theirs = may_sign(session, office_code, official)
        officer = office.officer(official, "official")
        today = local(now(session)).date()
        documents = tuple(
            Listed(
                dossier=waits.dossier,
                original=waits.ordinal,
                kind=waits.kind,
                pages=waits.pages,
                sha256=waits.sha256,
                key=waits.key,
                due_at=waits.due_at,
            )
            for waits in frozen_at(session, office_code, codes=only)
            if waits.official == official
            and theirs.allows(office_code, waits.procedure)
            and waits.for_day in (None, today)
        )[:limit]
        if not documents:
            raise Forbidden(
                f"nothing waits for the signature of {official} at {office_code}.",
                rule="SIG-12",
                way_out="“hoso list” says what waits for whom.",
            )
        body = manifest(office_code, official, today, documents)
        digest = hashlib.sha256(rfc8785.dumps(body)).hexdigest()
        if session.get(SignListRow, digest) is None:
            session.add(
                SignListRow(
                    digest=digest,
                    office=office_code,
                    official=official,
                    for_day=today,
                    body=body,
                    written_at=now(session),
                )
            )
            tell_list(session, office_code, "list:written", person(office, officer, "official"), digest, body)
        else:
            put_back(session, digest)
        return SignList(
            digest=digest, office=office_code, official=official, for_day=today, documents=documents
        )


def list_of(digest: str, official: str, *, at: str) -> SignList:
    """Return a list as its official reviews it; refuses a list of somebody else."""
    with services().database.transaction() as session:
        return read_list(own_list(session, digest, official, at))


def unlock_list(digest: str, official: str, *, at: str) -> SignList:
    """Say in the history that an official of the office `at` unlocks a key for exactly this list, and return it."""
    with services().database.transaction() as session:
        row = own_list(session, digest, official, at)
        today = local(now(session)).date()
        if row.for_day != today:
            raise Forbidden(
                f"list {row.digest[:12]}… was written on {row.for_day}.",
                rule="CERT-26",
                way_out="Write today's list with “hoso sign --list”; pages are dated the day of signing.",
            )
        office = office_of(session, row.office)
        officer = office.officer(official, "official")
        row.unlocked_at = row.unlocked_at or now(session)
        session.add(row)
        tell_list(
            session, row.office, "list:unlocked", person(office, officer, "official"), row.digest, row.body
        )
        return read_list(row)


def tell_refused_unlock(chosen: SignList, error: HosoError | KeyboardInterrupt) -> None:
    """Say in the history that a key did not open for a list, or stopped in it, and why by kind."""
    with services().database.transaction() as session:
        office = office_of(session, chosen.office)
        by = person(office, office.officer(chosen.official, "official"), "official")
        event = f"list:stopped-{type(error).__name__}"
        tell_list(session, chosen.office, event, by, chosen.digest, list_row(session, chosen.digest).body)


def _tell_nobody(_: SignOutcome) -> None:
    """Let outcomes be read from the list that is returned."""


#: Signs some documents of a list and returns what became of each: whether it was signed now, or why not.
Signing = Callable[[Sequence[Listed]], Sequence[bool | BaseException | None]]
#: How many documents of a list are signed together: what an interruption may have to be taken up again.
_AT_ONCE = 8


def sign_list(
    chosen: SignList,
    sign_these: Signing,
    *,
    told: Callable[[SignOutcome], None] = _tell_nobody,
    at_once: int = _AT_ONCE,
) -> list[SignOutcome]:
    """
    Sign every document of an unlocked list by `sign_these`, some `at_once`, and return what became of each.

    A document that changed is left out, one that is refused is set aside, and the rest goes on. A token or
    PIN error stops the list at once: what was not reached is said to be so and can be signed later by the
    same list. What becomes of each is kept as soon as it is known, so an interruption loses nothing.
    """
    outcomes: list[SignOutcome] = []
    stopped: BaseException | None = None
    before = results_of(chosen.digest)
    for start in range(0, len(chosen.documents), at_once):
        some = chosen.documents[start : start + at_once]
        known = {d: before.get((d.dossier, d.original)) for d in some}
        left = {d: one for d, one in known.items() if one is not None and one.result == "left out"}
        ends, stopped = _signed([d for d in some if d not in left], sign_these, stopped)
        became = [left[d] if d in left else _outcome(d, ends.get(d), stopped) for d in some]
        keep_outcomes(chosen.digest, became)
        for outcome in became:
            outcomes.append(outcome)
            told(outcome)
    _tell_ended(chosen, ended=stopped is None)
    if isinstance(stopped, WrongPin | PinLocked | KeyboardInterrupt):
        raise stopped
    return outcomes


def _signed(
    some: Sequence[Listed], sign_these: Signing, stopped: BaseException | None
) -> tuple[dict[Listed, bool | BaseException | None], BaseException | None]:
    """Sign some documents unless the list is stopped; return what became of each, and what stops the list now."""
    if stopped is not None or not some:
        return {}, stopped
    try:
        ends = dict(zip(some, sign_these(some), strict=True))
    except (Unavailable, KeyboardInterrupt) as error:
        # What was stored of them before is found by the next run of the list.
        return {}, error
    return ends, next((end for end in ends.values() if isinstance(end, STOPS)), None)


def _outcome(listed: Listed, end: bool | BaseException | None, stopped: BaseException | None) -> SignOutcome:
    """Return what is kept of how one document ended; raises an error that nobody foresaw."""

    def ended(result: str, why: str = "") -> SignOutcome:
        return SignOutcome(dossier=listed.dossier, original=listed.original, result=result, why=why)

    if isinstance(end, bool):
        return ended("signed" if end else "signed before")
    if end is None or isinstance(end, STOPS):
        why = end or stopped
        return ended("not reached", "it was interrupted" if isinstance(why, KeyboardInterrupt) else str(why))
    if isinstance(end, Forbidden):
        # What is not what was reviewed any more is left out; anything else is a rule's refusal.
        return ended("left out" if end.rule in ("SIG-12", "DOS-06") else "refused", str(end))
    if isinstance(end, Broken):
        return ended("refused", str(end))
    raise end


def _tell_ended(chosen: SignList, *, ended: bool) -> None:
    """Say in the history what became of a list, by the hash of its outcome; a later run says it again."""
    outcome = outcome_of(chosen.digest, chosen.official, at=chosen.office)
    with services().database.transaction() as session:
        row = list_row(session, chosen.digest)
        if ended:
            row.ended_at = row.ended_at or now(session)
            session.add(row)
        office = office_of(session, row.office)
        by = person(office, office.officer(row.official, "official"), "official")
        counts = Counter(document.result.replace(" ", "_") for document in outcome.documents)
        more: dict[str, Json] = {"outcome": {"sha256": outcome.sha256}, "results": dict(counts)}
        tell_list(session, row.office, "list:ended", by, row.digest, row.body, more)


def leave_out(code: str, ordinal: int, reason: str, *, by: Actor) -> None:
    """Give an original back to the examiner with the official's reason; leaving it out twice changes nothing."""
    with services().database.transaction() as session:
        dossier = hold(session, code)
        by = acting_on(session, by, "leave-out", dossier)
        original = original_of(session, code, ordinal)
        if original.standing == Standing.LEFT_OUT:
            return
        if original.standing != Standing.CERTIFIED:
            raise Forbidden(
                f"original {ordinal} of {code} is {original.standing} and not on anybody's list.",
                rule="SIG-12",
                way_out="Only what waits for a signature can be left out.",
            )
        original.standing = Standing.LEFT_OUT
        original.reason = reason
        session.add(original)
        facts: dict[str, Json] = {"original": ordinal}
        telling = Telling(event="original:left-out", by=by, facts=facts, private={"reason": reason})
        follow(session, dossier, telling)


def leave_out_of(chosen: SignList, which: str, reason: str, *, by: Actor) -> SignOutcome:
    """Leave one document of a list out, with the official's reason for the examiner, and return its outcome."""
    listed = find_listed(chosen, which)
    leave_out(listed.dossier, listed.original, reason, by=by)
    outcome = SignOutcome(dossier=listed.dossier, original=listed.original, result="left out", why=reason)
    keep_outcomes(chosen.digest, [outcome])
    return outcome
