"""A report of a period that is over says the same for ever, and adds up from one period to the next (REP-02 to REP-10)."""

from __future__ import annotations

import io
import itertools
import json
import subprocess
from collections import Counter
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import openpyxl
import pytest

from infra.clock import HANOI
from infra.errors import Broken, Forbidden
from infra.services import services, using
from tasks.dossier.moves import SYSTEM
from tasks.reporting import sealing
from tasks.reporting.figures import Counted, count
from tasks.reporting.keeping import look_report, paper_of_report, read_paper, read_report
from tasks.reporting.making import check_report, due_reports, make_report
from tasks.reporting.periods import Kind, last_over, period_named
from tasks.reporting.printing import report_page, report_workbook
from tasks.reporting.rules import tally_of, total
from tasks.reporting.sealing import seal_report
from tasks.signing import once
from tests.tasks.reporting.lives import Lived, make_lives, put_lives
from tests.world import World

pytestmark = pytest.mark.usefixtures("world")

CUT_OFF = 14
FOREVER = datetime(2027, 6, 1, tzinfo=HANOI)
MONTHS = [f"2026-{month:02}" for month in range(2, 10)]


@pytest.fixture(scope="module")
def lived(running_world: World) -> tuple[str, list[Lived]]:
    """An office with half a year behind it."""
    with using(running_world.parts):
        office = running_world.office()
        lives = make_lives(office, 400)
        put_lives(running_world, office, lives, until=FOREVER)
    return office, lives


def counted(about: str, name: str) -> Counted:
    with services().database.transaction() as session:
        return count(session, about, period_named(name, CUT_OFF), CUT_OFF)


def this_year() -> str:
    """The name of the year that goes on now."""
    today = services().clock.now().astimezone(HANOI).date()
    return str(today.year if today <= period_named(str(today.year), CUT_OFF).last else today.year + 1)


def whole(figures: Any) -> Any:
    lines = [{k: v for k, v in line.items() if k not in ("unit", "procedure")} for line in figures["lines"]]
    return total(map(tally_of, lines))


@pytest.mark.parametrize("name", [*MONTHS, "2026-Q2", "2026-H1", "2026"])
def test_rep_02_every_dossier_is_counted_where_its_life_says(
    lived: tuple[str, list[Lived]], name: str
) -> None:
    office, lives = lived
    period = period_named(name, CUT_OFF)
    expected = Counter(part for one in lives for part in one.column(period.begins, period.ends) or ())
    found = counted(office, name)
    assert {k: v for k, v in whole(found.figures).figures().items() if v} == dict(expected)
    listed = [line.split(",") for line in found.dossiers.decode().splitlines()[1:]]
    said = {one.code: places[1] for one in lives if (places := one.column(period.begins, period.ends))}
    assert {code: place for code, _, _, place in listed} == said


@pytest.mark.parametrize(
    ("ready", "due", "column"),
    [
        ("2026-04-10 00:00:00", "2026-04-10 17:00:00", "on_time"),
        ("2026-04-09 23:59:59", "2026-04-10 17:00:00", "early"),
        ("2026-04-10 17:00:00", "2026-04-10 17:00:00", "on_time"),
        ("2026-04-10 17:00:01", "2026-04-10 17:00:00", "late"),
        ("2026-04-10 00:30:00", "2026-04-10 23:59:59", "on_time"),
        ("", "2026-04-15 00:00:00", "running"),
        ("", "2026-04-14 23:59:59", "running_late"),
    ],
)
def test_cert_21_the_promised_moment_itself_is_in_time_and_the_day_is_that_of_the_offices_clock(
    world: World, ready: str, due: str, column: str
) -> None:
    office = world.office()
    came, promised = datetime(2026, 4, 1, 9, tzinfo=HANOI), datetime.fromisoformat(f"{due}+07:00")
    life = Lived(f"{office}-260101-0001", "post", came, [(1, came), (2, came)], [(came, promised)])
    life.events += [(9, datetime.fromisoformat(f"{ready}+07:00"))] if ready else []
    put_lives(world, office, [life], until=FOREVER)
    found = whole(counted(office, "2026-04").figures)
    assert {k: v for k, v in found.figures().items() if v} == {"post": 1, column: 1}


def test_rep_03_what_is_open_at_the_end_of_a_period_is_brought_over_into_the_next(
    lived: tuple[str, list[Lived]],
) -> None:
    tallies = [whole(counted(lived[0], name).figures) for name in MONTHS]
    assert any(one.carried_over for one in tallies)
    for one, after in itertools.pairwise(tallies):
        assert after.carried_over == one.in_progress + one.standing_still
    quarter = whole(counted(lived[0], "2026-Q2").figures)
    april_to_june = tallies[MONTHS.index("2026-04") :][:3]
    assert quarter.processed == sum(one.processed for one in april_to_june)
    assert quarter.in_period == sum(one.in_period for one in april_to_june)
    assert quarter.carried_over == april_to_june[0].carried_over


