"""Commands about certificates and the tokens that hold their keys."""

from __future__ import annotations

from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from flows.cli import app
from flows.cli.pins import PinFd, PinFile, ask_pin
from flows.cli.printing import AsJson, show, table
from infra.clock import HANOI
from infra.errors import Forbidden
from infra.services import services
from tasks.certificates import acts, listing
from tasks.certificates.acts import Cause
from tasks.certificates.records import find_certificate
from tasks.certificates.registering import Presented, register
from tasks.certificates.tables import CertificateRow
from tasks.certificates.tokens import hand_over_token
from tasks.people.acting import scope
from tasks.people.desk import logged_in

certificate_app = typer.Typer(help="Certificates: from the request to the end.", no_args_is_help=True)
token_app = typer.Typer(help="Tokens: the devices that hold keys.", no_args_is_help=True)
app.add_typer(certificate_app, name="certificate")
app.add_typer(token_app, name="token")

Office = Annotated[str, typer.Option("--office", help="Code of the office.")]
For = Annotated[
    str, typer.Option("--for", metavar="STAFF|seal", help="Whose: a staff code, or the agency's.")
]
File = Annotated[Path, typer.Option("--certificate", help="The certificate (PEM or DER).")]
Letter = Annotated[str, typer.Option("--document", help="Number of the letter.")]
Named = Annotated[
    str, typer.Argument(metavar="CERTIFICATE", help="Serial number, or SHA-256 or its beginning.")
]
Reason = Annotated[Path, typer.Option("--why-file", help="File that says why, in words.")]


@certificate_app.command("request")
def ask(office: Office, holder: For, document: Letter, as_json: AsJson = False) -> None:
    """Record that a first certificate was asked for."""
    number = acts.request(office, holder, document=document, by=logged_in())
    _say_request(number, as_json=as_json)


@certificate_app.command()
def renew(named: Named, document: Letter, as_json: AsJson = False) -> None:
    """Record that a renewal was asked for: once, with 60 days left at least."""
    _say_request(acts.renew(named, document=document, by=logged_in()), as_json=as_json)


@certificate_app.command()
def change(named: Named, document: Letter, as_json: AsJson = False) -> None:
    """Record that other contents were asked for: agency, name, address, e-mail."""
    _say_request(acts.change(named, document=document, by=logged_in()), as_json=as_json)


@certificate_app.command()
def reject(number: int, why: Reason, as_json: AsJson = False) -> None:
    """Record that a request was refused."""
    acts.reject(number, _words(why), by=logged_in())
    show({"request": number}, as_json=as_json, text=f"request {number}  rejected")


@certificate_app.command()
def issue(number: int, file: File, as_json: AsJson = False) -> None:
    """Record the certificate that the provider made for a request; it signs nothing yet."""
    sha256 = acts.issue(number, _content(file), by=logged_in())
    _say(sha256, as_json=as_json)


@certificate_app.command("hand-over")
def hand_over(
    named: Named,
    minutes: Annotated[str, typer.Option("--minutes", help="Number of the minutes.")],
    as_json: AsJson = False,
) -> None:
    """Record that the holder has the device, by its minutes."""
    acts.hand_over(named, minutes=minutes, by=logged_in())
    _say(named, as_json=as_json)


@certificate_app.command("register")
def register_certificate(
    office: Office,
    holder: For,
    file: File,
    uri: Annotated[
        str, typer.Option("--uri", help="RFC 7512 name of the key: pkcs11:token=…;serial=…;id=%01.")
    ],
    image: Annotated[
        Path | None, typer.Option("--image", help="Picture of the signature (PNG); default: the one before.")
    ] = None,
    later: Annotated[
        bool, typer.Option("--later", help="Test and bind the key only; “activate” lets it sign.")
    ] = False,
    pin_fd: PinFd = None,
    pin_file: PinFile = None,
    as_json: AsJson = False,
) -> None:
    """Prove that a certificate's key is on its token, check both, and let the certificate sign."""
    from tasks.evidence.standing import doubt_about

    presented = Presented(
        office=office,
        holder=holder,
        certificate=_content(file),
        uri=uri,
        image=_content(image) if image else None,
    )
    row = register(presented, partial(ask_pin, pin_fd, pin_file), doubt_about, by=logged_in(), later=later)
    _say(row.sha256, as_json=as_json)


@certificate_app.command()
def activate(
    named: Named,
    decision: Annotated[
        str, typer.Option("--decision", help="Number of the decision that keeps one which was to be revoked.")
    ] = "",
    as_json: AsJson = False,
) -> None:
    """Let a tested certificate sign, or one that was suspended; the one before it hands on."""
    acts.activate(named, by=logged_in(), decision=decision)
    _say(named, as_json=as_json)


@certificate_app.command()
def suspend(named: Named, why: Reason, as_json: AsJson = False) -> None:
    """Let a certificate sign nothing until somebody decides."""
    acts.suspend(named, _words(why), by=logged_in())
    _say(named, as_json=as_json)


@certificate_app.command()
def revoke(
    named: Named,
    cause: Annotated[Cause, typer.Option("--cause", help="Why (CER-08).")],
    document: Letter,
    as_of: Annotated[
        str, typer.Option("--as-of", help="Moment from which it is not valid: 2026-11-22T08:30 (Hà Nội).")
    ] = "",
    as_json: AsJson = False,
) -> None:
    """Record that the provider revoked a certificate, as of a moment (default: now)."""
    when = moment_of(as_of) if as_of else services().clock.now()
    acts.revoke(named, cause, as_of=when, document=document, by=logged_in())
    _say(named, as_json=as_json)


