"""Commands about the agency's seal: give it, and hand its token over."""

from __future__ import annotations

from typing import Annotated

import typer
from typer.core import TyperGroup

from flows.cli import app
from flows.cli.printing import AsJson, show
from infra.services import services
from tasks.authority.seal import hand_over_seal
from tasks.people.acting import acting
from tasks.people.desk import logged_in


class _Seal(TyperGroup):
    """A group in which a dossier's code means: seal it."""

    def parse_args(self, ctx: typer.Context, args: list[str]) -> list[str]:  # type: ignore[override]
        """Read `hoso seal CODE ORDINAL` as `hoso seal original CODE ORDINAL`."""
        if args and not args[0].startswith("-") and args[0] not in self.commands:
            args = ["original", *args]
        return super().parse_args(ctx, args)


seal_app = typer.Typer(
    cls=_Seal, help="The agency's seal: giving it, and who keeps its token.", no_args_is_help=True
)
app.add_typer(seal_app, name="seal")


@seal_app.command("original")
def seal(code: str, ordinal: int, as_json: AsJson = False) -> None:
    """Give one original the agency's signature on this machine, if it is its turn (the worker does so by itself)."""
    from flows.sealing import seal_original

    done = seal_original(code, ordinal)
    text = f"{code}  original {ordinal} {'sealed' if done else 'was sealed before'}"
    show({"code": code, "original": ordinal, "sealed": done}, as_json=as_json, text=text)


@seal_app.command("hand-over")
def hand_over(
    giver: Annotated[str, typer.Option("--from", help="Staff code of the present keeper.")],
    taker: Annotated[str, typer.Option("--to", help="Staff code of the new keeper.")],
    approved_by: Annotated[
        str, typer.Option("--approved-by", help="Staff code of who approved it in writing.")
    ],
    minutes: Annotated[str, typer.Option("--minutes", help="Number of the minutes of the hand-over.")],
    office: Annotated[str, typer.Option("--office", help="Code of the office (default: yours).")] = "",
    as_json: AsJson = False,
) -> None:
    """Put on record that the token of the agency's seal goes to another keeper (SIG-13)."""
    me = logged_in()
    here = office or me.office
    with services().database.transaction() as session:
        by = acting(session, me, "seal hand-over", office=here)
        hand_over_seal(session, here, taker, handed_by=giver, approved_by=approved_by, minutes=minutes, by=by)
    show(
        {"office": here, "keeper": taker},
        as_json=as_json,
        text=f"{taker} keeps the seal of {here} ({minutes})",
    )
