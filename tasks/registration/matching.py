"""Which issued certificate belongs to which row of a round: by serial, identity number or mailbox, and subject."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from infra.errors import Forbidden
from infra.sheets.cells import Row
from tasks.certificates.reading import CertificateFacts
from tasks.certificates.rules import same_words
from tasks.registration.lifecycle import State
from tasks.registration.reasons import Reason, because
from tasks.registration.values import Unfit, folded, serial_number

#: Headings of the provider's list, and what units and providers call them.
HEADINGS: Mapping[str, tuple[str, ...]] = {
    "serial": (
        "Số hiệu chứng thư",
        "Số hiệu chứng thư số",
        "Số hiệu chứng thư chữ ký số",
        "Serial",
        "serial",
    ),
    "identity": ("Số CCCD", "Số CMND/CCCD/Hộ chiếu", "Số CMND/CCCD", "CCCD", "Mã định danh", "identity"),
    "email": ("Thư điện tử công vụ", "Thư điện tử", "Email", "email"),
}

#: Where certificates state an identity number: user id, serial number of the subject.
_IDENTITY = ("user_id", "serial_number")


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A row of the round that may get a certificate."""

    entry: int
    name: str
    identity: str
    email: str
    state: State
    #: The certificate that it has already (SHA-256), if any.
    has: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class IssuedFile:
    """One certificate as it came, with the mailboxes that it names."""

    facts: CertificateFacts
    mailboxes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Matched:
    """What belongs together, why other rows of the provider's list do not, and certificates that no row names."""

    pairs: tuple[tuple[int, Wanted, IssuedFile], ...]  # row of the list, row of the round, certificate
    reasons: tuple[Reason, ...]
    spare: tuple[str, ...]  # serial numbers

    @property
    def refused(self) -> int:
        """How many rows of the list are not matched."""
        return len({reason.row for reason in self.reasons})


def match(rows: Sequence[Row], certificates: Sequence[IssuedFile], wanted: Sequence[Wanted]) -> Matched:
    """
    Return what each row of the provider's list names, with a reason a row for all that does not fit (CER-10).

    A row names its certificate by the serial number, and the round's row by identity number, mailbox or both.
    Raises `Forbidden` for a file without those headings.
    """
    head, places = _headings(rows)
    by_serial = {one.facts.serial.lstrip("0"): one for one in certificates}
    pairs: list[tuple[int, Wanted, IssuedFile]] = []
    reasons: list[Reason] = []
    taken: dict[str, int] = {}
    for row in rows:
        if row.number <= head:
            continue
        said = {name: row.cell(place).text for name, place in places.items()}
        found = _one(row.number, said, by_serial, wanted, taken)
        if isinstance(found, Reason):
            reasons.append(found)
            continue
        target, issued = found
        wrong = _mismatch(row.number, target, issued)
        if wrong:
            reasons += wrong
        else:
            pairs.append((row.number, target, issued))
    return Matched(
        pairs=tuple(pairs), reasons=tuple(reasons), spare=tuple(sorted(set(by_serial) - set(taken)))
    )


def _headings(rows: Sequence[Row]) -> tuple[int, dict[str, int]]:
    """Return the row of headings and the place of each; further columns are the provider's own affair."""
    names = {folded(text): name for name, texts in HEADINGS.items() for text in texts}
    for row in rows[:20]:
        places: dict[str, int] = {}
        for place, cell in enumerate(row.cells):
            name = names.get(folded(cell.text))
            if name is not None:
                places.setdefault(name, place)
        if "serial" in places and len(places) > 1:
            return row.number, places
    raise Forbidden(
        "the list needs the heading “Số hiệu chứng thư”, and “Số CCCD” (“Mã định danh”) or “Thư điện tử”.",
        rule="CER-10",
        way_out="Add the headings to the provider's list.",
    )


def _one(
    number: int,
    said: Mapping[str, str],
    by_serial: Mapping[str, IssuedFile],
    wanted: Sequence[Wanted],
    taken: dict[str, int],
) -> tuple[Wanted, IssuedFile] | Reason:
    """Return the row of the round and the certificate that a row of the list names, or the reason why it names none."""
    column = HEADINGS["serial"][0]
    try:
        serial = serial_number(said["serial"])
    except Unfit:
        return because(number, column, "serial")
    first = taken.setdefault(serial, number)
    if first != number:
        return because(number, column, "twice-in-file", other=first)
    if serial not in by_serial:
        return because(number, column, "no-certificate")
    identity = re.sub(r"[ .]", "", said.get("identity", "")).upper()
    if re.fullmatch(r"[A-Z]\d{2}\..*|\d{3}\.\d{2}\.\d{2}\..*", said.get("identity", "").upper()):
        identity = said["identity"].upper()  # The dots of an agency's code belong to it.
    email = said.get("email", "").lower()
    hits = {
        one.entry: one
        for one in wanted
        if (identity and one.identity == identity) or (email and one.email == email)
    }
    which = HEADINGS["identity" if identity else "email"][0]
    if not hits:
        return because(number, which, "no-row")
    if len(hits) > 1:
        return because(number, which, "two-rows", others=", ".join(map(str, sorted(hits))))
    return next(iter(hits.values())), by_serial[serial]


def _mismatch(number: int, target: Wanted, issued: IssuedFile) -> list[Reason]:
    """Return what a certificate says that its row does not."""
    facts, column = issued.facts, HEADINGS["serial"][0]
    if target.has == facts.sha256:
        return []
    if target.state != State.SENT:
        return [because(number, column, "not-sent", entry=target.entry, state=target.state)]
    reasons = []
    if not same_words(target.name, *facts.subject.get("common_name", ())):
        reasons.append(because(number, column, "other-name"))
    identities = {
        re.sub(r"\D", "", value)
        for name in _IDENTITY
        for value in facts.subject.get(name, ())
        if len(re.sub(r"\D", "", value)) >= 9
    }
    if target.identity.isdecimal() and identities and target.identity not in identities:
        reasons.append(because(number, column, "other-identity"))
    if issued.mailboxes and target.email not in issued.mailboxes:
        reasons.append(because(number, column, "other-mailbox"))
    return reasons
