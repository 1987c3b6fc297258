"""A year of the register is locked with its totals, signed and sealed; nothing is entered afterwards (CERT-29)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from infra.errors import Broken, Forbidden
from infra.pdf.checking import signatures_of
from infra.services import services
from tasks.dossier.register import reserve
from tasks.locking.locking import lock_register
from tasks.locking.pages import freeze_register, one_lock, page_of
from tasks.locking.reminding import remind_of_registers
from tasks.locking.sealing import sign_register
from tasks.people.acting import NotAllowed
from tests.world import World, refused

YEAR = 2025


def past(world: World, office: str) -> None:
    """Let an office's numbers of this year be those of a past one, behind every trigger's back."""
    with world.owner() as owner:
        owner.execute("set session_replication_role = replica")
        for table in ("register_entry", "register_book"):
            owner.execute(f"update {table} set year = {YEAR} where office = %s", (office,))  # type: ignore[arg-type]


def filled(world: World) -> tuple[str, list[str]]:
    """Return an office with one certified and one void number of a past year."""
    office = world.office()
    codes = [world.signed(office), world.frozen(office)]
    assert world.type("decline", codes[1], "1", "--reason", "R2").code == 0
    past(world, office)
    return office, codes


def official(world: World, office: str) -> Any:
    return world.officer(office, "ha", "official")


def test_a_year_is_locked_with_its_totals_signed_sealed_archived_and_closed_for_ever(
    world: World, tmp_path: Path
) -> None:
    office, _ = filled(world)
    refused(NotAllowed, lambda: lock_register(office, YEAR, by=world.officer(office)))
    said = world.type("register", "lock", office, YEAR, "--json", "--by", "ha")
    (told,) = said.json
    assert (told["certified"], told["void"], told["last_number"]) == (1, 1, 2)
    assert world.type("register", "lock", office, YEAR, "--json", "--by", "ha").json == said.json
    # Nothing is entered, changed, moved or taken away any more, whoever asks.
    for change in ("update register_entry set state = 'void' where office = %s",
                   "delete from register_entry where office = %s",
                   "insert into register_entry select office, year, symbol, 3, book, dossier, 7, state, reason, by,"
                   " reserved_at, ended_at from register_entry where office = %s limit 1",
                   "update register_book set locked_at = null where office = %s"):  # fmt: skip
        with world.owner() as owner, pytest.raises(Exception, match="CERT-29"):
            owner.execute(change, (office,))  # type: ignore[arg-type]
    # The certifier signs what was reviewed, then the agency seals it.
    page = tmp_path / "book.pdf"
    made = world.type(
        "register", "pdf", office, YEAR, "--out", page, "--official", "ha", "--json", "--by", "ha"
    )
    assert made.json["kind"] == "frozen"
    lock = one_lock(office, YEAR)
    wrong = refused(Forbidden, lambda: sign_register(lock, world.signer(office), expected_sha256="00"))
    assert wrong.rule == "SIG-12"
    early = refused(Forbidden, lambda: sign_register(lock, world.signer(office, "seal")))
    assert early.rule == "SIG-12"
    assert sign_register(lock, world.signer(office), expected_sha256=made.json["sha256"])
    assert not sign_register(lock, world.signer(office))
    assert not sign_register(lock, world.signer(office, "lam"))  # it is signed by who it names
    assert sign_register(lock, world.signer(office, "seal"))
    assert not sign_register(lock, world.signer(office, "seal"))
    row, content = page_of(lock)
    assert row.kind == "sealed"
    found = signatures_of(content, anchors=world.parts.anchors, chain=world.parts.chain)
    assert [(s.field, s.intact, s.trusted) for s in found] == [
        ("official_1", True, True),
        ("seal", True, True),
    ]
    assert content.startswith(page.read_bytes())
    kept = world.ask(
        "select key, version_id from kept_object where kind = 'register' and key like :k", k=f"%{office}%"
    )
    assert [services().archive.read_back(k.key, k.version_id)[1] for k in kept] == [content]
    events = [e for e in (world.told(office)) if e["event"].startswith("register:")]
    assert [e["event"] for e in events if e["event"] in ("register:locked", "register:signature-done")] == [
        "register:locked", "register:signature-done", "register:signature-done"]  # fmt: skip
    assert "Sen" not in str(events)
    # The new year begins at 01.
    assert (
        world.ask("select number from register_entry where dossier = :c", c=world.frozen(office))[0].number
        == 1
    )


def test_a_year_is_not_locked_while_a_number_is_reserved_or_missing_or_before_its_end(world: World) -> None:
    office, codes = filled(world)
    by = official(world, office)
    now = world.frozen(office)
    year = services().clock.now().year
    assert refused(Forbidden, lambda: lock_register(office, year, by=by)).rule == "CERT-29"
    with world.owner() as owner:
        owner.execute("update register_entry set state = 'reserved' where dossier = %s", (codes[1],))
    error = refused(Forbidden, lambda: lock_register(office, YEAR, by=by))
    assert codes[1] in str(error)
    assert error.rule == "CERT-29"
    with world.owner() as owner, pytest.raises(Exception, match="CERT-29"):
        owner.execute(
            "insert into register_lock values (%s, 2025, 'SCT/BS', now(), 'x', 1, 1, 2, '', '{}')", (office,)
        )
    with world.owner() as owner:
        owner.execute("update register_entry set state = 'void' where dossier = %s", (codes[1],))
        owner.execute("update register_book set last_number = 3 where office = %s and year = 2025", (office,))
    refused(Broken, lambda: lock_register(office, YEAR, by=by))
    mailed = remind_of_registers()
    assert mailed == []
    assert [m for m in world.mails(office) if "chưa khóa" in str(m["Subject"])]
    assert world.stage(now) == "AwaitingSignature"


def test_a_number_is_refused_in_a_year_that_is_locked(world: World) -> None:
    office = world.office()
    done, other = world.signed(office), world.received(office)
    with world.owner() as owner:
        owner.execute("update register_book set locked_at = now() where office = %s", (office,))
    with services().database.transaction() as session:
        error = refused(Forbidden, lambda: reserve(session, office, "SCT/BS", other, 1))
    assert error.rule == "CERT-29"
    assert world.ask("select last_number from register_book where office = :o", o=office)[0].last_number == 1
    assert world.stage(done) == "Signed"


def test_a_page_that_nobody_signed_on_its_day_is_made_anew(world: World) -> None:
    office, _ = filled(world)
    lock = lock_register(office, YEAR, by=official(world, office))[0]
    first = freeze_register(lock, "ha")
    assert freeze_register(lock, "ha").sha256 == first.sha256
    other = freeze_register(lock, "lam")
    assert (other.revision, other.official) == (1, "lam")
