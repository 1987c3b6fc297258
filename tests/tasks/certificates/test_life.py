"""From the request to the end: who signs when, renewal without a stop, people who leave (CER-04 to CER-09, CER-14, CER-15)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from sqlalchemy.exc import IntegrityError

from infra.errors import Forbidden
from infra.services import services
from infra.token.software import SoftwareDevice
from tasks.certificates.choosing import signing_certificates
from tasks.certificates.lifecycle import MOVES, CertificateState, move
from tasks.certificates.policy import read_policy
from tasks.certificates.rules import Stand, may_renew, must_sign, warning_due
from tasks.certificates.watching import watch
from tasks.signing.keys import official_key
from tests.tasks.certificates.conftest import IMAGE, NOBODY_HAS_ONE, Desk, sha256_of
from tests.world import PIN, Said, World

#: Every move that there is, written down a second time (CER-15).
ALLOWED = {
    "requested": "issued rejected",
    "rejected": "",
    "issued": "handed-over revoked expired",
    "handed-over": "active revoked expired",
    "active": "suspended renewed changed revoked expired",
    "suspended": "active renewed changed revoked expired",
    "renewed": "revoked expired",
    "changed": "revoked expired",
    "revoked": "",
    "expired": "revoked",
}


@dataclass
class Holder(Desk):
    """An office with an administrator at the desk, and devices in memory."""

    keys: dict[str, rsa.RSAPrivateKey] = field(default_factory=dict)

    def type(self, *words: object) -> Said:
        """Type a command as the administrator."""
        with self.world.as_(self.office, "an"):
            return self.world.type(*words)

    def did(self, *words: object) -> Any:
        """Type a command that must succeed."""
        said = self.type(*words, "--json")
        assert said.code == 0, said.err
        return said.json

    def no(self, rule: str, *words: object) -> str:
        """Type a command that must be refused by a rule; return what it said."""
        said = self.type(*words)
        assert (said.code, f"[{rule}]" in said.err) == (1, True), said.out + said.err
        return said.err

    def device(self, label: str) -> rsa.RSAPublicKey:
        """Make a device with one key."""
        key = self.keys[label] = rsa.generate_private_key(65537, 2048)
        self.world.devices[label] = SoftwareDevice(label=label, pin=PIN, keys={b"\x01": key})
        return key.public_key()

    def registering(self, file: Path, label: str, *more: object, holder: str = "ha") -> tuple[object, ...]:
        """Return the words that register a certificate."""
        uri = f"pkcs11:token={label};id=%01"
        words = ("certificate", "register", "--office", self.office, "--for", holder, "--certificate", file)
        return (*words, "--uri", uri, "--image", IMAGE, "--pin-file", self.pin_file, *more)

    def active(self, label: str, **made: Any) -> str:
        """Register a certificate of ha's and return its SHA-256."""
        file = self.certificate(self.device(label), **made)
        return str(self.did(*self.registering(file, label))["sha256"])

    def follower(self, kind: str, old: str, label: str, **made: Any) -> tuple[str, Path]:
        """Ask for the renewal or change of a certificate, and record what came; return it, not registered yet."""
        number = self.did("certificate", kind, old, "--document", "7/UBND")["request"]
        file = self.certificate(self.device(label), **made)
        new = str(self.did("certificate", "issue", number, "--certificate", file)["sha256"])
        self.did("certificate", "hand-over", new, "--minutes", "BB-8")
        return new, file


@pytest.fixture
def holder(world: World, tmp_path: Path) -> Iterator[Holder]:
    office = world.office()
    world.put(NOBODY_HAS_ONE + " and holder <> ''", o=office)
    pin = tmp_path / "pin"
    pin.write_text(PIN + "\n")
    pin.chmod(0o600)
    made = Holder(
        world=world, authority=world.authority, softhsm=None, folder=tmp_path, office=office, token="", pin_file=pin,
    )  # type: ignore[arg-type]  # fmt: skip
    with world.having(settings=world.settings.model_copy(update={"revocation_policy": "hard-fail"})):
        yield made


def speaking(office: str, staff: str = "ha") -> list[str]:
    """Return the certificates that may sign for a person now, the newest first."""
    with services().database.transaction() as session:
        return [row.sha256 for row in signing_certificates(session, office, staff)]


@pytest.mark.parametrize("current", list(CertificateState), ids=str)
def test_cer_15_a_certificate_becomes_exactly_what_the_table_allows(current: CertificateState) -> None:
    assert {str(s) for s in MOVES} == set(ALLOWED)
    for wanted in CertificateState:
        if wanted in ALLOWED[current].split():
            assert move(current, wanted) is wanted
        else:
            with pytest.raises(Forbidden) as refusal:
                move(current, wanted)
            assert refusal.value.rule == "CER-15"


