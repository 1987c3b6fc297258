"""Commands at the counter: receive, take the fee, print the receipt."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from flows.cli import app
from flows.cli.booking import Channel, RequestId
from flows.cli.printing import AsJson, say, show
from flows.cli.private import Person, applicant, words
from infra.errors import Forbidden
from infra.services import services
from tasks.certification import examining, receiving
from tasks.certification.receiving import Receipt
from tasks.certification.scanning import Presented
from tasks.dossier.calendar import local
from tasks.dossier.looking import look
from tasks.dossier.moves import Actor
from tasks.dossier.opening import Opening
from tasks.dossier.tables import DossierRow
from tasks.people.desk import logged_in

#: Options that follow an original and speak of it: name → what follows: nothing, a number, a text.
_OF_AN_ORIGINAL = {
    "--pages": 1,
    "--copies": 1,
    "--compared": 1,
    "--foreign": 0,
    "--legalised": 0,
    "--exempt": 0,
    "--awaited": 0,
    "--number": 2,
}

_CONTEXT = {"allow_extra_args": True, "ignore_unknown_options": True}


@app.command(context_settings=_CONTEXT)
def receive(
    context: typer.Context,
    code: Annotated[str | None, typer.Argument(help="The dossier that was booked.")] = None,
    walk_in: Annotated[
        str | None, typer.Option("--walk-in", metavar="OFFICE", help="No appointment.")
    ] = None,
    procedure: Annotated[str, typer.Option("--procedure")] = "e-copy",
    person: Person = "",
    channel: Channel = [],  # noqa: B006  typer reads the default, nobody changes it
    confidential: Annotated[bool, typer.Option(help="The result is never published.")] = False,
    by_post: Annotated[bool, typer.Option("--by-post", help="The papers of a walk-in came by post.")] = False,
    shown: Annotated[list[str] | None, typer.Option("--shown", help="Checklist item that was shown.")] = None,
    kin_of: Annotated[list[str], typer.Option("--kin-of", help="Staff code of a declared relative.")] = [],  # noqa: B006
    paid: Annotated[
        str | None, typer.Option("--paid", metavar="RECEIPT", help="The fee was paid at once.")
    ] = None,
    extend: Annotated[
        int, typer.Option("--extend", metavar="DAYS", help="Extra working days (CERT-18).")
    ] = 0,
    agreed: Annotated[
        bool, typer.Option("--agreed", help="The applicant agreed to them in writing.")
    ] = False,
    request_id: RequestId = None,
    as_json: AsJson = False,
) -> None:
    """
    Receive originals: `hoso receive CODE --original KIND FILE… [--original KIND FILE…]`.

    Files are the pages, in order. After an original may follow --pages N (declared), --copies N,
    --compared N, --foreign, --legalised, --exempt; they speak of that original. --awaited without a file is
    another agency's result that is still to come. --attachment KIND FILE --number NUMBER is a file that
    belongs to the original before it.
    """
    me = logged_in()
    originals = list(_originals(_words(context, code if walk_in else None)))
    receipt = Receipt(
        checklist=frozenset(shown) if shown else None,
        kin_of=tuple(kin_of),
        paid=paid,
        extended_by=extend,
        agreed=agreed,
    )
    if walk_in is not None:
        opening = Opening(
            office=walk_in,
            procedure=procedure,
            applicant=applicant(person),
            channels=tuple(channel),
            confidential=confidential,
            by_post=by_post,
            request_id=request_id,
        )
        opened = receiving.receive_walk_in(opening, originals, receipt, by=me)
    elif code is not None:
        opened = receiving.receive(code, originals, receipt, by=me)
    else:
        raise Forbidden(
            "it is not said what is received.", rule="CERT-02", way_out="Name a dossier, or --walk-in OFFICE."
        )
    for warning in opened.warnings:
        say(f"Take care: {warning}.", colour="yellow") if not as_json else None
    _tell_received(opened.code, as_json=as_json)


def _words(context: typer.Context, first: str | None) -> list[str]:
    """Return the words that typer left over; with --walk-in the first of them may look like a code."""
    return ([first] if first else []) + list(context.args)


def _originals(words: Sequence[str]) -> Iterator[Presented]:
    """Yield the originals that the words name, each with its files read."""
    groups: list[list[str]] = []
    for word in words:
        if word in ("--original", "--attachment"):
            groups.append([word])
        elif groups:
            groups[-1].append(word)
        else:
            raise Forbidden(
                f"“{word}” does not belong to an original.",
                rule="CERT-02",
                way_out="Write --original KIND FILE… for each one.",
            )
    for group in groups:
        yield _presented(group)


def _presented(words: list[str]) -> Presented:
    """Return one original from its words: kind, files, and what is said about it."""
    said: dict[str, Any] = {"attached": words[0] == "--attachment"}
    plain: list[str] = []
    rest = iter(words[1:])
    for word in rest:
        if word in _OF_AN_ORIGINAL:
            said[word[2:]] = _value(word, rest)
        elif word.startswith("--"):
            raise Forbidden(
                f"{word} is not known here.",
                rule="CERT-02",
                way_out=f"After an original may follow {', '.join(_OF_AN_ORIGINAL)}.",
            )
        else:
            plain.append(word)
    if len(plain) < 2 and not (plain and said.get("awaited")):
        raise Forbidden(
            "an original needs a kind and at least one file.",
            rule="CERT-02",
            way_out="Write --original KIND FILE…, for example --original 'Bằng tốt nghiệp' scan.pdf.",
        )
    return Presented(kind=plain[0], files=tuple(_file(name) for name in plain[1:]), **said)


def _value(option: str, rest: Iterator[str]) -> int | str | bool:
    """Return what is said by an option of an original: a number, a text, or that it is so."""
    kind = _OF_AN_ORIGINAL[option]
    if kind == 0:
        return True
    return _count(option, next(rest, "")) if kind == 1 else next(rest, "")


def _count(option: str, word: str) -> int:
    """Return the number after an option."""
    if not word.isdecimal():
        raise Forbidden(
            f"{option} needs a number, not “{word}”.", rule="CERT-16", way_out=f"Write {option} 2."
        )
    return int(word)


def _file(name: str) -> tuple[str, bytes]:
    """Return a file's name and content; a file over the limit is refused before it is read."""
    path = Path(name)
    limit = services().settings.upload_limit_bytes
    try:
        if path.stat().st_size > limit:
            raise Forbidden(
                f"the file {path.name} has {path.stat().st_size / 1e6:.1f} MB; {limit / 1e6:g} MB are the limit.",
                rule="INTAKE-03",
                way_out="Scan at 200 to 300 dpi, or split the original into several files.",
            )
        return path.name, path.read_bytes()
    except OSError as error:
        raise Forbidden(
            f"the file {name} cannot be read: {error.strerror}.",
            rule="INTAKE-01",
            way_out="Give the path of the scan.",
        ) from error


