"""What the provider issued: each certificate matched with the row that asked for it, and put on record (CER-15)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlmodel import Session, col, select

from infra.database import now
from infra.errors import Forbidden
from infra.history import Json
from infra.services import services
from infra.sheets import Row
from tasks.certificates.acts import issue_to
from tasks.certificates.records import policy
from tasks.certificates.registering import must_be_of
from tasks.certificates.rules import Holder, check_subject, check_use, check_validity
from tasks.certificates.tables import CertificateRow
from tasks.dossier.looking import office_of
from tasks.dossier.moves import Actor
from tasks.dossier.papers import content_key, store_content
from tasks.dossier.tables import OfficeRow
from tasks.people.tables import PersonRow
from tasks.registration.entries import current_rows
from tasks.registration.lifecycle import State, check_move
from tasks.registration.matching import HEADINGS, IssuedFile, Matched, Wanted, match
from tasks.registration.reasons import Reason, because
from tasks.registration.rounds import hold_round, tell
from tasks.registration.tables import EntryRow, IssuedRow


@dataclass(frozen=True, slots=True, kw_only=True)
class IssuedOutcome:
    """What became of a provider's list: certificates matched now and before, on record at our offices, and the rest."""

    matched: int
    before: int
    on_record: int
    reasons: tuple[Reason, ...]
    #: Serial numbers of certificates that no row of the list names.
    spare: tuple[str, ...]
    kept: bool

    @property
    def refused(self) -> int:
        """How many rows of the list are not matched."""
        return len({reason.row for reason in self.reasons})


def take_issued(
    code: str,
    rows: Sequence[Row],
    certificates: Sequence[IssuedFile],
    *,
    by: Actor,
    accept_good_rows: bool = False,
) -> IssuedOutcome:
    """
    Match a provider's list and its certificates with the rows that were sent, and return what became of them.

    A certificate must name the person or agency of its row, lead to a trusted authority, be for signatures,
    and keep to CER-05. With one bad row nothing is taken, unless `accept_good_rows`. The same list again
    changes nothing. Where the unit is an office of ours and the person works there, the certificate is on
    record as issued from now on. History: `registration:certificates-taken` or
    `registration:certificates-refused`.
    """
    for one in certificates:  # Bytes before rows; what nobody names is never believed.
        store_content(one.facts.der, "application/pkix-cert")
    with services().database.transaction() as session:
        round_row = hold_round(session, code)
        found = match(rows, certificates, _wanted(session, code))
        fit, unfit = _check_each(session, found)
        reasons = (*found.reasons, *unfit)
        facts: dict[str, Json] = {"good": len(fit), "bad": len({r.row for r in reasons})}
        if reasons and not (accept_good_rows and fit):
            tell(session, round_row, event="registration:certificates-refused", by=by, facts=facts)
            return IssuedOutcome(
                matched=0, before=0, on_record=0, reasons=reasons, spare=found.spare, kept=False
            )
        fresh = [(target, one) for _, target, one in fit if target.has is None]
        on_record = sum(_keep(session, target, one, by=by) for target, one in fresh)
        facts["certificates"] = [*sorted(one.facts.sha256 for _, one in fresh)]
        tell(session, round_row, event="registration:certificates-taken", by=by, facts=facts)
        return IssuedOutcome(
            matched=len(fresh),
            before=len(fit) - len(fresh),
            on_record=on_record,
            reasons=reasons,
            spare=found.spare,
            kept=True,
        )


def _wanted(session: Session, code: str) -> list[Wanted]:
    """Return the rows of a round, and the certificates that they have."""
    query = (
        select(IssuedRow.entry, IssuedRow.sha256)
        .join(EntryRow, col(EntryRow.id) == IssuedRow.entry)
        .where(EntryRow.round == code)
    )
    has = dict(session.exec(query).all())
    return [
        Wanted(
            entry=entry.id or 0,
            name=content.content["name"],
            identity=content.identity,
            email=content.email,
            state=State(entry.state),
            has=has.get(entry.id or 0),
        )
        for entry, content in current_rows(session, code)
        if content.live
    ]


def _check_each(
    session: Session, found: Matched
) -> tuple[list[tuple[int, Wanted, IssuedFile]], list[Reason]]:
    """Return the pairs whose certificate may be taken, and the reasons of the others (CER-05, CER-10, PKI-05)."""
    from infra.pdf.signing import check_certificate  # noqa: PLC0415  Loads pyHanko.

    parts, rules, moment = services(), policy(), now(session)
    fit, unfit = [], []
    for number, target, one in found.pairs:
        try:
            if target.has is None:
                check_use(one.facts, rules)
                check_validity(one.facts, rules, moment, renewed=False)
                check_certificate(one.facts.der, anchors=parts.anchors, chain=parts.chain, at=moment)
                _must_be_nobody_else_s(session, target, one)
                holder = _holder(session, target)
                if holder is not None:
                    check_subject(one.facts, holder, rules)
                    must_be_of(session.get(CertificateRow, one.facts.sha256), holder)
        except Forbidden as error:
            unfit.append(because(number, HEADINGS["serial"][0], "unfit", why=error.message))
        else:
            fit.append((number, target, one))
    return fit, unfit


def _must_be_nobody_else_s(session: Session, target: Wanted, one: IssuedFile) -> None:
    """Refuse a certificate that a row of any round has already."""
    other = session.exec(select(IssuedRow.entry).where(IssuedRow.sha256 == one.facts.sha256)).first()
    if other is not None and other != target.entry:
        raise Forbidden(
            f"row {other} has this certificate already.",
            rule="CER-10",
            way_out="A certificate belongs to one row.",
        )


def _keep(session: Session, target: Wanted, one: IssuedFile, *, by: Actor) -> bool:
    """Write that a row has its certificate; return whether it is on record for somebody of our offices too."""
    entry = session.get_one(EntryRow, target.entry)
    check_move(State(entry.state), State.ISSUED)
    entry.state, entry.changed_at = State.ISSUED, now(session)
    session.add(entry)
    session.add(
        IssuedRow(
            entry=target.entry,
            sha256=one.facts.sha256,
            serial=one.facts.serial,
            key=content_key(one.facts.sha256),
            not_before=one.facts.not_before,
            not_after=one.facts.not_after,
            matched_at=entry.changed_at,
        )
    )
    holder = _holder(session, target)
    if holder is not None:
        issue_to(session, holder, one.facts, by=by)
    return holder is not None


def _holder(session: Session, target: Wanted) -> Holder | None:
    """Return whose certificate it is at one of our offices: the unit must be one, and the person known there."""
    entry = session.get_one(EntryRow, target.entry)
    if session.get(OfficeRow, entry.unit) is None:
        return None
    office = office_of(session, entry.unit)
    if entry.subject == "organisation":
        if target.identity != office.code:
            return None
        return Holder(office=office.code, staff="", name=office.unit, unit=office.unit)
    person = session.exec(
        select(PersonRow).where(PersonRow.office == office.code, PersonRow.identity == target.identity)
    ).first()
    if person is None:
        return None
    return Holder(
        office=office.code, staff=person.staff, name=person.name, unit=office.unit, identity=person.identity
    )