@pytest.mark.parametrize("state", list(CertificateState), ids=str)
def test_only_an_active_certificate_or_one_in_its_switch_over_signs(state: CertificateState) -> None:
    at = datetime(2026, 11, 22, tzinfo=UTC)
    stand = Stand(
        state=state, not_before=at - timedelta(1), not_after=at + timedelta(1), ended_at=at + timedelta(seconds=1),
        revoked_at=None,
    )  # fmt: skip
    if state in ("active", "renewed", "changed"):
        must_sign(stand, at, "ha")
        with pytest.raises(Forbidden):
            must_sign(stand, at + timedelta(seconds=1), "ha")
    else:
        with pytest.raises(Forbidden, match="ha"):
            must_sign(stand, at, "ha")


def test_cer_06_a_renewal_is_asked_for_once_and_with_sixty_days_left() -> None:
    policy, at = read_policy(None), datetime(2026, 11, 22, 9, tzinfo=UTC)
    may_renew(at + timedelta(days=60), 0, at, policy)
    for end, renewals in ((timedelta(days=60, seconds=-1), 0), (timedelta(days=300), 1)):
        with pytest.raises(Forbidden) as refusal:
            may_renew(at + end, renewals, at, policy)
        assert refusal.value.rule == "CER-06"


def test_cer_09_each_warning_is_due_once() -> None:
    end, days = datetime(2027, 3, 1, tzinfo=UTC), (90, 60, 30)
    given: list[int] = []
    for left in range(120, -2, -1):
        step = warning_due(end, given[-1] if given else None, end - timedelta(days=left), days)
        given += [step] if step else []
    assert given == [90, 60, 30]


def test_a_certificate_signs_only_after_issue_hand_over_and_test(holder: Holder) -> None:
    number = holder.did(
        "certificate", "request", "--office", holder.office, "--for", "ha", "--document", "12/UBND"
    )["request"]
    again = holder.did(
        "certificate", "request", "--office", holder.office, "--for", "ha", "--document", "12/UBND"
    )
    assert again["request"] == number
    holder.no(
        "CER-14", "certificate", "request", "--office", holder.office, "--for", "ha", "--document", "13"
    )
    file = holder.certificate(holder.device("life"))
    stranger = holder.certificate(holder.device("other"), name="Ai Đó")
    holder.no("CER-10", "certificate", "issue", number, "--certificate", stranger)
    issued = holder.did("certificate", "issue", number, "--certificate", file)
    assert issued["state"] == "issued"
    holder.no("CER-15", *holder.registering(file, "life"))
    with pytest.raises(Forbidden, match="not handed over yet"):
        speaking(holder.office)
    holder.did("certificate", "hand-over", issued["serial"], "--minutes", "BB-1")
    with pytest.raises(Forbidden, match="not active yet"):
        speaking(holder.office)
    holder.no("CER-15", "certificate", "activate", issued["serial"])
    assert holder.did(*holder.registering(file, "life"))["state"] == "active"
    assert speaking(holder.office) == [sha256_of(file)]
    told = holder.told(sha256_of(file))
    assert [e.partition(":")[2] for e in told] == [
        "issued", "refused", "handed-over", "testing", "registered", "activated"
    ]  # fmt: skip
    shown = holder.did("certificate", "show", issued["serial"])
    assert shown["minutes"] == "BB-1"
    assert shown["signs_now"] is True


def test_cer_14_the_database_itself_knows_of_one_active_certificate(holder: Holder) -> None:
    first = holder.active("one")
    with pytest.raises(IntegrityError, match="one_active_certificate"):
        holder.world.put(
            "insert into certificate select (jsonb_populate_record(c, jsonb_build_object('sha256', 'x'))).*"
            " from certificate c where sha256 = :s",
            s=first,
        )


