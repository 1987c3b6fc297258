"""Commands about posts and mandates: who holds which, who may sign for whom, and whether somebody may sign now."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated, Any

import typer

from flows.cli import app
from flows.cli.printing import AsJson, say, show, table
from infra.database import now
from infra.services import services
from tasks.authority.acts import end_post, give_mandate, give_post, revoke_mandate
from tasks.authority.records import OnRecord, may_sign, read_records
from tasks.authority.values import Basis, Decision, Holding, Mandate, last_second, wall
from tasks.certificates.leaving import compare_with_people
from tasks.dossier.calendar import local
from tasks.dossier.looking import office_of, procedure_on
from tasks.dossier.posts import first_moment, moment_after
from tasks.people.acting import acting
from tasks.people.desk import logged_in

post_app = typer.Typer(help="Posts: who holds which, from when to when.", no_args_is_help=True)
mandate_app = typer.Typer(help="Mandates: who may sign for whom, and on what it rests.", no_args_is_help=True)
app.add_typer(post_app, name="post")
app.add_typer(mandate_app, name="mandate")

Office = Annotated[str, typer.Option("--office", help="Code of the office (default: yours).")]
Since = Annotated[
    str, typer.Option("--since", help="First day or second: 2027-01-01, or 2027-01-01T08:00:00.")
]
Until = Annotated[str, typer.Option("--until", help="Last day or second, which still counts.")]
By = Annotated[str, typer.Option("--decision", help="Number of the decision.")]


@post_app.command("list")
def list_posts(
    office: Office = "",
    everything: Annotated[bool, typer.Option("--all", help="Also who held a post before.")] = False,
    as_json: AsJson = False,
) -> None:
    """List an office's posts and who holds them."""
    read = _read("post list", office)
    rows: list[dict[str, Any]] = []
    for post in read.records.posts:
        held = [h for h in read.records.holdings if h.post == post.code]
        shown = held if everything else [h for h in held if h.before is None or h.before > read.moment]
        base = {"post": post.code, "title": post.title, "rank": post.rank, "under": post.under}
        rows += [{**base, **_holding(h)} for h in shown] or [{**base, "staff": "", "said": "nobody"}]
    if as_json:
        show(rows, as_json=True, text="")
        return
    cells = [
        (r.get("holding"), r["title"], r["staff"], r.get("manner"), r["said"], r.get("decision"))
        for r in rows
    ]
    table("Posts", ("number", "post", "who", "how", "when", "decision"), cells)


@post_app.command("give")
def give(
    post: Annotated[str, typer.Argument(help="Code of the post.")],
    staff: str,
    since: Since,
    decision: By,
    until: Until = "",
    manner: Annotated[
        str, typer.Option("--manner", help="appointed, acting (Q.) or in-charge.")
    ] = "appointed",
    office: Office = "",
    as_json: AsJson = False,
) -> None:
    """Put on record that somebody holds a post, by which decision."""
    me = logged_in()
    if manner not in ("appointed", "acting", "in-charge"):
        raise typer.BadParameter("appointed, acting or in-charge", param_hint="--manner")
    with services().database.transaction() as session:
        by = acting(session, me, "post give", office=office or me.office)
        holding = Holding(
            id=0,
            post=post,
            staff=staff,
            manner=manner,  # type: ignore[arg-type]
            since=first_moment(_when(since)),
            before=moment_after(_when(until)) if until else None,
            decision=decision,
        )
        number = give_post(session, office or me.office, holding, by=by)
    show(
        {"holding": number}, as_json=as_json, text=f"{staff} holds {post} {holding.said()}: holding {number}"
    )


@post_app.command("end")
def end(
    holding: Annotated[int, typer.Argument(help="Its number, as “hoso post list” shows it.")],
    decision: By,
    until: Annotated[str, typer.Option("--until", help="Last day or second; without it: now.")] = "",
    office: Office = "",
    as_json: AsJson = False,
) -> None:
    """Put on record that somebody leaves a post; what was signed before stays explained."""
    me = logged_in()
    with services().database.transaction() as session:
        by = acting(session, me, "post end", office=office or me.office)
        last = _last(until)
        ends = end_post(session, office or me.office, holding, decision, by=by, last=last)
        compare_with_people(session, office or me.office, by=by)
    show(
        {"holding": holding, "ends_before": ends},
        as_json=as_json,
        text=f"holding {holding} ends at {last_second(ends)}",
    )


