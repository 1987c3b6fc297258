"""What is personal goes when the period is over; what stays is named with its rule, and every proof stays good."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from infra.errors import Forbidden
from infra.object_store import Absent
from infra.services import services
from tasks.archival.checkpoints import export_history, keep_checkpoint
from tasks.dossier.holds import place_hold, release_hold
from tasks.dossier.looking import hold
from tasks.dossier.moves import SYSTEM
from tasks.erasure.erasing import erase, erasures_due
from tests.world import World, refused, somebody

YEARS_AGO = "update dossier set ended_at = ended_at - interval '400 days' where code = :c"
CANARY = ("Lò Thị Kim Yến", "022199912345", "yen.lo@citizen.example", "0912 345 678", "Bản Sen 7")


def ended(world: World, office: str, *, ago: bool = True) -> str:
    """Return a dossier that went to the archive, long ago."""
    name, identity, email, telephone, address = CANARY
    who = somebody(name=name, identity=identity, email=email, telephone=telephone, address=address)
    code = world.signed(office, applicant=who)
    world.carry(code)
    assert world.type("archive", code).code == 0
    world.carry(code)
    if world.stage(code) != "Archived":
        keep_checkpoint()
        world.carry(code)
    assert world.stage(code) == "Archived"
    if ago:
        world.put(YEARS_AGO, c=code)
    return code


def check_export(folder: Path) -> int:
    """Return how the stand-alone verifier ends over an export."""
    program = [
        sys.executable,
        str(folder / "verify_history.py"),
        "export",
        str(folder),
        "--key",
        str(folder / "key"),
    ]
    return subprocess.run(program, capture_output=True, check=False, timeout=60).returncode


def everything(world: World, code: str) -> str:
    """Return all that the database says of a dossier, beside the register."""
    tables = ("applicant", "notice", "delivery_leg", "original", "correction", "counter_task", "dossier")
    rows = []
    for table in tables:
        column = "code" if table == "dossier" else "dossier"
        rows += world.ask(f"select t::text from {table} t where {column} = :c", c=code)
    payloads = world.ask(
        "select convert_from(content, 'UTF8') from history_payload where subject = sha256(convert_to(:c, 'UTF8'))",
        c=code,
    )
    return str([*rows, *payloads])


def test_what_is_personal_goes_what_stays_is_named_and_every_proof_is_as_good_as_before(
    world: World, tmp_path: Path
) -> None:
    office = world.office()
    code, other = ended(world, office), world.signed(office)
    assert all(word in everything(world, code) for word in CANARY)
    keys = [
        row.key
        for row in world.ask("select key from document where dossier = :c and kind = 'frozen'", c=code)
    ]
    shared = world.ask("select key from document where dossier = :c and kind = 'scan'", c=other)[0].key
    final = world.ask(
        "select key from document where dossier = :c and kind = 'lifted' order by position desc", c=code
    )
    package = world.ask("select key, version_id from archived_object where dossier = :c", c=code)
    keep_checkpoint()
    export_history(tmp_path / "before")
    assert code in erasures_due()
    plan = erase(code, by=SYSTEM)
    assert {kept.rule for kept in plan.stays} >= {"ARC-01", "ARC-02", "PKI-08"}
    left = everything(world, code)
    assert not [word for word in CANARY[1:] if word in left]
    assert CANARY[0] in left  # the register's requester (CERT-28), and nothing else of the person
    for key in keys:
        with pytest.raises(Absent):
            services().work.get(key)
    assert services().work.get(shared)  # equal bytes that another dossier needs
    assert services().work.get(final[0].key)
    for held in package:
        services().archive.read_back(held.key, held.version_id)
    keep_checkpoint()
    export_history(tmp_path / "after")
    assert (check_export(tmp_path / "before"), check_export(tmp_path / "after")) == (0, 0)
    assert [e for e in world.events(code) if e.startswith("erasure")] == ["erasure:begun", "erasure:done"]
    assert erase(code, by=SYSTEM).done
    assert code not in erasures_due()
    assert world.type("resend", code).code == 1


def test_private_02_nothing_goes_before_the_period_is_over_or_while_it_is_needed(world: World) -> None:
    office = world.office()
    code, going = ended(world, office, ago=False), world.frozen(office)
    early = refused(Forbidden, lambda: erase(code, by=SYSTEM))
    assert (early.rule, code in erasures_due()) == ("PRIVATE-02", False)
    assert refused(Forbidden, lambda: erase(going, by=SYSTEM)).rule == "PRIVATE-02"
    world.put(YEARS_AGO, c=code)
    assert world.type("resend", code).code == 0
    assert "on the way" in str(refused(Forbidden, lambda: erase(code, by=SYSTEM)))
    assert CANARY[2] in everything(world, code)
    # A legal hold stops it, and its release lets it go on.
    world.carry(code)
    boss = world.officer(office)
    with services().database.transaction() as session:
        place_hold(session, hold(session, code), "Vụ án 7", by=boss)
    assert refused(Forbidden, lambda: erase(code, by=SYSTEM)).rule == "ARC-HOLD"
    assert code not in erasures_due()
    with services().database.transaction() as session:
        release_hold(session, hold(session, code), "Xong", by=boss)
    assert code in erasures_due()

    # A store that dies in the middle leaves it unfinished, and due.
    class Dies:
        def remove(self, key: str) -> None:
            raise RuntimeError("the power went")

        def __getattr__(self, name: str) -> object:
            return getattr(world.parts.work, name)

    with world.having(work=Dies()), pytest.raises(RuntimeError):
        erase(code, by=SYSTEM)
    assert code in erasures_due()
    assert not erase(code, by=SYSTEM).done
    assert erase(code, by=SYSTEM).done