class TestRenewal:
    """CER-05, CER-06: a new one takes over, and nobody has to stop signing."""

    def test_both_sign_during_the_switch_over_the_newer_one_first(self, holder: Holder) -> None:
        old = holder.active("old", days=200)
        new, file = holder.follower("renew", old, "new", days=1000)
        assert speaking(holder.office) == [old]
        holder.did(*holder.registering(file, "new", "--later"))
        assert speaking(holder.office) == [old]  # tested, and still the old one signs
        holder.did("certificate", "activate", new)
        assert speaking(holder.office) == [new, old]
        assert (holder.state(new), holder.state(old)) == ("active", "renewed")
        with official_key(holder.office, "ha", PIN) as key:
            assert key.token.certificate == read(holder.world, new)
        holder.world.devices["new"].present = False
        with official_key(holder.office, "ha", PIN) as key:
            assert key.token.certificate == read(holder.world, old)
        left = holder.world.ask(
            "select ended_at - clock_timestamp() from certificate where sha256 = :s", s=old
        )
        assert timedelta(days=13, hours=23) < left[0][0] < timedelta(days=14)
        holder.world.put("update certificate set ended_at = clock_timestamp() where sha256 = :s", s=old)
        assert speaking(holder.office) == [new]

    def test_it_is_refused_a_second_time_too_late_and_for_too_long(self, holder: Holder) -> None:
        old = holder.active("a", days=100)
        number = holder.did("certificate", "renew", old, "--document", "1")["request"]
        long = holder.certificate(holder.device("b"), days=4 * 366)
        assert "a renewed one may be for 3" in holder.no(
            "CER-05", "certificate", "issue", number, "--certificate", long
        )
        file = holder.certificate(holder.device("c"), days=900)
        new = holder.did("certificate", "issue", number, "--certificate", file)["sha256"]
        holder.did("certificate", "hand-over", new, "--minutes", "2")
        holder.did(*holder.registering(file, "c"))
        holder.no("CER-06", "certificate", "renew", new, "--document", "3")
        short = holder.certificate(holder.device("d"), name="Vi Văn Lâm", days=50)
        lam = holder.did(*holder.registering(short, "d", holder="lam"))["sha256"]
        holder.no("CER-06", "certificate", "renew", lam, "--document", "4")

    def test_cer_07_a_change_ends_the_old_one_at_once(self, holder: Holder) -> None:
        old = holder.active("before")
        new, file = holder.follower("change", old, "after")
        holder.did(*holder.registering(file, "after"))
        assert speaking(holder.office) == [new]
        assert holder.state(old) == "changed"

    def test_a_request_that_is_rejected_leaves_everything_as_it_was(self, holder: Holder) -> None:
        old = holder.active("kept")
        number = holder.did("certificate", "change", old, "--document", "1")["request"]
        why = holder.folder / "why"
        why.write_text("thiếu xác nhận của cơ quan")
        holder.did("certificate", "reject", number, "--why-file", why)
        assert speaking(holder.office) == [old]
        file = holder.certificate(holder.device("late"))
        holder.no("CER-15", "certificate", "issue", number, "--certificate", file)
        told = json.dumps(holder.world.told(f"certificate-request/{number}"), ensure_ascii=False)
        assert "thiếu xác nhận" not in told


class TestRevocation:
    """CER-08: from a moment on it is not valid, and signs nothing."""

    def test_a_revoked_certificate_signs_nothing_and_its_moment_only_moves_back(self, holder: Holder) -> None:
        sha256 = holder.active("gone")
        revoke = ("certificate", "revoke", sha256, "--cause", "device", "--document", "9/UBND")
        holder.no("CER-08", *revoke, "--as-of", "2099-01-01T00:00")
        holder.did(*revoke, "--as-of", "2026-11-20T17:00")
        with pytest.raises(Forbidden, match=r"was revoked as of 20/11/2026 17:00:00") as refusal:
            speaking(holder.office)
        assert refusal.value.rule == "CER-08"
        holder.did(*revoke, "--as-of", "2026-11-21T17:00")
        holder.did(*revoke, "--as-of", "2026-11-19T17:00")
        entries = [
            e for e in holder.world.told(f"certificate/{sha256}") if e["event"] == "certificate:revoked"
        ]
        assert len(entries) == 2
        shown = holder.did("certificate", "show", sha256)
        assert shown["revoked_at"].startswith("2026-11-19T17:00")

    def test_a_suspended_one_signs_nothing_until_it_is_active_again(self, holder: Holder) -> None:
        sha256 = holder.active("quiet")
        why = holder.folder / "why"
        why.write_text("nghi ngờ lộ khóa")
        holder.did("certificate", "suspend", sha256, "--why-file", why)
        with pytest.raises(Forbidden, match="is suspended"):
            speaking(holder.office)
        holder.did("certificate", "activate", sha256)
        assert speaking(holder.office) == [sha256]


