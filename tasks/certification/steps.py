"""Making the certified copy: its number, its attestation page, its signature fields, its frozen bytes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime

from sqlmodel import Session, col, select

from infra.database import now
from infra.errors import Broken
from infra.history import Json
from infra.object_store import Stored
from infra.pdf.fields import place_fields
from infra.pdf.pages import PageImage
from infra.services import services
from tasks.authority.records import OnRecord, read_records, records_once
from tasks.authority.values import NoAuthority
from tasks.certification.addressing import Addressed, NobodyMaySign, address_fields, as_printed
from tasks.dossier.calendar import local
from tasks.dossier.lifecycle import PAUSED, Stage, Standing
from tasks.dossier.looking import hold, look, office_of, original_of, originals_of, procedure_of
from tasks.dossier.moves import Telling, follow, tell
from tasks.dossier.offices import OfficeData
from tasks.dossier.papers import Paper, all_of, keep, read, store_content
from tasks.dossier.procedures import SignatureStep
from tasks.dossier.register import line_of, number_text, reserve
from tasks.dossier.routes import address, addressed_to, approvals, frozen_of, route_of
from tasks.dossier.tables import DocumentRow, OriginalRow
from tasks.dossier.waiting import frozen_at
from tasks.forms import ECopy, Signatory, e_copy
from tasks.forms.appearances import Profile, inscription, profile_on
from tasks.forms.heads import letterhead_of
from tasks.forms.placing import place_copy_fields

#: Standings in which a copy may be (re-)issued: nobody has signed yet.
_OPEN = (Standing.RECEIVED, Standing.CERTIFIED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Issue:
    """What one issue of a copy is made of, fixed in one transaction."""

    code: str
    ordinal: int
    revision: int
    number: str
    moment: datetime
    kind: str
    office: OfficeData
    officials: tuple[Addressed, ...]  # in order of signing
    route: tuple[SignatureStep, ...]
    profile: Profile
    form: str
    pages: tuple[DocumentRow, ...]

    @property
    def day(self) -> date:
        """The day that the page says it is signed on."""
        return local(self.moment).date()


@dataclass(frozen=True, slots=True, kw_only=True)
class Copy:
    """A copy that is set and stored, and not yet anybody's."""

    issue: Issue
    stored: Stored
    #: What is to be known of its page: to whom its fields are addressed, and in which words.
    facts: Mapping[str, object]


def originals_to_number(code: str) -> list[int]:
    """Return the originals that need a certification number."""
    with services().database.transaction() as session:
        dossier = look(session, code)
        if dossier.stage != Stage.RECEIVED or procedure_of(session, dossier).kind != "certification":
            return []
        return [o.ordinal for o in originals_of(session, code) if o.standing == Standing.RECEIVED]


def reserve_number(code: str, ordinal: int) -> str | None:
    """
    Reserve an original's number in the yearly register and return its text; again returns the same one.

    `None` when the original was declined or its dossier stopped since somebody looked: no number is
    reserved that nobody will certify.
    """
    with services().database.transaction() as session:
        dossier = hold(session, code)
        procedure = procedure_of(session, dossier)
        if procedure.register_ is None:
            raise Broken(f"procedure {procedure.code} certifies but has no register")
        known = _line_text(session, code, ordinal)
        if known:
            return known
        if (
            dossier.stage != Stage.RECEIVED
            or original_of(session, code, ordinal).standing != Standing.RECEIVED
        ):
            return None
        line = reserve(session, dossier.office, procedure.register_.symbol, code, ordinal)
        text = number_text(line.number, line.book, line.year, line.symbol)
        facts: dict[str, Json] = {"original": ordinal, "number": text}
        tell(session, dossier, Telling(event="number:reserved", facts=facts))
        return text


