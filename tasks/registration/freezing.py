"""The bytes of a list: its workbook, and its page with empty signature fields, fixed before anybody signs."""

from __future__ import annotations

from datetime import date

from sqlmodel import Session

from infra.database import now
from infra.errors import Forbidden
from infra.history import Json
from infra.object_store import Stored
from infra.pdf.fields import place_fields
from infra.services import services
from tasks.dossier.calendar import local
from tasks.dossier.looking import office_of
from tasks.dossier.moves import SYSTEM
from tasks.dossier.papers import store_content
from tasks.forms.heads import letterhead_of
from tasks.forms.values import Signatory
from tasks.registration.authorising import ask_official
from tasks.registration.entries import current_rows
from tasks.registration.lifecycle import State
from tasks.registration.lists import digest_of, is_signed, keep_paper, list_of, newest_paper, rows_of_list
from tasks.registration.printing import ConsolidatedList, list_fields, list_pdf, list_workbook
from tasks.registration.rounds import forms_of, hold_round, look_round, round_of, tell, units_of
from tasks.registration.tables import ListRow, PaperRow, RoundRow


def freeze_list(code: str, ordinal: int) -> PaperRow:
    """
    Return the page of a list as it will be signed today, and make it and its workbook where they are not there.

    A page that nobody has signed is made anew under its number when its day is over, a row was taken off, or its
    official signs in another capacity now; one that is signed stays. Raises `NoAuthority` when the official may
    not sign it now.
    Doing it again on the same day changes nothing. History: `registration:list-frozen`.
    """
    with services().database.transaction() as session:
        round_row = look_round(session, code)
        one = list_of(session, code, ordinal)
        today = local(now(session)).date()
        paper = newest_paper(session, code, ordinal, "frozen")
        rows = digest_of(session, rows_of_list(session, code, ordinal, State.CONSOLIDATED))
        if paper is not None and is_signed(session, paper):
            return paper
        signatory = _signatory(session, round_row, one)
        facts = {"lines": list(signatory.title_lines), "official": one.official} if signatory else {}
        if paper is not None and (paper.for_day, paper.rows_sha256, paper.facts) == (today, rows, facts):
            return paper
        revision = paper.revision + 1 if paper else 0
        made = _made(session, round_row, one, today, signatory)
        blank = PaperRow(
            round=code,
            list_ordinal=ordinal,
            kind="frozen",
            revision=revision,
            sha256="",
            key="",
            size=0,
            for_day=today,
            rows_sha256=rows,
            facts=facts,
            made_at=now(session),
        )
    workbook = store_content(list_workbook(made), _XLSX)
    page = store_content(place_fields(list_pdf(made), list_fields(made)), "application/pdf")
    return _keep(blank, workbook, page)


_XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"


def _keep(blank: PaperRow, workbook: Stored, page: Stored) -> PaperRow:
    """Say what the stored bytes are; of two that made them at once, both made the same."""
    with services().database.transaction() as session:
        round_row = hold_round(session, blank.round)
        newest = newest_paper(session, blank.round, blank.list_ordinal, "frozen")
        if newest is not None and newest.revision >= blank.revision:
            return newest
        keep_paper(session, PaperRow(**{**blank.model_dump(), "kind": "workbook"}), workbook)
        kept = keep_paper(session, blank, page)
        facts: dict[str, Json] = {
            "list": kept.list_ordinal,
            "doc": {"sha256": page.sha256, "size": page.size},
            "workbook": {"sha256": workbook.sha256, "size": workbook.size},
            "for_day": kept.for_day.isoformat(),
            "rows_sha256": kept.rows_sha256,
        }
        tell(session, round_row, event="registration:list-frozen", by=SYSTEM, facts=facts)
        return kept


def _made(
    session: Session, round_row: RoundRow, one: ListRow, today: date, signatory: Signatory | None
) -> ConsolidatedList:
    """Return a list as it is to be printed."""
    office = office_of(session, round_row.office)
    subject = "individual" if one.subject == "individual" else "organisation"
    rows = [
        (entry, person)
        for entry, person in current_rows(session, round_row.code, subject=subject)
        if entry.list_ordinal == one.ordinal and entry.state != State.REJECTED
    ]
    if not rows:
        raise Forbidden(
            f"list {one.ordinal} of {round_row.code} has no row any more.",
            rule="CER-15",
            way_out="Consolidate again; its rows were rejected or erased.",
        )
    return ConsolidatedList(
        data=round_of(round_row),
        forms=forms_of(round_row),
        subject=subject,  # type: ignore[arg-type]
        number=one.number,
        day=today,
        head=letterhead_of(office),
        signatory=signatory,
        seal_diameter_mm=office.seal.diameter_mm,
        groups=[
            (unit.name, [dict(person.content) for entry, person in rows if entry.unit == unit.code])
            for unit in units_of(session, round_row.code)
            if any(entry.unit == unit.code for entry, _ in rows)
        ],
    )


def _signatory(session: Session, round_row: RoundRow, one: ListRow) -> Signatory | None:
    """Return the signature block of a list: that of the official it is addressed to, or none (SIG-16)."""
    if one.official is None:
        return None
    decision = ask_official(session, round_of(round_row), one.official).or_refuse()
    officer = office_of(session, round_row.office).officer(one.official, "official")
    return Signatory(title_lines=decision.lines, full_name=officer.name)
