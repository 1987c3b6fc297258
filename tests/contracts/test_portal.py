"""The portal's contract, on the double and over HTTP to a stand-in that fails as it is told."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar, Protocol

import httpx
import pytest

from infra.errors import Broken, Forbidden, Unavailable
from infra.portal import AccountUnknown, Portal
from infra.portal.http import HttpPortal
from infra.portal.memory import Fault, MemoryPortal
from infra.stack.scripted import script_faults

TOKEN = "a-token-of-the-tests"


class Site(Protocol):
    """A portal with its shelves."""

    portal: Portal

    def fail_next(self, *faults: Fault) -> None:
        """Script the next calls."""

    def held(self) -> list[tuple[str, str, bytes]]:
        """Return account, file name and content of each deposit."""

    def reports(self) -> list[tuple[str, int, int, str]]:
        """Return reference, sequence, code and moment of each report."""


class DoubleSite:
    """The double."""

    def __init__(self) -> None:
        self.double = MemoryPortal()
        self.portal: Portal = self.double

    def fail_next(self, *faults: Fault) -> None:
        for fault in faults:
            self.double.fail_next(fault)

    def held(self) -> list[tuple[str, str, bytes]]:
        return [(held.account, held.filename, held.content) for held in self.double.deposits.values()]

    def reports(self) -> list[tuple[str, int, int, str]]:
        return [(*key, *value) for key, value in self.double.reports.items()]


class StandInSite:
    """The stand-in, in a process of its own."""

    FAULTS: ClassVar = {Fault.BEFORE: "lose-request", Fault.AFTER: "lose-answer"}

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "portal"
        self.token_file = folder / "token"
        self.token_file.write_text(f"{TOKEN}\n")
        self.server = subprocess.Popen(
            [
                *(sys.executable, "-m", "infra.stack.portal_stand_in", "--port", "0"),
                *("--folder", str(self.folder), "--token-file", str(self.token_file)),
            ],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.server.stdout
        self.url = f"http://{self.server.stdout.readline().split()[-1]}"
        self.http = HttpPortal(self.url, token_file=self.token_file)
        self.portal: Portal = self.http

    def fail_next(self, *faults: Fault) -> None:
        script_faults(self.folder, *(self.FAULTS[fault] for fault in faults))

    def held(self) -> list[tuple[str, str, bytes]]:
        notes = [json.loads(path.read_text()) for path in (self.folder / "deposits").iterdir()]
        boxes = self.folder / "accounts"
        files = {path.stem: path.read_bytes() for path in boxes.rglob("*.pdf")}
        return [(note["account"], note["filename"], files[note["receipt"]]) for note in notes]

    def reports(self) -> list[tuple[str, int, int, str]]:
        notes = [json.loads(path.read_text()) for path in (self.folder / "reports").iterdir()]
        return [(note["reference"], note["sequence"], note["code"], note["at"]) for note in notes]

    def close(self) -> None:
        self.http.close()
        self.server.terminate()
        rest, _ = self.server.communicate(timeout=20)
        assert rest == ""


@pytest.fixture
def stand_in(tmp_path: Path) -> Iterator[StandInSite]:
    """The stand-in."""
    site = StandInSite(tmp_path)
    yield site
    site.close()


@pytest.fixture(params=["memory", "http"])
def site(request: pytest.FixtureRequest) -> Site:
    """The double, then the real one."""
    if request.param == "memory":
        return DoubleSite()
    stand_in: StandInSite = request.getfixturevalue("stand_in")
    return stand_in


def deposit(portal: Portal, content: bytes = b"%PDF one", account: str = "012345678901") -> str:
    """Put the same file into the same account, unless told otherwise."""
    return portal.deposit(account=account, deposit_id="leg-1", filename="Kết quả số 1.pdf", content=content)


def test_a_file_arrives_in_the_account_and_has_a_receipt(site: Site) -> None:
    assert deposit(site.portal)
    assert site.held() == [("012345678901", "Kết quả số 1.pdf", b"%PDF one")]


def test_the_same_deposit_again_has_the_same_receipt_and_is_kept_once(site: Site) -> None:
    assert deposit(site.portal) == deposit(site.portal)
    assert len(site.held()) == 1


def test_another_deposit_has_another_receipt(site: Site) -> None:
    first = deposit(site.portal)
    second = site.portal.deposit(
        account="012345678901", deposit_id="leg-2", filename="Kết quả số 1.pdf", content=b"%PDF one"
    )
    assert second != first
    assert len(site.held()) == 2


@pytest.mark.parametrize(("content", "account"), [(b"%PDF two", "012345678901"), (b"%PDF one", "another")])
def test_one_deposit_id_never_stands_for_two_things(site: Site, content: bytes, account: str) -> None:
    deposit(site.portal)
    with pytest.raises(Forbidden):
        deposit(site.portal, content, account)
    assert site.held() == [("012345678901", "Kết quả số 1.pdf", b"%PDF one")]


def test_an_unknown_account_is_named_as_such_without_its_number(site: Site) -> None:
    with pytest.raises(AccountUnknown) as refusal:
        deposit(site.portal, account="unknown-0123")
    assert "0123" not in str(refusal.value)
    assert site.held() == []


@pytest.mark.parametrize("fault", list(Fault))
def test_a_deposit_whose_answer_never_came_may_be_made_again(site: Site, fault: Fault) -> None:
    site.fail_next(fault)
    with pytest.raises(Unavailable):
        deposit(site.portal)
    assert len(site.held()) == (1 if fault is Fault.AFTER else 0)
    deposit(site.portal)
    assert len(site.held()) == 1


def test_a_report_is_kept_once_whatever_is_lost(site: Site) -> None:
    site.fail_next(Fault.BEFORE, Fault.AFTER)
    for _ in range(2):
        with pytest.raises(Unavailable):
            site.portal.report(reference="000.01", sequence=3, code=4, at="2026-11-22T09:00:00Z")
    site.portal.report(reference="000.01", sequence=3, code=4, at="2026-11-22T09:00:00Z")
    site.portal.report(reference="000.01", sequence=3, code=9, at="2026-11-22T10:00:00Z")
    assert site.reports() == [("000.01", 3, 4, "2026-11-22T09:00:00Z")]


class TestOverHttp:
    """What only a server can do."""

    @pytest.mark.parametrize("status", ["500", "502", "503", "429", "408"])
    def test_what_time_cures_is_unavailable(self, stand_in: StandInSite, status: str) -> None:
        script_faults(stand_in.folder, status)
        with pytest.raises(Unavailable):
            deposit(stand_in.portal)
        deposit(stand_in.portal)

    @pytest.mark.parametrize("status", ["400", "403", "409", "422"])
    def test_what_a_person_must_decide_is_forbidden(self, stand_in: StandInSite, status: str) -> None:
        script_faults(stand_in.folder, status)
        with pytest.raises(Forbidden) as refusal:
            deposit(stand_in.portal)
        assert not isinstance(refusal.value, AccountUnknown)

    def test_a_portal_that_is_down_is_unavailable(self, stand_in: StandInSite) -> None:
        with pytest.raises(Unavailable):
            deposit(HttpPortal("http://127.0.0.1:1", token_file=stand_in.token_file))

    def test_a_wrong_token_is_refused_and_in_no_text(self, stand_in: StandInSite, tmp_path: Path) -> None:
        wrong = tmp_path / "wrong"
        wrong.write_text("something-else")
        portal = HttpPortal(stand_in.url, token_file=wrong)
        with pytest.raises(Forbidden) as refusal:
            deposit(portal)
        assert stand_in.held() == []
        assert "something-else" not in f"{portal!r} {refusal.value!r} {refusal.value}"

    def test_a_token_that_was_renewed_is_used_at_once(self, stand_in: StandInSite) -> None:
        deposit(stand_in.portal)
        stand_in.token_file.write_text("another")
        with pytest.raises(Forbidden):
            deposit(stand_in.portal)

    def test_a_token_that_cannot_be_read_is_a_bug(self, stand_in: StandInSite, tmp_path: Path) -> None:
        with pytest.raises(Broken):
            deposit(HttpPortal(stand_in.url, token_file=tmp_path / "missing"))

    def test_an_account_is_never_part_of_an_address_or_a_path_outside(self, stand_in: StandInSite) -> None:
        deposit(stand_in.portal, account="../../đường/dẫn")
        assert stand_in.held()[0][0] == "../../đường/dẫn"
        assert [path.parent for path in stand_in.folder.parent.rglob("*.pdf")] == [
            stand_in.folder / "accounts" / "..%2F..%2F%C4%91%C6%B0%E1%BB%9Dng%2Fd%E1%BA%ABn"
        ]

    def test_damage_on_the_way_is_refused(self, stand_in: StandInSite) -> None:
        answer = httpx.post(
            f"{stand_in.url}/deposits",
            content=b"%PDF two",
            headers={
                "Authorization": f"Bearer {TOKEN}",
                "Idempotency-Key": "leg-1",
                "X-Account": "012345678901",
                "Content-Disposition": "attachment; filename*=UTF-8''a.pdf",
                "Content-Digest": "sha-256=:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=:",
            },
        )
        assert answer.status_code == 400
        assert stand_in.held() == []
