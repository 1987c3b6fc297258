"""Released results of dossiers go to other agencies: by hand, or by themselves where the procedure says so (EXC-03)."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

from sqlmodel import select

from infra.database import now
from infra.edxml.values import Entry, Letter, Response, document_id
from infra.errors import Forbidden
from infra.object_store import Stored
from infra.services import services
from tasks.dossier.calendar import local
from tasks.dossier.lifecycle import Standing
from tasks.dossier.looking import look, office_of, original_of, originals_of, procedure_of
from tasks.dossier.moves import SYSTEM, Actor
from tasks.dossier.papers import fetch_file
from tasks.dossier.register import number_of
from tasks.dossier.releases import released
from tasks.exchange import books
from tasks.exchange.judging import judge
from tasks.exchange.organisations import organ_of_row, resolve
from tasks.exchange.outgoing import Outgoing, write_down
from tasks.exchange.tables import ExchangeDocumentRow
from tasks.people.acting import acting


def send_result(code: str, ordinal: int, to: Sequence[str], *, by: Actor) -> str:
    """
    Queue a dossier's released result for some agencies; return the code of the document.

    The result goes as it was released, with the note that belongs to it. Sending it again to the same agencies
    returns the code that it has.
    """
    with services().database.transaction() as session:
        dossier = look(session, code)
        office = office_of(session, dossier.office)
        if by != SYSTEM:
            by = acting(session, by, "exchange send", office=office.code, procedure=dossier.procedure)
        original = original_of(session, code, ordinal)
        if original.standing != Standing.VALID:
            raise Forbidden(
                f"original {ordinal} of {code} is {original.standing}; only a released result is sent.",
                rule="EXC-02",
                way_out="Wait until it is signed and released; “hoso show” says what it waits for.",
            )
        result = released(session, original)
        rows = [row for row in (result.document, result.note) if row is not None]
        number, notation = _number(number_of(session, code, ordinal) or f"{code}.{ordinal}/KQ")
        name = procedure_of(session, dossier).name
    with tempfile.TemporaryDirectory(prefix="hoso-send-") as folder:
        paths = [fetch_file(row.key, row.sha256, Path(folder) / str(n)) for n, row in enumerate(rows)]
        judged = [judge("result.pdf", path, row.sha256) for path, row in zip(paths, rows, strict=True)]
    entries = tuple(
        Entry(content_id=f"{n}-{row.sha256[:32]}", name=f"{code}-{ordinal}-{n}.pdf", media_type="application/pdf")
        for n, row in enumerate(rows, start=1)
    )  # fmt: skip
    with services().database.transaction() as session:
        today = local(now(session)).date()
        signed_at = judged[0].signed_at or now(session)
        day = local(signed_at).date()
        letter = Letter(
            document_id=document_id(office.code, day, number, notation),
            sender=books.organ_of(office),
            to=tuple(organ_of_row(resolve(session, one, today)) for one in to),
            number=number,
            notation=notation,
            place=office.place,
            day=day,
            type_code="0",
            type_name="Kết quả giải quyết thủ tục hành chính",
            subject=f"Kết quả giải quyết thủ tục hành chính: {name}, hồ sơ {code}"[:500],
            answers=tuple(Response(organ=one, code=code) for one in to),
            attachments=entries,
        )
        files = [
            (e, Stored(key=r.key, version_id="", sha256=r.sha256, size=r.size), j.kept())
            for e, r, j in zip(entries, rows, judged, strict=True)
        ]
        outgoing = Outgoing(
            letter=letter, files=files, signed_at=signed_at, signed=True, dossier=code, ordinal=ordinal, by=by
        )
        return write_down(session, office, outgoing)


def results_to_send(code: str) -> list[int]:
    """Return the released originals that a dossier's procedure sends to other agencies and that were not sent yet."""
    with services().database.transaction() as session:
        dossier = look(session, code)
        if not procedure_of(session, dossier).exchanged_with:
            return []
        query = select(ExchangeDocumentRow.ordinal).where(
            ExchangeDocumentRow.dossier == code, ExchangeDocumentRow.direction == "out"
        )
        known = set(session.exec(query))
        valid = [o.ordinal for o in originals_of(session, code) if o.standing == Standing.VALID]
        return [ordinal for ordinal in valid if ordinal not in known]


def send_released(code: str, ordinal: int) -> str:
    """Queue a released result for the agencies that the procedure names; doing it again changes nothing (EXC-03)."""
    with services().database.transaction() as session:
        to = procedure_of(session, look(session, code)).exchanged_with
    return send_result(code, ordinal, to, by=SYSTEM)


def _number(written: str) -> tuple[str, str]:
    """Return number and notation of a result: `01/2026-SCT/BS` is number 01 with all that follows."""
    number, _, notation = written.replace(",", ".").partition("/")
    return number, notation or "KQ"
