"""
Whether a person may sign something now, and in which capacity (AUTH-01 to AUTH-08, CERT-08, CERT-10).

Pure: values in, a decision out. A refusal names the rule, the way out, and both officials where there are two.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from tasks.authority.grounds import grounds
from tasks.authority.values import Asked, Decision, SealAsked, Span, last_second, wall
from tasks.authority.wording import SECTORS_WITH_TITLES, honour_before
from tasks.dossier.posts import first_moment, moment_after


def decide(asked: Asked) -> Decision:
    """
    Return whether a person may give a signature at a moment, in which capacity and on what it rests.

    Of several grounds the one counts whose capacity the step names first. Never raises for a missing
    authority: the refusal is in the decision, `or_refuse` raises it.

    >>> from tasks.authority.examples import asked
    >>> decide(asked("lam")).lines
    ('CHỦ TỊCH',)
    >>> decide(asked("ha")).lines
    ('KT. CHỦ TỊCH', 'PHÓ CHỦ TỊCH')
    >>> decide(asked("ha", capacities=("TM.", "KT."))).lines
    ('TM. ỦY BAN NHÂN DÂN', 'KT. CHỦ TỊCH', 'PHÓ CHỦ TỊCH')
    >>> decide(asked("mai")).message
    'mai is on record with no mandate that a Công chức Tư pháp – Hộ tịch needs to sign for somebody (TUQ.).'
    >>> decide(asked("ha", identity="022", applicant="022")).rule
    'CERT-10'

    A mandate that ends at 17:00:00 signs in that second and not in the next:

    >>> [decide(asked("binh", at=f"2026-06-30 {end}")).allowed for end in ("17:00:00", "17:00:01")]
    [True, False]
    """
    decision = _never(asked) or _by_post(asked)
    eyes = _eyes(asked) if decision.allowed else None
    if eyes is not None:
        warned = (*decision.warnings, *eyes.warnings)
        decision = eyes if eyes.message else replace(decision, warnings=warned)
    return replace(decision, inputs=asked.digest())


def decide_seal(asked: SealAsked) -> Decision:
    """
    Return whether the agency's signature may be given: after a person's, alone only where that is allowed.

    >>> from tasks.authority.examples import asked_seal
    >>> decide_seal(asked_seal(officials=1, signed=1)).rule, decide_seal(asked_seal(officials=1)).rule
    ('SIG-12', 'SIG-12')
    >>> decide_seal(asked_seal(alone="SIG-16")).allowed, decide_seal(asked_seal()).message
    (True, 'the agency cannot sign alone: no official signs a dossier of e-copy.')
    >>> decide_seal(asked_seal(alone="SIG-16", keeper="")).rule
    'SIG-13'
    """
    said = ("", "", "")
    if not asked.keeper:
        said = ("SIG-13", f"nobody is on record as keeper of the seal of {asked.office}.", _KEEPER)
    elif asked.officials > asked.signed:
        missing = asked.officials - asked.signed
        said = ("SIG-12", f"{missing} official(s) have not signed yet.", "Let the officials sign first.")
    elif not asked.officials and not asked.alone:
        about = f"the agency cannot sign alone: no official signs a dossier of {asked.procedure}."
        said = ("SIG-16", about, "Name an official's step in the procedure.")
    rule, message, way_out = said
    return Decision(
        staff="seal",
        moment=asked.moment,
        rule=rule or (asked.alone if not asked.officials else "SIG-12"),
        capacity="" if message else "agency",
        lines=() if message else (asked.agency,),
        keeper=asked.keeper,
        message=message,
        way_out=way_out,
        officials=tuple(one for one in (asked.keeper,) if one),
        inputs=asked.digest(),
    )


_KEEPER = "Record who keeps the token with “hoso seal hand-over”, or in the office's file (seal_keeper)."


def choose(decisions: Sequence[Decision]) -> Decision:
    """
    Return the first decision that allows the signature, or, of refusals, the one that came nearest.

    A refusal that is about a mandate on record is nearer than one that knows of none.
    """
    for decision in decisions:
        if decision.allowed:
            return decision
    return max(decisions, key=lambda d: bool(d.mandates))


def _never(asked: Asked) -> Decision | None:
    """Return the refusal that no post can heal: not an official, one's own papers, a name that is not bare."""
    if not asked.is_official:
        return _no(
            asked,
            "AUTH-06",
            f"{asked.staff} is no official of {asked.office} for {asked.procedure} that day.",
            "Let another official sign; an administrator gives roles with “hoso person grant”.",
        )
    if asked.own_papers:
        return _no(
            asked,
            "CERT-10",
            f"{asked.staff} is the applicant and cannot certify papers of their own.",
            "Another authorised official must sign.",
        )
    if asked.staff in asked.kin_of:
        return _no(
            asked,
            "CERT-10",
            f"{asked.staff} is declared as a relative of the applicant.",
            "Another authorised official must sign.",
        )
    honour = honour_before(asked.name)
    if honour and asked.regime.sector not in SECTORS_WITH_TITLES:
        return _no(
            asked,
            "AUTH-07",
            f"“{honour}” stands before the name of {asked.staff}; a signature block has the bare name.",
            "Correct the name in the office's data; only the armed forces, education, health and science"
            " put titles before names (regime: sector).",
        )
    return None


