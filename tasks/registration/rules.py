"""What may stand in a row of a registration list (CER-13, CER-14, AUTH-04): values in, values or reasons out."""

from __future__ import annotations

import re
from calendar import monthrange
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date

from infra.errors import Forbidden
from infra.sheets.cells import Cell, Row
from tasks.registration.form_sets import Form, FormSet, IdentityForm, Subject
from tasks.registration.lifecycle import CORRECTABLE, State
from tasks.registration.reasons import Reason, because
from tasks.registration.values import Unfit, birth_year, folded, read_value

#: One checked row: its number in the file, and its values by field, as they are kept and printed.
Values = Mapping[str, str]

#: A list may have this many rows, title and headings not counted.
MOST_ROWS = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """A row that the round holds already: whose it is, and where it stands."""

    unit: str
    state: State
    email: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Around:
    """What a row is checked against besides itself."""

    unit: str
    today: date
    domains: Sequence[str]
    #: Identity number → the row of this round that has it, rejected ones of this unit included.
    known: Mapping[str, Known] = field(default_factory=dict)
    #: Mailbox → identity number of the row of this round that has it.
    mailboxes: Mapping[str, str] = field(default_factory=dict)
    #: Identity number → serial number of a certificate that is in force.
    holders: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """A whole list after the check: rows that may be taken, and the reasons of the others."""

    rows: tuple[tuple[int, Values], ...]
    reasons: tuple[Reason, ...]

    @property
    def refused(self) -> int:
        """How many rows are not taken."""
        return len({reason.row for reason in self.reasons})


def check_list(rows: Sequence[Row], form_set: FormSet, subject: Subject, around: Around) -> Checked:
    """
    Return what a file's rows say by the form, and a reason for everything that is wrong.

    Title lines may stand above the headings. Raises `Forbidden` when no headings are found, when there is
    no row below them, or more than 10,000.
    """
    form = form_set.form(subject)
    head, places = find_headings(rows, form)
    body = [row for row in rows if row.number > head]
    if body and _is_numbering(body[0]):
        body = body[1:]
    if not body:
        raise Forbidden(
            "the list has headings but no row.",
            rule="CER-13",
            way_out="Fill in the rows, or say with “hoso registration submit --nothing” that there is nobody.",
        )
    if len(body) > MOST_ROWS:
        raise Forbidden(
            f"the list has {len(body)} rows, more than {MOST_ROWS}.",
            rule="LIST-01",
            way_out="Divide it and import several files.",
        )
    good: list[tuple[int, Values]] = []
    reasons: list[Reason] = []
    seen = _Seen()
    for row in body:
        cells = {name: row.cell(place) for name, place in places.items()}
        values, found = check_row(row.number, cells, form_set, subject, around.today, around.domains)
        found += seen.again(row.number, values, form)
        found += _against_round(row.number, values, form, around)
        if found:
            reasons += found
        else:
            good.append((row.number, values))
    return Checked(rows=tuple(good), reasons=tuple(reasons))


def find_headings(rows: Sequence[Row], form: Form) -> tuple[int, dict[str, int]]:
    """
    Return the number of the row of headings, and the place of each field.

    It is looked for in the first twenty rows. Refuses missing, repeated and unknown headings by name (CER-13).
    """
    names = {folded(text): c.field for c in form.columns for text in (c.heading, *c.also)}
    names |= {folded(c.field): c.field for c in form.columns}
    needed = {c.field for c in form.columns if c.required}
    best: tuple[int, Row] | None = None
    for row in rows[:20]:
        found = sum(folded(cell.text) in names for cell in row.cells)
        if found and (best is None or found > best[0]):
            best = (found, row)
    if best is None:
        raise _wrong_headings("no row of headings was found", form)
    places: dict[str, int] = {}
    for place, cell in enumerate(best[1].cells):
        if not cell.text or folded(cell.text) in ("stt", "tt", "so thu tu"):
            continue
        name = names.get(folded(cell.text))
        if name is None:
            raise _wrong_headings(f"the form has no column “{cell.text}”", form)
        if name in places:
            raise _wrong_headings(f"two columns say “{form.column(name).heading}”", form)
        places[name] = place
    missing = [form.column(name).heading for name in sorted(needed - set(places))]
    if missing:
        raise _wrong_headings(f"these columns are missing: {', '.join(missing)}", form)
    return best[1].number, places


