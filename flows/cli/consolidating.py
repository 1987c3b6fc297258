"""Commands about the lists of a registration round: consolidate, export, sign, seal, send."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from flows.cli.pins import PinFd, PinFile, ask_pin
from flows.cli.printing import AsJson, say, show, table
from flows.cli.registering import AcceptGood, Reasons, must_be_kept, say_reasons
from flows.cli.rounds import Kind, actor_of, content_of, registration_app, subject_of
from infra.services import services
from infra.sheets import read_rows
from tasks.registration import lists, rounds

Ordinal = Annotated[int, typer.Argument(metavar="LIST", help="Which list of the round, counted from 1.")]


@registration_app.command("consolidate")
def consolidate(
    code: str,
    number: Annotated[str, typer.Option("--number", help="Number and notation of the list: 12/DS-UBND.")],
    kind: Kind = "individual",
    official: Annotated[str, typer.Option("--official", help="Who signs it (default: who acts).")] = "",
    as_json: AsJson = False,
) -> None:
    """Put every confirmed row on a new numbered list, and fix its workbook and its page."""
    from tasks.registration.freezing import freeze_list

    actor = actor_of(code, "consolidate")
    with services().database.transaction() as session:
        alone = rounds.round_of(rounds.look_round(session, code)).signed_by == "seal"
    signatory = official if alone else official or actor.staff
    made = lists.consolidate(code, subject_of(kind), number, official=signatory, by=actor)
    page = freeze_list(code, made.ordinal)
    value = {
        "round": code,
        "list": made.ordinal,
        "rows": made.rows,
        "waiting": made.waiting,
        "sha256": page.sha256,
    }
    left = ", ".join(f"{count} {state}" for state, count in made.waiting.items())
    text = f"{code} list {made.ordinal}  {made.rows} rows, page {page.sha256}"
    show(value, as_json=as_json, text=f"{text}; not on it: {left}" if left else text)


@registration_app.command("lists")
def show_lists(code: str, as_json: AsJson = False) -> None:
    """Say how each list of a round stands: rows, how far it is signed, whether it was sent."""
    actor_of(code, "lists")
    found = lists.lists_status(code)
    if as_json:
        show(found, as_json=True, text="")
        return
    shown = [
        (
            one.ordinal,
            one.subject,
            one.number,
            ", ".join(f"{n} {s}" for s, n in one.rows.items()),
            one.page,
            one.sent_with,
        )
        for one in found
    ]
    table(code, ("list", "for", "number", "rows", "page", "sent with"), shown)


@registration_app.command("export")
def export(
    code: str,
    ordinal: Ordinal,
    page: Annotated[
        Path | None, typer.Option("--page", help="Write the page (PDF), as far as it is signed.")
    ] = None,
    workbook: Annotated[Path | None, typer.Option("--workbook", help="Write the workbook (.xlsx).")] = None,
    as_json: AsJson = False,
) -> None:
    """Write a list's page and workbook; who took them is in the history."""
    from tasks.registration.freezing import freeze_list

    actor = actor_of(code, "export")
    freeze_list(code, ordinal)
    written = []
    for kind, path in (("page", page), ("workbook", workbook)):
        if path is not None:
            content, digest = lists.export(code, ordinal, kind, by=actor)
            path.write_bytes(content)
            written.append({"kind": kind, "path": str(path), "sha256": digest})
    text = "\n".join(f"{one['path']}  {one['sha256']}" for one in written) or "name --page or --workbook"
    show(written, as_json=as_json, text=text)


@registration_app.command("sign")
def sign(
    code: str,
    ordinal: Ordinal,
    sha256: Annotated[
        str, typer.Option("--digest", help="The page that you reviewed, as “export” printed it.")
    ],
    pin_fd: PinFd = None,
    pin_file: PinFile = None,
    as_json: AsJson = False,
) -> None:
    """Sign the page of a list that you reviewed, with your own token."""
    from tasks.registration.sealing import sign_list_page
    from tasks.signing.keys import official_key, types_on_a_pad

    actor = actor_of(code, "sign")
    on_pad = types_on_a_pad(actor.office, actor.staff)
    pin = None if on_pad else ask_pin(pin_fd, pin_file)
    if on_pad:
        print("Type the PIN on the token's own pad.", file=sys.stderr)
    with official_key(actor.office, actor.staff, pin) as key:
        done = sign_list_page(code, ordinal, key, expected_sha256=sha256)
    text = f"{code} list {ordinal}  {'signed' if done else 'was signed before'}"
    show({"round": code, "list": ordinal, "signed": done}, as_json=as_json, text=text)


@registration_app.command("take-over")
def take_over(code: str, ordinal: Ordinal, as_json: AsJson = False) -> None:
    """Address a list that nobody has signed to you; its page is made anew under its number."""
    from tasks.registration.freezing import freeze_list

    lists.take_over(code, ordinal, by=actor_of(code, "take-over"))
    page = freeze_list(code, ordinal)
    value = {"round": code, "list": ordinal, "sha256": page.sha256}
    show(value, as_json=as_json, text=f"{code} list {ordinal}  is yours to sign, page {page.sha256}")


@registration_app.command("seal")
def seal(code: str, ordinal: Ordinal, as_json: AsJson = False) -> None:
    """Give a list the agency's signature, on the machine that holds its token."""
    from tasks.registration.sealing import sign_list_page
    from tasks.signing.keys import seal_of

    with services().database.transaction() as session:
        office = rounds.look_round(session, code).office
    done = sign_list_page(code, ordinal, seal_of(office))
    text = f"{code} list {ordinal}  {'sealed' if done else 'was sealed before'}"
    show({"round": code, "list": ordinal, "sealed": done}, as_json=as_json, text=text)


@registration_app.command("send")
def send(
    code: str,
    ordinal: Ordinal,
    document: Annotated[
        str, typer.Option("--document", help="Number of the letter that the list goes with.")
    ],
    as_json: AsJson = False,
) -> None:
    """Write down that a sealed list went to the provider."""
    count = lists.send(code, ordinal, document, by=actor_of(code, "send"))
    say_sent = (
        f"{code} list {ordinal}  {count} rows sent" if count else f"{code} list {ordinal}  was sent before"
    )
    if as_json:
        show({"round": code, "list": ordinal, "sent": count}, as_json=True, text="")
    else:
        say(say_sent)


@registration_app.command("issued")
def issued(
    code: str,
    file: Annotated[
        Path, typer.Argument(help="The provider's list: serial numbers with identities or mailboxes.")
    ],
    certificates: Annotated[
        Path, typer.Option("--certificates", help="Folder or ZIP file with the certificates.")
    ],
    accept_good_rows: AcceptGood = False,
    reasons: Reasons = None,
    as_json: AsJson = False,
) -> None:
    """Match the provider's certificates with the rows that were sent; each mismatch has its reason."""
    from tasks.registration.certificate_files import read_certificates
    from tasks.registration.issuing import take_issued

    by = actor_of(code, "issued")
    rows, found = read_rows(content_of(file)), read_certificates(certificates)
    taken = take_issued(code, rows, found, by=by, accept_good_rows=accept_good_rows)
    say_reasons(taken.reasons, reasons, as_json=as_json)
    if as_json:
        show(taken, as_json=True, text="")
    else:
        for serial in taken.spare:
            say(f"  the certificate {serial} stands in no row of the list")
        if taken.kept:
            say(
                f"{code}  {taken.matched} certificates matched, {taken.before} were before, "
                f"{taken.refused} refused; {taken.on_record} on record at our offices"
            )
    must_be_kept(taken.kept, taken.refused)
