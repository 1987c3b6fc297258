"""
How fast the board and the reports are, on rows that are put into a database of their own.

The year that is reported holds 200,000 dossiers of ten units, the year before as many again that must not be
read, and 100,000 are open now. Each has the rows that a real one has: status codes, promised times, originals,
register lines, signatures, sent copies, a payment. Medians of wall time, and the processor time of PostgreSQL and of
this process; the last line is for programs.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.console import Console
from sqlalchemy import text

from flows.bench_costs import measured
from flows.desks import OFFICE_FILE
from infra.database import Database, connection_url
from infra.services import services
from tasks.dossier.offices import OfficeData, read_office
from tasks.dossier.tables import OfficeRow
from tasks.reporting.figures import count
from tasks.reporting.periods import period_named
from tasks.reporting.printing import report_page, report_workbook
from tasks.reporting.tables import ReportRow
from tasks.supervision.board import open_as_csv, read_board

#: What is asked of it, in seconds: the board over what is open, and the report on the year.
BOARD, REPORT = 2.0, 10.0

say = Console(highlight=False, soft_wrap=True).print
_UNITS = 10
_YEAR = "2025"


@dataclass(frozen=True, kw_only=True)
class Measured:
    """One thing that was done several times: seconds on the wall in the middle, and of processors."""

    what: str
    seconds: float
    ours: float
    database: float


def main(words: Sequence[str] | None = None) -> int:
    """Fill the tables, measure, print; exit 0 when board and report are as fast as asked."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--year", type=int, default=200_000, help="dossiers of the year that is reported")
    parser.add_argument("--open", type=int, default=100_000, help="dossiers that are open now")
    parser.add_argument("--times", type=int, default=3)
    chosen = parser.parse_args(words)
    began = time.monotonic()
    office = _fill(chosen.year, chosen.open)
    say(f"filled in {time.monotonic() - began:.0f} s")
    found = [_measure(what, work, chosen.times) for what, work in _works(office)]
    for one in found:
        say(
            f"{one.what}: {one.seconds:.2f} s (processors: {one.ours:.2f} s ours, {one.database:.2f} s database)"
        )
    say(json.dumps([asdict(one) for one in found]))
    return 0 if found[0].seconds < BOARD and found[2].seconds < REPORT else 1


def _works(office: OfficeData) -> list[tuple[str, Callable[[], object]]]:
    """Return what is measured, by name."""
    year = period_named(_YEAR, 14)

    def board() -> object:
        """Read the board of every office."""
        with services().database.transaction() as session:
            return read_board(session)

    def whole_list() -> object:
        """Write every open dossier as CSV."""
        with services().database.transaction() as session:
            return sum(map(len, open_as_csv(session)))

    def report(about: str, name: str) -> Callable[[], object]:
        """Return the counting of one report."""

        def counted() -> object:
            with services().database.transaction() as session:
                return count(session, about, period_named(name, 14), 14)

        return counted

    def papers() -> object:
        """Set a report's page and write its workbook."""
        with services().database.transaction() as session:
            figures = count(session, "*", year, 14)
        row = ReportRow(
            office=office.code, about="*", kind="year", name=_YEAR, first=year.first, last=year.last, rules=1,
            made_at=year.ends, made_by="bench", figures=figures.canonical.decode(), sha256="",
            names={"units": {}, "procedures": {}}, dossiers_sha256="", dossiers_key="",
        )  # fmt: skip
        return report_page(row, office, year.ends), report_workbook(row, year.ends)

    return [
        ("board of all that is open", board),
        ("list of all that is open, as CSV", whole_list),
        ("report on the year, every office", report("*", _YEAR)),
        ("report on the year, one office", report(office.code, _YEAR)),
        ("report on a month, every office", report("*", f"{_YEAR}-11")),
        ("report on the year with page and workbook", papers),
    ]


def _measure(what: str, work: Callable[[], object], times: int) -> Measured:
    """Do something several times, and return the middle."""
    costs, own = [], []
    for _ in range(times):
        with measured() as cost:
            began = time.process_time()
            work()
            own.append(time.process_time() - began)
        costs.append(cost)
    middle = statistics.median
    return Measured(
        what=what,
        seconds=middle(cost.wall for cost in costs),
        ours=middle(own),
        database=middle(cost.cpu["database"] for cost in costs),
    )


def _fill(year: int, still_open: int) -> OfficeData:
    """Put offices and dossiers into the empty tables, past the triggers, and let PostgreSQL look at them."""
    chosen = services().settings
    data = read_office(Path(OFFICE_FILE))
    with services().database.transaction() as session:
        for unit in range(_UNITS):
            body = data.model_dump(mode="json") | {"code": f"{data.code}.{unit}" if unit else data.code}
            session.add(OfficeRow(code=body["code"], body=body, loaded_at=services().clock.now()))
    url = connection_url(chosen.database_admin_url, chosen.database_admin_password_file)
    administrator = Database(url, pooled=False)
    with administrator.engine.begin() as connection:
        connection.exec_driver_sql("set local session_replication_role = replica")
        numbers = {"year": year, "open": still_open, "office": data.code, "units": _UNITS}
        for statement in _STATEMENTS:
            connection.execute(text(statement), numbers)
    with administrator.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.exec_driver_sql("vacuum analyze")
    administrator.engine.dispose()
    return data