@mandate_app.command("list")
def list_mandates(
    office: Office = "",
    everything: Annotated[bool, typer.Option("--all", help="Also those that have ended.")] = False,
    as_json: AsJson = False,
) -> None:
    """List an office's mandates with their numbers."""
    read = _read("mandate list", office)
    shown = [m for m in read.records.mandates if everything or m.before is None or m.before > read.moment]
    if as_json:
        show([_mandate(m) for m in shown], as_json=True, text="")
        return
    rows = [
        (m.id, m.capacity, m.giver, m.to or m.to_post, ", ".join(m.covers), m.said(), m.basis.said())
        for m in shown
    ]
    table("Mandates", ("number", "capacity", "from", "to", "for", "when", "rests on"), rows)


@mandate_app.command("give")
def give_a_mandate(
    capacity: Annotated[str, typer.Argument(help="own, KT., TL. or TUQ.")],
    giver: Annotated[str, typer.Option("--from", help="Staff code of who gives it.")],
    giver_post: Annotated[str, typer.Option("--post", help="The post that it is given from.")],
    covers: Annotated[
        list[str], typer.Option("--procedure", help="A procedure, or a kind of procedure; may be repeated.")
    ],
    since: Since,
    basis: Annotated[str, typer.Option("--basis", help="Number of the document.")],
    basis_kind: Annotated[str, typer.Option("--basis-kind", help="assignment, regulation or authorisation.")],
    basis_date: Annotated[str, typer.Option("--basis-date", help="Day of the document.")],
    issuer: Annotated[str, typer.Option("--issuer", help="Who issued it.")],
    to: Annotated[str, typer.Option("--to", help="Staff code of who gets it.")] = "",
    to_post: Annotated[str, typer.Option("--to-post", help="Or the post whose holder gets it.")] = "",
    limits: Annotated[str, typer.Option("--limits", help="What TUQ. is limited to.")] = "",
    until: Until = "",
    office: Office = "",
    as_json: AsJson = False,
) -> None:
    """Put a mandate on record: who may sign what for whom, by which document, until when."""
    me = logged_in()
    if capacity not in ("own", "KT.", "TL.", "TUQ."):
        raise typer.BadParameter(
            "own, KT., TL. or TUQ.; TM. and Q. follow from the post", param_hint="CAPACITY"
        )
    if bool(to) == bool(to_post):
        raise typer.BadParameter("name either --to or --to-post", param_hint="--to")
    mandate = Mandate(
        id=0,
        capacity=capacity,
        giver_post=giver_post,
        giver=giver,
        to=to,
        to_post=to_post,
        covers=tuple(covers),
        limits=limits,
        basis=Basis(kind=basis_kind, number=basis, date=_day(basis_date), issuer=issuer),
        since=first_moment(_when(since)),
        before=moment_after(_when(until)) if until else None,
    )
    with services().database.transaction() as session:
        by = acting(session, me, "mandate give", office=office or me.office)
        number = give_mandate(session, office or me.office, mandate, by=by)
    text = f"{to or to_post} may sign {capacity} for {giver} {mandate.said()}: mandate {number}"
    show({"mandate": number}, as_json=as_json, text=text)


@mandate_app.command("revoke")
def revoke(
    mandate: Annotated[int, typer.Argument(help="Its number, as “hoso mandate list” shows it.")],
    decision: By,
    until: Annotated[str, typer.Option("--until", help="Last day or second; without it: now.")] = "",
    office: Office = "",
    as_json: AsJson = False,
) -> None:
    """Put on record that a mandate ends, at once or at a second to come."""
    me = logged_in()
    with services().database.transaction() as session:
        by = acting(session, me, "mandate revoke", office=office or me.office)
        last = _last(until)
        ends = revoke_mandate(session, office or me.office, mandate, decision, by=by, last=last)
    show(
        {"mandate": mandate, "ends_before": ends},
        as_json=as_json,
        text=f"mandate {mandate} ends at {last_second(ends)}",
    )


