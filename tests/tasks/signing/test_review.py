"""An official opens each document, leaves some out with a reason, confirms, and sees what became of the list."""

from __future__ import annotations

import hashlib
import io
import json
import os
import stat
import sys
from collections.abc import Sequence
from datetime import date, timedelta
from pathlib import Path

import pytest
import rfc8785

from infra.errors import Forbidden
from infra.token import TokenAbsent
from tasks.certification.steps import issue_copy
from tasks.signing.acts import sign_list, unlock_list, write_list
from tasks.signing.keys import official_key
from tasks.signing.lists import Listed, SignList, SignOutcome
from tasks.signing.outcomes import outcome_of, results_of
from tasks.signing.steps import sign_original
from tests.world import PIN, World, refused, together


@pytest.fixture
def pin(tmp_path: Path) -> Path:
    """The file of the official's PIN."""
    file = tmp_path / "pin"
    file.write_text(f"{PIN}\n")
    return file


def written(world: World, office: str, staff: str = "ha") -> list[dict[str, object]]:
    """Write an official's list by the command and return its documents, with the digest in the first place."""
    said = world.type("sign", "--list", "--office", office, "--json", by=staff)
    assert said.code == 0, said.err
    return [{"digest": said.json["digest"]}, *said.json["documents"]]


def sign(world: World, digest: object, pin: Path, *more: object, staff: str = "ha") -> dict[str, str]:
    """Sign a list by the command and return what became of each document."""
    said = world.type("sign", "--manifest", digest, "--pin-file", pin, "--json", *more, by=staff)
    assert said.code == 0, said.err
    return {f"{o['dossier']}/{o['original']}": o["result"] for o in said.json}


class TestOpening:
    """Exactly the listed bytes, in a folder of the official's own."""

    def test_what_is_opened_has_the_listed_hash_and_is_private_and_told(
        self, world: World, tmp_path: Path
    ) -> None:
        office = world.office()
        code = world.frozen(office, 2)
        head, _, second = written(world, office)
        said = world.type(
            "sign", "--open", "2", "--manifest", head["digest"], "--to", tmp_path / "look", "--json", by="ha"
        )
        file = Path(said.json["file"])
        assert hashlib.sha256(file.read_bytes()).hexdigest() == second["sha256"] == said.json["sha256"]
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
        assert world.events(f"list/{head['digest']}") == ["list:written", "list:opened"]
        told = world.told(f"list/{head['digest']}")[-1]
        assert told["doc"]["sha256"] == second["sha256"]
        assert world.type("sign", "--open", f"{code}/1", "--to", tmp_path / "look", by="ha").code == 0
        opened = outcome_of(str(head["digest"]), "ha", at=office).documents
        assert all(d.opened_at for d in opened)
        assert [d.result for d in opened] == ["not reached", "not reached"]

    def test_only_what_is_listed_and_only_by_its_official(self, world: World, tmp_path: Path) -> None:
        office = world.office()
        world.frozen(office)
        digest = written(world, office)[0]["digest"]
        for which in ("2", "0", "H49.1-260101-0001/1"):
            said = world.type(
                "sign", "--open", which, "--manifest", digest, "--to", tmp_path / "look", by="ha"
            )
            assert said.code == 1
            assert "[SIG-12]" in said.err
        foreign = world.type("sign", "--open", "1", "--manifest", digest, "--to", tmp_path / "look", by="lam")
        assert "[AUTH-06]" in foreign.err
        assert not (tmp_path / "look").exists()

    def test_a_folder_that_is_a_link_is_not_used(self, world: World, tmp_path: Path) -> None:
        office = world.office()
        world.frozen(office)
        digest = written(world, office)[0]["digest"]
        (tmp_path / "real").mkdir()
        (tmp_path / "link").symlink_to(tmp_path / "real")
        said = world.type("sign", "--open", "1", "--manifest", digest, "--to", tmp_path / "link", by="ha")
        assert said.code == 1
        assert list((tmp_path / "real").iterdir()) == []

    def test_other_bytes_in_the_store_are_never_shown_for_the_listed_ones(
        self, world: World, tmp_path: Path
    ) -> None:
        office = world.office()
        code, other = world.frozen(office), world.frozen(office)
        digest = written(world, office)[0]["digest"]
        row = world.ask("select body from sign_list where digest = :d", d=digest)[0].body
        place = next(d for d in row["documents"] if d["dossier"] == code)
        wrong = next(d for d in row["documents"] if d["dossier"] == other)
        content = world.parts.work.get(wrong["key"])

        class Swapped:
            def get(self, key: str) -> bytes:
                return content if key == place["key"] else world.parts.work.get(key)

        with world.having(work=Swapped()):
            said = world.type(
                "sign", "--open", f"{code}/1", "--manifest", digest, "--to", tmp_path / "look", by="ha"
            )
        assert said.code == 5
        assert not (tmp_path / "look").exists()


