"""Bad input gets a sentence, the rule, a way out and a non-zero exit; nothing is half done and nothing is lost."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Sequence
from datetime import datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
import yaml

from infra.clock import HANOI
from infra.services import using
from tests.world import SCANS, VECTORS, Said, World

NOBODY = "H49.21-261123-9999"
PERSON = ("--applicant", str(VECTORS / "sen.yaml"))
REASON = str(VECTORS / "reason.txt")
COLLECTOR = str(VECTORS / "collector.yaml")
EMAIL = str(VECTORS / "email.yaml")


def said_by(**facts: str) -> tuple[str, str]:
    """Return how a command is told of an applicant: by a file."""
    content = yaml.safe_dump(facts, allow_unicode=True)
    file = Path(tempfile.gettempdir()) / f"applicant-{sha256(content.encode()).hexdigest()[:12]}.yaml"
    file.write_text(content, encoding="utf-8")
    return "--applicant", str(file)


def answered(said: Said, rule: str, *words: str) -> None:
    """Assert that a command was refused as somebody at the counter needs it."""
    assert said.code == 1, said
    assert said.out == ""
    sentence, way_out = said.err.strip().splitlines()
    assert sentence.startswith("No: ")
    assert sentence.endswith(f"[{rule}]"), said.err
    assert way_out.endswith((".", "?")), said.err
    assert "Traceback" not in said.err
    for word in words:
        assert word in said.err


def refused(world: World, rule: str, command: Sequence[object], *words: str, by: str | None = "") -> None:
    """Assert that a command is refused and that not a single row changes."""
    world.seated(command, by)
    before = world.picture()
    answered(world.type(*command, by=by), rule, *words)
    after = world.picture()
    assert {table for table in before if after[table] != before[table]} == set()


@pytest.fixture
def desk(world: World) -> str:
    """An office with a desk's hours, where two fit into a slot, and a holiday in the third week from now."""
    body = yaml.safe_load((VECTORS / "office.yaml").read_text(encoding="utf-8"))
    holiday = monday(world) + timedelta(days=14)
    return world.office(hours=body["hours"], capacity=2, slot_minutes=30, holidays=[f"{holiday:%Y-%m-%d}"])


@pytest.fixture(scope="module")
def waiting(running_world: World) -> tuple[str, str]:
    """An office and a dossier of its own that waits for a signature; only acts that are refused may touch it."""
    with using(running_world.parts):
        office = running_world.office()
        return office, running_world.frozen(office)


def monday(world: World) -> datetime:
    """Return the next Monday but one, at noon."""
    now = world.parts.clock.now().astimezone(HANOI).replace(hour=12, minute=0, second=0, microsecond=0)
    return now + timedelta(days=14 - now.weekday())


