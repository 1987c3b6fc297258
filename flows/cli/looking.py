"""Commands that only look: status for anybody, the life for the office, what waits for whom, results, register."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

import typer
from sqlmodel import Session, col, select

from flows.cli import app
from flows.cli.printing import AsJson, OfficeOption, readable, show, table
from flows.standing import waiting, waiting_of
from flows.timeline import life
from infra.services import services
from tasks.archival.tables import ArchivedObjectRow
from tasks.certification.tables import PaymentRow
from tasks.delivery.copies import copies_of
from tasks.delivery.legs import legs_of
from tasks.delivery.tables import PublicationRow
from tasks.dossier.calendar import local
from tasks.dossier.holds import hold_on
from tasks.dossier.looking import look, originals_of
from tasks.dossier.maintenance import maintenance_now
from tasks.dossier.moves import Actor, Telling, tell
from tasks.dossier.register import number_of
from tasks.dossier.releases import released
from tasks.dossier.tables import (
    ApplicantRow,
    CounterTaskRow,
    DocumentRow,
    DossierRow,
    NoticeRow,
    OriginalRow,
)
from tasks.dossier.waiting import open_dossiers
from tasks.issued.correcting import corrections_of
from tasks.issued.standing import change_of
from tasks.people.acting import Scope, acting_on, scope
from tasks.people.desk import logged_in
from tasks.signing.explaining import capacity_of
from tasks.signing.tables import SignatureRow


@app.command()
def status(
    code: Annotated[
        str, typer.Argument(metavar="[CODE]", help="A dossier; without it the whole system.")
    ] = "",
    as_json: AsJson = False,
) -> None:
    """Say where a dossier stands and when it is due, or whether the system works; without personal data."""
    with services().database.transaction() as session:
        upkeep = maintenance_now(session)
        portal_code = look(session, code).portal_code if code else 0
    until = upkeep.until_at if upkeep else None
    said = (
        f"maintenance until about {local(until):%Y-%m-%d %H:%M}: {upkeep.reason}" if until and upkeep else ""
    )
    if not code:
        show({"maintenance_until": until}, as_json=as_json, text=said or "the system works")
        return
    waits = waiting(code)
    value = {
        "code": code,
        "stage": str(waits.stage),
        "waits_for": waits.name,
        "due_at": waits.due_at,
        "portal_code": portal_code,
        "maintenance_until": until,
    }
    due = f", due {local(waits.due_at):%Y-%m-%d %H:%M}" if waits.due_at and not waits.ended else ""
    show(value, as_json=as_json, text=f"{code}  {waits.name}{due}" + (f"\n{said}" if said else ""))


@app.command("show")
def show_life(
    code: str,
    applicant: Annotated[
        bool, typer.Option("--applicant", help="Also who asks; that you looked is in the history.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Print the life of a dossier: originals, signatures, legs, archive, and every history entry."""
    me = logged_in()
    with services().database.transaction() as session:
        acting_on(session, me, "show", look(session, code))
    described = describe(code)
    if applicant:
        described["applicant"] = _applicant(code, me)
    if as_json:
        show(described, as_json=True, text="")
        return
    show({}, as_json=False, text=f"{code}  {described['waits_for']} – {described['why']}")
    if applicant:
        table("Applicant", ("what", "value"), list(described["applicant"].items()))
    originals = [
        (
            o["ordinal"],
            o["kind"],
            o["pages"],
            o["standing"],
            o["number"],
            o["level"],
            (o["sha256"] or "")[:16],
        )
        for o in described["originals"]
    ]
    columns = ("original", "kind", "pages", "standing", "number", "level", "SHA-256")
    table("Originals", columns, originals)
    signatures = [
        (o["ordinal"], s["field"], s["signer"], s["capacity"], s["level"], s["time"])
        for o in described["originals"]
        for s in o["signatures"]
    ]
    if signatures:
        table("Signatures", ("original", "field", "signer", "capacity", "level", "time"), signatures)
    if described["legs"]:
        leg_rows = [
            (leg["channel"], leg["state"], leg["attempts"], leg["answer"]) for leg in described["legs"]
        ]
        table("Return", ("channel", "state", "tries", "answer"), leg_rows)
    if described["copies"]:
        copy_rows = [
            (c["at"], c["original"], c["part"], c["channel"], c["to"], c["outcome"], c["sha256"][:16])
            for c in described["copies"]
        ]
        columns = ("when", "original", "part", "channel", "to", "outcome", "SHA-256")
        table("Copies sent", columns, copy_rows)
    for said in after_issue(described):
        show({}, as_json=False, text=said)
    if described["counter_tasks"]:
        task_rows = [(t["kind"], t["reason"], t["ended_at"]) for t in described["counter_tasks"]]
        table("At the counter", ("task", "reason", "ended"), task_rows)
    if described["objects"]:
        object_rows = [
            (o["key"], o["mode"], o["retain_until"], o["version_id"], _kept(o)) for o in described["objects"]
        ]
        table("Archive", ("key", "mode", "kept until", "version", "now"), object_rows)
    if described["hold"]:
        held = described["hold"]
        table("Held", ("since", "by", "why"), [(held["since"], held["by"], held["reason"])])
    entry_rows = [(e["seq"], _when(e), e["event"], _who(e), e["to"]) for e in described["history"]]
    table("History", ("position", "when", "what", "by", "stage"), entry_rows)


