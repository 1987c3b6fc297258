"""Batches: many dossiers through one part of their lives, each exactly once, with a result for each (issue: batches)."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import urllib3

from infra.environment import export
from infra.errors import Forbidden, Unavailable
from infra.mail import MailAnswer, Outcome
from infra.ocfl import object_path
from infra.stack.pki_control import behaving
from tasks.archival.rules import package_id
from tasks.batches import records
from tasks.batches.rules import Kind
from tasks.dossier import outbox
from tasks.signing.keys import _seals
from tasks.signing.steps import sign_original
from tests.world import World


@pytest.fixture
def batches(world: World) -> ModuleType:
    """The flows, imported after Prefect was told where its files go."""
    export("PREFECT_HOME", str(world.root / "prefect-client"))
    import flows.batches as found

    return found


@pytest.fixture
def chunks(batches: ModuleType) -> ModuleType:
    """What carries chunks."""
    import flows.chunks as found

    return found


@pytest.fixture
def slots(batches: ModuleType) -> ModuleType:
    """What begins batches by the clock."""
    import flows.batch_slots as found

    return found


@contextmanager
def chosen(world: World, **settings: object) -> Iterator[None]:
    """Work with other settings."""
    with world.having(settings=world.settings.model_copy(update=settings)):
        yield


def run(batches: ModuleType, kind: Kind, office: str, **more: Any) -> int:
    """Run a batch in this process and return its number."""
    number = asyncio.run(batches.run_batch(kind, office, here=True, **more))
    assert number is not None
    return int(number)


def stages(world: World, codes: Sequence[str]) -> set[str]:
    """Return where dossiers stand."""
    return {world.stage(code) for code in codes}


def test_a_batch_that_is_asked_for_at_an_office_whose_data_cannot_be_read_is_refused_and_nothing_begins(
    world: World, slots: ModuleType
) -> None:
    broken = world.office()
    code = world.received(broken)
    body = world.ask("select body from office where code = :o", o=broken)[0][0]
    world.put("update office set body = body - 'name' where code = :o", o=broken)
    try:
        for begin in (
            slots.certification_batch, slots.sealing_batch, slots.delivery_batch, slots.archival_batch,
        ):  # fmt: skip
            for dry_run in (True, False):
                with pytest.raises(Forbidden, match=f"the data of {broken} cannot be read") as refusal:
                    asyncio.run(begin.fn(office=broken, dry_run=dry_run))
                assert "hoso office load" in refusal.value.way_out
    finally:
        world.put("update office set body = cast(:b as jsonb) where code = :o", b=json.dumps(body), o=broken)
    assert world.ask("select 1 from batch where office = :o", o=broken) == []
    assert world.stage(code) == "Received"


def signed_by_official(world: World, office: str, count: int) -> list[str]:
    """Bring dossiers to where the agency's seal is missing."""
    codes = [world.frozen(office) for _ in range(count)]
    signer = world.signer(office)
    for code in codes:
        assert sign_original(code, 1, signer)
    return codes


def results(number: int) -> dict[str, str]:
    """Return the result of each dossier of a batch."""
    return {row.dossier: row.result or "open" for row in records.results_of(number)}


def test_batches_carry_dossiers_through_their_whole_lives_as_single_lives_do(
    world: World, batches: ModuleType
) -> None:
    office = world.office()
    codes = [world.received(office) for _ in range(3)]
    alone = world.received(office)
    outbox.take_one("a worker", alone)  # somebody else is at it

    first = run(batches, Kind.CERTIFICATION, office)
    assert results(first) == dict.fromkeys(codes, "done")
    assert stages(world, codes) == {"AwaitingSignature"}
    assert world.stage(alone) == "Received"
    signer = world.signer(office)
    for code in codes:
        assert sign_original(code, 1, signer)
    for kind, stage in ((Kind.SEALING, "Signed"), (Kind.DELIVERY, "Returned"), (Kind.ARCHIVAL, "Archived")):
        assert set(results(run(batches, kind, office)).values()) == {"done"}
        assert stages(world, codes) == {stage}

    single = world.frozen(office)
    sign_original(single, 1, signer)
    world.carry(single)
    world.type("archive", single, by="mai")
    world.carry(single)
    assert world.stage(single) == "Archived"
    # Step by step the same things happened to both; only which messages went first may differ.
    assert sorted(world.events(codes[0])) == sorted(world.events(single))
    assert len(world.mails(codes[0])) == len(world.mails(single))


