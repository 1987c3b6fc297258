"""A document reaches the level that release and archive need, or waits; nothing is downgraded."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from infra.errors import Broken, Forbidden
from infra.pdf.levels import RULES
from infra.revocation import NoRevocationAnswer, Revoked
from infra.stack.pki_control import behaving, reinstate, revoke, times_asked
from infra.timestamp import NoTimestamp
from tasks.archival.renewals import archive_renewed
from tasks.archival.steps import ask_for_archive
from tasks.dossier.papers import finished, read
from tasks.evidence import calendar as calendars
from tasks.evidence.steps import lift, lift_for_archive, lift_for_release
from tasks.evidence.tables import PreservationRow
from tasks.signing.steps import sign_original, validate
from tests.procedure_versions import another_version
from tests.world import World, refused


@pytest.fixture
def served(world: World) -> Path:
    return world.root / "pki" / "served"


@contextmanager
def evidence(world: World, **wanted: str) -> Iterator[None]:
    """Let dossiers that are opened within the block ask for other evidence than the shipped procedure."""
    with another_version(world, "e-copy.v2.yaml", evidence=wanted):
        yield


def sealed(world: World, office: str) -> str:
    """Return a dossier that waits for its evidence."""
    code = world.frozen(office)
    assert sign_original(code, 1, world.signer(office))
    assert sign_original(code, 1, world.signer(office, "seal"))
    return code


def calendar(world: World, **wanted: object) -> list[PreservationRow]:
    """What the calendar holds."""
    with world.parts.database.transaction() as session:
        return calendars.calendar(session, **wanted)


def document(world: World, code: str) -> tuple[str, str | None, bytes]:
    """Kind, level and bytes of the finished document."""
    with world.parts.database.transaction() as session:
        row = finished(session, code, 1)
        assert row is not None
        return row.kind, row.level, read(row)


def test_a_copy_is_released_with_one_time_stamp_and_archived_with_the_same(
    world: World, served: Path
) -> None:
    """PKI-08: one round trip, one answer a certificate; the level is the file's own."""
    world.parts.timestamps.authorities(at=world.parts.clock.now())
    code = sealed(world, world.office())
    before = times_asked(served)
    assert lift_for_release(code, 1)
    assert times_asked(served)["tsa-primary"] == before["tsa-primary"] + 1
    assert times_asked(served)["ocsp"] == before["ocsp"], "the answers of the signing are still fresh"
    assert document(world, code)[:2] == ("lifted", "LTA")
    assert not lift_for_release(code, 1)
    assert validate(code, 1)
    assert not lift_for_archive(code, 1)
    assert times_asked(served)["tsa-primary"] == before["tsa-primary"] + 1
    entry = next(e for e in world.told(code) if e["event"] == "document:lifted")
    assert (entry["level"], entry["rules"]) == ("LTA", RULES)
    assert entry["timestamp"]["authority"] == "Time-stamping authority of a test, primary"
    assert entry["timestamp"]["second"] is False
    levels = world.ask("select level, level_rules from signature where dossier = :c", c=code)
    assert [tuple(row) for row in levels] == [("LTA", RULES), ("LTA", RULES)]


def test_version_1_is_still_released_at_level_b(world: World, served: Path) -> None:
    """GEN-02: what was opened under version 1 asks no authority for a time-stamp."""
    before = times_asked(served)["tsa-primary"]
    with evidence(world, release="B", archive="B"):
        code = sealed(world, world.office())
    assert not lift_for_release(code, 1)
    assert validate(code, 1)
    assert document(world, code)[:2] == ("sealed", "B")
    assert times_asked(served)["tsa-primary"] == before


def test_with_a_time_stamp_in_each_signature_the_document_gets_one_at_the_end(world: World) -> None:
    with evidence(world, release="T", archive="LTA", shape="signature"):
        code = sealed(world, world.office())
    assert [tuple(r) for r in world.ask("select level from signature where dossier = :c", c=code)] == [
        ("T",),
        ("T",),
    ]
    lift_for_release(code, 1)
    assert document(world, code)[:2] == ("sealed", "T")
    assert validate(code, 1)
    assert lift_for_archive(code, 1)
    assert document(world, code)[:2] == ("lifted", "LTA")


@pytest.mark.parametrize("wanted", ["T", "LT"])
def test_without_any_time_stamp_the_copy_waits_under_a_name_of_its_own(
    world: World, served: Path, wanted: str
) -> None:
    with evidence(world, release=wanted, archive="LTA"):
        code = sealed(world, world.office())
    kept = document(world, code)
    with behaving(served, tsa_primary="down", tsa_secondary="503"):
        refused(NoTimestamp, lambda: lift_for_release(code, 1))
        assert waits_as(world, code) == "AwaitingTimestamp"
        assert document(world, code) == kept
        assert world.stage(code) == "AwaitingSeal"
    assert lift_for_release(code, 1)
    assert validate(code, 1)