def _tell_received(code: str, *, as_json: bool) -> None:
    """Print where a received dossier stands and when it is due."""
    with services().database.transaction() as session:
        dossier: DossierRow = look(session, code)
    value = {"code": code, "stage": str(dossier.stage), "due_at": dossier.due_at}
    due = f", due {local(dossier.due_at):%Y-%m-%d %H:%M}" if dossier.due_at else ""
    show(value, as_json=as_json, text=f"{code}  {dossier.stage}{due}")


@app.command(context_settings=_CONTEXT)
def supply(context: typer.Context, code: str, as_json: AsJson = False) -> None:
    """Take in a supplement: `hoso supply CODE --original KIND FILE…`; without one, papers were only shown."""
    me = logged_in()
    receiving.supply(code, list(_originals(context.args)), by=me)
    _tell_received(code, as_json=as_json)


@app.command()
def pay(
    code: str,
    receipt: Annotated[str, typer.Option("--receipt", help="Number of the payment receipt.")],
    as_json: AsJson = False,
) -> None:
    """Take the fee; the clock runs again."""
    amount = examining.pay(code, receipt, by=logged_in())
    show({"code": code, "paid": amount}, as_json=as_json, text=f"{code}  {amount:,} đ paid")


@app.command(context_settings=_CONTEXT)
def examine(context: typer.Context, code: str, ordinal: int, as_json: AsJson = False) -> None:
    """Put an original forward again that an official left out; --original KIND FILE… brings a new scan."""
    me = logged_in()
    presented = list(_originals(context.args))
    examining.examine_again(code, ordinal, presented[0] if presented else None, by=me)
    _tell_received(code, as_json=as_json)


@app.command(context_settings=_CONTEXT)
def correct(
    context: typer.Context,
    code: str,
    ordinal: Annotated[int | None, typer.Argument(help="Which original.")] = None,
    kind: Annotated[
        str,
        typer.Option("--kind", metavar="FILE", help="What the original really is; - for standard input."),
    ] = "",
    applicant: Annotated[
        Path | None, typer.Option("--applicant", help="YAML file with what is to change of the applicant.")
    ] = None,
    why: Annotated[
        str,
        typer.Option("--why", metavar="FILE", help="After issue: the reason in words; - for standard input."),
    ] = "",
    as_json: AsJson = False,
) -> None:
    """Correct what nobody signed: --kind FILE, --original …, --applicant FILE; after issue, ask for it (--why)."""
    from tasks.certification import correcting

    me = logged_in()
    presented = list(_originals(context.args))
    if ordinal is not None and why:
        _ask_correction(code, ordinal, kind, presented[0] if presented else None, why, by=me, as_json=as_json)
        return
    if ordinal is not None and (kind or presented):
        new = presented[0] if presented else None
        named = words(kind, "What the original really is") if kind else None
        correcting.correct_original(code, ordinal, kind=named, presented=new, by=me)
    elif ordinal is None and applicant is not None and not (kind or presented):
        correcting.correct_applicant(code, _applicant_in(applicant), by=me)
    else:
        raise Forbidden(
            "it is not said what is corrected.",
            rule="CERT-23",
            way_out="“hoso correct CODE 1 --kind FILE”, “… 1 --original KIND FILE…”, or “… --applicant FILE”.",
        )
    _tell_received(code, as_json=as_json)


def _ask_correction(
    code: str,
    ordinal: int,
    kind: str | None,
    presented: Presented | None,
    why: str,
    *,
    by: Actor,
    as_json: bool,
) -> None:
    """Ask that an issued result be corrected; somebody else decides."""
    from tasks.issued.correcting import ask_correction

    reason = words(why, "Why the issued result is wrong, for whoever decides")
    named = words(kind, "What the original really is") if kind else None
    number = ask_correction(code, ordinal, reason, kind=named, presented=presented, by=by)
    text = f"{code}  correction {number} of original {ordinal} is asked for; another official decides"
    show({"code": code, "original": ordinal, "request": number}, as_json=as_json, text=text)


def _applicant_in(file: Path) -> dict[str, str]:
    """Return what a file says of the applicant, name by name."""
    import yaml

    try:
        found = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError):
        found = None
    if not isinstance(found, dict) or not found:
        raise Forbidden(
            f"{file} does not say what is to change of the applicant.",
            rule="DOS-12",
            way_out="Write lines like “name: Trần Thị Sen” or “telephone: '0900 000 001'”.",
        )
    return {str(name): "" if value is None else str(value) for name, value in found.items()}
