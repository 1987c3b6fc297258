"""What operators do by hand: by name, with a reason; causes together, once the oldest dossier shows them gone (OPS-02)."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import copy

import pytest

from infra.errors import Forbidden, Unavailable
from infra.services import services, using
from tasks.dossier import outbox
from tasks.dossier.outbox import Lease
from tasks.health import overriding
from tasks.health.overriding import name_of_cause
from tests.world import VECTORS, World, refused

REASON = VECTORS / "reason.txt"
WHY = "The cause is gone."


def trouble(world: World, code: str, said: str) -> None:
    """Let a dossier wait for a person because something was said of it."""
    lease = outbox.take_one("a worker", code)
    assert lease is not None
    outbox.postpone(lease, f"needs attention: {said}", give_up=True)


@pytest.fixture
def waiting(world: World) -> tuple[str, list[str]]:
    """An office with four dossiers of one cause and one of another; their codes, the oldest first."""
    office = world.office()
    codes = [world.received(office) for _ in range(5)]
    for code in codes[:4]:
        trouble(world, code, f"the page of {code}/1 has no room for a signature. [SIG-10]")
    trouble(world, codes[4], "the register of 2026 is locked. [CERT-33]")
    return office, codes


@contextmanager
def worker(world: World, codes: list[str], ends: Callable[[Lease], None]) -> Iterator[list[str]]:
    """Let a worker of the test's own end whatever is asked of some dossiers, until the block ends; yields what it took."""
    over, took = threading.Event(), []
    parts = copy(services())

    def work() -> None:
        with using(parts):
            while not over.wait(0.05):
                due = "select dossier from outbox where asked > done and dossier = any(:c) order by asked_at"
                for (code,) in world.ask(due, c=codes):
                    lease = outbox.take_one("a worker", code)
                    if lease is not None:
                        took.append(code)
                        ends(lease)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield took
    finally:
        over.set()
        thread.join()


def test_dossiers_of_one_cause_are_shown_together_the_most_first(
    world: World, waiting: tuple[str, list[str]]
) -> None:
    office, codes = waiting
    found = world.type("causes", "--office", office, "--json", by="thu").json
    assert [(len(one["codes"]), one["codes"][0]) for one in found] == [(4, codes[0]), (1, codes[4])]
    assert found[0]["said"] == "needs attention: the page of … has no room for a signature. [SIG-10]"
    assert not world.type("causes", "--office", world.office(), "--json", by="thu").json


def test_ops_02_a_cause_that_is_still_there_stops_at_the_oldest_dossier(
    world: World, waiting: tuple[str, list[str]]
) -> None:
    office, codes = waiting
    by = world.officer(office, "thu", "supervisor")
    name = name_of_cause(f"needs attention: the page of {codes[0]}/1 has no room for a signature. [SIG-10]")
    again = lambda lease: outbox.postpone(  # noqa: E731
        lease,
        f"needs attention: the page of {lease.code}/1 has no room for a signature. [SIG-10]",
        give_up=True,
    )
    with worker(world, codes, again) as took:
        refusal = refused(Forbidden, lambda: overriding.retry_cause(name, WHY, by=by, say=lambda _: None))
    assert "[OPS-02]" in str(refusal)
    assert took == [codes[0]]
    assert [world.events(code).count("dossier:retried") for code in codes] == [1, 0, 0, 0, 0]


def test_ops_02_a_cause_that_is_gone_lets_all_of_it_go_on_and_nothing_else(
    world: World, waiting: tuple[str, list[str]]
) -> None:
    office, codes = waiting
    name = world.type("causes", "--office", office, "--json", by="thu").json[0]["name"]
    done = lambda lease: outbox.finish(lease, seen=lease.asked)  # noqa: E731
    with worker(world, codes, done) as took, world.as_(office, "thu"):
        said = world.type("retry", "--cause", name, "--why", REASON, "--json")
        assert said.code == 0, said.err
        while len(set(took)) < 4:
            threading.Event().wait(0.05)
    assert said.json["codes"] == codes[:4]
    assert took[0] == codes[0]
    assert codes[4] not in took
    entry = next(one for one in world.told(codes[1]) if one["event"] == "dossier:retried")
    assert entry["cause"] == name
    assert entry["actor"]["id_hash"] == world.officer(office, "thu", "supervisor").facts()["id_hash"]
    reason = REASON.read_text(encoding="utf-8").strip()
    assert reason not in str(entry), "what somebody wrote is kept beside the history, not in it"
    kept = world.ask(
        "select content from history_payload where commitment = :c", c=bytes.fromhex(entry["commit"])
    )
    assert reason in bytes(kept[0][0]).decode()


def test_ops_02_nothing_more_is_retried_while_no_worker_has_tried_the_first(
    world: World, waiting: tuple[str, list[str]]
) -> None:
    office, codes = waiting
    by = world.officer(office, "thu", "supervisor")
    with world.parts.database.transaction() as session:
        name = next(one.name for one in overriding.causes(session, None) if codes[0] in one.codes)
    refused(Unavailable, lambda: overriding.retry_cause(name, WHY, by=by, patience=0.3, say=lambda _: None))
    assert [world.events(code).count("dossier:retried") for code in codes] == [1, 0, 0, 0, 0]


def test_ops_02_overrides_need_a_reason_and_one_thing_to_be_about(world: World) -> None:
    office = world.office()
    code = world.received(office)
    by = world.officer(office, "thu", "supervisor")
    for work in (overriding.retry, overriding.release):
        assert "[OPS-02]" in str(refused(Forbidden, lambda w=work: w(code, "", by=by)))  # type: ignore[misc]
    for words in (("retry",), ("retry", code, "--cause", "x"), ("retry", "--cause", "x", "--why", REASON)):
        with world.as_(office, "mai"):
            said = world.type(*words)
            assert (said.code, "[OPS-02]" in said.err) == (1, True), words


def test_a_lease_that_is_taken_away_lets_the_old_worker_finish_nothing(world: World) -> None:
    office = world.office()
    code = world.received(office)
    lease = outbox.take_one("machine/1/abc", code)
    assert lease is not None
    assert world.type("release", code, "--why", REASON, by="mai").code == 1
    said = world.type("release", code, "--why", REASON, by="thu")
    assert said.out == f"{code}  was taken from machine/1/abc\n"
    assert not outbox.renew(lease)
    assert not outbox.finish(lease, seen=lease.asked)
    entry = world.told(code)[-1]
    assert (entry["event"], entry["held_by"]) == ("lease:released", "machine/1/abc")
    fresh = outbox.take_one("another", code)
    assert fresh is not None
    outbox.give_back(fresh)
    again = world.type("release", code, "--why", REASON, by="thu")
    assert (again.code, "[OPS-02]" in again.err) == (1, True)
