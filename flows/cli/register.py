"""Commands about the register of certifications: look, lock a year, its pages, their two signatures."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer
from sqlmodel import col, select
from typer.core import TyperGroup

from flows.cli import app
from flows.cli.pins import PinFd, PinFile, ask_pin
from flows.cli.printing import AsJson, show, table
from infra.services import services
from tasks.dossier.register import RegisterEntryRow, short_number
from tasks.dossier.tables import DossierRow
from tasks.people.acting import acting, scope
from tasks.people.desk import logged_in

Symbol = Annotated[str, typer.Option("--symbol", help="Which register, where an office has several.")]


class _Register(TyperGroup):
    """A group in which an office's code means: show its register."""

    def parse_args(self, ctx: typer.Context, args: list[str]) -> list[str]:  # type: ignore[override]
        """Read `hoso register OFFICE` as `hoso register show OFFICE`."""
        if args and not args[0].startswith("-") and args[0] not in self.commands:
            args = ["show", *args]
        return super().parse_args(ctx, args)


register_app = typer.Typer(
    cls=_Register, help="The register of certifications, and the locking of its years.", no_args_is_help=True
)
app.add_typer(register_app, name="register")


@register_app.command("show")
def show_register(
    office: str,
    year: Annotated[int | None, typer.Option("--year")] = None,
    as_json: AsJson = False,
) -> None:
    """Print an office's register of certifications; void numbers are counted apart."""
    me = logged_in()
    with services().database.transaction() as session:
        seen = scope(session, me, "register show", office=office)
        query = (
            select(RegisterEntryRow)
            .join(DossierRow, col(DossierRow.code) == col(RegisterEntryRow.dossier))
            .where(RegisterEntryRow.office == office, seen.within(DossierRow.office, DossierRow.procedure))
        )
        if year is not None:
            query = query.where(RegisterEntryRow.year == year)
        lines = list(session.exec(query.order_by(col(RegisterEntryRow.year), col(RegisterEntryRow.number))))
    rows = [
        (short_number(r), r.state, r.dossier, r.ordinal, r.ended_at or r.reserved_at, r.reason) for r in lines
    ]
    if as_json:
        keys = ("number", "state", "dossier", "original", "at", "reason")
        show([dict(zip(keys, row, strict=True)) for row in rows], as_json=True, text="")
        return
    table(f"Register of {office}", ("number", "state", "dossier", "original", "when", "reason"), rows)
    counts = {
        state: sum(line.state == state for line in lines) for state in ("certified", "reserved", "void")
    }
    show({}, as_json=False, text=", ".join(f"{count} {state}" for state, count in counts.items()))


@register_app.command("lock")
def lock(office: str, year: int, as_json: AsJson = False) -> None:
    """Lock the registers of a year that is over, with their totals; nothing is entered there afterwards."""
    from tasks.locking.locking import lock_register

    locks = lock_register(office, year, by=logged_in())
    values = [one.model_dump(exclude={"decision"}) for one in locks]
    text = "\n".join(
        f"{one.symbol} {one.year}  locked: {one.certified} certified, {one.void} void, {one.last_number} numbers"
        for one in locks
    )
    show(values, as_json=as_json, text=text)


@register_app.command("pdf")
def pdf(
    office: str,
    year: int,
    out: Annotated[Path, typer.Option("--out", help="Where the PDF is written.")],
    symbol: Symbol = "",
    official: Annotated[
        str, typer.Option("--official", help="Make the page that this official is to sign today.")
    ] = "",
    as_json: AsJson = False,
) -> None:
    """Write the book of a locked year as a PDF, as far as it is signed; its digest is what an official signs."""
    from tasks.locking.locking import tell_register
    from tasks.locking.pages import freeze_register, one_lock, page_of

    me = logged_in()
    with services().database.transaction() as session:
        by = acting(session, me, "register pdf", office=office)
    found = one_lock(office, year, symbol)
    if official:
        freeze_register(found, official)
    row, content = page_of(found)
    with services().database.transaction() as session:
        tell_register(
            session,
            found,
            event="register:read",
            by=by,
            facts={"doc": {"kind": row.kind, "sha256": row.sha256}},
        )
    out.write_bytes(content)
    value = {"path": str(out), "kind": row.kind, "sha256": row.sha256}
    show(value, as_json=as_json, text=f"{out}  {row.kind}  {row.sha256}")


@register_app.command("sign")
def sign(
    office: str,
    year: int,
    sha256: Annotated[str, typer.Option("--digest", help="The page that you reviewed, as “pdf” printed it.")],
    symbol: Symbol = "",
    pin_fd: PinFd = None,
    pin_file: PinFile = None,
    as_json: AsJson = False,
) -> None:
    """Sign the book of a locked year that you reviewed, with your own token."""
    from tasks.locking.pages import one_lock
    from tasks.locking.sealing import sign_register
    from tasks.signing.keys import official_key, types_on_a_pad

    me = logged_in()
    with services().database.transaction() as session:
        by = acting(session, me, "register sign", office=office)
    found = one_lock(office, year, symbol)
    on_pad = types_on_a_pad(by.office, by.staff)
    pin = None if on_pad else ask_pin(pin_fd, pin_file)
    if on_pad:
        print("Type the PIN on the token's own pad.", file=sys.stderr)
    with official_key(by.office, by.staff, pin) as key:
        done = sign_register(found, key, expected_sha256=sha256)
    text = f"register {found.symbol} {year}  {'signed' if done else 'was signed before'}"
    show({"office": office, "year": year, "signed": done}, as_json=as_json, text=text)


@register_app.command("seal")
def seal(office: str, year: int, symbol: Symbol = "", as_json: AsJson = False) -> None:
    """Give the signed book of a locked year the agency's signature, on the machine that holds its token."""
    from tasks.locking.pages import one_lock
    from tasks.locking.sealing import sign_register
    from tasks.signing.keys import seal_of

    found = one_lock(office, year, symbol)
    done = sign_register(found, seal_of(office))
    text = f"register {found.symbol} {year}  {'sealed' if done else 'was sealed before'}, and in the archive"
    show({"office": office, "year": year, "sealed": done}, as_json=as_json, text=text)
