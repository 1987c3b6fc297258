"""
Whatever dies around a signature: kept = steps, and every call of the token is kept or explained.

Real commands in processes of their own sign with a real SoftHSM2 behind the shim, which counts what reaches
the token in a file that no death touches. `kill -9` is real, too.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import make_url

from tasks.certification.examining import decline_original
from tasks.dossier.refusals import Refusal
from tests.faults.conftest import Desk, Door, wait_for


def results(said: object) -> list[str]:
    """Return what became of each document of a list."""
    return [one["result"] for one in said.json]  # type: ignore[attr-defined]


def balanced(desk: Desk, *codes: str, steps: int, calls: int, not_called: int = 0, open_yet: int = 0) -> None:
    """
    Assert that exactly these steps are kept and that the history explains the rest.

    `not_called` is how many of the explained tries died before they reached the token: the history can say
    only that they may have. `open_yet` is how many tries wait for whoever signs next, who looks what they stored.
    """
    ledgers = [desk.ledger(code) for code in codes]
    assert sum(one.kept for one in ledgers) == sum(one.done for one in ledgers) == steps
    assert sum(one.untold for one in ledgers) == open_yet
    assert desk.shim.signatures == calls
    assert calls == steps + sum(one.explained for one in ledgers) - not_called


@pytest.mark.parametrize(
    ("moment", "calls", "not_called"), [("die-before", 1, 1), ("die-during", 2, 0), ("die-after", 2, 0)]
)
class TestKilledAtTheTokenCall:
    """Before, during and after it, together with the process that holds the token."""

    def test_the_official_signs_again_with_the_same_list(
        self, desk: Desk, moment: str, calls: int, not_called: int
    ) -> None:
        code, digest = desk.listed()
        desk.shim.tell("kill-parent")
        desk.shim.tell(moment)
        assert desk.sign(digest).code == -9
        assert desk.ledger(code).untold == 1
        assert desk.world.originals(code)[0].standing == "certified"
        again = desk.sign(digest)
        assert results(again) == ["signed"], again.err
        balanced(desk, code, steps=1, calls=calls, not_called=not_called)
        assert results(desk.sign(digest)) == ["signed before"]
        balanced(desk, code, steps=1, calls=calls, not_called=not_called)

    def test_a_worker_seals_after_one_that_died(
        self, desk: Desk, moment: str, calls: int, not_called: int
    ) -> None:
        code = desk.approved()
        desk.shim.tell("kill-parent")
        desk.shim.tell(moment)
        short = {"HOSO_LEASE_SECONDS": "1"}
        assert desk.carry(code, **short).code == -9
        assert desk.ledger(code).untold == 1
        wait_for(lambda: "NoneType" in desk.carry(code, **short).out)
        assert desk.world.originals(code)[0].standing == "valid"
        balanced(desk, code, steps=2, calls=1 + calls, not_called=not_called)


def test_the_worker_itself_is_killed_at_the_token_call_and_another_one_finishes(desk: Desk) -> None:
    """`hoso work`, as an office runs it: two originals, and no Prefect server to hold on to."""
    code, digest = desk.listed(2)
    assert results(desk.sign(digest)) == ["signed", "signed"]
    desk.shim.tell("kill-parent")
    desk.shim.tell("die-before")
    nowhere = "http://127.0.0.1:1/api"
    short = {"HOSO_LEASE_SECONDS": "1", "HOSO_PREFECT_API_URL": nowhere, "PREFECT_API_URL": nowhere}
    killed = desk.work(**short)
    _, complaint = killed.communicate(timeout=120)
    assert killed.returncode == -9, complaint
    assert desk.ledger(code).untold == 1
    other = desk.work(**short)
    wait_for(lambda: {one.standing for one in desk.world.originals(code)} == {"valid"}, seconds=120)
    other.terminate()
    assert other.wait(timeout=60) == 0
    balanced(desk, code, steps=4, calls=4, not_called=1)


class TestKilledBetweenTokenAndDatabase:
    """What was stored is found and kept; what was not is made again, and the first call is explained."""

    @pytest.mark.parametrize(("when", "calls"), [("before", 2), ("after", 1)])
    def test_one_signature_is_kept(self, desk: Desk, when: str, calls: int) -> None:
        code, digest = desk.listed()
        desk.dies(when, "put_first", "sign", "--manifest", digest, "--pin-file", desk.pin, "--json")
        assert desk.ledger(code).kept == 0
        assert results(desk.sign(digest)) == ["signed"]
        balanced(desk, code, steps=1, calls=calls)

    def test_a_dead_try_of_an_original_that_was_declined_is_explained_by_the_worker(self, desk: Desk) -> None:
        code, digest = desk.listed(2)
        desk.dies("before", "put_first", "sign", "--manifest", digest, "--pin-file", desk.pin, "--json")
        decline_original(code, 1, Refusal.R1, "", by=desk.world.officer(desk.office))
        assert desk.carry(code).code == 0
        balanced(
            desk, code, steps=0, calls=1, open_yet=1
        )  # The second was to be signed together with the first.
        assert results(desk.sign(digest)) == ["left out", "signed"]
        balanced(desk, code, steps=1, calls=2, not_called=1)

    def test_the_database_is_away_when_the_token_answers(self, desk: Desk, database_door: Door) -> None:
        code, digest = desk.listed()
        url = make_url(desk.world.settings.database_url).set(port=database_door.port)
        desk.shim.tell("slow", 2500)
        words = ("sign", "--manifest", digest, "--pin-file", desk.pin, "--json")
        away = desk.start(*words, HOSO_DATABASE_URL=url.render_as_string(hide_password=False))
        wait_for(lambda: desk.shim.signatures == 1)
        database_door.shut()
        _, complaint = away.communicate(timeout=60)
        assert away.returncode == 4, complaint
        desk.shim.let_be("slow")
        assert results(desk.sign(digest)) == ["signed"]
        balanced(desk, code, steps=1, calls=2)

    def test_the_store_is_away_when_the_token_answers(self, desk: Desk, store_door: Door) -> None:
        code, digest = desk.listed()
        desk.shim.tell("slow", 2500)
        words = ("sign", "--manifest", digest, "--pin-file", desk.pin, "--json")
        away = desk.start(*words, HOSO_S3_ENDPOINT=f"127.0.0.1:{store_door.port}")
        wait_for(lambda: desk.shim.signatures == 1)
        store_door.shut()
        _, complaint = away.communicate(timeout=120)
        assert away.returncode == 1, complaint
        desk.shim.let_be("slow")
        assert results(desk.sign(digest)) == ["signed"]
        balanced(desk, code, steps=1, calls=2)


class TestTheTokenMisbehaves:
    """The list stops, what was signed stays signed, and the rest is signed when the token is itself again."""

    def test_it_is_pulled_out_in_the_middle_of_a_list(self, desk: Desk) -> None:
        code, digest = desk.listed(3)
        desk.shim.tell("absent", 2)
        assert results(desk.sign(digest)) == ["signed", "not reached", "not reached"]
        desk.shim.let_be("absent")
        assert results(desk.sign(digest)) == ["signed before", "signed", "signed"]
        balanced(desk, code, steps=3, calls=4)

    def test_it_locks_after_wrong_pins_and_nothing_is_signed_until_it_is_unlocked(
        self, desk: Desk, tmp_path: Path
    ) -> None:
        code, digest = desk.listed()
        desk.shim.tell("lock", 3)
        wrong = tmp_path / "wrong"
        wrong.write_text("000000\n")
        for _ in range(2):
            assert "[SIG-13]" in desk.sign(digest, pin=wrong).err
        assert desk.shim.count("login") == 2
        careful = desk.sign(digest, pin=wrong)
        assert "one try left" in careful.err
        assert desk.shim.count("login") == 2
        assert desk.sign(digest, "--last-try", pin=wrong).code == 1
        locked = desk.sign(digest, "--last-try")
        assert "CER-02" in locked.err
        assert desk.shim.count("login") == 3
        assert "000000" not in locked.err + careful.err
        balanced(desk, code, steps=0, calls=0)
        desk.shim.let_be()
        assert results(desk.sign(digest)) == ["signed"]
        balanced(desk, code, steps=1, calls=1)

    def test_a_list_is_signed_on_a_pad_by_a_key_that_asks_each_time(self, desk: Desk) -> None:
        code, digest = desk.listed(2)
        desk.shim.tell("pad", desk.pin.read_text().strip())
        desk.shim.tell("always")
        said = desk.sign(digest, pin=Path("/nowhere"))
        assert results(said) == ["signed", "signed"], said.err
        assert "own pad" in said.err
        assert (desk.shim.count("login"), desk.shim.count("login-again")) == (1, 2)
        balanced(desk, code, steps=2, calls=2)

    def test_one_that_hangs_is_given_up_and_others_go_on(self, desk: Desk) -> None:
        hangs, other = desk.approved(), desk.world.received(desk.office)
        desk.shim.tell("hang")
        said = desk.carry(hangs, other, HOSO_TOKEN_SECONDS="2")
        assert sorted(said.out.split()) == sorted([hangs, "TokenHung", other, "NoneType"]), said.err
        assert desk.world.stage(other) == "AwaitingSignature"
        error = desk.world.ask("select last_error from outbox where dossier = :c", c=hangs)[0][0]
        assert "did not answer within 2 s" in error
        assert "AwaitingService" in desk.world.type("status", hangs).out
        failed = next(e for e in desk.world.told(hangs) if e["event"] == "signature:failed")
        assert (failed["cause"], failed["called"]) == ("TokenHung", True)
        desk.shim.let_be("hang")
        wait_for(lambda: "NoneType" in desk.carry(hangs).out)
        assert desk.world.originals(hangs)[0].standing == "valid"
        balanced(desk, hangs, steps=2, calls=3)


class TestTheSealsPin:
    """A refused PIN is remembered by the database: no other process tries it again by itself (SIG-13)."""

    def test_it_reaches_the_token_once_until_its_file_changes(self, desk: Desk) -> None:
        code = desk.approved()
        right = desk.pin.read_text()
        desk.pin.write_text("000000\n")
        before = desk.shim.count("login")
        for _ in range(3):
            said = desk.seal(code)
            assert said.code == 1
            assert "[SIG-13]" in said.err
        assert desk.shim.count("login") == before + 1
        desk.pin.write_text(right)
        sealed = desk.seal(code)
        assert sealed.code == 0, sealed.err
        balanced(desk, code, steps=2, calls=2)


class TestAtOnce:
    """Several processes at one original ask the token once."""

    def test_the_seal(self, desk: Desk) -> None:
        code = desk.approved()
        desk.shim.tell("slow", 400)
        with ThreadPoolExecutor(3) as threads:
            said = list(threads.map(lambda _: desk.seal(code), range(3)))
        assert [one.code for one in said] == [0, 0, 0], said
        assert sum("sealed before" not in one.out for one in said) == 1
        balanced(desk, code, steps=2, calls=2)

    def test_the_same_list(self, desk: Desk) -> None:
        code, digest = desk.listed(2)
        desk.shim.tell("slow", 400)
        with ThreadPoolExecutor(2) as threads:
            said = list(threads.map(lambda _: desk.sign(digest), range(2)))
        assert sorted(result for one in said for result in results(one)) == [
            "signed", "signed", "signed before", "signed before",
        ]  # fmt: skip
        balanced(desk, code, steps=2, calls=2)

    def test_two_workers(self, desk: Desk) -> None:
        code = desk.approved()
        desk.shim.tell("slow", 400)
        with ThreadPoolExecutor(2) as threads:
            list(threads.map(lambda _: desk.carry(code), range(2)))
        wait_for(lambda: desk.world.originals(code)[0].standing == "valid")
        balanced(desk, code, steps=2, calls=2)
