"""What is kept stays: nothing is destroyed before its date, under a hold, or without two persons and a decision (ARC-04)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from infra.errors import Broken, Forbidden
from infra.object_store import Absent
from infra.object_store.memory import MemoryStore
from infra.services import services, using
from tasks.archival import destruction, steps
from tasks.archival.holding import is_unsettled, settle_hold
from tasks.dossier.holds import must_not_be_held
from tasks.dossier.looking import hold
from tests.world import VECTORS, World

REASON = str(VECTORS / "reason.txt")


class Later:
    """The clock of a store in which the years have passed."""

    def __init__(self, world: World) -> None:
        self.world, self.ahead = world, timedelta()

    def now(self) -> Any:
        return self.world.parts.clock.now() + self.ahead


class Shelf:
    """An office with archived dossiers, in a store whose clock tests may put forward."""

    def __init__(self, world: World, count: int) -> None:
        self.world, self.clock = world, Later(world)
        self.store = MemoryStore(clock=self.clock)
        steps.store_is_safe.cache_clear()
        with self.archive():
            with world.owner() as connection:
                connection.execute("update history_checkpoint set version_id = null, key = null")
            self.office = world.office()
            self.codes = [self._archived() for _ in range(count)]
        steps.store_is_safe.cache_clear()

    def _archived(self) -> str:
        code = self.world.signed(self.office)
        self.world.carry(code)
        assert self.world.type("archive", code).code == 0
        self.world.carry(code)
        assert self.world.stage(code) == "Archived"
        return code

    def archive(self) -> Any:
        return self.world.having(archive=self.store)

    def years_pass(self, *codes: str) -> None:
        """Let the retention of some dossiers end, in the database and in the store."""
        self.clock.ahead = timedelta(days=366 * 25)
        for table in ("package", "archived_object"):
            self.world.put(
                f"update {table} set retain_until = clock_timestamp() - interval '1 day' where dossier = any(:c)",
                c=list(codes),
            )

    def objects(self, code: str) -> list[Any]:
        return self.world.ask("select * from archived_object where dossier = :d order by id", d=code)

    def still(self, code: str) -> int:
        """Return how many of a dossier's versions the store still has."""
        found = 0
        for row in self.objects(code):
            try:
                found += bool(self.store.get(row.key, version_id=row.version_id))
            except Absent:
                continue
        return found


@pytest.fixture(scope="module")
def shelf(running_world: World) -> Iterator[Shelf]:
    with using(running_world.parts):
        yield Shelf(running_world, 3)


def said(world: World, *words: object, by: str = "thu") -> Any:
    done = world.type(*words, "--json", by=by)
    assert done.code == 0, done.err
    return done.json


def test_a_hold_reaches_every_object_is_shown_and_is_let_go_again(shelf: Shelf, world: World) -> None:
    code = shelf.codes[0]
    with shelf.archive():
        assert said(world, "hold", "place", code, "--why", REASON) == {"code": code, "placed": True}
        assert said(world, "hold", "place", code, "--why", REASON)["placed"] is False
        assert is_unsettled(code)
        world.carry(code)
        assert all(row.held for row in shelf.objects(code))
        assert all(shelf.store.measure(r.key, r.version_id).stored.held for r in shelf.objects(code))
        shown = said(world, "show", code)
        assert shown["hold"]["reason"] == Path(REASON).read_text(encoding="utf-8").strip()
        assert all(o["held"] for o in shown["objects"])
        with services().database.transaction() as session, pytest.raises(Forbidden) as refusal:
            must_not_be_held(session, hold(session, code).code, "erased")
        assert refusal.value.rule == "ARC-HOLD"
        assert said(world, "hold", "release", code, "--why", REASON)["released"]
        world.carry(code)
        assert not any(shelf.store.measure(r.key, r.version_id).stored.held for r in shelf.objects(code))
        assert said(world, "show", code)["hold"] is None
    last = [e for e in world.events(code) if e.startswith("hold:")]
    assert last == ["hold:placed", "hold:kept", "hold:released", "hold:lifted"]
    entries = json.dumps(world.told(code), ensure_ascii=False)
    assert Path(REASON).read_text(encoding="utf-8").strip() not in entries, "reasons stay out of the entries"