def test_without_word_on_revocation_the_copy_waits_under_a_name_of_its_own(
    world: World, served: Path
) -> None:
    code = sealed(world, world.office())
    world.parts.revocation.forget()
    with behaving(served, ocsp="down", crl="down"):
        refused(NoRevocationAnswer, lambda: lift_for_release(code, 1))
        assert waits_as(world, code) == "AwaitingRevocation"
    assert lift_for_release(code, 1)


def waits_as(world: World, code: str) -> str:
    """Carry a dossier with an errand, as a worker does, and return the name that it waits under."""
    from flows.dossier import carry
    from flows.errands import begin
    from flows.standing import waiting

    async def go() -> None:
        errand = await begin(code)
        assert errand is not None
        await errand.run(carry)

    asyncio.run(go())
    return waiting(code).name


def test_the_second_authority_is_asked_when_the_first_fails_and_that_is_told(
    world: World, served: Path
) -> None:
    code = sealed(world, world.office())
    with behaving(served, tsa_primary="down"):
        assert lift_for_release(code, 1)
    entry = next(e for e in world.told(code) if e["event"] == "document:lifted")
    assert entry["timestamp"]["authority"] == "Time-stamping authority of a test, secondary"
    assert entry["timestamp"]["second"] is True
    assert world.ask("select second from lift where dossier = :c", c=code)[0][0] is True
    assert validate(code, 1)


def test_lifted_twice_is_lifted_once_whenever_the_first_try_died(world: World, served: Path) -> None:
    """The finished file is found under its name, and no authority is asked again."""
    code = sealed(world, world.office())
    assert lift_for_release(code, 1)
    made = document(world, code)
    world.put("delete from document where dossier = :c and kind = 'lifted'", c=code)
    world.put("update lift set kept_at = null, kept_sha256 = null where dossier = :c", c=code)
    before = times_asked(served)["tsa-primary"]
    assert lift_for_release(code, 1)
    assert document(world, code) == made
    assert times_asked(served)["tsa-primary"] == before


def test_two_workers_keep_one_lifted_document(world: World) -> None:
    code = sealed(world, world.office())
    done = world.at_once([lambda: lift_for_release(code, 1)] * 2)
    assert sorted(map(str, done)) == ["False", "True"]
    assert world.events(code).count("document:lifted") == 1
    assert validate(code, 1)


def test_an_official_revoked_after_signing_stops_the_seal(world: World, served: Path) -> None:
    """PKI-05: between two signatures the first one's certificate is asked about again."""
    office = world.office()
    code = world.frozen(office)
    official = world.signer(office)
    assert sign_original(code, 1, official)
    world.parts.revocation.forget()
    revoke(served, official.token.certificate, world.parts.clock.now())
    try:
        error = refused(Revoked, lambda: sign_original(code, 1, world.signer(office, "seal")))
    finally:
        reinstate(served, official.token.certificate)
        world.parts.revocation.forget()
    assert "was revoked" in str(error)
    assert "key_compromise" in str(error)
    assert world.events(code)[-1] == "signature:refused"
    assert world.stage(code) == "AwaitingSeal"


def test_a_signer_revoked_before_the_time_stamp_stops_the_release(world: World, served: Path) -> None:
    office = world.office()
    code = sealed(world, office)
    certificate = world.signer(office).token.certificate
    world.parts.revocation.forget()
    revoke(served, certificate, world.parts.clock.now())
    try:
        refused(Revoked, lambda: lift_for_release(code, 1))
        assert waits_as(world, code) == "NeedsAttention"
    finally:
        reinstate(served, certificate)
        world.parts.revocation.forget()


def test_a_signer_revoked_after_the_time_stamp_does_not_harm_the_copy(world: World, served: Path) -> None:
    """EN 319 102-1: what is proved to be older than the revocation stands."""
    office = world.office()
    with evidence(world, release="T", archive="LTA", shape="signature"):
        code = sealed(world, office)
    lift_for_release(code, 1)
    assert validate(code, 1)
    certificate = world.signer(office).token.certificate
    world.parts.revocation.forget()
    # The authority writes whole seconds; the time-stamp of a moment ago is before the next one.
    import time

    time.sleep(1.1)
    revoke(served, certificate, world.parts.clock.now())
    try:
        assert lift_for_archive(code, 1)
    finally:
        reinstate(served, certificate)
        world.parts.revocation.forget()
    assert document(world, code)[:2] == ("lifted", "LTA")