def _wrong_headings(message: str, form: Form) -> Forbidden:
    """Refuse a file whose headings are not those of the form."""
    return Forbidden(
        f"{message}.",
        rule="CER-13",
        way_out=f"Use the template (“hoso registration template”): {', '.join(c.heading for c in form.columns)}.",
    )


def _is_numbering(row: Row) -> bool:
    """Tell whether a row only numbers the columns, as printed forms do: (1), (2), (3)."""
    texts = [cell.text for cell in row.cells if cell.text]
    numbers = [found[1] for text in texts if (found := re.fullmatch(r"\(?(\d{1,2})\)?", text))]
    return len(texts) > 2 and numbers == [str(n) for n in range(1, len(texts) + 1)]


def check_row(
    number: int,
    cells: Mapping[str, Cell],
    form_set: FormSet,
    subject: Subject,
    today: date,
    domains: Sequence[str],
) -> tuple[dict[str, str], list[Reason]]:
    """Return one row's values as they are kept, and what is wrong with it; never raises, whatever it holds."""
    form = form_set.form(subject)
    values: dict[str, str] = {}
    reasons: list[Reason] = []
    for column in form.columns:
        cell = cells.get(column.field, Cell())
        try:
            values[column.field] = read_value(cell, column, form_set, today, domains)
        except Unfit as wrong:
            reasons.append(because(number, column.heading, wrong.code, **wrong.values))
    reasons += _across(number, values, form, form_set.identity)
    return values, reasons


def _across(number: int, values: Mapping[str, str], form: Form, identity: IdentityForm) -> list[Reason]:
    """Return what is wrong between the columns of one row."""
    reasons = [
        because(number, form.column(one.needs).heading, "needs", value=one.text)
        for column in form.columns
        for one in column.choices.values()
        if one.needs and values.get(column.field) == one.text and values.get(one.needs) == ""
    ]
    born = values.get("born", "")
    if born and values.get("identity_issued", "9999") < born:
        reasons.append(because(number, form.column("identity_issued").heading, "issued-before-birth"))
    card = values.get("identity", "")
    if born and identity.tells_birth and len(card) == 12 and birth_year(card) != int(born[:4]):
        heading = form.column("identity").heading
        reasons.append(because(number, heading, "birth", said=birth_year(card), born=born[:4]))
    return reasons


class _Seen:
    """What earlier rows of the same file had."""

    def __init__(self) -> None:
        """Nothing was seen yet."""
        self.first: dict[tuple[str, str], int] = {}

    def again(self, number: int, values: Values, form: Form) -> list[Reason]:
        """Return a reason for each of identity number and mailbox that an earlier row had, and remember these."""
        reasons = []
        for name in ("identity", "email"):
            if not (value := values.get(name)):
                continue
            first = self.first.setdefault((name, value), number)
            if first != number:
                heading = form.column(name).heading
                reasons.append(because(number, heading, "twice-in-file", other=first))
        return reasons


_STATES_VI: Mapping[State, str] = {
    State.CONSOLIDATED: "được tổng hợp",
    State.SENT: "được gửi đi",
    State.ISSUED: "được cấp chứng thư",
}


def _against_round(number: int, values: Values, form: Form, around: Around) -> list[Reason]:
    """Return what a row has against it in the round, and among the certificates that are in force (CER-14)."""
    identity, email = values.get("identity", ""), values.get("email", "")
    heading, reasons = form.column("identity").heading, []
    known = around.known.get(identity)
    if known and known.unit != around.unit:
        reasons.append(because(number, heading, "other-unit", other=known.unit))
    elif known and known.state not in CORRECTABLE:
        reasons.append(because(number, heading, "fixed", state=known.state, state_vi=_STATES_VI[known.state]))
    if email and around.mailboxes.get(email, identity) != identity:
        reasons.append(because(number, form.column("email").heading, "mailbox-taken"))
    serial = around.holders.get(identity)
    if serial and values.get("old_serial") != serial:
        old = form.column("old_serial").heading
        if values.get("old_serial"):
            reasons.append(because(number, old, "not-the-old", serial=serial))
        else:
            reasons.append(because(number, heading, "has-certificate", serial=serial, heading=old))
    return reasons


def months_after(day: date, months: int) -> date:
    """
    Return the same day so many months later, or the last of its month.

    >>> months_after(date(2026, 1, 31), 1), months_after(date(2026, 11, 22), 24)
    (datetime.date(2026, 2, 28), datetime.date(2028, 11, 22))
    """
    years, month = divmod(day.month - 1 + months, 12)
    last = monthrange(day.year + years, month + 1)[1]
    return date(day.year + years, month + 1, min(day.day, last))
