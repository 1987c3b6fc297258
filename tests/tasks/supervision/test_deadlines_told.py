"""What nears its time or is late is told once; a new time is given once, with an apology (DOS-17)."""

from __future__ import annotations

import subprocess
from datetime import timedelta
from pathlib import Path

import pytest
import yaml
from sqlmodel import select

from infra.errors import Forbidden, Unavailable
from infra.mail import Outcome
from infra.mail.memory import MemoryMail
from infra.services import services
from tasks.delivery.papers import paper_of
from tasks.dossier.calendar import local
from tasks.dossier.tables import NoticeRow
from tasks.supervision.overdue import Watched, watch_deadlines
from tasks.supervision.postponing import postpone
from tests.world import OFFICE, VECTORS, World

REASON = str(VECTORS / "reason.txt")
SUPERIOR = "pho-chu-tich@thunghiem.example"


def office_with_superior(world: World) -> str:
    officers = yaml.safe_load(OFFICE.read_text(encoding="utf-8"))["officers"]
    for officer in officers:
        if officer["staff"] == "lam":
            officer["email"] = SUPERIOR
    return world.office(officers=officers, superior="lam")


def due_in(world: World, code: str, **time: float) -> None:
    """Let a dossier's promised time be so far from now."""
    world.put("update dossier set due_at = now() + :t where code = :c", t=timedelta(**time), c=code)


def test_what_nears_is_late_or_late_for_long_is_told_once_each(world: World) -> None:
    office = office_with_superior(world)
    near, late, long, fine = (world.received(office) for _ in range(4))
    due_in(world, near, hours=1)
    due_in(world, late, hours=-1)
    due_in(world, long, hours=-10)
    due_in(world, fine, days=9)
    mail = MemoryMail()
    with world.having(mail=mail):
        assert watch_deadlines(office) == Watched(near=1, late=2, escalated=1, settled=0)
        assert watch_deadlines(office) == Watched(near=0, late=0, escalated=0, settled=0)
    here, above = mail.kept
    assert here["To"] == "motcua@thunghiem.example"
    assert above["To"] == SUPERIOR
    assert [code in here.get_content() for code in (near, late, long, fine)] == [True, True, True, False]
    assert [code in above.get_content() for code in (near, late, long, fine)] == [False, False, True, False]
    assert world.events(near)[-1] == "deadline:near"
    assert world.events(long)[-2:] == ["deadline:late", "deadline:escalated"]
    assert world.told(long)[-1]["superior"] == "lam"
    assert not any(event.startswith("deadline:") for event in world.events(fine))


def test_the_clock_that_stands_still_is_never_late(world: World) -> None:
    office = world.office()
    code = world.received(office)
    due_in(world, code, hours=-1)
    assert world.type("ask", code, "--missing", REASON).code == 0
    with world.having(mail=MemoryMail()):
        assert watch_deadlines(office) == Watched(near=0, late=0, escalated=0, settled=0)


def test_what_is_done_or_has_a_new_time_is_settled(world: World) -> None:
    office = world.office()
    done, moved = world.received(office), world.received(office)
    for code in (done, moved):
        due_in(world, code, hours=-1)
    with world.having(mail=MemoryMail()):
        assert watch_deadlines(office).late == 2
        assert world.type("stop", done, "--why", REASON).code == 0
        postpone(moved, 1, "đông người", by=world.officer(office))
        assert watch_deadlines(office).settled == 2


def test_a_mail_server_that_is_away_loses_no_alert_and_the_message_keeps_its_id(world: World) -> None:
    office = world.office()
    code = world.received(office)
    due_in(world, code, hours=-1)
    mail = MemoryMail()
    mail.answer_next(Outcome.DEFERRED, taken=True)
    with world.having(mail=mail):
        with pytest.raises(Unavailable, match=office):
            watch_deadlines(office)
        assert watch_deadlines(office).late == 0, "it was raised already"
    first, second = mail.kept
    assert first["Message-ID"] == second["Message-ID"]
    assert world.events(code).count("deadline:late") == 1


def test_without_a_superior_the_office_itself_is_told(world: World) -> None:
    office = world.office()
    code = world.received(office)
    due_in(world, code, hours=-9)
    mail = MemoryMail()
    with world.having(mail=mail):
        watch_deadlines(office)
    assert {str(m["To"]) for m in mail.kept} == {"motcua@thunghiem.example"}


def test_dos_17_a_new_time_comes_with_a_letter_of_apology_and_only_once(world: World, tmp_path: Path) -> None:
    office = world.office()
    code = world.received(office)
    words = " ".join(Path(REASON).read_text(encoding="utf-8").split())
    promised = world.dossier(code).due_at
    assert promised is not None
    said = world.type("postpone", code, "--days", "2", "--why", REASON)
    assert said.code == 0, said.err
    until = world.dossier(code).due_at
    assert until is not None
    assert (local(until).date() - local(promised).date()).days == 2, "this office is open every day"
    assert world.dossier(code).extended_by == 2
    entry = world.told(code)[-1]
    assert entry["event"] == "deadline:postponed"
    assert words not in str(entry), "the reason is behind a commitment"
    assert world.type("postpone", code, "--days", "2", "--why", REASON).code == 0, "twice is once"
    assert world.events(code).count("deadline:postponed") == 1
    again = world.type("postpone", code, "--days", "1", "--why", REASON)
    assert (again.code, "DOS-17" in again.err) == (1, True)
    with services().database.transaction() as session:
        notice = session.exec(
            select(NoticeRow).where(NoticeRow.dossier == code, NoticeRow.kind == "postponed")
        ).one()
    (tmp_path / "letter.pdf").write_bytes(paper_of(code, notice))
    command = ["pdftotext", "-layout", tmp_path / "letter.pdf", "-"]
    page = " ".join(subprocess.run(command, capture_output=True, text=True, check=True).stdout.split())
    assert "xin lỗi" in page.lower()
    assert f"{local(until):%d/%m/%Y}" in page or f"{local(until).day:02}" in page
    assert words in page


def test_cert_18_a_new_time_needs_the_applicants_word_beyond_the_law(world: World) -> None:
    office = world.office()
    code = world.received(office)
    with pytest.raises(Forbidden) as refused:
        postpone(code, 3, "x", by=world.officer(office))
    assert refused.value.rule == "CERT-18"
    postpone(code, 3, "x", by=world.officer(office), agreed=True)


def test_dos_17_where_no_time_runs_there_is_no_new_one(world: World) -> None:
    office = world.office()
    with pytest.raises(Forbidden) as refused:
        postpone(world.booked(office), 1, "x", by=world.officer(office))
    assert refused.value.rule == "DOS-17"


def test_from_a_time_that_is_over_the_new_one_counts_from_today(world: World) -> None:
    office = world.office()
    code = world.received(office)
    due_in(world, code, days=-5)
    until = postpone(code, 1, "x", by=world.officer(office))
    assert (local(until).date() - local(services().clock.now()).date()).days == 1