def issue_copy(code: str, ordinal: int, *, official: str | None = None) -> bool:
    """
    Make and freeze the copy of an original, dated today; return whether new bytes were frozen.

    A copy that was frozen for today, for the same officials, is left as it is. One of an earlier day is
    issued anew under its number, because the date on the page is the day of signing.
    """
    issue = begin_copy(code, ordinal, official)
    return issue is not None and freeze_copy(set_copy(issue))


def begin_copy(code: str, ordinal: int, official: str | None = None) -> Issue | None:
    """Return what an original's copy is to be made of now; `None` when today's for this official is there already."""
    with services().database.transaction() as session:
        dossier, original = look(session, code), original_of(session, code, ordinal)
        if original.standing not in _OPEN:
            return None
        moment = now(session)
        office = office_of(session, dossier.office)
        procedure = procedure_of(session, dossier)
        frozen = frozen_of(session, original)
        if approvals(session, original):
            return None  # What somebody has signed is never issued anew.
        route = route_of(session, original, procedure)
        chosen = address_fields(session, original, office, procedure, route, official)
        if (
            original.standing == Standing.CERTIFIED
            and frozen is not None
            and frozen.for_day == local(moment).date()
            and addressed_to(frozen) == tuple((one.field, one.officer.staff) for one in chosen)
            and frozen.facts.get("lines") == {one.field: list(one.decision.lines) for one in chosen}
        ):
            return None
        number = _line_text(session, code, ordinal)
        if number is None:
            raise Broken(f"{code}/{ordinal} has no certification number")
        return Issue(
            code=code,
            ordinal=ordinal,
            revision=original.revision,
            number=number,
            moment=moment,
            kind=original.kind,
            office=office,
            officials=chosen,
            route=route,
            profile=profile_on(local(moment).date()),
            form=procedure.copy_form,
            pages=tuple(all_of(session, code, ordinal, "page")),
        )


def set_copy(issue: Issue) -> Copy:
    """Set a copy with every signature field of its route, and store it; nothing names it yet."""
    look = issue.profile.look(issue.route[-1].shows)
    text = inscription(look, issue.office, form=issue.form, number=issue.number)
    pages = tuple(PageImage(content=read(row), source=row.kind, **row.facts) for row in issue.pages)
    placed = place_copy_fields(issue.route, pages[0], issue.office, text, local(issue.moment))
    copy = ECopy(
        head=letterhead_of(issue.office),
        pages=pages,
        kind=issue.kind,
        number=issue.number,
        date=datetime.combine(issue.day, datetime.min.time(), tzinfo=local(issue.moment).tzinfo),
        signatories=tuple(
            Signatory(title_lines=one.decision.lines, full_name=one.officer.name) for one in issue.officials
        ),
        code=issue.code,
        verify_url=services().settings.verify_url,
        attested=placed.attested,
        marked_by_agency=placed.marked_by_agency,
    )
    width, height = placed.room
    facts = address([(one.field, one.officer.staff) for one in issue.officials])
    facts["lines"] = {one.field: list(one.decision.lines) for one in issue.officials}
    facts["look"] = {"profile": issue.profile.code, "width": width, "height": height}
    stored = store_content(place_fields(e_copy(copy), placed.fields), "application/pdf")
    return Copy(issue=issue, stored=stored, facts=facts)


def freeze_copy(copy: Copy) -> bool:
    """
    Say what is to be signed; return `False` if the original was declined or issued while the page was set.

    Saying it again changes nothing: the revision is another one then.
    """
    issue, stored = copy.issue, copy.stored
    with services().database.transaction() as session:
        dossier, original = hold(session, issue.code), original_of(session, issue.code, issue.ordinal)
        if original.revision != issue.revision or original.standing not in _OPEN:
            return False
        original.revision += 1
        # A route without officials waits for the agency at once, and its page names no day.
        original.standing = Standing.CERTIFIED if issue.officials else Standing.APPROVED
        session.add(original)
        paper = Paper(
            dossier=issue.code,
            kind="frozen",
            ordinal=issue.ordinal,
            revision=original.revision,
            for_day=issue.day if issue.officials else None,
            facts=copy.facts,
        )
        keep(session, paper, stored)
        facts: dict[str, Json] = {
            "original": issue.ordinal,
            "doc": {"sha256": stored.sha256, "size": stored.size, "sig_count": 0},
            "for_day": issue.day.isoformat(),
        }
        follow(session, dossier, Telling(event="copy:frozen", facts=facts))
    return True