def test_who_is_due_first_is_taken_first_and_a_limit_holds(world: World, batches: ModuleType) -> None:
    office = world.office()
    late, early, middle = (world.received(office) for _ in range(3))
    for hours, code in ((3, late), (1, early), (2, middle)):
        world.put(
            "update dossier set due_at = now() + make_interval(hours => :h) where code = :c", h=hours, c=code
        )
    found = records.waiting_for(Kind.CERTIFICATION, office, room=2)
    assert [code for code, _ in found] == [early, middle]
    behind = (found[-1][1], found[-1][0])
    assert [c for c, _ in records.waiting_for(Kind.CERTIFICATION, office, room=9, after=behind)] == [late]
    with chosen(world, batch_chunk=1):
        number = run(batches, Kind.CERTIFICATION, office, limit=2)
    assert list(results(number)) == [early, middle]
    assert [chunk.number for chunk in records.chunks_of(number)] == [1, 2]
    assert world.stage(late) == "Received"


def test_a_bad_document_is_set_aside_with_its_reason_and_the_rest_goes_on(
    world: World, batches: ModuleType
) -> None:
    office = world.office()
    good, bad, rest = signed_by_official(world, office, 3)
    world.put("update document set sha256 = repeat('0', 64) where dossier = :c and kind = 'approved'", c=bad)
    number = run(batches, Kind.SEALING, office)
    assert results(number) == {good: "done", bad: "set aside", rest: "done"}
    (row,) = [one for one in records.results_of(number) if one.dossier == bad]
    assert "not the one that was listed" in row.cause
    assert world.ask("select last_error from outbox where dossier = :c", c=bad)[0][0].startswith("broken: ")
    assert records.batch_row(number).cause is None


def test_a_retry_first_proves_that_the_cause_is_gone_and_counts_what_really_moved(
    world: World, batches: ModuleType
) -> None:
    office = world.office()
    codes = signed_by_official(world, office, 3)
    world.put(
        "update document set sha256 = repeat('0', 64) where kind = 'approved' and dossier = any(:c)", c=codes
    )
    number = run(batches, Kind.SEALING, office)
    assert set(results(number).values()) == {"set aside"}

    tries = {code: len(world.told(code)) for code in codes}
    records.take_up_again(number, by=world.officer(office, "thu", "supervisor"))
    asyncio.run(batches.carry_batch(number, here=True))
    assert set(results(number).values()) == {"set aside"}
    tried = [code for code in codes if len(world.told(code)) > tries[code]]
    assert len(tried) == 1, "one of those with the same cause was tried, the others were not"

    world.put(
        "update document d set sha256 = s.kept_sha256 from signature s where s.dossier = d.dossier"
        " and s.role = 'official' and d.kind = 'approved' and d.dossier = any(:c)",
        c=codes,
    )
    records.take_up_again(number, by=world.officer(office, "thu", "supervisor"))
    asyncio.run(batches.carry_batch(number, here=True))
    assert results(number) == dict.fromkeys(codes, "done")
    assert stages(world, codes) == {"Signed"}


def test_a_token_that_is_gone_stops_the_batch_at_once_and_nothing_is_lost(
    world: World, batches: ModuleType
) -> None:
    office = world.office()
    codes = signed_by_official(world, office, 3)
    device = world.devices[f"{office}-seal"]
    device.vanish_after = 1
    try:
        with chosen(world, batch_patience="0.01"):
            number = run(batches, Kind.SEALING, office)
    finally:
        device.vanish_after, device.present = None, True
        _seals.clear()
    assert list(results(number).values()) == ["done", "open", "open"]
    row = records.batch_row(number)
    assert row.paused_by == 0
    assert row.cause is not None
    assert row.cause.startswith("token: ")
    assert not world.ask("select 1 from outbox where lease_owner is not null and dossier = any(:c)", c=codes)

    records.take_up_again(number, by=world.officer(office, "thu", "supervisor"))
    asyncio.run(batches.carry_batch(number, here=True))
    assert results(number) == dict.fromkeys(codes, "done")
    kept = world.ask(
        "select count(*) from signature where role = 'agency' and kept_at is not null and dossier = any(:c)",
        c=codes,
    )
    assert kept[0][0] == 3, "each sealed once"