@pytest.mark.parametrize("name", ["2026-04", "2026-Q1"])
def test_rep_10_later_acts_change_nothing_of_a_period_that_is_over(world: World, name: str) -> None:
    office = world.office()
    lives = make_lives(office, 120, seed=9)
    put_lives(world, office, lives, until=period_named(name, CUT_OFF).ends)
    then = counted(office, name)
    put_lives(world, office, lives, until=FOREVER)
    later = counted(office, name)
    assert later.canonical == then.canonical
    assert later.dossiers == then.dossiers
    assert whole(then.figures).in_progress, "there was something that could have changed"


def test_the_plot_shows_the_same_months_as_the_monthly_reports(lived: tuple[str, list[Lived]]) -> None:
    shown = {month["name"]: month for month in counted(lived[0], "2026-Q2").figures["months"]}
    assert len(shown) == 12
    for name in MONTHS[:5]:
        tally = whole(counted(lived[0], name).figures)
        assert (shown[name]["in_time"], shown[name]["late"]) == (tally.early + tally.on_time, tally.late)


def test_rep_05_results_are_counted_by_the_ways_they_went(lived: tuple[str, list[Lived]]) -> None:
    office, lives = lived
    period = period_named("2026-Q2", CUT_OFF)
    returned = [
        one for one in lives for code, at in one.events if code == 10 and period.begins <= at < period.ends
    ]
    expected = Counter("+".join(sorted(one.ways)) for one in returned)
    assert counted(office, "2026-Q2").figures["results"] == {office: dict(expected)}


def test_rep_10_a_report_is_made_once_and_counted_the_same_again(
    world: World, lived: tuple[str, list[Lived]]
) -> None:
    office, _ = lived
    first = world.type("report", "make", office, "2026-03", "--json", by="thu")
    assert first.code == 0, first.err
    again = world.type("report", "make", office, "2026-03", "--json", by="thu")
    assert again.json == first.json
    number = first.json["number"]
    with world.as_(office, "thu"):
        checked = world.type("report", "check", number, "--json")
    assert checked.json == {"number": number, "same": True, "differing": []}
    with services().database.transaction() as session:
        row = look_report(session, number)
        papers = {kind: paper_of_report(session, number, kind) for kind in ("workbook", "page")}
    workbook, page = (read_paper(papers[kind]) for kind in ("workbook", "page"))  # type: ignore[arg-type]
    assert report_workbook(row, row.made_at) == workbook, "the same figures give the same bytes"
    with services().database.transaction() as session:
        from tasks.dossier.looking import office_of

        assert report_page(row, office_of(session, office), row.made_at) == page
    assert sum(e["event"] == "report:made" for e in world.told(office)) == 1


def test_rep_10_a_report_that_does_not_count_the_same_again_says_where(
    world: World, lived: tuple[str, list[Lived]]
) -> None:
    office, lives = lived
    number = make_report(office, "2026-05", by=world.officer(office, "thu", "supervisor")).number or 0
    one = next(one for one in lives if one.column(*_span("2026-05")) and one.events[-1][0] == 10)
    world.put(
        "update dossier set came_by = 'post', received_at = received_at - interval '70 days' where code = :c",
        c=one.code,
    )
    found = check_report(number, by=world.officer(office, "thu", "supervisor"))
    with world.as_(office, "thu"):
        said = world.type("report", "check", number)
    world.put(
        "update dossier set came_by = :by, received_at = :at where code = :c",
        c=one.code,
        by=one.channel,
        at=one.received,
    )
    assert (found.same, found.differing) == (False, ("lines",))
    assert (said.code, "differs in: lines" in said.out) == (5, True)


def _span(name: str) -> tuple[datetime, datetime]:
    period = period_named(name, CUT_OFF)
    return period.begins, period.ends


def test_rep_10_a_report_cannot_be_changed_or_taken_away(
    world: World, lived: tuple[str, list[Lived]]
) -> None:
    make_report(lived[0], "2026-03", by=world.officer(lived[0], "thu", "supervisor"))
    for statement in ("update report set figures = '{}'", "delete from report", "delete from promised_time"):
        with pytest.raises(Exception, match=r"denied|rewritten"):
            world.put(statement)