def _eyes(asked: Asked) -> Decision | None:
    """Return the refusal of the examiner as certifier, or the warning that a decision on record allows it."""
    if asked.staff != asked.examiner:
        return None
    decision = asked.regime.examiner_may_sign
    if decision is not None:
        span = Span(
            since=first_moment(decision.since),
            before=moment_after(decision.until) if decision.until else None,
        )
        if span.holds_at(asked.moment):
            said = f"AUTH-06: {asked.staff} compared and signs, by decision {decision.number} of {decision.issuer}"
            return Decision(staff=asked.staff, moment=asked.moment, rule="AUTH-06", warnings=(said,))
    ended = f" (decision {decision.number} holds {span.said()})" if decision is not None else ""
    return _no(
        asked,
        "AUTH-06",
        f"{asked.examiner} compared this original and cannot also sign its copy: examiner and certifier"
        f" are the same person{ended}.",
        "Another official must sign, or the office puts its decision on record (regime: examiner_may_sign).",
    )


def _by_post(asked: Asked) -> Decision:
    """Return what the posts that a person holds at that moment give, the preferred capacity first."""
    found = [one for held in asked.records.held_by(asked.staff, asked.moment) for one in grounds(asked, held)]
    if not found:
        return _no_post(asked)
    order = {capacity: place for place, capacity in enumerate(asked.capacities)}
    order.setdefault("Q.", min(order.get("own", len(order)), order.get("TM.", len(order))))
    found.sort(key=lambda d: order.get(d.capacity.split(" ")[-1], len(order)))
    return choose(found)


def _no_post(asked: Asked) -> Decision:
    """Return the refusal of somebody who holds no post, with what is known of the last or next one."""
    mine = sorted((h for h in asked.records.holdings if h.staff == asked.staff), key=lambda h: h.since)
    past = [h for h in mine if h.before is not None and h.before <= asked.moment]
    way_out = "Record the post with “hoso post give”, or let another official sign."
    if past:
        last = max(past, key=lambda h: h.before or h.since)
        title = asked.records.post(last.post).title
        ended = last_second(last.before) if last.before else ""
        by = f" by {last.ended_by}" if last.ended_by else ""
        after = [h for h in asked.records.holders(last.post, asked.moment) if h.staff != asked.staff]
        now = f"; {after[0].staff} holds it now" if after else ""
        said = f"{asked.staff} was {title} until {ended}{by}{now}."
        officials = (asked.staff, *(h.staff for h in after))
        return replace(_no(asked, "AUTH-06", said, way_out), officials=officials, holding=last.id)
    if mine:
        title = asked.records.post(mine[0].post).title
        said = f"{asked.staff} is {title} only from {wall(mine[0].since)}."
        return replace(_no(asked, "AUTH-06", said, way_out), holding=mine[0].id)
    return _no(asked, "AUTH-06", f"{asked.staff} holds no post of {asked.office}.", way_out)


def _no(asked: Asked, rule: str, message: str, way_out: str) -> Decision:
    """Return a refusal about the one who would sign."""
    return Decision(
        staff=asked.staff,
        moment=asked.moment,
        rule=rule,
        message=message,
        way_out=way_out,
        officials=(asked.staff,),
    )
