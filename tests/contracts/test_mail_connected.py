"""Messages that share a connection: each has its own answer, and a connection that is gone costs none of them anything."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Thread

from infra.mail import MailAnswer, Outcome
from infra.mail.smtp import SmtpMail
from tests.contracts.test_mail import letter

ACCEPT, DEFER, REFUSE = b"250 ok\r\n", b"451 later\r\n", b"550 no\r\n"


class Server:
    """Takes messages by a script: for each connection what it says to MAIL and to the final dot of each message."""

    def __init__(self, *connections: list[tuple[bytes, bytes]]) -> None:
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port: int = self.socket.getsockname()[1]
        #: How many messages came whole by each connection, and how many EHLO were said.
        self.came: list[int] = []
        self.greeted = 0
        Thread(target=self._serve, args=(connections,), daemon=True).start()

    def _serve(self, connections: tuple[list[tuple[bytes, bytes]], ...]) -> None:
        with self.socket:
            for script in connections:
                one, _ = self.socket.accept()
                self.came.append(0)
                with one, one.makefile("rb") as lines:
                    one.sendall(b"220 here\r\n")
                    self._talk(one, lines, script)

    def _talk(self, one: socket.socket, lines: Iterator[bytes], script: list[tuple[bytes, bytes]]) -> None:
        """Answer until the script of this connection is at its end: then it is closed without a word."""
        for to_mail, to_dot in script:
            for line in lines:
                verb = line[:4].upper()
                self.greeted += verb == b"EHLO"
                if verb == b"MAIL":
                    if not to_mail:
                        return
                    one.sendall(to_mail)
                    if not to_mail.startswith(b"250"):
                        break
                elif verb == b"DATA":
                    one.sendall(b"354 go\r\n")
                    while next(lines) != b".\r\n":
                        pass
                    self.came[-1] += 1
                    if not to_dot:
                        return
                    one.sendall(to_dot)
                    break
                else:
                    one.sendall(ACCEPT)


@contextmanager
def sending(*connections: list[tuple[bytes, bytes]]) -> Iterator[tuple[SmtpMail, Server]]:
    server = Server(*connections)
    mail = SmtpMail("127.0.0.1", server.port, 200_000, timeout=5)
    with mail.connected():
        yield mail, server


def outcomes(answers: list[MailAnswer]) -> list[Outcome]:
    return [answer.outcome for answer in answers]


def test_messages_go_by_one_connection_one_after_the_other() -> None:
    with sending([(ACCEPT, ACCEPT)] * 3) as (mail, server):
        assert outcomes([mail.send(letter()) for _ in range(3)]) == [Outcome.ACCEPTED] * 3
    assert server.came == [3]


def test_outside_of_a_shared_connection_each_has_its_own() -> None:
    server = Server([(ACCEPT, ACCEPT)], [(ACCEPT, ACCEPT)])
    mail = SmtpMail("127.0.0.1", server.port, 200_000, timeout=5)
    assert outcomes([mail.send(letter()) for _ in range(2)]) == [Outcome.ACCEPTED] * 2
    assert server.came == [1, 1]


def test_a_server_that_leaves_after_some_messages_gets_the_rest_by_a_new_connection() -> None:
    with sending([(ACCEPT, ACCEPT)] * 2, [(ACCEPT, ACCEPT)]) as (mail, server):
        assert outcomes([mail.send(letter()) for _ in range(3)]) == [Outcome.ACCEPTED] * 3
    assert server.came == [2, 1]


def test_a_server_that_ends_the_connection_at_mail_gets_the_message_by_a_new_one() -> None:
    ends = [(ACCEPT, ACCEPT), (b"421 enough\r\n", b"")]
    with sending(ends, [(ACCEPT, ACCEPT)]) as (mail, server):
        assert outcomes([mail.send(letter()) for _ in range(2)]) == [Outcome.ACCEPTED] * 2
    assert server.came == [1, 1]


def test_a_new_connection_that_is_ended_too_is_an_answer() -> None:
    with sending([(b"421 no\r\n", b"")]) as (mail, _):
        answer = mail.send(letter())
    assert (answer.outcome, answer.code) == (Outcome.DEFERRED, 421)


def test_an_answer_to_the_dot_that_is_lost_is_in_doubt_and_the_message_is_not_sent_again() -> None:
    with sending([(ACCEPT, ACCEPT), (ACCEPT, b"")], [(ACCEPT, ACCEPT)]) as (mail, server):
        answers = [mail.send(letter()) for _ in range(3)]
    assert outcomes(answers) == [Outcome.ACCEPTED, Outcome.AMBIGUOUS, Outcome.ACCEPTED]
    assert server.came == [2, 1]


def test_a_message_that_was_offered_and_put_off_with_the_connection_is_not_offered_again() -> None:
    with sending([(ACCEPT, ACCEPT), (ACCEPT, b"421 later\r\n")], [(ACCEPT, ACCEPT)]) as (mail, server):
        answers = [mail.send(letter()) for _ in range(2)]
    assert outcomes(answers) == [Outcome.ACCEPTED, Outcome.DEFERRED]
    assert server.came == [2]


def test_what_is_refused_or_put_off_says_nothing_of_the_next() -> None:
    with sending([(REFUSE, b""), (ACCEPT, DEFER), (ACCEPT, ACCEPT)]) as (mail, server):
        answers = [mail.send(letter()) for _ in range(3)]
    assert outcomes(answers) == [Outcome.REFUSED, Outcome.DEFERRED, Outcome.ACCEPTED]
    # Each begins with EHLO, which makes the server forget the sender that it had taken before.
    assert (server.came, server.greeted) == ([2], 3)