def test_a_store_that_takes_the_order_and_does_not_keep_it_is_not_believed(
    shelf: Shelf, world: World
) -> None:
    class Deaf:
        def __getattr__(self, name: str) -> Any:
            return getattr(shelf.store, name)

        def keep_held(self, key: str, version_id: str, *, held: bool) -> None:
            """Say yes and do nothing."""

    code = shelf.codes[0]
    with shelf.archive():
        said(world, "hold", "place", code, "--why", REASON)
    with world.having(archive=Deaf()), pytest.raises(Broken, match="did not"):
        settle_hold(code)
    assert not any(row.held for row in shelf.objects(code))
    with shelf.archive():
        said(world, "hold", "release", code, "--why", REASON)
        assert settle_hold(code) == 0


def test_a_hold_needs_a_reason_and_only_a_supervisor_places_it(
    shelf: Shelf, world: World, tmp_path: Path
) -> None:
    empty = tmp_path / "empty"
    empty.write_text(" \n", encoding="utf-8")
    done = world.type("hold", "place", shelf.codes[0], "--why", empty, by="thu")
    assert (done.code, "[ARC-HOLD]" in done.err) == (1, True)
    done = world.type("hold", "place", shelf.codes[0], "--why", REASON, by="mai")
    assert (done.code, "[AUTH-06]" in done.err) == (1, True)


def test_arc_04_nothing_is_listed_before_its_date(shelf: Shelf, world: World) -> None:
    with shelf.archive():
        done = world.type("destruction", "list", shelf.office, by="mai")
    assert (done.code, "[ARC-04]" in done.err) == (1, True)


@pytest.fixture(scope="module")
def over(shelf: Shelf, running_world: World) -> dict[str, Any]:
    """Three dossiers whose time is over, one of them held and one held later: all that becomes of a list."""
    world = running_world
    due, held, later = shelf.codes
    found: dict[str, Any] = {"due": due, "held": held, "later": later}
    with using(world.parts), shelf.archive():
        shelf.years_pass(due, held, later)
        said(world, "hold", "place", held, "--why", REASON)
        settle_hold(held)
        world.put("update package set permanent = true where dossier = :d", d=later)
        found["without the permanent"] = said(world, "destruction", "list", shelf.office, by="mai")
        world.put("update package set permanent = false where dossier = :d", d=later)
        found["list"] = said(world, "destruction", "list", shelf.office, by="mai")
        found["again"] = said(world, "destruction", "list", shelf.office, by="mai")
        digest = found["list"]["digest"]
        found["early"] = world.type("destruction", "carry-out", digest, by="mai")
        found["no number"] = world.type("destruction", "approve", digest, "--decision", " ", by="thu")
        found["approved"] = said(world, "destruction", "approve", digest, "--decision", "12/QĐ-UBND")
        found["other"] = world.type("destruction", "approve", digest, "--decision", "13/QĐ-UBND", by="thu")
        said(world, "hold", "place", later, "--why", REASON)
        real = shelf.store.destroy
        left = [5]

        def dies(key: str, version_id: str) -> None:
            if left[0] == 0:
                raise KeyboardInterrupt
            left[0] -= 1
            real(key, version_id)

        shelf.store.destroy = dies  # type: ignore[method-assign]
        with pytest.raises(KeyboardInterrupt):
            destruction.carry_out(digest, by=world.officer(shelf.office, "mai"))
        shelf.store.destroy = real  # type: ignore[method-assign]
        found["half"] = shelf.still(due), len(shelf.objects(due))
        found["done"] = said(world, "destruction", "carry-out", digest, by="mai")
        found["twice"] = said(world, "destruction", "carry-out", digest, by="mai")
        return found


def test_arc_04_the_list_names_what_is_over_and_neither_held_nor_kept_for_ever(over: dict[str, Any]) -> None:
    assert [line["dossier"] for line in over["list"]["dossiers"]] == sorted([over["due"], over["later"]])
    assert over["again"] == over["list"], "the same dossiers are the same list"
    assert [line["dossier"] for line in over["without the permanent"]["dossiers"]] == [over["due"]]