def test_nothing_is_signed_when_nobody_says_whether_the_certificate_is_revoked(
    world: World, served: Path
) -> None:
    office = world.office()
    code = world.frozen(office)
    signer = world.signer(office)
    world.parts.revocation.forget()
    with behaving(served, ocsp="stale", crl="stranger"):
        refused(NoRevocationAnswer, lambda: sign_original(code, 1, signer))
    assert signer.token.calls == 0
    assert "signature:intended" not in world.events(code)


def test_a_file_that_was_changed_in_the_store_is_not_kept(world: World) -> None:
    """Whoever writes under the name of the lifted document first must have written that document."""
    code = sealed(world, world.office())
    sha256 = world.ask("select sha256 from document where dossier = :c and kind = 'sealed'", c=code)[0][0]
    world.parts.work.put(
        f"lifted/{sha256}/LT.pdf", b"%PDF-1.7 something else", content_type="application/pdf"
    )
    refused(Broken, lambda: lift_for_release(code, 1))
    assert document(world, code)[0] == "sealed"


def test_the_calendar_knows_every_finished_document_and_its_end(world: World) -> None:
    office = world.office()
    code = world.signed(office)
    (row,) = calendar(world, office=office)
    assert (row.dossier, row.ordinal, row.level) == (code, 1, "LTA")
    assert row.may_extend_from < row.must_extend_before
    assert row.cause.startswith("the certificate of Time-stamping authority of a test")
    assert calendar(world, office=office, days=30) == []
    assert [one.dossier for one in calendar(world, office=office, days=5000)] == [code]


def test_a_renewed_document_takes_the_place_of_the_old_one_in_the_calendar(world: World) -> None:
    office = world.office()
    code = world.signed(office)
    old = document(world, code)[2]
    assert lift(code, 1, None)
    kind, level, new = document(world, code)
    assert (kind, level) == ("lifted", "LTA")
    assert new.startswith(old)
    assert len(new) > len(old)
    assert world.events(code)[-1] == "evidence:renewed"
    assert len(calendar(world, office=office)) == 1


def test_a_certificate_that_names_nobody_to_ask_is_refused(world: World) -> None:
    """PKI-05, HOSO_REVOCATION_POLICY=require."""
    label, world.authority.label = world.authority.label, ""
    try:
        office = world.office()
    finally:
        world.authority.label = label
    code = world.frozen(office)
    error = refused(Forbidden, lambda: sign_original(code, 1, world.signer(office)))
    assert "names nobody" in str(error)
    assert world.events(code)[-1] == "signature:refused"


def test_an_archived_document_that_ends_soon_is_renewed_beside_its_package(world: World) -> None:
    """What is locked cannot be changed, so the renewed file lies beside it, locked as long."""
    office = world.office()
    code = world.signed(office)
    world.carry(code)
    ask_for_archive(code)
    world.carry(code)
    assert world.stage(code) == "Archived"
    old = document(world, code)[2]
    world.put(
        "update preservation set must_extend_before = now() + interval '30 days' where dossier = :c", c=code
    )
    assert (code, 1) in calendars.due()
    assert lift(code, 1, None)
    assert (code, 1) not in calendars.due()
    assert archive_renewed(code, 1)
    assert not archive_renewed(code, 1)
    entry = world.told(code)[-1]
    assert entry["event"] == "archive:extended"
    new = document(world, code)[2]
    (key,) = [k for k in world.parts.archive.keys(f"{entry['package']}/") if k.endswith(".pdf")]
    row = world.ask("select * from archived_object where key = :k", k=key)[0]
    stored, held = world.parts.archive.read_back(key, row.version_id)
    assert held == new
    assert new.startswith(old)
    package = world.ask("select retain_until from package where dossier = :c", c=code)[0]
    assert (stored.mode, stored.retain_until) == ("COMPLIANCE", package.retain_until)
    assert world.stage(code) == "Archived"


def test_the_command_shows_the_calendar_of_whoever_may_read_there(world: World) -> None:
    """AUTH-06: somebody of another office sees nothing of this one's calendar."""
    office, elsewhere = world.office(), world.office()
    code = world.signed(office)
    with world.as_(office, "mai"):
        (row,) = world.type("evidence-calendar", "--office", office, "--json").json
        assert (row["dossier"], row["level"]) == (code, "LTA")
        assert world.type("evidence-calendar", "--office", office, "--days", 1, "--json").json == []
    with world.as_(elsewhere, "mai"):
        assert world.type("evidence-calendar", "--office", office, "--json").code == 1
