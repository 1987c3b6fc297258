"""Commands about the rows of a registration round: take a unit's list, submit, confirm, reject."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
import yaml

from flows.cli.printing import AsJson, say, show, table
from flows.cli.private import Why, words
from flows.cli.rounds import Kind, actor_of, content_of, registration_app, subject_of
from infra.errors import Forbidden
from infra.services import services
from infra.sheets import Cell, Row, read_rows
from tasks.registration import answers, entries
from tasks.registration.lifecycle import State
from tasks.registration.reasons import Reason
from tasks.registration.values import Unfit, read_date

Late = Annotated[
    str, typer.Option("--late-decision", help="Number of the decision that lets the unit be late.")
]
AcceptGood = Annotated[
    bool, typer.Option("--accept-good-rows", help="Take the good rows of a list that has bad ones too.")
]
Reasons = Annotated[
    Path | None,
    typer.Option("--reasons", help="Write the reasons, in Vietnamese, into this .xlsx for the unit."),
]
Document = Annotated[str, typer.Option("--document", help="Number and notation of the letter.")]


@registration_app.command("import")
def import_list(
    code: str,
    unit: str,
    file: Path,
    kind: Kind = "individual",
    accept_good_rows: AcceptGood = False,
    late_decision: Late = "",
    reasons: Reasons = None,
    as_json: AsJson = False,
) -> None:
    """Take a unit's list from a CSV or XLSX file; each row that is not taken has its reasons."""
    rows = read_rows(content_of(file))
    _take(code, unit, kind, rows, accept_good_rows, late_decision, reasons, as_json=as_json)


@registration_app.command("enter")
def enter_row(
    code: str,
    unit: str,
    form: Annotated[
        str, typer.Option("--form", help="File of lines “field: value”, or - for standard input.")
    ],
    kind: Kind = "individual",
    late_decision: Late = "",
    as_json: AsJson = False,
) -> None:
    """Take one row from a form of lines “field: value”; the fields are those of “registration forms”."""
    actor_of(code, "import")
    text = sys.stdin.read() if form == "-" else content_of(Path(form)).decode("utf-8", errors="replace")
    rows = _form_rows(text)
    _take(code, unit, kind, rows, False, late_decision, None, as_json=as_json)


@registration_app.command("submit")
def submit(
    code: str,
    unit: str,
    document: Document,
    nothing: Annotated[bool, typer.Option("--nothing", help="The unit has nobody to register.")] = False,
    late_decision: Late = "",
    as_json: AsJson = False,
) -> None:
    """Say that a unit's list is complete, by the number of its letter."""
    count = answers.submit(
        code, unit, document, nothing=nothing, late_decision=late_decision, by=actor_of(code, "submit")
    )
    value = {"round": code, "unit": unit, "submitted": count}
    show(value, as_json=as_json, text=f"{code} {unit}  {count} rows submitted")


@registration_app.command("confirm")
def confirm(
    code: str,
    unit: str,
    document: Document,
    dated: Annotated[str, typer.Option("--dated", help="Date of the document: 2026-12-20.")],
    as_json: AsJson = False,
) -> None:
    """Write down that the managing agency confirmed a unit's submitted rows."""
    by = actor_of(code, "confirm")
    try:
        day = read_date(dated)
    except Unfit as wrong:
        raise Forbidden(f"“{dated}” is no date.", rule="CER-15", way_out="Write 2026-12-20.") from wrong
    count = answers.confirm(code, unit, document, day, by=by)
    value = {"round": code, "unit": unit, "confirmed": count}
    show(value, as_json=as_json, text=f"{code} {unit}  {count} rows confirmed")