def after_issue(described: dict[str, Any]) -> list[str]:
    """Return in sentences what became of a dossier's results after their issue, and what it corrects itself."""
    said = [
        f"original {o['ordinal']}: {o['standing']} since {readable(o['stood_until'])}"
        + (f", in its place stands {o['replaced_by']}" if o["replaced_by"] else "")
        for o in described["originals"]
        if o["stood_until"]
    ]
    for request in described["corrections"]:
        what = f"correction {request['id']} ({request['state']}) of {request['dossier']}/{request['ordinal']}"
        said.append(what + (f", made in {request['new_dossier']}" if request["new_dossier"] else ""))
    return said


def _kept(stored: dict[str, Any]) -> str:
    """Return how an object of the archive stands: held, destroyed, or nothing to say."""
    if stored["destroyed_at"]:
        return f"destroyed {local(stored['destroyed_at']):%Y-%m-%d}"
    return "held" if stored["held"] else ""


def _applicant(code: str, me: Actor) -> dict[str, Any]:
    """Return who asks; the history says first that somebody looked."""
    with services().database.transaction() as session:
        dossier = look(session, code)
        reader = acting_on(session, me, "show --applicant", dossier)
        tell(session, dossier, Telling(event="applicant:read", by=reader))
    with services().database.transaction() as session:
        return session.get_one(ApplicantRow, code).model_dump(exclude={"dossier"})


def _when(entry: dict[str, Any]) -> str:
    """Return an entry's time as the clock on the wall showed it."""
    return f"{local(datetime.fromisoformat(entry['at'])):%Y-%m-%d %H:%M:%S}"


def _who(entry: dict[str, Any]) -> str:
    """Return an entry's actor by post."""
    return str(entry["actor"].get("post") or entry["actor"]["role"])


def describe(code: str) -> dict[str, Any]:
    """Return everything that is known of a dossier but who it is about."""
    history = life(code)
    with services().database.transaction() as session:
        dossier = look(session, code)
        waits = waiting_of(session, dossier)
        payment = session.get(PaymentRow, code)
        legs = legs_of(session, code)
        kept = hold_on(session, code)
        return {
            "code": code,
            "stage": str(dossier.stage),
            "waits_for": waits.name,
            "why": waits.why,
            "procedure": f"{dossier.procedure} v{dossier.procedure_version}",
            "office": dossier.office,
            "received_at": dossier.received_at,
            "due_at": dossier.due_at,
            "portal_code": dossier.portal_code,
            "fee": payment and {"amount": payment.amount, "paid": payment.paid, "paid_at": payment.paid_at},
            "run_id": dossier.run_id,
            "hold": kept and {"reason": kept.reason, "since": kept.placed_at, "by": kept.placed_by},
            "originals": [_original(session, o) for o in originals_of(session, code)],
            "legs": [
                {
                    "channel": leg.channel,
                    "state": leg.state,
                    "attempts": leg.attempts,
                    "answer": leg.last_answer,
                }
                for leg in legs
            ],
            "copies": [
                {
                    "original": c.ordinal,
                    "part": c.part,
                    "channel": c.channel,
                    "to": c.address_kind,
                    "outcome": c.outcome,
                    "sha256": c.sha256,
                    "at": c.at,
                }
                for c in copies_of(session, code)
            ],
            "corrections": [
                r.model_dump(exclude={"files", "decision", "reason"}) for r in corrections_of(session, code)
            ],
            "notices": [
                {"kind": n.kind, "original": n.ordinal, "state": n.state, "answer": n.last_answer}
                for n in session.exec(select(NoticeRow).where(NoticeRow.dossier == code))
            ],
            "counter_tasks": [
                {"kind": t.kind, "reason": t.reason, "ended_at": t.ended_at}
                for t in session.exec(select(CounterTaskRow).where(CounterTaskRow.dossier == code))
            ],
            "objects": [
                o.model_dump(
                    include={"key", "version_id", "sha256", "mode", "retain_until", "held", "destroyed_at"}
                )
                for o in session.exec(select(ArchivedObjectRow).where(ArchivedObjectRow.dossier == code))
            ],
            "history": history,
        }


