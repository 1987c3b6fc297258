"""The board says what the database says: by office and stage, late first, and only what may be seen."""

from __future__ import annotations

import csv
import io
import json
from datetime import datetime, time, timedelta

from flows.boards import render_board, render_day
from infra.environment import export
from infra.services import services
from tasks.batches.records import offices
from tasks.dossier.calendar import local
from tasks.health.inside import look_at_offices
from tasks.health.rules import State
from tasks.people.acting import scope
from tasks.supervision.awaiting import read_awaited
from tasks.supervision.board import Board, open_as_csv, read_board
from tasks.supervision.day import day_sheet
from tests.world import World, somebody


def look(world: World, office: str) -> Board:
    with services().database.transaction() as session:
        return read_board(session, office=office)


def test_the_board_counts_what_is_open_and_names_what_is_late_first(world: World) -> None:
    office = world.office()
    booked, fine, near, late = world.booked(office), *(world.received(office) for _ in range(3))
    gone = world.booked(office)
    assert world.type("cancel", gone).code == 0
    for code, hours in ((fine, 99), (near, 2), (late, -1)):
        world.put("update dossier set due_at = now() + :t where code = :c", t=timedelta(hours=hours), c=code)
    board = look(world, office)
    assert (board.open, board.late, board.near) == (4, 1, 1)
    assert [(n.code, str(n.pace)) for n in board.named] == [(late, "late"), (near, "nearly late")]
    assert {str(c.stage): c.open for c in board.counts} == {"Booked": 1, "Received": 3}
    with services().database.transaction() as session:
        awaited = read_awaited(session, office=office)
    page = render_board(board, awaited, listed="board/x.csv", page="http://ui")
    first, *_ = page.splitlines()
    assert first.startswith(f"**As of {local(board.at):%Y-%m-%d}")
    assert "1 late" in first
    assert page.index(late) < page.index(near)
    assert fine not in page
    with services().database.transaction() as session:
        text = b"".join(open_as_csv(session, office=office)).decode("utf-8-sig")
    rows = {row["dossier"]: row for row in csv.DictReader(io.StringIO(text))}
    assert set(rows) == {booked, fine, near, late}
    assert (rows[late]["pace"], rows[near]["pace"], rows[fine]["pace"], rows[booked]["pace"]) == (
        "late", "nearly late", "in time", "",
    )  # fmt: skip
    assert somebody().name not in text + page


def test_an_office_whose_data_cannot_be_read_keeps_no_other_from_its_board_and_its_batches(
    world: World,
) -> None:
    fine, broken = world.office(), world.office()
    code = world.received(broken)
    world.put("update dossier set due_at = now() + interval '2 hours' where code = :c", c=code)
    body = world.ask("select body from office where code = :o", o=broken)[0][0]
    world.put("update office set body = body - 'name' where code = :o", o=broken)
    try:
        board = look(world, broken)
        page = render_board(board, (), listed="board/x.csv", page="http://ui")
        known = {office.code for office in offices()}
        found = look_at_offices()
        refused = world.type("batch", "run", "certification", "--office", broken, "--dry-run", by="thu")
    finally:
        world.put("update office set body = cast(:b as jsonb) where code = :o", b=json.dumps(body), o=broken)
    assert [one.code for one in board.named] == [code]
    assert f"**The data of {broken} cannot be read**" in page
    assert fine in known
    assert (found.state, f"the data of {broken} cannot be read") == (State.FAILING, found.cause)
    assert (refused.code, refused.out) == (1, "")
    assert f"the data of {broken} cannot be read" in refused.err
    assert look_at_offices().state is State.OK
    assert broken not in known


def test_what_is_waited_for_is_counted_by_age_and_linked_to_its_runs(world: World) -> None:
    office = world.office()
    codes = [world.received(office) for _ in range(5)]
    for code, days in zip(codes, (0, 3, 3, 20, 90), strict=True):
        world.put(
            "update dossier set opened_at = now() - :t, shown = 'PAUSED|AwaitingSignature|waits for ha' where code = :c",
            t=timedelta(days=days),
            c=code,
        )
    booked = world.booked(office)
    with services().database.transaction() as session:
        board, awaited = read_board(session, office=office), read_awaited(session, office=office)
    assert [(one.waits_for, one.open, one.by_age) for one in awaited] == [
        ("AwaitingSignature", 5, (1, 2, 1, 1)),
        ("Booked", 1, (1, 0, 0, 0)),
    ]
    page = render_board(board, awaited, listed="board/x.csv", page="http://ui")
    assert "[AwaitingSignature](http://ui/runs?state=AwaitingSignature&" in page
    assert booked not in page
    said = world.type("board", "--json", "--office", office)
    assert said.json["awaited"][0] == {"waits_for": "AwaitingSignature", "open": 5, "by_age": [1, 2, 1, 1]}


def test_at_most_two_hundred_are_named(world: World) -> None:
    office = world.office()
    one = world.received(office)
    world.put(
        "insert into dossier select (jsonb_populate_record(d, jsonb_build_object('code', d.code || '-' || n, 'due_at',"
        " now() - n * interval '1 minute'))).* from dossier d, generate_series(1, 250) n where d.code = :c",
        c=one,
    )
    board = look(world, office)
    assert board.late == 250
    assert len(board.named) == 200
    assert board.named[0].code == f"{one}-250", "the longest late first"
    world.put("delete from dossier where code like :c", c=f"{one}-%")


def test_auth_06_the_board_shows_what_the_person_may_see(world: World) -> None:
    mine, other = world.office(), world.office()
    world.received(mine), world.received(other)
    with services().database.transaction() as session:
        seen = scope(session, world.officer(mine), "board")
        board = read_board(session, seen=seen)
    assert {count.office for count in board.counts} == {mine}
    said = world.type("board", "--json", "--office", mine)
    assert said.code == 0, said.err
    assert {c["office"] for c in said.json["counts"]} == {mine}
    assert world.type("board", "--office", other, by=None).code == 1


def test_the_day_sheet_lists_seats_by_hour(world: World) -> None:
    office = world.office()
    first, second = world.booked(office), world.booked(office)
    cancelled = world.booked(office)
    assert world.type("cancel", cancelled).code == 0
    begins = world.ask("select starts_at from appointment where dossier = :c", c=first)[0][0]
    with services().database.transaction() as session:
        hours = [hour for hour in day_sheet(session, local(begins).date()) if hour.office == office]
    assert {code for hour in hours for code in hour.codes} == {first, second}
    assert all(hour.capacity == 60 for hour in hours)
    page = render_day(datetime.combine(local(begins).date(), time(6, 30)), hours, page="http://ui")
    assert first in page
    assert cancelled not in page
    assert somebody().name not in page


def test_the_whole_list_is_kept_anew_each_time_in_the_place_of_the_days_older_one(world: World) -> None:
    export("PREFECT_HOME", str(world.root / "prefect-client"))
    from flows.supervision import _read

    _, _, before = _read()
    code = world.received(world.office())
    _, _, after = _read()
    assert world.parts.work.keys("board/") == [after] != [before]
    assert code in world.parts.work.get(after).decode()