@certificate_app.command("list")
def list_certificates(
    office: Annotated[str | None, typer.Option("--office", help="Only this office.")] = None,
    expiring: Annotated[
        bool, typer.Option("--expiring", help="Only those that end within the days of the first warning.")
    ] = False,
    every: Annotated[bool, typer.Option("--all", help="Also those whose life is over.")] = False,
    as_json: AsJson = False,
) -> None:
    """List certificates, open requests, and what must be revoked by when."""
    me = logged_in()
    with services().database.transaction() as session:
        where = scope(session, me, "certificate list", office=office)
        found = listing.certificates(session, where, expiring=expiring, every=every)
        asked = [] if expiring else listing.requests(session, where)
        tasks = [] if expiring else listing.tasks(session, where)
    if as_json:
        show({"certificates": found, "requests": asked, "to_revoke": tasks}, as_json=True, text="")
        return
    rows = [(c.office, c.holder, c.serial, c.state, c.not_after, c.days_left, c.device) for c in found]
    table("Certificates", ("office", "of", "serial number", "state", "ends", "days left", "token"), rows)
    if asked:
        shown = [(r.number, r.office, r.holder, r.kind, r.document, r.requested_at) for r in asked]
        table("Requests without an answer", ("number", "office", "of", "kind", "letter", "since"), shown)
    if tasks:
        due = [(t.office, t.holder, t.serial, t.cause, t.due_at) for t in tasks]
        table("To be revoked", ("office", "of", "serial number", "cause", "due"), due)


@certificate_app.command("show")
def show_certificate(named: Named, as_json: AsJson = False) -> None:
    """Print one certificate: what it says, where its key is, and its life."""
    described = listing.describe(named, by=logged_in())
    if as_json:
        show(described, as_json=True, text="")
        return
    life = described.pop("history")
    table("Certificate", ("what", "says"), list(described.items()))
    table(
        "Life", ("position", "when", "what", "by"), [(e["seq"], e["at"], e["event"], e["by"]) for e in life]
    )


@token_app.command("list")
def list_tokens(
    office: Annotated[str | None, typer.Option("--office", help="Only this office.")] = None,
    as_json: AsJson = False,
) -> None:
    """List the devices: where each one is, and who has it."""
    me = logged_in()
    with services().database.transaction() as session:
        rows = listing.devices(session, scope(session, me, "token list", office=office))
    if as_json:
        show(rows, as_json=True, text="")
    else:
        columns = ("serial number", "label", "model", "office", "keeper", "place")
        table("Tokens", columns, [(d.serial, d.label, d.model, d.office, d.keeper, d.place) for d in rows])


@token_app.command("hand-over")
def hand_over_device(
    serial: str,
    to: Annotated[str, typer.Option("--to", help="Staff code of who gets it.")],
    approved_by: Annotated[
        str, typer.Option("--approved-by", help="Staff code of who approved it in writing.")
    ],
    minutes: Annotated[str, typer.Option("--minutes", help="Number of the minutes.")],
    place: Annotated[str, typer.Option("--place", help="Where it is kept from now on.")] = "",
    as_json: AsJson = False,
) -> None:
    """Record that a device goes to somebody, with approval and minutes."""
    done = hand_over_token(
        serial, to=to, place=place, approved_by=approved_by, minutes=minutes, by=logged_in()
    )
    value = {"serial": serial, "keeper": done.keeper, "place": done.place}
    show(value, as_json=as_json, text=f"{serial}  kept by {done.keeper}")


def _row(named: str) -> CertificateRow:
    """Return a certificate's record."""
    with services().database.transaction() as session:
        return find_certificate(session, named)


def _say(named: str, *, as_json: bool) -> None:
    """Say where a certificate stands."""
    row = _row(named)
    value = {
        "office": row.office,
        "holder": row.holder or "seal",
        "serial": row.serial,
        "sha256": row.sha256,
        "state": str(row.state),
        "uri": row.token_uri,
        "not_after": row.not_after,
    }
    show(value, as_json=as_json, text=f"{row.serial}  {row.holder or 'seal'} of {row.office}  {row.state}")


def _say_request(number: int, *, as_json: bool) -> None:
    """Say which request it is."""
    show({"request": number}, as_json=as_json, text=f"request {number}  requested")


def _content(file: Path) -> bytes:
    """Return a file's content; refuses one that cannot be read."""
    try:
        return file.read_bytes()
    except OSError as error:
        raise Forbidden(
            f"the file {file} cannot be read: {error.strerror}.",
            rule="CER-10",
            way_out="Give the path of a file that you can read.",
        ) from error


def _words(file: Path) -> str:
    """Return a reason from its file; refuses an empty one."""
    words = _content(file).decode("utf-8", "replace").strip()
    if not words:
        raise Forbidden(f"the file {file} says nothing.", rule="CER-08", way_out="Write the reason into it.")
    return words


def moment_of(said: str) -> datetime:
    """Return the moment that a text names, Hà Nội time where it names no zone; refuses what is no moment."""
    try:
        moment = datetime.fromisoformat(said)
    except ValueError as error:
        raise Forbidden(
            f"“{said}” is no moment.", rule="CER-08", way_out="Write it as 2026-11-22T08:30, Hà Nội time."
        ) from error
    return moment if moment.tzinfo else moment.replace(tzinfo=HANOI)