class TestSlots:
    """Moments that cannot be booked."""

    def book(self, office: str, day: datetime | str, hour: str) -> list[object]:
        """Return the command that books."""
        date = day if isinstance(day, str) else f"{day:%Y-%m-%d}"
        return ["book", "--office", office, *PERSON, "--date", date, "--hour", hour]

    def test_an_unknown_office(self, world: World, desk: str) -> None:
        command = self.book("H99.99", monday(world), "08:00")
        refused(world, "ORG-05", command, "there is no office H99.99", desk)

    def test_a_slot_in_the_past(self, world: World, desk: str) -> None:
        refused(world, "CERT-04", self.book(desk, "2026-01-05", "08:00"), "2026-01-05 08:00 is over")

    def test_a_slot_on_a_holiday(self, world: World, desk: str) -> None:
        day = monday(world) + timedelta(days=14)
        tuesday = f"{day + timedelta(days=1):%Y-%m-%d} 07:30"
        refused(world, "DOS-20", self.book(desk, day, "08:00"), f"{day:%Y-%m-%d} is a holiday", tuesday)

    def test_a_slot_on_a_day_off(self, world: World, desk: str) -> None:
        sunday = monday(world) - timedelta(days=1)
        refused(
            world, "DOS-18", self.book(desk, sunday, "08:00"), "closed", f"{monday(world):%Y-%m-%d} 07:30"
        )

    @pytest.mark.parametrize("hour", ["07:00", "11:30", "12:00", "17:00", "08:10"])
    def test_a_slot_outside_the_hours_or_off_the_grid(self, world: World, desk: str, hour: str) -> None:
        refused(world, "DOS-18", self.book(desk, monday(world), hour), "The next slot is")

    def test_a_slot_that_is_full(self, world: World, desk: str) -> None:
        command = self.book(desk, monday(world), "08:00")
        assert [world.type(*command).code for _ in range(2)] == [0, 0]
        refused(world, "CERT-04", command, "is full")

    @pytest.mark.parametrize(
        ("day", "hour"),
        [("2026-13-01", "08:00"), ("next week", "08:00"), ("2027-01-04", "25:00"), ("2027-01-04", "")],
    )
    def test_what_is_no_date_and_hour(self, world: World, desk: str, day: str, hour: str) -> None:
        refused(world, "CERT-04", self.book(desk, day, hour), "is not a date and an hour")

    def test_an_appointment_moved_into_the_past(self, world: World, desk: str) -> None:
        code = world.booked(desk, monday(world).replace(hour=8))
        command = ["move", code, "--date", "2026-01-05", "--hour", "08:00"]
        refused(world, "CERT-04", command, code, "is over")

    @pytest.mark.parametrize(
        ("words", "rule"),
        [
            (said_by(name="", identity="1"), "DOS-12"),
            (said_by(name="Sen", identity=" "), "DOS-12"),
            (said_by(name="Sen", identity="1", email="sen"), "DOS-22"),
            (said_by(name="Sen", identity="1"), "DOS-22"),
            (said_by(name="Sen", shoe_size="38"), "PRIVATE-01"),
            (("--applicant", "Trần Thị Sen"), "PRIVATE-01"),
            ((), "PRIVATE-01"),
            ((*PERSON, "--channel", "paper"), "CERT-05"),
            ((*PERSON, "--channel", "pigeon"), "DOS-22"),
            ((*PERSON, "--procedure", "visa"), "GEN-02"),
        ],
    )
    def test_a_booking_that_cannot_be_kept(
        self, world: World, desk: str, words: tuple[str, ...], rule: str
    ) -> None:
        refused(world, rule, ["book", "--office", desk, *words])


