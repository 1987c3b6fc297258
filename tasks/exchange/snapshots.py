"""
A report on the exchange as it was counted once, and the agency's signature under it, given once (REP-04, SIG-16).

Of a period that is over there is one snapshot: who asks again gets what was counted first, and the same signed file.
Of a period that goes on there is one for each state of its figures. Both lie in the work store under write-once
names, so that of two who ask at the same time one wins.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import date, datetime

import rfc8785

from infra.database import now
from infra.errors import Broken
from infra.history import Json
from infra.history.recording import entries, record
from infra.pdf.checking import check_signed
from infra.pdf.signing import check_certificate, sign_field
from infra.services import services
from tasks.dossier.calendar import local
from tasks.dossier.looking import office_of
from tasks.dossier.moves import Actor
from tasks.dossier.papers import sha256_of
from tasks.exchange.reporting import Line, Report, draw_up, report_pdf
from tasks.forms.landscape import FIELD
from tasks.signing.authorising import authorise_agency_alone, same_authority
from tasks.signing.keys import seal_of
from tasks.signing.once import alone_at


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """A report and when it was counted; `name` is what it and its signed file are stored under."""

    name: str
    report: Report
    made_at: datetime


def snapshot(office: str, first: date, last: date) -> Snapshot:
    """
    Return the report of a period as it was counted first after its end, or now while the period goes on.

    Refuses a period that ends before it begins. Repeating gives the same; history: nothing, for nothing is changed.
    """
    parts = services()
    name = f"exchange/report/{office}/{first}_{last}"
    with parts.database.transaction() as session:
        moment = now(session)
        over = last < local(moment).date()
        kept = _kept(name) if over else None
        report = draw_up(session, office, first, last) if kept is None else None
    if report is not None:
        said = _said(report)
        if not over:
            name = f"{name}-{sha256_of(rfc8785.dumps(said))[:32]}"
        content = rfc8785.dumps({**said, "made_at": moment.isoformat()})
        _, kept = parts.work.put_first(f"{name}.json", content, content_type="application/json")
    assert kept is not None
    return _read(name, kept)


def _kept(name: str) -> bytes | None:
    """Return a snapshot that was kept before."""
    if services().work.find(f"{name}.json") is None:
        return None
    return services().work.get(f"{name}.json")


def _said(report: Report) -> dict[str, Json]:
    """Return a report's figures as they are kept."""
    return {
        "office": report.office,
        "first": report.first.isoformat(),
        "last": report.last.isoformat(),
        "lines": [asdict(one) for one in report.lines],
        "missing": list(report.missing),
        "wrong": list(report.wrong),
    }


def _read(name: str, content: bytes) -> Snapshot:
    """Return a snapshot from what was kept."""
    said = json.loads(content)
    report = Report(
        office=said["office"],
        first=date.fromisoformat(said["first"]),
        last=date.fromisoformat(said["last"]),
        lines=tuple(Line(**one) for one in said["lines"]),
        missing=tuple(said["missing"]),
        wrong=tuple(said["wrong"]),
    )
    return Snapshot(name=name, report=report, made_at=datetime.fromisoformat(said["made_at"]))


def signed_report(found: Snapshot, *, by: Actor) -> bytes:
    """
    Return a snapshot as a PDF that the agency has signed (SIG-16); the token is asked the first time only.

    The first time it needs the machine of the agency's token, later none. The intent is an entry of the history
    before the token is asked, and so is what came of it. Raises `Forbidden`, `Unavailable`, and `Broken` when what
    is stored is not what was signed.
    """
    with alone_at(found.name, f"the report {found.name}"):
        kept = _signed_before(found, by)
        return kept if kept is not None else _signed_now(found, by)


def _signed_before(found: Snapshot, by: Actor) -> bytes | None:
    """Return the signed file that was kept, after a look whether it is the one that the history names."""
    work = services().work
    if work.find(f"{found.name}.pdf") is None:
        return None
    kept = work.get(f"{found.name}.pdf")
    with services().database.transaction() as session:
        told = [json.loads(one.content) for one in entries(session, found.name)]
    digests = [one["doc"]["sha256"] for one in told if one["event"] == "exchange:report-signed"]
    if not digests:
        # Whoever stored it died before it could say so.
        _tell(found, by, "signed", {"doc": {"sha256": sha256_of(kept), "size": len(kept)}})
    elif sha256_of(kept) not in digests:
        raise Broken(f"{found.name}.pdf in the work store is not what was signed")
    return kept


def _signed_now(found: Snapshot, by: Actor) -> bytes:
    """Sign a snapshot, keep the file, and return it."""
    parts, office_code = services(), found.report.office
    signer = seal_of(office_code)
    with parts.database.transaction() as session:
        office = office_of(session, office_code)
        decision = authorise_agency_alone(session, office, signer, what="exchange")
        at = now(session)
        check_certificate(signer.token.certificate, anchors=parts.anchors, chain=parts.chain, at=at)
    page = report_pdf(found.report, office, found.made_at)
    about: dict[str, Json] = {"page": sha256_of(page)}
    _tell(found, by, "intended", {**about, "authority": decision.facts()})
    before = signer.token.calls
    try:
        signed = sign_field(
            page, field=FIELD, token=signer.token, image=signer.image, at=local(at), certify=True,
            name=None, location=office.place, reason=None, chain=parts.chain,
        )  # fmt: skip
        check_signed(
            page, signed, field=FIELD, certificate=signer.token.certificate, anchors=parts.anchors,
            chain=parts.chain, at=parts.clock.now(),
        )  # fmt: skip
        with parts.database.transaction() as session:
            # The moment has passed since the intent: the certificate or the keeper may have ended.
            again = authorise_agency_alone(session, office, signer, what="exchange")
        same_authority(decision, again, "the report")
    except Exception as error:
        called = signer.token.calls > before
        _tell(found, by, "failed", {**about, "cause": type(error).__name__, "called": called})
        raise
    _, kept = parts.work.put_first(f"{found.name}.pdf", signed, content_type="application/pdf")
    _tell(found, by, "signed", {**about, "doc": {"sha256": sha256_of(kept), "size": len(kept)}})
    return kept


def _tell(found: Snapshot, by: Actor, what: str, facts: Mapping[str, Json]) -> None:
    """Write an entry about a report."""
    about: dict[str, Json] = {
        "event": f"exchange:report-{what}",
        "actor": by.facts(),
        "office": found.report.office,
        "first": found.report.first.isoformat(),
        "last": found.report.last.isoformat(),
    }
    with services().database.transaction() as session:
        record(session, found.name, {**about, **facts})