def test_a_wrong_pin_is_tried_once_and_never_again_by_itself(world: World, batches: ModuleType) -> None:
    office = world.office()
    signed_by_official(world, office, 2)
    device = world.devices[f"{office}-seal"]
    device.pin = "000000"
    before = device.tries_left
    try:
        with chosen(world, batch_patience="0.01,0.01"):
            number = run(batches, Kind.SEALING, office)
    finally:
        device.pin, _left = "428571", device.tries_left
    assert before - _left == 1
    assert str(records.batch_row(number).cause).startswith("PIN: ")
    assert set(results(number).values()) == {"open"}


@pytest.mark.parametrize(
    ("owner", "down"),
    [
        ("time-stamp", {"tsa_primary": "down", "tsa_secondary": "503"}),
        ("revocation", {"ocsp": "down", "crl": "down"}),
    ],
)
def test_an_authority_that_does_not_answer_stops_the_batch_and_nothing_is_downgraded_or_signed_again(
    world: World, batches: ModuleType, owner: str, down: dict[str, str]
) -> None:
    """PKI-05, PKI-08: nobody is released below the level that release needs, and the seal is given once."""
    office = world.office()
    codes = signed_by_official(world, office, 3)
    world.parts.revocation.forget()
    with behaving(world.root / "pki" / "served", **down), chosen(world, batch_patience="0.01"):
        number = run(batches, Kind.SEALING, office)
    assert results(number) == dict.fromkeys(codes, "open"), "no dossier is blamed"
    assert str(records.batch_row(number).cause).startswith(f"{owner}: ")
    assert stages(world, codes) <= {"AwaitingSeal"}

    records.take_up_again(number, by=world.officer(office, "thu", "supervisor"))
    asyncio.run(batches.carry_batch(number, here=True))
    assert results(number) == dict.fromkeys(codes, "done")
    assert stages(world, codes) == {"Signed"}
    seals = world.ask(
        "select level, tries from signature where role = 'agency' and kept_at is not null and dossier = any(:c)",
        c=codes,
    )
    assert [tuple(row) for row in seals] == [("LTA", 1)] * 3


class _Mail:
    """A mail server that is away for some tries, then hands on to the real one."""

    def __init__(self, real: Any, away: int) -> None:
        self.real, self.away = real, away

    def send(self, message: Any) -> MailAnswer:
        self.away -= 1
        if self.away >= 0:
            return MailAnswer(outcome=Outcome.DEFERRED, code=0, text="ConnectionRefusedError")
        answer: MailAnswer = self.real.send(message)
        return answer

    def connected(self) -> Any:
        return self.real.connected()


def test_a_mail_server_that_is_away_pauses_the_batch_which_goes_on_when_it_is_back(
    world: World, batches: ModuleType
) -> None:
    office = world.office()
    codes = [world.signed(office) for _ in range(3)]
    mail = _Mail(world.parts.mail, away=1)
    settings = world.settings.model_copy(update={"batch_patience": "0.01"})
    with world.having(mail=mail, settings=settings):
        number = run(batches, Kind.DELIVERY, office)
    assert sorted(results(number).values()) == ["done", "done", "waiting"]
    told = [one for one in records.results_of(number) if one.result == "waiting"]
    assert world.stage(told[0].dossier) == "Signed"
    assert records.batch_row(number).cause is None, "it went on by itself"
    assert sum(world.stage(code) == "Returned" for code in codes) == 2