def test_arc_04_two_persons_and_a_decision_are_needed(
    over: dict[str, Any], shelf: Shelf, world: World
) -> None:
    for name in ("early", "no number", "other"):
        assert (over[name].code, "[ARC-04]" in over[name].err) == (1, True), name
    assert over["approved"]["decision"] == "12/QĐ-UBND"
    with shelf.archive():
        world.put("update legal_hold set released_at = clock_timestamp() where dossier = :d", d=over["held"])
        drawn = said(world, "destruction", "list", shelf.office, by="thu")
        own = world.type("destruction", "approve", drawn["digest"], "--decision", "14/QĐ-UBND", by="thu")
        said(world, "hold", "place", over["held"], "--why", REASON)
    assert (own.code, "does not approve it" in own.err) == (1, True)


def test_what_was_destroyed_is_gone_and_what_was_held_meanwhile_stays(
    over: dict[str, Any], shelf: Shelf, world: World
) -> None:
    there, of = over["half"]
    assert 0 < there < of
    lines = {line["dossier"]: line for line in over["done"]["dossiers"]}
    assert lines[over["due"]]["destroyed_at"]
    assert lines[over["later"]]["left_out"] == "a legal hold"
    assert shelf.still(over["due"]) == 0
    for name in ("held", "later"):
        assert shelf.still(over[name]) == len(shelf.objects(over[name])) > 10
    assert over["twice"] == over["done"]
    events = world.events(over["due"])
    assert [e for e in events if "destroy" in e] == [
        "dossier:destroying",
        "dossier:destroying",
        "dossier:destroyed",
    ]
    assert world.events(over["later"])[-1] == "dossier:kept"
    with shelf.archive():
        done = world.type("evidence", over["due"])
    assert (done.code, "[ARC-05]" in done.err) == (1, True)


def test_the_certificate_lies_locked_in_the_archive_and_is_in_the_history(
    over: dict[str, Any], shelf: Shelf, world: World
) -> None:
    key = over["done"]["certificate_key"]
    (kept,) = world.ask("select * from kept_object where key = :k", k=key)
    stored, content = shelf.store.read_back(key, kept.version_id)
    assert (stored.mode, stored.sha256) == ("COMPLIANCE", kept.sha256)
    minutes = json.loads(content)
    assert minutes["quyetDinh"] == "12/QĐ-UBND"
    assert minutes["lapDanhSach"]["boi"] != minutes["pheDuyet"]["boi"]
    assert {line["maHoSo"]: line["giuLaiVi"] for line in minutes["hoSo"]} == {
        over["due"]: None,
        over["later"]: "a legal hold",
    }
    told = [e for e in world.told(shelf.office) if e["event"].startswith("destruction:")]
    told = [e for e in told if e["list"] == over["list"]["digest"]]
    assert [e["event"] for e in told] == [
        "destruction:listed", "destruction:approved", "destruction:begun", "destruction:certified",
    ]  # fmt: skip
    assert told[3]["doc"]["sha256"] == kept.sha256
    assert (told[3]["destroyed"], told[3]["kept"]) == (1, 1)


def test_arc_04_the_store_itself_keeps_what_the_rows_would_let_go(
    shelf: Shelf, world: World, over: dict[str, Any]
) -> None:
    shelf.clock.ahead = timedelta()  # For the store no year has passed.
    code = over["later"]
    with shelf.archive():
        said(world, "hold", "release", code, "--why", REASON)
        settle_hold(code)
        drawn = said(world, "destruction", "list", shelf.office, by="mai")
        assert [line["dossier"] for line in drawn["dossiers"]] == [code]
        said(world, "destruction", "approve", drawn["digest"], "--decision", "15/QĐ-UBND")
        done = world.type("destruction", "carry-out", drawn["digest"], by="mai")
    assert (done.code, "the store keeps" in done.err) == (5, True)
    assert shelf.still(code) == len(shelf.objects(code))
    assert (
        world.ask("select 1 from archived_object where dossier = :d and destroyed_at is not null", d=code)
        == []
    )