class TestSomebodyLeaves:
    """CER-09: what people leave behind is found, silenced, and revoked in three working days."""

    def test_leaving_suspends_at_once_and_opens_a_task_that_the_revocation_ends(self, holder: Holder) -> None:
        sha256 = holder.active("left")
        holder.did("person", "leave", f"{holder.office}/ha")
        with pytest.raises(Forbidden, match="is suspended"):
            speaking(holder.office)
        (task,) = holder.did("certificate", "list", "--office", holder.office)["to_revoke"]
        assert (task["sha256"], task["cause"]) == (sha256, "left")
        today = services().clock.now().astimezone().date()
        assert date.fromisoformat(task["due_at"][:10]) - today in (timedelta(days=3), timedelta(days=4))
        holder.no("CER-09", "certificate", "activate", sha256)
        holder.did("certificate", "revoke", sha256, "--cause", "left", "--document", "31/UBND")
        assert holder.did("certificate", "list", "--office", holder.office)["to_revoke"] == []

    def test_the_morning_finds_whom_nobody_reported(self, holder: Holder) -> None:
        sha256 = holder.active("silent")
        holder.world.put(
            "update person set leaves_on = date '2020-01-01' where office = :o and staff = 'ha'",
            o=holder.office,
        )
        assert speaking(holder.office) == [sha256]
        assert watch().to_revoke >= 1
        assert holder.state(sha256) == "suspended"
        count = len(holder.told(sha256))
        watch()  # a second look asks for nothing more
        assert len(holder.told(sha256)) == count

    def test_who_signs_no_more_counts_as_one_who_left_and_a_decision_can_keep_the_certificate(
        self, holder: Holder
    ) -> None:
        sha256 = holder.active("moved")
        holder.did("person", "revoke", f"{holder.office}/ha", "--role", "official")
        (task,) = holder.did("certificate", "list", "--office", holder.office)["to_revoke"]
        assert task["cause"] == "position"
        holder.did("person", "grant", f"{holder.office}/ha", "--role", "official")
        holder.did("certificate", "activate", sha256, "--decision", "5/QĐ-UBND")
        assert speaking(holder.office) == [sha256]
        assert "certificate:kept" in holder.told(sha256)

    def test_cer_08_the_night_finds_whose_last_post_has_ended(self, holder: Holder) -> None:
        sha256 = holder.active("post")
        (first,) = [
            p["holding"] for p in holder.did("post", "list", "--office", holder.office) if p["staff"] == "ha"
        ]
        decision = ("--office", holder.office, "--decision", "6/QĐ-UBND")
        holder.did("post", "end", first, "--until", "2034-12-31", *decision)
        watch()
        assert speaking(holder.office) == [sha256]
        second = holder.did("post", "give", "vice-chairman", "ha", "--since", "2035-01-01", *decision)[
            "holding"
        ]
        ends = (
            "insert into holding_end (holding, ends_before, decision, recorded_at, recorded_by)"
            " values (:h, clock_timestamp(), '8/QĐ-UBND', clock_timestamp(), 'an')"
        )
        holder.world.put(ends, h=first)
        watch()  # the next post is on record
        assert speaking(holder.office) == [sha256]
        holder.world.put(ends, h=second)
        watch()
        (task,) = holder.did("certificate", "list", "--office", holder.office)["to_revoke"]
        assert (task["sha256"], task["cause"]) == (sha256, "position")

    def test_cer_08_the_end_of_a_post_opens_the_task_at_once(self, holder: Holder) -> None:
        sha256 = holder.active("ended")
        for post in holder.did("post", "list", "--office", holder.office):
            if post["staff"] == "ha":
                holder.did(
                    "post", "end", post["holding"], "--office", holder.office, "--decision", "6/QĐ-UBND"
                )
        assert holder.state(sha256) == "suspended"
        assert holder.told(sha256)[-2:] == ["certificate:to-be-revoked", "certificate:suspended"]
        with pytest.raises(Forbidden, match="is suspended"):
            speaking(holder.office)


def test_cer_09_the_office_is_warned_once_for_each_step_and_an_expired_one_ends(holder: Holder) -> None:
    sha256 = holder.active("ends", days=200)
    watch()
    assert holder.world.mails(holder.office) == []
    for days, mails in ((89, 1), (80, 1), (59, 2), (29, 3), (5, 3)):
        holder.world.put(
            "update certificate set not_after = clock_timestamp() + make_interval(days => :d) where sha256 = :s",
            d=days, s=sha256,
        )  # fmt: skip
        watch()
        assert len(holder.world.mails(holder.office)) == mails
    body = holder.world.mails(holder.office)[0].get_content()
    assert "ha: số hiệu" in body
    assert "Hoàng" not in body
    (soon,) = holder.did("certificate", "list", "--office", holder.office, "--expiring")["certificates"]
    assert soon["sha256"] == sha256
    holder.world.put("update certificate set not_after = clock_timestamp() where sha256 = :s", s=sha256)
    assert watch().expired == 1
    assert holder.state(sha256) == "expired"


def test_auth_06_a_clerk_may_not_touch_certificates(holder: Holder) -> None:
    sha256 = holder.active("mine")
    with holder.world.as_(holder.office, "mai"):
        for words in (
            ("revoke", sha256, "--cause", "left", "--document", "1"),
            ("list",),
            ("show", sha256),
            ("activate", sha256),
        ):
            said = holder.world.type("certificate", *words)
            assert (said.code, "[AUTH-06]" in said.err) == (1, True), words
    assert speaking(holder.office) == [sha256]


def read(world: World, sha256: str) -> bytes:
    """Return a certificate on record."""
    return bytes(world.ask("select der from certificate where sha256 = :s", s=sha256)[0][0])
