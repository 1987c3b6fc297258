"""What nears its time or is late is told once; a new time is given once, with an apology (DOS-17)."""

from __future__ import annotations

import asyncio
import json
import subprocess
from datetime import timedelta
from email.message import EmailMessage
from pathlib import Path

import pytest
import yaml
from sqlmodel import select

from infra.environment import export
from infra.errors import Forbidden, Unavailable
from infra.mail import MailAnswer, Outcome
from infra.mail.memory import MemoryMail
from infra.services import services
from tasks.certification.receiving import Receipt
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


def escalated(world: World, mail: MemoryMail) -> tuple[str, str]:
    """A dossier that is late for long, and whose superior was told so."""
    office = office_with_superior(world)
    code = world.received(office)
    due_in(world, code, hours=-10)
    with world.having(mail=mail):
        assert watch_deadlines(office).escalated == 1
    return office, code


def test_the_superior_gives_back_with_an_instruction_and_hears_how_it_ends(world: World) -> None:
    mail = MemoryMail()
    office, code = escalated(world, mail)
    words = " ".join(Path(REASON).read_text(encoding="utf-8").split())
    said = world.type("give-back", code, "--why", REASON, by="lam")
    assert said.code == 0, said.err
    entry = world.told(code)[-1]
    assert (entry["event"], words in str(entry)) == ("deadline:given-back", False)
    with world.as_(office, "mai"):
        shown = world.type("show", code, "--json").json
    assert [(t["kind"], " ".join(t["reason"].split())) for t in shown["counter_tasks"]] == [
        ("instruction", words)
    ]
    with world.having(mail=mail):
        assert watch_deadlines(office) == Watched()
        told = mail.kept[-1]
        assert (told["To"], code in told.get_content()) == ("motcua@thunghiem.example", True)
        before = len(mail.kept)
        watch_deadlines(office)
        assert len(mail.kept) == before, "told once"
        # It stays late for as long again.
        world.put(
            "update deadline_alert set answered_at = answered_at - interval '10 hours' where dossier = :c",
            c=code,
        )
        assert watch_deadlines(office) == Watched(escalated=1)
        assert mail.kept[-1]["To"] == SUPERIOR
        assert world.events(code)[-1] == "deadline:again"
        assert watch_deadlines(office) == Watched()
        # Then there is a new time, and the superior hears that it is over.
        postpone(code, 1, "x", by=world.officer(office))
        assert watch_deadlines(office).settled == 3
        assert mail.kept[-1]["To"] == SUPERIOR
        assert "Đã giải quyết xong hoặc đã có hạn mới" in mail.kept[-1].get_content()
        before = len(mail.kept)
        watch_deadlines(office)
        assert len(mail.kept) == before
    assert world.events(code)[-1] == "deadline:settled"
    (task,) = world.ask("select ended_at, reason from counter_task where dossier = :c", c=code)
    assert (task.ended_at is not None, task.reason) == (True, ""), (
        "the words stay in the history's erasable part"
    )


def test_auth_06_only_the_superior_or_a_supervisor_gives_back_and_only_what_is_escalated(
    world: World,
) -> None:
    office, code = escalated(world, MemoryMail())
    for staff in ("ha", "mai"):
        refused = world.type("give-back", code, "--why", REASON, by=staff)
        assert (refused.code, "AUTH-06" in refused.err) == (1, True)
    assert world.type("give-back", code, "--why", REASON, by="thu").code == 0
    refused = world.type("give-back", world.received(office), "--why", REASON, by="thu")
    assert (refused.code, "not escalated" in refused.err) == (1, True)


def test_dos_18_on_a_day_off_nobody_is_told_and_a_made_up_one_counts(world: World) -> None:
    today = local(services().clock.now()).date().isoformat()
    closed = world.office(holidays=[today])
    made_up = world.office(holidays=[today], make_up={today: [{"opens": "00:00:00", "closes": "23:59:59"}]})
    mail = MemoryMail()
    with world.having(mail=mail):
        for office, late in ((closed, 0), (made_up, 1)):
            due_in(world, world.received(office), hours=-1)
            assert watch_deadlines(office) == Watched(late=late)
    assert len(mail.kept) == 1


