"""The history: entries whose bytes never change, positions without a gap, nothing that can be rewritten."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from itertools import pairwise
from typing import Any

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.history import GENESIS, Entry, commit_to, first_fault, leaf_hash, write_entry
from infra.history.recording import entries, head, record, told_together
from infra.services import services
from infra.settings import read_secret
from tasks.appointment.acts import cancel
from tests.world import VECTORS, World, somebody

VECTOR = json.loads((VECTORS / "history.json").read_text(encoding="utf-8"))


def chain(count: int = 6) -> list[Entry]:
    """Return a little history."""
    written: list[Entry] = []
    previous = GENESIS
    for position in range(count):
        moment = datetime(2026, 11, 23, 8, 0, position, tzinfo=UTC)
        facts = {"event": "x", "n": position}
        written.append(write_entry(log="hoso", position=position, previous=previous, at=moment, facts=facts))
        previous = written[-1].leaf_hash
    return written


class TestTheBytes:
    """Fixed from the first day (RFC 8785, RFC 9162 §2.1.1)."""

    @pytest.mark.parametrize("vector", VECTOR["entries"], ids=lambda vector: str(vector["position"]))
    def test_the_bytes_and_the_hash_of_an_entry_never_change(self, vector: dict[str, Any]) -> None:
        entry = write_entry(
            log=vector["log"],
            position=vector["position"],
            previous=bytes.fromhex(vector["previous"]),
            at=datetime.fromisoformat(vector["at"]),
            facts=vector["facts"],
        )
        assert entry.content == vector["entry"].encode()
        assert entry.leaf_hash.hex() == vector["leaf_hash"]
        assert hashlib.sha256(b"\x00" + vector["entry"].encode()).hexdigest() == vector["leaf_hash"]

    def test_the_vector_is_a_history_that_verifies(self) -> None:
        said = [
            Entry(
                position=v["position"], content=v["entry"].encode(), leaf_hash=bytes.fromhex(v["leaf_hash"])
            )
            for v in VECTOR["entries"]
        ]
        assert len(said) >= 3
        assert first_fault(iter(said)) is None

    def test_a_commitment_binds_content_and_salt(self) -> None:
        vector = VECTOR["commitment"]
        content, salt = vector["content"].encode(), bytes.fromhex(vector["salt"])
        assert commit_to(content, salt).hex() == vector["commitment"]
        assert commit_to(content + b" ", salt).hex() != vector["commitment"]
        assert commit_to(content, salt[::-1]).hex() != vector["commitment"]

    @pytest.mark.parametrize("name", ["v", "log", "seq", "prev", "at"])
    def test_a_fact_cannot_take_the_place_of_a_member_of_ours(self, name: str) -> None:
        with pytest.raises(ValueError, match=name):
            write_entry(log="x", position=0, previous=GENESIS, at=datetime.now(UTC), facts={name: 1})

    def test_the_same_moment_in_another_zone_is_the_same_entry(self) -> None:
        hanoi = datetime.fromisoformat("2026-11-23T15:00:00.5+07:00")
        one, two = (
            write_entry(log="x", position=0, previous=GENESIS, at=at, facts={})
            for at in (hanoi, hanoi.astimezone(UTC))
        )
        assert one == two
        assert b'"2026-11-23T08:00:00.500000Z"' in one.content

    @given(
        st.dictionaries(
            st.text(min_size=6), st.text() | st.integers(-(2**53) + 1, 2**53 - 1) | st.booleans() | st.none()
        )
    )
    def test_whatever_is_told_can_be_read_back_and_hashes_as_it_is_stored(
        self, facts: dict[str, Any]
    ) -> None:
        try:
            entry = write_entry(
                log="x", position=0, previous=GENESIS, at=datetime(2026, 1, 1, tzinfo=UTC), facts=facts
            )
        except UnicodeEncodeError:
            return  # A lone surrogate is no text.
        said = json.loads(entry.content)
        assert {name: said[name] for name in facts} == facts
        assert entry.leaf_hash == leaf_hash(entry.content)


class TestLookingForFaults:
    """What `first_fault` finds."""

    def test_a_sound_history_has_none(self) -> None:
        assert first_fault(iter(chain())) is None
        assert first_fault(iter([])) is None

    @pytest.mark.parametrize("position", range(6))
    def test_a_flipped_bit_is_found_where_it_is(self, position: int) -> None:
        written = chain()
        content = bytearray(written[position].content)
        content[-3] ^= 1
        written[position] = replace(written[position], content=bytes(content))
        assert first_fault(iter(written)) == position

    @pytest.mark.parametrize("position", range(5))
    def test_an_entry_written_anew_with_its_hash_is_found_at_the_next(self, position: int) -> None:
        written = chain()
        old = written[position]
        content = old.content.replace(b'"event":"x"', b'"event":"y"')
        written[position] = Entry(position=position, content=content, leaf_hash=leaf_hash(content))
        assert first_fault(iter(written)) == position + 1

    @pytest.mark.parametrize("position", range(5))
    def test_an_entry_that_is_missing_or_in_another_s_place_is_found(self, position: int) -> None:
        written = chain()
        assert first_fault(iter(written[:position] + written[position + 1 :])) == position
        swapped = [*written[:position], written[position + 1], written[position], *written[position + 2 :]]
        assert first_fault(iter(swapped)) == position


def everything() -> list[Entry]:
    """Return the whole history of the running office."""
    with services().database.transaction() as session:
        return entries(session)


@pytest.fixture
def as_owner(world: World) -> Iterator[psycopg.Connection]:
    """A connection as the role that owns the tables."""
    url = services().database.engine.url
    password = read_secret(world.settings.database_owner_password_file)
    with psycopg.connect(
        host=url.host,
        port=url.port,
        dbname=url.database,
        user="hoso_owner",
        password=password,
        autocommit=True,
    ) as connection:
        yield connection


class TestInTheDatabase:
    """What PostgreSQL itself refuses, and what the recording guarantees."""

    def test_the_whole_history_of_these_tests_verifies_and_the_head_agrees(self, world: World) -> None:
        world.booked(world.office())
        written = everything()
        assert first_fault(iter(written)) is None
        with services().database.transaction() as session:
            assert head(session) == (len(written), written[-1].leaf_hash)

    def test_positions_have_no_gap_and_times_never_run_backwards_under_eight_at_once(
        self, world: World
    ) -> None:
        before = len(everything())

        def tell(name: int) -> None:
            for n in range(10):
                with services().database.transaction() as session:
                    record(session, f"many/{name}", {"event": "many", "n": n}, private={"n": n})

        answers = world.at_once([partial(tell, name) for name in range(8)])
        assert answers == [None] * 8
        written = everything()
        assert [entry.position for entry in written] == list(range(len(written)))
        assert len(written) == before + 80
        assert first_fault(iter(written)) is None
        times = [json.loads(entry.content)["at"] for entry in written]
        assert all(earlier <= later for earlier, later in pairwise(times))

    def test_what_is_rolled_back_is_neither_told_nor_counted(self, world: World) -> None:
        before = everything()
        with pytest.raises(ZeroDivisionError), services().database.transaction() as session:
            record(session, "rolled", {"event": "x"}, private={"a": "b"})
            raise ZeroDivisionError
        assert everything() == before
        assert world.ask("select count(*) from history_payload where subject = sha256('rolled')")[0][0] == 0

    def test_what_is_told_together_is_in_order_behind_what_it_tells_of_or_not_at_all(
        self, world: World
    ) -> None:
        before = len(everything())
        with services().database.transaction() as session, told_together(session):
            for event in ("first", "second"):
                record(session, "together", {"event": event}, private={"a": event})
            assert head(session)[0] == before + 2, "who reads the history in between finds it told"
            record(session, "together", {"event": "third"})
        with services().database.transaction() as session:
            told = [json.loads(one.content)["event"] for one in entries(session, "together")]
        assert told == ["first", "second", "third"]
        with (
            pytest.raises(ZeroDivisionError),
            services().database.transaction() as session,
            told_together(session),
        ):
            record(session, "together", {"event": "undone"}, private={"a": "b"})
            raise ZeroDivisionError
        assert len(everything()) == before + 3
        kept = world.ask("select count(*) from history_payload where subject = sha256('together')")
        assert kept[0][0] == 2

    @pytest.mark.parametrize(
        "statement",
        [
            "update history_entry set entry = 'x'",
            "update history_entry set position = position",
            "delete from history_entry",
            "delete from history_entry where position = -1",
            "truncate history_entry",
            "update history_payload set content = 'x'",
            "truncate history_payload",
            "delete from history_head",
            "insert into history_head values (2, 'other', 0, '')",
            "alter table history_entry disable trigger all",
            "drop table history_entry",
            "delete from register_entry",
            "delete from signature",
            "delete from archived_object",
        ],
    )
    def test_the_application_s_role_cannot(self, world: World, statement: str) -> None:
        with (
            pytest.raises(psycopg.errors.InsufficientPrivilege),
            services().database.engine.connect() as connection,
        ):
            try:
                connection.exec_driver_sql(statement)
            except Exception as error:
                raise getattr(error, "orig", error) from error

    @pytest.mark.parametrize(
        "statement",
        ["update history_entry set entry = 'x'", "delete from history_entry", "truncate history_entry"],
    )
    def test_not_even_the_owner_s_role_rewrites_it(
        self, world: World, as_owner: psycopg.Connection, statement: str
    ) -> None:
        world.booked(world.office())
        with pytest.raises(psycopg.errors.InsufficientPrivilege, match="history is never rewritten"):
            as_owner.execute(statement)

    @pytest.mark.parametrize(
        "statement", ["update history_entry set entry = 'x'", "delete from history_entry"]
    )
    def test_nor_does_the_administrator_by_a_slip(self, world: World, statement: str) -> None:
        world.booked(world.office())
        with world.owner() as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute(statement)  # type: ignore[call-overload]


def test_who_the_applicant_is_stands_only_where_it_can_be_erased(world: World) -> None:
    office = world.office()
    name, identity, address = "Nguyễn Văn Kín", "022055501234", "kin@citizen.example"
    person = somebody(
        name=name, identity=identity, email=address, address="Thôn Kín", telephone="0900 555 012"
    )
    code = world.booked(office, applicant=person)
    world.carry(code)
    cancel(code, by=world.officer(office))
    walk_in = world.signed(office, applicant=person)
    world.carry(walk_in)
    personal = [name, identity, address, "Thôn Kín", "0900 555 012"]
    found = set()
    for table in world.counts():
        for word in personal:
            hexed = word.encode().hex()
            query = f"select count(*) from {table} t where t::text like :plain or t::text like :hexed"
            if world.ask(query, plain=f"%{word}%", hexed=f"%{hexed}%")[0][0]:
                found.add(table)
    assert found == {"applicant", "history_payload"}


def test_erasing_what_is_personal_leaves_every_proof_valid(world: World) -> None:
    code = world.booked(world.office(), applicant=somebody(name="Người Cần Quên"))
    commitment = next(entry["commit"] for entry in world.told(code) if "commit" in entry)
    world.put("delete from history_payload where commitment = decode(:c, 'hex')", c=commitment)
    assert first_fault(iter(everything())) is None
    assert commitment in str(world.told(code))