@registration_app.command("reject")
def reject(
    code: str,
    row: Annotated[int, typer.Argument(help="Number of the row, as “registration rows” gives it.")],
    why: Why = "",
    as_json: AsJson = False,
) -> None:
    """Take a row out with a reason; the unit may bring it again, corrected."""
    by = actor_of(code, "reject")
    before = answers.reject(code, row, words(why, "Reason, for the unit"), by=by)
    value = {"round": code, "row": row, "before": before, "now": State.REJECTED}
    show(value, as_json=as_json, text=f"{code} row {row}  rejected, was {before}")


@registration_app.command("rows")
def list_rows(
    code: str,
    unit: Annotated[str, typer.Option("--unit", help="Only this unit's.")] = "",
    state: Annotated[str, typer.Option("--state", help="Only those that stand there.")] = "",
    as_json: AsJson = False,
) -> None:
    """Print the rows of a round with what they say now; reading them is in the history."""
    found = entries.read_rows_of(code, unit=unit, state=_state(state), by=actor_of(code, "rows"))
    if as_json:
        show(found, as_json=True, text="")
        return
    shown = [
        (e.id, e.unit, e.subject, e.state, e.values.get("name"), e.values.get("identity"), e.remark)
        for e in found
    ]
    table(code, ("row", "unit", "for", "state", "name", "identity", "remark"), shown)


def _take(
    code: str,
    unit: str,
    kind: str,
    rows: list[Row],
    accept_good_rows: bool,
    late_decision: str,
    reasons: Path | None,
    *,
    as_json: bool,
) -> None:
    """Take rows, print what became of them, and end with a refusal when nothing was taken."""
    taken = entries.take_list(
        code,
        unit,
        subject_of(kind),
        rows,
        by=actor_of(code, "import"),
        accept_good_rows=accept_good_rows,
        late_decision=late_decision,
    )
    say_reasons(taken.reasons, reasons, as_json=as_json)
    if as_json:
        show(taken, as_json=True, text="")
    elif taken.kept:
        say(
            f"{code} {unit}  {taken.new} new, {taken.corrected} corrected, {taken.unchanged} unchanged, "
            f"{taken.refused} refused"
        )
    must_be_kept(taken.kept, taken.refused)


def say_reasons(reasons: Sequence[Reason], sheet: Path | None, *, as_json: bool) -> None:
    """Print why rows are not taken, and write it down for whoever sent them."""
    if sheet is not None and reasons:
        from tasks.registration.workbooks import reasons_sheet

        sheet.write_bytes(reasons_sheet(reasons, services().clock.now()))
    if not as_json:
        for reason in reasons:
            say(f"  {reason.message} [{reason.rule}]")


def must_be_kept(kept: bool, refused: int) -> None:
    """End with a refusal when nothing of a list was taken."""
    if not kept:
        raise Forbidden(
            f"{refused} rows are not taken, so nothing was.",
            rule="CER-14",
            way_out="Correct them and import the file again, or take the others with --accept-good-rows.",
        )


def _form_rows(text: str) -> list[Row]:
    """Return a form of lines “field: value” as a heading row and a row."""
    try:
        said = yaml.load(text, Loader=yaml.BaseLoader)  # noqa: S506  It builds text, lists and mappings only.
    except yaml.YAMLError as error:
        raise _no_form() from error
    if not isinstance(said, dict) or not all(isinstance(value, str) for value in said.values()):
        raise _no_form()
    return [
        Row(1, tuple(Cell(str(name)) for name in said)),
        Row(2, tuple(Cell(" ".join(value.split())) for value in said.values())),
    ]


def _no_form() -> Forbidden:
    """Refuse what is no form."""
    return Forbidden(
        "the form has no lines “field: value”.",
        rule="CER-13",
        way_out="Write one line a field, as “hoso registration forms --json” names them.",
    )


def _state(name: str) -> State | None:
    """Return a state by its name; nothing for nothing."""
    if not name:
        return None
    try:
        return State(name)
    except ValueError:
        raise Forbidden(
            f"no row stands at “{name}”.", rule="CER-15", way_out=f"States: {', '.join(State)}."
        ) from None