@mandate_app.command("check")
def check(
    staff: str,
    procedure: Annotated[str, typer.Option("--procedure", help="Code of the procedure.")],
    at: Annotated[str, typer.Option("--at", help="At that second instead of now: 2026-12-31T17:00:00.")] = "",
    office: Office = "",
    as_json: AsJson = False,
) -> None:
    """Say what somebody may sign of a procedure, in which capacity and on what it rests, or why not."""
    me = logged_in()
    with services().database.transaction() as session:
        here = office or me.office
        acting(session, me, "mandate check", office=here)
        moment = first_moment(_when(at)) if at else now(session)
        definition = procedure_on(session, procedure, local(moment).date())
        steps = [step for step in definition.signature_steps if step.role == "official"]
        found = [
            (step.field, may_sign(session, office_of(session, here), staff, definition, step, moment))
            for step in steps
        ]
    if as_json:
        show(
            [{"field": field, "allowed": one.allowed, **one.kept()} for field, one in found],
            as_json=True,
            text="",
        )
    for field, one in [] if as_json else found:
        say(f"{field}: {_answer(one)}")
    if not found:
        show([], as_json=as_json, text=f"no official signs a dossier of {procedure}")
    if found and not any(one.allowed for _, one in found):
        raise typer.Exit(1)


def _answer(one: Decision) -> str:
    """Return a decision in a sentence."""
    if not one.allowed:
        return f"no: {one.message} [{one.rule}] {one.way_out}"
    rests = one.basis or one.holding_decision
    giver = f", from {one.giver}" if one.giver else ""
    warned = "".join(f"; {warning}" for warning in one.warnings)
    return f"yes, as {' / '.join(one.lines)} [{one.rule}], by {rests}{giver}{warned}"


def _read(act: str, office: str) -> OnRecord:
    """Return what an office has on record, to who may look at it."""
    me = logged_in()
    with services().database.transaction() as session:
        here = office or me.office
        acting(session, me, act, office=here)
        return read_records(session, here)


def _holding(held: Holding) -> dict[str, Any]:
    """Return a holding as it is printed."""
    return {
        "holding": held.id,
        "staff": held.staff,
        "manner": held.manner,
        "said": held.said(),
        "since": wall(held.since),
        "until": last_second(held.before) if held.before else None,
        "decision": held.decision,
        "ended_by": held.ended_by,
    }


def _mandate(given: Mandate) -> dict[str, Any]:
    """Return a mandate as it is printed."""
    return {
        "mandate": given.id,
        "capacity": given.capacity,
        "giver": given.giver,
        "giver_post": given.giver_post,
        "to": given.to,
        "to_post": given.to_post,
        "covers": given.covers,
        "limits": given.limits,
        "since": wall(given.since),
        "until": last_second(given.before) if given.before else None,
        "basis": given.basis.said(),
        "ended_by": given.ended_by,
    }


def _last(said: str) -> datetime | None:
    """Return the last second of an end, if one is named."""
    if not said:
        return None
    named = _when(said)
    return (
        named
        if isinstance(named, datetime)
        else datetime.combine(named, datetime.max.time().replace(microsecond=0))
    )


def _when(said: str) -> date | datetime:
    """Return a day or a moment as it was typed."""
    try:
        return date.fromisoformat(said) if len(said) <= 10 else datetime.fromisoformat(said)
    except ValueError as error:
        raise typer.BadParameter(
            f"“{said}” is neither a day (2027-01-01) nor a moment (2027-01-01T08:00:00)"
        ) from error


def _day(said: str) -> date:
    """Return a day as it was typed."""
    found = _when(said)
    return found.date() if isinstance(found, datetime) else found