class TestLeavingOut:
    """The reason goes to the examiner, not into the argument list; the rest is signed."""

    def test_one_is_left_out_and_exactly_the_others_are_signed(
        self, world: World, pin: Path, tmp_path: Path
    ) -> None:
        office = world.office()
        out, kept = world.frozen(office), world.frozen(office)
        digest = written(world, office)[0]["digest"]
        reason = tmp_path / "reason"
        reason.write_text("trang 2 bị mờ\n")
        results = sign(world, digest, pin, "--leave-out", f"{out}/1={reason}")
        assert results == {f"{out}/1": "left out", f"{kept}/1": "signed"}
        original = world.originals(out)[0]
        assert (original.standing, original.reason) == ("left-out", "trang 2 bị mờ")
        assert world.stage(out) == "ReturnedToExaminer"
        told = str(world.told(out)) + str(world.told(f"list/{digest}"))
        assert "bị mờ" not in told
        assert sign(world, digest, pin) == {f"{out}/1": "left out", f"{kept}/1": "signed before"}

    def test_the_reason_may_come_through_a_descriptor(self, world: World, pin: Path) -> None:
        office = world.office()
        out, _ = world.frozen(office), world.frozen(office)
        digest = written(world, office)[0]["digest"]
        reading, writing = os.pipe()
        os.write(writing, "thiếu trang\n".encode())
        os.close(writing)
        sign(world, digest, pin, "--leave-out", f"{out}/1=fd:{reading}")
        assert world.originals(out)[0].reason == "thiếu trang"

    @pytest.mark.parametrize("source", ["", "=/nowhere/reason", "=fd:nine", "=fd:999"])
    def test_without_a_reason_nothing_at_all_is_done(self, world: World, pin: Path, source: str) -> None:
        office = world.office()
        out = world.frozen(office)
        digest = written(world, office)[0]["digest"]
        before = world.picture()
        said = world.type(
            "sign", "--manifest", digest, "--pin-file", pin, "--leave-out", f"{out}/1{source}", by="ha"
        )
        assert said.code == 1
        assert "[PRIVATE-01]" in said.err
        assert world.picture() == before

    def test_when_all_is_left_out_no_pin_is_asked(self, world: World, pin: Path, tmp_path: Path) -> None:
        office = world.office()
        out = world.frozen(office)
        digest = written(world, office)[0]["digest"]
        reason = tmp_path / "reason"
        reason.write_text("mờ")
        said = world.type(
            "sign", "--manifest", digest, "--pin-file", pin, "--leave-out", f"{out}/1={reason}", by="ha"
        )
        assert said.code == 1
        assert "nothing to sign" in said.err
        assert world.devices[f"{office}-official-ha"].pins_offered == 0


class Keyboard(io.StringIO):
    """What somebody types."""

    def isatty(self) -> bool:
        return True