class TestScans:
    """Files that are not the scan of a paper original."""

    @pytest.mark.parametrize(
        ("name", "rule", "said"),
        [
            ("text.pdf", "SIG-08", "text.pdf"),
            ("truncated.pdf", "INTAKE-01", "truncated.pdf"),
            ("encrypted.pdf", "INTAKE-01", "encrypted.pdf"),
            ("zero-pages.pdf", "INTAKE-01", "zero-pages.pdf"),
            ("empty.pdf", "INTAKE-01", "empty.pdf"),
            ("javascript.pdf", "INTAKE-02", "javascript.pdf"),
            ("attachment.pdf", "INTAKE-02", "attachment.pdf"),
            ("grey-72-dpi.jpg", "SIG-08", "grey-72-dpi.jpg"),
            ("colour-150-dpi.jpg", "SIG-08", "200 dpi"),
            ("born-digital.pdf", "CERT-01", "born-digital.pdf"),
            ("signed.pdf", "SIG-10", "signed.pdf"),
            ("bomb.pdf", "INTAKE-03", "bomb.pdf"),
        ],
    )
    def test_a_file_that_is_no_scan_is_refused_by_name(
        self, world: World, desk: str, name: str, rule: str, said: str
    ) -> None:
        code = world.booked(desk, monday(world).replace(hour=8))
        command = ["receive", code, "--original", "Giấy", SCANS / name]
        refused(world, rule, command, said, code)
        assert world.stage(code) == "Booked"

    def test_one_bad_file_among_good_ones_leaves_nothing_of_the_good_ones(
        self, world: World, desk: str, tmp_path: Path
    ) -> None:
        good = tmp_path / "good.jpg"
        good.write_bytes(world.scan)
        code = world.booked(desk, monday(world).replace(hour=8))
        command: list[object] = ["receive", code, "--original", "Một", good]
        command += ["--original", "Hai", good, SCANS / "javascript.pdf"]
        refused(world, "INTAKE-02", command, "javascript.pdf")
        assert world.originals(code) == []

    @pytest.mark.parametrize(
        ("words", "rule", "said"),
        [
            (
                ("--original", "Giấy", "GOOD", "--pages", "2"),
                "CERT-16",
                "declared with 2 pages, its scan has 1",
            ),
            (("--original", "Giấy", "GOOD", "GOOD", "--pages", "1"), "CERT-16", "its scan has 2"),
            (("--original", "Giấy", "GOOD", "--pages", "many"), "CERT-16", "needs a number"),
            (("--original", "Giấy", "GOOD", "--compared", "0"), "CERT-02", "0 were compared"),
            (("--original", "Giấy", "GOOD", "--foreign"), "R5", "consularly legalised"),
            (("--original", "Giấy", "GOOD", "--copies", "0"), "CERT-23", "at least one copy"),
            (("--original", "Giấy"), "CERT-02", "at least one file"),
            (("--original",), "CERT-02", "at least one file"),
            (("--original", "Giấy", "GOOD", "--colour"), "CERT-02", "--colour"),
            (("--original", "Giấy", "/no/such/file.pdf"), "INTAKE-01", "No such file"),
            (("GOOD",), "CERT-02", "does not belong to an original"),
            ((), "CERT-02", "without an original"),
            (("--shown", "identity", "--original", "Giấy", "GOOD"), "DOS-14", "lacks"),
            (("--extend", "3", "--original", "Giấy", "GOOD"), "CERT-18", "3 extra working days"),
        ],
    )
    def test_what_does_not_fit_the_original(
        self, world: World, desk: str, tmp_path: Path, words: tuple[str, ...], rule: str, said: str
    ) -> None:
        good = tmp_path / "good.jpg"
        good.write_bytes(world.scan)
        code = world.booked(desk, monday(world).replace(hour=8))
        command = ["receive", code, *(good if word == "GOOD" else word for word in words)]
        refused(world, rule, command, said)
        assert world.stage(code) == "Booked"

    def test_a_file_over_the_limit_is_refused_before_it_is_read(
        self, world: World, desk: str, tmp_path: Path
    ) -> None:
        large = tmp_path / "large.pdf"
        large.write_bytes(b"%PDF-1.7\n" + bytes(300_000))
        code = world.booked(desk, monday(world).replace(hour=8))
        before = world.picture()
        said = world.hoso("receive", code, "--original", "Giấy", large, HOSO_UPLOAD_LIMIT_BYTES="200000")
        answered(said, "INTAKE-03", "large.pdf", "0.3 MB", "0.2 MB", code)
        assert world.picture() == before

    def test_a_walk_in_that_is_refused_opens_no_dossier(self, world: World, desk: str) -> None:
        command = ["receive", "--walk-in", desk, *PERSON, "--original", "Giấy"]
        refused(world, "CERT-01", [*command, SCANS / "born-digital.pdf"])
        by_paper = [
            "receive",
            "--walk-in",
            desk,
            *PERSON,
            "--channel",
            "paper",
            "--original",
            "Giấy",
        ]
        refused(world, "CERT-01", [*by_paper, SCANS / "born-digital.pdf"])


