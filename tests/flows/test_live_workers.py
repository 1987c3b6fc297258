"""Many workers, one dossier at a time; one that is killed is followed by another, and nothing is done twice."""

from __future__ import annotations

import os
import signal
import time
from collections import Counter
from collections.abc import Iterator

import pytest

from infra.stack import process
from infra.stack.layout import PROJECT, Place
from infra.stack.parts import for_programs, program
from infra.stack.process import Command, Identity
from infra.stack.run import pids
from tests.flows.live import Live, until

pytestmark = pytest.mark.long

MARK = "another-worker"


@pytest.fixture(autouse=True)
def healed(office: Live) -> Iterator[None]:
    """Leave the office with its own worker, however a test ended."""
    yield
    office.up()


@pytest.fixture
def another_worker(office: Live) -> Iterator[Identity]:
    """A second warm worker, ended with the test."""
    place = Place(office.root)
    command = Command(argv=(program("hoso"), "work"), environment=for_programs(place), folder=PROJECT)
    mark = process.mark_of(MARK, office.root)
    started = process.start(command, pid_file=place.pid_file(MARK), log=place.log(MARK), mark=mark)
    until("its start", lambda: "looks for dossiers" in place.log(MARK).read_text(encoding="utf-8"))
    yield started
    process.stop(started, mark, by=signal.SIGTERM, patience=20)


def kept_once(office: Live, code: str, originals: int) -> None:
    """Check that every signature, number and mail of a returned dossier is there once."""
    kept = office.ask(
        "select ordinal, field, count(*) as n from signature where dossier = :c and kept_at is not null group by 1, 2",
        c=code,
    )
    assert {(row.ordinal, row.field): row.n for row in kept} == {
        (ordinal, field): 1 for ordinal in range(1, originals + 1) for field in ("official_1", "seal")
    }
    numbers = office.ask(
        "select count(*) as n, count(distinct ordinal) as o from register_entry where dossier = :c", c=code
    )
    assert (numbers[0].n, numbers[0].o) == (originals, originals)
    frozen = office.ask("select count(*) as n from document where dossier = :c and kind = 'frozen'", c=code)
    assert frozen[0].n == originals
    once = ("number:reserved", "document:validated", "result:returned")
    told = [(e["event"], e.get("original")) for e in office.told(code) if e["event"] in once]
    assert sorted(set(told), key=str) == sorted(told, key=str)
    mails = Counter(mail["Message-ID"] for mail in office.mails(code))
    assert set(mails.values()) == {1}


def kill_within_a_leg(office: Live, code: str, event: str) -> None:
    """Kill the stack's warm worker as soon as it has written an event, while it still holds the dossier."""
    deadline = time.monotonic() + 60
    leader = pids(office.root, "warm-worker")[0]
    while event not in office.events(code):
        assert time.monotonic() < deadline, f"{event} did not come"
        time.sleep(0.01)
    os.kill(leader, signal.SIGKILL)
    until("its end", lambda: not pids(office.root, "warm-worker"))
    held = office.ask("select lease_owner from outbox where dossier = :c", c=code)[0].lease_owner
    assert held is not None, "the leg was over before the worker was killed"
    assert f"/{leader}/" in held


def test_a_killed_workers_dossier_is_carried_on_by_another_and_nothing_is_doubled(office: Live) -> None:
    code = office.receive(originals=4)
    kill_within_a_leg(office, code, "copy:frozen")
    office.up()  # The stack's worker comes back as another process.
    office.waits(code, "AwaitingSignature")
    office.sign(code)
    office.waits(code, "AwaitingArchive")
    kept_once(office, code, 4)
    office.shown(code)


def test_a_worker_killed_among_seals_leaves_each_original_with_one(
    office: Live, another_worker: Identity
) -> None:
    code = office.receive(originals=4)
    office.waits(code, "AwaitingSignature")
    # Only the worker that is to be killed may take the dossier now.
    os.kill(another_worker.pid, signal.SIGSTOP)
    try:
        office.sign(code)
        kill_within_a_leg(office, code, "document:validated")
    finally:
        os.kill(another_worker.pid, signal.SIGCONT)
    office.waits(code, "AwaitingArchive")
    kept_once(office, code, 4)
    office.up()
    office.shown(code)


def test_two_workers_share_the_dossiers_and_do_nothing_twice(office: Live, another_worker: Identity) -> None:
    codes = [office.receive() for _ in range(6)]
    for code in codes:
        office.waits(code, "AwaitingSignature")
    for code in codes:
        numbers = office.ask("select count(*) as n from register_entry where dossier = :c", c=code)
        assert numbers[0].n == 1
        frozen = office.ask(
            "select count(*) as n from document where dossier = :c and kind = 'frozen'", c=code
        )
        assert frozen[0].n == 1
        assert set(Counter(mail["Message-ID"] for mail in office.mails(code)).values()) == {1}
    office.shown(*codes)
    assert {run["name"] for run in office.runs(name={"any_": codes})} == set(codes)


def test_a_worker_that_is_asked_to_end_finishes_what_it_has_begun(office: Live) -> None:
    code = office.receive(originals=3)
    leader = pids(office.root, "warm-worker")[0]
    until("its leg", lambda: "number:reserved" in office.events(code))
    os.kill(leader, signal.SIGTERM)
    until("its end", lambda: not pids(office.root, "warm-worker"))
    assert office.stage(code) == "AwaitingSignature"
    office.up()
    office.shown(code)
