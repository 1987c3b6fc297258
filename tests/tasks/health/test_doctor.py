"""Each part is broken for real, and the look at it says so, with what to do; nothing takes longer than it may."""

from __future__ import annotations

import os
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from infra.database import Database, connection_url
from infra.object_store.memory import MemoryStore
from infra.stack.pki_control import behaving
from infra.stack.run import pids
from tasks.dossier import outbox
from tasks.health import inside, outside
from tasks.health.doctor import _REMEDIES, NAMES, examine, keep
from tasks.health.rules import Check, Found, State, judge_clocks
from tests.world import World


def check(name: str, checks: list[Check]) -> Check:
    """Return what was found of one part."""
    return next(one for one in checks if one.name == name)


@contextmanager
def settings(world: World, **changes: object) -> Iterator[None]:
    """Work by other settings."""
    with world.having() as parts:
        parts.settings = parts.settings.model_copy(update=changes)
        for made in ("mail", "timestamps", "revocation"):
            parts.__dict__.pop(made, None)
        yield


def closed_port() -> int:
    """Return a port at which nobody answers."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


def failing(found: Found) -> str:
    """Return the cause of something that was found failing."""
    assert found.state is State.FAILING, found
    return found.cause


def test_a_running_office_is_found_to_work_and_what_was_found_is_kept(world: World) -> None:
    world.received(world.office())
    checks = examine()
    assert tuple(one.name for one in checks) == NAMES
    good = {"database", "store", "tsa-first", "tsa-second", "revocation", "mail", "clocks", "maintenance"}
    assert {one.name for one in checks if one.state is State.OK} >= good, checks
    assert all(one.remedy for one in checks if one.state in (State.WARNING, State.FAILING))
    keep(checks)
    keep(checks)
    kept = {row.name: row.state for row in world.ask("select name, state from health_check")}
    assert kept == {one.name: str(one.state) for one in checks}


def test_a_database_that_is_away_is_said_once_and_the_rest_is_looked_at_all_the_same(world: World) -> None:
    url = connection_url(world.settings.database_url, world.settings.database_password_file)
    away = Database(url.set(port=closed_port()), pooled=False)
    with world.having(database=away):
        checks = examine()
    database = check("database", checks)
    assert database.state is State.FAILING
    assert "HOSO_DATABASE_URL" in database.remedy
    assert check("store", checks).state is State.OK
    assert check("mail", checks).state is State.OK
    assert check("backlog", checks) == Check(
        name="backlog", state=State.SKIPPED, cause="the database does not answer", remedy=""
    )


def test_a_store_that_hangs_holds_the_doctor_up_no_longer_than_it_may(world: World) -> None:
    store = pids(world.root, "store")
    for pid in store:
        os.kill(pid, signal.SIGSTOP)
    try:
        began = time.monotonic()
        found = check("store", examine(limit=3.0))
        assert time.monotonic() - began < 20, "each look has three seconds, one after the database's"
    finally:
        for pid in store:
            os.kill(pid, signal.SIGCONT)
    assert found.state is State.FAILING
    assert found.remedy
    assert outside.look_at_store().state is State.OK


def test_a_store_that_lets_a_locked_object_go_is_failing(world: World) -> None:
    """ARC-03: the work bucket has no lock, so as an archive it must not pass."""
    with world.having(archive=world.parts.work):
        assert check("store", examine()).state is State.FAILING
    leaky = MemoryStore(allows=frozenset({"delete_version"}))
    with world.having(archive=leaky):
        found = check("store", examine())
    assert found.state is State.FAILING
    assert "delete a locked version" in found.cause


def test_a_mail_server_that_is_away_and_one_that_wants_another_password(world: World, tmp_path: Path) -> None:
    with settings(world, smtp_port=closed_port()):
        assert "does not let us in" in failing(outside.look_at_mail())
    wrong = tmp_path / "password"
    wrong.write_text("not it\n")
    with settings(world, smtp_user="motcua", smtp_password_file=wrong):
        assert "does not let us in" in failing(outside.look_at_mail())
    before = len(list((world.root / "mail").glob("*.eml")))
    assert outside.look_at_mail().state is State.OK
    assert len(list((world.root / "mail").glob("*.eml"))) == before, "a look sends no message"


@pytest.mark.parametrize(("rank", "service"), [(0, "tsa_primary"), (1, "tsa_secondary")])
def test_each_time_stamping_authority_is_looked_at_by_itself(world: World, rank: int, service: str) -> None:
    served = world.root / "pki" / "served"
    for trouble in ("down", "wrong-nonce"):
        with behaving(served, **{service: trouble}):
            name = ("tsa-first", "tsa-second")[rank]
            found = {one.name: one for one in examine()}
        assert found[name].state is State.FAILING
        assert found[("tsa-second", "tsa-first")[rank]].state is State.OK


def test_nobody_who_says_whether_a_certificate_is_revoked(world: World) -> None:
    world.office()
    with behaving(world.root / "pki" / "served", ocsp="down", crl="down"):
        assert check("revocation", examine()).state is State.FAILING
    with behaving(world.root / "pki" / "served", ocsp="down"):
        assert outside.look_at_revocation().state is State.OK  # The list says it as well.


def test_a_token_that_was_pulled_out_is_missed_and_no_pin_is_tried(world: World) -> None:
    office = world.office()
    world.put("update certificate set state = 'expired' where holder = '' and office <> :o", o=office)
    device = world.devices[f"{office}-seal"]
    try:
        with settings(world, seal_pin_file=Path("/nonexistent")):
            assert outside.look_at_token().state is State.OK  # No PIN file is read, so none was tried.
            device.present = False
            assert f"the agency of {office}" in failing(outside.look_at_token())
        with settings(world, seal_pin_file=None):
            assert outside.look_at_token().state is State.SKIPPED
    finally:
        device.present = True
        world.put("update certificate set state = 'active' where holder = '' and state = 'expired'")


def test_certificates_that_end_soon_and_signers_who_have_none(world: World) -> None:
    office = world.office()
    # Those of other tests' offices, active or at their end, are out of sight for the length of this one.
    seen = "select sha256, state from certificate where office <> :o and state in ('active', 'expired')"
    others = world.ask(seen, o=office)
    world.put(
        "update certificate set state = 'suspended' where sha256 = any(:s)", s=[sha for sha, _ in others]
    )
    before = world.ask("select sha256, not_after from certificate where office = :o", o=office)
    try:
        assert inside.look_at_certificates().state is State.OK
        end = "update certificate set not_after = clock_timestamp() + make_interval(days => :d) where office = :o and holder = :h"
        world.put(end, d=9, o=office, h="ha")
        found = inside.look_at_certificates()
        assert (found.state, found.cause) == (State.WARNING, f"that of ha of {office} ends in 8 days")
        world.put(end, d=-1, o=office, h="")
        assert f"the agency of {office} has none that may sign" in failing(inside.look_at_certificates())
    finally:
        for sha256, not_after in before:
            world.put("update certificate set not_after = :e where sha256 = :s", e=not_after, s=sha256)
        for state in ("active", "expired"):
            theirs = [sha for sha, was in others if was == state]
            world.put("update certificate set state = :w where sha256 = any(:s)", w=state, s=theirs)


def test_what_is_due_and_nobody_takes_and_what_waits_for_a_cause(world: World) -> None:
    office = world.office()
    code = world.received(office)
    # Whatever other tests have left is being carried, for the length of this one.
    held = "lease_until = clock_timestamp() + interval '1 hour', lease_owner = 'a test' where lease_owner is null"
    world.put(f"update outbox set {held} and dossier <> :c", c=code)
    assert inside.look_at_workers().state in (State.OK, State.WARNING)
    world.put(
        "update outbox set asked_at = asked_at - interval '1 hour', not_before = not_before - interval '1 hour'"
        " where dossier = :c",
        c=code,
    )
    try:
        assert "nobody takes them, the oldest for 1 h" in failing(inside.look_at_workers())
    finally:
        world.put("update outbox set lease_until = null, lease_owner = null where lease_owner = 'a test'")
        lease = outbox.take_one("a worker", code)
        assert lease is not None
        outbox.postpone(lease, "needs attention: no official may sign. [AUTH-01]", give_up=True)
    found = inside.look_at_backlog()
    assert found.state is State.WARNING
    assert "hoso retry --cause" in found.remedy


def test_a_history_that_was_not_signed_and_a_backup_that_was_not_taken(world: World, tmp_path: Path) -> None:
    world.received(world.office())
    assert inside.look_at_checkpoint().state is State.OK
    with settings(world, history_stamp_hours=1e-9):
        assert "no archived checkpoint covers" in failing(inside.look_at_checkpoint())
    with settings(world, backup_dir=tmp_path):
        assert inside.look_at_backup().cause == "the newest base copy: there is none"
        taken = world.parts.clock.now() - timedelta(hours=30)
        (tmp_path / f"base-{taken:%Y%m%dT%H%M%SZ}").mkdir()
        assert inside.look_at_backup().state is State.WARNING
        (tmp_path / f"base-{world.parts.clock.now():%Y%m%dT%H%M%SZ}").mkdir()
        assert inside.look_at_backup().state is State.OK


def test_a_disk_that_is_full_and_passwords_that_are_guessed(world: World) -> None:
    with settings(world, disk_free_percent=100.0):
        assert inside.look_at_disk().state is not State.OK
    office = world.office()
    world.put(
        "insert into login_try (office, staff, address, failures, last_at)"
        " values (:o, 'mai', '192.0.2.9', 500, clock_timestamp())",
        o=office,
    )
    try:
        assert inside.look_at_logins().state is State.WARNING
    finally:
        world.put("update login_try set failures = 0 where office = :o", o=office)


def test_clocks_that_differ_are_named(world: World) -> None:
    found = outside.look_at_clocks()
    assert found.state is State.OK
    assert all(whose in found.cause for whose in ("store", "this machine", "time-stamps"))
    assert judge_clocks({"store": -3.0}).state is State.WARNING

    class Fast:
        """A database whose clock is an hour ahead of every other."""

        def now(self) -> datetime:
            return world.parts.clock.now() + timedelta(hours=1)

    with world.having(database=Fast()):
        cause = failing(outside.look_at_clocks())
    assert cause.count("-360") + cause.count("-359") == 3, cause


def test_the_command_ends_with_1_when_a_part_is_failing_and_prefect_that_is_away_is_one(world: World) -> None:
    with settings(world, prefect_api_url=f"http://127.0.0.1:{closed_port()}/api"):
        said = world.type("doctor", "--json", by=None)
    found = {one["name"]: one for one in said.json}
    assert said.code == 1
    assert found["prefect"]["state"] == "failing"
    assert "schedules do not" in found["prefect"]["remedy"]


def test_every_part_has_a_remedy_and_a_line_in_the_documentation() -> None:
    page = (Path(__file__).resolve().parents[3] / "docs" / "operations.md").read_text(encoding="utf-8")
    assert not [name for name in NAMES if f"| `{name}` |" not in page]
    assert all(_REMEDIES.values())