def test_rep_10_a_period_that_is_not_over_has_a_preview_and_no_report(world: World) -> None:
    office = world.office()
    world.received(office)
    said = world.type("report", "make", office, "2099", by="thu")
    assert (said.code, "REP-10" in said.err) == (1, True)
    so_far = world.type("report", "preview", office, this_year(), "--json", by="thu")
    assert so_far.json["lines"][0]["running"] == 1, so_far.err
    assert world.type("report", "preview", office, "2099", by="thu").code == 1, "it has not begun"
    assert world.ask("select count(*) from report where office = :o", o=office)[0][0] == 0


def test_auth_06_only_those_who_may_make_and_read_reports_and_every_office_needs_a_role_everywhere(
    world: World, lived: tuple[str, list[Lived]]
) -> None:
    office, _ = lived
    assert world.type("report", "make", office, "2026-03", by="mai").code == 1
    assert world.type("report", "make", office, "2026-03", "--every-office", by="thu").code == 1
    number = make_report(office, "2026-03", by=world.officer(office, "thu", "supervisor")).number
    other = world.office()
    with world.as_(other, "kiem"):
        assert world.type("report", "show", number).code == 1
        assert world.type("report", "list", "--json").json == []
    with world.as_(office, "kiem"):
        assert world.type("report", "show", number, "--json").json["period"]["name"] == "2026-03"
        assert number in [one["number"] for one in world.type("report", "list", "--json").json]


def test_what_an_office_did_is_in_its_preview(world: World) -> None:
    office = world.office()
    online = world.booked(office)
    world.signed(office, originals=2, copies=2)
    waiting = world.received(office)
    world.put("update dossier set due_at = now() - interval '1 day' where code = :c", c=waiting)
    found = world.type("report", "preview", office, this_year(), "--json", by="thu").json
    tally = whole(found)
    assert (tally.counter, tally.portal, tally.processed, tally.running_late) == (2, 0, 1, 1)
    assert online not in json.dumps(found), "booked is not received"
    assert {one["kind"]: (one["cases"], one["copies"]) for one in found["certified"]} == {
        "Giấy 1": (1, 2),
        "Giấy 2": (1, 2),
    }
    assert found["fees"] == {office: sum(one["fee"] for one in found["certified"]) + 2000}
    assert found["signatures"] == {office: {"official": 2, "agency": 2}}


def test_rep_02_how_a_dossier_came_is_kept(world: World) -> None:
    office = world.office()
    over_portal, at_counter = world.booked(office), world.received(office)
    assert world.dossier(over_portal).came_by == "portal"
    assert world.dossier(at_counter).came_by == "counter"


def test_the_workbook_holds_numbers_and_the_page_names_units_and_no_persons(
    world: World, lived: tuple[str, list[Lived]], tmp_path: Path
) -> None:
    office, _ = lived
    number = make_report(office, "2026-H1", by=world.officer(office, "thu", "supervisor")).number
    out = tmp_path / "bao-cao.xlsx"
    with world.as_(office, "thu"):
        assert world.type("report", "show", number, "--out", out).code == 0
    sheet = openpyxl.load_workbook(io.BytesIO(out.read_bytes()))["Hồ sơ"]
    rows = [[cell.value for cell in row] for row in sheet.iter_rows(min_row=4)]
    tally = whole(counted(office, "2026-H1").figures)
    assert rows[0][:3] == ["Tổng số", tally.received, tally.carried_over]
    assert isinstance(rows[0][1], int)
    pdf = tmp_path / "bao-cao.pdf"
    with world.as_(office, "thu"):
        assert world.type("report", "show", number, "--out", pdf).code == 0
    text = subprocess.run(
        ["pdftotext", "-layout", pdf, "-"], capture_output=True, text=True, check=True
    ).stdout
    assert "6 tháng đầu năm 2026 (từ ngày 15/12/2025 đến ngày 14/06/2026)" in text
    assert "Ủy ban nhân dân xã Thử Nghiệm" in text
    assert "Trần Thị Sen" not in text


def test_sig_16_a_report_is_sealed_once_by_the_agency(
    world: World, lived: tuple[str, list[Lived]], tmp_path: Path
) -> None:
    office, _ = lived
    row = make_report(office, "2026-06", by=world.officer(office, "thu", "supervisor"))
    number = row.number or 0
    signer = world.signer(office, "seal")
    assert seal_report(number, signer)
    calls = signer.token.calls
    assert not seal_report(number, signer), "twice is once"
    assert signer.token.calls == calls
    events = [e["event"] for e in world.told(office) if e.get("period") == "2026-06"]
    assert events == ["report:made", "report:signature-intended", "report:signature-done"]
    pdf = tmp_path / "signed.pdf"
    pdf.write_bytes(read_report(row, ".pdf"))
    said = subprocess.run(["pdfsig", "-nocert", pdf], capture_output=True, text=True, check=False).stdout
    assert "Signature is Valid" in said


