"""E-mail's contract, on the double and over SMTP to a server that fails as it is told."""

from __future__ import annotations

import hashlib
import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from pathlib import Path
from threading import Thread
from typing import ClassVar, Protocol

import pytest

from infra.errors import Broken
from infra.mail import Mail, Outcome
from infra.mail.memory import MemoryMail
from infra.mail.smtp import SmtpMail
from infra.stack.scripted import script_faults

CITIZEN = "nguyen.van.a@example.org"


class Post(Protocol):
    """A mail server with its mailbox."""

    mail: Mail

    def fail_next(self, outcome: Outcome, *, taken: bool = False) -> None:
        """Script the next answer."""

    def kept(self) -> list[EmailMessage]:
        """Return what arrived."""


class DoublePost:
    """The double."""

    def __init__(self) -> None:
        self.double = MemoryMail(limit_bytes=200_000)
        self.mail: Mail = self.double

    def fail_next(self, outcome: Outcome, *, taken: bool = False) -> None:
        self.double.answer_next(outcome, taken=taken)

    def kept(self) -> list[EmailMessage]:
        return self.double.kept


class SinkPost:
    """The mail sink, in a process of its own."""

    FAULTS: ClassVar = {
        (Outcome.DEFERRED, False): "450",
        (Outcome.DEFERRED, True): "deliver-but-450",
        (Outcome.REFUSED, False): "550",
        (Outcome.TOO_BIG, False): "552",
        (Outcome.AMBIGUOUS, True): "close-before-250",
        (Outcome.AMBIGUOUS, False): "close-and-lose",
    }

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.server = subprocess.Popen(
            [
                *(sys.executable, "-m", "infra.stack.mail_sink", "--port", "0"),
                *("--folder", str(folder), "--limit-bytes", "300000"),
            ],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.server.stdout
        self.port = int(self.server.stdout.readline().rsplit(":", 1)[1])
        self.mail: Mail = SmtpMail("127.0.0.1", self.port, 200_000, timeout=10)

    def fail_next(self, outcome: Outcome, *, taken: bool = False) -> None:
        script_faults(self.folder, self.FAULTS[outcome, taken])

    def kept(self) -> list[EmailMessage]:
        files = sorted(self.folder.glob("*.eml"))
        return [message_from_bytes(file.read_bytes(), policy=default) for file in files]

    def close(self) -> None:
        self.server.terminate()
        rest, _ = self.server.communicate(timeout=20)
        assert rest == ""


@pytest.fixture
def sink(tmp_path: Path) -> Iterator[SinkPost]:
    """The mail sink."""
    post = SinkPost(tmp_path)
    yield post
    post.close()


@pytest.fixture(params=["memory", "smtp"])
def post(request: pytest.FixtureRequest) -> Post:
    """The double, then the real one."""
    if request.param == "memory":
        return DoublePost()
    sink: SinkPost = request.getfixturevalue("sink")
    return sink


def letter(to: str = CITIZEN, size: int = 1000) -> EmailMessage:
    """Write a message as the office would."""
    message = EmailMessage()
    message["From"] = "Bộ phận một cửa <mot-cua@example.vn>"
    message["To"] = to
    message["Subject"] = "Kết quả hồ sơ"
    message["Message-ID"] = "<one@example.vn>"
    message.set_content("Kính gửi ông/bà,\n.\n..\n.một chấm ở đầu dòng\n")
    message.add_attachment(b"\x00%PDF" * (size // 5), maintype="application", subtype="pdf", filename="1.pdf")
    return message


def test_an_accepted_message_arrives_whole(post: Post) -> None:
    answer = post.mail.send(letter())
    assert (answer.outcome, answer.code) == (Outcome.ACCEPTED, 250)
    [kept] = post.kept()
    assert kept["Message-ID"] == "<one@example.vn>"
    assert kept["Subject"] == "Kết quả hồ sơ"
    text = kept.get_body()
    assert text is not None
    assert text.get_content() == "Kính gửi ông/bà,\n.\n..\n.một chấm ở đầu dòng\n"
    [attachment] = kept.iter_attachments()
    assert attachment.get_content() == b"\x00%PDF" * 200


@pytest.mark.parametrize("outcome", [Outcome.DEFERRED, Outcome.REFUSED, Outcome.TOO_BIG, Outcome.AMBIGUOUS])
def test_each_failure_has_its_name_and_nothing_arrives(post: Post, outcome: Outcome) -> None:
    post.fail_next(outcome)
    assert post.mail.send(letter()).outcome is outcome
    assert post.kept() == []
    assert post.mail.send(letter()).outcome is Outcome.ACCEPTED
    assert len(post.kept()) == 1


@pytest.mark.parametrize("outcome", [Outcome.DEFERRED, Outcome.AMBIGUOUS])
def test_a_message_taken_without_the_sender_knowing_arrives_twice_under_one_message_id(
    post: Post, outcome: Outcome
) -> None:
    post.fail_next(outcome, taken=True)
    assert post.mail.send(letter()).outcome is outcome
    post.mail.send(letter())
    assert [kept["Message-ID"] for kept in post.kept()] == ["<one@example.vn>"] * 2


def test_a_message_over_the_limit_is_not_sent(post: Post) -> None:
    assert post.mail.send(letter(size=200_000)).outcome is Outcome.TOO_BIG
    assert post.kept() == []


class TestOverSmtp:
    """What only a server can do."""

    def test_the_size_that_the_server_announces_is_kept_to(self, sink: SinkPost) -> None:
        answer = SmtpMail("127.0.0.1", sink.port, 10_000_000).send(letter(size=300_000))
        assert (answer.outcome, answer.code) == (Outcome.TOO_BIG, 0)
        assert "300000" in answer.text

    def test_a_server_that_turns_us_away_at_the_door_is_tried_later(self, sink: SinkPost) -> None:
        script_faults(sink.folder, "421-at-connect")
        answer = sink.mail.send(letter())
        assert (answer.outcome, answer.code) == (Outcome.DEFERRED, 421)

    def test_an_answer_that_never_comes_is_ambiguous(self, sink: SinkPost) -> None:
        script_faults(sink.folder, "hang-after-data")
        impatient = SmtpMail("127.0.0.1", sink.port, 200_000, timeout=1)
        assert impatient.send(letter()).outcome is Outcome.AMBIGUOUS
        assert len(sink.kept()) == 1

    def test_no_server_is_deferred(self) -> None:
        assert SmtpMail("127.0.0.1", 1, 200_000).send(letter()).outcome is Outcome.DEFERRED

    def test_a_server_that_never_greets_is_deferred(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as silent:
            mail = SmtpMail("127.0.0.1", silent.getsockname()[1], 200_000, timeout=0.5)
            assert mail.send(letter()).outcome is Outcome.DEFERRED

    def test_a_fault_may_be_chosen_by_the_recipient(self, sink: SinkPost) -> None:
        assert sink.mail.send(letter(to="552@example.org")).outcome is Outcome.TOO_BIG

    def test_a_message_refused_for_one_recipient_goes_to_nobody(self, sink: SinkPost) -> None:
        answer = sink.mail.send(letter(to=f"{CITIZEN}, 550@example.org"))
        assert answer.outcome is Outcome.REFUSED
        assert sink.kept() == []

    def test_the_answer_carries_no_address(self, sink: SinkPost) -> None:
        answer = sink.mail.send(letter(to="550@example.org"))
        assert "no such user" in answer.text
        assert "550@" not in answer.text

    def test_an_address_in_vietnamese_is_understood(self, sink: SinkPost) -> None:
        assert sink.mail.send(letter(to="nguyễn@example.org")).outcome is Outcome.ACCEPTED
        assert "nguyễn" in sink.kept()[0]["To"]

    def test_a_dot_at_the_start_of_a_line_is_not_the_end(self, sink: SinkPost) -> None:
        message = EmailMessage()
        message["From"], message["To"], message["Message-ID"] = "a@example.vn", CITIZEN, "<two@example.vn>"
        message.set_content("one\n.\n..two\n")
        assert sink.mail.send(message).outcome is Outcome.ACCEPTED
        assert sink.kept()[0].get_content().replace("\r\n", "\n") == "one\n.\n..two\n"

    def test_the_index_names_no_address(self, sink: SinkPost) -> None:
        sink.mail.send(letter())
        [line] = (sink.folder / "index.jsonl").read_text(encoding="utf-8").splitlines()
        entry = json.loads(line)
        assert entry["message_id"] == "<one@example.vn>"
        assert entry["to"] == [hashlib.sha256(CITIZEN.encode()).hexdigest()]
        assert entry["size"] == (sink.folder / entry["file"]).stat().st_size
        assert CITIZEN not in line

    @pytest.mark.parametrize("missing", ["Message-ID", "To", "From"])
    def test_a_message_without_what_it_needs_is_a_bug(self, sink: SinkPost, missing: str) -> None:
        message = letter()
        del message[missing]
        with pytest.raises(Broken):
            sink.mail.send(message)


class Scripted:
    """A server that says a fixed line at each step, for answers that no real server would admit to."""

    def __init__(self, dot: bytes, mail: bytes = b"250 ok\r\n", data: bytes = b"354 go\r\n") -> None:
        """Answer the final dot with `dot`, MAIL and DATA as given."""
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port: int = self.socket.getsockname()[1]
        answers = {b"EHLO": b"250 scripted\r\n", b"MAIL": mail, b"RCPT": b"250 ok\r\n", b"DATA": data}
        Thread(target=self._talk, args=(dot, answers), daemon=True).start()

    def _talk(self, dot: bytes, answers: dict[bytes, bytes]) -> None:
        connection, _ = self.socket.accept()
        with connection, connection.makefile("rb") as lines:
            connection.sendall(b"220 scripted\r\n")
            data = False
            for line in lines:
                if data and line == b".\r\n":
                    connection.sendall(dot)
                    data = False
                elif not data:
                    connection.sendall(answers.get(line[:4].upper(), b"221 bye\r\n"))
                    data = line[:4].upper() == b"DATA"
        self.socket.close()


@pytest.mark.parametrize(
    ("said", "outcome"),
    [
        (b"250 2.0.0 ok\r\n", Outcome.ACCEPTED),
        (b"451 4.3.0 later\r\n", Outcome.DEFERRED),
        (b"552 5.3.4 too big\r\n", Outcome.TOO_BIG),
        (b"554 5.3.4 too big\r\n", Outcome.TOO_BIG),
        (b"552 too big\r\n", Outcome.TOO_BIG),
        (b"552 5.2.2 mailbox full\r\n", Outcome.REFUSED),
        (b"550 5.7.1 no\r\n", Outcome.REFUSED),
        (b"", Outcome.AMBIGUOUS),
        (b"not a reply\r\n", Outcome.AMBIGUOUS),
        (b"354 go on\r\n", Outcome.AMBIGUOUS),
    ],
)
def test_each_answer_to_the_final_dot_is_read_as_the_standard_says(said: bytes, outcome: Outcome) -> None:
    server = Scripted(said)
    assert SmtpMail("127.0.0.1", server.port, 200_000, timeout=1).send(letter()).outcome is outcome


def test_a_server_that_accepts_before_it_was_given_anything_is_not_believed() -> None:
    server = Scripted(b"", data=b"250 ok\r\n")
    assert SmtpMail("127.0.0.1", server.port, 200_000, timeout=1).send(letter()).outcome is Outcome.DEFERRED


def test_a_refusal_of_the_size_in_mail_from_is_too_big() -> None:
    server = Scripted(b"", mail=b"552 5.3.4 too big\r\n")
    assert SmtpMail("127.0.0.1", server.port, 200_000, timeout=1).send(letter()).outcome is Outcome.TOO_BIG


def test_a_message_with_a_document_that_is_made_again_is_the_same_to_the_byte(sink: SinkPost) -> None:
    """A mailbox that keeps one copy of each Message-ID keeps the same one, whichever came through."""
    for _ in range(2):
        assert sink.mail.send(letter()).outcome is Outcome.ACCEPTED
    one, two = (file.read_bytes() for file in sorted(sink.folder.glob("*.eml")))
    assert one[one.index(b"Content-Type") :] == two[two.index(b"Content-Type") :]
    boundary = message_from_bytes(one, policy=default).get_boundary()
    assert boundary is not None
    assert one.count(boundary.encode()) == 4  # named, two parts, the end