def stale_copies(office: str, official: str) -> list[tuple[str, int]]:
    """
    Return the originals whose frozen page must be issued anew before an official's list is written.

    Those addressed to the official that are dated another day than today; and those of anybody at the
    office who may not sign them any more, or not in the capacity that they print.
    """
    with services().database.transaction() as session:
        data, read = office_of(session, office), read_records(session, office)
        today = local(read.moment).date()
        return [
            (row.dossier, row.ordinal)
            for row in frozen_at(session, office)
            if row.for_day is not None
            and (
                (row.official == official and row.for_day != today)
                or not _stands(session, row.dossier, row.ordinal, data, read)
            )
        ]


def renew_copy(code: str, ordinal: int, official: str) -> bool:
    """
    Issue a stale copy anew, addressed to this official, else to whoever may sign it now.

    Returns whether it was; a page that nobody may sign stays as it is, and its dossier says so.
    """
    try:
        return issue_copy(code, ordinal, official=official)
    except NoAuthority:
        pass
    try:
        return issue_copy(code, ordinal)
    except NobodyMaySign:
        return False


def _stands(session: Session, code: str, ordinal: int, office: OfficeData, read: OnRecord) -> bool:
    """Tell whether a frozen page that nobody has signed is still addressed to people who may sign it so."""
    original = original_of(session, code, ordinal)
    frozen = frozen_of(session, original)
    if frozen is None or approvals(session, original):
        return True
    procedure = procedure_of(session, look(session, code))
    return as_printed(session, original, office, procedure, frozen, read=read)


def copies_waiting(office: str, code: str) -> list[int]:
    """Return the originals of one dossier whose frozen copy waits for an official, whoever it is addressed to."""
    with services().database.transaction() as session:
        look(session, code)
        return [row.ordinal for row in frozen_at(session, office, code=code)]


def not_signed_yet(codes: Sequence[str]) -> set[str]:
    """Return those of some dossiers with an original whose copy waits for a signature."""
    with services().database.transaction() as session:
        waiting = select(OriginalRow.dossier).where(
            col(OriginalRow.dossier).in_(list(codes)), OriginalRow.standing == Standing.CERTIFIED
        )
        return set(session.exec(waiting))


def copies_to_issue_anew(code: str) -> list[int]:
    """
    Return the originals whose frozen copy nobody has signed, and nobody can sign as it is.

    It has a field that its route has no more, or names somebody who may not sign it now, or not so.
    """
    with services().database.transaction() as session:
        dossier = look(session, code)
        waiting = [o for o in originals_of(session, code) if o.standing == Standing.CERTIFIED]
        if dossier.stage in PAUSED or not waiting:
            return []
        procedure, office = procedure_of(session, dossier), office_of(session, dossier.office)
        read = records_once(session, dossier.office)
        return [
            original.ordinal
            for original in waiting
            if (frozen := frozen_of(session, original)) is not None
            and not approvals(session, original)
            and (
                [field for field, _ in addressed_to(frozen)]
                != [s.field for s in route_of(session, original, procedure) if s.role == "official"]
                or not as_printed(session, original, office, procedure, frozen, read=read)
            )
        ]


def _line_text(session: Session, code: str, ordinal: int) -> str | None:
    """Return an original's number in full, if it has one that is not void."""
    line = line_of(session, code, ordinal)
    if line is None or line.state == "void":
        return None
    return number_text(line.number, line.book, line.year, line.symbol)