class TestOutOfTurn:
    """Acts that come too early, too late, or twice."""

    def test_receiving_twice(self, world: World, waiting: tuple[str, str], tmp_path: Path) -> None:
        good = tmp_path / "good.jpg"
        good.write_bytes(world.scan)
        _, code = waiting
        refused(
            world,
            "DOS-06",
            ["receive", code, "--original", "Giấy", good],
            code,
            "received before",
        )

    def test_a_seal_before_the_official_s_signature(self, world: World, waiting: tuple[str, str]) -> None:
        _, code = waiting
        before = world.picture()
        answered(world.type("seal", code, 1), "SIG-12", code, "cannot be signed before official_1")
        assert changed(world, before) <= {"history_entry", "history_head"}
        assert world.stage(code) == "AwaitingSignature"

    def test_a_seal_before_certification(self, world: World) -> None:
        code = world.received(world.office())
        answered(world.type("seal", code, 1), "SIG-12", code, "not certified yet")

    def test_a_signature_before_certification_is_on_nobody_s_list(self, world: World) -> None:
        office = world.office()
        code = world.received(office)
        command = ["sign", "--list", "--office", office, "--only", code]
        refused(world, "SIG-12", command, "nothing waits for the signature of ha", by="ha")

    def test_a_list_that_nobody_wrote(self, world: World, tmp_path: Path) -> None:
        pin = tmp_path / "pin"
        pin.write_text("1\n")
        for digest in ("ab" * 32, "ab", "%" * 8, ""):
            if digest:
                command = ["sign", "--manifest", digest, "--pin-file", pin]
                refused(world, "SIG-12", command, "no list has the digest", by="ha")

    def test_another_official_s_list(self, world: World, waiting: tuple[str, str], tmp_path: Path) -> None:
        office, code = waiting
        written = world.type("sign", "--list", "--office", office, "--only", code, "--json", by="ha").json
        pin = tmp_path / "pin"
        pin.write_text("1\n")
        command = ["sign", "--manifest", written["digest"], "--pin-file", pin]
        refused(world, "AUTH-06", command, f"not for {office}/lam", by="lam")

    def test_a_pin_file_that_is_not_there(self, world: World, waiting: tuple[str, str]) -> None:
        office, code = waiting
        written = world.type("sign", "--list", "--office", office, "--only", code, "--json", by="ha").json
        command = ["sign", "--manifest", written["digest"], "--pin-file", "/no/such/pin"]
        refused(world, "SIG-13", command, "cannot be read", by="ha")

    def test_a_paper_handed_over_for_an_e_copy(self, world: World, waiting: tuple[str, str]) -> None:
        _, code = waiting
        command = ["hand-over", code, "--collector", COLLECTOR]
        refused(world, "CERT-05", command, code)

    def test_a_result_asked_for_before_it_is_signed(self, world: World, waiting: tuple[str, str]) -> None:
        _, code = waiting
        for command in (
            ["redirect", code, "--channel", "email", "--to", EMAIL],
            ["archive", code],
        ):
            refused(world, "DOS-06", command, code)

    def test_nobody_is_logged_in(self, world: World, waiting: tuple[str, str]) -> None:
        _, code = waiting
        refused(world, "LOGIN-01", ["withdraw", code, "--why", REASON], "nobody is logged in", by=None)

    def test_somebody_who_may_not(self, world: World, waiting: tuple[str, str]) -> None:
        _, code = waiting
        world.seated(["leave-out", code])
        before = world.picture()
        answered(world.type("leave-out", code, "1", "--why", REASON), "AUTH-06", code, "official")
        assert changed(world, before) == {"history_entry", "history_head"}
        assert world.told(code)[-1]["event"] == "act:refused"

    def test_an_original_that_the_dossier_does_not_have(self, world: World, waiting: tuple[str, str]) -> None:
        _, code = waiting
        before = world.picture()
        for ordinal in ("0", "2", "99"):
            for words in (
                ["decline", code, ordinal, "--reason", "R1"],
                ["leave-out", code, ordinal, "--why", REASON, "--by", "ha"],
                ["examine", code, ordinal],
                ["seal", code, ordinal],
                ["document", code, ordinal, "--out", "/dev/null"],
            ):
                answered(world.type(*words), "CERT-23", code)
        assert world.picture() == before

    def test_a_refusal_that_is_not_on_the_list(self, world: World, waiting: tuple[str, str]) -> None:
        _, code = waiting
        before = world.picture()
        said = world.type("decline", code, "1", "--reason", "R7")
        assert said.code == 2
        assert "R7" in said.err
        assert world.picture() == before