def _original(session: Session, original: OriginalRow) -> dict[str, Any]:
    """Return what is known of one original."""
    change = change_of(session, original.dossier, original.ordinal)
    query = (
        select(DocumentRow)
        .where(
            DocumentRow.dossier == original.dossier,
            DocumentRow.ordinal == original.ordinal,
            col(DocumentRow.kind).in_(["frozen", "approved", "sealed", "lifted", "result"]),
        )
        .order_by(col(DocumentRow.id).desc())
    )
    document = session.exec(query).first()
    kept = select(SignatureRow).where(
        SignatureRow.dossier == original.dossier,
        SignatureRow.ordinal == original.ordinal,
        SignatureRow.revision == original.revision,
        col(SignatureRow.kept_at).is_not(None),
    )
    return {
        "ordinal": original.ordinal,
        "kind": original.kind,
        "pages": original.pages,
        "copies": original.copies,
        "fee": original.fee,
        "standing": str(original.standing),
        "stood_until": change.at if change else None,
        "replaced_by": change.replaced_by if change else None,
        "number": number_of(session, original.dossier, original.ordinal),
        "sha256": document.sha256 if document else None,
        "level": document.level if document else None,
        "signatures": [
            {
                "field": s.field,
                "signer": s.signer or "agency",
                "capacity": capacity_of(s),
                "role": s.role,
                "level": s.level,
                "time": s.signed_at,
            }
            for s in session.exec(kept.order_by(col(SignatureRow.kept_at)))
        ],
    }


@app.command("list")
def list_waiting(
    office: OfficeOption = None,
    state: Annotated[str | None, typer.Option("--state", help="Only what waits under this name.")] = None,
    as_json: AsJson = False,
) -> None:
    """Say what waits for whom, nearest due first."""
    me = logged_in()
    with services().database.transaction() as session:
        seen = scope(session, me, "list", office=office)
        theirs = [d for d in open_dossiers(session, office) if seen.allows(d.office, d.procedure)]
        rows = [waiting_of(session, dossier) for dossier in theirs]
        query = (
            select(CounterTaskRow)
            .join(DossierRow, col(DossierRow.code) == col(CounterTaskRow.dossier))
            .where(
                col(CounterTaskRow.ended_at).is_(None), seen.within(DossierRow.office, DossierRow.procedure)
            )
        )
        tasks = list(session.exec(query))
    rows = [row for row in rows if state is None or row.name == state]
    if as_json:
        show(
            [
                {"code": r.code, "waits_for": r.name, "whom": r.whom, "due_at": r.due_at, "office": r.office}
                for r in rows
            ],
            as_json=True,
            text="",
        )
        return
    table(
        "Waiting",
        ("dossier", "waits for", "whom", "due", "office"),
        [(r.code, r.name, r.whom, r.due_at, r.office) for r in rows],
    )
    if tasks:
        table("At the counter", ("dossier", "task", "reason"), [(t.dossier, t.kind, t.reason) for t in tasks])


@app.command()
def results(
    everything: Annotated[bool, typer.Option("--all", help="Also what is not published.")] = False,
    office: OfficeOption = None,
    as_json: AsJson = False,
) -> None:
    """List results by number, hash and standing: what is published, for anybody; or all that you may see."""
    me = logged_in() if everything else None
    with services().database.transaction() as session:
        if me is not None:
            found = _released(session, scope(session, me, "results", office=office))
        else:
            query = select(PublicationRow).order_by(col(PublicationRow.published_at))
            if office is not None:
                query = query.where(col(PublicationRow.dossier).startswith(f"{office}-", autoescape=True))
            published = session.exec(query)
            found = [(p.number, p.sha256, p.standing, p.dossier) for p in published]
    if as_json:
        keys = ("number", "sha256", "standing", "dossier")
        show([dict(zip(keys, row, strict=True)) for row in found], as_json=True, text="")
    else:
        table("Results", ("number", "SHA-256", "standing", "dossier"), found)


def _released(session: Session, seen: Scope) -> list[tuple[str, str, str, str]]:
    """Return every certified or returned document that a person may see: number, hash, standing, dossier."""
    query = (
        select(OriginalRow)
        .join(DossierRow, col(DossierRow.code) == col(OriginalRow.dossier))
        .where(OriginalRow.standing == "valid", seen.within(DossierRow.office, DossierRow.procedure))
        .order_by(col(OriginalRow.dossier), col(OriginalRow.ordinal))
    )
    found = [(original, released(session, original).document) for original in session.exec(query)]
    return [
        (number_of(session, o.dossier, o.ordinal) or o.dossier, d.sha256, str(o.standing), o.dossier)
        for o, d in sorted(found, key=lambda one: one[1].id or 0)
    ]
