"""Commands about documents that go to other agencies and come from them."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Annotated

import typer
import yaml

from flows.cli import app
from flows.cli.printing import AsJson, say, show, table
from flows.cli.private import Why, words
from infra.errors import Forbidden
from infra.services import services
from tasks.exchange import books, handling, looking
from tasks.people.acting import acting, scope
from tasks.people.desk import logged_in

exchange_app = typer.Typer(
    help="Documents exchanged with other agencies over the axis: send, receive, answer, recall, report.",
    no_args_is_help=True,
)
app.add_typer(exchange_app, name="exchange")


@exchange_app.command("send")
def send(
    office: Annotated[str, typer.Argument(help="The office that sends; with --result the dossier's code.")],
    letter: Annotated[
        str,
        typer.Option("--letter", metavar="FILE", help="YAML with the letter's data; - for standard input."),
    ] = "",
    file: Annotated[
        list[Path] | None, typer.Option("--file", help="The signed document first, then what belongs to it.")
    ] = None,
    result: Annotated[int, typer.Option("--result", help="Send this original's released result.")] = 0,
    to: Annotated[list[str] | None, typer.Option("--to", help="With --result: the agencies.")] = None,
    as_json: AsJson = False,
) -> None:
    """Send a letter with its files, or a dossier's result, to other agencies."""
    from tasks.exchange.results_out import send_result
    from tasks.exchange.sending import FileGiven, read_letter, send_letter

    me = logged_in()
    if result:
        code = send_result(office, result, to or (), by=me)
    else:
        said = read_letter(_yaml(words(letter, "The letter's data")))
        with tempfile.TemporaryDirectory(prefix="hoso-send-") as folder:
            copies = [_copy(path, Path(folder) / str(n)) for n, path in enumerate(file or ())]
            files = [
                FileGiven(name=one.name, path=copy) for one, copy in zip(file or (), copies, strict=True)
            ]
            code = send_letter(office, said, files, by=me)
    show({"code": code}, as_json=as_json, text=f"{code}  is being sent")


def _yaml(text: str) -> object:
    """Return what a letter's file holds."""
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise Forbidden(
            "the letter's file is no YAML.", rule="EDX-08", way_out="docs/exchange.md shows a complete one."
        ) from error


def _copy(path: Path, copy: Path) -> Path:
    """Copy a file to where nobody changes it while it is looked at and sent; refuses one that is not there."""
    try:
        with path.open("rb") as source, copy.open("wb") as target:
            shutil.copyfileobj(source, target)
        return copy
    except OSError as error:
        raise Forbidden(
            f"{path} cannot be read.", rule="EDX-10", way_out="Give the path of a file that is there."
        ) from error


@exchange_app.command("show")
def show_document(code: str, as_json: AsJson = False) -> None:
    """Show one document: what it is, its files and verdicts, every status at every agency, every sending."""
    me = logged_in()
    with services().database.transaction() as session:
        row = books.look(session, code)
        acting(session, me, "exchange show", office=row.office)
        seen = looking.see(session, code)
    letter = books.letter_of(seen.document)
    if as_json:
        show(_as_data(seen), as_json=True, text="")
        return
    hidden = seen.document.state == "cancelled" and seen.document.direction == "in"
    say(f"{code}  {seen.waits_for}  {seen.document.number}/{seen.document.notation} of {seen.document.day}")
    say(f"from {seen.document.sender} to {', '.join(one.organ for one in seen.recipients)}")
    say(f"{seen.document.type_name}: {'(cancelled)' if hidden else letter.subject}")
    say(f"worth: {seen.document.legal_effect}; urgency {seen.document.priority}")
    if seen.document.attention:
        say(f"to be looked at: {seen.document.attention}", colour="yellow")
    table(
        "files",
        ("name", "size", "SHA-256", "signatures"),
        [(one.name, one.size, one.sha256, _verdict(one.verdict)) for one in seen.files],
    )
    statuses = [
        (one.organ, looking.status_name(one.code), one.sender, one.at, one.reason) for one in seen.statuses
    ]
    table("statuses", ("agency", "status", "said by", "at", "reason"), statuses)
    table(
        "packages",
        ("kind", "to", "state", "tries", "sent", "last answer"),
        [(m.kind, ", ".join(m.to), m.state, m.attempts, m.sent_at, m.last_answer) for m in seen.messages],
    )


def _verdict(verdict: dict[str, object]) -> str:
    """Return what the signatures of a file are worth, in a few words."""
    if not verdict.get("signed"):
        return "not signed"
    return "good, but weak (SHA-1)" if verdict.get("weak") else "good"