def changed(world: World, before: dict[str, object]) -> set[str]:
    """Return the tables that are not as they were."""
    now = world.picture()
    return {name for name in now if now[name] != before[name]}


#: Every command that takes a dossier's code, with what else it must be told.
WITH_A_CODE: dict[str, tuple[str, ...]] = {
    "move": ("--date", "2027-01-04", "--hour", "08:00"),
    "cancel": (),
    "receive": ("--original", "Giấy", str(SCANS / "text.pdf")),
    "supply": (),
    "pay": ("--receipt", "BL"),
    "examine": ("1",),
    "correct": ("1", "--kind", REASON),
    "decline": ("--reason", "R1"),
    "ask": ("--missing", REASON),
    "withdraw": ("--why", REASON),
    "stop": ("--why", REASON),
    "resume": ("--why", REASON),
    "postpone": ("--days", "1", "--why", REASON),
    "leave-out": ("1", "--why", REASON, "--by", "ha"),
    "seal": ("1",),
    "hand-over": ("--collector", COLLECTOR),
    "redirect": ("--channel", "email"),
    "confirm": ("--channel", "email"),
    "archive": (),
    "paper": ("--out", "/dev/null"),
    "document": ("1", "--out", "/dev/null"),
    "status": (),
    "show": (),
    "signature": ("1",),
    "evidence": ("--out", "/dev/null"),
    "erase": (),
    "resend": (),
    "withdraw-result": ("1", "--why", REASON, "--by", "ha"),
    "retry": ("--why", REASON),
    "release": ("--why", REASON, "--by", "thu"),
    "readings": ("--by", "thu"),
    "give-back": ("--why", REASON, "--by", "thu"),
}


class TestCodes:
    """Codes that no dossier has."""

    @pytest.mark.parametrize("command", WITH_A_CODE)
    def test_a_code_that_does_not_exist(self, world: World, command: str) -> None:
        refused(world, "DOS-01", [command, NOBODY, *WITH_A_CODE[command]], f"there is no dossier {NOBODY}")

    @pytest.mark.parametrize("command", WITH_A_CODE)
    @pytest.mark.parametrize("code", ["H40-209999-0001", "'; drop table dossier; --"])
    def test_a_code_that_is_none(self, world: World, command: str, code: str) -> None:
        answered(
            world.type(command, code, *WITH_A_CODE[command]), "DOS-02", f"“{code}” is not a dossier code"
        )

    def test_every_command_that_takes_a_code_is_tried(self, world: World) -> None:
        import typer

        import flows.cli

        for room in flows.cli.ROOMS:
            __import__(f"flows.cli.{room}")
        group: Any = typer.main.get_command(flows.cli.app)
        takes = {
            name
            for name, command in group.commands.items()
            if any(parameter.name == "code" for parameter in command.params)
        }
        # “seal” is a group whose first word may be a code.
        assert takes == set(WITH_A_CODE) - {"seal"}


def test_a_wrong_command_line_exits_with_2(world: World) -> None:
    for words in (["fly"], ["show"], ["book", "--office"], ["decline", NOBODY]):
        said = world.type(*words)
        assert said.code == 2, words
        assert "Traceback" not in said.err


def test_a_real_process_ends_with_the_same_words(world: World) -> None:
    said = world.hoso("status", NOBODY)
    answered(said, "DOS-01", NOBODY)
    assert re.search(r"hoso list", said.err)


def test_a_database_that_is_away_is_said_to_be_so_with_exit_4(world: World) -> None:
    said = world.hoso("status", NOBODY, HOSO_DATABASE_URL="postgresql+psycopg://hoso_app@127.0.0.1:9/hoso")
    assert said.code == 4
    assert said.err.startswith("Not now: ")
    assert "Traceback" not in said.err