def test_a_store_that_is_away_stops_the_batch_and_no_dossier_is_blamed(
    world: World, batches: ModuleType
) -> None:
    office = world.office()
    codes = [world.received(office) for _ in range(2)]

    class Away:
        def __getattr__(self, name: str) -> Callable[..., object]:
            def gone(*_a: object, **_k: object) -> object:
                import urllib3

                raise Unavailable("the store does not answer") from urllib3.exceptions.HTTPError("refused")

            return gone

    settings = world.settings.model_copy(update={"batch_patience": ""})
    # The table of results cannot be stored either.
    with world.having(work=Away(), settings=settings), pytest.raises(Unavailable):
        run(batches, Kind.CERTIFICATION, office)
    number = records.newest(1)[0].id
    assert number is not None
    assert set(results(number).values()) == {"open"}
    assert str(records.batch_row(number).cause).startswith("store: ")
    records.take_up_again(number, by=world.officer(office, "thu", "supervisor"))
    asyncio.run(batches.carry_batch(number, here=True))
    assert results(number) == dict.fromkeys(codes, "done")


def test_packages_that_are_made_together_fail_each_for_itself_and_what_lies_in_the_archive_is_said_to(
    world: World, batches: ModuleType
) -> None:
    office = world.office()
    first, bad, last = signed_by_official(world, office, 3)
    for kind in (Kind.SEALING, Kind.DELIVERY):
        run(batches, kind, office)
    world.put("update document set sha256 = repeat('0', 64) where dossier = :c and kind = 'scan'", c=bad)

    class Away:
        """An archive that goes away in the middle of the last package."""

        def put_locked(self, key: str, content: bytes, **more: Any) -> object:
            if object_path(package_id(last)) in key and "history" in key:
                raise Unavailable("the archive does not answer") from urllib3.exceptions.HTTPError("refused")
            return archive.put_locked(key, content, **more)

        def __getattr__(self, name: str) -> Any:
            return getattr(archive, name)

    archive = world.parts.archive
    settings = world.settings.model_copy(update={"batch_patience": ""})
    with world.having(archive=Away(), settings=settings):
        number = run(batches, Kind.ARCHIVAL, office)
    assert results(number) == {first: "done", bad: "set aside", last: "open"}
    assert str(records.batch_row(number).cause).startswith("store: ")
    assert [world.stage(code) for code in (first, bad, last)] == ["Archived", "Returned", "Returned"]
    rendered = world.ask("select rendered from package where dossier = :c", c=last)[0][0]
    assert "proof.json" in rendered, "what is to be locked was fixed before"
    records.take_up_again(number, by=world.officer(office, "thu", "supervisor"))
    asyncio.run(batches.carry_batch(number, here=True))
    assert results(number) == {first: "done", bad: "set aside", last: "done"}
    for code in (first, last):
        keys = archive.keys(f"archive/{object_path(package_id(code))}/")
        assert keys == sorted(
            row.key for row in world.ask("select key from archived_object where dossier = :c", c=code)
        )
        assert world.events(code).count("dossier:archived") == 1


def test_a_dossier_in_a_batch_and_in_its_own_run_at_once_is_done_once(
    world: World, batches: ModuleType
) -> None:
    office = world.office()
    codes = signed_by_official(world, office, 2)

    def own_run() -> None:
        from flows.dossier import carry
        from flows.errands import begin

        async def go() -> None:
            for code in reversed(codes):
                errand = await begin(code)
                if errand is not None:
                    await errand.run(carry)

        asyncio.run(go())

    world.at_once([own_run, lambda: run(batches, Kind.SEALING, office)])
    for code in codes:
        assert world.events(code).count("document:validated") == 1
        kept = world.ask(
            "select field from signature where dossier = :c and kept_at is not null order by id", c=code
        )
        assert [row.field for row in kept] == ["official_1", "seal"]