def test_a_process_that_died_after_storing_the_seal_is_finished_without_the_token(
    world: World, lived: tuple[str, list[Lived]]
) -> None:
    office, _ = lived
    number = make_report(office, "2026-07", by=world.officer(office, "thu", "supervisor")).number or 0
    signer = world.signer(office, "seal")
    task = sealing._intend(number, signer)
    assert task is not None
    made = once._make(sealing._once(task, signer), signer, read_paper(task.page))
    services().work.put_first(task.key, made, content_type="application/pdf")
    calls = signer.token.calls
    assert seal_report(number, signer)
    assert signer.token.calls == calls, "what was stored is found"


def test_a_file_that_was_changed_in_the_store_is_broken(world: World, lived: tuple[str, list[Lived]]) -> None:
    row = make_report(lived[0], "2026-04", by=world.officer(lived[0], "thu", "supervisor"))
    row.dossiers_sha256 = "0" * 64
    with pytest.raises(Broken, match="not what was kept"):
        read_report(row, ".csv")


def test_the_database_itself_keeps_what_was_promised_and_paid(world: World) -> None:
    office = world.office()
    code = world.received(office)
    due = world.dossier(code).due_at
    assert due is not None
    world.put("update dossier set due_at = :t where code = :c", t=due + timedelta(days=1), c=code)
    world.put("update dossier set examiner = 'x' where code = :c", c=code)
    promised = [
        row[0] for row in world.ask("select due_at from promised_time where subject = :c order by id", c=code)
    ]
    assert promised == [due, due + timedelta(days=1)]
    paid = world.ask("select amount from fee_taken where dossier = :c", c=code)
    assert [row[0] for row in paid] == [2000]


def test_rep_10_by_night_what_is_over_and_not_sealed_is_due_once(
    world: World, lived: tuple[str, list[Lived]]
) -> None:
    office, empty = lived[0], world.office()
    today = services().clock.now().astimezone(HANOI) - timedelta(hours=1)
    name = last_over(Kind.MONTH, today.date(), CUT_OFF).name
    chosen = world.settings.model_copy(update={"report_kinds": "month", "report_office": office})
    with world.having(settings=chosen):
        due = [one for one in due_reports() if one[0] in (office, empty)]
        assert due == [(office, name, False), (office, name, True)], (
            "who has received nothing reports nothing"
        )
        number = make_report(office, name, by=SYSTEM).number or 0
        assert (office, name, False) in due_reports(), "it is not sealed yet"
        assert seal_report(number, world.signer(office, "seal"))
        assert [one for one in due_reports() if one[0] == office] == [(office, name, True)]
        every = make_report(office, name, by=SYSTEM, every_office=True)
        assert (every.about, every.office, every.number != number) == ("*", office, True)
    with (
        world.having(settings=chosen.model_copy(update={"report_kinds": "fortnight"})),
        pytest.raises(Forbidden, match="no kind of period"),
    ):
        due_reports()


def test_rep_09_units_are_counted_by_the_deadline_that_was_set_then(world: World) -> None:
    office, code = world.office(), "dot-2026-04"
    deadline, later = datetime(2026, 4, 10, 17, tzinfo=HANOI), datetime(2026, 5, 1, 17, tzinfo=HANOI)
    answers = {"a": deadline, "b": deadline + timedelta(hours=1), "c": later, "d": None}
    with world.owner() as connection, connection.cursor() as cursor:
        cursor.execute("set session_replication_role = replica")
        cursor.execute(
            "insert into registration_round (code, office, body, forms, deadline, opened_at) values (%s, %s, '{}', '{}', %s, %s)",
            (code, office, deadline, deadline - timedelta(days=9)),
        )
        cursor.execute(
            "insert into promised_time (subject, at, due_at) values ('registration/' || %s, %s, %s)",
            (code, deadline - timedelta(days=9), deadline),
        )
        for place, (unit, answered) in enumerate(answers.items()):
            cursor.execute(
                "insert into registration_unit (round, code, place, name, mailbox, managed_by, nothing, answered_at, added_at)"
                " values (%s, %s, %s, 'x', '', '', false, %s, %s)",
                (code, unit, place, answered, deadline - timedelta(days=9)),
            )
        connection.commit()
    then = counted(office, "2026-04")
    assert then.figures["registration"]["rounds"] == {
        code: {"units": 4, "in_time": 1, "late": 1, "missing": 2}
    }
    world.put("update registration_round set deadline = now() where code = :c", c=code)
    world.put(
        "insert into registration_unit (round, code, place, name, mailbox, managed_by, nothing)"
        " values (:c, 'e', 9, 'x', '', '', false)",
        c=code,
    )
    assert counted(office, "2026-04").canonical == then.canonical, "what came later changes nothing"
    assert counted(office, "2026-05").figures["registration"]["rounds"] == {}
