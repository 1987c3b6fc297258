"""Commands about returning results: hand over, another address, the applicant's word, the archive."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from sqlmodel import select

from flows.cli import app
from flows.cli.printing import AsJson, show
from flows.cli.private import facts
from infra.errors import Forbidden
from infra.history import Json
from infra.services import services
from tasks.delivery import acts
from tasks.dossier.looking import look, originals_of
from tasks.dossier.moves import Telling, tell
from tasks.dossier.tables import NoticeRow
from tasks.people.acting import acting_on
from tasks.people.desk import logged_in

ChannelOption = Annotated[str, typer.Option("--channel", help="portal, email or paper")]


@app.command("hand-over")
def hand_over(
    code: str,
    collector: Annotated[
        str,
        typer.Option(
            "--collector",
            metavar="FILE",
            help="YAML or JSON with name and identity of who collects the paper; - for standard input. "
            "Without it you are asked.",
        ),
    ] = "",
    as_json: AsJson = False,
) -> None:
    """End the paper leg: the result was collected at the counter."""
    said = facts(collector, {"name": "Who collects the paper", "identity": "Identity number"})
    acts.hand_over(code, said.get("name", ""), said.get("identity", ""), by=logged_in())
    show({"code": code, "leg": "collected"}, as_json=as_json, text=f"{code}  handed over")


@app.command()
def redirect(
    code: str,
    channel: ChannelOption,
    to: Annotated[
        str,
        typer.Option(
            "--to",
            metavar="FILE",
            help="YAML or JSON with the new email or account; - for standard input. Without it, the known one.",
        ),
    ] = "",
    as_json: AsJson = False,
) -> None:
    """Return a result by a channel again, or by another address."""
    said = facts(to, {"email": "E-mail", "account": "Portal account"}) if to else {}
    email, account = said.get("email") or None, said.get("account") or None
    acts.redirect(code, channel, email=email, account=account, by=logged_in())
    show({"code": code, "channel": channel}, as_json=as_json, text=f"{code}  goes by {channel} again")


@app.command()
def confirm(code: str, channel: ChannelOption, as_json: AsJson = False) -> None:
    """End a doubtful leg: the applicant says that the result arrived."""
    acts.confirm(code, channel, by=logged_in())
    show({"code": code, "channel": channel}, as_json=as_json, text=f"{code}  {channel} confirmed")


@app.command()
def archive(
    code: Annotated[str | None, typer.Argument(help="Without it, every returned dossier.")] = None,
    as_json: AsJson = False,
) -> None:
    """Archive a returned dossier now instead of by night."""
    from tasks.archival.steps import ask_for_archive

    asked = ask_for_archive(code, by=logged_in())
    show(
        asked,
        as_json=as_json,
        text="\n".join(f"{one}  goes to the archive" for one in asked) or "nothing to archive",
    )


@app.command()
def paper(
    code: str,
    out: Annotated[Path, typer.Option("--out", help="Where the PDF is written.")],
    kind: Annotated[str, typer.Option("--kind", help="receipt, declined, supplement or stopped")] = "receipt",
    ordinal: Annotated[int, typer.Option("--original", help="For a declined original.")] = 0,
) -> None:
    """Write one of the office's papers about a dossier (receipt, letters) as a PDF, for printing."""
    from tasks.delivery.papers import paper_of

    me = logged_in()
    with services().database.transaction() as session:
        dossier = look(session, code)
        reader = acting_on(session, me, "paper", dossier)
        query = select(NoticeRow).where(
            NoticeRow.dossier == code, NoticeRow.kind == kind, NoticeRow.ordinal == ordinal
        )
        notice = session.exec(query).first()
        if notice is not None:
            facts: dict[str, Json] = {"paper": kind, "original": ordinal}
            tell(session, dossier, Telling(event="paper:read", by=reader, facts=facts))
    if notice is None:
        raise Forbidden(
            f"dossier {code} has no paper “{kind}”.",
            rule="DOS-13",
            way_out="“hoso show” lists what was written.",
        )
    out.write_bytes(paper_of(code, notice))
    show({}, as_json=False, text=f"{out}")


@app.command()
def document(
    code: str,
    ordinal: int,
    out: Annotated[Path, typer.Option("--out", help="Where the PDF is written.")],
    note: Annotated[
        bool, typer.Option("--note", help="The delivery note of a result that takes no signature.")
    ] = False,
) -> None:
    """Write the newest document of an original as a PDF: frozen, signed, or sealed."""
    from tasks.dossier.papers import finished, newest, read

    me = logged_in()
    with services().database.transaction() as session:
        dossier = look(session, code)
        reader = acting_on(session, me, "document", dossier)
        frozen = newest(session, code, ordinal, "frozen")
        noted = frozen is not None and bool(frozen.facts.get("note"))
        found = [newest(session, code, ordinal, "result")]
        if note or not noted:
            # A result that takes no signature is itself the document; what is frozen and sealed is its note.
            own = [newest(session, code, ordinal, kind) for kind in ("approved", "frozen")]
            found = [finished(session, code, ordinal), *own, *found] if noted or not note else []
        count = len(originals_of(session, code))
        row = next((one for one in found if one is not None), None)
        if row is not None:
            facts: dict[str, Json] = {"original": ordinal, "doc": {"kind": row.kind, "sha256": row.sha256}}
            tell(session, dossier, Telling(event="document:read", by=reader, facts=facts))
    if row is None:
        raise Forbidden(
            f"original {ordinal} of {code} has no document yet.",
            rule="CERT-23",
            way_out=f"The dossier has {count} originals; “hoso show” says what they wait for.",
        )
    out.write_bytes(read(row))
    show({}, as_json=False, text=f"{out}  {row.kind}  {row.sha256}")