class TestTheConversation:
    """`hoso sign` without options does it all with questions."""

    def test_open_leave_out_and_sign(
        self, world: World, pin: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        office = world.office()
        first, second = world.frozen(office), world.frozen(office)
        monkeypatch.setattr(sys, "stdin", Keyboard("f giấy\nt due\no 1\nx 2\nnhòe\no 9\ny\ns\n"))
        with world.having(settings=world.settings.model_copy(update={"var_dir": tmp_path})):
            said = world.type("sign", "--office", office, "--pin-file", pin, by="ha")
        assert said.code == 0, said.err
        listed = [row.body for row in world.ask("select body from sign_list where office = :o", o=office)]
        order = [d["dossier"] for d in listed[0]["documents"]]
        assert sorted(order) == sorted([first, second])
        assert listed[0]["documents"][0]["sha256"] in said.out
        assert "has no document “9”" in said.out
        assert [world.originals(code)[0].standing for code in order] == ["approved", "left-out"]
        assert world.originals(order[1])[0].reason == "nhòe"
        assert list((tmp_path / "review").iterdir()) == []

    def test_a_long_list_is_narrowed_and_sorted_and_its_numbers_stay(
        self, capsys: pytest.CaptureFixture[str]
    ) -> None:
        from flows.cli.review_table import PAGE, ReviewTable

        documents = tuple(
            Listed(
                dossier=f"H49.21-261122-{n:04d}",
                original=1,
                kind="Học bạ" if n % 100 == 7 else "Bằng",
                pages=n % 5 + 1,
                sha256=f"{n:064x}",
                key="",
                due_at=None,
            )
            for n in range(1, 501)
        )
        chosen = SignList(
            digest="0" * 64, office="H49.21", official="ha", for_day=date(2026, 11, 22), documents=documents
        )
        shown = ReviewTable(chosen)
        assert shown.obey("f", "học bạ")
        assert [number for number, _ in shown.rows()] == [7, 107, 207, 307, 407]
        assert shown.obey("f", "")
        assert shown.obey("t", "pages")
        assert shown.rows()[0][0] == 4
        assert "due, kind, pages" in str(refused(Forbidden, lambda: shown.obey("t", "colour")))
        capsys.readouterr()
        assert shown.obey("n", "")
        page = capsys.readouterr().out
        assert page.count("261122") == PAGE
        assert "500 documents" in page
        assert not shown.obey("s", "")

    def test_stopping_signs_nothing(self, world: World, pin: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        office = world.office()
        code = world.frozen(office)
        monkeypatch.setattr(sys, "stdin", Keyboard("q\n"))
        said = world.type("sign", "--office", office, "--pin-file", pin, by="ha")
        assert said.code == 1
        assert world.originals(code)[0].standing == "certified"
        assert world.devices[f"{office}-official-ha"].pins_offered == 0


class TestTheOutcome:
    """Kept as each document ends, shown again, and its hash in the history."""

    def test_it_says_what_became_of_each_and_its_hash_is_in_the_history(
        self, world: World, pin: Path, tmp_path: Path
    ) -> None:
        office = world.office()
        good, changed, out = world.frozen(office), world.frozen(office), world.frozen(office)
        digest = str(written(world, office)[0]["digest"])
        assert issue_copy(changed, 1, official="lam")
        reason = tmp_path / "reason"
        reason.write_text("mờ")
        said = world.type(
            "sign", "--manifest", digest, "--pin-file", pin, "--leave-out", f"{out}/1={reason}", by="ha"
        )
        assert said.code == 1
        shown = world.type("sign", "--outcome", digest, "--json", by="ha").json
        found = {d["dossier"]: (d["result"], bool(d["why"]), bool(d["at"])) for d in shown["documents"]}
        assert found == {
            good: ("signed", False, True),
            changed: ("left out", True, True),
            out: ("left out", True, True),
        }
        ended = world.told(f"list/{digest}")[-1]
        assert ended["event"] == "list:ended"
        assert ended["outcome"]["sha256"] == shown["sha256"]
        assert ended["results"] == {"signed": 1, "left_out": 2}
        assert world.type("sign", "--outcome", digest, by="ha").code == 0
        assert "[AUTH-06]" in world.type("sign", "--outcome", digest, by="lam").err

    def test_an_interrupted_list_keeps_what_was_done_and_goes_on_with_the_same_digest(
        self, world: World
    ) -> None:
        office = world.office()
        world.frozen(office, 3)
        chosen = unlock_list(write_list(office, "ha").digest, "ha", at=office)
        with official_key(office, "ha", PIN) as key:
            sign = together(key)

            def interrupted(some: Sequence[Listed]) -> list[bool | BaseException | None]:
                return [*sign(some[:1]), KeyboardInterrupt(), *[None] * (len(some) - 2)]

            with pytest.raises(KeyboardInterrupt):
                sign_list(chosen, interrupted)
        results = [o.result for o in outcome_of(chosen.digest, "ha", at=office).documents]
        assert results == ["signed", "not reached", "not reached"]
        with official_key(office, "ha", PIN) as key:
            again = sign_list(chosen, together(key))
        assert [o.result for o in again] == ["signed before", "signed", "signed"]
        assert [o.result for o in outcome_of(chosen.digest, "ha", at=office).documents] == ["signed"] * 3

    def test_a_process_that_dies_has_kept_the_outcome_of_what_it_signed(self, world: World) -> None:
        office = world.office()
        world.frozen(office, 2)
        chosen = unlock_list(write_list(office, "ha").digest, "ha", at=office)

        class Died(BaseException):
            """Nothing of ours catches it."""

        def told(_: SignOutcome) -> None:
            raise Died

        with official_key(office, "ha", PIN) as key, pytest.raises(Died):
            sign_list(
                chosen,
                together(key),
                told=told,
                at_once=1,
            )
        assert [known.result for known in results_of(chosen.digest).values()] == ["signed"]

    def test_a_refusal_of_a_rule_is_told_from_a_document_that_changed(self, world: World) -> None:
        office = world.office()
        code = world.frozen(office)
        chosen = unlock_list(write_list(office, "ha").digest, "ha", at=office)

        refused, gone = Forbidden("not now.", rule="AUTH-01", way_out="Ask."), TokenAbsent("gone")
        assert [o.result for o in sign_list(chosen, lambda _: [refused])] == ["refused"]
        assert [o.result for o in sign_list(chosen, lambda _: [gone])] == ["not reached"]
        assert world.originals(code)[0].standing == "certified"


def of_yesterday(world: World, digest: str) -> str:
    """Write the same list down as if it had been written a day ago, and return its digest."""
    body = world.ask("select body from sign_list where digest = :d", d=digest)[0].body
    body["for_day"] = str(date.fromisoformat(body["for_day"]) - timedelta(days=1))
    old = hashlib.sha256(rfc8785.dumps(body)).hexdigest()
    world.put(
        "insert into sign_list (digest, office, official, for_day, body, written_at) select :new, office, official,"
        " for_day - 1, cast(:body as jsonb), written_at from sign_list where digest = :d",
        new=old, body=json.dumps(body, ensure_ascii=False), d=digest,
    )  # fmt: skip
    return old


class TestAnotherDay:
    """CERT-26: the date on the page is the day of signing, so yesterday's pages are never signed."""

    def test_a_list_of_yesterday_is_written_anew_and_signed_only_after_a_new_review(
        self, world: World, pin: Path
    ) -> None:
        office = world.office()
        code = world.frozen(office)
        old = of_yesterday(world, str(written(world, office)[0]["digest"]))
        world.put("update document set for_day = for_day - 1 where dossier = :c and kind = 'frozen'", c=code)
        number = world.ask("select number from register_entry where dossier = :c", c=code)
        said = world.type("sign", "--manifest", old, "--pin-file", pin, by="ha")
        assert said.code == 1
        assert "[CERT-26]" in said.err
        assert world.ask("select count(*) from signature where dossier = :c", c=code)[0][0] == 0
        assert world.devices[f"{office}-official-ha"].pins_offered == 0
        fresh = written(world, office)[0]["digest"]
        assert fresh != old
        assert str(fresh)[:16] in said.err
        assert world.ask("select number from register_entry where dossier = :c", c=code) == number
        assert sign(world, fresh, pin) == {f"{code}/1": "signed"}


class TestTakingOver:
    """`--take` puts a dossier that waits for another official on one's own list, before anybody signed."""

    def test_the_page_is_issued_anew_in_the_name_of_who_takes_it(self, world: World, pin: Path) -> None:
        office = world.office()
        code, other = world.frozen(office), world.frozen(office)
        old = written(world, office)[0]["digest"]
        number = world.ask("select number from register_entry where dossier = :c", c=code)
        said = world.type("sign", "--list", "--office", office, "--take", code, "--json", by="lam")
        assert said.code == 0, said.err
        assert [d["dossier"] for d in said.json["documents"]] == [code]
        assert world.ask("select number from register_entry where dossier = :c", c=code) == number
        refused = world.type("sign", "--manifest", old, "--pin-file", pin, "--json", by="ha")
        assert {o["dossier"]: o["result"] for o in refused.json} == {code: "left out", other: "signed"}
        assert sign(world, said.json["digest"], pin, staff="lam") == {f"{code}/1": "signed"}
        (row,) = world.ask("select signer from signature where dossier = :c and kept_at is not null", c=code)
        assert row.signer == "lam"

    def test_what_somebody_has_signed_is_not_taken_over(self, world: World) -> None:
        office = world.office()
        code = world.frozen(office)
        assert sign_original(code, 1, world.signer(office))
        said = world.type("sign", "--list", "--office", office, "--take", code, by="lam")
        assert said.code == 1
        assert "[SIG-12]" in said.err