def _as_data(seen: looking.Seen) -> dict[str, object]:
    """Return a document as JSON; of a cancelled one its names and hashes."""
    document = seen.document.model_dump(exclude={"run_id", "shown", "letter"})
    hidden = seen.document.state == "cancelled" and seen.document.direction == "in"
    return {
        **document,
        "waits_for": seen.waits_for,
        "letter": None if hidden else seen.document.letter,
        "files": [one.model_dump(exclude={"document", "key"}) for one in seen.files],
        "recipients": [one.model_dump(exclude={"document"}) for one in seen.recipients],
        "statuses": [one.model_dump(exclude={"document", "id"}) for one in seen.statuses],
        "packages": [
            one.model_dump(include={"kind", "to", "state", "attempts", "sent_at", "last_answer", "sha256", "axis_id"})
            for one in seen.messages
        ],
    }  # fmt: skip


@exchange_app.command("inbox")
def inbox(
    office: Annotated[str, typer.Argument(help="One office; without it all that you may see.")] = "",
    sent: Annotated[bool, typer.Option("--sent", help="What was sent instead of what came.")] = False,
    all_: Annotated[bool, typer.Option("--all", help="Ended ones too.")] = False,
    aside: Annotated[
        bool, typer.Option("--aside", help="Packages kept aside, and what is wrong with them.")
    ] = False,
    dead: Annotated[bool, typer.Option("--dead", help="What could not be sent after five tries.")] = False,
    as_json: AsJson = False,
) -> None:
    """List what came from other agencies, or was sent to them, urgent and late ones first."""
    me = logged_in()
    with services().database.transaction() as session:
        where = scope(session, me, "exchange inbox", office=office or None)
        offices = [one for one in looking.offices_here() if where.allows(one, "*") and office in ("", one)]
        columns: tuple[str, ...]
        if aside:
            found = looking.set_aside(session, offices)
            columns = ("axis_id", "kind", "sender", "state", "arrived_at", "faults")
            rows = [{name: getattr(one, name) for name in columns} for one in found]
        elif dead:
            columns = ("document", "kind", "to", "attempts", "queued_at", "last_answer")
            rows = [{name: getattr(one, name) for name in columns} for one in looking.dead(session, offices)]
        else:
            columns = ("code", "agency", "number", "type_name", "priority", "waits_for", "due_at", "late")
            listed = looking.lines(session, offices, direction="out" if sent else "in", open_only=not all_)
            rows = [{name: getattr(one, name) for name in columns} for one in listed]
    if as_json:
        show(rows, as_json=True, text="")
    else:
        table("exchange", columns, [tuple(_cell(row[name]) for name in columns) for row in rows])


def _cell(value: object) -> object:
    """Return a cell; lists as their parts."""
    return "; ".join(map(str, value)) if isinstance(value, list) else value


@exchange_app.command("return")
def give_back(code: str, why: Why = "", as_json: AsJson = False) -> None:
    """Return an incoming document to its sender, with the reason (status 02)."""
    handling.give_back(code, words(why, "The reason, for the sender"), by=logged_in())
    show({"code": code, "status": "02"}, as_json=as_json, text=f"{code}  returned")


@exchange_app.command("progress")
def progress(code: str, status: str, as_json: AsJson = False) -> None:
    """Tell the sender how far the work on a document is: 04 assigned, 05 worked on, 06 done."""
    handling.progress(code, status, by=logged_in())
    show({"code": code, "status": status}, as_json=as_json, text=f"{code}  {looking.status_name(status)}")


@exchange_app.command("recall")
def recall(code: str, why: Why = "", as_json: AsJson = False) -> None:
    """Have a sent document back; what has not left yet is cancelled here."""
    said = handling.recall(code, words(why, "The reason, for the agencies that have it"), by=logged_in())
    text = "cancelled before it left" if said == "cancelled" else "the agencies are asked to give it back"
    show({"code": code, "recall": said}, as_json=as_json, text=f"{code}  {text}")


@exchange_app.command("confirm")
def confirm(
    code: str,
    refuse: Annotated[bool, typer.Option("--refuse", help="Keep it: status 16 with the reason.")] = False,
    why: Why = "",
    as_json: AsJson = False,
) -> None:
    """Decide about a registered document that its sender wants back: give it up (15), or keep it (16)."""
    me = logged_in()
    reason = words(why, "The reason, for the sender") if refuse else ""
    handling.decide(code, agree=not refuse, reason=reason, by=me)
    status = "16" if refuse else "15"
    show({"code": code, "status": status}, as_json=as_json, text=f"{code}  {looking.status_name(status)}")


@exchange_app.command("resend")
def resend(code: str, as_json: AsJson = False) -> None:
    """Send the dead letters of a document again, after somebody has looked at them."""
    count = handling.send_again(code, by=logged_in())
    show({"code": code, "packages": count}, as_json=as_json, text=f"{code}  {count} packages are sent again")