#: Numbers below :year were received in the year before, then those of the year, then what is open now.
_STATEMENTS = (
    """
    create temp table one on commit drop as
    select n, 'B-' || n as code,
           :office || case n % :units when 0 then '' else '.' || n % :units end as office,
           case when n < :year * 2
                then timestamptz '2023-12-15 08:00+07' + n * (interval '2 years' / (:year * 2))
                else clock_timestamp() - (n % 1000) * interval '1 minute' end as came,
           case when n >= :year * 2 then 0 when n % 50 = 0 then 7 when n % 40 = 1 then 5 else 10 end as last
    from generate_series(0, :year * 2 + :open - 1) n
    """,
    "alter table one add due timestamptz, add done timestamptz",
    "update one set due = came + interval '1 day', done = came + (n % 30) * interval '1 hour'",
    "update one set due = came + (n % 3000 - 100) * interval '1 minute' where last = 0",
    """
    insert into dossier (code, office, resolving_office, procedure, procedure_version, stage, portal_code, channels,
        opened_by, opened_at, walk_in, came_by, received_at, due_at, extended_by, supplements, confidential, ended_at,
        archive_asked, paused_at, shown)
    select code, office, office, case n % 7 when 0 then 'return-of-result' else 'e-copy' end, 1,
        case last when 10 then 'Archived' when 7 then 'Withdrawn' when 5 then 'Archived' else
            (array['Received', 'AwaitingSignature', 'SupplementAsked', 'AwaitingSeal'])[1 + n % 4] end,
        case last when 0 then (array[2, 4, 5, 4])[1 + n % 4] when 5 then 10 else last end, '["email"]', 'mai', came,
        true, case n % 3 when 0 then 'portal' else 'counter' end, came, due, 0, 0, false,
        case when last > 0 then done end, false, case when last = 0 and n % 4 = 2 then came end,
        'PAUSED|AwaitingSignature|x'
    from one
    """,
    """
    insert into status_report (dossier, sequence, code, at, attempts)
    select code, 0, 1, came, 0 from one union all select code, 1, 2, came, 0 from one
    union all select code, 2, 4, came, 0 from one where last > 0
    union all select code, 3, 5, came + interval '1 minute', 0 from one where last in (5, 7)
    union all select code, 4, 4, done - interval '1 minute', 0 from one where last = 5
    union all select code, 5, 7, done, 0 from one where last = 7
    union all select code, 5, 9, done, 0 from one where last in (5, 10)
    union all select code, 6, 10, done + interval '1 minute', 0 from one where last in (5, 10)
    union all select code, 2, (array[4, 4, 5, 4])[1 + n % 4], came, 0 from one where last = 0 and n % 4 > 0
    """,
    "insert into promised_time (subject, at, due_at) select code, came, due from one",
    "insert into fee_taken (dossier, at, amount) select code, came, 6000 from one",
    """
    insert into original (dossier, ordinal, kind, pages, copies, fee, compared_pages, compared_by, "foreign",
        legalised, standing, revision, notation)
    select code, 1, 'Giấy ' || n % 60, 1, 2, 4000, 1, 'mai', false, false, 'valid', 0, '' from one
    """,
    """
    insert into register_entry (office, year, symbol, number, book, dossier, ordinal, state, reserved_at, ended_at)
    select office, 2020 + (n / 1000000), 'SCT/BS', n, 1, code, 1, 'certified', came, done from one where last in (5, 10)
    """,
    """
    insert into signature (dossier, ordinal, revision, field, role, signer, certificate_sha256, document_sha256,
        intended_at, tries, open_try, kept_key, signed_at, kept_at, decision)
    select code, 1, 0, role, role, 'ha', repeat('a', 64), repeat('b', 50) || role || n, done, 1, false, 'k', done, done,
        '{"lines": ["KT. CHỦ TỊCH", "PHÓ CHỦ TỊCH"], "basis": "12/QĐ-UBND", "post": "deputy", "rule": "AUTH-03"}'
    from one, (values ('official'), ('agency')) r (role) where last in (5, 10)
    """,
    """
    insert into sent_copy (dossier, ordinal, channel, errand, address_kind, part, sha256, size, outcome, at)
    select code, 1, case n % 9 when 0 then 'paper' else 'email' end, 1, 'e-mail address', 'result', repeat('c', 64),
        90000, 'accepted', done from one where last in (5, 10)
    """,
)


if __name__ == "__main__":
    sys.exit(main())