def test_a_chunk_whose_worker_died_is_taken_up_by_another_at_the_first_unfinished(
    world: World, chunks: ModuleType
) -> None:
    office = world.office()
    codes = [world.received(office) for _ in range(3)]
    number = records.begin_batch(Kind.CERTIFICATION, office)
    assert number is not None
    chunk = records.add_chunk(number, codes, urgent=False)
    dead = records.take_chunk(number, chunk, "a worker that dies")
    assert dead is not None
    records.keep_outcomes(dead, [records.Outcome(code=codes[0], result=records.Result.DONE)])
    assert asyncio.run(chunks.carry_chunk(number, chunk)) == "carried elsewhere"
    world.put("update batch_chunk set lease_until = now() - interval '1 second' where batch = :b", b=number)
    world.put(
        "update outbox set lease_owner = 'a worker that dies', lease_until = now() + interval '2 seconds'"
        " where dossier = :c",
        c=codes[1],
    )
    assert asyncio.run(chunks.carry_chunk(number, chunk)) == "carried"
    assert results(number) == dict.fromkeys(codes, "done"), "what the dead one held is waited for"
    assert world.stage(codes[0]) == "Received", "what has a result is not taken again"
    assert stages(world, codes[1:]) == {"AwaitingSignature"}
    late = records.Outcome(code=codes[1], result=records.Result.SET_ASIDE, cause="too late")
    assert not records.keep_outcomes(dead, [late]), "the dead worker's fence is too old to write"


def test_a_slot_has_one_batch_and_one_that_was_missed_is_caught_up_once(
    world: World, batches: ModuleType, slots: ModuleType
) -> None:
    office = world.office()
    slot = slots.slot_due(Kind.CERTIFICATION, office)
    assert slot is not None
    world.received(office)
    run(batches, Kind.CERTIFICATION, office, slot=slot)
    assert slots.slot_due(Kind.CERTIFICATION, office) in (
        None,
        slot.replace(minute=(slot.minute + 30) % 60),
    )
    world.received(office)
    again = asyncio.run(batches.run_batch(Kind.CERTIFICATION, office, slot=slot, here=True))
    assert again is None
    world.put("update batch set slot = slot - interval '3 days' where office = :o", o=office)
    assert slots.slot_due(Kind.CERTIFICATION, office) is not None


def test_what_belongs_to_a_batch_is_left_alone_by_warm_workers_until_it_would_be_late_cert_17(
    world: World,
) -> None:
    office = world.office()
    code = world.received(office)
    world.put("update outbox set batch_until = now() + interval '1 hour' where dossier = :c", c=code)

    def taken() -> bool:
        found = outbox.take("warm", 500)
        for lease in found:
            outbox.give_back(lease)
        return code in [lease.code for lease in found]

    assert not taken()
    world.put("update outbox set batch_until = now() - interval '1 second' where dossier = :c", c=code)
    assert taken(), "pulled forward"
    world.put("update outbox set batch_until = now() + interval '1 hour' where dossier = :c", c=code)
    world.put("update dossier set stage = 'ReturnedToExaminer' where code = :c", c=code)
    assert taken(), "no batch takes it at this stage"


class TestCommands:
    """What a supervisor types."""

    def test_a_dry_run_says_what_would_happen_and_changes_nothing(self, world: World) -> None:
        office = world.office()
        code = world.received(office)
        world.desk(office, "thu")
        before = world.picture()
        said = world.type(
            "batch", "run", "certification", "--office", office, "--dry-run", "--json", by="thu"
        )
        assert said.json["dossiers"] == [code]
        assert world.picture() == before

    def test_a_batch_is_run_shown_and_written_as_csv(self, world: World, tmp_path: Path) -> None:
        office = world.office()
        codes = [world.received(office) for _ in range(2)]
        ran = world.type("batch", "run", "certification", "--office", office, "--here", "--json", by="thu")
        assert ran.code == 0, ran.err
        assert ran.json["results"] == {"done": 2}
        number = ran.json["batch"]
        file = tmp_path / "result.csv"
        with world.as_(office, "thu"):
            shown = world.type("batch", "show", number, "--csv", file)
        assert shown.code == 0, shown.err
        assert "2 done" in shown.out
        assert sorted(line.split(",")[0] for line in file.read_text().splitlines()[1:]) == sorted(codes)

    def test_who_is_no_supervisor_runs_no_batch_auth_06(self, world: World) -> None:
        office = world.office()
        world.received(office)
        said = world.type("batch", "run", "certification", "--office", office, "--here", by="mai")
        assert said.code == 1
        assert "AUTH-06" in said.err
