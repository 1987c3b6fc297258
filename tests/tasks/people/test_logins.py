"""Logins: by password and by token, and every way in which one is refused or ends (LOGIN-01 to LOGIN-04)."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest

from infra.errors import Forbidden
from infra.services import services
from tasks.certificates.challenges import PREFIX, challenge, open_with_signature
from tasks.people import logins
from tasks.people.desk import logged_in
from tasks.people.persons import hash_of
from tests.world import PIN, Said, World, refused

PASSWORD = "bốn con ngựa trên đồi"


@pytest.fixture(autouse=True)
def cheap(monkeypatch: pytest.MonkeyPatch, world: World) -> Iterator[None]:
    """Make passwords cheap to check, so that a test may try many; what they cost is tested apart."""
    parts = world.parts
    before = parts.settings
    parts.settings = before.model_copy(update={"argon2_memory_kib": 64, "argon2_passes": 1})
    yield
    parts.settings = before


@contextmanager
def at(world: World, file: Path, **changes: object) -> Iterator[None]:
    """Sit at a desk whose session file is this one, by other settings if some are named."""
    before = services().settings
    services().settings = before.model_copy(update={"session_file": file, **changes})
    try:
        yield
    finally:
        services().settings = before


def secret(folder: Path, *lines: str) -> Path:
    """Return a file of mode 0600 with these lines."""
    file = folder / "secret"
    file.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    file.chmod(0o600)
    return file


def with_password(world: World, office: str, staff: str = "mai", password: str = PASSWORD) -> None:
    """Give somebody a password."""
    with world.parts.database.transaction() as session:
        code, _ = logins.enrol(session, office, staff, by=world.officer(office, "an", "administrator"))
    logins.set_password(office, staff, code, password)


def events(world: World, office: str, staff: str = "mai") -> list[str]:
    """Return what happened to a person."""
    return world.events(f"person/{office}/{staff}")


def rule(refusal: object) -> str:
    """Return the rule of a refusal."""
    assert isinstance(refusal, Forbidden)
    return refusal.rule


class TestByPassword:
    def test_an_enrolled_person_sets_a_password_logs_in_is_known_and_logs_out(
        self, world: World, tmp_path: Path
    ) -> None:
        office = world.office()
        who, desk = f"{office}/mai", tmp_path / "state" / "session"
        where = {"HOSO_SESSION_FILE": str(desk)}
        code = world.hoso("person", "enrol", who, "--json", by="an").json["code"]
        file = secret(tmp_path, code, PASSWORD)
        said = world.hoso("password", who, "--secret-file", file, **where)
        assert said.code == 0, said.err
        said = world.hoso("login", who, "--password-file", secret(tmp_path, PASSWORD), **where)
        assert said.code == 0, said.err
        assert stat.S_IMODE(desk.stat().st_mode) == 0o600
        assert stat.S_IMODE(desk.parent.stat().st_mode) == 0o700
        shown = world.hoso("whoami", "--json", **where).json
        assert shown["person"] == who
        assert [role["role"] for role in shown["roles"]] == ["clerk"]
        assert world.hoso("logout", **where).out == "logged out\n"
        assert not desk.exists()
        assert world.hoso("logout", **where).code == 0
        gone = world.hoso("whoami", **where)
        assert (gone.code, "[LOGIN-01]" in gone.err) == (1, True)
        expected = ["person:enrolled", "password:set", "login:opened", "login:ended"]
        assert [e for e in events(world, office) if e in expected][-4:] == expected

    def test_only_hashes_of_token_password_and_code_are_kept(self, world: World, tmp_path: Path) -> None:
        office = world.office()
        with world.parts.database.transaction() as session:
            code, _ = logins.enrol(session, office, "mai", by=world.officer(office, "an", "administrator"))
        logins.set_password(office, "mai", code, PASSWORD)
        with at(world, tmp_path / "session"):
            logins.open_with_password(office, "mai", PASSWORD)
        token = (tmp_path / "session").read_text().strip()
        assert re.fullmatch("[0-9a-f]{64}", token)
        with world.owner() as connection:
            for table in ("login", "credential", "enrolment", "history_entry", "history_payload"):
                for (row,) in connection.execute(f"select t::text from {table} t"):  # type: ignore[arg-type]
                    for word in (token, PASSWORD, code):
                        assert word not in row

    def test_rfc_9106_the_password_costs_what_the_settings_say(self, world: World) -> None:
        office = world.office()
        world.parts.settings = world.parts.settings.model_copy(
            update={"argon2_memory_kib": 65536, "argon2_passes": 3, "argon2_lanes": 4}
        )
        with_password(world, office)
        (kept,) = world.ask("select password from credential where office = :o", o=office)
        assert re.fullmatch(
            r"\$argon2id\$v=19\$m=65536,t=3,p=4\$[A-Za-z0-9+/]{22}\$[A-Za-z0-9+/]{43}", kept[0]
        )

    def test_one_answer_and_one_piece_of_work_for_whoever_cannot_log_in(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        office = world.office()
        with_password(world, office, "mai")
        with_password(world, office, "lam")
        with_password(world, office, "ha")
        world.put("update person set leaves_on = '2020-01-01' where office = :o and staff = 'ha'", o=office)
        world.put(
            "insert into login_try (office, staff, address, failures, last_at, locked_at)"
            " values (:o, 'lam', '127.0.0.1', 10, clock_timestamp(), clock_timestamp())",
            o=office,
        )
        checked: list[str] = []
        real = logins.is_right
        monkeypatch.setattr(logins, "is_right", lambda p, phc: checked.append(phc) or real(p, phc))
        tries = [
            ("nobody", PASSWORD), ("thu", PASSWORD), ("mai", "a wrong password"), ("lam", PASSWORD), ("ha", PASSWORD),
        ]  # fmt: skip
        answers = [
            str(refused(Forbidden, lambda s=s, p=p: logins.open_with_password(office, s, p)))  # type: ignore[misc]
            for s, p in tries
        ]
        assert len(set(answers)) == 1
        assert "[LOGIN-02]" in answers[0]
        # Each was checked once, against a hash of the same cost.
        assert len(checked) == len(tries)
        assert {phc.split("$")[3] for phc in checked} == {checked[0].split("$")[3]}

    def test_wrong_passwords_make_one_wait_then_lock_until_an_administrator_lifts_it(
        self, world: World, tmp_path: Path
    ) -> None:
        office = world.office()
        with_password(world, office)
        for _ in range(services().settings.login_failures):
            refused(Forbidden, lambda: logins.open_with_password(office, "mai", "a wrong password"))
            row = world.ask("select failures, not_before from login_try where office = :o", o=office)[0]
            assert row.failures < 3 or row.not_before > world.parts.clock.now()
            # While one has to wait, even the right one is refused, and is not counted.
            if row.failures >= 3:
                refused(Forbidden, lambda: logins.open_with_password(office, "mai", PASSWORD))
            world.put("update login_try set not_before = null where office = :o", o=office)
        assert events(world, office).count("login:locked") == 1
        refused(Forbidden, lambda: logins.open_with_password(office, "mai", PASSWORD))
        assert world.type("person", "unlock", f"{office}/mai", by="thu").code == 1
        assert world.type("person", "unlock", f"{office}/mai", by="an").code == 0
        with at(world, tmp_path / "session"):
            assert logins.open_with_password(office, "mai", PASSWORD).staff == "mai"
        assert world.ask("select failures from login_try where office = :o", o=office)[0][0] == 0

    def test_many_tries_at_once_are_worth_no_more_than_one_after_the_other(self, world: World) -> None:
        office = world.office()
        with_password(world, office)
        guess = lambda: logins.open_with_password(office, "mai", "a wrong password")  # noqa: E731
        answers = world.at_once([guess] * 8)
        assert {rule(answer) for answer in answers} == {"LOGIN-02"}
        # Three were looked at without a delay; the fourth began the delay that the others ran into.
        assert world.ask("select failures from login_try where office = :o", o=office)[0][0] <= 4

    def test_nobody_who_guesses_elsewhere_keeps_a_person_from_the_desk_where_the_person_works(
        self, world: World, tmp_path: Path
    ) -> None:
        office = world.office()
        with_password(world, office)
        with at(world, tmp_path / "session"):
            logins.open_with_password(office, "mai", PASSWORD)  # This desk is one of hers from now on.
            # Guesses from many other machines: locked there, and too many together, about her and about all.
            for number in range(40):
                world.put(
                    "insert into login_try (office, staff, address, failures, last_at, locked_at)"
                    " values (:o, 'mai', :a, 10, clock_timestamp(), clock_timestamp())",
                    o=office,
                    a=f"192.0.2.{number}",
                )
            assert logins.open_with_password(office, "mai", PASSWORD).staff == "mai"
            # A desk where she has never been is not believed meanwhile, be the password right.
            world.put("update login set address = '192.0.2.77' where office = :o and staff = 'mai'", o=office)
            assert (
                rule(refused(Forbidden, lambda: logins.open_with_password(office, "mai", PASSWORD)))
                == "LOGIN-02"
            )
            # Nor one of somebody at whom nobody guesses, because so much is guessed at all.
            with_password(world, office, "lam")
            refused(Forbidden, lambda: logins.open_with_password(office, "lam", PASSWORD))
            world.put(
                "update login_try set last_at = last_at - interval '11 minutes' where office = :o", o=office
            )
            assert logins.open_with_password(office, "lam", PASSWORD).staff == "lam"
            world.put("update login_try set last_at = last_at - interval '1 day' where office = :o", o=office)
            assert logins.open_with_password(office, "mai", PASSWORD).staff == "mai"

    def test_a_new_password_ends_every_login_and_needs_the_old_one(
        self, world: World, tmp_path: Path
    ) -> None:
        office = world.office()
        with_password(world, office)
        with at(world, tmp_path / "session"):
            logins.open_with_password(office, "mai", PASSWORD)
            assert logged_in().staff == "mai"
            new = "một chiếc thuyền không bến"
            refusal = refused(Forbidden, lambda: logins.set_password(office, "mai", "not it at all", new))
            assert rule(refusal) == "LOGIN-02"
            assert logged_in().staff == "mai"
            logins.set_password(office, "mai", PASSWORD, new)
            assert "password was changed" in str(refused(Forbidden, logged_in))
            assert logins.open_with_password(office, "mai", new).staff == "mai"

    @pytest.mark.parametrize("password", ["short", "aaaaaaaaaaaaaaaa", "maimaimaimai"])
    def test_a_password_that_is_easy_to_guess_is_refused(self, world: World, password: str) -> None:
        office = world.office()
        assert rule(refused(Forbidden, lambda: with_password(world, office, password=password))) == "LOGIN-04"

    def test_a_code_works_once_for_one_person_and_only_the_newest_for_a_while(self, world: World) -> None:
        office = world.office()
        by = world.officer(office, "an", "administrator")
        with world.parts.database.transaction() as session:
            old, _ = logins.enrol(session, office, "mai", by=by)
            new, until = logins.enrol(session, office, "mai", by=by)
        assert timedelta(hours=23) < until - world.parts.clock.now() < timedelta(hours=25)
        for staff, code in (("mai", old), ("lam", new), ("mai", "AAAAA-BBBBB-CCCCC-DDDDD")):
            refusal = refused(Forbidden, lambda s=staff, c=code: logins.set_password(office, s, c, PASSWORD))  # type: ignore[misc]
            assert rule(refusal) == "LOGIN-02"
        logins.set_password(office, "mai", new.lower(), PASSWORD)
        refused(Forbidden, lambda: logins.set_password(office, "mai", new, "another password of hers"))
        with world.parts.database.transaction() as session:
            late, _ = logins.enrol(session, office, "lam", by=by)
        world.put("update enrolment set expires_at = clock_timestamp() where office = :o", o=office)
        assert (
            rule(refused(Forbidden, lambda: logins.set_password(office, "lam", late, PASSWORD))) == "LOGIN-02"
        )

    def test_a_password_is_the_same_however_its_accents_were_typed(
        self, world: World, tmp_path: Path
    ) -> None:
        import unicodedata

        office = world.office()
        with_password(world, office, password=unicodedata.normalize("NFC", PASSWORD))
        with at(world, tmp_path / "session"):
            logins.open_with_password(office, "mai", unicodedata.normalize("NFD", PASSWORD))


class TestTheSession:
    @pytest.fixture
    def session(self, world: World, tmp_path: Path) -> tuple[str, Path]:
        """An office, and the session file of its clerk."""
        office, file = world.office(), tmp_path / "session"
        with at(world, file), world.parts.database.transaction() as session:
            person = session.get(logins.PersonRow, (office, "mai"))
            assert person is not None
            logins.open_login(session, person, "password")
        return office, file

    @pytest.mark.parametrize(
        ("change", "said"),
        [
            ("expires_at = clock_timestamp()", "more than 8 hours ago"),
            ("seen_at = clock_timestamp() - interval '31 minutes'", "nothing was done for 30 minutes"),
            ("ended_at = clock_timestamp(), ended_by = 'logout'", "logged out"),
            ("address = '192.0.2.7'", "opened at another machine"),
        ],
    )
    def test_a_login_that_is_over_is_refused_with_the_reason(
        self, world: World, session: tuple[str, Path], change: str, said: str
    ) -> None:
        office, file = session
        with at(world, file):
            assert logged_in().staff == "mai"
            world.put(f"update login set {change} where office = :o", o=office)
            refusal = refused(Forbidden, logged_in)
        assert rule(refusal) == "LOGIN-01"
        assert said in str(refusal)
        assert ("login:elsewhere" in events(world, office)) == ("machine" in said)

    def test_a_command_keeps_the_login_from_idling(self, world: World, session: tuple[str, Path]) -> None:
        office, file = session
        world.put(
            "update login set seen_at = clock_timestamp() - interval '20 minutes' where office = :o", o=office
        )
        with at(world, file):
            logged_in()
        # The desks that the office came with are not these rows' concern: one of them was seen just now.
        idle = world.ask("select min(clock_timestamp() - seen_at) from login where office = :o", o=office)
        assert idle[0][0] < timedelta(minutes=1)

    @pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o620])
    def test_a_file_that_others_can_reach_is_not_believed(
        self, world: World, session: tuple[str, Path], mode: int
    ) -> None:
        _, file = session
        file.chmod(mode)
        with at(world, file):
            refusal = refused(Forbidden, logged_in)
        assert rule(refusal) == "LOGIN-03"
        assert f"{mode:04o}" in str(refusal)

    def test_a_link_or_a_folder_in_its_place_is_not_believed(
        self, world: World, session: tuple[str, Path], tmp_path: Path
    ) -> None:
        _, file = session
        link = tmp_path / "link"
        link.symlink_to(file)
        os.mkfifo(tmp_path / "pipe", 0o600)
        for place in (link, tmp_path, tmp_path / "pipe"):
            with at(world, place):
                assert rule(refused(Forbidden, logged_in)) == "LOGIN-03"

    def test_somebody_else_s_file_is_not_believed(self, world: World, session: tuple[str, Path]) -> None:
        _, file = session
        if os.geteuid() != 0:
            pytest.skip("only root can give a file away")
        os.chown(file, 12345, 12345)
        with at(world, file):
            assert "another user" in str(refused(Forbidden, logged_in))

    def test_a_token_that_was_made_up_is_nobody_s(self, world: World, tmp_path: Path) -> None:
        with at(world, secret(tmp_path, "ab" * 32)):
            assert rule(refused(Forbidden, logged_in)) == "LOGIN-01"

    def test_who_logs_in_again_at_a_desk_ends_the_login_before(
        self, world: World, session: tuple[str, Path]
    ) -> None:
        office, file = session
        before = file.read_text()
        with_password(world, office, "lam")
        with at(world, file):
            logins.open_with_password(office, "lam", PASSWORD)
            assert logged_in().staff == "lam"
            file.write_text(before)
            assert "logged out" in str(refused(Forbidden, logged_in))

    def test_who_leaves_is_logged_out_and_does_nothing_more_but_stays_in_the_history(
        self, world: World
    ) -> None:
        office = world.office()
        code = world.received(office)
        assert world.type("show", code, by="mai").code == 0
        today = world.parts.clock.now().astimezone().date()
        assert world.type("person", "leave", f"{office}/mai", by="an").code == 0
        said = world.type("show", code, by="mai")
        assert (said.code, "[LOGIN-01]" in said.err) == (1, True)
        assert "left" in said.err
        with_said = refused(Forbidden, lambda: logins.open_with_password(office, "mai", PASSWORD))
        assert rule(with_said) == "LOGIN-02"
        assert str(today)[:4] in str(
            world.ask("select leaves_on from person where office = :o and staff = 'mai'", o=office)
        )
        told = [entry["actor"].get("id_hash") for entry in world.told(code)]
        assert hash_of(office, "mai") in told

    def test_cer_09_an_official_who_leaves_signs_nothing_more_and_the_certificate_is_to_be_revoked(
        self, world: World
    ) -> None:
        office = world.office()
        code = world.frozen(office)
        assert world.type("person", "leave", f"{office}/ha", by="an").code == 0
        tasks = world.ask("select reason from revocation_task where office = :o", o=office)
        assert len(tasks) == 1
        said = world.type("sign", "--list", "--only", code, by="ha")
        assert (said.code, "[LOGIN-01]" in said.err) == (1, True)

    def test_who_leaves_next_month_works_until_then(self, world: World) -> None:
        office = world.office()
        world.put(
            "update person set leaves_on = current_date + 30 where office = :o and staff = 'mai'", o=office
        )
        assert world.type("list", "--office", office, by="mai").code == 0


class TestByToken:
    def test_an_official_logs_in_by_the_token_s_signature(self, world: World, tmp_path: Path) -> None:
        office = world.office()
        pin = secret(tmp_path, PIN)
        with at(world, tmp_path / "session"):
            content = challenge(office, "ha")
            assert content.startswith(PREFIX.encode())
            assert content[0] != 0x31  # what a token signs for a document begins so
            signature = world.signer(office, "ha").token.sign(content)
            assert open_with_signature(content, signature).way == "token"
            assert logged_in().staff == "ha"
        assert pin.exists()

    def test_a_challenge_is_answered_once(self, world: World, tmp_path: Path) -> None:
        office = world.office()
        with at(world, tmp_path / "session"):
            content = challenge(office, "ha")
            signature = world.signer(office, "ha").token.sign(content)
            open_with_signature(content, signature)
            assert rule(refused(Forbidden, lambda: open_with_signature(content, signature))) == "LOGIN-02"
        answers = []
        content = challenge(office, "ha")
        signature = world.signer(office, "ha").token.sign(content)

        def answer() -> object:
            """Answer at a desk of one's own."""
            return open_with_signature(content, signature)

        with at(world, tmp_path / "session"):
            answers = world.at_once([answer] * 4)
        assert sum(isinstance(one, Forbidden) for one in answers) == 3

    def test_what_is_not_the_person_s_own_answer_does_not_count(self, world: World, tmp_path: Path) -> None:
        office, other = world.office(), world.office()
        token = world.signer(office, "ha").token
        with at(world, tmp_path / "session"):
            for spoil in (
                lambda c: (c, world.signer(office, "seal").token.sign(c)),
                lambda c: (c, world.signer(office, "lam").token.sign(c)),
                lambda c: (c, b"\x00" * 256),
                lambda c: (c.replace(b"/ha", b"/lam"), token.sign(c.replace(b"/ha", b"/lam"))),
                lambda c: (c.replace(office.encode(), other.encode()), token.sign(c)),
                lambda c: (c + b"x", token.sign(c + b"x")),
                lambda c: (b"", token.sign(b"")),
            ):
                content = challenge(office, "ha")
                assert (
                    rule(refused(Forbidden, lambda s=spoil, c=content: open_with_signature(*s(c))))
                    == "LOGIN-02"
                )  # type: ignore[misc]
            late = challenge(office, "ha")
            world.put("update login_challenge set expires_at = clock_timestamp() where office = :o", o=office)
            refused(Forbidden, lambda: open_with_signature(late, token.sign(late)))
            ended = challenge(office, "ha")
            world.put("update certificate set ended_at = clock_timestamp() where office = :o", o=office)
            refused(Forbidden, lambda: open_with_signature(ended, token.sign(ended)))
            assert rule(refused(Forbidden, logged_in)) == "LOGIN-01"

    def test_who_is_no_official_gets_no_challenge(self, world: World) -> None:
        office = world.office()
        for staff in ("mai", "nobody"):
            assert rule(refused(Forbidden, lambda s=staff: challenge(office, s))) == "AUTH-06"  # type: ignore[misc]


def test_a_secret_is_read_from_a_file_of_the_user_s_own_only(world: World, tmp_path: Path) -> None:
    office = world.office()
    file = secret(tmp_path, PASSWORD)
    file.chmod(0o644)
    said: Said = world.type("login", f"{office}/mai", "--password-file", file)
    assert (said.code, "[LOGIN-03]" in said.err) == (1, True)
    assert PASSWORD not in said.err