def test_many_deadlines_of_one_office_are_told_in_blocks_each_once(world: World) -> None:
    office = world.office()
    one = world.received(office)
    world.put(
        "insert into dossier select (jsonb_populate_record(d, jsonb_build_object('code', left(d.code, -4) || (7000 + n)::text,"
        " 'due_at', now() - n * interval '1 minute'))).* from dossier d, generate_series(1, 60) n where d.code = :c",
        c=one,
    )
    mail = MemoryMail()
    with world.having(mail=mail):
        assert watch_deadlines(office).late == 60
        assert watch_deadlines(office) == Watched()
    assert len(mail.kept) == 1


def test_one_offices_error_keeps_no_other_from_being_told(world: World) -> None:
    refusing, damaged, fine = world.office(mailbox="hong@thunghiem.example"), world.office(), world.office()
    codes = {office: world.received(office) for office in (refusing, damaged, fine)}
    for code in codes.values():
        due_in(world, code, hours=-1)

    class Partly(MemoryMail):
        """Takes nothing for one mailbox."""

        def send(self, message: EmailMessage) -> MailAnswer:
            if message["To"] == "hong@thunghiem.example":
                return MailAnswer(outcome=Outcome.REFUSED, code=550, text="no such mailbox")
            return super().send(message)

    # Prefect makes a folder when it is imported; nothing of a test belongs into the user's home.
    export("PREFECT_HOME", str(world.root / "prefect-client"))
    from flows.supervision import overdue

    mail = Partly()
    (body,) = world.ask("select body from office where code = :o", o=damaged)[0]
    try:
        world.put("update office set body = '{}' where code = :o", o=damaged)
        with world.having(mail=mail):
            ended = asyncio.run(overdue.fn())
    finally:
        world.put("update office set body = cast(:b as jsonb) where code = :o", b=json.dumps(body), o=damaged)
    assert ended.name == "Failed"
    assert ended.message is not None
    failed = [part.split(":")[0] for part in ended.message.split("; ") if " near, " not in part]
    assert {refusing, damaged} <= set(failed)
    assert fine not in failed
    assert any(codes[fine] in kept.get_content() for kept in mail.kept)
    with world.having(mail=MemoryMail()):
        assert watch_deadlines(damaged).late == 1, "the next look does what this one could not"


def test_dos_17_how_early_a_new_time_must_be_given_is_for_the_installation_to_say(world: World) -> None:
    office = world.office()
    today, ahead = world.received(office), world.received(office)
    due_in(world, today, minutes=1)
    due_in(world, ahead, days=3)
    strict = world.settings.model_copy(update={"postpone_days_before": 2})
    with world.having(settings=strict):
        with pytest.raises(Forbidden, match="2 working day") as refused:
            postpone(today, 1, "x", by=world.officer(office))
        assert refused.value.rule == "DOS-17"
        postpone(ahead, 1, "x", by=world.officer(office))


def test_cert_20_while_the_fee_is_missing_the_clock_stands_still_and_then_begins_anew(world: World) -> None:
    office = world.office()
    code = world.received(office, receipt=Receipt())
    assert world.stage(code) == "PaymentDue"
    world.put(
        "update dossier set due_at = due_at - interval '9 days', paused_at = paused_at - interval '9 days'"
        " where code = :c",
        c=code,
    )
    with world.having(mail=MemoryMail()):
        assert watch_deadlines(office) == Watched(), "it stands still"
        assert world.type("pay", code, "--receipt", "BL-9").code == 0
        paid = world.dossier(code)
        assert (paid.paused_at, paid.due_at is not None and paid.due_at > services().clock.now()) == (
            None,
            True,
        )
        assert watch_deadlines(office).late == 0
