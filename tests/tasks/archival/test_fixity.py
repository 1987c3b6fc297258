"""The archive is read again: nothing escapes, nothing is alarmed about, all of it within the days that were promised."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.errors import Unavailable
from infra.history import leaf_hash
from infra.history.rereading import BLOCK, first_bad_in
from infra.object_store.memory import Fault, MemoryStore
from infra.services import services, using
from tasks.archival import steps
from tasks.archival.checkpoints import keep_checkpoint
from tasks.archival.fixity import Finding, read_archive
from tasks.archival.locks import renew_locks
from tasks.archival.rules import Compared, Expected, differences, share_of
from tests.world import World

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
ONE = Expected(
    key="archive/a",
    version="v",
    sha256="aa",
    size=2,
    mode="COMPLIANCE",
    retain_until=NOON,
    held=True,
    dossier=None,
)
SAME = {"sha256": "aa", "size": 2, "mode": "COMPLIANCE", "retain_until": NOON, "held": True, "newest": True}


class Kept:
    """A dossier in an archive of its own that tests may damage, on the double that ships beside the adapter."""

    def __init__(self, world: World) -> None:
        self.world, self.store = world, MemoryStore()
        steps.store_is_safe.cache_clear()
        with self.archive():
            # What other tests keep lies in another store.
            world.put(
                "update archived_object set destroyed_at = clock_timestamp() where destroyed_at is null"
            )
            with world.owner() as connection:
                connection.execute("delete from kept_object")
                connection.execute("update history_checkpoint set version_id = null, key = null")
            self.code = world.signed(world.office())
            world.carry(self.code)
            assert world.type("archive", self.code).code == 0
            world.carry(self.code)
            assert world.stage(self.code) == "Archived"
        steps.store_is_safe.cache_clear()

    def archive(self) -> Any:
        return self.world.having(archive=self.store)

    def row(self, name: str) -> Any:
        found = self.world.ask("select * from archived_object where dossier = :d", d=self.code)
        return next(row for row in found if row.key.endswith(name))


@pytest.fixture(scope="module")
def kept(running_world: World) -> Iterator[Kept]:
    with using(running_world.parts):
        yield Kept(running_world)


def told(world: World) -> list[dict[str, Any]]:
    """What the history says of reading the archive."""
    rows = world.ask(
        "select entry from history_entry where convert_from(entry, 'UTF8') like '%\"fixity:%' order by position"
    )
    return [json.loads(bytes(row.entry)) for row in rows]


@given(st.integers(1, 10**9), st.integers(2, 400))
def test_all_of_an_archive_is_read_within_the_days_and_a_third_of_them_is_to_spare(
    total: int, days: int
) -> None:
    share = share_of(total, days)
    assert share * days >= total
    assert share * -(-2 * days // 3) >= total
    assert share * days <= 3 * total + 3 * days, "and no more than that"


@pytest.mark.parametrize(
    ("changed", "what"),
    [
        ({}, []),
        ({"sha256": ""}, ["missing"]),
        ({"sha256": "ab"}, ["changed"]),
        ({"size": 1, "sha256": "cc"}, ["changed"]),
        ({"newest": False}, ["covered"]),
        ({"mode": "GOVERNANCE"}, ["unlocked"]),
        ({"mode": "", "retain_until": None}, ["unlocked"]),
        ({"retain_until": NOON - timedelta(seconds=1)}, ["unlocked"]),
        ({"retain_until": NOON + timedelta(days=1)}, []),
        ({"held": False}, ["let go"]),
    ],
)
def test_what_differs_has_a_name(changed: dict[str, Any], what: list[str]) -> None:
    now = Compared(**{**SAME, **changed})
    assert [name for name, _, _ in differences(ONE, now)] == what


def test_a_clean_archive_has_no_findings_and_everything_in_it_is_read(kept: Kept, world: World) -> None:
    with kept.archive():
        night = read_archive(everything=True)
        held = world.ask(
            "select (select count(*) from archived_object where destroyed_at is null)"
            " + (select count(*) from kept_object) - 1"  # the report of this run
        )[0][0]
        assert night.findings == ()
        assert night.objects == held > 15
        assert night.bytes > 100_000
        assert night.entries == pytest.approx(world.ask("select size from history_head")[0][0], abs=20)
        report = json.loads(kept.store.get(night.report))
    assert (report["objects"], report["bytes"], report["findings"]) == (night.objects, night.bytes, [])
    (stored,) = world.ask("select * from kept_object where key = :k", k=night.report)
    assert stored.mode == "COMPLIANCE"
    last = told(world)[-1]
    assert (last["event"], last["objects"], last["doc"]["sha256"]) == (
        "fixity:read",
        night.objects,
        stored.sha256,
    )


def found_by(kept: Kept) -> tuple[Finding, ...]:
    with kept.archive():
        return read_archive(everything=True).findings


@pytest.mark.parametrize("damage", ["a bit", "the end", "other bytes"])
def test_damage_behind_the_lock_is_named_with_key_version_expected_and_found(kept: Kept, damage: str) -> None:
    row = kept.row("documents/1-lifted-1-0.pdf")
    sound = kept.store.get(row.key, version_id=row.version_id)
    spoilt = {
        "a bit": sound[:-9] + bytes([sound[-9] ^ 1]) + sound[-8:],
        "the end": sound[:-1],
        "other bytes": b"%PDF-1.7",
    }
    kept.store.replace_content(row.key, row.version_id, spoilt[damage])
    try:
        (finding,) = found_by(kept)
        assert (finding.key, finding.version, finding.what) == (row.key, row.version_id, "changed")
        assert row.sha256 in finding.expected
        assert f"({len(spoilt[damage])} bytes)" in finding.found
        assert finding.dossier == kept.code
    finally:
        kept.store.replace_content(row.key, row.version_id, sound)
    assert found_by(kept) == ()


def test_an_object_that_somebody_wrote_over_or_deleted_is_named(kept: Kept) -> None:
    row = kept.row("/inventory.json")
    top = kept.store.put_on_top(row.key, b"{}")
    (finding,) = found_by(kept)
    assert (finding.key, finding.version, finding.what) == (row.key, row.version_id, "covered")
    kept.store.lose(row.key, top)
    sound = kept.store.get(row.key)
    kept.store.lose(row.key, row.version_id)
    (finding,) = found_by(kept)
    assert (finding.what, finding.found) == ("missing", "nothing")
    again = kept.store.put_locked(row.key, sound, content_type="", retain_until=row.retain_until)
    kept.world.put("update archived_object set version_id = :v where id = :i", v=again.version_id, i=row.id)
    assert found_by(kept) == ()


def test_a_finding_is_told_to_the_history_once_and_stays_in_every_report(kept: Kept, world: World) -> None:
    row = kept.row("metadata.json")
    sound = kept.store.get(row.key, version_id=row.version_id)
    kept.store.replace_content(row.key, row.version_id, sound + b" ")
    before = world.events(kept.code).count("fixity:found")
    assert [f.what for f in (*found_by(kept), *found_by(kept))] == ["changed", "changed"]
    entries = [e for e in world.told(kept.code) if e["event"] == "fixity:found"]
    assert len(entries) == before + 1
    assert (entries[-1]["key"], entries[-1]["version"], entries[-1]["from"]) == (
        row.key,
        row.version_id,
        "Archived",
    )
    kept.store.replace_content(row.key, row.version_id, sound)
    assert found_by(kept) == ()


def test_one_object_that_the_store_cannot_read_is_a_finding_and_a_silent_store_is_not(kept: Kept) -> None:
    row = kept.row("premis.xml")

    class Bad:
        """A store that answers for everything but one object."""

        def __getattr__(self, name: str) -> Any:
            return getattr(kept.store, name)

        def measure(self, key: str, version_id: str) -> Any:
            if key == row.key:
                raise Unavailable("the store answered 500")
            return kept.store.measure(key, version_id)

    with kept.world.having(archive=Bad()):
        (finding,) = read_archive(everything=True).findings
    assert (finding.key, finding.what) == (row.key, "unreadable")
    assert found_by(kept) == ()
    kept.store.fail_next("get", Fault.BEFORE, times=10_000)
    with kept.archive(), pytest.raises(Unavailable):
        read_archive(everything=True)
    kept.store._faults.clear()


def test_a_night_reads_its_share_least_recently_read_first_until_all_was_read(
    kept: Kept, world: World
) -> None:
    with kept.archive():
        everything = read_archive(everything=True).objects  # All of it was read now.
    settings = world.settings.model_copy(update={"fixity_days": 6, "checkpoint_seconds": 0})
    with world.having(archive=kept.store, settings=settings):
        nights = [read_archive() for _ in range(4)]
        total = world.ask("select sum(size) from archived_object where destroyed_at is null")[0][0]
    assert [night.findings for night in nights] == [()] * 4
    assert all(0 < night.objects < everything for night in nights)
    assert sum(night.bytes for night in nights) >= total
    oldest = "select min(r.read_at) from fixity_read r join archived_object using (key, version_id) where dossier = :d"
    assert (
        world.ask(oldest, d=kept.code)[0][0]
        > world.ask("select begun_at from fixity_run where id = :i", i=nights[0].run)[0][0]
    ), "all of it was read in two thirds of the days"


def test_the_flow_fails_naming_what_differs_and_leaves_an_artifact(
    kept: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    import asyncio

    from flows import upkeep

    shown: list[str] = []

    async def artifact(markdown: str, **_: Any) -> None:
        shown.append(markdown)

    monkeypatch.setattr(upkeep, "acreate_markdown_artifact", artifact)
    row = kept.row("history.jsonl")
    sound = kept.store.get(row.key, version_id=row.version_id)
    with kept.archive():
        kept.store.replace_content(row.key, row.version_id, sound[1:])
        kept.world.put("update fixity_read set read_at = '2020-01-01' where key = :k", k=row.key)
        kept.world.put("update archived_object set read_back_at = '2020-01-01' where key = :k", k=row.key)
        state = asyncio.run(upkeep.fixity.fn())
        kept.store.replace_content(row.key, row.version_id, sound)
    assert state.type.value == "FAILED"
    assert row.key in str(state.message)
    assert row.version_id in shown[0]


def test_arc_01_locks_of_what_is_kept_for_ever_are_renewed_before_they_end(kept: Kept, world: World) -> None:
    world.put("update package set permanent = true where dossier = :d", d=kept.code)
    with kept.archive():
        before = kept.row("metadata.json").retain_until
        assert renew_locks() == 0, "nothing ends within ten years"
        settings = world.settings.model_copy(update={"lock_renewal_days": 366 * 30})
        with world.having(archive=kept.store, settings=settings):
            renewed = renew_locks()
            assert renew_locks() == 0
    assert renewed == len(world.ask("select 1 from archived_object where dossier = :d", d=kept.code))
    row = kept.row("metadata.json")
    assert row.retain_until.year == before.year + 79
    assert kept.store.measure(row.key, row.version_id).stored.retain_until == row.retain_until
    assert found_by(kept) == ()


def test_standing_lists_are_read_again_and_their_locks_end_when_they_were_to_end(
    kept: Kept, world: World
) -> None:
    from tasks.issued.lists import make_list

    settings = world.settings.model_copy(update={"lock_renewal_days": 366 * 30})
    with world.having(archive=kept.store, settings=settings):
        listed = make_list()
        (row,) = world.ask("select * from standing_list where key = :k", k=listed.key)
        renew_locks()
    until = kept.store.measure(row.key, row.version_id).stored.retain_until
    assert until is not None
    assert until.year == world.parts.clock.now().year + 20, "a list is kept for its years, not for ever"
    sound = kept.store.get(row.key, version_id=row.version_id)
    kept.store.replace_content(row.key, row.version_id, sound[:-1])
    (finding,) = found_by(kept)
    assert (finding.key, finding.version, finding.what) == (row.key, row.version_id, "changed")
    kept.store.replace_content(row.key, row.version_id, sound)
    assert found_by(kept) == ()


def test_an_old_entry_that_its_owner_rewrote_is_named_although_the_next_checkpoint_is_signed(
    kept: Kept, world: World
) -> None:
    from infra.history.recording import record

    with services().database.transaction() as session:
        for n in range(BLOCK + 5):
            record(session, "filler", {"event": "test:written", "n": n})
    with kept.archive():
        keep_checkpoint()
    with services().database.transaction() as session:
        assert first_bad_in(session, 0) is None
    (row,) = world.ask("select position, entry, leaf_hash from history_entry where position = 77")
    forged = bytes(row.entry).replace(b'"v":1', b'"v":2')

    def put(entry: bytes, hashed: bytes) -> None:
        with world.owner() as connection:
            connection.execute("alter table history_entry disable trigger only_grows")
            change = "update history_entry set entry = %s, leaf_hash = %s where position = 77"
            connection.execute(change, (entry, hashed))
            connection.execute("alter table history_entry enable trigger only_grows")

    try:
        for hashed in (bytes(row.leaf_hash), leaf_hash(forged)):
            put(forged, hashed)
            with kept.archive():
                assert keep_checkpoint(), (
                    "the hashes that are kept over the block hide it from the checkpoint"
                )
            (finding,) = [f for f in found_by(kept) if f.what == "rewritten"]
            assert finding.key == "history/77"
            put(bytes(row.entry), bytes(row.leaf_hash))
            assert found_by(kept) == ()
    finally:
        put(bytes(row.entry), bytes(row.leaf_hash))


def test_the_command_says_what_was_read_and_ends_with_5_when_something_differs(kept: Kept) -> None:
    with kept.archive():
        said = kept.world.type("fixity", "--all", by=None)
        assert (said.code, "0 findings" in said.out, "MB/s" in said.out) == (0, True, True), said.err
        row = kept.row("metadata.json")
        sound = kept.store.get(row.key, version_id=row.version_id)
        kept.store.replace_content(row.key, row.version_id, b"{}")
        said = kept.world.type("fixity", "--all", by=None)
        kept.store.replace_content(row.key, row.version_id, sound)
    assert said.code == 5
    assert "changed" in said.out
